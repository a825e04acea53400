"""Makes train/data/tests/fixtures/augment.npz: what Pillow and timm make of small images, for `mimir_data::augment`.

    python3 -m venv .venv && .venv/bin/pip install numpy pillow torchvision timm
    .venv/bin/python scripts/reference/augment_fixtures.py

Written with Pillow 13.0.0, timm 1.0.31, torchvision 0.26.0. Names of arrays are words between spaces:

| name | array |
| --- | --- |
| `image NAME` | u8 [H, W, 3], an input |
| `resize FILTER WIDTH HEIGHT NAME` | u8 [HEIGHT, WIDTH, 3], `Image.resize` |
| `crop LEFT TOP WIDTH HEIGHT SIZE NAME` | u8 [SIZE, SIZE, 3], torchvision's `resized_crop` of that box, bicubic |
| `evaluation RESIZE CROP NAME` | u8 [CROP, CROP, 3], torchvision's `Resize` (bicubic) and `CenterCrop` |
| `op OPERATION ARGUMENT FILTER NAME` | u8 [H, W, 3], timm's operation with that argument and fill 128 |
| `level OPERATION` | f64 [10, 3]: magnitude, timm's argument if not negated, and if negated |
"""

import pathlib
import random
import unittest.mock

import numpy as np
from PIL import Image
from timm.data import auto_augment
from torchvision.transforms import v2
from torchvision.transforms import functional

FILE = pathlib.Path(__file__).resolve().parents[2] / "train" / "data" / "tests" / "fixtures" / "augment.npz"
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR, "none": None}
BICUBIC = functional.InterpolationMode.BICUBIC


def main():
    images = {name: Image.fromarray(pixels) for name, pixels in inputs().items()}
    arrays = {f"image {name}": image for name, image in images.items()}
    # Up, down, by one axis only, by a factor that is no ratio of small integers, to a single row, and not at all.
    for size in [(64, 64), (12, 9), (33, 9), (50, 27), (31, 26), (7, 1), (33, 27), (1, 1)]:
        arrays[f"resize bicubic {size[0]} {size[1]} photo"] = images["photo"].resize(size, FILTERS["bicubic"])
    for size in [(32, 32), (5, 5)]:
        arrays[f"resize bicubic {size[0]} {size[1]} noise"] = images["noise"].resize(size, FILTERS["bicubic"])
    for left, top, width, height, size in [(3, 4, 20, 17, 16), (0, 0, 33, 27, 32), (30, 24, 3, 3, 16), (5, 0, 16, 16, 16)]:
        crop = functional.resized_crop(images["photo"], top, left, height, width, [size, size], BICUBIC)
        arrays[f"crop {left} {top} {width} {height} {size} photo"] = crop
    for resize, crop, name in [(20, 16, "photo"), (40, 33, "photo"), (27, 24, "photo"), (20, 17, "tall"), (16, 16, "noise")]:
        transform = v2.Compose([v2.Resize(resize, BICUBIC), v2.CenterCrop(crop)])
        arrays[f"evaluation {resize} {crop} {name}"] = transform(images[name])
    arrays |= operations(images) | levels()
    np.savez_compressed(FILE, **{name: np.asarray(array) for name, array in arrays.items()})
    print(FILE, FILE.stat().st_size, "bytes,", len(arrays), "arrays")


def inputs():
    """`photo` is smooth with edges and noise, `tall` higher than wide, `noise` every value, `narrow` few values."""
    rng = np.random.default_rng(11)
    return {
        "photo": photo(rng, 27, 33),
        "tall": photo(rng, 31, 22),
        "noise": rng.integers(0, 256, (16, 16, 3)).astype(np.uint8),
        "narrow": narrow(rng),
    }


def photo(rng, height, width):
    y, x = np.mgrid[:height, :width]
    planes = [127 + 90 * np.sin(x / (3.0 + c)) * np.cos(y / (4.5 - c)) for c in range(3)]
    image = np.stack(planes, axis=-1)
    image[height // 3 : height // 2, width // 4 : width // 2] += [120, -90, 60]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def narrow(rng):
    """One channel of a few middle values, one of a single value, one of two values of which one is rare."""
    image = np.zeros((15, 18, 3), np.uint8)
    image[..., 0] = rng.integers(90, 140, (15, 18))
    image[..., 1] = 77
    image[..., 2] = 200
    image[3, 4, 2] = 5
    return image


def operations(images):
    """timm's own functions, each with arguments at the ends and in the middle of their range."""
    cases = [(op, [0], ["none"]) for op in ("AutoContrast", "Equalize", "Invert")]
    cases += [("Posterize", [1, 3, 4, 8], ["none"]), ("Solarize", [0, 26, 128, 256], ["none"])]
    cases += [("SolarizeAdd", [0, 40, 110, 128], ["none"])]
    cases += [(op, [0.1, 0.37, 1.0, 1.9], ["none"]) for op in ("Color", "Contrast", "Brightness", "Sharpness")]
    both = ["bilinear", "bicubic"]
    cases += [("Rotate", [27.3, -4.1, 30.0, -0.0, 1e-3], both), ("ShearX", [0.3, -0.17], both), ("ShearY", [0.211, -0.3], both)]
    cases += [("TranslateXRel", [0.45, -0.123], both), ("TranslateYRel", [0.31, -0.45], both)]
    arrays = {}
    for op, arguments, filters in cases:
        for argument in arguments:
            for name in ("photo", "noise", "narrow"):
                for chosen in filters:
                    if len(filters) > 1 and name == "narrow":
                        continue
                    arrays[f"op {op} {argument} {chosen} {name}"] = applied(op, argument, chosen, images[name])
    return arrays


def applied(op, argument, chosen, image):
    arguments = () if op in ("AutoContrast", "Equalize", "Invert") else (argument,)
    return auto_augment.NAME_TO_OP[op](image, *arguments, fillcolor=(128, 128, 128), resample=FILTERS[chosen])


def levels():
    magnitudes = [0.0, 0.4, 1.7, 3.3, 5.0, 6.66, 8.5, 9.0, 9.49, 10.0]
    arrays = {}
    for op in auto_augment._RAND_INCREASING_TRANSFORMS:
        level = auto_augment.LEVEL_TO_ARG[op]
        if level is not None:
            rows = [[magnitude, argument(level, magnitude, 0.0), argument(level, magnitude, 1.0)] for magnitude in magnitudes]
            arrays[f"level {op}"] = np.array(rows, np.float64)
    return arrays


def argument(level, magnitude, coin):
    """timm negates where the coin is above a half."""
    with unittest.mock.patch.object(random, "random", return_value=coin):
        found = level(magnitude, {})
    return float(found[0] if isinstance(found, tuple) else found)


if __name__ == "__main__":
    main()
