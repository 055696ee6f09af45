"""CPU kernels of the two backward passes of one layer, and the sum of what their pieces give.

A tile of neurons and a chunk of samples make a piece, with a gradient of its own. Symbols as in
`layer`, and lam_i, lam_u: the adjoint of (I, u).
"""

import numpy as np
from numba import prange

from lifnum.compiler import inlined_kernel, kernel, parallel_kernel
from lifnum.crossing import analytical_spike_adjoint, rest_adjoint, spike_adjoint
from lifnum.integrators import EXACT, exact_propagator, propagator_derivative, remaining_propagator
from lifnum.layer import LANES, add_row

PIECES = 4  # the least number of pieces that a backward pass is cut into


@parallel_kernel
def backward_adjusted(d, offsets, indices, w, width, steps, spikes, pieces, counts, states,
                      d_out, d_w, d_in, constant):  # fmt: skip
    """The discrete adjoint: derivative of the simulation as computed.

    d_out: dL/dt of every output spike, by rank. Writes d_w (chunks, n_pre, n_post); adds to d_in
    (tiles, inputs), unless it is empty, and only then reads states; constant (chunks, tiles)
    counts the spikes that passed no gradient because u did not rise at them.
    """
    batch, n_tiles, _ = spikes.shape
    n_chunks = len(d_w)
    for piece in prange(n_tiles * n_chunks):
        tile, chunk = piece // n_chunks, piece % n_chunks
        low, high = tile * width, min((tile + 1) * width, w.shape[1])
        n = high - low
        lam = np.empty((4, n), w.dtype)
        end_terms = np.empty(n)
        lost = 0
        for row in range(len(w)):
            d_w[chunk, row, low:high] = 0
        for sample in range(chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks):
            lost += _adjusted_sample(
                d, offsets[sample], indices, w, low, high, steps, sample,
                spikes[sample, tile, : counts[sample, tile]], pieces[sample, tile], states, d_out,
                d_w[chunk], d_in[min(tile, len(d_in) - 1)], lam, end_terms,
            )  # fmt: skip
        constant[chunk, tile] = lost


@kernel
def _adjusted_sample(d, first_input, indices, w, low, high, steps, sample, spikes, pieces, states,
                     d_out, d_w, d_in, lam, end_terms):  # fmt: skip
    real = w.dtype.type
    lam[:] = 0
    lost = 0
    first, count = steps.first[sample], steps.count[sample]
    last = first + count
    input_gradient = len(d_in) > 0
    q = len(spikes) - 1
    # behind the last spike the adjoint is zero
    step = spikes[q].step if q >= 0 else first - 1
    now = np.int64(0)  # no literal: see `layer`
    while step >= first:
        _adjoint(lam, now, *_row(steps.propagators, step))
        after, now = now, 2 - now
        if input_gradient:
            h = (steps.start[step + 1] if step + 1 < last else d.duration) - steps.start[step]
            da, dc, db = propagator_derivative(d, h)
            _length_terms(lam, after, states, step, low, da, dc, db, end_terms)
        spike_terms = 0.0
        while q >= 0 and spikes[q].step == step:  # the spikes of one neuron in this step
            neuron = spikes[q].neuron
            j = neuron - low
            l_i, l_u, end_term = rest_adjoint(
                d, spikes[q].current, d.reset, pieces[q].rest - pieces[q].length,
                np.float64(lam[after, j]), np.float64(lam[after + 1, j]),
            )  # fmt: skip
            alpha = -end_term  # adjoint of the piece's start time
            while q >= 0 and spikes[q].step == step and spikes[q].neuron == neuron:
                piece = pieces[q]
                tau_q = d_out[spikes[q].rank] + alpha
                l_i, l_u, end_part, rises = spike_adjoint(
                    d, d.interpolation, d.theta, piece.current, piece.potential, piece.length,
                    piece.rest, tau_q, l_i,
                )  # fmt: skip
                lost += not rises
                end_term += end_part
                alpha = tau_q - end_part
                q -= 1
            lam[now, j], lam[now + 1, j] = real(l_i), real(l_u)
            if input_gradient:
                end_terms[j] = end_term
                spike_terms += alpha + end_term
        i = steps.stop[step - 1] if step > first else first_input
        stop = steps.stop[step]
        for k in range(i, stop):
            _collect_row(d_w[indices[k], low:high], lam, now)
        if input_gradient:
            end_time = _sum(end_terms)
            if step + 1 < last and stop < steps.stop[step + 1]:
                d_in[stop] += end_time
            if i < stop:
                _input_times(
                    d, w, low, high, indices, d_in, i, stop, spike_terms - end_time,
                    steps.tied[step], lam, now, states, step,
                )  # fmt: skip
        step -= 1
    return lost


