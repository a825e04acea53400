"""Makes tests/fixtures/quantised: small classifiers as ONNX Runtime's quantiser writes them, and float16 and float64 ones.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/requirements.txt
    .venv/bin/python scripts/reference/quantised_fixtures.py

For each NAME it writes NAME.onnx and NAME.npz: `images` f32 [N, 3, 8, 8] in [0, 1], `labels` int64 [N], and from the
network in PyTorch, in float64, with every quantiser as a straight-through fake quantiser (for the static ones):
`logits` [N, K], `loss` [N], `gradient` [N, 3, 8, 8] of each image's cross-entropy by its pixels. `original` [N, K] is
what ONNX Runtime 1.32 returns for the file itself, without its own rewriting.
"""

import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from torch import nn

from export_fixtures import randomised

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "quantised"
SIZE, CLASSES, IMAGES = 8, 5, 4


class Cnn(nn.Module):
    """A residual block, pooling of both kinds, a concatenation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.narrow = nn.Conv2d(8, 4, 1)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, images):
        stem = nn.functional.max_pool2d(torch.relu(self.stem(images)), 2)
        block = nn.functional.leaky_relu(self.block(stem), 0.1) + stem
        both = torch.cat([block, torch.sigmoid(self.narrow(block))], dim=1)
        return self.head(both.mean(dim=(2, 3), keepdim=True).flatten(1))


class Vit(nn.Module):
    """One block: patches, attention written out, LayerNorm, GELU."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads = heads
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.position = nn.Parameter(torch.zeros(1, 4, width))
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2) + self.position
        q, k, v = self.qkv(self.norm(x)).reshape(-1, 4, 3, self.heads, 8).permute(2, 0, 3, 1, 4).unbind(0)
        attended = (q @ k.transpose(-2, -1) * 8**-0.5).softmax(dim=-1) @ v
        x = x + self.projection(attended.transpose(1, 2).reshape(-1, 4, 16))
        x = x + self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return self.head(x.mean(dim=1))


class Calibration(CalibrationDataReader):
    def __init__(self, images):
        self.batches = iter([{"images": images[index : index + 4]} for index in range(0, len(images), 4)])

    def get_next(self):
        return next(self.batches, None)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    cnn, vit = randomised(Cnn(), seed=1), randomised(Vit(), seed=2)
    qdq, operator, unsigned = QuantFormat.QDQ, QuantFormat.QOperator, QuantType.QUInt8
    static("cnn_qdq", cnn, quant_format=qdq, per_channel=True, activation_type=unsigned)
    static("cnn_qdq_signed", cnn, quant_format=qdq, per_channel=False, activation_type=QuantType.QInt8)
    static("cnn_qdq_16", cnn, quant_format=qdq, per_channel=False, activation_type=QuantType.QUInt16)
    static("cnn_qoperator", cnn, quant_format=operator, per_channel=True, activation_type=unsigned)
    static("vit_qdq", vit, quant_format=qdq, per_channel=True, activation_type=unsigned)
    static("vit_qoperator", vit, quant_format=operator, per_channel=False, activation_type=unsigned)
    dynamic("cnn_dynamic", cnn)
    dynamic("vit_dynamic", vit)
    for name, model in (("cnn", cnn), ("vit", vit)):
        half(f"{name}_float16", model)
    double("vit_float64", vit)


def static(name, model, **options):
    path = FOLDER / f"{name}.onnx"
    with tempfile.TemporaryDirectory() as folder:
        source = export(model, pathlib.Path(folder) / "source.onnx")
        images = np.random.default_rng(3).random((32, 3, SIZE, SIZE), np.float32)
        # The tails are cut, so that some images saturate.
        extra = {"CalibPercentile": 99.0, "ActivationSymmetric": False}
        quantize_static(source, path, Calibration(images), weight_type=QuantType.QInt8, extra_options=extra, **options)
    finish(name)


def dynamic(name, model):
    with tempfile.TemporaryDirectory() as folder:
        source = export(model, pathlib.Path(folder) / "source.onnx")
        quantize_dynamic(source, FOLDER / f"{name}.onnx", weight_type=QuantType.QUInt8)
    finish(name)


