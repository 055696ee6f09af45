"""A vector of LANES neurons of one sample: forward, and its adjoint back.

The vector walks together (`quiet`, compiled for a model and a method) until a neuron may spike in
a sub-interval; that one then walks alone through it. What a neuron does depends on no other lane.
"""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import call, kernel
from lifnum.kernels.general.adjoint import lifted
from lifnum.kernels.general.engine import BY_END, BY_HOLD, BY_START, LAM, POINT, RESULT, STATE, Cell
from lifnum.kernels.general.piggyback import input_back, true_pull
from lifnum.kernels.general.walk import (
    ARMED as TRACK_ARMED,
)
from lifnum.kernels.general.walk import (
    COUNT,
    ENDED,
    FAULT,
    FAULT_TIME,
    FIRED,
    HELD,
    HOLD_END,
    HOLDING,
    LET_PASS,
    PIECES,
    RELEASED,
    SPIKED,
    SUPPRESSED,
    USED,
    VARIABLE,
    WALKS,
    Interval,
    Pieces,
    Track,
    hold,
)
from lifnum.kernels.vectors import LANES

ALL = 2**LANES - 1

# words of a vector: bits of the lanes that walk, whose neurons are armed, that have to walk alone
# now, whose neurons are held, and that the adjoint could not carry over a sub-interval together;
# and the sub-interval whose records are the first ones
LIVE, ARMED, FLAGGED, HOLDS, FAILED, BASE, N_WORDS = range(7)

# columns of `faults`: what, with which variable, whether the cap suppressed a spike, and how many
# crossings were let pass; rows of `used`: spikes of a step of the grid, and in which sub-interval
FAULT_KIND, FAULT_VARIABLE, SUPPRESSED_ONE, LET_PASS_SO_FAR, N_FAULTS = range(5)
IN_STEP, LATEST = range(2)


class Lanes(NamedTuple):
    """A vector of neurons, and the points of their sample, see `walk.Points`."""

    p: np.ndarray  # (n_p, LANES)
    theta: np.ndarray  # (1, LANES)
    state: np.ndarray  # (n, LANES)
    end: np.ndarray  # (n, LANES) after the sub-interval in which some walk alone
    spike: np.ndarray  # (n + 1, LANES): the state after a spike of `leap`, and when that is
    drive: np.ndarray  # (inputs, LANES): weights
    time: np.ndarray
    source: np.ndarray
    tied: np.ndarray
    series: np.ndarray  # (n_rows, MAX_ORDER + 2, LANES) Taylor coefficients
    reach: np.ndarray  # int64 (MAX_ORDER + 2,): which lanes have a term of each order
    states: np.ndarray  # (records, n, LANES) at the start of each sub-interval; none: no record
    flags: np.ndarray  # int64 (records + 1,): lanes that walked alone
    live: np.ndarray  # int64 (records + 1,): lanes that walked at all
    word: np.ndarray  # int64 (N_WORDS,)


class Alone(NamedTuple):
    """What the lanes need that walk alone, one after the other."""

    p: np.ndarray  # (LANES, n_p)
    room: np.ndarray  # see `engine.Cell`
    r: np.ndarray
    reach: np.ndarray
    count: np.ndarray  # of `walk.Track`
    when: np.ndarray
    spikes: np.ndarray  # (LANES, capacity)
    counts: np.ndarray  # int64 (LANES,): spikes
    wanted: np.ndarray  # int64 (LANES,): after so many a neuron does not matter any more
    faults: np.ndarray  # int64 (LANES, N_FAULTS)
    fault_times: np.ndarray  # (LANES,)
    used: np.ndarray  # int64 (2, LANES)
    until: np.ndarray  # (LANES,): end of the hold
    first: np.ndarray  # of `walk.Pieces`
    states: np.ndarray
    length: np.ndarray
    order: np.ndarray
    cuts: np.ndarray
    kind: np.ndarray
    spike: np.ndarray


