"""The PyTorch side of scripts/compare-train: seconds of one training step of MAE, MIMIR and PGD on the same networks.

On the CPU, timm's blocks (scaled-dot-product attention), fused AdamW, the same batch, threads and precision as our side (bfloat16 by
autocast). Eager, or with --compile what torch.compile makes of encoder, decoder and classifier. Prints one JSON object per line:
{"network", "step", "seconds"}, the times of all repeats.
"""

import argparse
import functools
import json
import time

import torch
from timm.models.vision_transformer import Block, VisionTransformer

NETWORKS = {"quick": (96, 4, 3, (64, 1, 4)), "vit_tiny": (192, 12, 3, (128, 2, 16))}
EPSILON, STEP_SIZE, MASK_RATIO, PATCH, SIZE = 8 / 255, 10 / 255, 0.75, 4, 32


class Autoencoder(torch.nn.Module):
    def __init__(self, width, depth, heads, decoder):
        super().__init__()
        patches, (decoder_width, decoder_depth, decoder_heads) = (SIZE // PATCH) ** 2, decoder
        norm = functools.partial(torch.nn.LayerNorm, eps=1e-6)
        block = functools.partial(Block, mlp_ratio=4.0, qkv_bias=True, norm_layer=norm)
        self.embed = torch.nn.Conv2d(3, width, PATCH, PATCH)
        self.class_token = torch.nn.Parameter(torch.zeros(1, 1, width))
        self.positions = torch.nn.Parameter(torch.randn(1, patches + 1, width), requires_grad=False)
        self.blocks = torch.nn.ModuleList([block(width, heads) for _ in range(depth)])
        self.norm = norm(width)
        self.decoder_embed = torch.nn.Linear(width, decoder_width)
        self.mask_token = torch.nn.Parameter(torch.zeros(1, 1, decoder_width))
        self.decoder_positions = torch.nn.Parameter(torch.randn(1, patches + 1, decoder_width), requires_grad=False)
        self.decoder_blocks = torch.nn.ModuleList([block(decoder_width, decoder_heads) for _ in range(decoder_depth)])
        self.decoder_norm = norm(decoder_width)
        self.predict = torch.nn.Linear(decoder_width, PATCH * PATCH * 3)

    def latent(self, images, keep):
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.positions[:, 1:]
        tokens = tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[2]))
        class_token = (self.class_token + self.positions[:, :1]).expand(len(tokens), -1, -1)
        x = torch.cat([class_token, tokens], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def decode(self, latent, restore):
        x = self.decoder_embed(latent)
        n, width, hidden = len(x), x.shape[2], restore.shape[1] - x.shape[1] + 1
        tokens = torch.cat([x[:, 1:], self.mask_token.expand(n, hidden, -1)], 1)
        tokens = tokens.gather(1, restore[..., None].expand(-1, -1, width))
        x = torch.cat([x[:, :1], tokens], 1) + self.decoder_positions
        for block in self.decoder_blocks:
            x = block(x)
        return self.predict(self.decoder_norm(x))[:, 1:]


def target(images):
    n, side = len(images), SIZE // PATCH
    patches = images.reshape(n, 3, side, PATCH, side, PATCH).permute(0, 2, 4, 3, 5, 1).reshape(n, side * side, -1)
    return (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()


def nhsic(x, z):
    def normalised(a):
        squares = (a * a).sum(1)
        distances = squares[:, None] + squares[None] - 2 * a @ a.T
        kernel = torch.exp(-distances / (2 * 25 * a.shape[1])).double()
        centred = kernel - kernel.mean(1, keepdim=True)
        ridge = 1e-5 * len(a) * torch.eye(len(a), dtype=torch.float64)
        return centred @ torch.linalg.inv(centred + ridge)

    return (normalised(x) * normalised(z).T).sum()


def pretraining(network, images, mimir, compiled):
    width, depth, heads, decoder = NETWORKS[network]
    model = Autoencoder(width, depth, heads, decoder)
    if compiled:
        model.latent, model.decode = torch.compile(model.latent), torch.compile(model.decode)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4, (0.9, 0.95), fused=True)

    def step():
        patches = (SIZE // PATCH) ** 2
        kept = int(patches * (1 - MASK_RATIO))
        shuffle = torch.rand(len(images), patches).argsort(1)
        restore, keep = shuffle.argsort(1), shuffle[:, :kept]
        hidden = (restore >= kept).float()
        wanted, inputs = target(images), images

        def error(x, latent):
            return ((model.decode(latent, restore).float() - wanted).square().mean(-1) * hidden).sum()

        if mimir:
            visible = (1 - hidden).reshape(len(images), 1, SIZE // PATCH, 1, SIZE // PATCH, 1)
            visible = visible.expand(-1, -1, -1, PATCH, -1, PATCH).reshape(len(images), 1, SIZE, SIZE)
            start = (images + visible * (torch.rand_like(images) * 2 - 1) * EPSILON).clamp(0, 1).requires_grad_()
            (gradient,) = torch.autograd.grad(error(start, model.latent(start, keep)), start)
            moved = start.detach() + visible * STEP_SIZE * gradient.sign()
            inputs = (images + (moved - images).clamp(-EPSILON, EPSILON)).clamp(0, 1)
        optimizer.zero_grad()
        latent = model.latent(inputs, keep)
        loss = error(inputs, latent) / hidden.sum()
        if mimir:
            with torch.autocast("cpu", enabled=False):
                loss = loss + 1e-5 * nhsic(inputs.flatten(1), latent.float().flatten(1))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def finetuning(network, images, steps, compiled):
    width, depth, heads, _ = NETWORKS[network]
    model = VisionTransformer(
        img_size=SIZE, patch_size=PATCH, embed_dim=width, depth=depth, num_heads=heads, num_classes=10, global_pool="avg"
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    if compiled:
        model = torch.compile(model)
    labels = torch.arange(len(images)) % 10

    def step():
        x = (images + (torch.rand_like(images) * 2 - 1) * EPSILON).clamp(0, 1)
        for _ in range(steps):
            x.requires_grad_()
            loss = torch.nn.functional.cross_entropy(model(x), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
            x = x.detach() + EPSILON / 4 * gradient.sign()
            x = (images + (x - images).clamp(-EPSILON, EPSILON)).clamp(0, 1)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def seconds(step, repeats, warm_up):
    for _ in range(warm_up):
        step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    images = torch.rand(arguments.batch, 3, SIZE, SIZE)
    steps = {
        "mae": pretraining(arguments.network, images, False, arguments.compile),
        "mimir": pretraining(arguments.network, images, True, arguments.compile),
        "pgd-3": finetuning(arguments.network, images, 3, arguments.compile),
    }
    # Compilation happens in the first steps.
    warm_up = 3 if arguments.compile else 1
    with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bfloat16"):
        for name, step in steps.items():
            times = seconds(step, arguments.repeats, warm_up)
            print(json.dumps({"network": arguments.network, "step": name, "seconds": times}), flush=True)


if __name__ == "__main__":
    main()
