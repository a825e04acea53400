"""Makes train/data/tests/fixtures/transform.npz: what torchvision's evaluation transforms make of small PIL images.

    python3 -m venv .venv && .venv/bin/pip install numpy pillow torchvision
    .venv/bin/python scripts/reference/transform_fixtures.py

Written with Pillow 13.0.0. `image NAME` is u8 [H, W, C], an input; `transform FILTER RESIZE CROP NAME` is u8 [H, W, C]:
`Resize` and `CenterCrop`, whose sizes are `none`, a number (the shorter side, a square) or `HEIGHTxWIDTH`. torchvision's
two functions on PIL images are written out here, so that Pillow is enough; where torchvision is installed they are
compared with it.
"""

import pathlib

import numpy as np
from PIL import Image, ImageOps

FILE = pathlib.Path(__file__).resolve().parents[2] / "train" / "data" / "tests" / "fixtures" / "transform.npz"
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
CASES = [
    ("20", "16"), ("40", "33"), ("27", "24"), ("none", "16"), ("20", "none"),
    ("24x18", "none"), ("9x50", "7x41"), ("20", "21"), ("10", "16x15"), ("none", "40"),
]


def main():
    rng = np.random.default_rng(5)
    images = {"wide": photo(rng, 27, 33), "tall": photo(rng, 39, 22)}
    arrays = {f"image {name}": image for name, image in images.items()}
    for name, image in images.items():
        for filter in FILTERS:
            for resize, crop in CASES:
                made = center_crop(resized(image, resize, filter), crop)
                check(image, resize, crop, filter, made)
                arrays[f"transform {filter} {resize} {crop} {name}"] = made
    np.savez_compressed(FILE, **{name: np.asarray(array) for name, array in arrays.items()})
    print(FILE, FILE.stat().st_size, "bytes,", len(arrays), "arrays")


def resized(image, word, filter):
    """torchvision.transforms.functional.resize"""
    if word == "none":
        return image
    if "x" in word:
        height, width = map(int, word.split("x"))
    else:
        size, (w, h) = int(word), image.size
        short, long = (w, h) if w <= h else (h, w)
        new_short, new_long = size, int(size * long / short)
        width, height = (new_short, new_long) if w <= h else (new_long, new_short)
    return image.resize((width, height), FILTERS[filter])


def center_crop(image, word):
    """torchvision.transforms.functional.center_crop"""
    if word == "none":
        return image
    height, width = map(int, word.split("x")) if "x" in word else (int(word), int(word))
    w, h = image.size
    if width > w or height > h:
        left, top = max(width - w, 0) // 2, max(height - h, 0) // 2
        right, bottom = (max(width - w, 0) + 1) // 2, (max(height - h, 0) + 1) // 2
        image = ImageOps.expand(image, (left, top, right, bottom), fill=0)
        w, h = image.size
    top, left = int(round((h - height) / 2.0)), int(round((w - width) / 2.0))
    return image.crop((left, top, left + width, top + height))


def check(image, resize, crop, filter, made):
    try:
        from torchvision.transforms import v2, InterpolationMode
    except ImportError:
        return
    sizes = lambda word: list(map(int, word.split("x"))) if "x" in word else int(word)
    steps = [] if resize == "none" else [v2.Resize(sizes(resize), InterpolationMode(filter))]
    steps += [] if crop == "none" else [v2.CenterCrop(sizes(crop))]
    assert np.array_equal(np.asarray(v2.Compose(steps)(image)), np.asarray(made)), (resize, crop, filter)


def photo(rng, height, width):
    """Smooth, with edges and noise."""
    y, x = np.mgrid[:height, :width]
    planes = [127 + 90 * np.sin(x / (3.0 + c)) * np.cos(y / (4.5 - c)) for c in range(3)]
    image = np.stack(planes, axis=-1)
    image[height // 3 : height // 2, width // 4 : width // 2] += [120, -90, 60]
    return Image.fromarray(np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8))


main()
