"""Makes train/tests/fixtures/model.json: what timm and the formulae of MAE give for small networks, in float64.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/requirements.txt
    .venv/bin/python scripts/reference/model_fixtures.py

Weights and images are not stored. Every tensor is filled by `values`, a hash of its name and the position of the scalar
that the tests compute too, in float32. `classifiers`: names and shapes as timm has them, and logits. `autoencoders`:
names and shapes as MAE has them, and for the mask that the tensor `noise` gives: latent, prediction, target, loss.
"""

import json
import pathlib
import zlib

import numpy as np
import torch
from timm.models.cait import Cait, LayerScaleBlock
from timm.models.convit import ConVit
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn
from torch.nn import functional

FILE = pathlib.Path(__file__).resolve().parents[2] / "train" / "tests" / "fixtures" / "model.json"
IMAGES, CLASSES, WIDTH, HEADS = 2, 5, 32, 4
DECODER_WIDTH, DECODER_HEADS, DECODER_DEPTH = 16, 4, 2
MASK_RATIO = 0.75


def main():
    torch.set_grad_enabled(False)
    classifiers = {
        "vit_mean": vit(),
        "vit_class_token": vit(global_pool="token"),
        "vit_conv_stem": conv_stem(),
        "convit": convit(),
        "cait": cait(),
    }
    fixtures = {
        "classifiers": {name: classifier(*model) for name, model in classifiers.items()},
        "autoencoders": {name: autoencoder(name) for name in ("vit", "convit", "cait")},
        "positions": rounded(positions(3, 5, 16)),
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(fixtures, separators=(",", ":")).replace("},", "},\n") + "\n")


def vit(**options):
    return VisionTransformer(
        img_size=16, patch_size=4, embed_dim=WIDTH, depth=2, num_heads=HEADS, num_classes=CLASSES,
        **{"global_pool": "avg", **options},
    ), 16


class Stem(nn.Module):
    """Four times convolution, normalisation over channels, GELU, then a convolution 1x1."""

    def __init__(self):
        super().__init__()
        layers, channels = [], [3, 48, 96, 192, 384]
        for before, after in zip(channels, channels[1:]):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), ChannelNorm(after, eps=1e-6), nn.GELU()]
        self.stem = nn.Sequential(*layers, nn.Conv2d(384, WIDTH, 1))

    def forward(self, images):
        return self.stem(images)


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def conv_stem():
    model = VisionTransformer(
        img_size=32, patch_size=16, embed_dim=WIDTH, depth=2, num_heads=HEADS, num_classes=CLASSES, global_pool="avg"
    )
    model.patch_embed.proj = Stem()
    return model, 32


def convit():
    return ConVit(
        img_size=16, patch_size=4, embed_dim=WIDTH // HEADS, depth=4, num_heads=HEADS, local_up_to_layer=2,
        num_classes=CLASSES,
    ), 16


def cait():
    return Cait(img_size=16, patch_size=4, embed_dim=WIDTH, depth=2, num_heads=HEADS, num_classes=CLASSES), 16


def classifier(model, image_size):
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: values(name, shape) for name, shape in shapes.items()})
    logits = model.double().eval()(images(image_size))
    if model.global_pool == "token":
        check_transcription(model, images(image_size), logits)
    return {"shapes": shapes, "logits": rounded(logits)}


def check_transcription(model, pixels, logits):
    """The formulae below, with every patch visible, are what timm computes."""
    family = {VisionTransformer: "vit", ConVit: "convit", Cait: "cait"}[type(model)]
    weights = model.state_dict()
    for image, wanted in zip(pixels, logits):
        found = linear(weights, "head.", encode(family, weights, image, range(16), patch=4, side=4)[0])
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def images(size):
    """In [0, 1]."""
    return (values("images", (IMAGES, 3, size, size)).double() + 0.5).clamp(0, 1)


