"""One neuron through its sub-intervals, forward, and its adjoint back.

A sub-interval is bounded by neighbouring points: grid points and inputs. Within it a neuron walks
pieces, each ended by a spike, by the sub-interval's end, or by a cut where its end was not finite.
"""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.general.engine import (
    AT,
    DENSE,
    END,
    LAM,
    LOSE,
    MAX_CUTS,
    NONE,
    RATE_AT,
    SEVERAL,
    STATE,
    UNIT,
)
from lifnum.kernels.general.flow import (
    chord_pull,
    crossing,
    flow,
    prepare,
    pull,
    rate,
    state_at,
)

# a time this little behind a grid point counts as on it, in steps
MOST_TOLERANCE = 1e-3
TOLERANCE = 2.0**-23

# What ends a piece; one that is ENDED may have been cut. FIRED has no length: a neuron spikes where
# it is, at the start of an interval, and CLOCKED at the end of a step whose grid point decides.
SPIKED, ENDED, FIRED, CLOCKED = range(4)


class Points(NamedTuple):
    """What bounds the sub-intervals of a sample; interval k is from point k to point k + 1."""

    time: np.ndarray  # float64
    source: np.ndarray  # int64: which of the sample's inputs acts there, -1: none
    tied: np.ndarray  # bool: the next point is another input at the same time


class Pieces(NamedTuple):
    """What `walk` leaves for `walk_back`."""

    first: np.ndarray  # int64 (intervals + 1,): where each interval's pieces begin
    state: np.ndarray  # float64 (pieces, n) where it begins
    length: np.ndarray  # float64 (pieces, 2): planned, and until its spike
    order: np.ndarray  # int32
    cuts: np.ndarray  # int32: the planned length is what remained times 2^-cuts
    kind: np.ndarray  # int32
    spike: np.ndarray  # int32: the spike that ends or falls into it, -1: none


class Track(NamedTuple):
    """Where a walk stands."""

    count: np.ndarray  # int64: COUNT, ARMED, SUPPRESSED, PIECES, FAULT, VARIABLE
    when: np.ndarray  # float64 (1,): time of a fault


COUNT, ARMED, SUPPRESSED, PIECES, FAULT, VARIABLE, WANTED = range(7)

NO_FAULT, NOT_FINITE, RESET_ABOVE, NO_ROOM = range(4)


@kernel
def grid_index(time, dt):
    """Index of the first point of the grid 0, dt, 2 dt, ... at or after a time."""
    steps = time / dt
    return int(np.ceil(steps - min(MOST_TOLERANCE, TOLERANCE * (steps + 8.0))))


@kernel
def merge(e, times, points):
    """Merge grid and input times of a sample; returns the number of points, one more than that of
    sub-intervals. At equal times inputs come first, then the grid point."""
    n_inputs = len(times)
    while n_inputs > 0 and not times[n_inputs - 1] <= e.duration:
        n_inputs -= 1
    points.time[0], points.source[0], points.tied[0] = 0.0, -1, False
    k, i = 1, 0
    for g in range(e.n_grid + 1):
        grid_time = g * e.dt if g < e.n_grid else e.duration
        if e.interpolation == NONE:
            if g > 0:
                points.time[k], points.source[k], points.tied[k] = grid_time, -1, False
                k += 1
            while i < n_inputs and g < e.n_grid and grid_index(times[i], e.dt) <= g:
                points.time[k], points.source[k], points.tied[k] = grid_time, i, False
                k += 1
                i += 1
            continue
        begun = i
        while i < n_inputs and times[i] <= grid_time and times[i] < e.duration:
            points.time[k], points.source[k] = times[i], i
            i += 1
            points.tied[k] = i < n_inputs and times[i] == times[i - 1] and times[i] < e.duration
            k += 1
        if g > 0 or i > begun:
            points.time[k], points.source[k], points.tied[k] = grid_time, -1, False
            k += 1
    return k


@kernel
def note(pieces, track, e, room, planned, s, order, cuts, kind, spike):
    """Add a piece that begins in row STATE."""
    k = track.count[PIECES]
    if k < len(pieces.kind):
        for i in range(e.n):
            pieces.state[k, i] = room[STATE, i]
        pieces.length[k, 0], pieces.length[k, 1] = planned, s
        pieces.order[k], pieces.cuts[k] = order, cuts
        pieces.kind[k], pieces.spike[k] = kind, spike
    track.count[PIECES] += 1


@kernel
def fault(track, kind, time):
    track.count[FAULT] = kind
    track.when[0] = time


@kernel
def emit(e, track, spikes, time):
    """Record a spike; False: the cap suppresses it, or there is no room."""
    n = track.count[COUNT]
    if n >= e.max_spikes:
        track.count[SUPPRESSED] = 1
        return False
    if n >= len(spikes):
        fault(track, NO_ROOM, time)
        return False
    spikes[n] = min(time, e.duration)
    track.count[COUNT] = n + 1
    return True


