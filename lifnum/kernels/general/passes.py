"""The passes of a model's layer over a batch: forward, adjoint, and the state at given times.

Work is cut into vectors of LANES neurons and chunks of samples, whose numbers depend on the
problem's size alone: results do not depend on the number of threads.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from lifnum.compiler import address_of, allocating_kernel, call, kernel, parallel_kernel
from lifnum.kernels.general.adjoint import interval_back
from lifnum.kernels.general.batch import (
    columns_of,
    fill,
    n_intervals,
    n_vectors,
    no_points,
    part_of,
    points_of,
    set_up,
    tabulate,
)
from lifnum.kernels.general.checkpoints import Checkpoints, adjoint_lanes
from lifnum.kernels.general.engine import AT, END, LINEAR, MAX_ORDER, STATE, WIDTH, Cell, Step, rows
from lifnum.kernels.general.flow import flow, state_at
from lifnum.kernels.general.lanes import (
    N_FAULTS,
    N_WORDS,
    Alone,
    Back,
    Lanes,
    drops,
    jump,
    start_lanes,
    walk_lanes,
)
from lifnum.kernels.general.piggyback import MOST_PARTS, interval_piggyback
from lifnum.kernels.general.walk import (
    ARMED,
    ENDED,
    FAULT,
    HELD,
    HOLDING,
    N_COUNTS,
    PIECES,
    RELEASED,
    Interval,
    Pieces,
    Points,
    Track,
    hold,
    walk_interval,
)
from lifnum.kernels.vectors import LANES, add, load

SEGMENT = 2048  # sub-intervals that the adjoint simulates anew at once
TASKS = 32  # of the adjoint: enough for any number of threads that one would use
FORWARD_TASKS = 128  # more: these have no gradient each


class Results(NamedTuple):
    """What the forward pass leaves of each neuron in each sample."""

    spikes: np.ndarray  # (batch, n_post, capacity) times
    counts: np.ndarray  # int64 (batch, n_post)
    faults: np.ndarray  # int64 (batch, n_post, N_FAULTS), see `lanes`
    fault_times: np.ndarray  # (batch, n_post)


class Gradients(NamedTuple):
    """What the adjoint takes and adds to."""

    d_times: np.ndarray  # by the spikes' times, ordered by (sample, neuron, time)
    places: np.ndarray  # int64 (batch * n_post + 1,): where each neuron's begin there
    d_w: np.ndarray  # (chunks, n_pre, n_post), of any content before
    d_in: np.ndarray  # (groups, inputs); no rows: nobody asks
    tallies: np.ndarray  # int64 (tasks, 3): without gradient, pieces without room, other spikes


def chunks(batch, n_groups):
    """How many chunks of samples the adjoint cuts a batch into."""
    return max(1, min(batch, TASKS // n_groups))


@kernel
def forward_chunks(batch, n_groups):
    """As `chunks`, of the forward pass."""
    return max(1, min(batch, FORWARD_TASKS // n_groups))


@allocating_kernel
def vectors(n):
    """Room for n vectors, (n, LANES), of any content: none lies across lines of the cache."""
    room = np.empty((n + 1) * LANES)
    first = -(room.ctypes.data // 8) % 8
    return room[first : first + n * LANES].reshape((n, LANES))


@allocating_kernel
def lanes_for(e, n_p, points, n_inputs, n_records):
    """A vector of neurons, to be filled."""
    return Lanes(
        vectors(n_p), vectors(1), vectors(e.n), vectors(e.n), vectors(e.n + 1), vectors(n_inputs),
        points.time, points.source, points.tied,
        vectors(e.n_rows * (MAX_ORDER + 2)).reshape((e.n_rows, MAX_ORDER + 2, LANES)),
        np.zeros(MAX_ORDER + 2, np.int64),
        vectors(n_records * e.n).reshape((n_records, e.n, LANES)),
        np.empty(n_records + 1, np.int64), np.empty(n_records + 1, np.int64),
        np.zeros(N_WORDS, np.int64),
    )  # fmt: skip


@allocating_kernel
def alone_for(e, n_p, n_rooms, capacity, n_walks, n_pieces):
    return Alone(
        np.empty((LANES, n_p)), np.zeros((n_rooms, WIDTH)), np.zeros((e.n_rows, WIDTH)),
        np.zeros(WIDTH, np.int64),
        np.zeros(N_COUNTS, np.int64), np.zeros(2), np.empty((LANES, capacity)),
        np.empty(LANES, np.int64), np.empty(LANES, np.int64),
        np.empty((LANES, N_FAULTS), np.int64), np.empty(LANES), np.zeros((2, LANES), np.int64),
        np.zeros(LANES),
        np.empty(n_walks + 1, np.int64), np.empty((n_pieces, e.n)),
        np.empty((n_pieces, 2)), np.empty(n_pieces, np.int32), np.empty(n_pieces, np.int32),
        np.empty(n_pieces, np.int32), np.empty(n_pieces, np.int32),
    )  # fmt: skip


@allocating_kernel
def back_for(e, d_times, n_points, n_inputs, n_parts):
    return Back(
        vectors(e.n), np.zeros(LANES), vectors(e.n),
        vectors(e.n * MAX_ORDER).reshape((e.n, MAX_ORDER, LANES)), np.zeros(n_points),
        vectors(n_inputs),
        d_times, np.empty(LANES + 1, np.int64), np.empty((n_parts, e.n + 2)), np.zeros(2, np.int64),
    )  # fmt: skip


@allocating_kernel
def lanes_of(g, points, n_inputs):
    """A vector with the points and as many inputs of a sample."""
    return Lanes(g.p, g.theta, g.state, g.end, g.spike, g.drive[:n_inputs], points.time,
                 points.source, points.tied, g.series, g.reach, g.states, g.flags, g.live,
                 g.word)  # fmt: skip


@allocating_kernel
def back_of(b, n_points, n_inputs):
    """The adjoint of a vector with so many points and inputs, all derivatives zero."""
    d_points, d_drive = b.d_points[:n_points], b.d_drive[:n_inputs]
    d_points[:] = 0.0
    d_drive[:] = 0.0
    b.tally[:] = 0
    return Back(b.lam, b.hold, b.before, b.tail, d_points, d_drive, b.d_times, b.places, b.parts,
                b.tally)  # fmt: skip


@allocating_kernel
def checkpoints_for(e, n_segments):
    return Checkpoints(np.empty((n_segments, e.n, LANES)), np.empty((n_segments, LANES), np.int64),
                       np.empty((n_segments, N_WORDS), np.int64),
                       np.empty((n_segments, 2, LANES), np.int64),
                       np.empty((n_segments, LANES)))  # fmt: skip


def units(e, batch, results, gradients=None, analytical=False):
    """Addresses of what the passes call, for a class of engine and arguments like these.

    gradients: for `backward`; analytical: piggyback, else adjusted. Without: for `forward`.
    """
    g, s = vector_of(e)
    c, pieces = Cell(s.p[0], 0.0, s.room, s.r, s.reach), Pieces(*s[-7:])
    if gradients is None:
        track = Track(s.count, s.when)
        return {
            "walk_interval": address_of(
                walk_interval, e, c, Interval(0.0, 0.0, True, True), track, s.spikes[0], pieces
            ),
            "tabulate": address_of(tabulate, e, batch),
            "run": address_of(forward_task, e, 0, batch, results, 0),
        }
    b = back_for.py_func(e, np.empty(0), 1, 1, 1)
    back = interval_piggyback if analytical else interval_back
    return {
        "interval_back": address_of(back, e, c, pieces, b.d_times, b.parts, b.tally, 0, 0),
        "run_back": address_of(backward_task, e, (0, 0), analytical, batch, results, gradients, 0),
    }


def vector_of(e):
    """(`Lanes`, `Alone`) like those that the passes make."""
    points = Points(np.empty(1), np.empty(1, np.int64), np.empty(1, np.bool_))
    return lanes_for.py_func(e, 1, points, 1, 1), alone_for.py_func(e, 1, rows(e), 1, 1, 1)


def vector_examples(e):
    """Arguments like those of a model's functions of vectors."""
    g, _ = vector_of(e)
    b = back_for.py_func(e, np.empty(0), 1, 1, 1)
    leap = g.p, g.theta, g.state, g.end, g.spike, 0.0, 0
    back = e, g, b, 0, 0
    return {"quiet": (e, g, 0, 0), "quiet_back": back, "true_back": back, "leap": leap}


