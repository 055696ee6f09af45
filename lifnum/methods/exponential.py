"""Exponential Euler: each variable's own decay d_i = df_i/dy_i is exact.

y_i + s f_i phi_1(s d_i), with phi_1(x) = expm1(x) / x.
"""

import math

from lifnum.compiler import call, kernel
from lifnum.kernels.elementary import exp, fma, phi
from lifnum.kernels.general.engine import DECAY, POINT, RATE, SLOPE


@kernel
def exponential_flow(e, c, y, s, out):
    """out = the state after s; f and d stay in the rows SLOPE and DECAY."""
    room = c.room
    call(e.field, (c.p, y, room[SLOPE]))
    call(e.diagonal, (c.p, y, room[DECAY]))
    for i in range(e.n):
        out[i] = fma(s * room[SLOPE, i], phi(1, s * room[DECAY, i]), y[i])


@kernel
def exponential_rate(e, c, y, s, out):
    """out = d/ds of the state after s."""
    room = c.room
    call(e.field, (c.p, y, room[SLOPE]))
    call(e.diagonal, (c.p, y, room[DECAY]))
    for i in range(e.n):
        out[i] = room[SLOPE, i] * exp(s * room[DECAY, i])


@kernel
def exponential_pull(e, c, y, s, lam, out):
    """out = (derivative of the state after s by y)^T lam; out may be lam."""
    room = c.room
    call(e.field, (c.p, y, room[SLOPE]))
    call(e.diagonal, (c.p, y, room[DECAY]))
    for i in range(e.n):
        room[RATE, i] = lam[i] * s * phi(1, s * room[DECAY, i])
    call(e.field_transpose, (c.p, y, room[RATE], room[POINT]))
    for i in range(e.n):
        x = s * room[DECAY, i]
        bend = phi(1, x) - phi(2, x)  # of phi_1
        room[RATE, i] = lam[i] * s * s * room[SLOPE, i] * bend
        out[i] = lam[i] + room[POINT, i]
    call(e.diagonal_transpose, (c.p, y, room[RATE], room[POINT]))
    for i in range(e.n):
        out[i] += room[POINT, i]


@kernel
def exponential_root(gap, f, d, h):
    """When a variable of slope f and decay d has risen by gap, at most h."""
    linear = gap / f
    x = d * linear
    s = linear * (math.log1p(x) / x) if x != 0.0 else linear
    return min(max(s, 0.0), h) if s == s else h
