"""A step of any method: the state after s, its derivatives, and where it reaches the threshold.

Symbols as in `lifnum.methods`.
"""

import math

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.general.engine import (
    DECAY,
    DENSE,
    END,
    EXPONENTIAL,
    FIRST_STAGE,
    LINEAR,
    MAX_ORDER,
    POLYNOMIAL,
    RATE_AT,
    ROW,
    SERIES,
    SLOPE,
    STAGES,
)
from lifnum.kernels.lif.crossing import first_root_polynomial
from lifnum.methods.exponential import (
    exponential_flow,
    exponential_pull,
    exponential_rate,
    exponential_root,
)
from lifnum.methods.runge_kutta import stages_flow, stages_pull, stages_rate
from lifnum.methods.taylor import (
    series_at,
    series_expand,
    series_expand_all,
    series_pull,
    series_rate,
)

FAILED = -1  # not finite, or a series that did not converge

NO_CROSSING = -1.0

EPS = 2.0**-52


@kernel
def flow(e, p, y, h, last, room, r, out):
    """out = the state after a step h from y; the order used, or FAILED.

    last: a step that cannot be cut again, whose series counts as it is.
    """
    order = e.order
    if h == 0.0:
        for i in range(e.n):
            out[i] = y[i]
    elif e.family == SERIES:
        order = series_expand(e, p, y, h, e.order, e.tolerance, r, room)
        if order < 0:
            if not last:
                return FAILED
            order = MAX_ORDER
        series_at(e, r, order, 1.0, out)
    elif e.family == STAGES:
        stages_flow(e, p, y, h, room, out)
    else:
        exponential_flow(e, p, y, h, room, out)
    for i in range(e.n):
        if not math.isfinite(out[i]):
            return FAILED
    return order


@kernel
def state_at(e, p, y, h, s, order, room, r, out):
    """out = the state after s of a step planned for h, whose series r still holds."""
    if h == 0.0:
        for i in range(e.n):
            out[i] = y[i]
    elif e.family == SERIES:
        series_at(e, r, order, s / h, out)
    elif e.family == STAGES:
        stages_flow(e, p, y, s, room, out)
    else:
        exponential_flow(e, p, y, s, room, out)


@kernel
def prepare(e, p, y, h, order, r):
    """Before `rate`, `pull` and `state_at` of a piece that was simulated before."""
    if e.family == SERIES and h > 0.0:
        series_expand_all(e, p, y, h, order, r)


@kernel
def rate(e, p, y, h, s, order, room, r, out):
    """out = d/ds of the state after s."""
    if h == 0.0:
        call(e.field, (p, y, out))
    elif e.family == SERIES:
        series_rate(e, r, order, s / h, h, out)
    elif e.family == STAGES:
        stages_rate(e, p, y, s, room, out)
    else:
        exponential_rate(e, p, y, s, room, out)


@kernel
def pull(e, p, y, h, s, order, lam, room, r, out):
    """out = (derivative of the state after s by y)^T lam; out may be lam."""
    if h == 0.0:
        for i in range(e.n):
            out[i] = lam[i]
    elif e.family == SERIES:
        first = FIRST_STAGE + 2 * max(len(e.b), 1)
        series_pull(e, r, order, s / h, h, lam, room, first, out)
    elif e.family == STAGES:
        stages_pull(e, p, y, s, lam, room, out)
    else:
        exponential_pull(e, p, y, s, lam, room, out)


@kernel
def series_crossing(e, theta, h, order, reached, room, r):
    """First s in (0, h] where the threshold variable's polynomial reaches theta, or NO_CROSSING."""
    v = e.v
    size = bend = 0.0
    for k in range(order + 1):
        size += abs(r[v, k])
        bend += k * (k - 1) * max(-r[v, k], 0.0)
    # above its ends the polynomial rises by at most an eighth of what its second derivative falls
    if not reached:
        if max(r[v, 0], room[END, v]) + 0.125 * bend < theta - 8.0 * EPS * size:
            return NO_CROSSING
    q = room[POLYNOMIAL, : order + 1]
    for k in range(order + 1):
        q[k] = r[v, k]
    q[0] -= theta
    x = first_root_polynomial(q, 1.0)
    if x < 0.0:
        return NO_CROSSING
    for _ in range(2):  # polish on the series itself, free of re-expansion errors
        value = slope = 0.0
        for k in range(order, -1, -1):
            slope = slope * x + value
            value = value * x + r[v, k]
        better = x + (theta - value) / slope if slope > 0.0 else x
        if abs(better - x) <= 1e-6 * x:
            x = better
    return x * h


