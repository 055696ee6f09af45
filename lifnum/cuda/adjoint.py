"""The two backward passes of one layer on a GPU.

A block is a tile of neurons of one chunk of samples, each after the other, so that a thread alone
adds to its column of the gradient: no atomics on real numbers. Else as in `forward`.
"""

from typing import NamedTuple

import numpy as np
from numba import cuda

from lifnum.cuda import device
from lifnum.cuda.layout import AHEAD, COLUMNS, MAX_THREADS, STAGED, STOPS, this_thread
from lifnum.kernels.lif.spike import (
    AnalyticalAdjoint,
    analytical_back,
    analytical_spike_back,
    begin_back,
    spike_back,
)
from lifnum.kernels.steps import step_end
from lifnum.methods.propagators import exact_propagator, propagator_derivative

device.teach_math()
ROWS = 16  # derivatives by input times that a block collects before it sums them
PARTS = 8  # partial sums of each


class Room(NamedTuple):
    """Memory of a block, and of a thread."""

    table: np.ndarray  # shared (STAGED, 3): (a, c, b) of steps
    stops: np.ndarray  # shared: where the inputs of these steps end, from the one before on
    values: np.ndarray  # shared (ROWS, threads): derivatives by input times
    parts: np.ndarray  # shared (ROWS, PARTS): their partial sums
    latest: np.ndarray  # shared: the step of the last spike of each thread's neuron
    rows: np.ndarray  # of a thread (AHEAD,): indices of inputs
    weights: np.ndarray  # of a thread (AHEAD,): their weights


class Span(NamedTuple):
    """What a thread works on: one neuron in one sample."""

    sample: int
    tile: int
    chunk: int
    j: int  # see `layout.Thread`
    column: int
    valid: bool
    first: int  # steps first .. last - 1
    last: int
    first_input: int
    place: int  # of its first spike in the ranks
    n_spikes: int


class Column(NamedTuple):
    """How far a thread's column of the gradient is; asked for before it is needed."""

    low_input: int  # rows and weights are those of inputs from this one on
    row: int  # the row of the next input, or -1
    value: float  # and what the gradient has there


class Pending(NamedTuple):
    """Derivatives by input times that wait for their sum over the threads."""

    n: int  # rows of values
    newest: int  # the input of the first row; the next ones are of the inputs before it


@cuda.jit(device=True)
def _span(inputs, steps, records, gradient, me, sample):
    n = inputs.w.shape[1]
    first = steps.first[sample]
    n_spikes = records.counts[sample, me.column]
    place = gradient.ends[sample * n + me.column] - n_spikes
    return Span(
        sample, me.tile, me.group, me.j, me.column, me.valid, first, first + steps.count[sample],
        inputs.offsets[sample], place, n_spikes if me.valid else 0,
    )  # fmt: skip


@cuda.jit(device=True)
def _samples(batch, gradient, me):
    """(first, last + 1) of the samples of a chunk."""
    n_chunks = gradient.d_w.shape[0]
    return me.group * batch // n_chunks, (me.group + 1) * batch // n_chunks


@device.kernel
def tabulate(d, steps, derivative, table):
    """Of every step (a', c', b') if derivative, else exact (a, c, b); a block a sample."""
    first = steps.first[cuda.blockIdx.x]
    last = first + steps.count[cuda.blockIdx.x]
    for step in range(first + cuda.threadIdx.x, last, cuda.blockDim.x):
        h = step_end(d, steps, step, last) - steps.start[step]
        if derivative:
            a, c, b = propagator_derivative(d, h)
        else:
            a, c, b = exact_propagator(h, d.tau_s, d.tau)
        table[step, 0], table[step, 1], table[step, 2] = a, c, b


@cuda.jit(device=True)
def _sum_rows(values, parts, n_rows, newest, target):
    """Write the sum of row r of values (ROWS, threads) to target[newest - r], in a fixed order."""
    thread, n = cuda.threadIdx.x, cuda.blockDim.x
    cuda.syncthreads()
    for k in range(thread, n_rows * PARTS, n):
        row, part = k // PARTS, k % PARTS
        total = 0.0
        for other in range(part, n, PARTS):
            total += values[row, other]
        parts[row, part] = total
    cuda.syncthreads()
    for row in range(thread, n_rows, n):
        total = 0.0
        for part in range(PARTS):
            total += parts[row, part]
        target[newest - row] = total
    cuda.syncthreads()


