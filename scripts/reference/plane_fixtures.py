"""Makes tests/fixtures/attack/plane.json: shortest displacements to a hyperplane inside the box, for three norms.

    python3 -m venv .venv && .venv/bin/pip install numpy==2.4.6
    .venv/bin/python scripts/reference/plane_fixtures.py

A case has `slopes` w, a `point` x in the box, the `height` h of a linear function at x, and under `linf`, `l2` and `l1` the
displacement d of least norm with h + <w, d> = 0 and x + d in [0, 1]^D. Where there is none, d goes to the corner where
h + <w, d> is closest to zero. Pixels of equal slope move in their own order in L1. Everything is computed in float64 by
sorting the points where pixels meet the box and solving the one line between two of them; inputs are exact in float32.
"""

import json
import pathlib

import numpy as np

FILE = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "attack" / "plane.json"
PIXELS = 12


def main():
    cases = [case(*inputs) for inputs in all_inputs(np.random.default_rng(4))]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def all_inputs(rng):
    """Heights as shares of what the box allows, so that no, some or all pixels meet its edge; negative ones, too."""
    for share in [0.02, -0.2, 0.5, -0.8, 0.97, 1.25]:
        slopes, point = sixteenths(rng.normal(size=PIXELS)), sixteenths(rng.uniform(size=PIXELS))
        yield slopes, point, share * capacity(slopes, point, np.sign(share))
    slopes, point = sixteenths(rng.normal(size=PIXELS)), sixteenths(rng.uniform(size=PIXELS))
    for share in [0.3, -0.9]:
        ties = np.sign(slopes) * np.repeat([0.5, 2.0, 0.25], PIXELS // 3)
        yield ties, point, share * capacity(ties, point, np.sign(share))
        half_flat = np.where(np.arange(PIXELS) % 2, slopes, 0.0)
        yield half_flat, point, share * capacity(half_flat, point, np.sign(share))
        yield slopes, np.round(point), share * capacity(slopes, np.round(point), np.sign(share))


def sixteenths(values):
    return np.round(values * 16) / 16


def capacity(slopes, point, sign):
    return np.sum(np.abs(slopes) * room(sign * slopes, point))


def room(slopes, point):
    """How far the box lets each pixel go against its slope."""
    return np.where(slopes > 0, point, 1 - point)


def case(slopes, point, height):
    height = float(np.float32(height))
    sign = 1.0 if height >= 0 else -1.0
    towards, limits = sign * slopes, room(sign * slopes, point)
    found = {"slopes": slopes.tolist(), "point": point.tolist(), "height": height}
    for norm, distances in [("linf", linf), ("l2", l2), ("l1", l1)]:
        moved = distances(np.abs(slopes), limits, abs(height))
        found[norm] = [float(f"{value:.10g}") for value in -np.sign(towards) * moved]
    return found


def linf(speeds, limits, height):
    return np.minimum(parameter(speeds, np.ones_like(speeds), limits, height), limits)


def l2(speeds, limits, height):
    return np.minimum(parameter(speeds, speeds, limits, height) * speeds, limits)


def parameter(weights, speeds, limits, height):
    """The t with sum(weights * min(t * speeds, limits)) = height; infinite where there is none."""
    moving = weights > 0
    weights, speeds, limits = weights[moving], speeds[moving], limits[moving]
    stops = limits / speeds
    order = np.argsort(stops)
    done, rate, last = 0.0, np.sum(weights * speeds), 0.0
    for index in order:
        if done + rate * (stops[index] - last) >= height:
            return last + (height - done) / rate
        done += rate * (stops[index] - last)
        rate -= weights[index] * speeds[index]
        last = stops[index]
    return 1e300


def l1(speeds, limits, height):
    moved = np.zeros_like(limits)
    for index in np.argsort(-speeds, kind="stable"):
        if speeds[index] > 0:
            moved[index] = min(limits[index], height / speeds[index])
            height -= speeds[index] * moved[index]
    return moved


if __name__ == "__main__":
    main()
