"""Explicit Runge-Kutta methods: stages of the field."""

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.elementary import fma
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
def stage(e, y, h, i, room):
    """Where stage i looks at the field, in row POINT."""
    for m in range(e.n):
        room[POINT, m] = y[m]
    for j in range(i):
        if e.a[i, j] != 0.0:
            for m in range(e.n):
                room[POINT, m] = fma(h * e.a[i, j], room[FIRST_STAGE + j, m], room[POINT, m])


@kernel
def stages_flow(e, c, y, h, out):
    """out = the state after a step h; the stages' slopes stay in the rows from FIRST_STAGE."""
    room = c.room
    for i in range(len(e.b)):
        stage(e, y, h, i, room)
        call(e.field, (c.p, room[POINT], room[FIRST_STAGE + i]))
    for m in range(e.n):
        total = e.b[0] * room[FIRST_STAGE, m]
        for i in range(1, len(e.b)):
            total = fma(e.b[i], room[FIRST_STAGE + i, m], total)
        out[m] = fma(h, total, y[m])


@kernel
def stages_rate(e, c, y, h, out):
    """out = d/dh of the state after a step h."""
    room, n_stages = c.room, len(e.b)
    for i in range(n_stages):
        stage(e, y, h, i, room)
        call(e.field, (c.p, room[POINT], room[FIRST_STAGE + i]))
        for m in range(e.n):
            slope = turn = 0.0
            for j in range(i):
                slope += e.a[i, j] * room[FIRST_STAGE + j, m]
                turn += e.a[i, j] * room[FIRST_STAGE + n_stages + j, m]
            room[RATE, m] = slope + h * turn
        call(e.field_along, (c.p, room[POINT], room[RATE], room[FIRST_STAGE + n_stages + i]))
    for m in range(e.n):
        slope = turn = 0.0
        for i in range(n_stages):
            slope += e.b[i] * room[FIRST_STAGE + i, m]
            turn += e.b[i] * room[FIRST_STAGE + n_stages + i, m]
        out[m] = slope + h * turn


@kernel
def stages_pull(e, c, y, h, lam, out):
    """out = (derivative of the state after a step h by y)^T lam; out may be lam."""
    room, n_stages = c.room, len(e.b)
    for i in range(n_stages):
        stage(e, y, h, i, room)
        call(e.field, (c.p, room[POINT], room[FIRST_STAGE + i]))
    for i in range(n_stages - 1, -1, -1):
        for m in range(e.n):
            total = e.b[i] * lam[m]
            for j in range(i + 1, n_stages):
                total += e.a[j, i] * room[FIRST_STAGE + n_stages + j, m]
            room[RATE, m] = h * total
        stage(e, y, h, i, room)
        call(e.field_transpose, (c.p, room[POINT], room[RATE], room[FIRST_STAGE + n_stages + i]))
    for m in range(e.n):
        total = lam[m]
        for i in range(n_stages):
            total += room[FIRST_STAGE + n_stages + i, m]
        out[m] = total


@kernel
def steepest(e, room):
    """The fastest that the threshold variable rises from the start of a step, by its stages.

    The mean of a shorter step's stages lies between theirs and the field's at the start.
    """
    largest, size, negative = -np.inf, 0.0, False
    for i in range(len(e.b)):
        slope = room[FIRST_STAGE + i, e.v]
        largest = slope if i == 0 or slope > largest else largest
        size = max(size, abs(slope))
        negative = negative or e.b[i] < 0.0
    if not negative:
        return largest
    total = 0.0
    for i in range(len(e.b)):
        total += abs(e.b[i])
    return total * size