class Back(NamedTuple):
    """The adjoint of a vector."""

    lam: np.ndarray  # (n, LANES)
    hold: np.ndarray  # (LANES,): by the end of the hold
    before: np.ndarray  # (n, LANES): at the end of a sub-interval that is left to lanes alone
    tail: np.ndarray  # (n, MAX_ORDER, LANES), of series
    d_points: np.ndarray  # (points,), or (0,) where nobody asks
    d_drive: np.ndarray  # (inputs, LANES)
    d_times: np.ndarray  # by the times of spikes; those of a lane begin at its place
    places: np.ndarray  # int64 (LANES + 1,)
    parts: np.ndarray  # of `piggyback`; no rows: adjusted
    tally: np.ndarray  # int64 (2,): spikes without gradient, pieces that lacked room


@kernel
def start_lanes(e, g, s, start):
    """All lanes at time 0; start (LANES, n)."""
    for lane in range(LANES):
        for i in range(e.n):
            g.state[i, lane] = start[lane, i]
        s.counts[lane] = 0
        s.used[IN_STEP, lane], s.used[LATEST, lane] = 0, -1
        for k in range(N_FAULTS):
            s.faults[lane, k] = 0
    g.word[:] = 0
    g.word[ARMED] = ALL
    for lane in range(LANES):
        if s.wanted[lane] > 0:
            g.word[LIVE] |= 1 << lane


@kernel
def cell_of(g, s, lane):
    return Cell(s.p[lane], g.theta[0, lane], s.room, s.r, s.reach)


@kernel
def pieces_of(s):
    return Pieces(s.first, s.states, s.length, s.order, s.cuts, s.kind, s.spike)


@kernel
def jump(e, w):
    """(variable that an input of this weight acts on, its sign)."""
    return (e.positive, 1.0) if w >= 0.0 or e.positive == e.negative else (e.negative, -1.0)


@kernel
def drops(e, held, variable):
    """Whether an input onto this variable is lost on a neuron that is held or not."""
    return held and variable == e.v


@kernel
def enter(e, g, k):
    """Sub-interval k, through which every lane walks alone: its input, and the records.

    The tests' reference for `quiet`.
    """
    source = g.source[k]
    if source >= 0:
        for lane in range(LANES):
            variable, sign = jump(e, g.drive[source, lane])
            if not drops(e, (g.word[HOLDS] >> lane) & 1 != 0, variable):
                g.state[variable, lane] += sign * g.drive[source, lane]
    g.word[FLAGGED] = g.word[LIVE]
    row = k - g.word[BASE]
    if len(g.states) > 0:
        g.flags[row] = g.live[row] = g.word[LIVE]
    for i in range(e.n):
        for lane in range(LANES):
            g.end[i, lane] = g.state[i, lane]
            if len(g.states) > 0:
                g.states[row, i, lane] = g.state[i, lane]


@kernel
def step_begun(g, latest, k):
    """Whether a step of the grid begins with a sub-interval behind the latest one, up to k."""
    while k > latest and g.source[k] >= 0:
        k -= 1
    return k > latest


