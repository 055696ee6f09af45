"""Explicit Runge-Kutta methods: stages of the field."""

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.general.engine import FIRST_STAGE, POINT, RATE

# name -> (a, b): y + h sum b_i k_i, k_i = f(y + h sum_{j < i} a_ij k_j)
TABLEAUS = {
    "euler": ([[0.0]], [1.0]),
    "rk2": ([[0.0, 0.0], [0.5, 0.0]], [0.0, 1.0]),
    "rk4": (
        [[0.0] * 4, [0.5, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
        [1 / 6, 1 / 3, 1 / 3, 1 / 6],
    ),
}

MAX_STAGES = 16


def tableau(a, b):
    """(a, b) as arrays.

    Raises
    ------
    ValueError
        Not the coefficients of an explicit method of 1 to 16 stages.
    """
    try:
        a, b = np.array(a, np.float64), np.array(b, np.float64)
    except (TypeError, ValueError):
        a, b = np.empty(0), np.empty(0)
    n = len(b) if b.ndim == 1 else 0
    if not 1 <= n <= MAX_STAGES or a.shape != (n, n):
        raise ValueError(
            f"tableau has a of shape {a.shape} and b of {b.shape}; accepted: (n, n) and (n,), n "
            f"from 1 to {MAX_STAGES}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or np.triu(a).any():
        raise ValueError(
            "tableau is not of an explicit method; accepted: finite numbers, a zero on and above "
            "its diagonal"
        )
    return a, b


@kernel
def stage(e, p, y, h, i, room):
    """Where stage i looks at the field, in row POINT."""
    for m in range(e.n):
        total = 0.0
        for j in range(i):
            total += e.a[i, j] * room[FIRST_STAGE + j, m]
        room[POINT, m] = y[m] + h * total


@kernel
def stages_flow(e, p, y, h, room, out):
    """out = the state after a step h; the stages' slopes stay in the rows from FIRST_STAGE."""
    for i in range(len(e.b)):
        stage(e, p, y, h, i, room)
        call(e.field, (p, room[POINT], room[FIRST_STAGE + i]))
    for m in range(e.n):
        total = 0.0
        for i in range(len(e.b)):
            total += e.b[i] * room[FIRST_STAGE + i, m]
        out[m] = y[m] + h * total


@kernel
def stages_rate(e, p, y, h, room, out):
    """out = d/dh of the state after a step h."""
    n_stages = len(e.b)
    for i in range(n_stages):
        stage(e, p, y, h, i, room)
        call(e.field, (p, room[POINT], room[FIRST_STAGE + i]))
        for m in range(e.n):
            slope = turn = 0.0
            for j in range(i):
                slope += e.a[i, j] * room[FIRST_STAGE + j, m]
                turn += e.a[i, j] * room[FIRST_STAGE + n_stages + j, m]
            room[RATE, m] = slope + h * turn
        call(e.field_along, (p, room[POINT], room[RATE], room[FIRST_STAGE + n_stages + i]))
    for m in range(e.n):
        slope = turn = 0.0
        for i in range(n_stages):
            slope += e.b[i] * room[FIRST_STAGE + i, m]
            turn += e.b[i] * room[FIRST_STAGE + n_stages + i, m]
        out[m] = slope + h * turn


@kernel
def stages_pull(e, p, y, h, lam, room, out):
    """out = (derivative of the state after a step h by y)^T lam; out may be lam."""
    n_stages = len(e.b)
    for i in range(n_stages):
        stage(e, p, y, h, i, room)
        call(e.field, (p, room[POINT], room[FIRST_STAGE + i]))
    for i in range(n_stages - 1, -1, -1):
        for m in range(e.n):
            total = e.b[i] * lam[m]
            for j in range(i + 1, n_stages):
                total += e.a[j, i] * room[FIRST_STAGE + n_stages + j, m]
            room[RATE, m] = h * total
        stage(e, p, y, h, i, room)
        call(e.field_transpose, (p, room[POINT], room[RATE], room[FIRST_STAGE + n_stages + i]))
    for m in range(e.n):
        total = lam[m]
        for i in range(n_stages):
            total += room[FIRST_STAGE + n_stages + i, m]
        out[m] = total
