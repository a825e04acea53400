"""Exports whole networks with random weights, and records their input gradients in float64.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/networks-requirements.txt
    .venv/bin/python scripts/reference/networks.py /tmp/networks                      # all, what is there already is kept
    .venv/bin/python scripts/reference/networks.py /tmp/networks --exports torchscript-17 dynamo-18 --models resnet18

For each network it makes a folder with
- `state.pt`, the weights: drawn once, shared by all exports;
- `reference.npz`: `images` f32 [N, 3, S, S] in [0, 1], `labels` int64 [N], and of PyTorch in float64 from the same float32
  weights: `logits` [N, K], `loss` [N] (cross-entropy), `gradient` [N, 3, S, S] (of each image's loss by its pixels);
  `gradient32`, the same of PyTorch in float32; `smooth` int64 [1]: 1 where no Relu, MaxPool or other kink stands in it;
- `EXPORTER-OPSET.onnx`, or `EXPORTER-OPSET.error` with what the exporter said.

Each network is a process of its own with a time limit, so that a crash costs one file. `mimir-export`'s example
`network_gradients` reads the folders.
"""

import argparse
import pathlib
import subprocess
import sys

LIMIT_S = 900
IMAGES = 16
EXPORTS = [
    "torchscript-17", "dynamo-18", "dynamo-20", "dynamo-23", "torchscript-13", "torchscript-11",
]

# Name: (library, model, pixels on a side, further arguments). The smallest standard member of each family, at the
# smallest size that it takes.
NETWORKS = {
    "resnet18": ("torchvision", "resnet18", 64, {}),
    "resnet50": ("torchvision", "resnet50", 64, {}),
    "vgg11_bn": ("torchvision", "vgg11_bn", 224, {}),
    "densenet121": ("torchvision", "densenet121", 64, {}),
    "mobilenet_v2": ("torchvision", "mobilenet_v2", 64, {}),
    "mobilenet_v3_small": ("torchvision", "mobilenet_v3_small", 64, {}),
    "efficientnet_b0": ("torchvision", "efficientnet_b0", 64, {}),
    "convnext_tiny": ("torchvision", "convnext_tiny", 64, {}),
    "convnextv2_atto": ("timm", "convnextv2_atto", 64, {}),
    "regnet_y_400mf": ("torchvision", "regnet_y_400mf", 64, {}),
    "squeezenet1_1": ("torchvision", "squeezenet1_1", 64, {}),
    "googlenet": ("torchvision", "googlenet", 64, {"aux_logits": False, "init_weights": False}),
    "inception_v3": ("torchvision", "inception_v3", 96, {"aux_logits": False, "init_weights": False}),
    "eca_nfnet_l0": ("timm", "eca_nfnet_l0", 64, {}),
    "nf_regnet_b0": ("timm", "nf_regnet_b0", 64, {}),
    "shufflenet_v2_x0_5": ("torchvision", "shufflenet_v2_x0_5", 64, {}),
    "hrnet_w18_small": ("timm", "hrnet_w18_small", 64, {}),
    "vit_tiny": ("timm", "vit_tiny_patch16_224", 64, {"img_size": 64}),
    "vit_b_32": ("torchvision", "vit_b_32", 64, {"image_size": 64}),
    "deit_tiny": ("timm", "deit_tiny_distilled_patch16_224", 64, {"img_size": 64}),
    "deit3_small": ("timm", "deit3_small_patch16_224", 64, {"img_size": 64}),
    "beit_base": ("timm", "beit_base_patch16_224", 64, {"img_size": 64}),
    "eva02_tiny": ("timm", "eva02_tiny_patch14_224", 56, {"img_size": 56}),
    "swin_t": ("torchvision", "swin_t", 64, {}),
    "swin_tiny": ("timm", "swin_tiny_patch4_window7_224", 224, {}),
    "swinv2_tiny": ("timm", "swinv2_tiny_window8_256", 256, {}),
    "convit_tiny": ("timm", "convit_tiny", 224, {}),
    "cait_xxs24": ("timm", "cait_xxs24_224", 64, {"img_size": 64}),
    "xcit_nano": ("timm", "xcit_nano_12_p16_224", 64, {"img_size": 64}),
    "mixer_s32": ("timm", "mixer_s32_224", 64, {"img_size": 64}),
    "resmlp_12": ("timm", "resmlp_12_224", 64, {"img_size": 64}),
    "maxvit_t": ("torchvision", "maxvit_t", 224, {"input_size": (224, 224)}),
    "maxvit_rmlp_pico": ("timm", "maxvit_rmlp_pico_rw_256", 256, {}),
    "poolformer_s12": ("timm", "poolformer_s12", 64, {}),
    "efficientformer_l1": ("timm", "efficientformer_l1", 224, {}),
    "efficientformerv2_s0": ("timm", "efficientformerv2_s0", 224, {}),
    "mobilevit_xxs": ("timm", "mobilevit_xxs", 64, {}),
    "mobilevitv2_050": ("timm", "mobilevitv2_050", 64, {}),
    "levit_128s": ("timm", "levit_128s", 224, {}),
    "vit_tiny_r_s16": ("timm", "vit_tiny_r_s16_p8_224", 64, {"img_size": 64}),
    "visformer_tiny": ("timm", "visformer_tiny", 64, {"img_size": 64}),
    "coat_tiny": ("timm", "coat_tiny", 64, {"img_size": 64}),
    "pit_ti": ("timm", "pit_ti_224", 64, {"img_size": 64}),
    "seresnext26d": ("timm", "seresnext26d_32x4d", 64, {}),
}