@kernel
def walk_alone(e, g, s, k, lane):
    """One lane through sub-interval k, into `end`."""
    bit = 1 << lane
    track = Track(s.count, s.when)
    for i in range(e.n):
        s.room[STATE, i] = g.state[i, lane]
    track.count[COUNT], track.count[TRACK_ARMED] = s.counts[lane], (g.word[ARMED] & bit) != 0
    track.count[SUPPRESSED] = track.count[FAULT] = track.count[LET_PASS] = 0
    track.count[USED] = s.used[IN_STEP, lane]
    track.count[HOLDING] = (g.word[HOLDS] >> lane) & 1
    track.when[HOLD_END] = s.until[lane]
    opens = e.spikes_per_step > 0 and step_begun(g, s.used[LATEST, lane], k)
    interval = Interval(g.time[k], g.time[k + 1] - g.time[k], g.tied[k], opens)
    if len(s.kind) > 0:
        s.first[track.count[WALKS]] = track.count[PIECES]
    on = call(
        e.walk_interval,
        (e, cell_of(g, s, lane), interval, track, s.spikes[lane], pieces_of(s)),
    )
    if len(s.kind) > 0:
        track.count[WALKS] += 1
        s.first[track.count[WALKS]] = track.count[PIECES]
    for i in range(e.n):
        g.end[i, lane] = s.room[STATE, i]
    s.counts[lane] = track.count[COUNT]
    s.used[IN_STEP, lane], s.used[LATEST, lane] = track.count[USED], k
    s.until[lane] = track.when[HOLD_END]
    g.word[ARMED] &= ~bit
    if track.count[TRACK_ARMED] != 0:
        g.word[ARMED] |= bit
    g.word[HOLDS] &= ~bit
    if track.count[HOLDING] != 0:
        g.word[HOLDS] |= bit
    s.faults[lane, LET_PASS_SO_FAR] += track.count[LET_PASS]
    if track.count[SUPPRESSED] != 0:
        s.faults[lane, SUPPRESSED_ONE] = 1
    if track.count[FAULT] != 0:
        s.faults[lane, FAULT_KIND] = track.count[FAULT]
        s.faults[lane, FAULT_VARIABLE] = track.count[VARIABLE]
        s.fault_times[lane] = track.when[FAULT_TIME]
    if on == 0 or s.counts[lane] >= s.wanted[lane]:
        g.word[LIVE] &= ~bit


@kernel
def note_leap(e, g, s, k, lane):
    """The pieces of a walk alone that `leap` has taken: up to the spike, and from there on."""
    walk, piece = s.count[WALKS], s.count[PIECES]
    s.first[walk], s.first[walk + 1] = piece, piece + 2
    s.count[WALKS], s.count[PIECES] = walk + 1, piece + 2
    if piece + 2 > len(s.kind):
        return
    when = g.spike[e.n, lane]
    rest = (g.time[k + 1] - g.time[k]) - when
    for i in range(e.n):
        s.states[piece, i], s.states[piece + 1, i] = g.state[i, lane], g.spike[i, lane]
    s.length[piece, 0], s.length[piece, 1] = g.time[k + 1] - g.time[k], when
    s.length[piece + 1, 0] = s.length[piece + 1, 1] = rest
    s.kind[piece], s.kind[piece + 1] = SPIKED, ENDED
    s.spike[piece], s.spike[piece + 1] = s.counts[lane] - 1, -1
    for which in range(piece, piece + 2):
        s.order[which] = s.cuts[which] = 0


@kernel
def land(e, g, s, k, lane):
    """The spike of a lane that `leap` has taken over sub-interval k; False: it may have none."""
    n = s.counts[lane]
    if n >= s.spikes.shape[1]:  # at most the cap
        return False
    s.spikes[lane, n] = min(g.time[k] + g.spike[e.n, lane], e.duration)
    s.counts[lane] = n + 1
    g.word[ARMED] |= 1 << lane
    if len(s.kind) > 0:
        note_leap(e, g, s, k, lane)
    if s.counts[lane] >= s.wanted[lane]:
        g.word[LIVE] &= ~(1 << lane)
    return True


@kernel
def walk_lanes(e, g, s, first, last):
    """Walk over the sub-intervals first .. last - 1; returns the one at which it stops.

    Before the last where no lane walks any more.
    """
    k = first
    while k < last and g.word[LIVE] != 0:
        if e.quiet != 0:
            k = call(e.quiet, (e, g, k, last))
            if k == last:
                break
        else:
            enter(e, g, k)
        flags, leaps = g.word[FLAGGED], 0
        if e.leap != 0:
            length = g.time[k + 1] - g.time[k]
            leaps = call(e.leap, (g.p, g.theta, g.state, g.end, g.spike, length, flags))
        for lane in range(LANES):
            if (flags >> lane) & 1 != 0:
                if (leaps >> lane) & 1 == 0 or not land(e, g, s, k, lane):
                    walk_alone(e, g, s, k, lane)
        for i in range(e.n):
            for lane in range(LANES):
                g.state[i, lane] = g.end[i, lane]
        k += 1
    if len(g.states) > 0:
        g.live[k - g.word[BASE]] = g.word[LIVE]
    return k


