"""The standard evaluation in PyTorch: the attacks of torchattacks 3.5.1, set and driven as AutoAttack does.

AutoAttack itself is on no package index; compare_autoattack.py runs it where a user has its source. torchattacks has ports
of its four attacks; its own `AutoAttack` runs ten steps of each and is not used. Here: APGD on cross-entropy, 100 steps; APGD on the targeted DLR, 100 steps, 9 targets;
FAB, 100 steps, 9 targets; Square, 5000 queries. One restart each, seed 0, in batches of at most 250 of the images that
are left, each attack from the clean image; an image is broken when a forward pass of what the attack returns says so.
That last pass is part of the time.

What was found in the source of torchattacks:
- Every call seeds the global generators of torch with `seed`, so row j of every batch gets the same noise. The
  reference does too.
- Every default of `steps` is 10.
- `FAB` runs untargeted unless `multi_targeted`; the `targeted` of its documentation does not exist. The rest is as the
  reference, the final check of the distance included. For L1 its `perturb` computes no distance and fails, though the
  search itself knows L1: `FabL1` is that loop with the distance.
- `APGD`, `APGDT` and `Square` know Linf and L2 only. At L2 `APGDT` takes the step of the first image of a batch for all
  of them (`step_size[0]`), so that one image's schedule decides for 249 others.
- `APGD` divides the noise by its maximum without the reference's 1e-12, which is less than float32 resolves.
- `Square` rescales its schedule by default; the reference's standard does not, nor do we here. It does not cap the
  window at the image, which changes nothing at 32 pixels.
- Each attack returns the clean image where it found nothing.
- `eps` is a Python float; comparisons with it are made in float32, as in the reference.
- The reference and torchattacks compute gradients of the weights in FAB (`backward` on a scalar) unless the user has
  frozen them. They are frozen here, which makes PyTorch faster.
"""

import time

import numpy as np
import torch
import torchattacks

from compare_models import BATCH, predictions

SEED, CLASSES = 0, 10
NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}
STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")
LACKING = {"l1": {"apgd-ce", "apgd-t", "square"}}


def has_attack(name, norm):
    """What `standard` adds where gradients are silent, as relaxed-pgd, is ours alone."""
    return name in STANDARD and name not in LACKING.get(norm, set())


def describe():
    threads, version = torch.get_num_threads(), torchattacks.__version__
    return f"torch {torch.__version__} with {threads} threads, torchattacks {version}"


class FabL1(torchattacks.FAB):
    """Targeted FAB in L1: the outer loop of `FAB.perturb`, which fails for this norm, around its own search."""

    @torch.no_grad()
    def perturb(self, images, labels):
        torch.manual_seed(self.seed)
        adversarial = images.clone()
        robust = self.get_logits(images).argmax(1) == labels
        for self.target_class in range(2, self.n_target_classes + 2):
            left = robust.nonzero()[:, 0]
            if not len(left):
                break
            found = self.attack_single_run_targeted(images[left], labels[left])
            near = (found - images[left]).abs().flatten(1).sum(1) <= self.eps
            broken = near & (self.get_logits(found).argmax(1) != labels[left])
            adversarial[left[broken]] = found[broken]
            robust[left[broken]] = False
        return adversarial


def attack_named(name, model, norm, epsilon, steps=100, queries=5000):
    common = {"norm": NORMS[norm], "eps": epsilon, "n_restarts": 1, "seed": SEED}
    if name == "apgd-ce":
        return torchattacks.APGD(model, steps=steps, loss="ce", eot_iter=1, rho=0.75, **common)
    if name == "apgd-t":
        return torchattacks.APGDT(model, steps=steps, eot_iter=1, rho=0.75, n_classes=CLASSES, **common)
    if name == "fab-t":
        fab = FabL1 if norm == "l1" else torchattacks.FAB
        constants = {"alpha_max": 0.1, "eta": 1.05, "beta": 0.9, "multi_targeted": True, "n_classes": CLASSES}
        return fab(model, steps=steps, **constants, **common)
    return torchattacks.Square(model, n_queries=queries, p_init=0.8, loss="margin", resc_schedule=False, **common)


def warm_up(case, norm, epsilon):
    """Two steps of everything, so that no attack pays for the first use of a kernel."""
    for name in (name for name in STANDARD if has_attack(name, norm)):
        attack_named(name, case.model(), norm, epsilon, steps=2, queries=2)(case.images[:64], case.labels[:64])


def evaluate(case, options, epsilon, ours):
    """All attacks in order; after one that only we have, those images are left that `ours` left."""
    model = case.model()
    robust = (predictions(model, case.images) == case.labels).numpy()
    result = {"clean": robust.copy(), "attacks": {}}
    for name, our_attack in ours["attacks"].items():
        if not has_attack(name, options.norm):
            robust = our_attack["flags"].copy()
            continue
        attack = attack_named(name, model, options.norm, epsilon, queries=options.queries)
        record = run_attack(attack, model, case, robust)
        result["attacks"][name] = record
        robust = record["flags"].copy()
    return result


def run_attack(attack, model, case, robust):
    """Attacks the images that are left. `flags` are those that are left then."""
    flags = robust.copy()
    model.forwards = model.backwards = 0
    start = time.perf_counter()
    for indices in torch.split(torch.from_numpy(np.flatnonzero(robust)), BATCH):
        adversarial = attack(case.images[indices], case.labels[indices])
        flags[indices] = (predictions(model, adversarial) == case.labels[indices]).numpy()
    seconds = time.perf_counter() - start
    counts = {"attacked": robust.sum(), "forwards": model.forwards, "backwards": model.backwards}
    return {"seconds": seconds, "flags": flags, **counts}