@inlined_kernel
def _row(propagators, step):
    return propagators[step, 0], propagators[step, 1], propagators[step, 2]


@inlined_kernel
def _adjoint(lam, after, a, c, b):
    """Adjoint of one step of all neurons of a tile: from rows after, after + 1 to the others."""
    if lam.shape[1] == LANES:  # a length that the compiler knows: see `_advance`
        _adjoint_of(lam, after, a, c, b, LANES)
    else:
        _adjoint_of(lam, after, a, c, b, lam.shape[1])


@inlined_kernel
def _adjoint_of(lam, after, a, c, b, n):
    real = lam.dtype.type
    a, c, b = real(a), real(c), real(b)
    now = 2 - after
    for j in range(n):
        lam[now, j] = a * lam[after, j] + c * lam[after + 1, j]
        lam[now + 1, j] = b * lam[after + 1, j]


@inlined_kernel
def _collect_row(target, lam, now):
    """target += lam_i, over the neurons of a tile."""
    for j in range(lam.shape[1]):
        target[j] += lam[now, j]


@inlined_kernel
def _length_terms(lam, after, states, step, low, da, dc, db, terms):
    """Derivative of the step's end state by its length, times the adjoint, per neuron."""
    for j in range(lam.shape[1]):
        i0, u0 = np.float64(states[step, 0, low + j]), np.float64(states[step, 1, low + j])
        terms[j] = lam[after, j] * da * i0 + lam[after + 1, j] * (dc * i0 + db * u0)


@inlined_kernel
def _sum(values):
    """Sum in four interleaved parts, which the processor adds side by side."""
    n = len(values)
    s0 = s1 = s2 = s3 = 0.0
    for j in range(0, n - 3, 4):
        s0 += values[j]
        s1 += values[j + 1]
        s2 += values[j + 2]
        s3 += values[j + 3]
    for j in range(n - n % 4, n):
        s0 += values[j]
    return (s0 + s1) + (s2 + s3)


@inlined_kernel
def _input_times(d, w, low, high, indices, d_in, i, stop, start_time, tied, lam, now,
                 states, step):  # fmt: skip
    """Derivatives by the times of the inputs i .. stop - 1, which act at the start of one step.

    A single input off the grid gets the adjoint of the step's start time; that of the end of the
    step before was or will be added to input i by the caller. Several inputs, or one on a grid
    point, are separated by steps of length zero, whose adjoints count: there (a', c', b') =
    (-1 / tau_s, 1, -1 / tau) for every method.
    """
    if stop - i == 1 and not tied:
        d_in[i] += start_time
        return
    zero_length = 0.0  # adjoint of the length of the zero step behind the last input
    for j in range(high - low):
        gain = lam[now + 1, j] - np.float64(lam[now, j]) / d.tau_s
        leak = np.float64(lam[now + 1, j]) * states[step, 1, low + j] / d.tau
        zero_length += gain * states[step, 0, low + j] - leak
    d_in[stop - 1] += -zero_length if tied else start_time
    for k in range(stop - 1, i, -1):
        zero_length += _time_gradient(d, w[indices[k], low:high], lam, now)
        d_in[k] += zero_length
        d_in[k - 1] -= zero_length


