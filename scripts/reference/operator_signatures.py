"""Writes export/src/operators/signature/pages.rs: what the page of each operator says of its inputs, outputs and attributes.

    python scripts/reference/operator_signatures.py > export/src/operators/signature/pages.rs
    rustfmt --config-path . export/src/operators/signature/pages.rs

Arity, names and types of attributes come from the schemas of the `onnx` package (1.23.2). A schema does not say which
values an attribute may have: the pages say that in words, and VALUES below repeats them. An entry that matches no
attribute is an error.
"""
import onnx

OLDEST, MANY = 7, 2**31 - 1

AUTO_PAD = ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]
REDUCTIONS = ["none", "add", "mul", "max", "min"]
RESIZE = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"]
POST_TRANSFORM = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
DIRECTIONS = ["forward", "reverse", "bidirectional"]
FLAG, POSITIVE, NATURAL = "Flag", "AtLeast(1)", "AtLeast(0)"
# Numbers of element types in TensorProto: 1 float32, 10 float16, 11 float64, 16 bfloat16.
FLOAT_TYPES = [1, 10, 11, 16]
ELEMENT_TYPE = "Within(1, 26)"
ELEMENT_TYPE_OR_NONE = "Within(0, 26)"

# (operators or None for all, attribute, first opset, values)
VALUES = [
    (None, name, 1, FLAG)
    for name in """align_corners allowzero antialias ceil_mode center_point_box count_include_pad detect_negative
    detect_positive exclude_outside exclusive fmod input_forget interleaved inverse is_causal keepdims largest layout
    linear_before_reset multi_class new_axis noop_with_empty_axes onesided periodic reverse saturate select_last_index
    sorted spatial storage_order training_mode transA transB upper channels_last""".split()
] + [
    (None, name, 1, POSITIVE)
    for name in """blocksize dilations group hidden_size kernel_shape kv_num_heads num_groups num_outputs offset_group
    output_height output_width q_num_heads size strides p sample_size chunk_size""".split()
] + [
    (None, name, 1, NATURAL)
    for name in "batch_dims block_size num_heads rotary_embedding_dim sampling_ratio output_padding".split()
] + [
    (None, "auto_pad", 1, AUTO_PAD),
    (None, "keep_aspect_ratio_policy", 1, ["stretch", "not_larger", "not_smaller"]),
    (None, "padding_mode", 1, ["zeros", "border", "reflection"]),
    (None, "approximate", 1, ["none", "tanh"]),
    (None, "round_mode", 1, ["up", "down", "nearest"]),
    (None, "post_transform", 1, POST_TRANSFORM),
    (None, "kernel_type", 1, ["LINEAR", "POLY", "RBF", "SIGMOID"]),
    (None, "norm", 1, ["MAX", "L1", "L2"]),
    (None, "qk_matmul_output_mode", 1, [0, 1, 2, 3]),
    (None, "update_rule", 1, ["linear", "gated", "delta", "gated_delta"]),
    (None, "nearest_mode", 1, ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    (None, "dtype", 1, ELEMENT_TYPE),
    (None, "to", 1, ELEMENT_TYPE),
    (None, "output_datatype", 1, ELEMENT_TYPE),
    (None, "output_dtype", 1, ELEMENT_TYPE_OR_NONE),
    (None, "precision", 1, [0] + FLOAT_TYPES),
    (None, "softmax_precision", 1, [0] + FLOAT_TYPES),
    (None, "stash_type", 1, FLOAT_TYPES),
    ("LayerNormalization", "stash_type", 1, [1, 16]),
    ("LpNormalization", "p", 1, [1, 2]),
    ("BitShift", "direction", 1, ["LEFT", "RIGHT"]),
    ("GRU LSTM RNN", "direction", 1, DIRECTIONS),
    ("DepthToSpace", "mode", 1, ["DCR", "CRD"]),
    ("SpaceToDepth", "mode", 1, ["DCR", "CRD"]),
    ("GridSample", "mode", 1, ["bilinear", "nearest", "bicubic"]),
    ("GridSample", "mode", 20, ["linear", "nearest", "cubic"]),
    ("Pad", "mode", 1, ["constant", "reflect", "edge"]),
    ("Pad", "mode", 19, ["constant", "reflect", "edge", "wrap"]),
    ("Resize", "mode", 1, ["nearest", "linear", "cubic"]),
    ("Upsample", "mode", 1, ["nearest", "linear"]),
    ("RoiAlign", "mode", 1, ["avg", "max"]),
    ("RoiAlign", "coordinate_transformation_mode", 1, ["half_pixel", "output_half_pixel"]),
    # ONNX Runtime computes tf_half_pixel_for_nn in every opset, although opset 13 took it from the page.
    ("Resize", "coordinate_transformation_mode", 1, RESIZE + ["tf_half_pixel_for_nn"]),
    ("Resize", "coordinate_transformation_mode", 19, RESIZE + ["tf_half_pixel_for_nn", "half_pixel_symmetric"]),
    ("ScatterElements ScatterND", "reduction", 1, REDUCTIONS[:3]),
    ("ScatterElements ScatterND", "reduction", 18, REDUCTIONS),
    ("NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss", "reduction", 1, ["none", "sum", "mean"]),
]

KINDS = {"INT": "Int", "INTS": "Ints", "FLOAT": "Float", "FLOATS": "Floats", "STRING": "Text", "STRINGS": "Texts",
         "TENSOR": "Tensor", "GRAPH": "Graph"}
ML = """ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearClassifier Normalizer SVMClassifier
Scaler ZipMap""".split()

# The operators that `onnxruntime.quantization` writes, after ONNX Runtime's docs/ContribOperators.md.
POOL = {"auto_pad": "STRING", "ceil_mode": "INT", "channels_last": "INT", "count_include_pad": "INT",
        "kernel_shape": "INTS!", "pads": "INTS", "strides": "INTS"}
MICROSOFT = [
    ("DequantizeLinear", (2, 3), {"axis": "INT", "block_size": "INT"}),
    ("QGemm", (6, 9), {"alpha": "FLOAT", "transA": "INT", "transB": "INT"}),
    ("QLinearAdd", (7, 8), {}),
    ("QLinearAveragePool", (4, 5), POOL),
    ("QLinearConcat", (5, MANY), {"axis": "INT!"}),
    ("QLinearGlobalAveragePool", (4, 5), {"channels_last": "INT"}),
    ("QLinearLeakyRelu", (4, 5), {"alpha": "FLOAT"}),
    ("QLinearMul", (7, 8), {}),
    ("QLinearSigmoid", (4, 5), {}),
    ("QLinearSoftmax", (4, 5), {"axis": "INT", "opset": "INT!"}),
    ("QLinearWhere", (9, 10), {}),
    ("QuantizeLinear", (2, 3), {"axis": "INT", "block_size": "INT"}),
]

used = set()


def values(operator, attribute, since, kind):
    """The Rust expression of the values that the attribute may have."""
    found = None
    for index, (operators, name, first, allowed) in enumerate(VALUES):
        if name == attribute and first <= since and (operators is None or operator in operators.split()):
            if kind in ("INT", "INTS") and not (isinstance(allowed, list) and isinstance(allowed[0], str)) \
                    or kind == "STRING" and isinstance(allowed, list) and isinstance(allowed[0], str):
                found, _ = allowed, used.add(index)
    if kind in ("INT", "INTS"):
        numbers = "Any" if found is None else found if isinstance(found, str) else f"OneOf(&{found})"
        return f"{KINDS[kind]}({numbers})"
    if kind == "STRING":
        if found is None:
            return "AnyText"
        return "Text(&[" + ", ".join(f'"{text}"' for text in found) + "])"
    return KINDS.get(kind, "Other")


def attribute(operator, name, since, kind, required):
    return f'{"required" if required else "optional"}("{name}", {values(operator, name, since, kind)})'


def rows():
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.deprecated or not (schema.domain == "" or schema.domain == "ai.onnx.ml" and schema.name in ML):
            continue
        name = schema.name if not schema.domain else f"{schema.domain}::{schema.name}"
        attributes = [
            attribute(schema.name, key, schema.since_version, str(value.type).split(".")[-1], value.required)
            for key, value in sorted(schema.attributes.items())
        ]
        yield (name, schema.since_version,
               (schema.min_input, schema.max_input), (schema.min_output, schema.max_output), attributes)
    for name, inputs, attributes in MICROSOFT:
        stated = [attribute(name, key, 1, kind.rstrip("!"), kind.endswith("!")) for key, kind in sorted(attributes.items())]
        yield f"com.microsoft::{name}", 1, inputs, (1, 1), stated


def last_before(found):
    """Without the forms that were replaced before the oldest opset we read, and without repetitions."""
    found = sorted(found, key=lambda row: (row[0].encode(), row[1]))
    kept = []
    for index, row in enumerate(found):
        following = found[index + 1] if index + 1 < len(found) else None
        is_gone = following and following[0] == row[0] and "::" not in row[0] and following[1] <= OLDEST
        is_repeated = kept and kept[-1][0] == row[0] and kept[-1][2:] == row[2:]
        if not is_gone and not is_repeated:
            kept.append(row)
    return kept


def ends(pair):
    low, high = pair
    return f"{low}..={'MANY' if high >= MANY else high}"


print("//! What the pages of the operators say of inputs, outputs and attributes.")
print("//! Written by `scripts/reference/operator_signatures.py`, which says where it comes from; not edited by hand.\n")
print("use super::form::{MANY, Signature, optional, required};")
print("use super::form::Numbers::{Any, AtLeast, Flag, OneOf, Within};")
print("use super::form::Values::{AnyText, Float, Floats, Graph, Int, Ints, Other, Tensor, Text, Texts};\n")
print("/// By name, in the order of bytes, and then by the opset that brought the form.")
print("#[rustfmt::skip]")
print("pub(super) static PAGES: &[Signature] = &[")
for name, since, inputs, outputs, attributes in last_before(list(rows())):
    print(f'    Signature {{ name: "{name}", since: {since}, inputs: {ends(inputs)}, outputs: {ends(outputs)}, attributes: &[', end="")
    if attributes:
        print("\n        " + ",\n        ".join(attributes) + ",\n    ", end="")
    print("] },")
print("];")
unused = [VALUES[index][:3] for index in range(len(VALUES)) if index not in used]
assert not unused, unused
