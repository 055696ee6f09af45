"""The analytical adjoint of one neuron on its numerical trajectory.

Between events the adjoint is carried by the true flow, a power series to rounding, from the
numerical states; at spikes and inputs it jumps as the adjoint of the differential equation does.
"""

from lifnum.compiler import call, kernel
from lifnum.kernels.general.adjoint import note_fired, step_of
from lifnum.kernels.general.engine import (
    AT,
    BY_END,
    BY_HOLD,
    BY_START,
    END,
    LAM,
    RATE_AT,
    RESULT,
    SLOPE,
    TRUE,
    UNIT,
    Step,
)
from lifnum.kernels.general.flow import prepare, state_at
from lifnum.kernels.general.walk import CLOCKED, ENDED, FIRED, HELD, RELEASED, copy, hold
from lifnum.methods.taylor import series_at, series_expand, series_expand_all, series_pull

TRUE_TOLERANCE = 1e-14

MOST_PARTS = 256  # of one numerical piece

SHORTEST_PART = 2.0**-40  # of a numerical piece: what needs shorter ones leaves all bounds


@kernel
def true_pull(e, c, y, length, parts, tally):
    """Row LAM from the end to the start of a piece of the true flow from y.

    parts (MOST_PARTS, n + 2) is scratch. Where the true flow leaves all bounds the adjoint is 0.
    """
    room, r = c.room, c.r
    for i in range(e.n):
        room[TRUE, i] = y[i]
    rest, h, n = length, length, 0
    while rest > 0.0:
        h = min(2.0 * h, rest)
        order = series_expand(e, c, room[TRUE], h, 0, TRUE_TOLERANCE)
        while order < 0 and h > SHORTEST_PART * length:
            h *= 0.5
            order = series_expand(e, c, room[TRUE], h, 0, TRUE_TOLERANCE)
        if order < 0 or n == len(parts):
            tally[0] += 1
            for i in range(e.n):
                room[LAM, i] = 0.0
            return
        for i in range(e.n):
            parts[n, i] = room[TRUE, i]
        parts[n, e.n], parts[n, e.n + 1] = h, order
        n += 1
        series_at(e, r, order, 1.0, room[TRUE])
        rest -= h
    for k in range(n - 1, -1, -1):
        h, order = parts[k, e.n], int(parts[k, e.n + 1])
        series_expand_all(e, c, parts[k], h, order)
        series_pull(e, c, parts[k], Step(h, h, order), room[LAM], room[LAM])


@kernel
def event_back(e, c, e_q, crosses, tally):
    """Row LAM over a spike of the state in row AT; returns the derivative by the event's time.

    crosses: the spike is where the threshold is reached, else it moves with what lifted the state.
    """
    v, room, p = e.v, c.room, c.p
    lam = room[LAM]
    call(e.field, (p, room[AT], room[SLOPE]))
    slope = room[SLOPE, v]
    if not e.has_reset:
        if not crosses:
            return e_q
        if slope > 0.0:
            lam[v] -= e_q / slope
        else:
            tally[0] += 1
        return 0.0
    call(e.reset, (p, room[AT], room[END]))
    hold(e, c, True)
    call(e.field, (p, room[END], room[RATE_AT]))
    hold(e, c, False)
    sigma = e_q
    for i in range(e.n):
        sigma -= lam[i] * room[RATE_AT, i]
    call(e.reset_transpose, (p, room[AT], lam, room[UNIT]))
    copy(e, room, UNIT, LAM)
    for i in range(e.n):
        sigma += lam[i] * room[SLOPE, i]
    if not crosses:
        return sigma
    if slope > 0.0:
        lam[v] -= sigma / slope
    else:
        tally[0] += 1
    return 0.0


@kernel
def interval_piggyback(e, c, pieces, d_times, parts, tally, first, last):
    """As `adjoint.interval_back`, for the analytical adjoint: no derivative by the end.

    parts (MOST_PARTS, n + 2) is scratch.
    """
    start, room = 0.0, c.room
    by_hold = room[RESULT, BY_HOLD]
    for k in range(last - 1, first - 1, -1):
        y, step, q, kind = pieces.state[k], step_of(pieces, k), pieces.spike[k], pieces.kind[k]
        if kind in (FIRED, CLOCKED):
            for i in range(e.n):
                room[AT, i] = y[i]
            note_fired(e, c, d_times[q] + by_hold)
            start += event_back(e, c, d_times[q] + by_hold, kind == CLOCKED, tally)
            by_hold = 0.0
            continue
        if kind in (HELD, RELEASED):
            if kind == RELEASED and pieces.cuts[k] == 0:
                if k + 1 < last:  # else the cap has silenced it there
                    call(e.field, (c.p, pieces.state[k + 1], room[SLOPE]))
                    by_hold -= room[LAM, e.v] * room[SLOPE, e.v]
                by_hold += start  # of what was above theta as the hold ended
                start = 0.0
            hold(e, c, True)
            true_pull(e, c, y, step.h, parts, tally)
            hold(e, c, False)
            continue
        if q >= 0:
            prepare(e, c, y, step)
            state_at(e, c, y, step, room[AT])
            room[AT, e.v] = c.theta
            if kind == ENDED:  # nothing was reset: the piece goes on
                true_pull(e, c, room[AT], step.h - step.s, parts, tally)
            event_back(e, c, d_times[q] + by_hold, True, tally)
            by_hold = 0.0
        true_pull(e, c, y, step.s, parts, tally)
    room[RESULT, BY_START], room[RESULT, BY_END], room[RESULT, BY_HOLD] = start, 0.0, by_hold
    return 0


@kernel
def input_back(e, c, y, variable, jump):
    """dL/dt of an input after which the state is y, from row LAM: lam . (f before - f after)."""
    room = c.room
    for i in range(e.n):
        room[AT, i] = y[i]
    room[AT, variable] -= jump
    call(e.field, (c.p, room[AT], room[SLOPE]))
    call(e.field, (c.p, y, room[RATE_AT]))
    total = 0.0
    for i in range(e.n):
        total += room[LAM, i] * (room[SLOPE, i] - room[RATE_AT, i])
    return total
