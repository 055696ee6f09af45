"""CUDA functions of one layer: forward, and the two backward passes.

A thread is a neuron, a block a tile of neurons of one sample; backward, of one chunk of samples,
each after the other, so that a thread alone adds to its column of the gradient: no atomics on real
numbers. The table of steps is read once per block, through shared memory; weights and records lie
so that neighbouring threads read neighbouring addresses. All formulas are those of the CPU's scalar
kernels, called here. Symbols as in layer.py and adjoint.py.
"""

from typing import NamedTuple

import numpy as np
from numba import cuda

from lifnum import device
from lifnum.crossing import (
    NONE,
    analytical_spike_adjoint,
    first_spike,
    rest_adjoint,
    spike_adjoint,
)
from lifnum.integrators import (
    MAX_ORDER,
    exact_propagator,
    propagator,
    propagator_derivative,
    remaining_propagator,
)
from lifnum.optimizers import adam_update
from lifnum.steps import merge, step_end, write_row

device.teach_math()

LANES = 4 if device.SIMULATED else 32  # a block is a multiple of this many threads
MAX_THREADS = 128
STAGED = 64  # steps that a block holds in shared memory at a time
AHEAD = 16  # weights that a thread asks for at a time: it waits for them once
ROWS = 16  # derivatives by input times that a block collects before it sums them
PARTS = 8  # partial sums of each
STOPS, COLUMNS, SCRATCH = STAGED + 1, MAX_THREADS + 1, MAX_ORDER + 1  # shapes must be constants


class Records(NamedTuple):
    """Output spikes (batch, capacity, n_post): slot k of neuron j is its spike k of a sample."""

    time: np.ndarray  # float64
    current: np.ndarray  # float64, I at the spike
    step: np.ndarray  # int32
    piece: np.ndarray  # float64 (4, ...) or empty: (I0, u0), length and rest of what it ended


