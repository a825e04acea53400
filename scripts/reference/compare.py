"""The standard evaluation in PyTorch and in mimir-certify, on the same images, in one run. Called by scripts/compare.

Three parties: the attacks in PyTorch, mimir-certify with `--attacks standard`, and, where there are some, the verdicts
of the reference AutoAttack in ../shared/fixtures, made elsewhere. The attacks in PyTorch are those of the reference
AutoAttack itself where AUTOATTACK names a folder with its source (compare_autoattack.py), else those of torchattacks
(compare_torch.py). Both sides use every core and attack the images that the earlier attacks left. The PyTorch seconds
are those of each attack with its final check; its first call, which pays for the first use of every kernel, is timed
apart. Ours are `attacks[].seconds` of report.json. With `--runs` the sides take turns, and so does who begins; seconds
are medians, and verdicts those of the first run.

Below each table stand two floors of our time. The network floor is the passes of the run times the time of a pass at
the calibrated batch, as `mimir-certify check --data` measures it with warm sessions, the fastest of many: what remains
above it is the attacks' own work, batches that are not full, and what workers take from each other. The arithmetic
floor is the multiplications and additions of the file's Conv, Gemm and MatMul nodes in those passes (as many again in a
backward pass) over what this machine's cores reach in a matrix product of 1024 × 1024: no program in float32 that
computes every product gets below it.

Columns. robust: share of all images left after the attack, PyTorch / ours / reference. ours = ref, torch = ref, ours =
torch: images on which the verdicts after the attack agree. forwards and backwards: images through the network per image
that the attack was run on, PyTorch / ours / what the cost model of ../shared/reference/attacks.md 5.2 says for an image
that stays robust. network: share of our time that the workers spend inside the network,
`model_seconds / (workers × seconds)`.

Run it on a quiet machine: the load is printed, as the threads of PyTorch wait for each other in busy loops and a second
program on the same cores makes that side many times slower.

Environment: MIMIR_CERTIFY names the program, target/release/mimir-certify otherwise; AUTOATTACK a checkout of the
reference AutoAttack.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np

import compare_models

CERTIFY = os.environ.get("MIMIR_CERTIFY", "target/release/mimir-certify")
MODELS = ["vit_pgd_2_3_16", "resnet_2b"]
EPSILONS = {"linf": "2/255", "l2": "0.5", "l1": "12"}
COST_MODEL = {"apgd-ce": (101, 101), "apgd-t": (909, 909), "fab-t": (9 * 203, 900)}
COLUMNS = [
    "attack", "PyTorch s", "ours s", "ratio", "robust", "ours = ref", "torch = ref", "ours = torch",
    "forwards", "backwards", "network",
]  # fmt: skip


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as work:
        cases = cases_of(options, pathlib.Path(work))
        print_setting(options)
        for case in cases:
            compare(case, options)


def parse():
    parser = argparse.ArgumentParser(prog="scripts/compare", description=__doc__.split("\n")[0])
    parser.add_argument("folder", help=argparse.SUPPRESS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--vit-tiny", action="store_true", help="instead, a random ViT-T on its own predictions")
    parser.add_argument("--vit-file", metavar="ONNX", help="what the example vit_tiny wrote, not to build it")
    parser.add_argument("--images", type=int, default=500, help="the first so many CIFAR-10 test images [500]")
    parser.add_argument("--runs", type=int, default=1, help="medians of so many runs [1]")
    parser.add_argument("--norm", choices=EPSILONS, default="linf")
    parser.add_argument("--epsilon", help="[linf 2/255, l2 0.5, l1 12]")
    parser.add_argument("--attacks", default="standard", help="some of standard in order, as apgd-ce,apgd-t")
    parser.add_argument("--queries", type=int, default=5000, help="of square [5000]")
    parser.add_argument("--precision", choices=["float32", "mixed"], default="float32", help="of our searches [float32]")
    parser.add_argument("--only-ours", action="store_true", help="without the PyTorch side")
    options = parser.parse_args()
    options.epsilon = options.epsilon or EPSILONS[options.norm]
    return options


def cases_of(options, work):
    if options.vit_tiny:
        return [compare_models.vit_tiny_case(options.vit_file, options.folder, options.images, work)]
    with_torch = not options.only_ours
    return [compare_models.shared_case(name, options.folder, options.images, with_torch) for name in options.models]


def print_setting(options):
    print(f"CIFAR-10 test images 0..{options.images - 1}, {options.norm} {options.epsilon}, {options.attacks}; "
          f"{cores()} cores, load {os.getloadavg()[0]:.1f}; median of {options.runs}")  # fmt: skip
    if options.only_ours:
        return
    import torch

    torch.set_num_threads(cores())
    print(rival().describe())
    for name in (name for name in rival().STANDARD if not rival().has_attack(name, options.norm)):
        print(f"torchattacks has no {name} for {options.norm}: the next PyTorch attack takes the images that ours left")


def cores():
    """Those that this process may use, as both sides do."""
    return len(os.sched_getaffinity(0))


def rival():
    """The module that runs the attacks in PyTorch."""
    if "AUTOATTACK" in os.environ:
        import compare_autoattack

        return compare_autoattack
    import compare_torch

    return compare_torch


def compare(case, options):
    epsilon = radius(options.epsilon)
    ours, theirs = [], []
    if not options.only_ours:
        start = time.perf_counter()
        rival().warm_up(case, options.norm, epsilon)
        print(f"\nPyTorch, first call of every attack with two steps: {time.perf_counter() - start:.2f} s, not counted")
    for turn in range(options.runs):
        # The verdicts of ours are needed only where a rival lacks an attack, and then the first run has them.
        sides = [lambda: ours.append(attack_with_mimir(case, options))]
        if not options.only_ours:
            sides.append(lambda: theirs.append(rival().evaluate(case, options, epsilon, ours[0])))
        for side in sides if turn % 2 == 0 else reversed(sides):
            side()
    if theirs:
        differ = np.flatnonzero(theirs[0]["clean"] != ours[0]["clean"])
        assert not len(differ), f"{case.name}: the sides differ on the unattacked images {differ}"
    print_table(case, options, ours, theirs, reference(case, options))


def attack_with_mimir(case, options):
    with tempfile.TemporaryDirectory() as report:
        command = [CERTIFY, case.path, *case.data, *setting(case, options), "--report", report, "--quiet"]
        if "square" in options.attacks or options.attacks == "standard":
            command += ["--queries", options.queries]
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
        document = json.loads((pathlib.Path(report) / "report.json").read_text())
    return read_report(document)


def setting(case, options):
    """Normalisation, threat model and attacks in words of the command line."""
    return [
        "--mean", comma(compare_models.MEAN), "--std", comma(case.std),
        "--norm", options.norm, "--epsilon", options.epsilon, "--attacks", options.attacks,
        "--precision", options.precision,
    ]  # fmt: skip


def radius(text):
    """`2/255` or `0.5`, as mimir-certify takes it."""
    numerator, _, denominator = text.partition("/")
    return float(numerator) / float(denominator or 1)


def comma(values):
    return ",".join(map(str, values))


def read_report(document):
    """What `compare_torch.evaluate` returns, from report.json."""
    outcomes = document["outcomes"]
    ends = [outcome["verdict"]["outcome"] for outcome in outcomes]
    unknown = set(ends) - {"misclassified", "broken", "still_robust"}
    assert not unknown, f"images without a verdict: {unknown}"
    robust = np.array([end != "misclassified" for end in ends])
    clean, attacks = robust, {}
    for attack in document["attacks"]:
        fallen = [outcome["verdict"].get("attack") == attack["name"] for outcome in outcomes]
        robust = robust & ~np.array(fallen)
        network = attack["model_seconds"] / (document["execution"]["workers"] * max(attack["seconds"], 1e-9))
        counts = {key: attack[key] for key in ("seconds", "attacked", "forwards", "backwards")}
        attacks[attack["name"]] = {**counts, "flags": robust, "network": network}
    kept = [outcome["passes"] for outcome, end in zip(outcomes, ends) if end == "still_robust"]
    passes = {key: np.mean([p[key] for p in kept]) if kept else 0 for key in ("forwards", "backwards")}
    whole = {key: document[key] for key in ("seconds", "execution")}
    return {"clean": clean, "attacks": attacks, "passes": passes, **whole}


def reference(case, options):
    """Per attack, which of the images are left, by the reference AutoAttack; empty where nobody has run it."""
    path = compare_models.SHARED / f"fixtures/autoattack-{case.name}-linf-2of255-first500.json"
    same = (options.norm, radius(options.epsilon)) == ("linf", 2 / 255)
    if not same or not path.exists() or options.images > 500:
        return {}
    attacks = json.loads(path.read_text())["attacks"]
    return {name: np.array(attack["flags"][: options.images], bool) for name, attack in attacks.items()}


def print_table(case, options, ours, theirs, fixtures):
    clean = ours[0]["clean"]
    print(f"\n## {case.name}\n\nclean {clean.mean():.1%}; predictions {predicted(case)}\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    for name in ours[0]["attacks"]:
        pick = [[run["attacks"].get(name) for run in runs] for runs in (theirs, ours)]
        print(row(name, options, *pick, fixtures.get(name)))
    print(total(ours, theirs))
    runs = [run["seconds"] for run in ours]
    engine = ours[0]["execution"]
    print(f"\nours, whole run from report.json: {statistics.median(runs):.2f} s; {engine['workers']} workers × "
          f"{engine['threads']} threads, batch {engine['batch']}")  # fmt: skip
    costs = [cost_of(name, options) for name in ours[0]["attacks"]]
    forwards, backwards = (None if None in side else sum(side) for side in zip(*costs))
    passes = ours[0]["passes"]
    print(f"ours, an image that stays robust: {passes['forwards']:.0f} forwards, {passes['backwards']:.0f} backwards "
          f"(cost model: {number(forwards, 'd')}, {number(backwards, 'd')})")  # fmt: skip
    print_floors(case, options, ours)


def print_floors(case, options, ours):
    """What our time cannot fall below with these passes: the docstring of this file says how both are made."""
    forwards, backwards = (sum(a[key] for a in ours[0]["attacks"].values()) for key in ("forwards", "backwards"))
    seconds = statistics.median(sum(a["seconds"] for a in run["attacks"].values()) for run in ours)
    forward, gradient, workers = seconds_a_pass(case, options)
    network = ((forwards - backwards) * forward + backwards * gradient) / workers
    operations = compare_models.operations(case.path)
    peak = compare_models.peak_operations_a_second()
    arithmetic = (forwards + backwards) * operations / peak
    print(f"network floor: {network:.2f} s ({network / seconds:.0%} of our {seconds:.2f} s), {forward * 1e6:.1f} µs a "
          f"forward pass of an image, {gradient * 1e6:.1f} µs with its gradient, {workers} workers")  # fmt: skip
    print(f"arithmetic floor: {arithmetic:.2f} s ({arithmetic / seconds:.0%}), {operations / 1e6:.1f} million "
          f"operations a pass, {peak / 1e9:.0f} GFLOPS measured on all cores")  # fmt: skip


def seconds_a_pass(case, options):
    """Of one image on one worker: forward, and forward with gradient; and the number of workers."""
    command = [CERTIFY, "check", "--json", case.path, *case.data, *setting(case, options)]
    answer = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    cost = json.loads(answer)["on_images"]["cost"]
    forward, gradient, workers = (cost[key] for key in ("forward_microseconds", "gradient_microseconds", "workers"))
    return forward * 1e-6, gradient * 1e-6, workers


def cost_of(name, options):
    """Forwards and backwards of one robust image; none for L1, whose standard has more restarts and fewer targets, and for
    what the reference's standard does not have."""
    if options.norm == "l1":
        return None, None
    return (options.queries + 2, 0) if name == "square" else COST_MODEL.get(name, (None, None))