@kernel
def reset_state(e, p, theta, track, room, time):
    """Row STATE = the state after a spike whose state is in row AT; whether it is below theta."""
    call(e.reset, (p, room[AT], room[STATE]))
    below = e.interpolation == NONE or room[STATE, e.v] < theta
    for i in range(e.n):
        if not abs(room[STATE, i]) < np.inf:
            track.count[VARIABLE] = i
            fault(track, NOT_FINITE, time)
            return False
    if not below:
        fault(track, RESET_ABOVE, time)
    return below


@kernel
def copy(e, room, source, target):
    for i in range(e.n):
        room[target, i] = room[source, i]


@kernel
def walk_interval(e, p, theta, start, h, tied, room, r, track, spikes, pieces, recording):
    """Walk row STATE of a neuron over a sub-interval; whether it walks on after it."""
    v, clocked = e.v, e.interpolation == NONE
    if tied or (clocked and h == 0.0):
        if recording:
            note(pieces, track, e, room, 0.0, 0.0, 0, 0, ENDED, -1)
        return True
    if not clocked and room[STATE, v] >= theta and (e.has_reset or track.count[ARMED] != 0):
        if not emit(e, track, spikes, start):
            return False
        if recording:
            note(pieces, track, e, room, 0.0, 0.0, 0, 0, FIRED, track.count[COUNT] - 1)
        track.count[ARMED] = 0
        if e.has_reset:
            copy(e, room, STATE, AT)
            if not reset_state(e, p, theta, track, room, start):
                return False
    elapsed = 0.0
    while True:
        rest = max(h - elapsed, 0.0)
        cuts, planned = 0, rest
        order = flow(e, p, room[STATE], planned, False, room, r, room[END])
        while order < 0:
            cuts += 1
            if cuts > MAX_CUTS:
                for i in range(e.n - 1, -1, -1):
                    if not abs(room[END, i]) < np.inf:
                        track.count[VARIABLE] = i
                fault(track, NOT_FINITE, start + elapsed)
                return False
            planned = rest * 0.5**cuts
            last = cuts == MAX_CUTS
            order = flow(e, p, room[STATE], planned, last, room, r, room[END])
        spike, s = -1, planned
        if not clocked and (e.has_reset or track.count[ARMED] != 0):
            found = crossing(e, p, theta, room[STATE], planned, order, room, r, room[AT])
            if found >= 0.0:
                s = found
                if not emit(e, track, spikes, start + (elapsed + s)):
                    return False
                spike = track.count[COUNT] - 1
        if spike >= 0 and e.has_reset:
            if recording:
                note(pieces, track, e, room, planned, s, order, cuts, SPIKED, spike)
            state_at(e, p, room[STATE], planned, s, order, room, r, room[AT])
            room[AT, v] = theta
            elapsed += s
            if not reset_state(e, p, theta, track, room, start + elapsed):
                return False
            continue
        if spike >= 0:
            track.count[ARMED] = 0
        if recording:
            note(pieces, track, e, room, planned, s, order, cuts, ENDED, spike)
        copy(e, room, END, STATE)
        if cuts == 0:
            break
        elapsed += planned
        if clocked and room[STATE, v] >= theta:  # it has spiked: the grid point says so
            break
    if clocked:
        above = room[STATE, v] >= theta
        while above and (track.count[ARMED] != 0 or (e.has_reset and e.overshoot != LOSE)):
            if not emit(e, track, spikes, start + h):
                return False
            if recording:
                note(pieces, track, e, room, 0.0, 0.0, 0, 0, CLOCKED, track.count[COUNT] - 1)
            track.count[ARMED] = 0
            if e.has_reset:
                copy(e, room, STATE, AT)
                if not reset_state(e, p, theta, track, room, start + h):
                    return False
            above = e.overshoot == SEVERAL and e.has_reset and room[STATE, v] >= theta
    if room[STATE, v] < theta:
        track.count[ARMED] = 1
    return True


@kernel
def walk(e, p, theta, points, first, last, drive, lane, room, r, track, spikes, pieces, recording):
    """Walk row STATE over the sub-intervals first .. last - 1; returns the next one.

    drive (inputs, LANES): weights of the sample's inputs. spikes receives the times. Stops early
    at a fault, at a spike that the cap suppresses, and, where it is recording, once
    track.count[WANTED] spikes are there.
    """
    for k in range(first, last):
        if recording:
            if track.count[COUNT] >= track.count[WANTED]:
                return k
            pieces.first[k - first] = track.count[PIECES]
        source = points.source[k]
        if source >= 0:
            w = drive[source, lane]
            if w >= 0.0 or e.positive == e.negative:
                room[STATE, e.positive] += w
            else:
                room[STATE, e.negative] -= w
        start = points.time[k]
        on = walk_interval(e, p, theta, start, points.time[k + 1] - start, points.tied[k], room, r,
                           track, spikes, pieces, recording)  # fmt: skip
        if recording:
            pieces.first[k - first + 1] = track.count[PIECES]
        if not on:
            return k + 1
    return last