def threads(n_post):
    """Threads of a block: neurons in equal tiles of at most MAX_THREADS."""
    n_tiles = -(-n_post // MAX_THREADS)
    return -(-n_post // (n_tiles * LANES)) * LANES


@device.kernel
def build_steps(d, inputs, steps):
    """The table of steps of every sample; a block a sample, whose first thread merges.

    inputs: (times, offsets).
    """
    sample, thread = cuda.blockIdx.x, cuda.threadIdx.x
    times, offsets = inputs
    if thread == 0:
        merge(d, times, offsets[sample], offsets[sample + 1], sample, steps)
    cuda.syncthreads()
    first = steps.first[sample]
    last = first + steps.count[sample]
    for step in range(first + thread, last, cuda.blockDim.x):
        h = step_end(d, steps, step, last) - steps.start[step]
        a, c, b = propagator(d, h)
        write_row(d, steps.propagators[step], h, a, c, b)


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


@device.kernel
def forward(d, offsets, indices, w, steps, records, counts, totals, states):
    """Simulate every tile of every sample.

    counts (batch, n_post): spikes, also those beyond the capacity of the records. totals, int64,
    come as zeros: the largest of the counts, and, of all neurons and samples, spikes, neurons at
    the cap, neurons with a spike suppressed by it, samples left where the first state overflows
    (0 where none does), steps, and spikes of `none` after which u is still at or above theta.
    states (steps, 2, n_post) or empty: (I, u) at the start of every step.
    """
    n = w.shape[1]
    n_tiles = (n + cuda.blockDim.x - 1) // cuda.blockDim.x
    sample = cuda.blockIdx.x // n_tiles
    thread = cuda.threadIdx.x
    j = (cuda.blockIdx.x % n_tiles) * cuda.blockDim.x + thread
    column = min(j, n - 1)  # threads without a neuron repeat the last one, and write nothing
    valid = j < n
    table = cuda.shared.array((STAGED, 5), w.dtype)
    stops = cuda.shared.array(STAGED, np.int64)
    numbers = cuda.shared.array(MAX_THREADS, np.int64)
    weights = cuda.local.array(AHEAD, w.dtype)
    scratch = cuda.local.array(SCRATCH, np.float64)
    real = w.dtype.type
    theta, bar = real(d.theta), real(d.bar)
    capacity = records.time.shape[1]
    current, potential = real(0.0), real(0.0)
    emitted, silenced, unresolved = 0, False, 0
    i = held = offsets[sample]  # weights has those of inputs held - AHEAD .. held - 1
    last_input = offsets[sample + 1]
    first = steps.first[sample]
    last = first + steps.count[sample]
    for step in range(first, last):
        slot = (step - first) % STAGED
        if slot == 0:
            cuda.syncthreads()
            for k in range(thread, min(STAGED, last - step), cuda.blockDim.x):
                for p in range(5):
                    table[k, p] = real(steps.propagators[step + k, p])
                stops[k] = steps.stop[step + k]
            cuda.syncthreads()
        stop = stops[slot]
        while i < stop:
            if i == held:
                for k in range(AHEAD):
                    weights[k] = w[indices[min(i + k, last_input - 1)], column]
                held += AHEAD
            current += weights[i - held + AHEAD]
            i += 1
        if states.shape[0] > 0 and valid:
            states[step, 0, j] = current
            states[step, 1, j] = potential
        i0, u0 = current, potential
        current = table[slot, 0] * i0
        potential = table[slot, 1] * i0 + table[slot, 2] * u0
        above = table[slot, 3] * abs(i0) + table[slot, 4] * abs(u0)
        # a bound that overflowed may give NaN: that goes on too
        if silenced or max(u0, potential) + above < bar:
            continue
        if d.interpolation == NONE:
            if potential < theta:
                continue
            if emitted == d.max_spikes:
                silenced = True
                continue
            if valid and emitted < capacity:
                records.time[sample, emitted, j] = step_end(d, steps, step, last)
                records.current[sample, emitted, j] = current
                records.step[sample, emitted, j] = step
            emitted += 1
            potential = real(np.float64(potential) - (d.theta - d.reset))
            if potential >= theta:
                unresolved += 1
            continue
        start, end = steps.start[step], step_end(d, steps, step, last)
        x, y, y1 = np.float64(i0), np.float64(u0), np.float64(potential)
        x1 = np.float64(current)
        h, elapsed, b1, spiked = end - start, 0.0, steps.propagators[step, 2], False
        rest = h
        while True:
            s, a, c, b = first_spike(
                d, d.interpolation, d.theta, x, y, rest, y1, b1, real(y1) >= theta, scratch
            )
            if s < 0.0:
                break
            if emitted == d.max_spikes:
                silenced = True
                break
            elapsed = min(elapsed + s, h) if s < rest else h
            if valid and emitted < capacity:
                records.time[sample, emitted, j] = min(start + elapsed, end) if s < rest else end
                records.current[sample, emitted, j] = a * x
                records.step[sample, emitted, j] = step
                if records.piece.shape[0] > 0:
                    records.piece[0, sample, emitted, j] = x
                    records.piece[1, sample, emitted, j] = y
                    records.piece[2, sample, emitted, j] = s
                    records.piece[3, sample, emitted, j] = rest
            emitted += 1
            spiked = True
            x, y, rest = a * x, d.reset, h - elapsed
            a, c, b1 = remaining_propagator(d, rest, b1, b)
            x1, y1 = a * x, c * x + b1 * y
        if spiked:
            current, potential = real(x1), real(y1)
    if valid:
        counts[sample, j] = emitted
        if unresolved > 0:
            cuda.atomic.add(totals, 6, unresolved)
    bad = valid and not (current - current == 0.0 and potential - potential == 0.0)
    numbers[thread] = emitted if valid else 0
    n_capped = cuda.syncthreads_count(np.int32(valid and emitted == d.max_spikes))
    n_suppressed = cuda.syncthreads_count(np.int32(valid and silenced))
    n_bad = cuda.syncthreads_count(np.int32(bad))
    if thread == 0:  # integers: their sums do not depend on the order
        most = n_spikes = 0
        for other in range(cuda.blockDim.x):
            most, n_spikes = max(most, numbers[other]), n_spikes + numbers[other]
        cuda.atomic.max(totals, 0, most)
        cuda.atomic.add(totals, 1, n_spikes)
        cuda.atomic.add(totals, 2, n_capped)
        cuda.atomic.add(totals, 3, n_suppressed)
        if n_bad > 0:
            cuda.atomic.max(totals, 4, counts.shape[0] - sample)
        if cuda.blockIdx.x % n_tiles == 0:
            cuda.atomic.add(totals, 5, last - first)


@device.kernel
def compact(records, counts, ends, times, indices, samples, offsets):
    """The spikes of each neuron of each sample, together; a thread a neuron.

    ends (batch n_post,): running sums of the counts, where the next neuron's spikes begin.
    """
    cell = cuda.grid(1)
    batch, n = counts.shape
    if cell >= batch * n:
        return
    sample, j = cell // n, cell % n
    place = ends[cell] - counts[sample, j]
    for k in range(counts[sample, j]):
        times[place + k] = records.time[sample, k, j]
        indices[place + k] = j
        samples[place + k] = sample
    if j == 0:
        offsets[sample] = place
    if cell == batch * n - 1:
        offsets[batch] = ends[cell]


@device.kernel
def arrange(samples, offsets, times, indices, sorted_times, sorted_indices, ranks):
    """The spikes that `compact` left, in order, and the rank of each; a thread a spike.

    It counts the spikes of its sample that come before: up to some 10,000 no sort is faster.
    """
    k = cuda.grid(1)
    if k >= times.shape[0]:
        return
    time, first, last = times[k], offsets[samples[k]], offsets[samples[k] + 1]
    rank = first
    for other in range(first, k):  # of neurons before this one, or earlier of its own
        rank += times[other] <= time
    for other in range(k + 1, last):
        rank += times[other] < time
    sorted_times[rank], sorted_indices[rank], ranks[k] = time, indices[k], rank


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
def _last_step(steps_of, spike_step):
    """The latest step of the last spikes of the block's neurons."""
    cuda.syncthreads()
    steps_of[cuda.threadIdx.x] = spike_step
    cuda.syncthreads()
    latest = steps_of[0]
    for other in range(1, cuda.blockDim.x):
        latest = max(latest, steps_of[other])
    return latest


@cuda.jit(device=True)
def _ask_ahead(indices, w, column, first_input, low_input, with_weights, rows, weights):
    """The rows of AHEAD inputs from low_input on, and their weights: loads that do not wait."""
    for k in range(AHEAD):
        rows[k] = indices[max(first_input, low_input + k)]
    if with_weights:
        for k in range(AHEAD):
            weights[k] = w[rows[k], column]


@device.kernel
def backward_adjusted(d, offsets, indices, w, steps, derivatives, records, counts, ends, ranks,
                      states, d_out, d_w, d_in, constant):  # fmt: skip
    """The discrete adjoint: derivative of the simulation as computed.

    d_out: dL/dt of every output spike, by rank; ends, ranks: as `compact` and `arrange` have
    them. Adds to d_w (chunks, n_pre, n_post); writes d_in (tiles, inputs) unless it is empty (only
    then are states and derivatives read); constant (chunks, n_post) counts the spikes that passed
    no gradient.
    """
    n = w.shape[1]
    n_tiles = (n + cuda.blockDim.x - 1) // cuda.blockDim.x
    tile, chunk = cuda.blockIdx.x % n_tiles, cuda.blockIdx.x // n_tiles
    thread = cuda.threadIdx.x
    j = tile * cuda.blockDim.x + thread
    column = min(j, n - 1)
    valid = j < n
    table = cuda.shared.array((STAGED, 3), w.dtype)
    stops = cuda.shared.array(STOPS, np.int64)
    rows, weights = cuda.local.array(AHEAD, np.int32), cuda.local.array(AHEAD, w.dtype)
    values = cuda.shared.array((ROWS, COLUMNS), np.float64)
    parts = cuda.shared.array((ROWS, PARTS), np.float64)
    steps_of = cuda.shared.array(MAX_THREADS, np.int64)
    real = w.dtype.type
    batch, n_chunks = counts.shape[0], d_w.shape[0]
    input_gradient = d_in.shape[1] > 0
    lost = 0
    for sample in range(chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks):
        first = steps.first[sample]
        last = first + steps.count[sample]
        first_input = offsets[sample]
        q = counts[sample, j] - 1 if valid else -1
        place = ends[sample * n + column] - counts[sample, column]
        spike_step = records.step[sample, q, j] if q >= 0 else first - 1
        step = _last_step(steps_of, spike_step)
        lam_i, lam_u = real(0.0), real(0.0)
        low = step + 1  # first step in shared memory, first input in rows and weights
        next_row, next_sum = -1, real(0.0)  # asked for before it is needed
        low_input = steps.stop[step] if step >= first else first_input
        # the first input of the step behind waits for the derivative by the end of this one
        pending = 0.0
        waiting = input_gradient and first <= step < last - 1 and low_input < steps.stop[step + 1]
        n_rows = 0  # rows of values; the first one is of this input:
        newest = low_input if waiting else low_input - 1
        while step >= first:
            if step < low:
                cuda.syncthreads()
                low = max(first, step - STAGED + 1)
                for k in range(thread, step - low + 1, cuda.blockDim.x):
                    for p in range(3):
                        table[k, p] = real(steps.propagators[low + k, p])
                    stops[k + 1] = steps.stop[low + k]
                if thread == 0:
                    stops[0] = steps.stop[low - 1] if low > first else first_input
                cuda.syncthreads()
            a, c, b = table[step - low, 0], table[step - low, 1], table[step - low, 2]
            end_term, alpha = 0.0, 0.0
            if input_gradient:
                i0, u0 = np.float64(states[step, 0, column]), np.float64(states[step, 1, column])
                da, dc, db = derivatives[step, 0], derivatives[step, 1], derivatives[step, 2]
                end_term = lam_i * da * i0 + lam_u * (dc * i0 + db * u0)
                alpha = -end_term
            if spike_step == step:
                rest = records.piece[3, sample, q, j] - records.piece[2, sample, q, j]
                l_i, l_u, end_term = rest_adjoint(
                    d, records.current[sample, q, j], d.reset, rest,
                    np.float64(lam_i), np.float64(lam_u),
                )  # fmt: skip
                alpha = -end_term
                while spike_step == step:
                    tau_q = d_out[ranks[place + q]] + alpha
                    l_i, l_u, end_part, rises = spike_adjoint(
                        d, d.interpolation, d.theta, records.piece[0, sample, q, j],
                        records.piece[1, sample, q, j], records.piece[2, sample, q, j],
                        records.piece[3, sample, q, j], tau_q, l_i,
                    )  # fmt: skip
                    if not rises:
                        lost += 1
                    end_term += end_part
                    alpha = tau_q - end_part
                    q -= 1
                    spike_step = records.step[sample, q, j] if q >= 0 else first - 1
                lam_i, lam_u = real(l_i), real(l_u)
            else:
                lam_i, lam_u = a * lam_i + c * lam_u, b * lam_u
            if waiting:
                values[n_rows, thread] = pending + end_term if valid else 0.0
                n_rows += 1
                waiting = False
            if n_rows == ROWS:
                _sum_rows(values, parts, n_rows, newest, d_in[tile])
                newest, n_rows = newest - n_rows, 0
            i, stop = stops[step - low], stops[step - low + 1]
            # several inputs, or one on a grid point, are separated by steps of length zero
            zero_length = 0.0
            several = input_gradient and stop > i and (stop - i > 1 or steps.tied[step] != 0)
            if several:
                gain = np.float64(lam_u) - np.float64(lam_i) / d.tau_s
                zero_length = gain * i0 - np.float64(lam_u) * u0 / d.tau
                if steps.tied[step] != 0:
                    alpha = -zero_length
            k = stop - 1
            pending = alpha
            while k >= i:
                if k < low_input:
                    low_input = k - AHEAD + 1
                    _ask_ahead(
                        indices, w, column, first_input, low_input, input_gradient, rows, weights
                    )
                row = rows[k - low_input]
                if valid:
                    next_sum = lam_i + (next_sum if row == next_row else d_w[chunk, row, j])
                    d_w[chunk, row, j] = next_sum
                    next_row = rows[k - 1 - low_input] if k > low_input else -1
                    if next_row >= 0 and next_row != row:
                        next_sum = d_w[chunk, next_row, j]
                if input_gradient and k > i:
                    jump = np.float64(lam_i) / d.tau_s - np.float64(lam_u)
                    zero_length += weights[k - low_input] * jump
                    values[n_rows, thread] = pending + zero_length if valid else 0.0
                    pending = -zero_length
                    n_rows += 1
                    if n_rows == ROWS:
                        _sum_rows(values, parts, n_rows, newest, d_in[tile])
                        newest, n_rows = newest - n_rows, 0
                k -= 1
            waiting = input_gradient and stop > i
            step -= 1
        if waiting:
            values[n_rows, thread] = pending if valid else 0.0
            n_rows += 1
        if n_rows > 0:
            _sum_rows(values, parts, n_rows, newest, d_in[tile])
    if valid:
        constant[chunk, j] = lost


@device.kernel
def backward_piggyback(d, offsets, indices, w, steps, propagators, records, counts, ends, ranks,
                       d_out, d_w, d_in, constant):  # fmt: skip
    """The analytical adjoint (BATS, EventProp) on the numerical spike times and currents.

    propagators: of the exact solution, of every step. Other arguments as in `backward_adjusted`.
    """
    n = w.shape[1]
    n_tiles = (n + cuda.blockDim.x - 1) // cuda.blockDim.x
    tile, chunk = cuda.blockIdx.x % n_tiles, cuda.blockIdx.x // n_tiles
    thread = cuda.threadIdx.x
    j = tile * cuda.blockDim.x + thread
    column = min(j, n - 1)
    valid = j < n
    table = cuda.shared.array((STAGED, 3), w.dtype)
    stops = cuda.shared.array(STOPS, np.int64)
    rows, weights = cuda.local.array(AHEAD, np.int32), cuda.local.array(AHEAD, w.dtype)
    values = cuda.shared.array((ROWS, COLUMNS), np.float64)
    parts = cuda.shared.array((ROWS, PARTS), np.float64)
    steps_of = cuda.shared.array(MAX_THREADS, np.int64)
    real = w.dtype.type
    rate = real(1.0 / d.tau_s)
    batch, n_chunks = counts.shape[0], d_w.shape[0]
    input_gradient = d_in.shape[1] > 0
    lost = 0
    for sample in range(chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks):
        first = steps.first[sample]
        last = first + steps.count[sample]
        first_input = offsets[sample]
        q = counts[sample, j] - 1 if valid else -1
        place = ends[sample * n + column] - counts[sample, column]
        spike_step = records.step[sample, q, j] if q >= 0 else first - 1
        step = _last_step(steps_of, spike_step)
        lam_i, lam_u = real(0.0), real(0.0)
        low = step + 1  # first step in shared memory, first input in rows and weights
        next_row, next_sum = -1, real(0.0)  # asked for before it is needed
        low_input = steps.stop[step] if step >= first else first_input
        n_rows, newest = 0, low_input - 1
        while step >= first:
            if step < low:
                cuda.syncthreads()
                low = max(first, step - STAGED + 1)
                for k in range(thread, step - low + 1, cuda.blockDim.x):
                    for p in range(3):
                        table[k, p] = real(propagators[low + k, p])
                    stops[k + 1] = steps.stop[low + k]
                if thread == 0:
                    stops[0] = steps.stop[low - 1] if low > first else first_input
                cuda.syncthreads()
            if spike_step == step:
                l_i, l_u = np.float64(lam_i), np.float64(lam_u)
                time = step_end(d, steps, step, last)
                while spike_step == step:
                    a, c, b = exact_propagator(time - records.time[sample, q, j], d.tau_s, d.tau)
                    l_i, l_u, time = a * l_i + c * l_u, b * l_u, records.time[sample, q, j]
                    l_u, rises = analytical_spike_adjoint(
                        d.tau, d.theta, d.reset, records.current[sample, q, j],
                        d_out[ranks[place + q]], l_u,
                    )  # fmt: skip
                    if not rises:
                        lost += 1
                    q -= 1
                    spike_step = records.step[sample, q, j] if q >= 0 else first - 1
                a, c, b = exact_propagator(time - steps.start[step], d.tau_s, d.tau)
                lam_i, lam_u = real(a * l_i + c * l_u), real(b * l_u)
            else:
                slot = step - low
                lam_i = table[slot, 0] * lam_i + table[slot, 1] * lam_u
                lam_u = table[slot, 2] * lam_u
            i, k = stops[step - low], stops[step - low + 1] - 1
            while k >= i:
                if k < low_input:
                    low_input = k - AHEAD + 1
                    _ask_ahead(
                        indices, w, column, first_input, low_input, input_gradient, rows, weights
                    )
                row = rows[k - low_input]
                if valid:
                    next_sum = lam_i + (next_sum if row == next_row else d_w[chunk, row, j])
                    d_w[chunk, row, j] = next_sum
                    next_row = rows[k - 1 - low_input] if k > low_input else -1
                    if next_row >= 0 and next_row != row:
                        next_sum = d_w[chunk, next_row, j]
                if input_gradient:
                    jump = weights[k - low_input] * (rate * lam_i - lam_u)
                    values[n_rows, thread] = jump if valid else 0.0
                    n_rows += 1
                    if n_rows == ROWS:
                        _sum_rows(values, parts, n_rows, newest, d_in[tile])
                        newest, n_rows = newest - n_rows, 0
                k -= 1
            step -= 1
        if n_rows > 0:
            _sum_rows(values, parts, n_rows, newest, d_in[tile])
    if valid:
        constant[chunk, j] = lost


@device.kernel
def adam(w, g, m, v, rate, keep1, take1, keep2, take2, epsilon):
    """One step of Adam on flat arrays; a thread a weight."""
    k = cuda.grid(1)
    if k < w.shape[0]:
        real = w.dtype.type
        w[k], m[k], v[k] = adam_update(
            w[k], g[k], m[k], v[k], real(rate), real(keep1), real(take1), real(keep2), real(take2),
            real(epsilon),
        )  # fmt: skip


@device.kernel
def gather(times, indices, offsets, rows, new_times, new_indices, new_offsets):
    """Copy the spikes of sample rows[b] to sample b; a block a sample."""
    b = cuda.blockIdx.x
    source, to = offsets[rows[b]], new_offsets[b]
    for k in range(cuda.threadIdx.x, new_offsets[b + 1] - to, cuda.blockDim.x):
        new_times[to + k], new_indices[to + k] = times[source + k], indices[source + k]


@device.kernel
def survey(times, indices, offsets, counts, first, last):
    """Per sample and neuron: number of spikes, rank of the first (-1), time of the last (inf).

    counts, first, last (batch, neurons) come filled with 0, -1, inf; a thread a sample.
    """
    sample = cuda.grid(1)
    if sample < offsets.shape[0] - 1:
        for k in range(offsets[sample], offsets[sample + 1]):
            j = indices[k]
            if counts[sample, j] == 0:
                first[sample, j] = k
            counts[sample, j] += 1
            last[sample, j] = times[k]