@kernel
def report(results, sample, low, s):
    for lane in range(min(LANES, results.counts.shape[1] - low)):
        j = low + lane
        results.counts[sample, j] = s.counts[lane]
        for q in range(s.counts[lane]):
            results.spikes[sample, j, q] = s.spikes[lane, q]
        for k in range(N_FAULTS):
            results.faults[sample, j, k] = s.faults[lane, k]
        results.fault_times[sample, j] = s.fault_times[lane]


@kernel
def collect(batch, results, gradients, d_w, g, s, back, place):
    """Add the adjoint of a vector to d_w (n_pre, LANES) and to the gradients, and whether it had
    other spikes than before.

    place: (sample, its vector, the task).
    """
    sample, group, turn = place
    low, first = group * LANES, batch.offsets[sample]
    tally = gradients.tallies[turn]
    tally[0] += back.tally[0]
    tally[1] = max(tally[1], back.tally[1])
    for lane in range(min(LANES, results.counts.shape[1] - low)):
        for q in range(s.wanted[lane]):
            if s.spikes[lane, q] != results.spikes[sample, low + lane, q]:
                tally[2] = 1
    for k in range(1, len(g.time)):
        source = g.source[k]
        if source >= 0:
            if len(gradients.d_in) > 0:
                gradients.d_in[group, first + source] += back.d_points[k]
            add(d_w, batch.indices[first + source], 0, load(back.d_drive, source, 0))