@kernel
def spike_back(e, p, theta, k, pieces, tau, room, r, tally):
    """Row LAM through piece k, backwards over the spike and reset that end it.

    tau: derivative by the spike's time. Returns (adjoint of the interval's end, of the piece's
    start).
    """
    y, h, s = pieces.state[k], pieces.length[k, 0], pieces.length[k, 1]
    order, v = pieces.order[k], e.v
    lam = room[LAM]
    prepare(e, p, y, h, order, r)
    state_at(e, p, y, h, s, order, room, r, room[AT])
    room[AT, v] = theta
    call(e.reset_transpose, (p, room[AT], lam, room[END]))
    copy(e, room, END, LAM)
    lam[v] = 0.0  # the threshold variable is a constant there
    if e.interpolation == DENSE:
        rate(e, p, y, h, s, order, room, r, room[RATE_AT])
        slope = room[RATE_AT, v]
        if slope > 0.0:
            sigma = tau
            for i in range(e.n):
                sigma += lam[i] * room[RATE_AT, i]
            lam[v] = -sigma / slope
        else:
            tally[0] += 1
        pull(e, p, y, h, s, order, lam, room, r, lam)
        return 0.0, tau
    s_h, d = chord_pull(e, p, theta, y, h, order, room, r, room[UNIT])
    rate(e, p, y, h, s, order, room, r, room[RATE_AT])
    sigma = tau
    for i in range(e.n):
        sigma += lam[i] * room[RATE_AT, i]
    pull(e, p, y, h, s, order, lam, room, r, lam)
    if not d > 0.0:
        tally[0] += 1
        return 0.0, tau
    for i in range(e.n):
        lam[i] += sigma * room[UNIT, i]
    s_r = s_h * 0.5 ** pieces.cuts[k]
    return sigma * s_r, tau - sigma * s_r


@kernel
def seen_back(e, p, theta, k, pieces, e_q, room, r, tally):
    """Add to row LAM what a spike that changes nothing gives, of derivative e_q.

    Returns as `spike_back`.
    """
    y, h, s = pieces.state[k], pieces.length[k, 0], pieces.length[k, 1]
    order, v = pieces.order[k], e.v
    s_r = 0.0
    if e.interpolation == DENSE:
        rate(e, p, y, h, s, order, room, r, room[RATE_AT])
        slope = room[RATE_AT, v]
        for i in range(e.n):
            room[UNIT, i] = 0.0
        if slope > 0.0:
            room[UNIT, v] = -1.0 / slope
            pull(e, p, y, h, s, order, room[UNIT], room, r, room[UNIT])
        rises = slope > 0.0
    else:
        s_h, d = chord_pull(e, p, theta, y, h, order, room, r, room[UNIT])
        s_r = s_h * 0.5 ** pieces.cuts[k]
        rises = d > 0.0
    if not rises:
        tally[0] += 1
        return 0.0, e_q
    for i in range(e.n):
        room[LAM, i] += e_q * room[UNIT, i]
    return e_q * s_r, e_q * (1.0 - s_r)


@kernel
def interval_back(e, p, theta, first, last, pieces, d_times, room, r, tally):
    """Row LAM from the end to the start of a sub-interval of pieces first .. last - 1.

    Returns the derivatives by the interval's (start, end).
    """
    end = alpha = 0.0
    for k in range(last - 1, first - 1, -1):
        y, h, q = pieces.state[k], pieces.length[k, 0], pieces.spike[k]
        order = pieces.order[k]
        if pieces.kind[k] == FIRED:
            if e.has_reset:
                call(e.reset_transpose, (p, y, room[LAM], room[END]))
                copy(e, room, END, LAM)
            alpha += d_times[q]
        elif pieces.kind[k] == SPIKED:
            more, alpha = spike_back(
                e, p, theta, k, pieces, d_times[q] + alpha, room, r, tally
            )  # fmt: skip
            end += more
        else:
            prepare(e, p, y, h, order, r)
            rate(e, p, y, h, h, order, room, r, room[RATE_AT])
            f = 0.0
            for i in range(e.n):
                f += room[LAM, i] * room[RATE_AT, i]
            pull(e, p, y, h, h, order, room[LAM], room, r, room[LAM])
            part = 0.5 ** pieces.cuts[k]
            total = alpha + f
            end += part * total
            alpha = (1.0 - part) * total - f
            if q >= 0:
                more, begin = seen_back(e, p, theta, k, pieces, d_times[q], room, r, tally)
                end += more
                alpha += begin
    return alpha, end
