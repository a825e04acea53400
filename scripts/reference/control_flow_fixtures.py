"""Makes tests/fixtures/control_flow.onnx and .npz: a scripted PyTorch model with If and Loop that are constant.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/requirements.txt
    .venv/bin/python scripts/reference/control_flow_fixtures.py

The arrays are those of export_fixtures.py. Scripting keeps control flow that tracing would write out: a loop of four
steps over the same weights, as many as a quarter of the rows, a branch on the image size, and one in the loop.
"""

import numpy as np
import torch
from torch import nn

from export_fixtures import CLASSES, FOLDER, IMAGES, MEAN, SIZE, STD, float64_reference, randomised


class Recurrent(nn.Module):
    """Four steps of one convolution, as a recurrent network has them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.step = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images):
        state = torch.tanh(self.stem(images))
        start = state
        for index in range(images.shape[2] // 4):
            state = torch.tanh(self.step(state)) + start
            if index == 1:
                state = state * 0.5
        if images.shape[2] > 8:
            state = torch.sigmoid(state)
        return self.head(state.mean(dim=[2, 3]))


def main():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((IMAGES, 3, SIZE, SIZE), generator=generator)
    labels = torch.randint(CLASSES, (IMAGES,), generator=generator)
    model = randomised(Recurrent(), seed=5)
    path = FOLDER / "control_flow.onnx"
    torch.onnx.export(
        torch.jit.script(model), (images[:2],), path, dynamo=False, opset_version=16, input_names=["images"],
        output_names=["logits"], dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
    )
    arrays = {"images": images.numpy(), "labels": labels.numpy(), "mean": np.float32(MEAN), "std": np.float32(STD)}
    np.savez_compressed(path.with_suffix(".npz"), **arrays, **float64_reference(model, images, labels))
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
