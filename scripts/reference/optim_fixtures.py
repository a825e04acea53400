"""Makes train/tests/fixtures/optim.json: traces of torch.optim.AdamW and clip_grad_norm_ in float64.

    python3 -m venv .venv && .venv/bin/pip install torch==2.11.0 numpy
    .venv/bin/python scripts/reference/optim_fixtures.py

Starts and gradients are float32 numbers, written exactly. Gradients are given, not computed from the values, so that a
difference of one step stays what it is. Each parameter is a group of its own: the factor on the learning rate, which
timm calls lr_scale, and the weight decay. `adamw`: values and moments after each step. `clip`: norm and gradients.
"""

import json
import pathlib

import numpy as np
import torch

FILE = pathlib.Path(__file__).resolve().parents[2] / "train" / "tests" / "fixtures" / "optim.json"
PARAMETERS = [
    {"name": "blocks.0.mlp.fc1.weight", "shape": [3, 4], "scale": 0.65**2, "weight_decay": 0.05},
    {"name": "blocks.0.mlp.fc1.bias", "shape": [3], "scale": 0.65**2, "weight_decay": 0.0},
    {"name": "head.weight", "shape": [2, 3], "scale": 1.0, "weight_decay": 0.05},
    {"name": "cls_token", "shape": [1, 1, 4], "scale": 0.65**3, "weight_decay": 0.0},
]


def main():
    random = np.random.default_rng(5)
    fixtures = {
        "adamw": [
            adamw(random, (0.9, 0.95), 1e-8, [0.0, 0.01, 0.02, 0.02, 0.015, 0.001]),
            adamw(random, (0.9, 0.999), 1e-8, [0.003] * 5),
            adamw(random, (0.5, 0.25), 1e-3, [0.1, 0.05]),
        ],
        "clip": [clip(random, maximum, size) for maximum, size in [(1.0, 1.0), (1.0, 0.01), (0.02, 3.0)]],
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(fixtures, separators=(",", ":")).replace('},{"', '},\n{"') + "\n")


def adamw(random, betas, epsilon, rates):
    starts = [single(random.normal(0, 0.5, p["shape"])) for p in PARAMETERS]
    values = [torch.nn.Parameter(torch.tensor(start, dtype=torch.float64)) for start in starts]
    groups = [
        {"params": [value], "weight_decay": p["weight_decay"], "scale": p["scale"]}
        for value, p in zip(values, PARAMETERS)
    ]
    optimizer = torch.optim.AdamW(groups, betas=betas, eps=epsilon)
    steps = []
    for rate in rates:
        # Gradients of a network span orders of magnitude.
        gradients = [single(random.normal(0, 1, p["shape"]) * 10.0 ** random.uniform(-6, 0)) for p in PARAMETERS]
        for value, gradient in zip(values, gradients):
            value.grad = torch.tensor(gradient, dtype=torch.float64)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        optimizer.step()
        moments = lambda name: [optimizer.state[value][name].flatten().tolist() for value in values]
        steps.append(
            {
                "learning_rate": rate,
                "gradients": [flat(gradient) for gradient in gradients],
                "values": [value.detach().flatten().tolist() for value in values],
                "exp_avg": moments("exp_avg"),
                "exp_avg_sq": moments("exp_avg_sq"),
            }
        )
    return {
        "beta1": betas[0],
        "beta2": betas[1],
        "epsilon": epsilon,
        "parameters": [dict(p, start=flat(start)) for p, start in zip(PARAMETERS, starts)],
        "steps": steps,
    }


def clip(random, maximum, size):
    gradients = [single(random.normal(0, size, shape)) for shape in ([3, 4], [5])]
    values = [torch.nn.Parameter(torch.zeros(gradient.shape, dtype=torch.float64)) for gradient in gradients]
    for value, gradient in zip(values, gradients):
        value.grad = torch.tensor(gradient, dtype=torch.float64)
    norm = torch.nn.utils.clip_grad_norm_(values, maximum)
    return {
        "max_norm": maximum,
        "gradients": [flat(gradient) for gradient in gradients],
        "norm": norm.item(),
        "clipped": [value.grad.flatten().tolist() for value in values],
    }


def single(values):
    return values.astype(np.float32).astype(np.float64)


def flat(values):
    return values.flatten().tolist()


if __name__ == "__main__":
    main()
