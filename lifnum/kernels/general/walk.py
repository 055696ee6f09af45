"""One neuron through a sub-interval.

A sub-interval is bounded by neighbouring points: grid points and inputs. Within it a neuron walks
pieces, each ended by a spike, by the sub-interval's end, or by a cut where its end was not finite.
"""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.general.crossing import arrive, crossing
from lifnum.kernels.general.engine import (
    AT,
    END,
    LOSE,
    MAX_CUTS,
    NONE,
    SEVERAL,
    STATE,
    Step,
)
from lifnum.kernels.general.flow import flow
from lifnum.kernels.steps import grid_index

# What ends a piece; one that is ENDED may have been cut. FIRED has no length: a neuron spikes where
# it is, at the start of an interval, and CLOCKED at the end of a step whose grid point decides.
# While the neuron is held a piece ends with the interval, HELD, or with the hold, RELEASED.
SPIKED, ENDED, FIRED, CLOCKED, HELD, RELEASED = range(6)


class Points(NamedTuple):
    """What bounds the sub-intervals of a sample; interval k is from point k to point k + 1."""

    time: np.ndarray  # float64
    source: np.ndarray  # int64: which of the sample's inputs acts there, -1: none
    tied: np.ndarray  # bool: the next point is another input at the same time


class Interval(NamedTuple):
    """A sub-interval."""

    start: float
    length: float
    tied: bool
    opens: bool  # whether a step of the grid has begun since the neuron was here


class Pieces(NamedTuple):
    """What a walk leaves for its adjoint; without room for a piece it leaves nothing."""

    first: np.ndarray  # int64 (walks + 1,): where the pieces of each walk of an interval begin
    state: np.ndarray  # float64 (pieces, n) where it begins
    length: np.ndarray  # float64 (pieces, 2): planned, and until its spike
    order: np.ndarray  # int32
    cuts: np.ndarray  # int32: the planned length is what remained times 2^-cuts
    kind: np.ndarray  # int32
    spike: np.ndarray  # int32: the spike that ends or falls into it, -1: none


class Track(NamedTuple):
    """Where a walk stands."""

    count: np.ndarray  # int64 (N_COUNTS,), see below
    when: np.ndarray  # float64 (2,): time of a fault; end of the hold


(COUNT, ARMED, SUPPRESSED, PIECES, FAULT, VARIABLE, WALKS, USED, LET_PASS, HOLDING,
 N_COUNTS) = range(11)  # fmt: skip

FAULT_TIME, HOLD_END = range(2)

NO_FAULT, NOT_FINITE, RESET_ABOVE, NO_ROOM, TOO_MANY = range(5)

OVER = -2  # in place of a spike's number: the neuron walks no further


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
def note(e, c, track, pieces, step, cuts, kind, spike):
    """Add a piece that begins in row STATE."""
    k = track.count[PIECES]
    if k < len(pieces.kind):
        for i in range(e.n):
            pieces.state[k, i] = c.room[STATE, i]
        pieces.length[k, 0], pieces.length[k, 1] = step.h, step.s
        pieces.order[k], pieces.cuts[k] = step.order, cuts
        pieces.kind[k], pieces.spike[k] = kind, spike
    track.count[PIECES] += len(pieces.kind) > 0


@kernel
def fault(track, kind, time):
    track.count[FAULT] = kind
    track.when[FAULT_TIME] = time


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
    track.count[USED] += 1
    return True


@kernel
def spent(e, track):
    """Whether the neuron has had all spikes of this step of the grid."""
    return 0 < e.spikes_per_step <= track.count[USED]


@kernel
def reset_state(e, c, track, time, crossed):
    """Row STATE = the state after a spike whose state is in row AT; whether the neuron walks on.

    crossed: from theta on, so that it has to be below. So it has to without a limit of spikes.
    """
    room = c.room
    call(e.reset, (c.p, room[AT], room[STATE]))
    if e.gate >= 0:
        track.count[HOLDING] = 1
        track.when[HOLD_END] = time + e.refractory
    may_stay = e.interpolation == NONE or (e.spikes_per_step > 0 and not crossed)
    below = may_stay or room[STATE, e.v] < c.theta
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
def fire(e, c, track, spikes, pieces, time, kind):
    """A spike of the state as it is; whether the neuron walks on."""
    if not emit(e, track, spikes, time):
        return False
    note(e, c, track, pieces, Step(0.0, 0.0, 0), 0, kind, track.count[COUNT] - 1)
    track.count[ARMED] = 0
    if e.has_reset:
        copy(e, c.room, STATE, AT)
        return reset_state(e, c, track, time, False)
    return True


@kernel
def may_spike(e, track):
    """Whether a neuron at or above theta spikes: without a reset only if it has been below."""
    return e.has_reset or track.count[ARMED] != 0


@kernel
def fire_on_grid(e, c, track, spikes, pieces, time):
    """The spikes that the grid point at the end of a step decides; whether the neuron walks on."""
    state, v = c.room[STATE], e.v
    above = state[v] >= c.theta and track.count[HOLDING] == 0
    while above and (track.count[ARMED] != 0 or (e.has_reset and e.overshoot != LOSE)):
        if not fire(e, c, track, spikes, pieces, time, CLOCKED):
            return False
        above = e.overshoot == SEVERAL and e.has_reset and state[v] >= c.theta
        above = above and track.count[HOLDING] == 0
    return True


