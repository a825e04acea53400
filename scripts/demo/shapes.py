"""Draws labelled images: one shape per image, before a shaded, noisy background."""

import numpy as np

SIZE = 24
CLASSES = ["disc", "ring", "square", "triangle", "cross", "grating"]


def draw(count, rng):
    """`count` images, u8 [N, 3, SIZE, SIZE], and labels, int64 [N]; classes are equally frequent."""
    labels = rng.permutation(np.arange(count) % len(CLASSES))
    images = np.stack([draw_one(CLASSES[label], rng) for label in labels])
    return images, labels.astype(np.int64)


def draw_one(name, rng):
    """One image, u8 [3, SIZE, SIZE]."""
    background = shaded_background(rng)
    mask = shape_mask(name, rng)
    colour = contrasting_colour(background.mean(axis=(1, 2)), rng)
    image = background + mask * (colour[:, None, None] - background)
    image += rng.normal(0.0, 0.06, image.shape)
    return np.round(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)


def shaded_background(rng):
    """A linear blend between two random colours in a random direction, [3, SIZE, SIZE]."""
    y, x = pixel_grid()
    angle = rng.uniform(0, 2 * np.pi)
    position = 0.5 + 0.35 * (np.cos(angle) * x + np.sin(angle) * y)
    start, end = rng.uniform(0.1, 0.9, (2, 3))
    return start[:, None, None] * (1 - position) + end[:, None, None] * position


def contrasting_colour(background, rng):
    """A colour whose channels differ from the background by 0.3 on average or more."""
    while True:
        colour = rng.uniform(0, 1, 3)
        if np.abs(colour - background).mean() >= 0.3:
            return colour


def shape_mask(name, rng):
    """Coverage of the shape in [0, 1], [SIZE, SIZE], with an edge that is one pixel wide."""
    y, x = pixel_grid()
    centre_y, centre_x = rng.uniform(-0.3, 0.3, 2)
    radius = rng.uniform(0.4, 0.62)
    angle = rng.uniform(-0.35, 0.35)
    y, x = (y - centre_y) / radius, (x - centre_x) / radius
    y, x = np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x
    pixel = 2 / SIZE / radius
    return np.clip(0.5 - outside(name, y, x, rng) / pixel, 0.0, 1.0)


def outside(name, y, x, rng):
    """Distance to the shape of unit radius, negative inside."""
    length = np.hypot(y, x)
    match name:
        case "disc":
            return length - 0.9
        case "ring":
            return np.abs(length - 0.75) - 0.22
        case "square":
            return np.maximum(np.abs(y), np.abs(x)) - 0.8
        case "triangle":
            return np.maximum(y - 0.6, (np.abs(x) * 1.6 - y) * 0.53 - 0.5)
        case "cross":
            narrow, wide = np.minimum(np.abs(y), np.abs(x)), np.maximum(np.abs(y), np.abs(x))
            return np.maximum(narrow - 0.28, wide - 0.95)
        case "grating":
            stripes = np.cos(2 * np.pi * (y * 1.25 + rng.uniform()))
            return np.maximum(-stripes * 0.13, np.maximum(np.abs(y), np.abs(x)) - 0.9)
    raise ValueError(name)


def pixel_grid():
    """Row and column of every pixel in [-1, 1]."""
    steps = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    return np.meshgrid(steps, steps, indexing="ij")
