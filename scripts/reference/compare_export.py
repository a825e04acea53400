"""Our export of timm's ViT-T against PyTorch's own (dynamo) with the same weights: logits and forward time.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/requirements.txt
    cargo build --release -p mimir-export-cli
    .venv/bin/python scripts/reference/compare_export.py target/release/mimir-export [BATCH ...]

Exits with 1 where logits differ by more than 1e-4, or our forward pass takes more than 1.02 times as long.
The sessions take turns, round by round, and the median of the rounds' ratios counts: other work on the machine then
hits both.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime
import timm
import torch
from safetensors.torch import save_file

NAME = "vit_tiny_patch16_224"
ROUNDS = 40
MOST_DIFFERENCE = 1e-4
MOST_TIME = 1.02


def randomised(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    for key, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data = 0.1 * torch.randn_like(parameter) + ("norm" in key and key.endswith("weight"))
        else:
            parameter.data *= 1.5
    return model


def export_both(folder: pathlib.Path, command: str) -> tuple[pathlib.Path, pathlib.Path]:
    model = randomised(NAME)
    weights = folder / "weights.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, weights)
    theirs = folder / "dynamo.onnx"
    images = torch.rand(2, 3, 224, 224)
    batch = {"x": {0: torch.export.Dim("batch")}}
    torch.onnx.export(model, (images,), theirs, dynamo=True, dynamic_shapes=batch, opset_version=20, verbose=False)
    ours = folder / "bundle"
    sizes = ["--architecture", NAME, "--image-size", "224", "--classes", "1000"]
    subprocess.run([command, weights, *sizes, "-o", ours], check=True)
    return theirs, ours / "model.onnx" if ours.is_dir() else ours


def session(path: pathlib.Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, images: numpy.ndarray) -> numpy.ndarray:
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def seconds(session: onnxruntime.InferenceSession, images: numpy.ndarray) -> float:
    start = time.process_time()
    run(session, images)
    return time.process_time() - start


def main() -> int:
    command, batches = sys.argv[1], [int(text) for text in sys.argv[2:]] or [1, 8]
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = map(session, export_both(pathlib.Path(folder), command))
        failed = False
        for batch in batches:
            images = numpy.random.default_rng(batch).random((batch, 3, 224, 224), numpy.float32)
            difference = numpy.abs(run(theirs, images) - run(ours, images)).max()
            rounds = [(seconds(ours, images), seconds(theirs, images)) for _ in range(ROUNDS)]
            ratio = numpy.median([a / b for a, b in rounds])
            a, b = (1000 * numpy.median(times) for times in zip(*rounds))
            print(f"batch {batch}: logits differ by {difference:.1e}; {a:.1f} ms, dynamo {b:.1f} ms, ratio {ratio:.3f}")
            failed |= not (difference <= MOST_DIFFERENCE and ratio <= MOST_TIME)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
