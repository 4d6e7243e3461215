"""Logistic regression whose weights never speak against: a sign of a piece is evidence for a crack, or nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

RIDGE = 3.0
"""Pulls weights of standardised signs towards 0."""


def logistic(signs: Floats, true: Bool, weight: Floats) -> tuple[float, Floats, Floats]:
    """Constant, weights (K,) and typical signs (K,) of ridge-regularised logistic regression; weights are 0 or more.

    `signs` (N, K), `true` (N,), `weight` (N,) of each piece. The typical signs are the means of the true pieces.
    """
    typical = signs[true].mean(axis=0)
    spread = signs.std(axis=0) + 1e-9
    used = np.ones(signs.shape[1], np.bool_)
    while True:
        found = _newton((signs[:, used] - typical[used]) / spread[used], true, weight / weight.mean())
        if (found[:-1] >= 0).all():
            break
        used[np.flatnonzero(used)[int(found[:-1].argmin())]] = False
    weights = np.zeros(signs.shape[1])
    weights[used] = found[:-1] / spread[used]
    return float(found[-1]), weights, typical


def _newton(x: Floats, true: Bool, weight: Floats) -> Floats:
    x = np.column_stack((x, np.ones(len(x))))
    ridge = np.diag([RIDGE] * (x.shape[1] - 1) + [1e-6])
    found = np.zeros(x.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        slope = x.T @ (weight * (chance - true)) + ridge @ found
        step = np.linalg.solve((x * (weight * chance * (1 - chance))[:, None]).T @ x + ridge, slope)
        found = found - step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(found)
