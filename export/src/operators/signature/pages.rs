//! What the pages of the operators say of inputs, outputs and attributes.
//! Written by `scripts/reference/operator_signatures.py`, which says where it comes from; not edited by hand.

use super::form::Numbers::{Any, AtLeast, Flag, OneOf, Within};
use super::form::Values::{AnyText, Float, Floats, Graph, Int, Ints, Other, Tensor, Text, Texts};
use super::form::{MANY, Signature, optional, required};

/// By name, in the order of bytes, and then by the opset that brought the form.
#[rustfmt::skip]
pub(super) static PAGES: &[Signature] = &[
    Signature { name: "Abs", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Acos", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Acosh", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Add", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "AffineGrid", since: 20, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("align_corners", Int(Flag)),
    ] },
    Signature { name: "And", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "ArgMax", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ArgMax", since: 12, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("keepdims", Int(Flag)),
        optional("select_last_index", Int(Flag)),
    ] },
    Signature { name: "ArgMin", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ArgMin", since: 12, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("keepdims", Int(Flag)),
        optional("select_last_index", Int(Flag)),
    ] },
    Signature { name: "Asin", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Asinh", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Atan", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Atanh", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Attention", since: 23, inputs: 3..=6, outputs: 1..=4, attributes: &[
        optional("is_causal", Int(Flag)),
        optional("kv_num_heads", Int(AtLeast(1))),
        optional("q_num_heads", Int(AtLeast(1))),
        optional("qk_matmul_output_mode", Int(OneOf(&[0, 1, 2, 3]))),
        optional("scale", Float),
        optional("softcap", Float),
        optional("softmax_precision", Int(OneOf(&[0, 1, 10, 11, 16]))),
    ] },
    Signature { name: "Attention", since: 24, inputs: 3..=7, outputs: 1..=4, attributes: &[
        optional("is_causal", Int(Flag)),
        optional("kv_num_heads", Int(AtLeast(1))),
        optional("q_num_heads", Int(AtLeast(1))),
        optional("qk_matmul_output_mode", Int(OneOf(&[0, 1, 2, 3]))),
        optional("scale", Float),
        optional("softcap", Float),
        optional("softmax_precision", Int(OneOf(&[0, 1, 10, 11, 16]))),
    ] },
    Signature { name: "Attention", since: 25, inputs: 3..=7, outputs: 1..=4, attributes: &[
        optional("is_causal", Int(Flag)),
        optional("kv_num_heads", Int(AtLeast(1))),
        optional("left_window_size", Int(Any)),
        optional("q_num_heads", Int(AtLeast(1))),
        optional("qk_matmul_output_mode", Int(OneOf(&[0, 1, 2, 3]))),
        optional("right_window_size", Int(Any)),
        optional("scale", Float),
        optional("softcap", Float),
        optional("softmax_precision", Int(OneOf(&[0, 1, 10, 11, 16]))),
    ] },
    Signature { name: "AveragePool", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("count_include_pad", Int(Flag)),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "AveragePool", since: 10, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("ceil_mode", Int(Flag)),
        optional("count_include_pad", Int(Flag)),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "AveragePool", since: 19, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("ceil_mode", Int(Flag)),
        optional("count_include_pad", Int(Flag)),
        optional("dilations", Ints(AtLeast(1))),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "BatchNormalization", since: 7, inputs: 5..=5, outputs: 1..=5, attributes: &[
        optional("epsilon", Float),
        optional("momentum", Float),
        optional("spatial", Int(Flag)),
    ] },
    Signature { name: "BatchNormalization", since: 9, inputs: 5..=5, outputs: 1..=5, attributes: &[
        optional("epsilon", Float),
        optional("momentum", Float),
    ] },
    Signature { name: "BatchNormalization", since: 14, inputs: 5..=5, outputs: 1..=3, attributes: &[
        optional("epsilon", Float),
        optional("momentum", Float),
        optional("training_mode", Int(Flag)),
    ] },
    Signature { name: "Bernoulli", since: 15, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("dtype", Int(Within(1, 26))),
        optional("seed", Float),
    ] },
    Signature { name: "BitCast", since: 26, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("to", Int(Within(1, 26))),
    ] },
    Signature { name: "BitShift", since: 11, inputs: 2..=2, outputs: 1..=1, attributes: &[
        required("direction", Text(&["LEFT", "RIGHT"])),
    ] },
    Signature { name: "BitwiseAnd", since: 18, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "BitwiseNot", since: 18, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "BitwiseOr", since: 18, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "BitwiseXor", since: 18, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "BlackmanWindow", since: 17, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("output_datatype", Int(Within(1, 26))),
        optional("periodic", Int(Flag)),
    ] },
    Signature { name: "Cast", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("to", Int(Within(1, 26))),
    ] },
    Signature { name: "Cast", since: 19, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("saturate", Int(Flag)),
        required("to", Int(Within(1, 26))),
    ] },
    Signature { name: "Cast", since: 24, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("round_mode", Text(&["up", "down", "nearest"])),
        optional("saturate", Int(Flag)),
        required("to", Int(Within(1, 26))),
    ] },
    Signature { name: "CastLike", since: 15, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "CastLike", since: 19, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("saturate", Int(Flag)),
    ] },
    Signature { name: "CastLike", since: 24, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("round_mode", Text(&["up", "down", "nearest"])),
        optional("saturate", Int(Flag)),
    ] },
    Signature { name: "CausalConvWithState", since: 27, inputs: 2..=4, outputs: 2..=2, attributes: &[
        optional("activation", AnyText),
    ] },
    Signature { name: "Ceil", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Celu", since: 12, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
    ] },
    Signature { name: "CenterCropPad", since: 18, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
    ] },
    Signature { name: "Clip", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("max", Float),
        optional("min", Float),
    ] },
    Signature { name: "Clip", since: 11, inputs: 1..=3, outputs: 1..=1, attributes: &[] },
    Signature { name: "Col2Im", since: 18, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("dilations", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "Compress", since: 9, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "Concat", since: 4, inputs: 1..=MANY, outputs: 1..=1, attributes: &[
        required("axis", Int(Any)),
    ] },
    Signature { name: "ConcatFromSequence", since: 11, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("axis", Int(Any)),
        optional("new_axis", Int(Flag)),
    ] },
    Signature { name: "Constant", since: 1, inputs: 0..=0, outputs: 1..=1, attributes: &[
        required("value", Tensor),
    ] },
    Signature { name: "Constant", since: 11, inputs: 0..=0, outputs: 1..=1, attributes: &[
        optional("sparse_value", Other),
        optional("value", Tensor),
    ] },
    Signature { name: "Constant", since: 12, inputs: 0..=0, outputs: 1..=1, attributes: &[
        optional("sparse_value", Other),
        optional("value", Tensor),
        optional("value_float", Float),
        optional("value_floats", Floats),
        optional("value_int", Int(Any)),
        optional("value_ints", Ints(Any)),
        optional("value_string", AnyText),
        optional("value_strings", Texts),
    ] },
    Signature { name: "ConstantOfShape", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("value", Tensor),
    ] },
    Signature { name: "Conv", since: 1, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("dilations", Ints(AtLeast(1))),
        optional("group", Int(AtLeast(1))),
        optional("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "ConvInteger", since: 10, inputs: 2..=4, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("dilations", Ints(AtLeast(1))),
        optional("group", Int(AtLeast(1))),
        optional("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "ConvTranspose", since: 1, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("dilations", Ints(AtLeast(1))),
        optional("group", Int(AtLeast(1))),
        optional("kernel_shape", Ints(AtLeast(1))),
        optional("output_padding", Ints(AtLeast(0))),
        optional("output_shape", Ints(Any)),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "Cos", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Cosh", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "CumProd", since: 26, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("exclusive", Int(Flag)),
        optional("reverse", Int(Flag)),
    ] },
    Signature { name: "CumSum", since: 11, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("exclusive", Int(Flag)),
        optional("reverse", Int(Flag)),
    ] },
    Signature { name: "DFT", since: 17, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("inverse", Int(Flag)),
        optional("onesided", Int(Flag)),
    ] },
    Signature { name: "DFT", since: 20, inputs: 1..=3, outputs: 1..=1, attributes: &[
        optional("inverse", Int(Flag)),
        optional("onesided", Int(Flag)),
    ] },
    Signature { name: "DeformConv", since: 19, inputs: 3..=5, outputs: 1..=1, attributes: &[
        optional("dilations", Ints(AtLeast(1))),
        optional("group", Int(AtLeast(1))),
        optional("kernel_shape", Ints(AtLeast(1))),
        optional("offset_group", Int(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "DepthToSpace", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("blocksize", Int(AtLeast(1))),
    ] },
    Signature { name: "DepthToSpace", since: 11, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("blocksize", Int(AtLeast(1))),
        optional("mode", Text(&["DCR", "CRD"])),
    ] },
    Signature { name: "DequantizeLinear", since: 10, inputs: 2..=3, outputs: 1..=1, attributes: &[] },
    Signature { name: "DequantizeLinear", since: 13, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "DequantizeLinear", since: 21, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("block_size", Int(AtLeast(0))),
    ] },
    Signature { name: "DequantizeLinear", since: 23, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("block_size", Int(AtLeast(0))),
        optional("output_dtype", Int(Within(0, 26))),
    ] },
    Signature { name: "Det", since: 11, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Div", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "Dropout", since: 7, inputs: 1..=1, outputs: 1..=2, attributes: &[
        optional("ratio", Float),
    ] },
    Signature { name: "Dropout", since: 12, inputs: 1..=3, outputs: 1..=2, attributes: &[
        optional("seed", Int(Any)),
    ] },
    Signature { name: "DynamicQuantizeLinear", since: 11, inputs: 1..=1, outputs: 3..=3, attributes: &[] },
    Signature { name: "Einsum", since: 12, inputs: 1..=MANY, outputs: 1..=1, attributes: &[
        required("equation", AnyText),
    ] },
    Signature { name: "Elu", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
    ] },
    Signature { name: "Equal", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "Erf", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Exp", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Expand", since: 8, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "EyeLike", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("dtype", Int(Within(1, 26))),
        optional("k", Int(Any)),
    ] },
    Signature { name: "Flatten", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "Floor", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "GRU", since: 7, inputs: 3..=6, outputs: 0..=2, attributes: &[
        optional("activation_alpha", Floats),
        optional("activation_beta", Floats),
        optional("activations", Texts),
        optional("clip", Float),
        optional("direction", Text(&["forward", "reverse", "bidirectional"])),
        optional("hidden_size", Int(AtLeast(1))),
        optional("linear_before_reset", Int(Flag)),
    ] },
    Signature { name: "GRU", since: 14, inputs: 3..=6, outputs: 0..=2, attributes: &[
        optional("activation_alpha", Floats),
        optional("activation_beta", Floats),
        optional("activations", Texts),
        optional("clip", Float),
        optional("direction", Text(&["forward", "reverse", "bidirectional"])),
        optional("hidden_size", Int(AtLeast(1))),
        optional("layout", Int(Flag)),
        optional("linear_before_reset", Int(Flag)),
    ] },
    Signature { name: "Gather", since: 1, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "GatherElements", since: 11, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "GatherND", since: 11, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "GatherND", since: 12, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("batch_dims", Int(AtLeast(0))),
    ] },
    Signature { name: "Gelu", since: 20, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("approximate", Text(&["none", "tanh"])),
    ] },
    Signature { name: "Gemm", since: 7, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
        optional("beta", Float),
        optional("transA", Int(Flag)),
        optional("transB", Int(Flag)),
    ] },
    Signature { name: "Gemm", since: 11, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
        optional("beta", Float),
        optional("transA", Int(Flag)),
        optional("transB", Int(Flag)),
    ] },
    Signature { name: "GlobalAveragePool", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "GlobalLpPool", since: 2, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("p", Int(AtLeast(1))),
    ] },
    Signature { name: "GlobalMaxPool", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Greater", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "GreaterOrEqual", since: 12, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "GridSample", since: 16, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("align_corners", Int(Flag)),
        optional("mode", Text(&["bilinear", "nearest", "bicubic"])),
        optional("padding_mode", Text(&["zeros", "border", "reflection"])),
    ] },
    Signature { name: "GridSample", since: 20, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("align_corners", Int(Flag)),
        optional("mode", Text(&["linear", "nearest", "cubic"])),
        optional("padding_mode", Text(&["zeros", "border", "reflection"])),
    ] },
    Signature { name: "GroupNormalization", since: 21, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("epsilon", Float),
        required("num_groups", Int(AtLeast(1))),
        optional("stash_type", Int(OneOf(&[1, 10, 11, 16]))),
    ] },
    Signature { name: "HammingWindow", since: 17, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("output_datatype", Int(Within(1, 26))),
        optional("periodic", Int(Flag)),
    ] },
    Signature { name: "HannWindow", since: 17, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("output_datatype", Int(Within(1, 26))),
        optional("periodic", Int(Flag)),
    ] },
    Signature { name: "HardSigmoid", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
        optional("beta", Float),
    ] },
    Signature { name: "HardSwish", since: 14, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Hardmax", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "Identity", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "If", since: 1, inputs: 1..=1, outputs: 1..=MANY, attributes: &[
        required("else_branch", Graph),
        required("then_branch", Graph),
    ] },
    Signature { name: "ImageDecoder", since: 20, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("pixel_format", AnyText),
    ] },
    Signature { name: "InstanceNormalization", since: 6, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("epsilon", Float),
    ] },
    Signature { name: "IsInf", since: 10, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("detect_negative", Int(Flag)),
        optional("detect_positive", Int(Flag)),
    ] },
    Signature { name: "IsNaN", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "LRN", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
        optional("beta", Float),
        optional("bias", Float),
        required("size", Int(AtLeast(1))),
    ] },
    Signature { name: "LSTM", since: 7, inputs: 3..=8, outputs: 0..=3, attributes: &[
        optional("activation_alpha", Floats),
        optional("activation_beta", Floats),
        optional("activations", Texts),
        optional("clip", Float),
        optional("direction", Text(&["forward", "reverse", "bidirectional"])),
        optional("hidden_size", Int(AtLeast(1))),
        optional("input_forget", Int(Flag)),
    ] },
    Signature { name: "LSTM", since: 14, inputs: 3..=8, outputs: 0..=3, attributes: &[
        optional("activation_alpha", Floats),
        optional("activation_beta", Floats),
        optional("activations", Texts),
        optional("clip", Float),
        optional("direction", Text(&["forward", "reverse", "bidirectional"])),
        optional("hidden_size", Int(AtLeast(1))),
        optional("input_forget", Int(Flag)),
        optional("layout", Int(Flag)),
    ] },
    Signature { name: "LayerNormalization", since: 17, inputs: 2..=3, outputs: 1..=3, attributes: &[
        optional("axis", Int(Any)),
        optional("epsilon", Float),
        optional("stash_type", Int(OneOf(&[1, 16]))),
    ] },
    Signature { name: "LeakyRelu", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
    ] },
    Signature { name: "Less", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "LessOrEqual", since: 12, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "LinearAttention", since: 27, inputs: 3..=6, outputs: 2..=2, attributes: &[
        optional("chunk_size", Int(AtLeast(1))),
        required("kv_num_heads", Int(AtLeast(1))),
        required("q_num_heads", Int(AtLeast(1))),
        optional("scale", Float),
        optional("update_rule", Text(&["linear", "gated", "delta", "gated_delta"])),
    ] },
    Signature { name: "Log", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "LogSoftmax", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "Loop", since: 1, inputs: 3..=MANY, outputs: 1..=MANY, attributes: &[
        required("body", Graph),
    ] },
    Signature { name: "Loop", since: 11, inputs: 2..=MANY, outputs: 1..=MANY, attributes: &[
        required("body", Graph),
    ] },
    Signature { name: "LpNormalization", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("p", Int(OneOf(&[1, 2]))),
    ] },
    Signature { name: "LpPool", since: 2, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("p", Int(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "LpPool", since: 18, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("ceil_mode", Int(Flag)),
        optional("dilations", Ints(AtLeast(1))),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("p", Int(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "MatMul", since: 1, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "MatMulInteger", since: 10, inputs: 2..=4, outputs: 1..=1, attributes: &[] },
    Signature { name: "Max", since: 6, inputs: 1..=MANY, outputs: 1..=1, attributes: &[] },
    Signature { name: "MaxPool", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "MaxPool", since: 8, inputs: 1..=1, outputs: 1..=2, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("storage_order", Int(Flag)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "MaxPool", since: 10, inputs: 1..=1, outputs: 1..=2, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("ceil_mode", Int(Flag)),
        optional("dilations", Ints(AtLeast(1))),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("storage_order", Int(Flag)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "MaxRoiPool", since: 1, inputs: 2..=2, outputs: 1..=1, attributes: &[
        required("pooled_shape", Ints(Any)),
        optional("spatial_scale", Float),
    ] },
    Signature { name: "MaxUnpool", since: 9, inputs: 2..=3, outputs: 1..=1, attributes: &[
        required("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "Mean", since: 6, inputs: 1..=MANY, outputs: 1..=1, attributes: &[] },
    Signature { name: "MeanVarianceNormalization", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
    ] },
    Signature { name: "MelWeightMatrix", since: 17, inputs: 5..=5, outputs: 1..=1, attributes: &[
        optional("output_datatype", Int(Within(1, 26))),
    ] },
    Signature { name: "Min", since: 6, inputs: 1..=MANY, outputs: 1..=1, attributes: &[] },
    Signature { name: "Mish", since: 18, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Mod", since: 10, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("fmod", Int(Flag)),
    ] },
    Signature { name: "Mul", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "Multinomial", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("dtype", Int(Within(1, 26))),
        optional("sample_size", Int(AtLeast(1))),
        optional("seed", Float),
    ] },
    Signature { name: "Neg", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "NegativeLogLikelihoodLoss", since: 12, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("ignore_index", Int(Any)),
        optional("reduction", Text(&["none", "sum", "mean"])),
    ] },
    Signature { name: "NonMaxSuppression", since: 10, inputs: 2..=5, outputs: 1..=1, attributes: &[
        optional("center_point_box", Int(Flag)),
    ] },
    Signature { name: "NonZero", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Not", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "OneHot", since: 9, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "Optional", since: 15, inputs: 0..=1, outputs: 1..=1, attributes: &[
        optional("type", Other),
    ] },
    Signature { name: "OptionalGetElement", since: 15, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "OptionalHasElement", since: 15, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "OptionalHasElement", since: 18, inputs: 0..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Or", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "PRelu", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "Pad", since: 2, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("mode", Text(&["constant", "reflect", "edge"])),
        required("pads", Ints(Any)),
        optional("value", Float),
    ] },
    Signature { name: "Pad", since: 11, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("mode", Text(&["constant", "reflect", "edge"])),
    ] },
    Signature { name: "Pad", since: 18, inputs: 2..=4, outputs: 1..=1, attributes: &[
        optional("mode", Text(&["constant", "reflect", "edge"])),
    ] },
    Signature { name: "Pad", since: 19, inputs: 2..=4, outputs: 1..=1, attributes: &[
        optional("mode", Text(&["constant", "reflect", "edge", "wrap"])),
    ] },
    Signature { name: "Pow", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "QLinearConv", since: 10, inputs: 8..=9, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("dilations", Ints(AtLeast(1))),
        optional("group", Int(AtLeast(1))),
        optional("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "QLinearMatMul", since: 10, inputs: 8..=8, outputs: 1..=1, attributes: &[] },
    Signature { name: "QuantizeLinear", since: 10, inputs: 2..=3, outputs: 1..=1, attributes: &[] },
    Signature { name: "QuantizeLinear", since: 13, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "QuantizeLinear", since: 19, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("saturate", Int(Flag)),
    ] },
    Signature { name: "QuantizeLinear", since: 21, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("block_size", Int(AtLeast(0))),
        optional("output_dtype", Int(Within(0, 26))),
        optional("saturate", Int(Flag)),
    ] },
    Signature { name: "QuantizeLinear", since: 23, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("block_size", Int(AtLeast(0))),
        optional("output_dtype", Int(Within(0, 26))),
        optional("precision", Int(OneOf(&[0, 1, 10, 11, 16]))),
        optional("saturate", Int(Flag)),
    ] },
    Signature { name: "RMSNormalization", since: 23, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("epsilon", Float),
        optional("stash_type", Int(OneOf(&[1, 10, 11, 16]))),
    ] },
    Signature { name: "RNN", since: 7, inputs: 3..=6, outputs: 0..=2, attributes: &[
        optional("activation_alpha", Floats),
        optional("activation_beta", Floats),
        optional("activations", Texts),
        optional("clip", Float),
        optional("direction", Text(&["forward", "reverse", "bidirectional"])),
        optional("hidden_size", Int(AtLeast(1))),
    ] },
    Signature { name: "RNN", since: 14, inputs: 3..=6, outputs: 0..=2, attributes: &[
        optional("activation_alpha", Floats),
        optional("activation_beta", Floats),
        optional("activations", Texts),
        optional("clip", Float),
        optional("direction", Text(&["forward", "reverse", "bidirectional"])),
        optional("hidden_size", Int(AtLeast(1))),
        optional("layout", Int(Flag)),
    ] },
    Signature { name: "RandomNormal", since: 1, inputs: 0..=0, outputs: 1..=1, attributes: &[
        optional("dtype", Int(Within(1, 26))),
        optional("mean", Float),
        optional("scale", Float),
        optional("seed", Float),
        required("shape", Ints(Any)),
    ] },
    Signature { name: "RandomNormalLike", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("dtype", Int(Within(1, 26))),
        optional("mean", Float),
        optional("scale", Float),
        optional("seed", Float),
    ] },
    Signature { name: "RandomUniform", since: 1, inputs: 0..=0, outputs: 1..=1, attributes: &[
        optional("dtype", Int(Within(1, 26))),
        optional("high", Float),
        optional("low", Float),
        optional("seed", Float),
        required("shape", Ints(Any)),
    ] },
    Signature { name: "RandomUniformLike", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("dtype", Int(Within(1, 26))),
        optional("high", Float),
        optional("low", Float),
        optional("seed", Float),
    ] },
    Signature { name: "Range", since: 11, inputs: 3..=3, outputs: 1..=1, attributes: &[] },
    Signature { name: "Range", since: 27, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("stash_type", Int(OneOf(&[1, 10, 11, 16]))),
    ] },
    Signature { name: "Reciprocal", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "ReduceL1", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceL1", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceL2", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceL2", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceLogSum", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceLogSum", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceLogSumExp", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceLogSumExp", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceMax", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceMax", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceMean", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceMean", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceMin", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceMin", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceProd", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceProd", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceSum", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceSum", since: 13, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "ReduceSumSquare", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "ReduceSumSquare", since: 18, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("keepdims", Int(Flag)),
        optional("noop_with_empty_axes", Int(Flag)),
    ] },
    Signature { name: "RegexFullMatch", since: 20, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("pattern", AnyText),
    ] },
    Signature { name: "Relu", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Reshape", since: 5, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "Reshape", since: 14, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("allowzero", Int(Flag)),
    ] },
    Signature { name: "Resize", since: 10, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("mode", Text(&["nearest", "linear", "cubic"])),
    ] },
    Signature { name: "Resize", since: 11, inputs: 3..=4, outputs: 1..=1, attributes: &[
        optional("coordinate_transformation_mode", Text(&["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn"])),
        optional("cubic_coeff_a", Float),
        optional("exclude_outside", Int(Flag)),
        optional("extrapolation_value", Float),
        optional("mode", Text(&["nearest", "linear", "cubic"])),
        optional("nearest_mode", Text(&["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])),
    ] },
    Signature { name: "Resize", since: 13, inputs: 1..=4, outputs: 1..=1, attributes: &[
        optional("coordinate_transformation_mode", Text(&["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn"])),
        optional("cubic_coeff_a", Float),
        optional("exclude_outside", Int(Flag)),
        optional("extrapolation_value", Float),
        optional("mode", Text(&["nearest", "linear", "cubic"])),
        optional("nearest_mode", Text(&["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])),
    ] },
    Signature { name: "Resize", since: 18, inputs: 1..=4, outputs: 1..=1, attributes: &[
        optional("antialias", Int(Flag)),
        optional("axes", Ints(Any)),
        optional("coordinate_transformation_mode", Text(&["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn"])),
        optional("cubic_coeff_a", Float),
        optional("exclude_outside", Int(Flag)),
        optional("extrapolation_value", Float),
        optional("keep_aspect_ratio_policy", Text(&["stretch", "not_larger", "not_smaller"])),
        optional("mode", Text(&["nearest", "linear", "cubic"])),
        optional("nearest_mode", Text(&["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])),
    ] },
    Signature { name: "Resize", since: 19, inputs: 1..=4, outputs: 1..=1, attributes: &[
        optional("antialias", Int(Flag)),
        optional("axes", Ints(Any)),
        optional("coordinate_transformation_mode", Text(&["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn", "half_pixel_symmetric"])),
        optional("cubic_coeff_a", Float),
        optional("exclude_outside", Int(Flag)),
        optional("extrapolation_value", Float),
        optional("keep_aspect_ratio_policy", Text(&["stretch", "not_larger", "not_smaller"])),
        optional("mode", Text(&["nearest", "linear", "cubic"])),
        optional("nearest_mode", Text(&["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])),
    ] },
    Signature { name: "ReverseSequence", since: 10, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("batch_axis", Int(Any)),
        optional("time_axis", Int(Any)),
    ] },
    Signature { name: "RoiAlign", since: 10, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("mode", Text(&["avg", "max"])),
        optional("output_height", Int(AtLeast(1))),
        optional("output_width", Int(AtLeast(1))),
        optional("sampling_ratio", Int(AtLeast(0))),
        optional("spatial_scale", Float),
    ] },
    Signature { name: "RoiAlign", since: 16, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("coordinate_transformation_mode", Text(&["half_pixel", "output_half_pixel"])),
        optional("mode", Text(&["avg", "max"])),
        optional("output_height", Int(AtLeast(1))),
        optional("output_width", Int(AtLeast(1))),
        optional("sampling_ratio", Int(AtLeast(0))),
        optional("spatial_scale", Float),
    ] },
    Signature { name: "RotaryEmbedding", since: 23, inputs: 3..=4, outputs: 1..=1, attributes: &[
        optional("interleaved", Int(Flag)),
        optional("num_heads", Int(AtLeast(0))),
        optional("rotary_embedding_dim", Int(AtLeast(0))),
    ] },
    Signature { name: "Round", since: 11, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "STFT", since: 17, inputs: 2..=4, outputs: 1..=1, attributes: &[
        optional("onesided", Int(Flag)),
    ] },
    Signature { name: "Scan", since: 8, inputs: 2..=MANY, outputs: 1..=MANY, attributes: &[
        required("body", Graph),
        optional("directions", Ints(Any)),
        required("num_scan_inputs", Int(Any)),
    ] },
    Signature { name: "Scan", since: 9, inputs: 1..=MANY, outputs: 1..=MANY, attributes: &[
        required("body", Graph),
        required("num_scan_inputs", Int(Any)),
        optional("scan_input_axes", Ints(Any)),
        optional("scan_input_directions", Ints(Any)),
        optional("scan_output_axes", Ints(Any)),
        optional("scan_output_directions", Ints(Any)),
    ] },
    Signature { name: "Scatter", since: 9, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "ScatterElements", since: 11, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "ScatterElements", since: 16, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("reduction", Text(&["none", "add", "mul"])),
    ] },
    Signature { name: "ScatterElements", since: 18, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("reduction", Text(&["none", "add", "mul", "max", "min"])),
    ] },
    Signature { name: "ScatterND", since: 11, inputs: 3..=3, outputs: 1..=1, attributes: &[] },
    Signature { name: "ScatterND", since: 16, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("reduction", Text(&["none", "add", "mul"])),
    ] },
    Signature { name: "ScatterND", since: 18, inputs: 3..=3, outputs: 1..=1, attributes: &[
        optional("reduction", Text(&["none", "add", "mul", "max", "min"])),
    ] },
    Signature { name: "Selu", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
        optional("gamma", Float),
    ] },
    Signature { name: "SequenceAt", since: 11, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "SequenceConstruct", since: 11, inputs: 1..=MANY, outputs: 1..=1, attributes: &[] },
    Signature { name: "SequenceEmpty", since: 11, inputs: 0..=0, outputs: 1..=1, attributes: &[
        optional("dtype", Int(Within(1, 26))),
    ] },
    Signature { name: "SequenceErase", since: 11, inputs: 1..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "SequenceInsert", since: 11, inputs: 2..=3, outputs: 1..=1, attributes: &[] },
    Signature { name: "SequenceLength", since: 11, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "SequenceMap", since: 17, inputs: 1..=MANY, outputs: 1..=MANY, attributes: &[
        required("body", Graph),
    ] },
    Signature { name: "Shape", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Shape", since: 15, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("end", Int(Any)),
        optional("start", Int(Any)),
    ] },
    Signature { name: "Shrink", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("bias", Float),
        optional("lambd", Float),
    ] },
    Signature { name: "Sigmoid", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Sign", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Sin", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Sinh", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Size", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Slice", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
        required("ends", Ints(Any)),
        required("starts", Ints(Any)),
    ] },
    Signature { name: "Slice", since: 10, inputs: 3..=5, outputs: 1..=1, attributes: &[] },
    Signature { name: "Softmax", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "SoftmaxCrossEntropyLoss", since: 12, inputs: 2..=3, outputs: 1..=2, attributes: &[
        optional("ignore_index", Int(Any)),
        optional("reduction", Text(&["none", "sum", "mean"])),
    ] },
    Signature { name: "Softplus", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Softsign", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "SpaceToDepth", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("blocksize", Int(AtLeast(1))),
    ] },
    Signature { name: "SpaceToDepth", since: 28, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("blocksize", Int(AtLeast(1))),
        optional("mode", Text(&["DCR", "CRD"])),
    ] },
    Signature { name: "Split", since: 2, inputs: 1..=1, outputs: 1..=MANY, attributes: &[
        optional("axis", Int(Any)),
        optional("split", Ints(Any)),
    ] },
    Signature { name: "Split", since: 13, inputs: 1..=2, outputs: 1..=MANY, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "Split", since: 18, inputs: 1..=2, outputs: 1..=MANY, attributes: &[
        optional("axis", Int(Any)),
        optional("num_outputs", Int(AtLeast(1))),
    ] },
    Signature { name: "SplitToSequence", since: 11, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("keepdims", Int(Flag)),
    ] },
    Signature { name: "Sqrt", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Squeeze", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("axes", Ints(Any)),
    ] },
    Signature { name: "Squeeze", since: 13, inputs: 1..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "StringConcat", since: 20, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "StringNormalizer", since: 10, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("case_change_action", AnyText),
        optional("is_case_sensitive", Int(Any)),
        optional("locale", AnyText),
        optional("stopwords", Texts),
    ] },
    Signature { name: "StringSplit", since: 20, inputs: 1..=1, outputs: 2..=2, attributes: &[
        optional("delimiter", AnyText),
        optional("maxsplit", Int(Any)),
    ] },
    Signature { name: "Sub", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "Sum", since: 6, inputs: 1..=MANY, outputs: 1..=1, attributes: &[] },
    Signature { name: "SwiGLU", since: 28, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
    ] },
    Signature { name: "Swish", since: 24, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
    ] },
    Signature { name: "Tan", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "Tanh", since: 6, inputs: 1..=1, outputs: 1..=1, attributes: &[] },
    Signature { name: "TensorScatter", since: 24, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("mode", AnyText),
    ] },
    Signature { name: "TfIdfVectorizer", since: 9, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("max_gram_length", Int(Any)),
        required("max_skip_count", Int(Any)),
        required("min_gram_length", Int(Any)),
        required("mode", AnyText),
        required("ngram_counts", Ints(Any)),
        required("ngram_indexes", Ints(Any)),
        optional("pool_int64s", Ints(Any)),
        optional("pool_strings", Texts),
        optional("weights", Floats),
    ] },
    Signature { name: "ThresholdedRelu", since: 10, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
    ] },
    Signature { name: "Tile", since: 6, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "TopK", since: 1, inputs: 1..=1, outputs: 2..=2, attributes: &[
        optional("axis", Int(Any)),
        required("k", Int(Any)),
    ] },
    Signature { name: "TopK", since: 10, inputs: 2..=2, outputs: 2..=2, attributes: &[
        optional("axis", Int(Any)),
    ] },
    Signature { name: "TopK", since: 11, inputs: 2..=2, outputs: 2..=2, attributes: &[
        optional("axis", Int(Any)),
        optional("largest", Int(Flag)),
        optional("sorted", Int(Flag)),
    ] },
    Signature { name: "Transpose", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("perm", Ints(Any)),
    ] },
    Signature { name: "Trilu", since: 14, inputs: 1..=2, outputs: 1..=1, attributes: &[
        optional("upper", Int(Flag)),
    ] },
    Signature { name: "Unique", since: 11, inputs: 1..=1, outputs: 1..=4, attributes: &[
        optional("axis", Int(Any)),
        optional("sorted", Int(Flag)),
    ] },
    Signature { name: "Unsqueeze", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        required("axes", Ints(Any)),
    ] },
    Signature { name: "Unsqueeze", since: 13, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "Upsample", since: 7, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("mode", Text(&["nearest", "linear"])),
        required("scales", Floats),
    ] },
    Signature { name: "Upsample", since: 9, inputs: 2..=2, outputs: 1..=1, attributes: &[
        optional("mode", Text(&["nearest", "linear"])),
    ] },
    Signature { name: "Where", since: 9, inputs: 3..=3, outputs: 1..=1, attributes: &[] },
    Signature { name: "Xor", since: 7, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "ai.onnx.ml::ArrayFeatureExtractor", since: 1, inputs: 2..=2, outputs: 1..=1, attributes: &[] },
    Signature { name: "ai.onnx.ml::Binarizer", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("threshold", Float),
    ] },
    Signature { name: "ai.onnx.ml::FeatureVectorizer", since: 1, inputs: 1..=MANY, outputs: 1..=1, attributes: &[
        optional("inputdimensions", Ints(Any)),
    ] },
    Signature { name: "ai.onnx.ml::Imputer", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("imputed_value_floats", Floats),
        optional("imputed_value_int64s", Ints(Any)),
        optional("replaced_value_float", Float),
        optional("replaced_value_int64", Int(Any)),
    ] },
    Signature { name: "ai.onnx.ml::LabelEncoder", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("classes_strings", Texts),
        optional("default_int64", Int(Any)),
        optional("default_string", AnyText),
    ] },
    Signature { name: "ai.onnx.ml::LabelEncoder", since: 2, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("default_float", Float),
        optional("default_int64", Int(Any)),
        optional("default_string", AnyText),
        optional("keys_floats", Floats),
        optional("keys_int64s", Ints(Any)),
        optional("keys_strings", Texts),
        optional("values_floats", Floats),
        optional("values_int64s", Ints(Any)),
        optional("values_strings", Texts),
    ] },
    Signature { name: "ai.onnx.ml::LabelEncoder", since: 4, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("default_float", Float),
        optional("default_int64", Int(Any)),
        optional("default_string", AnyText),
        optional("default_tensor", Tensor),
        optional("keys_floats", Floats),
        optional("keys_int64s", Ints(Any)),
        optional("keys_strings", Texts),
        optional("keys_tensor", Tensor),
        optional("values_floats", Floats),
        optional("values_int64s", Ints(Any)),
        optional("values_strings", Texts),
        optional("values_tensor", Tensor),
    ] },
    Signature { name: "ai.onnx.ml::LinearClassifier", since: 1, inputs: 1..=1, outputs: 2..=2, attributes: &[
        optional("classlabels_ints", Ints(Any)),
        optional("classlabels_strings", Texts),
        required("coefficients", Floats),
        optional("intercepts", Floats),
        optional("multi_class", Int(Flag)),
        optional("post_transform", Text(&["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"])),
    ] },
    Signature { name: "ai.onnx.ml::Normalizer", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("norm", Text(&["MAX", "L1", "L2"])),
    ] },
    Signature { name: "ai.onnx.ml::SVMClassifier", since: 1, inputs: 1..=1, outputs: 2..=2, attributes: &[
        optional("classlabels_ints", Ints(Any)),
        optional("classlabels_strings", Texts),
        optional("coefficients", Floats),
        optional("kernel_params", Floats),
        optional("kernel_type", Text(&["LINEAR", "POLY", "RBF", "SIGMOID"])),
        optional("post_transform", Text(&["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"])),
        optional("prob_a", Floats),
        optional("prob_b", Floats),
        optional("rho", Floats),
        optional("support_vectors", Floats),
        optional("vectors_per_class", Ints(Any)),
    ] },
    Signature { name: "ai.onnx.ml::Scaler", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("offset", Floats),
        optional("scale", Floats),
    ] },
    Signature { name: "ai.onnx.ml::ZipMap", since: 1, inputs: 1..=1, outputs: 1..=1, attributes: &[
        optional("classlabels_int64s", Ints(Any)),
        optional("classlabels_strings", Texts),
    ] },
    Signature { name: "com.microsoft::DequantizeLinear", since: 1, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("block_size", Int(AtLeast(0))),
    ] },
    Signature { name: "com.microsoft::QGemm", since: 1, inputs: 6..=9, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
        optional("transA", Int(Flag)),
        optional("transB", Int(Flag)),
    ] },
    Signature { name: "com.microsoft::QLinearAdd", since: 1, inputs: 7..=8, outputs: 1..=1, attributes: &[] },
    Signature { name: "com.microsoft::QLinearAveragePool", since: 1, inputs: 4..=5, outputs: 1..=1, attributes: &[
        optional("auto_pad", Text(&["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        optional("ceil_mode", Int(Flag)),
        optional("channels_last", Int(Flag)),
        optional("count_include_pad", Int(Flag)),
        required("kernel_shape", Ints(AtLeast(1))),
        optional("pads", Ints(Any)),
        optional("strides", Ints(AtLeast(1))),
    ] },
    Signature { name: "com.microsoft::QLinearConcat", since: 1, inputs: 5..=MANY, outputs: 1..=1, attributes: &[
        required("axis", Int(Any)),
    ] },
    Signature { name: "com.microsoft::QLinearGlobalAveragePool", since: 1, inputs: 4..=5, outputs: 1..=1, attributes: &[
        optional("channels_last", Int(Flag)),
    ] },
    Signature { name: "com.microsoft::QLinearLeakyRelu", since: 1, inputs: 4..=5, outputs: 1..=1, attributes: &[
        optional("alpha", Float),
    ] },
    Signature { name: "com.microsoft::QLinearMul", since: 1, inputs: 7..=8, outputs: 1..=1, attributes: &[] },
    Signature { name: "com.microsoft::QLinearSigmoid", since: 1, inputs: 4..=5, outputs: 1..=1, attributes: &[] },
    Signature { name: "com.microsoft::QLinearSoftmax", since: 1, inputs: 4..=5, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        required("opset", Int(Any)),
    ] },
    Signature { name: "com.microsoft::QLinearWhere", since: 1, inputs: 9..=10, outputs: 1..=1, attributes: &[] },
    Signature { name: "com.microsoft::QuantizeLinear", since: 1, inputs: 2..=3, outputs: 1..=1, attributes: &[
        optional("axis", Int(Any)),
        optional("block_size", Int(AtLeast(0))),
    ] },
];