def values(name, shape):
    """Uniform by a hash, float32: variance 1 / fan-in around 0 for matrices, tables and kernels, within 0.2 around 1 for
    the weights of norms, within 0.2 around 0 for other vectors, within 0.5 for images and noise."""
    shape = tuple(shape)
    numbers = np.arange(np.prod(shape), dtype=np.uint32) + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        numbers = (numbers ^ (numbers >> np.uint32(shift))) * np.uint32(factor)
    uniform = (numbers ^ (numbers >> np.uint32(16))).astype(np.float64) / 2.0**32 - 0.5
    if name in ("images", "noise"):
        scaled = uniform
    elif len(shape) > 1:
        scaled = uniform * np.sqrt(12.0 / np.prod(shape[1:]))
    else:
        is_norm = ("norm" in name or ".stem." in name) and name.endswith("weight")
        scaled = uniform * 0.4 + (1.0 if is_norm else 0.0)
    return torch.from_numpy(scaled.astype(np.float32).reshape(shape))


# The masked autoencoder, written out for one image at a time from section 2.2 of the facts, 16 x 16 pixels in patches of 4.


def autoencoder(family):
    image_size, patch, side = 16, 4, 4
    patches, keep = side * side, int(side * side * (1 - MASK_RATIO))
    shapes = autoencoder_shapes(family, patches, patch)
    weights = {name: values(name, shape).double() for name, shape in shapes.items()}
    if family == "vit":
        weights["pos_embed"] = with_zero_row(positions(side, side, WIDTH))
        weights["decoder_pos_embed"] = with_zero_row(positions(side, side, DECODER_WIDTH))
    else:
        weights["decoder_pos_embed"] = positions(side, side, DECODER_WIDTH)[None]
    noise = values("noise", (IMAGES, patches)).double().numpy()
    results = {"latent": [], "prediction": [], "target": [], "hidden": []}
    for image, row in zip(images(image_size), noise):
        order = np.argsort(row)  # The patches with the smallest noise stay visible, in this order.
        visible = order[:keep]
        latent = encode(family, weights, image, visible, patch, side)
        prediction = decode(family, weights, latent, visible, side)
        results["latent"].append(latent)
        results["prediction"].append(prediction)
        results["target"].append(normalised_patches(image, patch, side))
        results["hidden"].append(torch.tensor([0.0 if i in set(visible) else 1.0 for i in range(patches)]))
    results = {name: torch.stack(rows) for name, rows in results.items()}
    error = ((results["prediction"] - results["target"]) ** 2).mean(-1)
    loss = error[results["hidden"] == 1].mean()
    return {"shapes": shapes, "loss": float(loss), **{name: rounded(rows) for name, rows in results.items()}}


def autoencoder_shapes(family, patches, patch):
    """In MAE's names: those of the encoder are timm's without a head."""
    model, _ = {"vit": vit, "convit": convit, "cait": cait}[family]()
    encoder = {name: list(t.shape) for name, t in model.state_dict().items() if not name.startswith(("head", "fc_norm"))}
    if family == "vit":
        encoder |= {"norm.weight": [WIDTH], "norm.bias": [WIDTH]}
    decoder = {
        "mask_token": [1, 1, DECODER_WIDTH],
        "decoder_pos_embed": [1, patches + (1 if family == "vit" else 0), DECODER_WIDTH],
        "decoder_embed.weight": [DECODER_WIDTH, WIDTH],
        "decoder_embed.bias": [DECODER_WIDTH],
        "decoder_norm.weight": [DECODER_WIDTH],
        "decoder_norm.bias": [DECODER_WIDTH],
        "decoder_pred.weight": [patch * patch * 3, DECODER_WIDTH],
        "decoder_pred.bias": [patch * patch * 3],
    }
    for i in range(DECODER_DEPTH):
        block = decoder_block(family)
        decoder |= {f"decoder_blocks.{i}.{name}": list(t.shape) for name, t in block.state_dict().items()}
    return encoder | decoder


