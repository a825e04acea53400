"""Numbers of timm that the builders of `export/src/network` are compared with.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/train-requirements.txt
    .venv/bin/python scripts/reference/network_fixtures.py

Writes to export/src/network/fixtures:
  keys.json         name and shape of every tensor of timm's networks, as `state_dict` lists them
  positions.json    `resample_abs_pos_embed` on small tables
  NAME.safetensors  a small network with random weights as timm saves it, with two images and their logits and tokens
                    (`reference.images`, `reference.logits`, `reference.features`)
"""

import json
import pathlib

import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from timm.models.cait import Cait
from timm.models.convit import ConVit
from timm.models.vision_transformer import VisionTransformer

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "export/src/network/fixtures"

KEYS = [
    "vit_tiny_patch16_224",
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "deit_tiny_patch16_224",
    "deit_small_patch16_224",
    "deit_base_patch16_224",
    "convit_tiny",
    "convit_small",
    "convit_base",
    "cait_xxs24_224",
    "cait_s36_384",
]

SIZES = dict(img_size=32, patch_size=8, num_classes=5, embed_dim=16, depth=3, num_heads=2)


def write_keys() -> None:
    def shapes(name: str) -> dict:
        with torch.device("meta"):
            model = timm.create_model(name)
        return {key: list(tensor.shape) for key, tensor in model.state_dict().items()}

    keys = {name: shapes(name) for name in KEYS}
    # Blocks are alike: the first, the last two and everything else are enough to tell names and shapes.
    (FOLDER / "keys.json").write_text(json.dumps(keys, separators=(",", ":")) + "\n")


def write_positions() -> None:
    cases = []
    for prefix, old, new in [(1, 4, 6), (1, 6, 4), (0, 7, 3), (0, 3, 14), (1, 2, 5)]:
        table = torch.randn(1, prefix + old * old, 2)
        resampled = resample_abs_pos_embed(table, [new, new], [old, old], num_prefix_tokens=prefix)
        cases.append(
            dict(prefix=prefix, old=old, new=new, table=table.flatten().tolist(), resampled=resampled.flatten().tolist())
        )
    (FOLDER / "positions.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


def randomise(model: torch.nn.Module) -> torch.nn.Module:
    """Weights in which a swap of two layers, a lost bias or a lost factor shows."""
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        is_scale = "norm" in name and name.endswith("weight")
        parameter.data = 1 + 0.2 * noise if is_scale else 0.3 * noise
    return model.eval()


def tokens_of(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The tokens before the final normalisation."""
    found = []
    norm = model.norm if isinstance(model.norm, torch.nn.LayerNorm) else model.fc_norm
    if norm is model.norm:
        hook = norm.register_forward_pre_hook(lambda module, inputs: found.append(inputs[0]))
    else:
        hook = model.norm.register_forward_hook(lambda module, inputs, output: found.append(output))
    model(images)
    hook.remove()
    return found[0]


def write_network(name: str, model: torch.nn.Module) -> None:
    model = randomise(model)
    images = torch.rand(2, 3, SIZES["img_size"], SIZES["img_size"])
    with torch.no_grad():
        reference = dict(images=images, logits=model(images), features=tokens_of(model, images))
    tensors = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    tensors |= {f"reference.{key}": tensor.contiguous() for key, tensor in reference.items()}
    save_file(tensors, FOLDER / f"{name}.safetensors", metadata={"format": "pt"})


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    write_keys()
    write_positions()
    write_network("vit", VisionTransformer(**SIZES))
    write_network("vit_mean", VisionTransformer(**SIZES, global_pool="avg"))
    # ConViT multiplies `embed_dim` by the number of heads.
    write_network("convit", ConVit(**SIZES | dict(embed_dim=8), local_up_to_layer=1))
    write_network("cait", Cait(**SIZES))


if __name__ == "__main__":
    main()
