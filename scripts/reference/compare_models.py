"""The models of compare.py, each for both sides: an ONNX file for mimir-certify and a module for PyTorch.

The models of ../shared are converted by onnx2torch, once. The ViT-T with random weights is written by the example
`vit_tiny` of mimir-export and rebuilt here from plain torch functions, with scaled_dot_product_attention, around the
initialisers of the ONNX file: onnx2torch would give attention as MatMul, Softmax, MatMul, which is slower.
"""

import pathlib
import subprocess
import time
import warnings
from dataclasses import dataclass

import numpy as np
import onnx
import onnx2torch
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper, version_converter

# Its Slice warns of an indexing that the pinned torch still takes.
warnings.filterwarnings("ignore", category=UserWarning, module="onnx2torch")

SHARED = pathlib.Path("../shared")
# Images of one call on PyTorch's side, as the reference has them.
BATCH = 250
# Test images whose logits have mean zero in the balanced ViT-T.
BALANCED_ON = 100
MEAN = [0.4914, 0.4822, 0.4465]
STD = {
    "vit_pgd_2_3_16": [0.2023, 0.1994, 0.2010],
    "resnet_2b": [0.2471, 0.2435, 0.2616],
    "vit_tiny": [0.2471, 0.2435, 0.2616],
}


@dataclass
class Case:
    """A model and the images to attack it on. `data` are the words that name the same images to mimir-certify."""

    name: str
    path: pathlib.Path
    std: list
    data: list
    images: torch.Tensor
    labels: torch.Tensor
    network: torch.nn.Module | None = None

    def model(self):
        """The network behind (x - mean) / std."""
        return Normalised(self.network, self.std).eval()


class Normalised(torch.nn.Module):
    """The network behind (x - mean) / std, which counts the images that pass through it.

    The weights take no gradient, as when only images are attacked; the reference leaves this to its user.
    """

    def __init__(self, network, std):
        super().__init__()
        self.network = network.requires_grad_(False)
        # torchattacks reads the device from the first parameter.
        self.offset = torch.nn.Parameter(torch.tensor(MEAN)[:, None, None], requires_grad=False)
        self.std = torch.tensor(std)[:, None, None]
        self.forwards = self.backwards = 0

    def forward(self, images):
        self.forwards += len(images)
        self.backwards += len(images) * (images.requires_grad and torch.is_grad_enabled())
        return self.network((images - self.offset) / self.std)


def predictions(model, images):
    """The classes of all images, in batches."""
    with torch.no_grad():
        return torch.cat([model(batch).argmax(1) for batch in torch.split(images, BATCH)])


def shared_case(name, folder, count, with_torch):
    """A model of ../shared on the first CIFAR-10 test images."""
    pixels, labels = read_cifar10(folder, count)
    path = SHARED / f"models/{name}.onnx"
    data = ["--data", f"cifar10:{folder}", "--split", "test", "--first", count]
    network = to_torch(path) if with_torch else None
    return Case(name, path, STD[name], data, as_floats(pixels), torch.from_numpy(labels), network)


def vit_tiny_case(onnx_file, folder, count, work):
    """The random ViT-T on the first CIFAR-10 test images; their labels are its own predictions."""
    path = work / "vit_tiny.onnx"
    pixels, _ = read_cifar10(folder, count)
    images = as_floats(pixels)
    case = Case("vit_tiny", path, STD["vit_tiny"], ["--data", f"npz:{work / 'images.npz'}"], images, None)
    few, _ = read_cifar10(folder, BALANCED_ON)
    balance(onnx_file or write_vit_tiny(work), path, normalised(as_floats(few), case.std))
    logits = run_onnx(path, normalised(images, case.std))
    case.labels = torch.from_numpy(logits.argmax(1))
    np.savez(work / "images.npz", images=pixels, labels=case.labels.numpy())
    case.network = VisionTransformer(path)
    with torch.no_grad():
        difference = np.abs(case.model()(images).numpy() - logits).max()
    assert difference < 1e-3, f"vit_tiny: PyTorch and ONNX Runtime differ by {difference} in a logit"
    return case


def read_cifar10(folder, count):
    """The first test images, u8 [count, 3, 32, 32], and their labels."""
    records = np.fromfile(pathlib.Path(folder) / "test_batch.bin", np.uint8).reshape(-1, 3073)[:count]
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), records[:, 0].astype(np.int64)


def as_floats(pixels):
    return torch.from_numpy(pixels).float() / 255