def decoder_block(family):
    if family == "convit":
        return ConVit(
            img_size=16, patch_size=4, embed_dim=DECODER_WIDTH // DECODER_HEADS, depth=1, num_heads=DECODER_HEADS,
            local_up_to_layer=1, num_classes=0,
        ).blocks[0]
    block = LayerScaleBlock if family == "cait" else Block
    norm = lambda width, **options: nn.LayerNorm(width, eps=1e-6, **options)
    return block(DECODER_WIDTH, DECODER_HEADS, qkv_bias=True, norm_layer=norm)


def encode(family, weights, image, visible, patch, side):
    """The latent of one image, [1 + L_keep, D]."""
    kernel, bias = weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"]
    tokens = []
    for index in visible:
        row, column = divmod(int(index), side)
        pixels = image[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        position = weights["pos_embed"][0, index + (1 if family == "vit" else 0)]
        tokens.append((kernel * pixels).sum((1, 2, 3)) + bias + position)
    x, class_token = torch.stack(tokens), weights["cls_token"][0]
    if family == "vit":
        x = torch.cat([class_token + weights["pos_embed"][0, :1], x])
        for i in range(2):
            x = plain_block(weights, f"blocks.{i}.", x, HEADS)
    elif family == "convit":
        for i in range(2):
            x = positional_block(weights, f"blocks.{i}.", x, HEADS, [divmod(int(index), side) for index in visible])
        x = torch.cat([class_token, x])
        for i in range(2, 4):
            x = plain_block(weights, f"blocks.{i}.", x, HEADS)
    else:
        for i in range(2):
            x = talking_block(weights, f"blocks.{i}.", x, HEADS)
        for i in range(2):
            class_token = class_block(weights, f"blocks_token_only.{i}.", class_token, x, HEADS)
        x = torch.cat([class_token, x])
    return norm(weights, "norm.", x)


def decode(family, weights, latent, visible, side):
    """The prediction for one image, [L, patch * patch * 3]."""
    x = linear(weights, "decoder_embed.", latent)
    patches = weights["mask_token"][0].repeat(side * side, 1)
    for token, index in zip(x[1:], visible):
        patches[index] = token
    position = weights["decoder_pos_embed"][0]
    if family == "vit":
        x = torch.cat([x[:1], patches]) + position
        step = lambda prefix, x: plain_block(weights, prefix, x, DECODER_HEADS)
    elif family == "convit":
        x = patches + position
        places = [divmod(index, side) for index in range(side * side)]
        step = lambda prefix, x: positional_block(weights, prefix, x, DECODER_HEADS, places)
    else:
        x = torch.cat([x[:1], patches + position])
        step = lambda prefix, x: talking_block(weights, prefix, x, DECODER_HEADS)
    for i in range(DECODER_DEPTH):
        x = step(f"decoder_blocks.{i}.", x)
    x = linear(weights, "decoder_pred.", norm(weights, "decoder_norm.", x))
    return x if family == "convit" else x[1:]


def linear(weights, prefix, x):
    y = x @ weights[prefix + "weight"].T
    return y + weights[prefix + "bias"] if prefix + "bias" in weights else y


def norm(weights, prefix, x):
    centred = x - x.mean(-1, keepdim=True)
    deviation = torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-6)
    return centred / deviation * weights[prefix + "weight"] + weights[prefix + "bias"]


def mlp(weights, prefix, x):
    return linear(weights, prefix + "fc2.", functional.gelu(linear(weights, prefix + "fc1.", x)))