def half(name, model):
    model = model.half()
    export(model, FOLDER / f"{name}.onnx", torch.float16)
    model.float()
    finish(name)


def double(name, model):
    model = model.double()
    export(model, FOLDER / f"{name}.onnx", torch.float64)
    model.float()
    finish(name)


def export(model, path, dtype=torch.float32):
    torch.onnx.export(
        model, (torch.rand(2, 3, SIZE, SIZE, dtype=dtype),), path, dynamo=False, opset_version=17,
        input_names=["images"], output_names=["logits"], dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
    )
    return path


def finish(name):
    path = FOLDER / f"{name}.onnx"
    model = onnx.load(path)
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
    onnx.save(model, path)
    generator = np.random.default_rng(7)
    images = generator.random((IMAGES, 3, SIZE, SIZE), np.float32)
    labels = generator.integers(CLASSES, size=IMAGES)
    arrays = {"images": images, "labels": labels, "original": run(model, images)}
    np.savez_compressed(path.with_suffix(".npz"), **arrays, **reference(model, images, labels))
    print(name, path.stat().st_size, "bytes", sorted({node.op_type for node in model.graph.node}))


def run(model, images):
    """One image at a time: a dynamic quantiser looks at the whole batch."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no double kernels for some operators.
        print("not run:", str(error)[:120])
        return np.zeros((0,), np.float32)
    dtype = numpy_types()[session.get_inputs()[0].type]
    rows = [session.run(None, {"images": images[index : index + 1].astype(dtype)})[0] for index in range(len(images))]
    return np.concatenate(rows).astype(np.float32)


def numpy_types():
    return {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def reference(model, images, labels):
    """The file's own graph in PyTorch, in float64, image by image, with straight-through quantisers."""
    logits, losses, gradients = [], [], []
    for image, label in zip(images, labels):
        pixels = torch.tensor(image[None], dtype=torch.float64, requires_grad=True)
        scores = evaluate(model.graph, pixels)
        loss = nn.functional.cross_entropy(scores, torch.tensor([label]))
        (gradient,) = torch.autograd.grad(loss, pixels)
        logits.append(scores.detach().numpy())
        losses.append(loss.item())
        gradients.append(gradient.numpy())
    return {"logits": np.concatenate(logits), "loss": np.array(losses), "gradient": np.concatenate(gradients)}


RANGES = {np.uint8: (0, 255), np.int8: (-128, 127), np.uint16: (0, 65535), np.int16: (-32768, 32767)}


class Codes:
    """A quantised tensor as its (float) integers, straight through."""

    def __init__(self, values, dtype):
        self.values, self.dtype = values, dtype


def evaluate(graph, pixels):
    """A small interpreter of the operators that the files have. Integers of quantised tensors are floats with gradient."""
    env = {"images": pixels}
    for tensor in graph.initializer:
        env[tensor.name] = constant(numpy_helper.to_array(tensor))
    for node in graph.node:
        inputs = [env[name] if name else None for name in node.input]
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        outputs = OPERATORS[node.op_type](inputs, attributes, node)
        env.update(zip(node.output, outputs if isinstance(outputs, (list, tuple)) else [outputs]))
    return env[graph.output[0].name]


def constant(array):
    if array.dtype.type in RANGES:
        return Codes(torch.tensor(array.astype(np.float64)), array.dtype.type)
    if array.dtype == np.int32 or array.dtype.kind == "f":
        return torch.tensor(array.astype(np.float64))
    return torch.tensor(array)


def plain(value):
    return value.values if isinstance(value, Codes) else value


def along(vector, axis, rank):
    vector = plain(vector)
    return vector.reshape([-1 if index == axis % rank else 1 for index in range(rank)]) if vector.numel() > 1 else vector.reshape(())


def quantize(x, scale, zero_point, axis=1):
    low, high = RANGES[zero_point.dtype]
    steps = x / along(scale, axis, x.dim())
    zero = along(zero_point, axis, x.dim())
    codes = torch.round(steps.detach()) + zero
    inside = (codes >= low) & (codes <= high)
    # Straight through: the value of the integer, the gradient of the quotient, none where it saturates.
    passed = torch.where(inside, steps - steps.detach(), torch.zeros_like(steps))
    return Codes(codes.clamp(low, high) + passed, zero_point.dtype)


