"""Explicit Runge-Kutta methods: stages of the field."""

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.general.engine import FIRST_STAGE, POINT, RATE
from lifnum.methods.tableau import RungeKutta

TABLEAUS = {
    "euler": RungeKutta(a=[[0]], b=[1]),
    "rk2": RungeKutta(a=[[0, 0], [1 / 2, 0]], b=[0, 1]),
    "rk4": RungeKutta(
        a=[[0, 0, 0, 0], [1 / 2, 0, 0, 0], [0, 1 / 2, 0, 0], [0, 0, 1, 0]],
        b=[1 / 6, 1 / 3, 1 / 3, 1 / 6],
    ),
}


def coefficients(method):
    """(a, b) as arrays, of a name in TABLEAUS or a `RungeKutta`."""
    method = TABLEAUS.get(method, method)
    return np.array(method.a, np.float64), np.array(method.b, np.float64)


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
