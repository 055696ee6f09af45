"""Where a step of any method first reaches the threshold, and how that moves with its chord."""

import math

import numpy as np

from lifnum.compiler import by_class, call, kernel
from lifnum.kernels.general.engine import (
    DECAY,
    END,
    POLYNOMIAL,
    RATE_AT,
    RESULT,
    RISE,
    ROW,
    SLOPE,
    Exponential,
    Series,
    Stages,
    Step,
)
from lifnum.kernels.general.flow import moves, state_at
from lifnum.kernels.lif.crossing import first_root_polynomial
from lifnum.methods.exponential import exponential_flow, exponential_root
from lifnum.methods.runge_kutta import stages_flow, stages_rate

NO_CROSSING = -1.0

EPS = 2.0**-52


@kernel
def series_crossing(e, c, y, step, reached, out):
    """First s in (0, h] where the threshold variable's polynomial reaches theta, or NO_CROSSING."""
    v, r, room, theta, h, order = e.v, c.r, c.room, c.theta, step.h, step.order
    size = bend = 0.0
    for k in range(order, -1, -1):
        size += abs(r[v, k])
        bend += k * (k - 1) * max(-r[v, k], 0.0)
    # above its ends the polynomial rises by at most an eighth of what its second derivative falls
    if not reached:
        if (max(r[v, 0], room[END, v]) + 0.125 * bend) + 8.0 * EPS * size < theta:
            return NO_CROSSING
    if reached and steady(r[v], order):
        return h * series_root(r[v], order, theta)
    q = room[POLYNOMIAL, : order + 1]
    for k in range(order + 1):
        q[k] = r[v, k]
    q[0] -= theta
    x = first_root_polynomial(q, 1.0)
    if x < 0.0:
        return NO_CROSSING
    for _ in range(2):  # polish on the series itself, free of re-expansion errors
        value, slope = value_and_slope(r[v], order, x)
        better = x + (theta - value) / slope if slope > 0.0 else x
        if abs(better - x) <= 1e-6 * x:
            x = better
    return x * h


@kernel
def value_and_slope(q, order, x):
    value = slope = 0.0
    for k in range(order, -1, -1):
        slope = slope * x + value
        value = value * x + q[k]
    return value, slope


@kernel
def steady(q, order):
    """Whether a polynomial rises on all of [0, 1], by the signs of its coefficients."""
    least = 0.0
    for k in range(order, 0, -1):
        least += k * min(q[k], 0.0) if k > 1 else q[1]
    return least > 0.0


@kernel
def series_root(q, order, theta):
    """Where in (0, 1] a polynomial that rises reaches theta: Newton's method in a bracket."""
    low, top = 0.0, 1.0
    x = 1.0
    for turn in range(200):
        value, slope = value_and_slope(q, order, x)
        if value >= theta:
            top = x
        else:
            low = x
        better = x + (theta - value) / slope
        change = abs(better - x)
        if change <= 2.0 * EPS * x:
            return better
        if not low < better < top or (turn > 8 and turn % 2 == 1):
            better = 0.5 * (low + top)
            if not low < better < top:
                return top
        x = better
    return x


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
def cubic_root(gap, rise, begin, end):
    """About where in (0, 1] the cubic of `cubic_peak` has risen by gap, from the chord on."""
    x = gap / rise
    c3, c2 = begin + end - 2.0 * rise, 3.0 * rise - 2.0 * begin - end
    for _ in range(4):
        value = ((c3 * x + c2) * x + begin) * x
        slope = (3.0 * c3 * x + 2.0 * c2) * x + begin
        better = x + (gap - value) / slope if slope > 0.0 else -1.0
        if not 0.0 < better <= 1.0:
            break
        x = better
    return x