def predicted(case):
    """How many images have each label, to show that no class takes all."""
    return "/".join(map(str, np.bincount(case.labels.numpy(), minlength=10)))


def row(name, options, theirs, ours, flags):
    their_seconds, our_seconds = (median_seconds(runs) for runs in (theirs, ours))
    them, us = (runs[0] if runs else None for runs in (theirs, ours))
    cost = cost_of(name, options)
    cells = [
        name,
        number(their_seconds, ".2f"),
        number(our_seconds, ".2f"),
        number(their_seconds and their_seconds / our_seconds, ".1f"),
        " / ".join(share(party) for party in (them and them["flags"], us["flags"], flags)),
        agreement(us["flags"], flags),
        agreement(them and them["flags"], flags),
        agreement(us["flags"], them and them["flags"]),
        " / ".join([per_image(them, "forwards"), per_image(us, "forwards"), number(cost[0], "d")]),
        " / ".join([per_image(them, "backwards"), per_image(us, "backwards"), number(cost[1], "d")]),
        number(statistics.median(run["network"] for run in ours), ".0%"),
    ]
    return "| " + " | ".join(cells) + " |"


def total(ours, theirs):
    """The sum over the attacks that both sides ran."""
    common = [name for name in ours[0]["attacks"] if not theirs or name in theirs[0]["attacks"]]
    sums = [[sum(run["attacks"][name]["seconds"] for name in common) for run in runs] for runs in (theirs, ours)]
    their_seconds, our_seconds = (statistics.median(runs) if runs else None for runs in sums)
    ratio = number(their_seconds and their_seconds / our_seconds, ".1f")
    name = "all" if len(common) == len(ours[0]["attacks"]) else " + ".join(common)
    cells = [name, number(their_seconds, ".2f"), number(our_seconds, ".2f"), ratio]
    return "| " + " | ".join(cells + [""] * (len(COLUMNS) - len(cells))) + " |"


def median_seconds(runs):
    return statistics.median(run["seconds"] for run in runs) if runs and runs[0] else None


def number(value, form):
    return "–" if value is None else format(value, form)


def share(flags):
    return "–" if flags is None else f"{flags.mean():.1%}"


def agreement(one, other):
    return "–" if one is None or other is None else f"{(one == other).sum()}/{len(one)}"


def per_image(attack, passes):
    return "–" if not attack or not attack["attacked"] else f"{attack[passes] / attack['attacked']:.0f}"


if __name__ == "__main__":
    main()