@cuda.jit(device=True)
def _last_step(latest_of, spike_step):
    """The latest step of the last spikes of the block's neurons."""
    cuda.syncthreads()
    latest_of[cuda.threadIdx.x] = spike_step
    cuda.syncthreads()
    latest = latest_of[0]
    for other in range(1, cuda.blockDim.x):
        latest = max(latest, latest_of[other])
    return latest


@cuda.jit(device=True)
def _spike_step(records, span, q):
    """The step of spike q; the one before the first if q < 0."""
    return np.int64(records.step[span.sample, q, span.j]) if q >= 0 else span.first - 1


@cuda.jit(device=True)
def _stage(steps, table, span, step, room):
    """Up to STAGED steps, down from `step`, in shared memory; returns the first of them."""
    real = room.table.dtype.type
    cuda.syncthreads()
    low = max(span.first, step - STAGED + 1)
    for k in range(cuda.threadIdx.x, step - low + 1, cuda.blockDim.x):
        for p in range(3):
            room.table[k, p] = real(table[low + k, p])
        room.stops[k + 1] = steps.stop[low + k]
    if cuda.threadIdx.x == 0:
        room.stops[0] = steps.stop[low - 1] if low > span.first else span.first_input
    cuda.syncthreads()
    return low


@cuda.jit(device=True)
def _add_value(room, gradient, span, pending, value):
    """Collect a derivative by an input's time; with ROWS of them sum them over the threads."""
    room.values[pending.n, cuda.threadIdx.x] = value if span.valid else 0.0
    more = Pending(pending.n + 1, pending.newest)
    return _sum_pending(room, gradient, span, more) if more.n == ROWS else more


@cuda.jit(device=True)
def _sum_pending(room, gradient, span, pending):
    if pending.n > 0:
        d_in = gradient.d_in[span.tile]
        _sum_rows(room.values, room.parts, pending.n, pending.newest, d_in)
    return Pending(0, pending.newest - pending.n)


@cuda.jit(device=True)
def _ask_ahead(inputs, span, low_input, with_weights, room):
    """The rows of AHEAD inputs from low_input on, and their weights: loads that do not wait."""
    for k in range(AHEAD):
        room.rows[k] = inputs.indices[max(span.first_input, low_input + k)]
    if with_weights:
        for k in range(AHEAD):
            room.weights[k] = inputs.w[room.rows[k], span.column]


@cuda.jit(device=True)
def _collect(inputs, gradient, span, room, column, k, lam_i):
    """Add lam_i to the gradient in the row of input k; returns the next `Column`."""
    low_input, next_row, next_value = column
    if k < low_input:
        low_input = k - AHEAD + 1
        _ask_ahead(inputs, span, low_input, gradient.d_in.shape[1] > 0, room)
    row = room.rows[k - low_input]
    if span.valid:
        d_w = gradient.d_w[span.chunk]
        next_value = lam_i + (next_value if row == next_row else d_w[row, span.j])
        d_w[row, span.j] = next_value
        next_row = np.int64(room.rows[k - 1 - low_input]) if k > low_input else -1
        if next_row >= 0 and next_row != row:
            next_value = d_w[next_row, span.j]
    return Column(low_input, next_row, next_value)


@cuda.jit(device=True)
def _spikes_back(d, records, gradient, span, step, q, lam_i, lam_u):
    """(`Adjoint` before a step with spikes, the spike before them, how many are constant)."""
    sample, j, lost = span.sample, span.j, 0
    rest = records.piece[3, sample, q, j] - records.piece[2, sample, q, j]
    back = begin_back(
        d, records.current[sample, q, j], d.reset, rest, np.float64(lam_i), np.float64(lam_u)
    )
    while _spike_step(records, span, q) == step:
        back, rises = spike_back(
            d, back, records.piece[0, sample, q, j], records.piece[1, sample, q, j],
            records.piece[2, sample, q, j], records.piece[3, sample, q, j],
            gradient.d_out[gradient.ranks[span.place + q]],
        )  # fmt: skip
        if not rises:
            lost += 1
        q -= 1
    return back, q, lost


