"""A small convolutional network with hand-written gradients, and its ONNX form."""

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

CHANNELS = [3, 12, 24, 32]  # Three 3x3 convolutions of stride 2 and padding 1, each followed by a ReLU.


def initial_weights(size, classes, rng):
    """He-normal weights and zero biases by name."""
    weights = {}
    for index, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:])):
        weights[f"conv{index}.weight"] = normal(rng, (outputs, inputs, 3, 3), inputs * 9)
        weights[f"conv{index}.bias"] = np.zeros(outputs, np.float32)
    features = CHANNELS[-1] * (size // 2 ** (len(CHANNELS) - 1)) ** 2
    weights["head.weight"] = normal(rng, (classes, features), features)
    weights["head.bias"] = np.zeros(classes, np.float32)
    return weights


def normal(rng, shape, fan_in):
    return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


def forward(weights, images):
    """Logits [N, K] of normalised images [N, C, H, W], and what `backward` needs."""
    saved = []
    for index in range(len(CHANNELS) - 1):
        patches = to_patches(images)  # [N, H/2, W/2, C·9]
        outputs = len(weights[f"conv{index}.bias"])
        kernel = weights[f"conv{index}.weight"].reshape(outputs, -1)
        images = (patches @ kernel.T + weights[f"conv{index}.bias"]).transpose(0, 3, 1, 2)
        saved.append((patches, images > 0))
        images = np.maximum(images, 0)
    features = images.reshape(len(images), -1)
    logits = features @ weights["head.weight"].T + weights["head.bias"]
    return logits, (saved, features)


def backward(weights, saved, logits_gradient):
    """Gradients of the weights by name, and of the normalised images."""
    layers, features = saved
    gradients = {"head.weight": logits_gradient.T @ features, "head.bias": logits_gradient.sum(axis=0)}
    gradient = logits_gradient @ weights["head.weight"]
    for index in reversed(range(len(layers))):
        patches, positive = layers[index]
        gradient = (gradient.reshape(positive.shape) * positive).transpose(0, 2, 3, 1)  # [N, H/2, W/2, O]
        rows = gradient.reshape(-1, gradient.shape[-1])
        kernel = weights[f"conv{index}.weight"]
        gradients[f"conv{index}.weight"] = (rows.T @ patches.reshape(len(rows), -1)).reshape(kernel.shape)
        gradients[f"conv{index}.bias"] = rows.sum(axis=0)
        gradient = from_patches(gradient @ kernel.reshape(len(kernel), -1), kernel.shape[1])
    return gradients, gradient


def to_patches(images):
    """3x3 windows of stride 2 over images padded by 1: [N, C, H, W] to [N, H/2, W/2, C·9]."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]  # [N, C, H/2, W/2, 3, 3]
    count, channels, height, width = windows.shape[:4]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(count, height, width, channels * 9)


def from_patches(patches, channels):
    """The transpose of `to_patches`: overlapping windows add up."""
    count, height, width, _ = patches.shape
    windows = patches.reshape(count, height, width, channels, 3, 3).transpose(0, 3, 1, 2, 4, 5)
    padded = np.zeros((count, channels, 2 * height + 2, 2 * width + 2), patches.dtype)
    for row in range(3):
        for column in range(3):
            padded[:, :, row : row + 2 * height : 2, column : column + 2 * width : 2] += windows[..., row, column]
    return padded[:, :, 1:-1, 1:-1]


def cross_entropy(logits, labels):
    """Loss of each image, [N], and its gradient at the logits, [N, K]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    gradient = np.exp(log_probabilities)
    gradient[rows, labels] -= 1
    return -log_probabilities[rows, labels], gradient


def to_onnx(weights, size):
    """The network as an ONNX model: normalised `images` [N, C, H, W] to `logits` [N, K]."""
    nodes, value = [], "images"
    for index in range(len(CHANNELS) - 1):
        inputs = [value, f"conv{index}.weight", f"conv{index}.bias"]
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", inputs, [f"conv{index}"], f"/conv{index}", **attributes))
        nodes.append(helper.make_node("Relu", [f"conv{index}"], [f"relu{index}"], f"/relu{index}"))
        value = f"relu{index}"
    nodes.append(helper.make_node("Flatten", [value], ["features"], "/flatten", axis=1))
    nodes.append(helper.make_node("Gemm", ["features", "head.weight", "head.bias"], ["logits"], "/head", transB=1))
    graph = helper.make_graph(
        nodes,
        "shapes",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", CHANNELS[0], size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(weights["head.bias"])])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
