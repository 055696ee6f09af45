"""The adjoint of a vector of neurons, segment by segment: only one is recorded at a time."""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import kernel
from lifnum.kernels.general.lanes import (
    BASE,
    LIVE,
    N_WORDS,
    Alone,
    Lanes,
    lanes_back,
    walk_lanes,
)
from lifnum.kernels.general.walk import PIECES, WALKS
from lifnum.kernels.vectors import LANES


class Checkpoints(NamedTuple):
    """The state of a vector at the start of every segment of sub-intervals."""

    state: np.ndarray  # (segments, n, LANES)
    counts: np.ndarray  # int64 (segments, LANES)
    word: np.ndarray  # int64 (segments, N_WORDS)
    used: np.ndarray  # int64 (segments, 2, LANES)
    until: np.ndarray  # (segments, LANES)


@kernel
def keep(e, g, s, checkpoints, segment):
    for lane in range(LANES):
        checkpoints.counts[segment, lane] = s.counts[lane]
        checkpoints.until[segment, lane] = s.until[lane]
        for k in range(2):
            checkpoints.used[segment, k, lane] = s.used[k, lane]
        for i in range(e.n):
            checkpoints.state[segment, i, lane] = g.state[i, lane]
    for k in range(N_WORDS):
        checkpoints.word[segment, k] = g.word[k]


@kernel
def restore(e, g, s, checkpoints, segment, first):
    for lane in range(LANES):
        s.counts[lane] = checkpoints.counts[segment, lane]
        s.until[lane] = checkpoints.until[segment, lane]
        for k in range(2):
            s.used[k, lane] = checkpoints.used[segment, k, lane]
        for i in range(e.n):
            g.state[i, lane] = checkpoints.state[segment, i, lane]
    for k in range(N_WORDS):
        g.word[k] = checkpoints.word[segment, k]
    g.word[BASE] = first
    s.count[PIECES] = s.count[WALKS] = 0


@kernel
def unrecorded(g, s):
    """The same vector, without records."""
    none = Lanes(g.p, g.theta, g.state, g.end, g.spike, g.drive, g.time, g.source, g.tied,
                 g.series, g.reach, g.states[:0], g.flags, g.live, g.word)  # fmt: skip
    alone = Alone(s.p, s.room, s.r, s.reach, s.count, s.when, s.spikes, s.counts, s.wanted,
                  s.faults, s.fault_times, s.used, s.until, s.first, s.states, s.length, s.order,
                  s.cuts, s.kind[:0], s.spike)  # fmt: skip
    return none, alone


@kernel
def adjoint_lanes(e, g, s, b, checkpoints, n_intervals):
    """The adjoint of a vector whose start is set: adds to d_points, d_drive and the tally."""
    segment_length = len(g.states)
    n_segments = (n_intervals - 1) // segment_length + 1
    last = n_segments - 1
    if n_segments > 1:
        quick, alone = unrecorded(g, s)
        for segment in range(n_segments):
            keep(e, g, s, checkpoints, segment)
            last = segment
            stop = min((segment + 1) * segment_length, n_intervals)
            walk_lanes(e, quick, alone, segment * segment_length, stop)
            if g.word[LIVE] == 0:
                break
    else:
        keep(e, g, s, checkpoints, 0)
    for i in range(e.n):
        for lane in range(LANES):
            b.lam[i, lane] = 0.0
    b.hold[:] = 0.0
    for segment in range(last, -1, -1):
        first = segment * segment_length
        restore(e, g, s, checkpoints, segment, first)
        stop = walk_lanes(e, g, s, first, min(first + segment_length, n_intervals))
        if s.count[PIECES] > len(s.kind):
            b.tally[1] = max(b.tally[1], s.count[PIECES])
            return 0
        lanes_back(e, g, s, b, first, stop)
    return 0