def dequantize(codes, scale, zero_point=None, axis=1):
    values = plain(codes)
    zero = along(zero_point, axis, values.dim()) if zero_point is not None else 0.0
    return (values - zero) * along(scale, axis, values.dim())


def dynamic_quantize(inputs, _, node):
    (x,) = inputs
    high, low = x.detach().max().clamp(min=0), x.detach().min().clamp(max=0)
    scale = (high - low) / 255
    zero = torch.round(-low / scale).clamp(0, 255)
    return quantize(x, scale, Codes(zero, np.uint8)), scale, Codes(zero, np.uint8)


def conv(x, w, bias, attributes):
    pads = attributes.get("pads", [0, 0, 0, 0])
    return nn.functional.conv2d(x, w, bias, stride=attributes.get("strides", [1, 1]), padding=tuple(pads[:2]))


def gemm(inputs, attributes, _):
    a, b, c = (list(inputs) + [None])[:3]
    b = b.T if attributes.get("transB") else b
    return a @ b + (c if c is not None else 0)


def qlinear(function, operands):
    """An operator on quantised tensors: `operands` of three inputs each, then scale and zero point of the result."""

    def run_operator(inputs, attributes, node):
        values = [dequantize(*inputs[3 * index : 3 * index + 3]) for index in range(operands)]
        scale, zero_point = inputs[3 * operands : 3 * operands + 2]
        return quantize(function(values, attributes), scale, zero_point)

    return run_operator


def qlinear_conv(inputs, attributes, _):
    x, w = dequantize(*inputs[:3]), dequantize(*inputs[3:6], axis=0)
    bias = inputs[8] * (inputs[1] * inputs[4]) if len(inputs) > 8 else None
    return quantize(conv(x, w, bias, attributes), inputs[6], inputs[7])


def qlinear_matmul(inputs, _, __):
    return quantize(dequantize(*inputs[:3]) @ dequantize(*inputs[3:6], axis=-1), inputs[6], inputs[7])


def qgemm(inputs, attributes, _):
    inputs = list(inputs) + [None] * (9 - len(inputs))
    b = dequantize(*inputs[3:6], axis=0 if attributes.get("transB") else 1)
    b = b.T if attributes.get("transB") else b
    result = dequantize(*inputs[:3]) @ b
    if inputs[6] is not None:
        result = result + inputs[6] * (inputs[1] * inputs[4])
    return result if inputs[7] is None else quantize(result, inputs[7], inputs[8])


def qlinear_concat(inputs, attributes, _):
    parts = [dequantize(*inputs[index : index + 3]) for index in range(2, len(inputs), 3)]
    return quantize(torch.cat(parts, attributes["axis"]), inputs[0], inputs[1])


def conv_integer(inputs, attributes, _):
    x, w, x_zero, w_zero = (list(inputs) + [None, None])[:4]
    zero = plain(w_zero) if w_zero is not None else 0
    return conv(plain(x) - plain(x_zero), plain(w) - zero, None, attributes)


def matmul_integer(inputs, _, __):
    a, b, a_zero, b_zero = (list(inputs) + [None, None])[:4]
    return (plain(a) - plain(a_zero)) @ (plain(b) - (plain(b_zero) if b_zero is not None else 0))


def moved(function):
    """Operators that move elements, quantised or not."""

    def run_operator(inputs, attributes, node):
        x = function(plain(inputs[0]), inputs[1:], attributes, node)
        return Codes(x, inputs[0].dtype) if isinstance(inputs[0], Codes) else x

    return run_operator


def gather(inputs, attributes, _):
    axis = attributes.get("axis", 0)
    return plain(inputs[0]).select(axis, int(inputs[1])) if inputs[1].dim() == 0 else torch.index_select(inputs[0], axis, inputs[1])


def reshape(x, rest, _, __):
    target = [x.shape[index] if size == 0 else size for index, size in enumerate(rest[0].tolist())]
    return x.reshape(target)