# Modules whose derivative jumps: a last bit can turn a gradient over there.
KINKED = (
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "Hardswish", "Hardsigmoid", "Hardtanh", "HardSwish", "HardSigmoid", "MaxPool2d",
    "AdaptiveMaxPool2d", "HardSwishMe", "HardSigmoidMe", "HardSwishJit",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--models", nargs="*", default=list(NETWORKS))
    parser.add_argument("--exports", nargs="*", default=EXPORTS)
    parser.add_argument("--here", action="store_true", help="in this process, without a time limit")
    arguments = parser.parse_args()
    exports = [export for export in EXPORTS if export in arguments.exports]
    if arguments.here:
        return make(arguments.folder, arguments.models[0], exports)
    # The two that matter most for all networks first.
    for part in [exports[:2], exports[2:]]:
        for name in arguments.models:
            guarded(arguments.folder, name, part)


def guarded(folder, name, exports):
    """Exports of one network in a process of their own; of those that it did not survive, each in one of its own."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    wanted = missing(folder / name, exports)
    if not wanted:
        return
    error = run(folder, name, wanted)
    for export in missing(folder / name, wanted):
        if len(wanted) > 1:
            error = run(folder, name, [export])
        if missing(folder / name, [export]):
            (folder / name / f"{export}.error").write_text(error + "\n")
            print(name, export, error, flush=True)


def missing(folder, exports):
    there = {path.name for path in folder.iterdir()}
    return [export for export in exports if not {f"{export}.onnx", f"{export}.error"} & there]


def run(folder, name, exports):
    """Runs this script for some exports. How the process ended."""
    command = [sys.executable, __file__, str(folder), "--here", "--models", name, "--exports", *exports]
    try:
        done = subprocess.run(command, stderr=subprocess.DEVNULL, timeout=LIMIT_S)
        return f"exit status {done.returncode}"
    except subprocess.TimeoutExpired:
        return f"takes more than {LIMIT_S} s"


def make(folder, name, exports):
    import torch

    torch.set_num_threads(1)
    folder = folder / name
    model = load(folder / "state.pt", name)
    reference = folder / "reference.npz"
    images, labels = draw(NETWORKS[name][2])
    if not reference.exists():
        write_reference(reference, model, images, labels)
    for export in exports:
        exporter, opset = export.split("-")
        partial = folder / f"{export}.partial"
        try:
            write_onnx(model, images[:2], partial, exporter, int(opset))
            partial.rename(folder / f"{export}.onnx")
            print(name, export, "ok", flush=True)
        except Exception as error:
            reason = cause(error)
            (folder / f"{export}.error").write_text(reason + "\n")
            print(name, export, reason, flush=True)


def cause(error):
    """The first line of the error at the root of a chain: exporters wrap theirs in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def load(state, name):
    import torch

    model = build(name)
    if state.exists():
        model.load_state_dict(torch.load(state))
    else:
        randomise(model, NETWORKS[name][2])
        torch.save(model.state_dict(), state)
    return model.eval()


def build(name):
    library, member, _, arguments = NETWORKS[name]
    if library == "timm":
        import timm

        return timm.create_model(member, exportable=True, **arguments)
    import torchvision

    return torchvision.models.get_model(member, weights=None, **arguments)


def randomise(model, size, seed=1):
    """Draws what the library sets to a constant (biases, scales, gains), then makes the statistics of every batch
    normalisation those of random images, so that nothing vanishes or saturates on the way."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            first = parameter.flatten()[0].item()
            if parameter.numel() > 1 and not torch.all(parameter == first):
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if abs(first - 1) < 1e-9:
                parameter.copy_(1 + 0.2 * noise)
            elif name.endswith("bias") or parameter.ndim > 1:
                parameter.copy_(first + 0.1 * noise)
            else:
                # Layer scale and gains start near nothing, which would hide what they scale.
                parameter.copy_(0.5 + 0.1 * noise)
        model.eval()
        norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
            norm.momentum = None
        if norms:
            model(torch.rand((16, 3, size, size), generator=generator))
        model.eval()
        for norm in norms:
            # Of 16 images at one pixel a channel can be nearly constant.
            norm.running_var.clamp_(min=1e-2 * float(norm.running_var.mean()))


def draw(size):
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.rand((IMAGES, 3, size, size), generator=generator)
    return images, torch.randint(10, (IMAGES,), generator=generator)


def write_reference(path, model, images, labels):
    import numpy as np

    single = gradient(model, images, labels)
    double = gradient(model.double(), images.double(), labels)
    model.float()
    smooth = not any(type(module).__name__ in KINKED for module in model.modules())
    np.savez_compressed(
        path, images=images.numpy(), labels=labels.numpy(), logits=double[0], loss=double[1], gradient=double[2],
        gradient32=single[2], smooth=np.array([int(smooth)], dtype=np.int64),
    )


def gradient(model, images, labels):
    import torch

    parts = []
    for some, of_them in zip(images.split(4), labels.split(4)):
        pixels = some.clone().requires_grad_()
        logits = model(pixels)
        loss = torch.nn.functional.cross_entropy(logits, of_them, reduction="none")
        (by_pixel,) = torch.autograd.grad(loss.sum(), pixels)
        parts.append((logits.detach(), loss.detach(), by_pixel))
    return [torch.cat(part).numpy() for part in zip(*parts)]


def write_onnx(model, images, path, exporter, opset):
    import torch

    names = {"input_names": ["images"], "output_names": ["logits"], "opset_version": opset}
    if exporter == "torchscript":
        axes = {"images": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(model, (images,), path, dynamo=False, dynamic_axes=axes, **names)
    else:
        batch = torch.export.Dim("batch", min=1, max=4096)
        torch.onnx.export(
            model, (images,), path, dynamo=True, dynamic_shapes=({0: batch},), external_data=False, **names
        )


if __name__ == "__main__":
    main()