def scores(q, k, heads):
    """q.k / sqrt(head_dim) for each head, [heads, T, T]."""
    split = lambda x: x.reshape(len(x), heads, -1).movedim(1, 0)
    return split(q) @ split(k).transpose(1, 2) / (q.shape[1] // heads) ** 0.5


def gather(attention, v):
    """Attention [heads, T, T] over values [T, D]."""
    heads = len(attention)
    values = v.reshape(len(v), heads, -1).movedim(1, 0)
    return (attention @ values).movedim(0, 1).reshape(attention.shape[1], -1)


def block(weights, prefix, x, attention):
    gamma = lambda i: weights.get(f"{prefix}gamma_{i}", 1.0)
    x = x + gamma(1) * linear(weights, prefix + "attn.proj.", attention(norm(weights, prefix + "norm1.", x)))
    return x + gamma(2) * mlp(weights, prefix + "mlp.", norm(weights, prefix + "norm2.", x))


def plain_block(weights, prefix, x, heads):
    def attention(x):
        q, k, v = linear(weights, prefix + "attn.qkv.", x).chunk(3, dim=-1)
        return gather(scores(q, k, heads).softmax(-1), v)

    return block(weights, prefix, x, attention)


def positional_block(weights, prefix, x, heads, places):
    offsets = torch.tensor(
        [
            [(column - x0, row - y0, (column - x0) ** 2 + (row - y0) ** 2) for row, column in places]
            for y0, x0 in places
        ],
        dtype=torch.float64,
    )

    def attention(x):
        q, k = linear(weights, prefix + "attn.qk.", x).chunk(2, dim=-1)
        by_content = scores(q, k, heads).softmax(-1)
        by_position = linear(weights, prefix + "attn.pos_proj.", offsets).movedim(-1, 0).softmax(-1)
        gate = torch.sigmoid(weights[prefix + "attn.gating_param"])[:, None, None]
        mixed = (1 - gate) * by_content + gate * by_position
        return gather(mixed / mixed.sum(-1, keepdim=True), linear(weights, prefix + "attn.v.", x))

    return block(weights, prefix, x, attention)


def talking_block(weights, prefix, x, heads):
    def across_heads(name, attention):
        matrix, bias = weights[f"{prefix}attn.{name}.weight"], weights[f"{prefix}attn.{name}.bias"]
        return torch.einsum("gh,hij->gij", matrix, attention) + bias[:, None, None]

    def attention(x):
        q, k, v = linear(weights, prefix + "attn.qkv.", x).chunk(3, dim=-1)
        talked = across_heads("proj_l", scores(q, k, heads)).softmax(-1)
        return gather(across_heads("proj_w", talked), v)

    return block(weights, prefix, x, attention)


def class_block(weights, prefix, class_token, patches, heads):
    def attention(tokens):
        q, k, v = (linear(weights, f"{prefix}attn.{name}.", tokens) for name in "qkv")
        return gather(scores(q[:1], k, heads).softmax(-1), v)

    both = norm(weights, prefix + "norm1.", torch.cat([class_token, patches]))
    read = linear(weights, prefix + "attn.proj.", attention(both))
    class_token = class_token + weights[prefix + "gamma_1"] * read
    hidden = mlp(weights, prefix + "mlp.", norm(weights, prefix + "norm2.", class_token))
    return class_token + weights[prefix + "gamma_2"] * hidden


def normalised_patches(image, patch, side):
    """Row, column, channel inside a patch; divided by the deviation with n - 1."""
    rows = []
    for index in range(side * side):
        row, column = divmod(index, side)
        pixels = image[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        flat = pixels.movedim(0, -1).reshape(-1)
        variance = ((flat - flat.mean()) ** 2).sum() / (len(flat) - 1)
        rows.append((flat - flat.mean()) / torch.sqrt(variance + 1e-6))
    return torch.stack(rows)


def positions(rows, columns, width):
    """Sines and cosines of the column, then of the row, [rows * columns, width]."""
    frequencies = [10000 ** (-i / (width / 4)) for i in range(width // 4)]
    table = []
    for row in range(rows):
        for column in range(columns):
            angles = [[place * f for f in frequencies] for place in (column, row)]
            table.append(np.concatenate([np.concatenate([np.sin(a), np.cos(a)]) for a in angles]))
    return torch.from_numpy(np.array(table))


def with_zero_row(table):
    return torch.cat([torch.zeros(1, table.shape[1], dtype=table.dtype), table])[None]


def rounded(tensor):
    return [float(f"{number:.9g}") for number in tensor.flatten().tolist()]


main()