@kernel
def cubic_peak(rise, begin, end):
    """x in (0, 1) of the peak of the cubic with these slopes and this rise, or NO_CROSSING."""
    c2, c1, c0 = 3.0 * (begin + end - 2.0 * rise), 2.0 * (3.0 * rise - 2.0 * begin - end), begin
    discriminant = c1 * c1 - 4.0 * c2 * c0
    if not discriminant > 0.0:
        return NO_CROSSING
    root = math.sqrt(discriminant)
    if c1 <= 0.0:
        x = 2.0 * c0 / (root - c1)
    elif c2 != 0.0:
        x = -(c1 + root) / (2.0 * c2)
    else:
        return NO_CROSSING
    return x if 0.0 < x < 1.0 else NO_CROSSING


@kernel
def stages_crossing(e, p, theta, y, h, reached, room, r, out):
    """As `series_crossing`, for stages: an end or a peak at or above theta, and what is before it.

    Row END holds the state at h, the rows from FIRST_STAGE the slopes; out is scratch.
    """
    v, high, at_high = e.v, h, room[END, e.v]
    begin = h * room[FIRST_STAGE, v]
    stages_rate(e, p, y, h, room, room[RATE_AT])
    x = cubic_peak(room[END, v] - y[v], begin, h * room[RATE_AT, v])
    found = reached
    if x > 0.0 and x * h > 0.0:
        stages_flow(e, p, y, x * h, room, out)
        if out[v] >= theta:
            found, high, at_high = True, x * h, out[v]
    if not found:
        return NO_CROSSING
    low, top = 0.0, high
    s = high * ((theta - y[v]) / (at_high - y[v]))
    for _ in range(200):
        if not low < s < top:
            s = 0.5 * (low + top)
            if not low < s < top:
                break
        stages_flow(e, p, y, s, room, out)
        missing = theta - out[v]
        if missing <= 0.0:
            top = s
        else:
            low = s
        stages_rate(e, p, y, s, room, room[RATE_AT])
        slope = room[RATE_AT, v]
        if not slope > 0.0:
            s = 0.5 * (low + top)
            continue
        step = missing / slope
        s += step
        if abs(step) <= 2.0 * EPS * s:
            break
    return min(max(s, 0.0), high)


@kernel
def crossing(e, p, theta, y, h, order, room, r, out):
    """First s in (0, h] where the threshold variable reaches theta, or NO_CROSSING.

    After `flow` of h into row END. What is stored there decides, and the root is clamped into
    (0, h]; otherwise only a peak inside can cross. out is scratch.
    """
    v = e.v
    reached = room[END, v] >= theta
    if h == 0.0 or (not reached and (e.interpolation != DENSE or e.family == EXPONENTIAL)):
        return NO_CROSSING
    if e.interpolation == LINEAR:
        rise, gap = room[END, v] - y[v], theta - y[v]
        s = h * (gap / rise) if rise > gap else h
    elif e.family == SERIES:
        s = series_crossing(e, theta, h, order, reached, room, r)
    elif e.family == STAGES:
        s = stages_crossing(e, p, theta, y, h, reached, room, r, out)
    else:
        exponential_flow(e, p, y, h, room, out)
        s = exponential_root(theta - y[v], room[SLOPE, v], room[DECAY, v], h)
    if s < 0.0:
        return h if reached else NO_CROSSING
    s = min(s, h)
    return s if s > 0.0 else min(h, np.nextafter(0.0, 1.0))


@kernel
def chord_pull(e, p, theta, y, h, order, room, r, out):
    """Derivatives of a chord's crossing s by y (into out) and by h; returns (d s / d h, d).

    d is the rise of the chord; where it is not positive nothing is written.
    """
    v = e.v
    state_at(e, p, y, h, h, order, room, r, room[END])
    d = room[END, v] - y[v]
    if not d > 0.0:
        return 0.0, d
    x = (theta - y[v]) / d
    for i in range(e.n):
        room[ROW, i] = 0.0
    room[ROW, v] = 1.0
    pull(e, p, y, h, h, order, room[ROW], room, r, out)
    for i in range(e.n):
        out[i] *= -h * x / d
    out[v] += h * x / d - h / d
    rate(e, p, y, h, h, order, room, r, room[RATE_AT])
    return x - (h * x / d) * room[RATE_AT, v], d