@kernel
def back_alone(e, g, s, b, k, lane, walk):
    """The adjoint of the walk alone of one lane through sub-interval k.

    Returns whether the neuron is held as that begins.
    """
    c, pieces = cell_of(g, s, lane), pieces_of(s)
    for i in range(e.n):
        s.room[LAM, i] = b.before[i, lane]
    first, last = s.first[walk], s.first[walk + 1]
    held = first < last and pieces.kind[first] in (HELD, RELEASED)
    s.room[RESULT, BY_HOLD] = b.hold[lane]
    d_times = b.d_times[b.places[lane] : b.places[lane + 1]]
    call(e.interval_back, (e, c, pieces, d_times, b.parts, b.tally, first, last))
    for i in range(e.n):
        b.lam[i, lane] = s.room[LAM, i]
    b.hold[lane] = s.room[RESULT, BY_HOLD]
    if len(b.d_points) == 0:
        return held
    b.d_points[k] += s.room[RESULT, BY_START]
    b.d_points[k + 1] += s.room[RESULT, BY_END]
    if first < last and pieces.kind[first] == FIRED:
        lifted(e, c, g, b.d_points, g.word[BASE], k, lane)
    if len(b.parts) > 0:
        input_time_back(e, c, g, b, k, lane, pieces.state[first], held)
    return held


@kernel
def input_time_back(e, c, g, b, k, lane, y, held):
    """Add the derivative by the time of the input of sub-interval k, whose first state is y."""
    if g.source[k] >= 0:
        w = g.drive[g.source[k], lane]
        variable, sign = jump(e, w)
        if not drops(e, held, variable):
            hold(e, c, held)
            b.d_points[k] += input_back(e, c, y, variable, sign * w)
            hold(e, c, False)


@kernel
def true_alone(e, g, s, b, k, lane):
    """The analytical adjoint of a lane over a quiet sub-interval k, in parts."""
    c, row = cell_of(g, s, lane), k - g.word[BASE]
    for i in range(e.n):
        s.room[LAM, i], s.room[POINT, i] = b.before[i, lane], g.states[row, i, lane]
    true_pull(e, c, s.room[POINT], g.time[k + 1] - g.time[k], b.parts, b.tally)
    for i in range(e.n):
        b.lam[i, lane] = s.room[LAM, i]
    if len(b.d_points) > 0:
        input_time_back(e, c, g, b, k, lane, s.room[POINT], False)


@kernel
def lanes_back(e, g, s, b, first, stop):
    """The adjoint from sub-interval stop - 1 back to the first, which were recorded."""
    walk, k = s.count[WALKS], stop
    while True:
        if e.quiet_back != 0:
            k = call(e.quiet_back, (e, g, b, first, k))
        else:
            k -= 1
            if k >= first:
                live = g.live[k - g.word[BASE] + 1]
                for i in range(e.n):
                    for lane in range(LANES):
                        alive = (live >> lane) & 1 != 0
                        b.before[i, lane] = b.lam[i, lane] if alive else 0.0
                        b.lam[i, lane] = 0.0
        if k < first:
            break
        flags, held = g.flags[k - g.word[BASE]], 0
        for lane in range(LANES - 1, -1, -1):
            if (flags >> lane) & 1 != 0:
                walk -= 1
                if back_alone(e, g, s, b, k, lane, walk):
                    held |= 1 << lane
            elif (g.word[FAILED] >> lane) & 1 != 0:
                true_alone(e, g, s, b, k, lane)
        source = g.source[k]
        if source >= 0:
            for lane in range(LANES):
                variable, sign = jump(e, g.drive[source, lane])
                if not drops(e, (held >> lane) & 1 != 0, variable):
                    b.d_drive[source, lane] += sign * b.lam[variable, lane]
