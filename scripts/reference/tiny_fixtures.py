"""Makes tests/fixtures/tiny: members of many families of networks, as small as they can be built, like `export_fixtures.py`.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/networks-requirements.txt
    .venv/bin/python scripts/reference/tiny_fixtures.py [NAME ...]

Exporter and opset differ from network to network, so that together they cover what PyTorch writes; NAME.onnx and NAME.npz hold
what `export_fixtures.py` says.
"""

import functools
import sys

import export_fixtures
import onnx
import torch
from export_fixtures import CLASSES, SIZE, randomised
from torch import nn

export_fixtures.FOLDER /= "tiny"
export_fixtures.IMAGES = 2
LARGEST_FILE = 60_000  # bytes


def main():
    export_fixtures.FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    for seed, (name, (build, exporter, opset)) in enumerate(NETWORKS.items()):
        if wanted and name not in wanted:
            continue
        export = functools.partial(export_onnx, exporter=exporter, opset=opset)
        export_fixtures.write(name, randomised(build(), seed), export, dynamic_batch=True)


def densenet():
    from torchvision.models import DenseNet

    return DenseNet(4, (2, 2), num_init_features=8, bn_size=2, num_classes=CLASSES)


def mobilenet_v3():
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.mobilenetv3 import MobileNetV3

    blocks = decode_arch_def([["ds_r1_k3_s2_e1_c8_se0.25_nre"], ["ir_r1_k5_s1_e2_c8_se0.25"]])
    return MobileNetV3(
        blocks, num_classes=CLASSES, stem_size=8, num_features=16, act_layer=nn.Hardswish,
        se_layer=functools.partial(squeeze_excite(), gate_layer="hard_sigmoid"),
    )


def squeeze_excite():
    from timm.models._efficientnet_blocks import SqueezeExcite

    return SqueezeExcite


def efficientnet():
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    blocks = decode_arch_def([["ds_r1_k3_s1_e1_c8_se0.25"], ["ir_r2_k3_s2_e2_c8_se0.25"]])
    return EfficientNet(
        blocks, num_classes=CLASSES, stem_size=8, num_features=16, act_layer=nn.SiLU,
        se_layer=squeeze_excite(),
    )


def convnext(grn):
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(num_classes=CLASSES, depths=(1, 1, 1, 1), dims=(8, 8, 12, 12), patch_size=2, output_stride=8, use_grn=grn)


class SqueezeNet(nn.Module):
    """Fire modules and poolings that round up."""

    def __init__(self):
        from torchvision.models.squeezenet import Fire

        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, ceil_mode=True), Fire(8, 4, 8, 8),
            nn.MaxPool2d(2, stride=2, ceil_mode=True), Fire(16, 4, 8, 8), nn.Conv2d(16, CLASSES, 1),
            nn.AdaptiveAvgPool2d((1, 1)),
        )

    def forward(self, images):
        return torch.flatten(self.layers(images), 1)


def nfnet():
    from timm.models.nfnet import NfCfg, NormFreeNet

    config = NfCfg(depths=(1, 1), channels=(8, 16), stem_type="3x3", stem_chs=8, group_size=4, bottle_ratio=0.5,
                   attn_layer="eca", attn_kwargs={}, num_features=16, act_layer="silu")
    return NormFreeNet(config, num_classes=CLASSES)


def shufflenet():
    from torchvision.models import ShuffleNetV2

    return ShuffleNetV2([1, 1, 1], [8, 8, 12, 16, 24], num_classes=CLASSES)


