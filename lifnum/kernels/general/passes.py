"""The passes of a model's layer over a batch: forward, adjoint, and the state at given times.

Work is cut into samples, groups of LANES neurons and, in the adjoint, chunks of samples, whose
numbers depend on the problem's size alone: results do not depend on the number of threads.
"""

import numpy as np
from numba import prange

from lifnum.compiler import kernel, parallel_kernel
from lifnum.kernels.general.engine import AT, END, LAM, LINEAR, STATE, WIDTH
from lifnum.kernels.general.flow import flow, state_at
from lifnum.kernels.general.piggyback import MOST_PARTS, input_back, interval_piggyback
from lifnum.kernels.general.walk import (
    ARMED,
    COUNT,
    ENDED,
    FAULT,
    PIECES,
    SUPPRESSED,
    VARIABLE,
    WANTED,
    Pieces,
    Points,
    Track,
    interval_back,
    merge,
    walk,
)
from lifnum.kernels.vectors import LANES

SEGMENT = 256  # sub-intervals that the adjoint simulates anew at once
TASKS = 32  # of the adjoint: enough for any number of threads that one would use


def chunks(batch, n_groups):
    """How many chunks of samples the adjoint cuts a batch into."""
    return max(1, min(batch, TASKS // n_groups))


@kernel
def gather(w, indices, low, drive):
    """drive (inputs, LANES) = the rows of the inputs, of the neurons from low on."""
    for k in range(len(indices)):
        for lane in range(drive.shape[1]):
            column = low + lane
            drive[k, lane] = w[indices[k], column] if column < w.shape[1] else 0.0


@kernel
def begin(track, room, start, n):
    """A neuron at time 0."""
    track.count[:] = 0
    track.count[ARMED] = 1
    for i in range(n):
        room[STATE, i] = start[i]


@parallel_kernel
def forward(e, n_rooms, times, offsets, indices, w, p, thresholds, starts, spikes, counts, faults,
            fault_times):  # fmt: skip
    """Simulate a batch.

    n_rooms: rows of scratch; p (n_post, n_p), thresholds (n_post,), starts (n_post, n) of the
    neurons. spikes (batch, n_post, capacity) receives times, counts (batch, n_post) how many;
    faults (batch, n_post, 3), int64: what went wrong, with which variable, and whether the cap
    suppressed a spike; fault_times (batch, n_post) when.
    """
    batch, n_post = counts.shape
    n_groups = (n_post + LANES - 1) // LANES
    for turn in prange(batch * n_groups):
        sample, low = np.int64(turn) // n_groups, np.int64(turn) % n_groups * LANES
        a, b = offsets[sample], offsets[sample + 1]
        most = b - a + e.n_grid + 3
        points = Points(np.empty(most), np.empty(most, np.int64), np.empty(most, np.bool_))
        drive = np.empty((b - a, LANES))
        room, r = np.zeros((n_rooms, WIDTH)), np.zeros((e.n_rows, WIDTH))
        track = Track(np.zeros(7, np.int64), np.zeros(1))
        nothing = np.empty(0, np.int32)
        pieces = Pieces(np.empty(1, np.int64), np.empty((0, 1)), np.empty((0, 2)), nothing, nothing,
                        nothing, nothing)  # fmt: skip
        gather(w, indices[a:b], low, drive)
        n_points = merge(e, times[a:b], points)
        for lane in range(min(LANES, n_post - low)):
            j = low + lane
            begin(track, room, starts[j], e.n)
            walk(e, p[j], thresholds[j], points, 0, n_points - 1, drive, lane, room, r, track,
                 spikes[sample, j], pieces, False)  # fmt: skip
            counts[sample, j] = track.count[COUNT]
            faults[sample, j, 0] = track.count[FAULT]
            faults[sample, j, 1] = track.count[VARIABLE]
            faults[sample, j, 2] = track.count[SUPPRESSED]
            fault_times[sample, j] = track.when[0]


@kernel
def neuron_back(e, p, theta, points, n_points, drive, lane, start, room, r, track, spikes, pieces,
                checkpoints, parts, d_times, d_points, d_drive, tally):  # fmt: skip
    """The adjoint of one neuron in one sample; adds to d_points (points,) and d_drive (inputs,
    LANES), and to the tally: spikes without gradient, and the pieces that lacked room.

    Piggyback where parts has rows, else adjusted."""
    wanted = len(d_times)
    begin(track, room, start, e.n)
    track.count[WANTED] = wanted
    n_segments = (n_points - 2) // SEGMENT + 1
    last = 0
    for segment in range(n_segments):
        for i in range(e.n):
            checkpoints[segment, i] = room[STATE, i]
        checkpoints[segment, e.n] = track.count[COUNT]
        checkpoints[segment, e.n + 1] = track.count[ARMED]
        last = segment
        if n_segments > 1:
            stop = min((segment + 1) * SEGMENT, n_points - 1)
            walk(e, p, theta, points, segment * SEGMENT, stop, drive, lane, room, r, track, spikes,
                 pieces, False)  # fmt: skip
            if track.count[COUNT] >= wanted:
                break
    for i in range(e.n):
        room[LAM, i] = 0.0
    for segment in range(last, -1, -1):
        first = segment * SEGMENT
        for i in range(e.n):
            room[STATE, i] = checkpoints[segment, i]
        track.count[COUNT] = np.int64(checkpoints[segment, e.n])
        track.count[ARMED] = np.int64(checkpoints[segment, e.n + 1])
        track.count[PIECES] = 0
        stop = min(first + SEGMENT, n_points - 1)
        stop = walk(e, p, theta, points, first, stop, drive, lane, room, r, track, spikes, pieces,
                    True)  # fmt: skip
        if track.count[PIECES] > len(pieces.kind):
            tally[1] = max(tally[1], track.count[PIECES])
            return
        for k in range(stop - 1, first - 1, -1):
            begin_piece, end_piece = pieces.first[k - first], pieces.first[k - first + 1]
            if len(parts) > 0:
                d_points[k] += interval_piggyback(
                    e, p, theta, begin_piece, end_piece, pieces, d_times, room, r, parts, tally
                )
            else:
                at_start, at_end = interval_back(
                    e, p, theta, begin_piece, end_piece, pieces, d_times, room, r, tally
                )
                d_points[k] += at_start
                d_points[k + 1] += at_end
            source = points.source[k]
            if source < 0:
                continue
            w = drive[source, lane]
            first_of_two = w >= 0.0 or e.positive == e.negative
            variable, sign = (e.positive, 1.0) if first_of_two else (e.negative, -1.0)
            d_drive[source, lane] += sign * room[LAM, variable]
            if len(parts) > 0:
                y = pieces.state[begin_piece]
                d_points[k] += input_back(e, p, y, variable, sign * w, room)


@parallel_kernel
def backward(e, n_rooms, n_pieces, analytical, times, offsets, indices, w, p, thresholds, starts,
             spikes, counts, places, d_times, d_w, d_in, tallies):  # fmt: skip
    """Add the gradients of the weights to d_w (chunks, n_pre, n_post) and of the input times to
    d_in (groups, inputs), both float64; analytical: piggyback, else adjusted.

    spikes, counts: of `forward`; d_times: by the spikes' times, ordered by (sample, neuron, time);
    places (batch * n_post + 1,): where each neuron's begin there. tallies (tasks, 3), int64:
    spikes without gradient, pieces that lacked room, whether there were other spikes than before.
    """
    n_post = counts.shape[1]
    batch = counts.shape[0]
    n_groups = (n_post + LANES - 1) // LANES
    n_chunks = d_w.shape[0]
    for turn in prange(n_groups * n_chunks):
        group, chunk = np.int64(turn) // n_chunks, np.int64(turn) % n_chunks
        low = group * LANES
        room, r = np.zeros((n_rooms, WIDTH)), np.zeros((e.n_rows, WIDTH))
        track = Track(np.zeros(7, np.int64), np.zeros(1))
        pieces = Pieces(
            np.zeros(SEGMENT + 1, np.int64), np.empty((n_pieces, e.n)), np.empty((n_pieces, 2)),
            np.empty(n_pieces, np.int32), np.empty(n_pieces, np.int32),
            np.empty(n_pieces, np.int32), np.empty(n_pieces, np.int32),
        )  # fmt: skip
        tally = tallies[turn]
        again = np.empty(spikes.shape[2])
        parts = np.empty((MOST_PARTS if analytical else 0, e.n + 2))
        for sample in range(chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks):
            a, b = offsets[sample], offsets[sample + 1]
            most = b - a + e.n_grid + 3
            points = Points(np.empty(most), np.empty(most, np.int64), np.empty(most, np.bool_))
            drive, d_drive = np.empty((b - a, LANES)), np.zeros((b - a, LANES))
            checkpoints = np.empty((most // SEGMENT + 1, e.n + 2))
            d_points = np.zeros(most)
            gather(w, indices[a:b], low, drive)
            n_points = merge(e, times[a:b], points)
            for lane in range(min(LANES, n_post - low)):
                j = low + lane
                n = counts[sample, j]
                if n > 0:
                    again[:n] = np.nan
                    place = places[sample * n_post + j]
                    neuron_back(e, p[j], thresholds[j], points, n_points, drive, lane, starts[j],
                                room, r, track, again[:n], pieces, checkpoints, parts,
                                d_times[place : place + n], d_points, d_drive, tally)  # fmt: skip
                    for q in range(n):
                        if again[q] != spikes[sample, j, q]:
                            tally[2] = 1
            for k in range(1, n_points):
                source = points.source[k]
                if source >= 0:
                    if len(d_in) > 0:
                        d_in[group, a + source] += d_points[k]
                    row = indices[a + source]
                    for lane in range(min(LANES, n_post - low)):
                        d_w[chunk, row, low + lane] += d_drive[source, lane]


@kernel
def neuron_states(e, p, theta, points, n_points, drive, lane, start, room, r, track, spikes, pieces,
                  queries, out):  # fmt: skip
    """out (n, queries): the state at sorted times, right-continuous; False: pieces lacked room."""
    begin(track, room, start, e.n)
    track.count[WANTED] = e.max_spikes + 1
    q = 0
    for k in range(n_points - 1):
        begun, end = points.time[k], points.time[k + 1]
        track.count[PIECES] = 0
        walk(e, p, theta, points, k, k + 1, drive, lane, room, r, track, spikes, pieces, True)
        n_pieces = track.count[PIECES]
        if n_pieces > len(pieces.kind):
            return False
        if track.count[FAULT] != 0:
            return True
        for piece in range(n_pieces):
            y, h, order = pieces.state[piece], pieces.length[piece, 0], pieces.order[piece]
            closed = piece == n_pieces - 1
            s = h if pieces.kind[piece] == ENDED else pieces.length[piece, 1]
            if q < len(queries) and h > 0.0:
                flow(e, p, y, h, True, room, r, room[AT])
            while q < len(queries) and queries[q] < (end if closed else begun + s):
                at = min(max(queries[q] - begun, 0.0), h)
                if h == 0.0:
                    for i in range(e.n):
                        out[i, q] = y[i]
                elif e.interpolation == LINEAR:
                    for i in range(e.n):
                        out[i, q] = y[i] + at / h * (room[AT, i] - y[i])
                else:
                    state_at(e, p, y, h, at, order, room, r, room[END])
                    for i in range(e.n):
                        out[i, q] = room[END, i]
                q += 1
            begun += s
        if track.count[SUPPRESSED] != 0:
            break
    while q < len(queries):  # at the end, or from a spike on that the cap suppresses
        for i in range(e.n):
            out[i, q] = room[STATE, i]
        q += 1
    return True


@parallel_kernel
def states(e, n_rooms, n_pieces, times, offsets, indices, w, p, thresholds, starts, capacity,
           queries, out, faults):  # fmt: skip
    """out (batch, n_post, n, queries); faults (batch, n_post), bool: pieces lacked room."""
    batch, n_post = out.shape[:2]
    n_groups = (n_post + LANES - 1) // LANES
    for turn in prange(batch * n_groups):
        sample, low = np.int64(turn) // n_groups, np.int64(turn) % n_groups * LANES
        a, b = offsets[sample], offsets[sample + 1]
        most = b - a + e.n_grid + 3
        points = Points(np.empty(most), np.empty(most, np.int64), np.empty(most, np.bool_))
        drive, spikes = np.empty((b - a, LANES)), np.empty(capacity)
        room, r = np.zeros((n_rooms, WIDTH)), np.zeros((e.n_rows, WIDTH))
        track = Track(np.zeros(7, np.int64), np.zeros(1))
        pieces = Pieces(
            np.zeros(2, np.int64), np.empty((n_pieces, e.n)), np.empty((n_pieces, 2)),
            np.empty(n_pieces, np.int32), np.empty(n_pieces, np.int32),
            np.empty(n_pieces, np.int32), np.empty(n_pieces, np.int32),
        )  # fmt: skip
        gather(w, indices[a:b], low, drive)
        n_points = merge(e, times[a:b], points)
        for lane in range(min(LANES, n_post - low)):
            j = low + lane
            faults[sample, j] = not neuron_states(
                e, p[j], thresholds[j], points, n_points, drive, lane, starts[j], room, r, track,
                spikes, pieces, queries, out[sample, j],
            )  # fmt: skip
