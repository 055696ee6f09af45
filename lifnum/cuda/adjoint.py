"""The two backward passes of one layer on a GPU.

A block is a tile of neurons of one chunk of samples, each after the other, so that a thread alone
adds to its column of the gradient: no atomics on real numbers. Else as in `forward`.
"""

import numpy as np
from numba import cuda

from lifnum.cuda import device
from lifnum.cuda.layout import COLUMNS, MAX_THREADS, STAGED, STOPS
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
AHEAD = 16  # weights that a thread asks for at a time: it waits for them once
ROWS = 16  # derivatives by input times that a block collects before it sums them
PARTS = 8  # partial sums of each


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
                back = begin_back(
                    d, records.current[sample, q, j], rest, np.float64(lam_i), np.float64(lam_u)
                )
                while spike_step == step:
                    back, rises = spike_back(
                        d, back, records.piece[0, sample, q, j], records.piece[1, sample, q, j],
                        records.piece[2, sample, q, j], records.piece[3, sample, q, j],
                        d_out[ranks[place + q]],
                    )  # fmt: skip
                    if not rises:
                        lost += 1
                    q -= 1
                    spike_step = records.step[sample, q, j] if q >= 0 else first - 1
                lam_i, lam_u = real(back.lam_i), real(back.lam_u)
                end_term, alpha = back.end_term, back.start_term
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
                back = AnalyticalAdjoint(
                    np.float64(lam_i), np.float64(lam_u), step_end(d, steps, step, last), 0.0
                )
                while spike_step == step:
                    back, rises = analytical_spike_back(
                        d, back, records.time[sample, q, j], 0.0, records.current[sample, q, j],
                        d_out[ranks[place + q]],
                    )  # fmt: skip
                    if not rises:
                        lost += 1
                    q -= 1
                    spike_step = records.step[sample, q, j] if q >= 0 else first - 1
                back = analytical_back(d, back, steps.start[step], 0.0)
                lam_i, lam_u = real(back.lam_i), real(back.lam_u)
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