@cuda.jit(device=True)
def _length_term(gradient, records, span, step, lam_i, lam_u):
    """Derivative of a step's end state by its length, times the adjoint."""
    i0 = np.float64(records.states[step, 0, span.column])
    u0 = np.float64(records.states[step, 1, span.column])
    da, dc, db = gradient.table[step, 0], gradient.table[step, 1], gradient.table[step, 2]
    return lam_i * da * i0 + lam_u * (dc * i0 + db * u0)


@cuda.jit(device=True)
def _zero_length(d, records, span, step, lam_i, lam_u):
    """Adjoint of the length of the step of length zero behind the last input of a step."""
    i0 = np.float64(records.states[step, 0, span.column])
    u0 = np.float64(records.states[step, 1, span.column])
    gain = np.float64(lam_u) - np.float64(lam_i) / d.tau_s
    return gain * i0 - np.float64(lam_u) * u0 / d.tau


@cuda.jit(device=True)
def _adjusted_sample(d, inputs, steps, records, gradient, span, room):
    """One sample of `backward_adjusted`; returns how many spikes passed no gradient."""
    real = inputs.w.dtype.type
    input_gradient = gradient.d_in.shape[1] > 0
    q, lost = span.n_spikes - 1, 0
    spike_step = _spike_step(records, span, q)
    step = _last_step(room.latest, spike_step)
    lam_i, lam_u = real(0.0), real(0.0)
    low = step + 1  # first step in shared memory
    behind = steps.stop[step] if step >= span.first else span.first_input
    column = Column(behind, -1, real(0.0))
    # the first input of the step behind waits for the derivative by the end of this one
    held = 0.0
    waiting = (
        input_gradient and span.first <= step < span.last - 1 and behind < steps.stop[step + 1]
    )
    pending = Pending(0, behind if waiting else behind - 1)
    while step >= span.first:
        if step < low:
            low = _stage(steps, steps.propagators, span, step, room)
        slot, end_term = step - low, 0.0
        if input_gradient:
            end_term = _length_term(gradient, records, span, step, lam_i, lam_u)
        start_term = -end_term
        if spike_step == step:
            back, q, n = _spikes_back(d, records, gradient, span, step, q, lam_i, lam_u)
            spike_step, lost = _spike_step(records, span, q), lost + n
            lam_i, lam_u = real(back.lam_i), real(back.lam_u)
            end_term, start_term = back.end_term, back.start_term
        else:
            lam_i = room.table[slot, 0] * lam_i + room.table[slot, 1] * lam_u
            lam_u = room.table[slot, 2] * lam_u
        if waiting:
            pending = _add_value(room, gradient, span, pending, held + end_term)
        i, stop, tied = room.stops[slot], room.stops[slot + 1], steps.tied[step] != 0
        # several inputs, or one on a grid point, are separated by steps of length zero
        zero_length = 0.0
        if input_gradient and stop > i and (stop - i > 1 or tied):
            zero_length = _zero_length(d, records, span, step, lam_i, lam_u)
        held = -zero_length if tied and stop > i else start_term
        for k in range(stop - 1, i - 1, -1):
            column = _collect(inputs, gradient, span, room, column, k, lam_i)
            if input_gradient and k > i:
                jump = np.float64(lam_i) / d.tau_s - np.float64(lam_u)
                zero_length += room.weights[k - column.low_input] * jump
                pending = _add_value(room, gradient, span, pending, held + zero_length)
                held = -zero_length
        waiting = input_gradient and stop > i
        step -= 1
    if waiting:
        pending = _add_value(room, gradient, span, pending, held)
    _sum_pending(room, gradient, span, pending)
    return lost