@inlined_kernel
def _time_gradient(d, row, lam, now):
    """Sum over neurons of w (lam_i / tau_s - lam_u): the jump of the Hamiltonian at an input.

    In the type of the weights, in four interleaved parts, which the processor adds side by side.
    """
    real = row.dtype.type
    rate = real(1.0 / d.tau_s)
    s0 = s1 = s2 = s3 = real(0.0)
    for block in range(len(row) // 4):
        j = 4 * block
        s0 += row[j] * (rate * lam[now, j] - lam[now + 1, j])
        s1 += row[j + 1] * (rate * lam[now, j + 1] - lam[now + 1, j + 1])
        s2 += row[j + 2] * (rate * lam[now, j + 2] - lam[now + 1, j + 2])
        s3 += row[j + 3] * (rate * lam[now, j + 3] - lam[now + 1, j + 3])
    return np.float64((s0 + s1) + (s2 + s3))


@parallel_kernel
def backward_piggyback(d, offsets, indices, w, width, steps, spikes, counts, d_out,
                       d_w, d_in, constant):  # fmt: skip
    """The analytical adjoint (BATS, EventProp) on the numerical spike times and currents.

    Between events the adjoint follows the exact solution, whatever the method of the forward pass.
    Arguments as in `backward_adjusted`.
    """
    batch, n_tiles, _ = spikes.shape
    n_chunks = len(d_w)
    for piece in prange(n_tiles * n_chunks):
        tile, chunk = piece // n_chunks, piece % n_chunks
        low, high = tile * width, min((tile + 1) * width, w.shape[1])
        lam = np.empty((4, high - low), w.dtype)
        lost = 0
        for row in range(len(w)):
            d_w[chunk, row, low:high] = 0
        for sample in range(chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks):
            lost += _piggyback_sample(
                d, offsets[sample], indices, w, low, high, steps, sample,
                spikes[sample, tile, : counts[sample, tile]], d_out, d_w[chunk],
                d_in[min(tile, len(d_in) - 1)], lam,
            )  # fmt: skip
        constant[chunk, tile] = lost


@kernel
def _piggyback_sample(d, first_input, indices, w, low, high, steps, sample, spikes, d_out,
                      d_w, d_in, lam):  # fmt: skip
    real = w.dtype.type
    lam[:] = 0
    lost = 0
    first = steps.first[sample]
    last = first + steps.count[sample]
    q = len(spikes) - 1
    # behind the last spike the adjoint is zero
    step = spikes[q].step if q >= 0 else first - 1
    now = np.int64(0)  # no literal: see `layer`
    while step >= first:
        start = steps.start[step]
        end = steps.start[step + 1] if step + 1 < last else d.duration
        if d.code == EXACT:
            a, c, b = _row(steps.propagators, step)
        else:
            a, c, b = exact_propagator(end - start, d.tau_s, d.tau)
        _adjoint(lam, now, a, c, b)
        after, now = now, 2 - now
        while q >= 0 and spikes[q].step == step:  # the spikes of one neuron in this step
            neuron = spikes[q].neuron
            j = neuron - low
            l_i, l_u = np.float64(lam[after, j]), np.float64(lam[after + 1, j])
            time, decay = end, 1.0
            while q >= 0 and spikes[q].step == step and spikes[q].neuron == neuron:
                spike = spikes[q]
                if d.code == EXACT:
                    a, c, b = remaining_propagator(d, time - spike.time, spike.decay, decay)
                else:
                    a, c, b = exact_propagator(time - spike.time, d.tau_s, d.tau)
                l_i, l_u = a * l_i + c * l_u, b * l_u
                time, decay = spike.time, spike.decay
                l_u, rises = analytical_spike_adjoint(
                    d.tau, d.theta, d.reset, spike.current, d_out[spike.rank], l_u
                )
                lost += not rises
                q -= 1
            if d.code == EXACT:
                a, c, b = remaining_propagator(d, time - start, steps.propagators[step, 2], decay)
            else:
                a, c, b = exact_propagator(time - start, d.tau_s, d.tau)
            lam[now, j], lam[now + 1, j] = real(a * l_i + c * l_u), real(b * l_u)
        i = steps.stop[step - 1] if step > first else first_input
        for k in range(i, steps.stop[step]):
            _collect_row(d_w[indices[k], low:high], lam, now)
            if len(d_in) > 0:
                d_in[k] += _time_gradient(d, w[indices[k], low:high], lam, now)
        step -= 1
    return lost


@parallel_kernel
def sum_chunks(d_w, total, squares):
    """Combine the chunks' gradients (chunks, n_pre, padded n_post) in a fixed order.

    total (n_pre, n_post), the first chunk itself where it is the only one; squares (blocks,
    n_post) receives sums of its squares over blocks of rows.
    """
    n_blocks = len(squares)
    for block in prange(n_blocks):
        squares[block] = 0.0
        for row in range(block * len(total) // n_blocks, (block + 1) * len(total) // n_blocks):
            if len(d_w) > 1 or d_w.shape[2] > total.shape[1]:
                for j in range(total.shape[1]):
                    total[row, j] = d_w[0, row, j]
            for chunk in range(1, len(d_w)):
                add_row(total, row, d_w[chunk, row])
            _add_squares(squares, block, total, row)


@kernel
def _add_squares(squares, block, total, row):
    for j in range(total.shape[1]):
        squares[block, j] += np.float64(total[row, j]) * np.float64(total[row, j])
