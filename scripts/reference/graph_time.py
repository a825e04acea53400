"""Both sides of scripts/compare-graphs, taking turns: our graphs in ONNX Runtime, and PyTorch eager on the same network.

Networks of timm and torchvision with random weights, exported with a dynamic batch by PyTorch's two exporters. PyTorch's
gradient is `torch.autograd.grad` of the summed cross-entropy to the images, parameters frozen, scaled-dot-product attention,
channels_last for convolutional networks. Ours runs as the attacks run it: WORKERS sessions of THREADS threads side by side;
seconds are for one batch. Prints a Markdown table of medians.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import timm
import torch
import torchvision

# name: (network, image size, images in a batch, channels_last, exporter and opset)
NETWORKS = {
    "ViT-T/4 at 32": (lambda: timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=4, num_classes=10), 32, 32, False, 20),
    "ViT-S/16 at 224": (lambda: timm.create_model("vit_small_patch16_224"), 224, 8, False, 20),
    "Swin-T at 224": (lambda: timm.create_model("swin_tiny_patch4_window7_224"), 224, 8, False, 17),
    "MLP-Mixer-S/16 at 224": (lambda: timm.create_model("mixer_s16_224"), 224, 8, False, 17),
    "ResNet-50 at 224": (lambda: torchvision.models.resnet50(weights=None), 224, 8, True, 17),
    "ConvNeXt-T at 224": (lambda: timm.create_model("convnext_tiny"), 224, 8, True, 17),
    "MobileNetV2 at 224": (lambda: torchvision.models.mobilenet_v2(weights=None), 224, 8, True, 17),
    "DenseNet-121 at 224": (lambda: torchvision.models.densenet121(weights=None), 224, 8, True, 17),
}
GRAPHS = ["original", "forward", "gradient"]


def network(name):
    make, size, batch, channels_last, opset = NETWORKS[name]
    torch.manual_seed(0)
    model = make().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.8, 1.2)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model, size, batch, channels_last, opset


def export(model, size, opset, path):
    images = torch.rand(2, 3, size, size)
    names = {"input_names": ["x"], "output_names": ["y"], "opset_version": opset}
    if opset > 17:
        shapes = ({0: torch.export.Dim("N")},)
        torch.onnx.export(model, (images,), path, dynamic_shapes=shapes, dynamo=True, external_data=False, **names)
    else:
        torch.onnx.export(model, (images,), path, dynamic_axes={"x": {0: "N"}, "y": {0: "N"}}, dynamo=False, **names)


class Ours:
    def __init__(self, arguments, path, size, batch):
        numbers = [str(batch), str(arguments.workers), str(arguments.threads)]
        command = [arguments.binary, str(path), f"3,{size},{size}", *numbers, "--precision", arguments.precision]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.built = json.loads(self.process.stdout.readline())

    def seconds(self, graph):
        self.process.stdin.write(graph + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def theirs(model, size, batch, channels_last):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    images, labels = torch.rand(batch, 3, size, size).to(memory_format=layout), torch.zeros(batch, dtype=torch.long)

    def gradient():
        start = time.perf_counter()
        x = images.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(model(x), labels, reduction="sum")
        torch.autograd.grad(loss, x)
        return time.perf_counter() - start

    return gradient


def compare(name, arguments):
    model, size, batch, channels_last, opset = network(name)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.onnx"
        export(model, size, opset, path)
        ours = Ours(arguments, path, size, batch)
    pytorch = theirs(model, size, batch, channels_last)
    times = {graph: [] for graph in GRAPHS + ["pytorch"]}
    for turn in range(arguments.repeats + 1):
        for graph in GRAPHS:
            times[graph].append(ours.seconds(graph))
        times["pytorch"].append(pytorch())
    ours.close()
    # The first turn warms up.
    median = {graph: statistics.median(seconds[1:]) for graph, seconds in times.items()}
    ms = [f"{1000 * median[graph]:.0f}" for graph in ["original", "gradient", "pytorch"]]
    ratio, faster = median["gradient"] / median["original"], median["pytorch"] / median["gradient"]
    built = f"{ours.built['build_seconds']:.2f} | {ours.built['peak_over_file']:.2f}"
    print(f"| {name} | {batch} | {' | '.join(ms)} | {ratio:.2f} | {faster:.2f} | {built} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/examples/graph_time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["float32", "mixed"], default="float32", help="of our graphs")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown networks {unknown}; wanted some of {list(NETWORKS)}")
    torch.set_num_threads(arguments.workers * arguments.threads)
    head = ["network", "batch", "ms, the file forward", "ms, ours forward and gradient", "ms, PyTorch's", "over forward",
            "times as fast", "s to build", "memory over file"]
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for name in arguments.networks:
        compare(name, arguments)


if __name__ == "__main__":
    main()