@device.kernel
def backward_adjusted(d, inputs, steps, records, gradient):
    """The discrete adjoint: derivative of the simulation as computed.

    Only with derivatives by input times the states of `Records` are read, and the table, of
    derivatives.
    """
    w = inputs.w
    me = this_thread(w.shape[1])
    table = cuda.shared.array((STAGED, 3), w.dtype)
    stops = cuda.shared.array(STOPS, np.int64)
    values = cuda.shared.array((ROWS, COLUMNS), np.float64)
    parts = cuda.shared.array((ROWS, PARTS), np.float64)
    latest = cuda.shared.array(MAX_THREADS, np.int64)
    rows, weights = cuda.local.array(AHEAD, np.int32), cuda.local.array(AHEAD, w.dtype)
    room = Room(table, stops, values, parts, latest, rows, weights)
    lost = 0
    first, last = _samples(records.counts.shape[0], gradient, me)
    for sample in range(first, last):
        span = _span(inputs, steps, records, gradient, me, sample)
        lost += _adjusted_sample(d, inputs, steps, records, gradient, span, room)
    if me.valid:
        gradient.constant[me.group, me.j] = lost


@cuda.jit(device=True)
def _analytical_spikes_back(d, records, gradient, span, step, q, back):
    """As `_spikes_back`, of the analytical adjoint, from the end of the step."""
    lost = 0
    while _spike_step(records, span, q) == step:
        back, rises = analytical_spike_back(
            d, back, records.time[span.sample, q, span.j], 0.0,
            records.current[span.sample, q, span.j],
            gradient.d_out[gradient.ranks[span.place + q]],
        )  # fmt: skip
        if not rises:
            lost += 1
        q -= 1
    return back, q, lost


@cuda.jit(device=True)
def _piggyback_sample(d, inputs, steps, records, gradient, span, room):
    """One sample of `backward_piggyback`; returns how many spikes passed no gradient."""
    real = inputs.w.dtype.type
    rate = real(1.0 / d.tau_s)
    q, lost = span.n_spikes - 1, 0
    spike_step = _spike_step(records, span, q)
    step = _last_step(room.latest, spike_step)
    lam_i, lam_u = real(0.0), real(0.0)
    low = step + 1  # first step in shared memory
    behind = steps.stop[step] if step >= span.first else span.first_input
    column, pending = Column(behind, -1, real(0.0)), Pending(0, behind - 1)
    while step >= span.first:
        if step < low:
            low = _stage(steps, gradient.table, span, step, room)
        slot = step - low
        if spike_step == step:
            end = step_end(d, steps, step, span.last)
            back, q, n = _analytical_spikes_back(
                d, records, gradient, span, step, q,
                AnalyticalAdjoint(np.float64(lam_i), np.float64(lam_u), end, 0.0),
            )  # fmt: skip
            spike_step, lost = _spike_step(records, span, q), lost + n
            back = analytical_back(d, back, steps.start[step], 0.0)
            lam_i, lam_u = real(back.lam_i), real(back.lam_u)
        else:
            lam_i = room.table[slot, 0] * lam_i + room.table[slot, 1] * lam_u
            lam_u = room.table[slot, 2] * lam_u
        for k in range(room.stops[slot + 1] - 1, room.stops[slot] - 1, -1):
            column = _collect(inputs, gradient, span, room, column, k, lam_i)
            if gradient.d_in.shape[1] > 0:
                jump = room.weights[k - column.low_input] * (rate * lam_i - lam_u)
                pending = _add_value(room, gradient, span, pending, np.float64(jump))
        step -= 1
    _sum_pending(room, gradient, span, pending)
    return lost


@device.kernel
def backward_piggyback(d, inputs, steps, records, gradient):
    """The analytical adjoint (BATS, EventProp) on the numerical spike times and currents.

    The table has the propagators of the exact solution, of every step.
    """
    w = inputs.w
    me = this_thread(w.shape[1])
    table = cuda.shared.array((STAGED, 3), w.dtype)
    stops = cuda.shared.array(STOPS, np.int64)
    values = cuda.shared.array((ROWS, COLUMNS), np.float64)
    parts = cuda.shared.array((ROWS, PARTS), np.float64)
    latest = cuda.shared.array(MAX_THREADS, np.int64)
    rows, weights = cuda.local.array(AHEAD, np.int32), cuda.local.array(AHEAD, w.dtype)
    room = Room(table, stops, values, parts, latest, rows, weights)
    lost = 0
    first, last = _samples(records.counts.shape[0], gradient, me)
    for sample in range(first, last):
        span = _span(inputs, steps, records, gradient, me, sample)
        lost += _piggyback_sample(d, inputs, steps, records, gradient, span, room)
    if me.valid:
        gradient.constant[me.group, me.j] = lost
