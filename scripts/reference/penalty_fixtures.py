#!/usr/bin/env python3
"""The reference numbers of train/src/penalty: value and gradient of nHSIC on the four samples of `testing::vectors`.

    python3 scripts/reference/penalty_fixtures.py

Needs mpmath (it comes with PyTorch). Formulas as in the authors' MI/hsic.py: centring on the right only, and a general
inverse; 50 digits, so that neither the ridge of 4e-5 nor the central differences cost any of the printed ones.
"""
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


print("nHSIC", mp.nstr(nhsic(X, Z), 16))
step = mp.mpf("1e-15")
for i in range(M):
    for k in range(Z.cols):
        difference = nhsic(X, moved(Z, i, k, step)) - nhsic(X, moved(Z, i, k, -step))
        print(f"d/dz[{i}][{k}]", mp.nstr(difference / (2 * step), 14))