@kernel
def stages_crossing(e, c, y, step, reached, out):
    """First s in (0, h] where the threshold variable reaches theta, or NO_CROSSING.

    An end, or a peak of the cubic through both ends, at or above theta, and what is before it.
    Row END holds the state at h, and row RISE is that of its step; out receives the state at s.
    """
    v, room, theta, h = e.v, c.room, c.theta, step.h
    if not reached and room[RISE, 1] < theta:
        return NO_CROSSING
    begin, rise = h * room[RISE, 0], room[END, v] - y[v]
    call(e.field, (c.p, room[END], room[RATE_AT]))
    end = h * room[RATE_AT, v]
    high, at_high, found = h, room[END, v], reached
    # the cubic is monotone where its slopes are at most three times the chord's (Fritsch & Carlson)
    if not (reached and 0.0 < begin <= 3.0 * rise and 0.0 < end <= 3.0 * rise):
        stages_rate(e, c, y, h, room[RATE_AT])
        end = h * room[RATE_AT, v]
        x = cubic_peak(rise, begin, end)
        if x > 0.0 and x * h > 0.0:
            stages_flow(e, c, y, x * h, out)
            if out[v] >= theta:
                found, high, at_high = True, x * h, out[v]
    if not found:
        return NO_CROSSING
    if high == h:
        s = h * cubic_root(theta - y[v], rise, begin, end)
    else:
        s = high * ((theta - y[v]) / (at_high - y[v]))
    call(e.root, (c.p, y, theta, s, high, room[RESULT], out))
    return room[RESULT, 0]


@kernel
def exponential_crossing(e, c, y, step, reached, out):
    """First s in (0, h] where the threshold variable, which is monotone, reaches theta."""
    if not reached:
        return NO_CROSSING
    exponential_flow(e, c, y, step.h, out)
    room = c.room
    return exponential_root(c.theta - y[e.v], room[SLOPE, e.v], room[DECAY, e.v], step.h)


_dense_crossing = by_class(
    {Stages: stages_crossing, Series: series_crossing, Exponential: exponential_crossing}
)


@kernel
def crossing(e, c, y, step, out):
    """First s in (0, h] where the threshold variable reaches theta, or NO_CROSSING.

    After `flow` of h into row END. What is stored there decides, and the root is clamped into
    (0, h]; otherwise only a peak inside can cross. out is scratch, but see `arrive`.
    """
    v, h, end = e.v, step.h, c.room[END, e.v]
    reached = end >= c.theta
    if h == 0.0 or (not reached and e.chords):
        return NO_CROSSING
    if e.chords:
        rise, gap = end - y[v], c.theta - y[v]
        s = h * (gap / rise) if rise > gap else h
    else:
        s = _dense_crossing(e, c, y, step, reached, out)
    if s < 0.0:
        return h if reached else NO_CROSSING
    s = min(s, h)
    return s if s > 0.0 else min(h, np.nextafter(0.0, 1.0))


@kernel
def _stages_arrive(e, c, y, step, out):
    if e.chords:  # else the search for the root has left it there
        state_at(e, c, y, step, out)


# out = the state at the s that `crossing` has found just before: (e, c, y, step, out)
arrive = by_class({Stages: _stages_arrive, Series: state_at, Exponential: state_at})


@kernel
def chord_pull(e, c, y, step, out):
    """Derivatives of a chord's crossing s by y (into out) and by h; returns (d s / d h, d).

    d is the rise of the chord; where it is not positive they mean nothing.
    """
    v, h, room = e.v, step.h, c.room
    for i in range(e.n):
        room[ROW, i] = 0.0
    room[ROW, v] = 1.0
    moves(e, c, y, Step(h, h, step.order), room[ROW], room[END], room[RATE_AT], out)
    d = room[END, v] - y[v]
    if not d > 0.0:
        return 0.0, d
    x = (c.theta - y[v]) / d
    for i in range(e.n):
        out[i] *= -h * x / d
    out[v] += h * x / d - h / d
    return x - (h * x / d) * room[RATE_AT, v], d
