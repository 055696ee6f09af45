"""Power series (Parker & Sochacki 1996; Stewart & Bair 2009), of fixed or adaptive order.

r holds Taylor coefficients with the powers of the planned length h inside, so that the state after
s is their polynomial at x = s / h.
"""

from lifnum.compiler import call, kernel
from lifnum.kernels.general.engine import TAIL


@kernel
def series_expand(e, c, y, h, order, tolerance):
    """Coefficients of the state; the order used, or -1: they do not converge to a tolerance."""
    return call(e.expand, (c.p, y, h, order, tolerance, c.r, c.reach))


@kernel
def series_expand_all(e, c, y, h, order):
    """Coefficients of the state and, below the order, of the field's Jacobian."""
    for i in range(e.n):
        c.r[i, 0] = y[i]
    for k in range(order):
        call(e.jacobian_term, (c.p, c.r, k, h))


@kernel
def series_at(e, r, order, x, out):
    for i in range(e.n):
        total = 0.0
        for k in range(order, -1, -1):
            total = total * x + r[i, k]
        out[i] = total


@kernel
def series_rate(e, r, order, x, h, out):
    """out = d/ds of the state at x = s / h."""
    for i in range(e.n):
        total = 0.0
        for k in range(order, 0, -1):
            total = total * x + k * r[i, k]
        out[i] = total / h


@kernel
def series_pull(e, c, y, step, lam, out):
    """out = (derivative of the state after s by y)^T lam; out may be lam.

    After `series_expand_all`: y_{k+1} is h / (k + 1) times the field's k-th coefficient, whose
    derivative by the state's j-th is coefficient k - j of the Jacobian. That recurrence backwards.
    """
    r, room, x, power = c.r, c.room, step.s / step.h, 1.0
    for k in range(step.order + 1):
        for i in range(e.n):
            room[TAIL + i, k] = lam[i] * power
        power *= x
    for k in range(step.order - 1, -1, -1):
        factor = step.h / (k + 1)
        for m in range(len(e.entries)):
            weight = factor * room[TAIL + e.entries[m, 0], k + 1]
            to, row = TAIL + e.entries[m, 1], e.entries[m, 2]
            if e.entries[m, 3] != 0:
                room[to, k] += r[row, 0] * weight
            else:
                for j in range(k + 1):
                    room[to, j] += r[row, k - j] * weight
    for i in range(e.n):
        out[i] = room[TAIL + i, 0]
