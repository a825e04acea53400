"""Makes train/data/tests/fixtures/jpeg.npz: small JPEG files and what Pillow decodes them to, for `mimir_data`.

    python3 -m venv .venv && .venv/bin/pip install numpy pillow
    .venv/bin/python scripts/reference/jpeg_fixtures.py

Written with Pillow 13.0.0 (libjpeg-turbo 3.2.0). `file NAME` is u8 [bytes], `pixels NAME` u8 [H, W, C]: `C` is 1 for grey
files, and 3, after `convert("RGB")`, for all others.
"""

import io
import pathlib

import numpy as np
from PIL import Image

FILE = pathlib.Path(__file__).resolve().parents[2] / "train" / "data" / "tests" / "fixtures" / "jpeg.npz"


def main():
    rng = np.random.default_rng(3)
    arrays = {}

    def add(name, image, **options):
        file = io.BytesIO()
        image.save(file, "JPEG", **options)
        read = Image.open(file)
        pixels = np.asarray(read if read.mode == "L" else read.convert("RGB"))
        arrays[f"file {name}"] = np.frombuffer(file.getvalue(), np.uint8)
        arrays[f"pixels {name}"] = pixels if pixels.ndim == 3 else pixels[..., None]

    for height, width in [(1, 1), (7, 1), (17, 33)]:
        image = photo(rng, height, width)
        for subsampling in [0, 1, 2]:
            for progressive in [False, True]:
                name = f"{height} {width} {subsampling} {progressive}"
                add(name, image, quality=90, subsampling=subsampling, progressive=progressive)
    noise = Image.fromarray(rng.integers(0, 256, (19, 21, 3)).astype(np.uint8))
    for quality in [30, 100]:
        add(f"noise {quality}", noise, quality=quality)
    add("grey", noise.convert("L"), quality=80)
    add("grey progressive", noise.convert("L"), quality=80, progressive=True)
    add("cmyk", noise.convert("CMYK"), quality=80)
    add("rgb", noise, quality=80, keep_rgb=True)
    add("restart", noise, quality=80, restart_marker_blocks=2)
    np.savez_compressed(FILE, **arrays)
    print(FILE, FILE.stat().st_size, "bytes,", len(arrays) // 2, "files")


def photo(rng, height, width):
    """Smooth, with noise."""
    y, x = np.mgrid[:height, :width]
    planes = [127 + 90 * np.sin(x / (3.0 + c)) * np.cos(y / (4.5 - c)) for c in range(3)]
    return Image.fromarray(np.clip(np.stack(planes, -1) + rng.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8))


main()