class HighResolution(nn.Module):
    """Two resolutions that exchange, as in HRNet, and a third by bilinear interpolation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.low = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.up = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.Upsample(scale_factor=2, mode="nearest"))
        self.smooth = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images):
        high = self.stem(images)
        low = self.low(high)
        fused = torch.relu(high + self.up(low))
        wide = nn.functional.interpolate(self.smooth(low), size=fused.shape[-2:], mode="bilinear", align_corners=False)
        return self.head((fused + wide).mean((2, 3)))


def vit():
    return export_fixtures.timm.models.vision_transformer.VisionTransformer(
        img_size=SIZE, patch_size=4, embed_dim=16, depth=1, num_heads=2, mlp_ratio=2, num_classes=CLASSES
    )


def beit():
    from timm.models.beit import Beit

    return Beit(
        img_size=SIZE, patch_size=4, embed_dim=16, depth=1, num_heads=2, mlp_ratio=2, num_classes=CLASSES,
        use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1,
    )


def swin():
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        img_size=SIZE, patch_size=2, embed_dim=8, depths=(2, 1), num_heads=(2, 2), window_size=4, mlp_ratio=2,
        num_classes=CLASSES,
    )


def convit():
    from timm.models.convit import ConVit

    return ConVit(
        img_size=SIZE, patch_size=4, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2, num_classes=CLASSES,
        local_up_to_layer=1, use_pos_embed=True,
    )


def cait():
    from timm.models.cait import Cait

    return Cait(
        img_size=SIZE, patch_size=4, embed_dim=16, depth=1, num_heads=2, mlp_ratio=2, num_classes=CLASSES, init_values=0.1
    )


def xcit():
    from timm.models.xcit import Xcit

    return Xcit(
        img_size=SIZE, patch_size=8, embed_dim=16, depth=1, num_heads=2, mlp_ratio=2, num_classes=CLASSES,
        cls_attn_layers=1, eta=0.5,
    )


def mixer():
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(img_size=SIZE, patch_size=4, embed_dim=16, num_blocks=1, num_classes=CLASSES)


def poolformer():
    from timm.models.metaformer import GroupNorm1, MetaFormer, Pooling

    return MetaFormer(
        depths=(1, 1), dims=(8, 12), num_classes=CLASSES, token_mixers=Pooling, norm_layers=GroupNorm1, use_mlp_head=False,
        layer_scale_init_values=0.1,
    )


def mobilevit():
    from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg

    bottleneck = {"bottle_in": True, "linear_out": True}
    attention = {"transformer_dim": 12, "transformer_depth": 1, "patch_size": 2, "num_heads": 2}
    blocks = (
        ByoBlockCfg(type="bottle", d=1, c=8, s=2, gs=1, br=2.0, block_kwargs=bottleneck),
        ByoBlockCfg(type="mobilevit", d=1, c=8, s=1, block_kwargs=attention),
    )
    config = ByoModelCfg(blocks, stem_chs=8, stem_type="3x3", stem_pool="", downsample="", act_layer="silu", num_features=16)
    return ByobNet(config, num_classes=CLASSES)


def levit():
    from timm.models.levit import Levit

    stem = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(), nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12)
    )
    return Levit(
        img_size=SIZE, num_classes=CLASSES, embed_dim=(12, 16), key_dim=4, depth=(1, 1), num_heads=(2, 2), stem_backbone=stem,
        stem_stride=4,
    )


def maxvit():
    from timm.models.maxxvit import MaxxVit, MaxxVitCfg, MaxxVitTransformerCfg

    attention = MaxxVitTransformerCfg(dim_head=4, expand_ratio=2.0, window_size=(2, 2))
    config = MaxxVitCfg(embed_dim=(8,), depths=(1,), block_type=("M",), stem_width=8, transformer_cfg=attention)
    return MaxxVit(config, img_size=SIZE, num_classes=CLASSES)


# Name: (network, exporter, opset)
NETWORKS = {
    "densenet": (densenet, "torchscript", 13),
    "mobilenet_v3": (mobilenet_v3, "dynamo", 18),
    "efficientnet": (efficientnet, "torchscript", 11),
    "convnext": (functools.partial(convnext, False), "dynamo", 18),
    "convnext_v2": (functools.partial(convnext, True), "torchscript", 17),
    "squeezenet": (SqueezeNet, "torchscript", 11),
    "nfnet": (nfnet, "torchscript", 17),
    "shufflenet": (shufflenet, "torchscript", 13),
    "high_resolution": (HighResolution, "dynamo", 18),
    "vit_opset20": (vit, "dynamo", 20),
    "vit_opset23": (vit, "dynamo", 23),
    "beit": (beit, "torchscript", 17),
    "swin": (swin, "torchscript", 17),
    "convit": (convit, "dynamo", 20),
    "cait": (cait, "torchscript", 17),
    "xcit": (xcit, "dynamo", 18),
    "mixer": (mixer, "torchscript", 13),
    "poolformer": (poolformer, "dynamo", 23),
    "mobilevit": (mobilevit, "dynamo", 20),
    "levit": (levit, "torchscript", 13),
    "maxvit": (maxvit, "torchscript", 17),
}


def export_onnx(model, example, path, dynamic_batch, exporter, opset):
    assert dynamic_batch
    names = {"input_names": ["images"], "output_names": ["logits"], "opset_version": opset}
    if exporter == "torchscript":
        axes = {"images": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(model, (example,), path, dynamo=False, dynamic_axes=axes, **names)
        if path.stat().st_size > LARGEST_FILE:
            with_short_names(path)
    else:
        batch = torch.export.Dim("batch", min=1, max=4096)
        torch.onnx.export(
            model, (example,), path, dynamo=True, dynamic_shapes=({0: batch},), external_data=False, **names
        )
        without_metadata(path)


def with_short_names(path):
    """Numbers the values, whose names are paths of modules and most of such a file; the nodes stay as PyTorch wrote them."""
    model = onnx.load(path)
    graph = model.graph
    kept = {value.name for value in [*graph.input, *graph.output]} | {""}
    named = [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]
    short = {name: f"v{index}" for index, name in enumerate(named) if name not in kept}
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    for node in graph.node:
        node.name = ""
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
    del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)


def without_metadata(path):
    """Drops where in the Python source each node comes from, half of the file; the nodes stay as PyTorch wrote them."""
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save(model, path)


if __name__ == "__main__":
    main()
