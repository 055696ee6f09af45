"""The adjoint of one neuron through a sub-interval that `walk` left the pieces of."""

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.general.crossing import chord_pull
from lifnum.kernels.general.engine import (
    AFTER,
    AT,
    BY_END,
    BY_FIRED,
    BY_HOLD,
    BY_START,
    DENSE,
    END,
    LAM,
    PULLED,
    RATE_AT,
    RESULT,
    SLOPE,
    UNIT,
    Step,
)
from lifnum.kernels.general.flow import moves, prepare, pull, rate, state_at
from lifnum.kernels.general.walk import FIRED, HELD, RELEASED, SPIKED, copy, hold


@kernel
def step_of(pieces, k):
    """Piece k as a step, up to its spike."""
    return Step(pieces.length[k, 0], pieces.length[k, 1], np.int64(pieces.order[k]))


@kernel
def spike_back(e, c, k, pieces, tau, tally):
    """Row LAM through piece k, backwards over the spike and reset that end it.

    tau: derivative by the spike's time. Returns (adjoint of the interval's end, of the piece's
    start).
    """
    y, step, v, room = pieces.state[k], step_of(pieces, k), e.v, c.room
    lam = room[LAM]
    prepare(e, c, y, step)
    state_at(e, c, y, step, room[AT])
    room[AT, v] = c.theta
    call(e.reset_transpose, (c.p, room[AT], lam, room[END]))
    copy(e, room, END, LAM)
    lam[v] = 0.0  # the threshold variable is a constant there
    if e.interpolation == DENSE:
        rate(e, c, y, step, room[RATE_AT])
        slope = room[RATE_AT, v]
        if slope > 0.0:
            sigma = tau
            for i in range(e.n):
                sigma += lam[i] * room[RATE_AT, i]
            lam[v] = -sigma / slope
        else:
            tally[0] += 1
        pull(e, c, y, step, lam, lam)
        return 0.0, tau
    s_h, d = chord_pull(e, c, y, step, room[UNIT])
    moves(e, c, y, step, lam, room[END], room[RATE_AT], room[PULLED])
    sigma = tau
    for i in range(e.n):
        sigma += lam[i] * room[RATE_AT, i]
    copy(e, room, PULLED, LAM)
    if not d > 0.0:
        tally[0] += 1
        return 0.0, tau
    for i in range(e.n):
        lam[i] += sigma * room[UNIT, i]
    s_r = s_h * 0.5 ** pieces.cuts[k]
    return sigma * s_r, tau - sigma * s_r


@kernel
def seen_back(e, c, k, pieces, e_q, tally):
    """Add to row LAM what a spike that changes nothing gives, of derivative e_q.

    Returns as `spike_back`.
    """
    y, step, v, room = pieces.state[k], step_of(pieces, k), e.v, c.room
    s_r = 0.0
    if e.interpolation == DENSE:
        rate(e, c, y, step, room[RATE_AT])
        slope = room[RATE_AT, v]
        for i in range(e.n):
            room[UNIT, i] = 0.0
        if slope > 0.0:
            room[UNIT, v] = -1.0 / slope
            pull(e, c, y, step, room[UNIT], room[UNIT])
        rises = slope > 0.0
    else:
        s_h, d = chord_pull(e, c, y, step, room[UNIT])
        s_r = s_h * 0.5 ** pieces.cuts[k]
        rises = d > 0.0
    if not rises:
        tally[0] += 1
        return 0.0, e_q
    for i in range(e.n):
        room[LAM, i] += e_q * room[UNIT, i]
    return e_q * s_r, e_q * (1.0 - s_r)


@kernel
def note_fired(e, c, by_time):
    """Leave what `lifted` needs of a spike that is FIRED."""
    c.room[RESULT, BY_FIRED] = by_time
    copy(e, c.room, LAM, AFTER)


@kernel
def interval_back(e, c, pieces, d_times, parts, tally, first, last):
    """Row LAM from the end to the start of a sub-interval of pieces first .. last - 1.

    Row RESULT receives the derivatives by the interval's start and end, and adds to that by the end
    of the hold, which is the spike's that began it. `parts` is not used.
    """
    room = c.room
    end = alpha = 0.0
    by_hold = room[RESULT, BY_HOLD]
    for k in range(last - 1, first - 1, -1):
        y, h, q = pieces.state[k], pieces.length[k, 0], pieces.spike[k]
        if pieces.kind[k] == FIRED:
            note_fired(e, c, d_times[q] + by_hold)
            if e.has_reset:
                call(e.reset_transpose, (c.p, y, room[LAM], room[END]))
                copy(e, room, END, LAM)
            alpha += d_times[q] + by_hold
            by_hold = 0.0
        elif pieces.kind[k] == SPIKED:
            more, alpha = spike_back(e, c, k, pieces, d_times[q] + alpha + by_hold, tally)
            by_hold = 0.0
            end += more
        else:
            hold(e, c, pieces.kind[k] in (HELD, RELEASED))
            step = Step(h, h, np.int64(pieces.order[k]))
            prepare(e, c, y, step)
            moves(e, c, y, step, room[LAM], room[END], room[RATE_AT], room[PULLED])
            f = 0.0
            for i in range(e.n):
                f += room[LAM, i] * room[RATE_AT, i]
            copy(e, room, PULLED, LAM)
            part = 0.5 ** pieces.cuts[k]
            total = alpha + f
            if pieces.kind[k] == RELEASED:
                by_hold += part * total
            else:
                end += part * total
            alpha = (1.0 - part) * total - f
            if q >= 0:
                more, begin = seen_back(e, c, k, pieces, d_times[q], tally)
                end += more
                alpha += begin
            hold(e, c, False)
    room[RESULT, BY_START], room[RESULT, BY_END] = alpha, end
    room[RESULT, BY_HOLD] = by_hold
    return 0


@kernel
def lifted(e, c, g, d_points, base, k, lane):
    """Of inputs at one time the spike moves with the one that lifted the neuron, not the last, k.

    Those after it act on the state after the reset then. g: `lanes.Lanes`, whose records begin with
    the base; it is the first of these where an earlier one did it.
    """
    room, row = c.room, k - base
    at = row
    while at > 0 and g.tied[base + at - 1] and g.states[at - 1, e.v, lane] >= c.theta:
        at -= 1
    for i in range(at, row):
        for m in range(e.n):
            room[AT, m] = g.states[i, m, lane]
        call(e.field, (c.p, room[AT], room[SLOPE]))
        if e.has_reset:
            call(e.reset, (c.p, room[AT], room[END]))
            hold(e, c, True)
            call(e.field, (c.p, room[END], room[RATE_AT]))
            hold(e, c, False)
        else:
            copy(e, room, SLOPE, RATE_AT)
        change = 0.0
        for m in range(e.n):
            change += room[AFTER, m] * room[RATE_AT, m] - room[LAM, m] * room[SLOPE, m]
        d_points[base + i] -= change
        d_points[base + i + 1] += change
    d_points[k] -= room[RESULT, BY_FIRED]
    d_points[base + at] += room[RESULT, BY_FIRED]
