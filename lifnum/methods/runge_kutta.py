"""Explicit Runge-Kutta methods: stages, written out for a tableau by `kernels.general.stages`."""

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.general.engine import RISE
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
def stages_flow(e, c, y, h, out):
    """out = the state after a step h.

    Row RISE: the threshold variable's slope at the start, and what it cannot rise above before h.
    """
    call(e.flow, (c.p, y, h, c.room[RISE], out))


@kernel
def stages_rate(e, c, y, h, out):
    """out = d/dh of the state after a step h."""
    call(e.rate, (c.p, y, h, out))


@kernel
def stages_pull(e, c, y, h, lam, out):
    """out = (derivative of the state after a step h by y)^T lam; out may be lam."""
    call(e.pull, (c.p, y, h, lam, out))