@kernel
def longest_step(e, c, rest):
    """(cuts, order, step) of the longest step, rest halved so often, with an end; order < 0: none.

    The end is in row END.
    """
    room = c.room
    order = flow(e, c, room[STATE], rest, False, room[END])
    cuts, planned = 0, rest
    while order < 0 and cuts < MAX_CUTS:
        cuts += 1
        planned = rest * 0.5**cuts
        order = flow(e, c, room[STATE], planned, cuts == MAX_CUTS, room[END])
    return cuts, order, planned


@kernel
def hold(e, c, held):
    """From here on the cell's field is that of a neuron that is held, or not."""
    if e.gate >= 0:
        c.p[e.gate] = 0.0 if held else 1.0


@kernel
def walk_held(e, c, interval, elapsed, track, pieces):
    """A piece of row STATE while it is held: (its length, cuts, whether it ends the interval).

    A length < 0: it has no end.
    """
    rest = max(interval.length - elapsed, 0.0)
    left = max(track.when[HOLD_END] - (interval.start + elapsed), 0.0)
    hold(e, c, True)
    cuts, order, planned = longest_step(e, c, min(left, rest))
    hold(e, c, False)
    if order < 0:
        return -1.0, cuts, False
    kind = HELD if left > rest else RELEASED
    note(e, c, track, pieces, Step(planned, planned, order), cuts, kind, -1)
    copy(e, c.room, END, STATE)
    if kind == RELEASED and cuts == 0:
        track.count[HOLDING] = 0
    return planned, cuts, kind == HELD and cuts == 0


@kernel
def blame(e, c, track, time):
    """A fault: no piece from here has an end."""
    for i in range(e.n - 1, -1, -1):
        if not abs(c.room[END, i]) < np.inf:
            track.count[VARIABLE] = i
    fault(track, NOT_FINITE, time)


@kernel
def spike_within(e, c, track, spikes, start, elapsed, step):
    """(number of the spike that ends this piece, its length until then): -1, all of it; or OVER."""
    if e.interpolation == NONE or not may_spike(e, track) or c.room[STATE, e.v] >= c.theta:
        return -1, step.h
    found = crossing(e, c, c.room[STATE], step, c.room[AT])
    if found < 0.0:
        return -1, step.h
    if spent(e, track) and track.count[COUNT] < e.max_spikes:
        track.count[LET_PASS] += 1
        return -1, step.h
    if not emit(e, track, spikes, start + (elapsed + found)):
        return OVER, found
    return track.count[COUNT] - 1, found


@kernel
def walk_interval(e, c, interval, track, spikes, pieces):
    """Walk row STATE of a neuron over a sub-interval; 1 where it walks on after it, else 0."""
    v, room, theta, start = e.v, c.room, c.theta, interval.start
    clocked = e.interpolation == NONE
    if interval.opens:
        track.count[USED] = 0
    if interval.tied or (clocked and interval.length == 0.0):
        kind = HELD if track.count[HOLDING] != 0 else ENDED
        note(e, c, track, pieces, Step(0.0, 0.0, 0), 0, kind, -1)
        return 1
    elapsed, n_cuts = 0.0, 0
    while True:
        if n_cuts > e.most_cuts:
            fault(track, TOO_MANY, start + elapsed)
            return 0
        if track.count[HOLDING] != 0:
            length, cuts, over = walk_held(e, c, interval, elapsed, track, pieces)
            if length < 0.0:
                blame(e, c, track, start + elapsed)
                return 0
            if over:
                break
            elapsed += length
            n_cuts += cuts
            continue
        above = room[STATE, v] >= theta and may_spike(e, track)
        if above and not clocked and not spent(e, track):
            if not fire(e, c, track, spikes, pieces, start + elapsed, FIRED):
                return 0
            continue
        cuts, order, planned = longest_step(e, c, max(interval.length - elapsed, 0.0))
        if order < 0:
            blame(e, c, track, start + elapsed)
            return 0
        spike, s = spike_within(e, c, track, spikes, start, elapsed, Step(planned, planned, order))
        if spike == OVER:
            return 0
        step = Step(planned, s, order)
        if spike >= 0 and e.has_reset:
            note(e, c, track, pieces, step, cuts, SPIKED, spike)
            arrive(e, c, room[STATE], step, room[AT])
            room[AT, v] = theta
            elapsed += s
            if not reset_state(e, c, track, start + elapsed, True):
                return 0
            continue
        if spike >= 0:
            track.count[ARMED] = 0
        note(e, c, track, pieces, step, cuts, ENDED, spike)
        copy(e, room, END, STATE)
        if cuts == 0:
            break
        elapsed += planned
        n_cuts += cuts
        if clocked and room[STATE, v] >= theta:  # it has spiked: the grid point says so
            break
    if clocked and not fire_on_grid(e, c, track, spikes, pieces, start + interval.length):
        return 0
    if room[STATE, v] < theta:
        track.count[ARMED] = 1
    return 1
