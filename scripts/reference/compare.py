"""APGD-CE in PyTorch and in mimir-certify on the same images and machine. Called by scripts/compare.

The PyTorch side is the APGD of torchattacks (a port of the reference, which no package index carries), on models that
onnx2torch converts. Its seconds are those of the attack alone, after a warm-up; ours are `attacks[0].seconds` of
report.json. Both sides use every core. The third party are the verdicts of the reference AutoAttack in
../shared/fixtures, made elsewhere.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnx2torch
import onnxruntime
import torch
import torchattacks
from onnx import TensorProto, helper, version_converter

SHARED = pathlib.Path("../shared")
CERTIFY = pathlib.Path("target/release/mimir-certify")
IMAGES, RUNS = 500, 3
MEAN = [0.4914, 0.4822, 0.4465]
STD = {"vit_pgd_2_3_16": [0.2023, 0.1994, 0.2010], "resnet_2b": [0.2471, 0.2435, 0.2616]}


def main():
    folder = sys.argv[1]
    torch.set_num_threads(os.cpu_count())
    images, labels = read_cifar10(folder)
    print(f"CIFAR-10 test images 0..{IMAGES - 1}, Linf 2/255, APGD-CE, 100 steps; {os.cpu_count()} cores; median of {RUNS}")
    print(f"torch {torch.__version__}, torchattacks {torchattacks.__version__}\n")
    print("| model | PyTorch s | ours s | ratio | clean | PyTorch attacked | ours attacked | agree | ours = fixtures |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, std in STD.items():
        theirs = [attack_with_torch(name, std, images, labels) for _ in range(RUNS)]
        ours = [attack_with_mimir(name, std, folder) for _ in range(RUNS)]
        print(row(name, theirs, ours))


def row(name, theirs, ours):
    their_seconds, our_seconds = (statistics.median(run["seconds"] for run in runs) for runs in (theirs, ours))
    (their_clean, their_robust), (clean, robust) = ((run["clean"], run["robust"]) for run in (theirs[0], ours[0]))
    fixture = json.loads((SHARED / f"fixtures/autoattack-{name}-linf-2of255-first500.json").read_text())
    flags = np.array(fixture["attacks"]["apgd-ce"]["flags"], bool)
    assert (their_clean == clean).all(), f"{name}: the two sides differ on unattacked images"
    cells = [
        name,
        f"{their_seconds:.2f}",
        f"{our_seconds:.2f}",
        f"{their_seconds / our_seconds:.1f}",
        f"{clean.mean():.1%}",
        f"{their_robust.mean():.1%}",
        f"{robust.mean():.1%}",
        f"{(their_robust == robust).sum()}/{IMAGES}",
        f"{(flags == robust).sum()}/{IMAGES}",
    ]
    return "| " + " | ".join(cells) + " |"


def read_cifar10(folder):
    records = np.fromfile(pathlib.Path(folder) / "test_batch.bin", np.uint8).reshape(-1, 3073)[:IMAGES]
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()).float() / 255
    return images, torch.from_numpy(records[:, 0].astype(np.int64))


def attack_with_torch(name, std, images, labels):
    model = Normalised(to_torch(SHARED / f"models/{name}.onnx"), std).eval()
    attack = torchattacks.APGD(model, norm="Linf", eps=2 / 255, steps=100, loss="ce", seed=0)
    torchattacks.APGD(model, norm="Linf", eps=2 / 255, steps=2, loss="ce", seed=0)(images[:64], labels[:64])
    start = time.perf_counter()
    adversarial = attack(images, labels)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        clean, robust = ((model(batch).argmax(1) == labels).numpy() for batch in (images, adversarial))
    return {"seconds": seconds, "clean": clean, "robust": robust & clean}


class Normalised(torch.nn.Module):
    """The model behind (x - mean) / std; weights take no gradient, as when only images are attacked."""

    def __init__(self, model, std):
        super().__init__()
        self.model = model.requires_grad_(False)
        self.mean = torch.nn.Parameter(torch.tensor(MEAN)[:, None, None], requires_grad=False)
        self.std = torch.tensor(std)[:, None, None]

    def forward(self, images):
        return self.model((images - self.mean) / self.std)


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
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.zeros((1, 3, 32, 32), np.float32)
    return [output.shape for output in session.run(values, {session.get_inputs()[0].name: image})]


def attack_with_mimir(name, std, folder):
    with tempfile.TemporaryDirectory() as report:
        command = [
            CERTIFY, SHARED / f"models/{name}.onnx", "--data", f"cifar10:{folder}", "--split", "test",
            "--first", IMAGES, "--mean", comma(MEAN), "--std", comma(std), "--norm", "linf", "--epsilon", "2/255",
            "--attacks", "apgd-ce", "--report", report, "--quiet",
        ]
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
        document = json.loads((pathlib.Path(report) / "report.json").read_text())
    outcomes = document["outcomes"]
    clean = np.array([outcome["clean_prediction"] == outcome["label"] for outcome in outcomes])
    robust = np.array([outcome["verdict"]["outcome"] == "still_robust" for outcome in outcomes])
    return {"seconds": document["attacks"][0]["seconds"], "clean": clean, "robust": robust}


def comma(values):
    return ",".join(map(str, values))


if __name__ == "__main__":
    main()
