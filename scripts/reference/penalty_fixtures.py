#!/usr/bin/env python3
"""The reference numbers of the penalty: value and gradients of nHSIC on four samples. The penalty of the training
(train/src/penalty) and that of the attack pgd-mi (runtime/src/nhsic.rs) are both held to this file.

    python3 scripts/reference/penalty_fixtures.py > tests/fixtures/penalty/nhsic.json

Needs mpmath (it comes with PyTorch). Formulas as in the authors' MI/hsic.py: centring on the right only, and a general
inverse; 50 digits, so that neither the ridge of 4e-5 nor the central differences cost any of the printed ones.
"""
import json

import mpmath as mp

mp.mp.dps = 50
SIGMA, EPSILON, M = mp.mpf(5), mp.mpf("1e-5"), 4
X = mp.matrix([[".1", ".5", ".9"], [".8", ".2", ".4"], [".3", ".3", ".7"], [".6", ".9", "0"]])
Z = mp.matrix([["1", "-.5"], ["-1.2", ".3"], [".4", ".8"], ["0", "-1.5"]])


def smoother(rows):
    def kernel(i, j):
        distance = sum((rows[i, k] - rows[j, k]) ** 2 for k in range(rows.cols))
        return mp.exp(-distance / (2 * SIGMA**2 * rows.cols))

    centring = mp.eye(M) - mp.ones(M) / M
    centred = mp.matrix([[kernel(i, j) for j in range(M)] for i in range(M)]) * centring
    return centred * mp.inverse(centred + EPSILON * M * mp.eye(M))


def nhsic(x, z):
    product = smoother(x) * smoother(z)
    return sum(product[i, i] for i in range(M))


def moved(z, i, k, step):
    z = z.copy()
    z[i, k] += step
    return z


def slope(function, i, k):
    step = mp.mpf("1e-15")
    return (function(i, k, step) - function(i, k, -step)) / (2 * step)


def shown(matrix):
    return [[float(matrix[i, k]) for k in range(matrix.cols)] for i in range(matrix.rows)]


def gradient(function, columns):
    return [[float(mp.nstr(slope(function, i, k), 16)) for k in range(columns)] for i in range(M)]


print(
    json.dumps(
        {
            "sigma": float(SIGMA),
            "epsilon": float(EPSILON),
            "x": shown(X),
            "z": shown(Z),
            "nhsic": float(mp.nstr(nhsic(X, Z), 16)),
            "by_x": gradient(lambda i, k, step: nhsic(moved(X, i, k, step), Z), X.cols),
            "by_z": gradient(lambda i, k, step: nhsic(X, moved(Z, i, k, step)), Z.cols),
        },
        indent=1,
    )
)
