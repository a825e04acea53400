"""Makes tests/fixtures: small random classifiers as PyTorch exports them, with their input gradients in float64.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/requirements.txt
    .venv/bin/python scripts/reference/export_fixtures.py

For each NAME it writes NAME.onnx and NAME.npz: `images` f32 [N, 3, 16, 16] in [0, 1], `labels` int64 [N], `mean` and
`std` f32 [3], and what PyTorch computes in float64 from the same float32 weights: `logits` [N, K], `loss` [N] (the
cross-entropy of each image), `gradient` [N, 3, 16, 16] (of each image's loss by its pixels).
"""

import pathlib

import numpy as np
import onnx
import timm
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures"
SIZE, CLASSES, IMAGES = 16, 10, 4
# Exact in binary, so that float32 and float64 normalise alike.
MEAN, STD = [0.5, 0.4375, 0.375], [0.25, 0.25, 0.3125]


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    vit = randomised(vision_transformer(), seed=1)
    write("vit_torchscript", vit, export_torchscript, dynamic_batch=True)
    write("vit_dynamo", vit, export_dynamo, dynamic_batch=True)
    write("resnet_batch1", randomised(ResNet(), seed=2), export_torchscript, dynamic_batch=False)
    write("conv_nhwc", randomised(ConvNhwc(), seed=3), export_torchscript, dynamic_batch=True)


def vision_transformer():
    """A ViT as timm builds it: 17 tokens of width 32, two blocks of two heads."""
    return timm.models.vision_transformer.VisionTransformer(
        img_size=SIZE, patch_size=4, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2, num_classes=CLASSES
    )


class ResNet(nn.Module):
    """Two blocks as torchvision builds them, the second with stride 2 and a projection. Batch fixed at 1."""

    def __init__(self):
        super().__init__()
        projection = nn.Sequential(nn.Conv2d(8, 12, 1, stride=2, bias=False), nn.BatchNorm2d(12))
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.blocks = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 12, stride=2, downsample=projection))
        self.norm = nn.BatchNorm2d(12)  # Behind an addition, so that no exporter can fold it into a convolution.
        self.head = nn.Linear(12, CLASSES)

    def forward(self, images):
        return self.head(torch.relu(self.norm(self.blocks(self.stem(images)))).mean(dim=(2, 3)))


class ConvNhwc(nn.Module):
    """Takes [N, H, W, C], as models that come from TensorFlow do. Smooth, so that gradients compare closely."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.GELU(), nn.Conv2d(8, 8, 3, stride=2))
        self.head = nn.Linear(8 * 3 * 3, CLASSES)

    def forward(self, images):
        features = self.features(images.permute(0, 3, 1, 2))
        return self.head(nn.functional.gelu(features).flatten(1))


def randomised(model, seed):
    """Every parameter and statistic drawn anew, so that none is neutral (a bias of 0, a scale of 1)."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, mean, std):
        tensor.copy_(mean + std * torch.randn(tensor.shape, generator=generator))

    with torch.no_grad():
        for module in model.modules():
            scale = 1.0 if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)) else 0.0
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.ndim > 1:
                    normal(parameter, 0.0, 1.4 / parameter[0].numel() ** 0.5)
                else:
                    normal(parameter, scale if name == "weight" else 0.0, 0.2)
            if isinstance(module, nn.BatchNorm2d):
                normal(module.running_mean, 0.0, 0.2)
                module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
    return model.eval()


def write(name, model, export, dynamic_batch):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((IMAGES, 3, SIZE, SIZE), generator=generator)
    labels = torch.randint(CLASSES, (IMAGES,), generator=generator)
    export(model, to_layout(model, images)[:2 if dynamic_batch else 1], FOLDER / f"{name}.onnx", dynamic_batch)
    reference = float64_reference(model, images, labels)
    arrays = {"images": images.numpy(), "labels": labels.numpy(), "mean": np.float32(MEAN), "std": np.float32(STD)}
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays, **reference)
    print(name, (FOLDER / f"{name}.onnx").stat().st_size, "bytes")


def to_layout(model, images):
    return images.permute(0, 2, 3, 1) if isinstance(model, ConvNhwc) else images


def float64_reference(model, images, labels):
    model = model.double()
    pixels = images.double().requires_grad_()
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (MEAN, STD))
    logits = model(to_layout(model, (pixels - mean) / std))
    loss = nn.functional.cross_entropy(logits, labels, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), pixels)
    model.float()
    return {"logits": logits.detach().numpy(), "loss": loss.detach().numpy(), "gradient": gradient.numpy()}


def export_torchscript(model, example, path, dynamic_batch):
    axes = {"images": {0: "batch"}, "logits": {0: "batch"}} if dynamic_batch else None
    torch.onnx.export(
        model, (example,), path, dynamo=False, opset_version=17, input_names=["images"], output_names=["logits"],
        dynamic_axes=axes,
    )


def export_dynamo(model, example, path, dynamic_batch):
    shapes = ({0: torch.export.Dim("batch", min=1, max=4096)},) if dynamic_batch else None
    torch.onnx.export(
        model, (example,), path, dynamo=True, opset_version=18, input_names=["images"], output_names=["logits"],
        dynamic_shapes=shapes, external_data=False,
    )
    without_stack_traces(path)


def without_stack_traces(path):
    """Drops the paths of this machine, half of the file; everything else stays as PyTorch wrote it."""
    model = onnx.load(path)
    for node in model.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key != "pkg.torch.onnx.stack_trace"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.save(model, path)


if __name__ == "__main__":
    main()
