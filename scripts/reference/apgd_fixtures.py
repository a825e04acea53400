"""Makes tests/fixtures/attack/apgd.json: what the formulae of APGD give in float64.

    python3 -m venv .venv && .venv/bin/pip install numpy
    .venv/bin/python scripts/reference/apgd_fixtures.py

Inputs are float32 numbers, written exactly. `checkpoints`: after which steps a run of so many steps looks back.
`projections`: the Euclidean projection on the L1 ball around `centre` intersected with the box. `losses`: values and
derivatives by the logits of the difference of logits ratio, with a target and without.
"""

import json
import pathlib

import numpy as np

FILE = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "attack" / "apgd.json"


def main():
    random = np.random.default_rng(4)
    fixtures = {
        "checkpoints": [{"steps": n, "after": checkpoints(n)} for n in (1, 2, 5, 10, 20, 37, 50, 100, 250, 1000)],
        "projections": [projection(random, pixels) for pixels in (1, 2, 5, 16, 17, 40) for _ in range(4)],
        "losses": [loss(random, classes) for classes in (3, 4, 5, 10) for _ in range(6)],
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(fixtures, indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n")


def checkpoints(n):
    """Periods 0.22 N, then each 0.03 N shorter down to 0.06 N; all rounded down, at least 1."""
    share = lambda part: max(int(part * n), 1)
    period, after, steps = share(0.22), 0, []
    while after + period <= n:
        after += period
        steps.append(after)
        period = max(period - share(0.03), share(0.06))
    return steps


def projection(random, pixels):
    """Half of the pixels on the edge of the box, points inside and far outside of it."""
    centre = np.clip(random.uniform(-0.5, 1.5, pixels), 0, 1).astype(np.float32)
    point = (centre + random.normal(0, random.choice([0.05, 1.0]), pixels)).astype(np.float32)
    epsilon = np.float32(random.uniform(0, 0.15 * pixels))
    wide = project_l1(*(values.astype(np.float64) for values in (centre, point)), float(epsilon))
    return {"epsilon": float(epsilon), "centre": floats(centre), "point": floats(point), "projected": floats(wide)}


def project_l1(centre, point, epsilon):
    """Exact: between two neighbouring breakpoints what is left of the change is linear in the threshold."""
    change = point - centre
    room = np.where(change > 0, 1 - centre, centre)
    kept = lambda threshold: np.clip(np.abs(change) - threshold, 0, room)
    if kept(0).sum() <= epsilon:
        return centre + np.sign(change) * kept(0)
    breakpoints = np.sort(np.concatenate([[0.0], np.abs(change), np.abs(change) - room]))
    breakpoints = breakpoints[breakpoints >= 0]
    left = np.array([kept(threshold).sum() for threshold in breakpoints])
    upper = np.argmax(left <= epsilon)
    lower = upper - 1
    part = (left[lower] - epsilon) / (left[lower] - left[upper])
    threshold = breakpoints[lower] + part * (breakpoints[upper] - breakpoints[lower])
    return centre + np.sign(change) * kept(threshold)


def loss(random, classes):
    logits = random.normal(0, random.choice([0.01, 1.0, 50.0]), classes).astype(np.float32)
    # Half of the images are classified correctly.
    label = int(np.argmax(logits)) if random.uniform() < 0.5 else int(random.integers(classes))
    target = int(random.choice([k for k in range(classes) if k != label]))
    wide = logits.astype(np.float64)
    case = {"logits": floats(logits), "label": label, "target": target}
    case["dlr"] = dict(zip(("value", "derivative", "scale"), dlr(wide, label)))
    if classes >= 4:
        case["targeted"] = dict(zip(("value", "derivative", "scale"), targeted_dlr(wide, label, target)))
    return case


def dlr(z, y):
    first, second, third = np.argsort(-z)[:3]
    other = second if first == y else first
    return ratio(z, y, other, {first: 1.0, third: -1.0})


def targeted_dlr(z, y, t):
    first, _, third, fourth = np.argsort(-z)[:4]
    return ratio(z, y, t, {first: 1.0, third: -0.5, fourth: -0.5})


def ratio(z, y, other, scale):
    """Value and derivative of -(z_y - z_other) / (scale · z + 1e-12), and the largest term of a derivative."""
    denominator = sum(weight * z[k] for k, weight in scale.items()) + 1e-12
    numerator = z[other] - z[y]
    derivative = np.zeros_like(z)
    derivative[other] += 1 / denominator
    derivative[y] -= 1 / denominator
    for k, weight in scale.items():
        derivative[k] -= numerator / denominator**2 * weight
    value = float(numerator / denominator)
    return value, floats(derivative), float(max(1, abs(value)) / abs(denominator))


def floats(values):
    return [float(value) for value in values]


if __name__ == "__main__":
    main()
