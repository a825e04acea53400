"""Makes tests/fixtures/attack/square.json: Square's patterns and window moves for L2 and L1, in float64 from the formulae.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/requirements.txt
    .venv/bin/python scripts/reference/square_fixtures.py

`patterns`: norm, side s and values [s, s], not transposed. `moves`: norm, epsilon, shape [C, H, W], the clean image
`centre` and the point `best` [C*H*W] (float32 numbers), the corners (row, column) of the two windows, their side, one
sign a channel, whether the pattern is transposed, and `candidate` [C*H*W], the point that the move leads to.
"""

import json
import pathlib

import numpy as np

FILE = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "attack" / "square.json"
SIDES = [1, 2, 3, 4, 5, 8, 11]
TINY = 1e-12


def main():
    rng = np.random.default_rng(4)
    patterns = [
        {"norm": norm, "side": side, "values": listed(pattern(norm, side))} for norm in ("l2", "l1") for side in SIDES
    ]
    cases = [
        # Windows apart, overlapping in a corner, in rows only, and equal; a centre that was never moved.
        dict(shape=(3, 7, 6), side=3, first=(0, 0), second=(4, 3), transposed=False, spread=0.1),
        dict(shape=(2, 6, 7), side=3, first=(1, 2), second=(2, 1), transposed=True, spread=0.1),
        dict(shape=(1, 7, 7), side=5, first=(1, 0), second=(1, 2), transposed=False, spread=0.1),
        dict(shape=(1, 5, 5), side=3, first=(1, 1), second=(1, 1), transposed=True, spread=0.1),
        dict(shape=(2, 5, 5), side=3, first=(0, 1), second=(2, 2), transposed=False, spread=0.0),
    ]
    moves = [move(rng, norm, epsilon, **case) for norm, epsilon in (("l2", 0.6), ("l1", 2.5)) for case in cases]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({"patterns": patterns, "moves": moves}, indent=None, separators=(",", ":")) + "\n")


def length(norm, values):
    """Over the last two axes."""
    return np.sqrt((values**2).sum((-2, -1))) if norm == "l2" else np.abs(values).sum((-2, -1))


def bump(norm, rows, side):
    """Rectangles around the middle, each larger by a ring and of height 1 / (k + 1)^q, on top of each other."""
    power = 2 if norm == "l2" else 4
    row, column = np.indices((rows, side))
    total = np.zeros((rows, side))
    for k in range(max(rows // 2, side // 2) + 1):
        inside = (np.abs(row - rows // 2) <= k) & (np.abs(column - side // 2) <= k)
        total += inside / (k + 1) ** power
    return total / length(norm, total)


def pattern(norm, side):
    """A bump upwards above a bump downwards, of length one."""
    upper = bump(norm, side // 2, side) if side > 1 else np.zeros((0, side))
    whole = np.concatenate([upper, -bump(norm, side - side // 2, side)])
    return whole / length(norm, whole)


def move(rng, norm, epsilon, shape, side, first, second, transposed, spread):
    """Where the change of the second window goes, and what the first becomes."""
    channels = shape[0]
    centre = rng.uniform(0, 1, shape).astype(np.float32).astype(float)
    best = np.clip(centre + spread * rng.normal(size=shape), 0, 1)
    whole = total_length(norm, best - centre)
    # Most points have a little of the radius left.
    best = (centre + (best - centre) * min(1, 0.9 * epsilon / max(whole, TINY))).astype(np.float32).astype(float)
    signs = rng.choice([-1.0, 1.0], channels)

    delta = best - centre
    at_first = (slice(None), *(slice(start, start + side) for start in first))
    at_second = (slice(None), *(slice(start, start + side) for start in second))
    mask = np.zeros(shape)
    mask[at_first] = mask[at_second] = 1
    windows = length(norm, delta * mask)
    eta = pattern(norm, side).T if transposed else pattern(norm, side)
    mixed = eta * signs[:, None, None] + delta[at_first] / (TINY + length(norm, delta[at_first]))[:, None, None]
    mixed /= (TINY + length(norm, mixed))[:, None, None]
    if norm == "l2":
        left = max(epsilon**2 - total_length(norm, delta) ** 2, 0)
        budget = np.sqrt(left / channels + windows**2)
    else:
        left = max(epsilon - total_length(norm, delta), 0)
        budget = (left / channels + windows) * channels
    delta[at_second] = 0
    delta[at_first] = mixed * budget[:, None, None]
    if norm == "l2":
        candidate = np.clip(centre + delta / (TINY + total_length(norm, delta)) * epsilon, 0, 1)
    else:
        candidate = centre + project_l1(centre, delta, epsilon * (1 - 1e-6))
    return {
        "norm": norm, "epsilon": epsilon, "shape": shape, "centre": listed(centre), "best": listed(best),
        "side": side, "first": first, "second": second, "signs": signs.tolist(), "transposed": transposed,
        "candidate": listed(candidate),
    }  # fmt: skip


def total_length(norm, values):
    return length(norm, values.reshape(1, 1, -1)).item()


def project_l1(centre, delta, radius):
    """Of all changes inside the box and no longer than the radius the nearest: sign * clip(|delta| - l, 0, room)."""
    room = np.where(delta > 0, 1 - centre, centre)
    kept = lambda shrink: np.clip(np.abs(delta) - shrink, 0, room)
    low, high = 0.0, np.abs(delta).max()
    if kept(0.0).sum() <= radius:
        high = 0.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle).sum() > radius else (low, middle)
    return np.sign(delta) * kept(high)


def listed(values):
    """Nine digits tell all float32 numbers apart."""
    return [float(f"{value:.9g}") for value in np.ravel(values)]


if __name__ == "__main__":
    main()