def normalised(images, std):
    return ((images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(std)[:, None, None]).numpy()


def run_onnx(model, images, outputs=None):
    """The named outputs of a model, a file or in memory; without names its logits."""
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    values = session.run(outputs, {session.get_inputs()[0].name: images})
    return values if outputs else values[0]


def operations(path):
    """Multiplications and additions of one image in the Conv, Gemm and MatMul nodes of a file: two for each product."""
    model = onnx.load(path)
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    names = list(dict.fromkeys(name for node in nodes for name in (node.input[0], node.output[0])))
    fed = [value.name for value in model.graph.input if value.name not in weights]
    known = [name for name in names if name not in fed]
    shapes = dict(zip(known, shapes_of(model, known))) | {name: (1, 3, 32, 32) for name in fed}
    return sum(2 * int(np.prod(shapes[node.output[0]])) * depth(node, shapes, weights) for node in nodes)


def depth(node, shapes, weights):
    """Products that are summed for one element of the output."""
    if node.op_type == "Conv":
        return int(np.prod(weights[node.input[1]][1:]))
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return shapes[node.input[0]][-2 if transposed else -1]


def peak_operations_a_second():
    """What all cores reach in a matrix product of 1024 × 1024, the best of 50."""
    a = torch.rand(1024, 1024)
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        torch.mm(a, a)
        seconds.append(time.perf_counter() - start)
    return 2 * 1024**3 / min(seconds)


def to_torch(path):
    """onnx2torch knows opset 13 better than 9, and must be told the rank of what BatchNormalization takes."""
    model = version_converter.convert_version(onnx.load(path), 13)
    values = [node.input[0] for node in model.graph.node if node.op_type == "BatchNormalization"]
    if values:
        shapes = zip(values, shapes_of(model, values))
        infos = [helper.make_tensor_value_info(value, TensorProto.FLOAT, [None, *shape[1:]]) for value, shape in shapes]
        del model.graph.value_info[:]
        model.graph.value_info.extend(infos)
    return onnx2torch.convert(model)


def shapes_of(model, values):
    """Shapes of inner values for one image, by running the model."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_tensor_value_info(value, TensorProto.FLOAT, None) for value in values)
    return [output.shape for output in run_onnx(probe, np.zeros((1, 3, 32, 32), np.float32), values)]


def write_vit_tiny(work):
    path = work / "vit_tiny_raw.onnx"
    command = "cargo run --quiet --release --locked -p mimir-export --example vit_tiny --"
    subprocess.run([*command.split(), str(path)], check=True)
    return path


def balance(source, path, images):
    """Takes their mean over these images from the logits: with random weights one class would win on every image."""
    model = onnx.load(source)
    mean = run_onnx(model, images).mean(0)
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["raw" if name == output else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(mean, "mean_logits"))
    model.graph.node.append(helper.make_node("Sub", ["raw", "mean_logits"], [output], name="balance"))
    onnx.checker.check_model(model)
    onnx.save(model, path)


class VisionTransformer(torch.nn.Module):
    """The network of export/src/vit.rs. Axes: N images, T tokens, D width."""

    HEADS, EPSILON = 3, 1e-6

    def __init__(self, path):
        super().__init__()
        weights = iter(weights_in_order(onnx.load(path).graph))
        self.kernel, self.kernel_bias, self.token, self.positions, *rest = weights
        *blocks, self.norm, self.norm_bias, self.head, self.head_bias, self.mean = rest
        if self.head.shape[1] != len(self.norm):  # the last product may take its weight either way round
            self.head = self.head.T.contiguous()
        assert len(blocks) % 12 == 0, "a block has twelve weights"
        self.blocks = [blocks[start : start + 12] for start in range(0, len(blocks), 12)]
        for block in self.blocks:
            block[2::6] = [weight.T.contiguous() for weight in block[2::6]]
            block[4::6] = [weight.T.contiguous() for weight in block[4::6]]

    def forward(self, images):
        patches = F.conv2d(images, self.kernel, self.kernel_bias, stride=self.kernel.shape[-1])
        patches = patches.flatten(2).transpose(1, 2)  # [N, T - 1, D]
        x = torch.cat([self.token.expand(len(images), -1, -1), patches], 1) + self.positions
        for block in self.blocks:
            x = x + self.attention(x, *block[:6])
            x = x + self.mlp(x, *block[6:])
        return F.linear(self.normed(x[:, 0], self.norm, self.norm_bias), self.head, self.head_bias) - self.mean

    def attention(self, x, norm, norm_bias, qkv, qkv_bias, projection, projection_bias):
        images, tokens, width = x.shape
        parts = F.linear(self.normed(x, norm, norm_bias), qkv, qkv_bias)
        q, k, v = parts.view(images, tokens, 3, self.HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(images, tokens, width)
        return F.linear(mixed, projection, projection_bias)

    def mlp(self, x, norm, norm_bias, first, first_bias, second, second_bias):
        hidden = F.gelu(F.linear(self.normed(x, norm, norm_bias), first, first_bias))
        return F.linear(hidden, second, second_bias)

    def normed(self, x, scale, bias):
        return F.layer_norm(x, scale.shape, scale, bias, self.EPSILON)


def weights_in_order(graph):
    """The float weights of a graph in the order of the nodes that take them, each once; scalars are no weights."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    names = dict.fromkeys(name for node in graph.node for name in node.input if name in tensors)
    arrays = [numpy_helper.to_array(tensors[name]) for name in names]
    return [torch.from_numpy(array.copy()) for array in arrays if array.dtype == np.float32 and array.size > 1]
