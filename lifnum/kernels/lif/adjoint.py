"""CPU kernels of the two backward passes of one layer, and the sum of what their pieces give.

A tile of neurons and a chunk of samples make a piece, with a gradient of its own. Symbols as in
`layer`, and lam_i, lam_u: the adjoint of (I, u).
"""

import numpy as np
from numba import prange

from lifnum.compiler import address_of, call, inlined_kernel, kernel, parallel_kernel
from lifnum.kernels.lif.dynamics import PIECE, SPIKE
from lifnum.kernels.lif.spike import (
    AnalyticalAdjoint,
    analytical_back,
    analytical_spike_back,
    begin_back,
    spike_back,
)
from lifnum.kernels.steps import step_end
from lifnum.kernels.sums import _sum_counts, sum_chunks
from lifnum.kernels.vectors import LANES, add, converted, filled, load, store, total
from lifnum.methods.propagators import EXACT, exact_propagator, propagator_derivative


@parallel_kernel
def backward_adjusted(d, offsets, indices, w, width, steps, spikes, pieces, counts, states,
                      d_out, d_w, fresh, gradient, d_in, address):  # fmt: skip
    """The discrete adjoint: derivative of the simulation as computed.

    d_out: dL/dt of every output spike, by rank. Writes the gradient (n_pre, n_post) by way of d_w
    (chunks, n_pre, padded n_post) and fresh, which comes as True, see `sum_chunks`; writes d_in
    (tiles, inputs), unless it is empty, and only then reads states. address: of
    `adjusted_address`.

    Returns the norm of the gradient and the number of spikes that passed none because u did not
    rise at them.
    """
    batch, n_tiles, _ = spikes.shape
    n_chunks = len(d_w)
    constant = np.empty((n_chunks, n_tiles), np.int64)
    for piece in prange(n_tiles * n_chunks):
        tile, chunk = piece // n_chunks, piece % n_chunks
        low, high = tile * width, min((tile + 1) * width, w.shape[1])
        n = high - low
        lam = np.empty((4, n), w.dtype)
        end_terms = np.empty((1, n))
        lost = 0
        first, last = chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks
        _clear(d_in[tile, offsets[first] : offsets[last]])
        for sample in range(first, last):
            lost += call(address, (
                d, offsets[sample], indices, w, low, high, steps, sample,
                spikes[sample, tile, : counts[sample, tile]], pieces[sample, tile], states, d_out,
                d_w[chunk], d_in[tile], lam, end_terms, fresh[chunk, tile],
            ))  # fmt: skip
        constant[chunk, tile] = lost
    return sum_chunks(d_w, fresh, width, gradient), _sum_counts(constant)


@kernel
def _clear(values):
    values[:] = 0.0


@kernel
def _adjusted_sample(d, first_input, indices, w, low, high, steps, sample, spikes, pieces, states,
                     d_out, d_w, d_in, lam, end_terms, fresh):  # fmt: skip
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
            h = step_end(d, steps, step, last) - steps.start[step]
            da, dc, db = propagator_derivative(d, h)
            _length_terms(lam, after, states, step, low, da, dc, db, end_terms)
        spike_terms = 0.0
        while q >= 0 and spikes[q].step == step:  # the spikes of one neuron in this step
            neuron = spikes[q].neuron
            j = neuron - low
            back = begin_back(
                d, spikes[q].current, pieces[q].rest - pieces[q].length,
                np.float64(lam[after, j]), np.float64(lam[after + 1, j]),
            )  # fmt: skip
            while q >= 0 and spikes[q].step == step and spikes[q].neuron == neuron:
                piece = pieces[q]
                back, rises = spike_back(
                    d, back, piece.current, piece.potential, piece.length, piece.rest,
                    d_out[spikes[q].rank],
                )  # fmt: skip
                lost += not rises
                q -= 1
            lam[now, j], lam[now + 1, j] = real(back.lam_i), real(back.lam_u)
            if input_gradient:
                end_terms[0, j] = back.end_term
                spike_terms += back.start_term + back.end_term
        i = steps.stop[step - 1] if step > first else first_input
        stop = steps.stop[step]
        for k in range(i, stop):
            _collect_row(d_w, indices[k], low, lam, now, fresh)
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


