"""Turns a PyTorch checkpoint of MAE, MIMIR or timm into a safetensors file under the names that mimir-train reads.

    pip install torch safetensors
    python scripts/convert_pth.py CHECKPOINT.pth OUTPUT.safetensors [--take KEY] [--allow]

The weights may lie in the file as they are or under `model`, `state_dict`, `model_state_dict`, `model_ema`,
`state_dict_ema`; `--take` chooses where there are several. Prefixes that wrappers leave (`module.`, `base_model.`, `model.`,
`_orig_mod.`) go away. Prints what became of every key: kept, renamed, dropped and why, or unknown. With unknown keys it
writes nothing and exits 1, unless `--allow` says to leave them out. Exit 2: the file cannot be read.

Only tensors and plain values are loaded from the pickle; anything else in it is refused.
"""

import argparse
import os
import re
import sys

import torch
from safetensors.torch import save_file

WEIGHTS = ("model", "state_dict", "model_state_dict", "model_ema", "state_dict_ema")
PREFIXES = ("module.", "base_model.", "model.", "_orig_mod.")

LINEAR = r"(weight|bias)"
BLOCK = (
    rf"(norm1|norm2|mlp\.fc1|mlp\.fc2|attn\.(qkv|qk|q|k|v|proj|pos_proj|proj_l|proj_w))\.{LINEAR}"
    r"|attn\.gating_param|gamma_[12]"
)
KNOWN = re.compile(
    r"cls_token|pos_embed|mask_token|decoder_pos_embed"
    rf"|patch_embed\.proj\.(stem\.\d+\.)?{LINEAR}"
    rf"|(blocks|blocks_token_only|decoder_blocks)\.\d+\.({BLOCK})"
    rf"|(norm|fc_norm|head|decoder_embed|decoder_norm|decoder_pred)\.{LINEAR}"
)


def main():
    arguments = parse()
    try:
        weights, beside = find_weights(load(arguments.checkpoint), arguments.take)
        converted, report = convert(weights)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report["dropped"] = [(name, "beside the weights") for name in beside] + report["dropped"]
    print_report(report)
    if not converted:
        print("error: no tensor of a known name; nothing written", file=sys.stderr)
        return 1
    if report["unknown"] and not arguments.allow:
        print(f"error: {len(report['unknown'])} unknown keys; nothing written (--allow leaves them out)", file=sys.stderr)
        return 1
    write(converted, arguments.output)
    scalars = sum(tensor.numel() for tensor in converted.values())
    print(f"wrote {arguments.output}: {len(converted)} tensors, {scalars:,} scalars")
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("output")
    parser.add_argument("--take", metavar="KEY", help="where in the file the weights are, for example model_ema")
    parser.add_argument("--allow", action="store_true", help="leave unknown keys out instead of stopping")
    return parser.parse_args()


def load(path):
    # MAE stores its command line in the checkpoint.
    torch.serialization.add_safe_globals([argparse.Namespace])
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # The unpickler raises whatever the broken bytes lead to.
        raise ValueError(f"{path} is not a checkpoint of tensors and plain values: {str(error).splitlines()[0]}") from None


def find_weights(loaded, take):
    """The dictionary of tensors, and the names of what lies beside it."""
    if not isinstance(loaded, dict):
        raise ValueError(f"the file holds a {type(loaded).__name__}; wanted a dictionary")
    if take:
        if not is_weights(loaded.get(take)):
            raise ValueError(f"no weights under {take!r}; keys of the file: {', '.join(map(str, loaded))}")
        return loaded[take], [name for name in loaded if name != take]
    for name in WEIGHTS:
        if is_weights(loaded.get(name)):
            return loaded[name], [other for other in loaded if other != name]
    if is_weights(loaded):
        return loaded, []
    raise ValueError(f"no weights found; keys of the file: {', '.join(map(str, loaded))} (--take names the right one)")


def is_weights(value):
    return isinstance(value, dict) and any(isinstance(tensor, torch.Tensor) for tensor in value.values())


def convert(weights):
    report = {"kept": [], "renamed": [], "dropped": [], "unknown": []}
    converted = {}
    is_convit = any(key.endswith("attn.gating_param") for key in weights)
    for key, value in weights.items():
        name = strip_prefixes(key)
        kind, reason = judge(name, value, is_convit)
        if kind != "keep":
            report[kind].append((key, reason))
            continue
        if name in converted:
            raise ValueError(f"two keys of the file become {name!r}; the second is {key!r}")
        converted[name] = value.detach().to(torch.float32).contiguous().clone()
        note = f"{list(value.shape)} {str(value.dtype).removeprefix('torch.')}"
        report["kept" if name == key else "renamed"].append((key, note if name == key else f"{name} {note}"))
    return converted, report


def strip_prefixes(key):
    prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), None)
    return strip_prefixes(key.removeprefix(prefix)) if prefix else key


def judge(name, value, is_convit):
    """keep, or dropped or unknown with a reason. What is dropped does not change what the network computes."""
    if not isinstance(value, torch.Tensor):
        return "unknown", f"a {type(value).__name__}, not a tensor"
    if not value.is_floating_point():
        return "unknown", f"numbers of type {str(value.dtype).removeprefix('torch.')}"
    if not torch.isfinite(value).all():
        return "unknown", "holds numbers that are not finite"
    if re.fullmatch(r"normalize\.(mean|std)", name):
        if (value == (0.0 if name.endswith("mean") else 1.0)).all():
            return "dropped", "normalises nothing"
        return "unknown", "networks here take pixels in [0, 1] as they are"
    if is_convit and re.fullmatch(r"(decoder_)?blocks\.\d+\.attn\.(qk|v|qkv)\.bias", name):
        if (value == 0).all():
            return "dropped", "all 0; ConViT has no bias on q, k and v here"
        return "unknown", "ConViT has no bias on q, k and v here; without it the network computes something else"
    if not KNOWN.fullmatch(name):
        return "unknown", "no network here has it"
    return "keep", ""


def print_report(report):
    for kind, entries in report.items():
        print(f"{kind}: {len(entries)}")
        for key, note in entries:
            print(f"  {key}: {note}")


def write(tensors, path):
    """Whole or not at all."""
    unfinished = f"{path}.unfinished"
    save_file(tensors, unfinished, metadata={"format": "pt"})
    os.replace(unfinished, path)


if __name__ == "__main__":
    sys.exit(main())