@kernel
def want_all(e, n_neurons, s):
    """Every spike of a vector's neurons; there are none of the padding."""
    for lane in range(LANES):
        s.wanted[lane] = e.max_spikes + 1 if lane < n_neurons else 0


@kernel
def want(results, gradients, sample, low, s, back):
    """Which spikes of a vector have derivatives, and where these are."""
    n_post = results.counts.shape[1]
    for lane in range(LANES):
        j = low + lane
        s.wanted[lane] = results.counts[sample, j] if j < n_post else 0
        for q in range(s.wanted[lane]):
            s.spikes[lane, q] = np.nan
    for lane in range(LANES + 1):
        back.places[lane] = gradients.places[sample * n_post + min(low + lane, n_post)]


@allocating_kernel
def forward_task(e, n_rooms, batch, results, turn):
    """One vector of neurons in a chunk of samples."""
    n_samples, n_post, capacity = results.spikes.shape
    n_chunks, n_p = forward_chunks(n_samples, n_vectors(n_post)), batch.p.shape[1]
    neuron, chunk = turn // n_chunks * LANES, turn % n_chunks
    low, high, _, most_inputs = part_of(batch, chunk, n_chunks)
    s = alone_for(e, n_p, n_rooms, capacity, 0, 0)
    whole = lanes_for(e, n_p, no_points(batch), most_inputs, 0)
    start = np.empty((LANES, e.n))
    set_up(batch, neuron, whole, s, start)
    columns = columns_of(batch.w, neuron, batch.offsets[high] - batch.offsets[low])
    for sample in range(low, high):
        a, b = batch.offsets[sample], batch.offsets[sample + 1]
        points = points_of(batch, sample)
        g = lanes_of(whole, points, b - a)
        fill(batch.w, columns, neuron, batch.indices[a:b], g.drive)
        want_all(e, n_post - neuron, s)
        start_lanes(e, g, s, start)
        walk_lanes(e, g, s, 0, n_intervals(points))
        report(results, sample, neuron, s)
    return 0


@parallel_kernel
def forward(e, n_rooms, batch, results):
    """Simulate a batch; n_rooms: rows of scratch."""
    n_samples, n_post = results.counts.shape
    call(e.tabulate, (e, batch))
    for turn in prange(n_vectors(n_post) * forward_chunks(n_samples, n_vectors(n_post))):
        call(e.run, (e, n_rooms, batch, results, np.int64(turn)))


