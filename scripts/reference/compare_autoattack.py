"""The standard evaluation by the reference AutoAttack, from a folder with its source that the user names.

AutoAttack is in no package index and no part of this project: `AUTOATTACK=DIR` names a checkout, the folder that has
`autoattack/autoattack.py` (figures in docs/results were made with commit a392200). It is driven by its own
`run_standard_evaluation`, in batches of 250, with seed 0, one attack a call, so that each can be timed and an attack
takes the images that the earlier ones left, as in one call with all of them. What a call does besides attacking, its
checks of the model and a forward pass of the images, is part of its seconds, as it is for whoever calls it.

Weights take no gradient (compare_models.Normalised), which the reference leaves to its user and which makes it faster.
"""

import os
import pathlib
import sys
import time

import numpy as np
import torch

from compare_models import BATCH, predictions

SEED = 0
NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}
STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")


def has_attack(name, norm):
    """What `standard` adds where gradients are silent, as relaxed-pgd, is ours alone."""
    return name in STANDARD and norm in NORMS


def describe():
    return f"the reference AutoAttack in {folder()}, on torch {torch.__version__} with {torch.get_num_threads()} threads"


def folder():
    """The named checkout, put where Python finds it."""
    path = pathlib.Path(os.environ["AUTOATTACK"]).resolve()
    if not (path / "autoattack/autoattack.py").exists():
        sys.exit(f"compare: AUTOATTACK={path} has no autoattack/autoattack.py; name a checkout of fra31/auto-attack")
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
    return path


def attacks_of(model, norm, epsilon):
    folder()
    from autoattack import AutoAttack

    return AutoAttack(model, norm=NORMS[norm], eps=epsilon, seed=SEED, verbose=False, version="standard", device="cpu")


def warm_up(case, norm, epsilon):
    """Two steps of everything, so that no attack pays for the first use of a kernel."""
    attacks = attacks_of(case.model(), norm, epsilon)
    for attack in (attacks.apgd, attacks.apgd_targeted, attacks.fab):
        attack.n_iter = 2
    attacks.apgd_targeted.n_iter_orig = attacks.apgd.n_iter_orig = 2
    attacks.square.n_queries = 2
    attacks.run_standard_evaluation(case.images[:64], case.labels[:64], bs=BATCH)


def evaluate(case, options, epsilon, ours):
    """All attacks of `ours` in order, each on the images that are left; after one that only we have, those that `ours` left."""
    model = case.model()
    robust = (predictions(model, case.images) == case.labels).numpy()
    result = {"clean": robust.copy(), "attacks": {}}
    for name, our_attack in ours["attacks"].items():
        if not has_attack(name, options.norm):
            robust = our_attack["flags"].copy()
            continue
        attacks = attacks_of(model, options.norm, epsilon)
        attacks.attacks_to_run = [name]
        attacks.square.n_queries = options.queries
        record = run_attack(attacks, model, case, robust)
        result["attacks"][name] = record
        robust = record["flags"].copy()
    return result


def run_attack(attacks, model, case, robust):
    """Attacks the images that are left. `flags` are those that are left then."""
    flags = robust.copy()
    left = torch.from_numpy(np.flatnonzero(robust))
    model.forwards = model.backwards = 0
    start = time.perf_counter()
    if len(left):
        found = attacks.run_standard_evaluation(case.images[left], case.labels[left], bs=BATCH)
        flags[left] = (predictions(model, found) == case.labels[left]).numpy()
    seconds = time.perf_counter() - start
    counts = {"attacked": robust.sum(), "forwards": model.forwards, "backwards": model.backwards}
    return {"seconds": seconds, "flags": flags, **counts}