def adjusted_address(d, steps, dtype):
    """Address of `_adjusted_sample` for weights of this dtype."""
    reals = np.empty((0, 0), dtype)
    return address_of(
        _adjusted_sample, d, 0, np.empty(0, np.int32), reals, 0, 0, steps, 0, np.empty(0, SPIKE),
        np.empty(0, PIECE), reals, np.empty(0), reals, np.empty(0), reals, np.empty((0, 0)),
        np.empty(0, np.bool_),
    )  # fmt: skip


@inlined_kernel
def _row(propagators, step):
    return propagators[step, 0], propagators[step, 1], propagators[step, 2]


@inlined_kernel
def _adjoint(lam, after, a, c, b):
    """Adjoint of one step of all neurons of a tile: from rows after, after + 1 to the others."""
    real = lam.dtype.type
    a, c, b = real(a), real(c), real(b)
    now = 2 - after
    for block in range(lam.shape[1] // LANES):
        j = LANES * block
        lam_i, lam_u = load(lam, after, j), load(lam, after + 1, j)
        store(lam, now, j, a * lam_i + c * lam_u)
        store(lam, now + 1, j, b * lam_u)


@inlined_kernel
def _collect_row(d_w, row, low, lam, now, fresh):
    """d_w[row] += lam_i, over the neurons of a tile; a fresh row counts as zero."""
    if fresh[row]:
        fresh[row] = False
        for block in range(lam.shape[1] // LANES):
            j = LANES * block
            store(d_w, row, low + j, load(lam, now, j))
    else:
        for block in range(lam.shape[1] // LANES):
            j = LANES * block
            add(d_w, row, low + j, load(lam, now, j))


@inlined_kernel
def _length_terms(lam, after, states, step, low, da, dc, db, terms):
    """Derivative of the step's end state by its length, times the adjoint, per neuron."""
    for block in range(lam.shape[1] // LANES):
        j = LANES * block
        i0 = converted(load(states, 2 * step, low + j), da)
        u0 = converted(load(states, 2 * step + 1, low + j), da)
        lam_i, lam_u = converted(load(lam, after, j), da), converted(load(lam, after + 1, j), da)
        store(terms, 0, j, lam_i * da * i0 + lam_u * (dc * i0 + db * u0))


@inlined_kernel
def _sum(values):
    """Sum of the row of values (1, n), n a multiple of LANES."""
    lanes = filled(0.0)
    for block in range(values.shape[1] // LANES):
        lanes = lanes + load(values, 0, LANES * block)
    return total(lanes)


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
        leak = np.float64(lam[now + 1, j]) * states[2 * step + 1, low + j] / d.tau
        zero_length += gain * states[2 * step, low + j] - leak
    d_in[stop - 1] += -zero_length if tied else start_time
    for k in range(stop - 1, i, -1):
        zero_length += _time_gradient(d, w, indices[k], low, lam, now)
        d_in[k] += zero_length
        d_in[k - 1] -= zero_length


@inlined_kernel
def _time_gradient(d, w, row, low, lam, now):
    """Sum over neurons of w (lam_i / tau_s - lam_u): the jump of the Hamiltonian at an input.

    In the type of the weights.
    """
    real = w.dtype.type
    rate = real(1.0 / d.tau_s)
    gradient = filled(real(0.0))
    for block in range(lam.shape[1] // LANES):
        j = LANES * block
        slope = rate * load(lam, now, j) - load(lam, now + 1, j)
        gradient = gradient + load(w, row, low + j) * slope
    return np.float64(total(gradient))


@parallel_kernel
def backward_piggyback(d, offsets, indices, w, width, steps, spikes, counts, d_out,
                       d_w, fresh, gradient, d_in, address):  # fmt: skip
    """The analytical adjoint (BATS, EventProp) on the numerical spike times and currents.

    Between events the adjoint follows the exact solution, whatever the method of the forward pass.
    Arguments and results as in `backward_adjusted`; address: of `piggyback_address`.
    """
    batch, n_tiles, _ = spikes.shape
    n_chunks = len(d_w)
    constant = np.empty((n_chunks, n_tiles), np.int64)
    for piece in prange(n_tiles * n_chunks):
        tile, chunk = piece // n_chunks, piece % n_chunks
        low, high = tile * width, min((tile + 1) * width, w.shape[1])
        lam = np.empty((4, high - low), w.dtype)
        lost = 0
        first, last = chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks
        _clear(d_in[tile, offsets[first] : offsets[last]])
        for sample in range(first, last):
            lost += call(address, (
                d, offsets[sample], indices, w, low, high, steps, sample,
                spikes[sample, tile, : counts[sample, tile]], d_out, d_w[chunk],
                d_in[tile], lam, fresh[chunk, tile],
            ))  # fmt: skip
        constant[chunk, tile] = lost
    return sum_chunks(d_w, fresh, width, gradient), _sum_counts(constant)


@kernel
def _piggyback_sample(d, first_input, indices, w, low, high, steps, sample, spikes, d_out,
                      d_w, d_in, lam, fresh):  # fmt: skip
    real = w.dtype.type
    lam[:] = 0
    lost = 0
    first = steps.first[sample]
    last = first + steps.count[sample]
    q = len(spikes) - 1
    # behind the last spike the adjoint is zero
    step = spikes[q].step if q >= 0 else first - 1
    now = np.int64(0)  # no literal: see `layer`
    one_vector = d.code == EXACT and high - low == LANES
    while step >= first:
        if one_vector:
            until = spikes[q].step if q >= 0 else first - 1
            _quiet_steps(d, first_input, indices, w, low, steps, step, until, first, d_w, d_in,
                         lam, now, fresh)  # fmt: skip
            step = until
            if q < 0:
                break
        start, end = steps.start[step], step_end(d, steps, step, last)
        if d.code == EXACT:
            a, c, b = _row(steps.propagators, step)
        else:
            a, c, b = exact_propagator(end - start, d.tau_s, d.tau)
        _adjoint(lam, now, a, c, b)
        after, now = now, 2 - now
        while q >= 0 and spikes[q].step == step:  # the spikes of one neuron in this step
            neuron = spikes[q].neuron
            j = neuron - low
            lam_i, lam_u = np.float64(lam[after, j]), np.float64(lam[after + 1, j])
            back = AnalyticalAdjoint(lam_i, lam_u, end, 1.0)
            while q >= 0 and spikes[q].step == step and spikes[q].neuron == neuron:
                spike = spikes[q]
                back, rises = analytical_spike_back(
                    d, back, spike.time, spike.decay, spike.current, d_out[spike.rank]
                )
                lost += not rises
                q -= 1
            back = analytical_back(d, back, start, steps.propagators[step, 2])
            lam[now, j], lam[now + 1, j] = real(back.lam_i), real(back.lam_u)
        i = steps.stop[step - 1] if step > first else first_input
        for k in range(i, steps.stop[step]):
            _collect_row(d_w, indices[k], low, lam, now, fresh)
            if len(d_in) > 0:
                d_in[k] += _time_gradient(d, w, indices[k], low, lam, now)
        step -= 1
    return lost


@inlined_kernel
def _quiet_steps(d, first_input, indices, w, low, steps, step, until, first, d_w, d_in, lam, now,
                 fresh):  # fmt: skip
    """Steps of `exact` without spikes behind `until`, of a tile of one vector, in registers."""
    real = w.dtype.type
    rate = real(1.0 / d.tau_s)
    lam_i, lam_u = load(lam, now, 0), load(lam, now + 1, 0)
    while step > until:
        a, c, b = _row(steps.propagators, step)
        lam_i = real(a) * lam_i + real(c) * lam_u
        lam_u = real(b) * lam_u
        i = steps.stop[step - 1] if step > first else first_input
        for k in range(i, steps.stop[step]):
            row = indices[k]
            if fresh[row]:
                fresh[row] = False
                store(d_w, row, low, lam_i)
            else:
                add(d_w, row, low, lam_i)
            if len(d_in) > 0:
                d_in[k] += np.float64(total(load(w, row, low) * (rate * lam_i - lam_u)))
        step -= 1
    store(lam, now, 0, lam_i)
    store(lam, now + 1, 0, lam_u)


def piggyback_address(d, steps, dtype):
    """Address of `_piggyback_sample` for weights of this dtype."""
    reals = np.empty((0, 0), dtype)
    return address_of(
        _piggyback_sample, d, 0, np.empty(0, np.int32), reals, 0, 0, steps, 0, np.empty(0, SPIKE),
        np.empty(0), reals, np.empty(0), reals, np.empty(0, np.bool_),
    )  # fmt: skip