@allocating_kernel
def backward_task(e, sizes, analytical, batch, results, gradients, turn):
    """One vector of neurons in a chunk of samples."""
    n_rooms, n_pieces = sizes
    n_chunks, n_p, capacity = gradients.d_w.shape[0], batch.p.shape[1], results.spikes.shape[2]
    group, chunk = turn // n_chunks, turn % n_chunks
    low, high, most, most_inputs = part_of(batch, chunk, n_chunks)
    timed, neuron = len(gradients.d_in) > 0, group * LANES
    s = alone_for(e, n_p, n_rooms, capacity, SEGMENT * LANES, n_pieces)
    whole = lanes_for(e, n_p, no_points(batch), most_inputs, min(SEGMENT, most))
    whole_back = back_for(e, gradients.d_times, most + 1 if timed else 0, most_inputs,
                          MOST_PARTS if analytical else 0)  # fmt: skip
    checkpoints = checkpoints_for(e, most // SEGMENT + 1)
    start = np.empty((LANES, e.n))
    set_up(batch, neuron, whole, s, start)
    columns = columns_of(batch.w, neuron, batch.offsets[high] - batch.offsets[low])
    d_w = np.zeros((len(batch.w), LANES))
    for sample in range(low, high):
        a, b = batch.offsets[sample], batch.offsets[sample + 1]
        points = points_of(batch, sample)
        n = n_intervals(points)
        g, back = lanes_of(whole, points, b - a), back_of(whole_back, n + 1 if timed else 0, b - a)
        fill(batch.w, columns, neuron, batch.indices[a:b], g.drive)
        want(results, gradients, sample, neuron, s, back)
        start_lanes(e, g, s, start)
        adjoint_lanes(e, g, s, back, checkpoints, n)
        collect(batch, results, gradients, d_w, g, s, back, (sample, group, turn))
    for row in range(len(d_w)):
        for lane in range(min(LANES, batch.w.shape[1] - neuron)):
            gradients.d_w[chunk, row, neuron + lane] = d_w[row, lane]
    return 0


@parallel_kernel
def backward(e, sizes, analytical, batch, results, gradients):
    """Add the gradients of the weights to d_w and of the input times to d_in.

    sizes: (n_rooms, n_pieces); analytical: piggyback, else adjusted.
    """
    n_groups = n_vectors(results.counts.shape[1])
    call(e.tabulate, (e, batch))
    for turn in prange(n_groups * gradients.d_w.shape[0]):
        call(e.run_back,
             (e, sizes, analytical, batch, results, gradients, np.int64(turn)))  # fmt: skip


@kernel
def neuron_states(e, batch, j, points, s, drive, queries, out):
    """out (n, queries): the state at sorted times, right-continuous; False: pieces lacked room.

    drive (inputs,): weights.
    """
    c = Cell(s.p[0], batch.thresholds[j], s.room, s.r, s.reach)
    for i in range(len(c.p)):
        c.p[i] = batch.p[j, i]
    room, track = c.room, Track(s.count, s.when)
    for i in range(e.n):
        room[STATE, i] = batch.starts[j, i]
    pieces = Pieces(s.first, s.states, s.length, s.order, s.cuts, s.kind, s.spike)
    track.count[:] = 0
    track.count[ARMED] = 1
    q = 0
    for k in range(n_intervals(points)):
        begun, end = points.time[k], points.time[k + 1]
        source = points.source[k]
        if source >= 0:
            variable, sign = jump(e, drive[source])
            if not drops(e, track.count[HOLDING] != 0, variable):
                room[STATE, variable] += sign * drive[source]
        track.count[PIECES] = 0
        interval = Interval(begun, end - begun, points.tied[k], source < 0)
        on = call(e.walk_interval, (e, c, interval, track, s.spikes[0], pieces))
        n_pieces = track.count[PIECES]
        if n_pieces > len(pieces.kind):
            return False
        if track.count[FAULT] != 0:
            return True
        for piece in range(n_pieces):
            y, h, order = pieces.state[piece], pieces.length[piece, 0], pieces.order[piece]
            closed = piece == n_pieces - 1
            length = h if pieces.kind[piece] == ENDED else pieces.length[piece, 1]
            hold(e, c, pieces.kind[piece] in (HELD, RELEASED))
            if q < len(queries) and h > 0.0:
                flow(e, c, y, h, True, room[AT])
            while q < len(queries) and queries[q] < (end if closed else begun + length):
                at = min(max(queries[q] - begun, 0.0), h)
                if h == 0.0:
                    for i in range(e.n):
                        out[i, q] = y[i]
                elif e.interpolation == LINEAR:
                    for i in range(e.n):
                        out[i, q] = y[i] + at / h * (room[AT, i] - y[i])
                else:
                    state_at(e, c, y, Step(h, at, np.int64(order)), room[END])
                    for i in range(e.n):
                        out[i, q] = room[END, i]
                q += 1
            begun += length
        hold(e, c, False)
        if on == 0:
            break
    while q < len(queries):  # at the end, or from a spike on that the cap suppresses
        for i in range(e.n):
            out[i, q] = room[STATE, i]
        q += 1
    return True


@allocating_kernel
def states_task(e, sizes, batch, capacity, queries, out, turn):
    """One neuron in one sample; whether the pieces lacked room."""
    n_rooms, n_pieces = sizes
    sample, j = turn // out.shape[1], turn % out.shape[1]
    a, b = batch.offsets[sample], batch.offsets[sample + 1]
    points = points_of(batch, sample)
    s = alone_for(e, batch.p.shape[1], n_rooms, capacity, 1, n_pieces)
    drive = np.empty(b - a)
    for k in range(b - a):
        drive[k] = batch.w[batch.indices[a + k], j]
    return not neuron_states(e, batch, j, points, s, drive, queries, out[sample, j])


@parallel_kernel
def states(e, sizes, batch, capacity, queries, out, lacking):
    """out (batch, n_post, n, queries); lacking (batch, n_post), bool: pieces lacked room.

    sizes: (n_rooms, n_pieces).
    """
    n_samples, n_post = lacking.shape
    call(e.tabulate, (e, batch))
    for turn in prange(n_samples * n_post):
        k = np.int64(turn)
        lacking[k // n_post, k % n_post] = states_task(e, sizes, batch, capacity, queries, out, k)
