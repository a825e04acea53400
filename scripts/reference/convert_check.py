"""Tries `mimir-train convert` on checkpoints made here: of timm, and as MAE, MIMIR and wrappers write them.

    .venv/bin/python scripts/reference/convert_check.py

The program is target/release/mimir-train, built before.
"""

import argparse
import pathlib
import subprocess
import tempfile

import timm
import torch
from safetensors import safe_open

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "target" / "release" / "mimir-train"


def main():
    with tempfile.TemporaryDirectory() as folder:
        check(pathlib.Path(folder))
    print("all as wanted")


def check(folder):
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=4, num_classes=10).state_dict()
    convit = timm.create_model("convit_tiny", img_size=32, patch_size=4, num_classes=10).state_dict()
    cait = timm.create_model("cait_xxs24_224", img_size=32, patch_size=4, num_classes=10).state_dict()
    mae = {key: value for key, value in vit.items() if not key.startswith("head")}
    mae |= {"mask_token": torch.zeros(1, 1, 128), "decoder_blocks.0.attn.qkv.weight": torch.zeros(384, 128)}
    whole = {"model": mae, "optimizer": {"state": {}}, "epoch": 3, "scaler": {}, "args": argparse.Namespace(lr=0.1)}
    wrapped = {"module.base_model." + key: value.half() for key, value in vit.items()}
    normalised = {"model." + key: value for key, value in vit.items()} | {"normalize.mean": torch.ones(3)}
    biased = convit | {"blocks.0.attn.v.bias": torch.ones(192)}
    cases = [
        ("timm vit", vit, [], 0, set(vit)),
        ("timm convit", {"state_dict": convit}, [], 0, set(convit)),
        ("timm cait", cait, [], 0, set(cait)),
        ("mae", whole, [], 0, set(mae)),
        ("wrapped, half", {"state_dict": wrapped}, [], 0, set(vit)),
        ("ema chosen", {"model": {"x": torch.ones(1)}, "model_ema": vit}, ["--take", "model_ema"], 0, set(vit)),
        ("unknown key", vit | {"dist_token": torch.ones(1)}, [], 1, None),
        ("unknown key allowed", vit | {"dist_token": torch.ones(1)}, ["--allow"], 0, set(vit)),
        ("normalisation", normalised, [], 1, None),
        ("convit with zero biases", convit | {"blocks.0.attn.v.bias": torch.zeros(192)}, [], 0, set(convit)),
        ("convit with biases", biased, [], 1, None),
        ("two of one name", vit | {"module.cls_token": vit["cls_token"]}, [], 2, None),
        ("not finite", vit | {"cls_token": torch.full((1, 1, 192), float("nan"))}, [], 1, None),
        ("no weights", {"epoch": 3}, [], 2, None),
        ("a list", [1, 2], [], 2, None),
    ]
    for name, content, options, wanted, keys in cases:
        source, target = folder / "in.pth", folder / "out.safetensors"
        target.unlink(missing_ok=True)
        torch.save(content, source)
        run = subprocess.run([PROGRAM, "convert", source, target, *options], capture_output=True, text=True)
        assert run.returncode == wanted, f"{name}: {run.returncode}\n{run.stdout[-800:]}{run.stderr}"
        assert target.exists() == (keys is not None), name
        if keys is not None:
            compare(target, keys, content)
        print(f"{name}: exit {wanted} {run.stderr.strip()[:110]}")
    (folder / "in.pth").write_bytes(b"not a pickle")
    run = subprocess.run([PROGRAM, "convert", source, target], capture_output=True, text=True)
    assert run.returncode == 2, run.stderr


def compare(target, keys, content):
    with safe_open(target, "pt") as file:
        assert set(file.keys()) == keys and file.metadata() == {"format": "pt"}
        assert all(file.get_tensor(key).dtype == torch.float32 for key in keys)
        flat = content.get("model_ema") or content.get("model") or content.get("state_dict") or content
        for key in list(keys)[:20]:
            source = flat.get(key, flat.get("module.base_model." + key))
            assert torch.equal(file.get_tensor(key), source.float()), key


main()