def slice_(inputs, _, __):
    x, starts, ends, axes = inputs[:4]
    for start, end, axis in zip(starts.tolist(), ends.tolist(), axes.tolist()):
        x = x[(slice(None),) * axis + (slice(start, end),)]
    return x


def layer_normalization(inputs, attributes, _):
    x, weight, bias = inputs
    return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, attributes.get("epsilon", 1e-5))


def average_pool(x, attributes):
    return x.mean(dim=(2, 3), keepdim=True)


OPERATORS = {
    "Add": lambda i, a, n: i[0] + i[1],
    "Cast": lambda i, a, n: plain(i[0]) if a["to"] in (1, 10, 11) else i[0],
    "Concat": lambda i, a, n: torch.cat(i, a["axis"]),
    "Constant": lambda i, a, n: constant(np.array(numpy_helper.to_array(a["value"]))),
    "Conv": lambda i, a, n: conv(i[0], i[1], i[2] if len(i) > 2 else None, a),
    "ConvInteger": conv_integer,
    "DequantizeLinear": lambda i, a, n: dequantize(*i, axis=a.get("axis", 1)),
    "Div": lambda i, a, n: i[0] / i[1],
    "DynamicQuantizeLinear": dynamic_quantize,
    "Erf": lambda i, a, n: torch.erf(i[0]),
    "Flatten": moved(lambda x, r, a, n: x.flatten(a.get("axis", 1))),
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": lambda i, a, n: average_pool(i[0], a),
    "Identity": lambda i, a, n: i[0],
    "LayerNormalization": layer_normalization,
    "LeakyRelu": lambda i, a, n: nn.functional.leaky_relu(i[0], a.get("alpha", 0.01)),
    "MatMul": lambda i, a, n: i[0] @ i[1],
    "MatMulInteger": matmul_integer,
    "MaxPool": moved(lambda x, r, a, n: nn.functional.max_pool2d(x, a["kernel_shape"], a["strides"])),
    "Mul": lambda i, a, n: i[0] * i[1],
    "QGemm": qgemm,
    "QLinearAdd": qlinear(lambda v, a: v[0] + v[1], 2),
    "QLinearConcat": qlinear_concat,
    "QLinearConv": qlinear_conv,
    "QLinearGlobalAveragePool": qlinear(lambda v, a: average_pool(v[0], a), 1),
    "QLinearLeakyRelu": qlinear(lambda v, a: nn.functional.leaky_relu(v[0], a.get("alpha", 0.01)), 1),
    "QLinearMatMul": qlinear_matmul,
    "QLinearMul": qlinear(lambda v, a: v[0] * v[1], 2),
    "QLinearSigmoid": qlinear(lambda v, a: torch.sigmoid(v[0]), 1),
    "QLinearSoftmax": qlinear(lambda v, a: torch.softmax(v[0], a["axis"]), 1),
    "QuantizeLinear": lambda i, a, n: quantize(*i, axis=a.get("axis", 1)),
    "ReduceMean": lambda i, a, n: i[0].mean(
        dim=tuple(a["axes"] if "axes" in a else i[1].tolist()), keepdim=bool(a.get("keepdims", 1))
    ),
    "Relu": lambda i, a, n: torch.relu(i[0]),
    "Reshape": moved(reshape),
    "Shape": lambda i, a, n: torch.tensor(plain(i[0]).shape)[a.get("start", 0) : a.get("end", None)],
    "Sigmoid": lambda i, a, n: torch.sigmoid(i[0]),
    "Slice": slice_,
    "Softmax": lambda i, a, n: torch.softmax(i[0], a.get("axis", -1)),
    "Split": lambda i, a, n: torch.split(plain(i[0]), i[1].tolist(), a.get("axis", 0)),
    "Squeeze": moved(lambda x, r, a, n: x.squeeze(int(r[0]))),
    "Transpose": moved(lambda x, r, a, n: x.permute(a["perm"])),
    "Unsqueeze": moved(lambda x, r, a, n: x.unsqueeze(int(r[0]))),
}


if __name__ == "__main__":
    main()
