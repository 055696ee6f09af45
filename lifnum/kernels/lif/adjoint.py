"""CPU kernels of the two backward passes of one layer.

A tile of neurons and a chunk of samples make a piece, with a gradient of its own. Symbols as in
`forward`, and lam_i, lam_u: the adjoint of (I, u).
"""

from typing import NamedTuple

import numpy as np
from numba import prange
from numba.extending import register_jitable

from lifnum.compiler import address_of, by_class, call, inlined_kernel, kernel, parallel_kernel
from lifnum.kernels.lif import limited
from lifnum.kernels.lif.dynamics import SPIKES, Dynamics, Limited, Output
from lifnum.kernels.lif.spike import (
    AnalyticalAdjoint,
    analytical_back,
    analytical_spike_back,
    begin_back,
    spike_back,
)
from lifnum.kernels.steps import step_at
from lifnum.kernels.sums import Gradient, sum_chunks, sum_counts
from lifnum.kernels.tiles import bounds
from lifnum.kernels.vectors import LANES, add, converted, filled, load, store, total
from lifnum.methods.propagators import EXACT, exact_propagator, propagator_derivative


class AdjointRoom(NamedTuple):
    """Scratch for the n neurons of a tile."""

    lam: np.ndarray  # (4, n): (lam_i, lam_u) in rows 0 and 1, or 2 and 3, turn by turn
    end_terms: np.ndarray  # float64 (1, n): adjoint of the time at which a step ends


@register_jitable
def adjoint_room_for(w, n):
    """An `AdjointRoom` for n neurons with weights of the type of w."""
    return AdjointRoom(np.empty((4, n), w.dtype), np.empty((1, n)))


class Part(NamedTuple):
    """One sample of one chunk, and one tile of neurons."""

    sample: int
    tile: int
    chunk: int


class Span(NamedTuple):
    """Where the neurons of a part begin, its steps first .. last - 1, and its first input."""

    low: int
    first: int
    last: int
    first_input: int


class Acting(NamedTuple):
    """The inputs i .. stop - 1, which act at the start of a step."""

    step: int
    i: int
    stop: int
    tied: int  # whether a grid point coincides with them


@parallel_kernel
def backward(d, inputs, steps, output, gradient, address):
    """One of two backward passes: of `adjusted_address` or `piggyback_address`.

    Of the `Gradient` the arrays total and d_in are results, d_w scratch; fresh comes as True. The
    states are read only where d_in is not empty, the pieces only by the discrete adjoint.

    Returns the norm of the gradient and the number of spikes that passed none because u did not
    rise at them.
    """
    n_chunks, n_tiles = gradient.fresh.shape[0], gradient.fresh.shape[1]
    batch, n_parts = len(steps.count), n_chunks * n_tiles
    constant = np.empty((n_chunks, n_tiles), np.int64)
    for turn in prange(n_parts):
        tile, chunk = np.int64(turn) // n_chunks, np.int64(turn) % n_chunks
        low, high = bounds(tile, inputs.width, inputs.w.shape[1])
        room = adjoint_room_for(inputs.w, high - low)
        lost = 0
        first, last = chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks
        _clear(gradient.d_in[tile, inputs.offsets[first] : inputs.offsets[last]])
        for sample in range(first, last):
            part = Part(sample, tile, chunk)
            lost += call(address, (d, inputs, steps, output, gradient, part, room))
        constant[chunk, tile] = lost
    return sum_chunks(gradient, inputs.width), sum_counts(constant)


@kernel
def _clear(values):
    values[:] = 0.0


def adjusted_address(*arguments):
    """Address of the discrete adjoint for arguments of these types: the first of `backward`."""
    return _address(_adjusted_sample, *arguments)


def piggyback_address(*arguments):
    """Address of the analytical adjoint; as `adjusted_address`."""
    return _address(_piggyback_sample, *arguments)


def _address(function, d, inputs, steps, output, gradient):
    room = adjoint_room_for(inputs.w, 0)
    return address_of(function, d, inputs, steps, output, gradient, Part(0, 0, 0), room)


@inlined_kernel
def _own_output(output, part):
    """The `Output` of one tile of one sample."""
    sample, tile = part.sample, part.tile
    return Output(
        output.spikes[sample, tile, : output.tallies[SPIKES, sample, tile]],
        output.pieces[sample, tile], output.tallies[:, sample, tile], output.states,
    )  # fmt: skip


@inlined_kernel
def _own_gradient(gradient, part):
    """The `Gradient` of one tile of one chunk."""
    return Gradient(
        gradient.d_out, gradient.d_w[part.chunk], gradient.fresh[part.chunk, part.tile],
        gradient.total, gradient.d_in[part.tile],
    )  # fmt: skip


@inlined_kernel
def _span(inputs, steps, part):
    first = steps.first[part.sample]
    last = first + steps.count[part.sample]
    return Span(part.tile * inputs.width, first, last, inputs.offsets[part.sample])


@inlined_kernel
def _acting(steps, span, step):
    i = steps.stop[step - 1] if step > span.first else span.first_input
    return Acting(step, i, steps.stop[step], steps.tied[step])


@inlined_kernel
def _last_step(spikes, q, first):
    """The step of spike q; the one before the first if q < 0: behind it the adjoint is zero."""
    return np.int64(spikes[q].step) if q >= 0 else first - 1


@kernel
def _adjusted_sample(d, inputs, steps, output, gradient, part, room):
    """The discrete adjoint: derivative of the simulation as computed."""
    mine, own = _own_output(output, part), _own_gradient(gradient, part)
    span, lam = _span(inputs, steps, part), room.lam
    input_gradient = len(own.d_in) > 0
    lam[:] = 0
    lost, q = 0, len(mine.spikes) - 1
    now = np.int64(0)
    step = _last_step(mine.spikes, q, span.first)
    while step >= span.first:
        a, c, b = _row(steps.propagators, step)
        _adjoint(lam, now, a, c, b)
        at = step_at(d, steps, step, span.last, span.low, 2 - now)
        now = at.before
        if input_gradient:
            _length_terms(d, room, at, mine.states)
        q, n_constant, spike_terms = _spikes_back(d, mine, own, room, at, q)
        lost += n_constant
        acting = _acting(steps, span, step)
        for k in range(acting.i, acting.stop):
            collect_row(own.d_w, inputs.indices[k], span.low, lam, now, own.fresh)
        if input_gradient:
            end_time = _sum(room.end_terms)
            if step + 1 < span.last and acting.stop < steps.stop[step + 1]:
                own.d_in[acting.stop] += end_time
            if acting.i < acting.stop:
                _input_times(d, inputs, mine.states, own.d_in, lam[now : now + 2], span.low,
                             acting, spike_terms - end_time)  # fmt: skip
        step -= 1
    return lost


@inlined_kernel
def _after_last(d, spike, piece, lam_i, lam_u):
    """The `Adjoint` at the last spike of a step from that at its end; piece: that it ended."""
    return begin_back(d, spike.current, d.reset, piece.rest - piece.length, lam_i, lam_u)


@inlined_kernel
def _before_spike(d, behind, spike, piece, d_time):
    """(the `Adjoint` at the start of the piece that a spike ended, whether u rises there)."""
    return spike_back(d, behind, piece.current, piece.potential, piece.length, piece.rest, d_time)


@inlined_kernel
def _before_analytical_spike(d, at, behind, spike, d_time):
    """(the `AnalyticalAdjoint` right before a spike, whether u rises there)."""
    return analytical_spike_back(d, behind, spike.time, spike.decay, spike.current, d_time)


after_last = by_class({Dynamics: _after_last, Limited: limited.after_last})
before_spike = by_class({Dynamics: _before_spike, Limited: limited.before_spike})
before_analytical_spike = by_class(
    {Dynamics: _before_analytical_spike, Limited: limited.before_analytical_spike}
)


@inlined_kernel
def _spikes_back(d, output, gradient, room, at, q):
    """From the adjoint after a step to that before, of the neurons with spikes in it.

    q: the last spike. Returns the spike before all these, how many of them passed no gradient, and
    the adjoint of the times at which the pieces of these neurons start and the step ends.
    """
    lam, spikes, pieces = room.lam, output.spikes, output.pieces
    real = lam.dtype.type
    lost, terms = 0, 0.0
    while q >= 0 and spikes[q].step == at.step:
        neuron = spikes[q].neuron
        j = neuron - at.low
        back = after_last(
            d, spikes[q], pieces[q],
            np.float64(lam[at.after, j]), np.float64(lam[at.after + 1, j]),
        )  # fmt: skip
        while q >= 0 and spikes[q].step == at.step and spikes[q].neuron == neuron:
            d_time = gradient.d_out[spikes[q].rank]
            back, rises = before_spike(d, back, spikes[q], pieces[q], d_time)
            lost += not rises
            q -= 1
        lam[at.before, j], lam[at.before + 1, j] = real(back.lam_i), real(back.lam_u)
        if len(gradient.d_in) > 0:
            room.end_terms[0, j] = back.end_term
            terms += back.start_term + back.end_term
    return q, lost, terms


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
def collect_row(d_w, row, low, lam, now, fresh):
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
def _length_terms(d, room, at, states):
    """Derivative of a step's end state by its length, times the adjoint, per neuron."""
    da, dc, db = propagator_derivative(d, at.end - at.start)
    lam = room.lam
    for block in range(lam.shape[1] // LANES):
        j = LANES * block
        i0 = converted(load(states, 2 * at.step, at.low + j), da)
        u0 = converted(load(states, 2 * at.step + 1, at.low + j), da)
        lam_i = converted(load(lam, at.after, j), da)
        lam_u = converted(load(lam, at.after + 1, j), da)
        store(room.end_terms, 0, j, lam_i * da * i0 + lam_u * (dc * i0 + db * u0))


@inlined_kernel
def _sum(values):
    """Sum of the row of values (1, n), n a multiple of LANES."""
    lanes = filled(0.0)
    for block in range(values.shape[1] // LANES):
        lanes = lanes + load(values, 0, LANES * block)
    return total(lanes)


@inlined_kernel
def _input_times(d, inputs, states, d_in, lam, low, acting, start_time):
    """Derivatives by the times of the inputs of one step; lam (2, n): the adjoint at its start.

    A single input off the grid gets the adjoint of the step's start time; that of the end of the
    step before was or will be added to input i by the caller. Several inputs, or one on a grid
    point, are separated by steps of length zero, whose adjoints count: there (a', c', b') =
    (-1 / tau_s, 1, -1 / tau) for every method.
    """
    step, i, stop, tied = acting
    if stop - i == 1 and not tied:
        d_in[i] += start_time
        return
    zero_length = 0.0  # adjoint of the length of the zero step behind the last input
    for j in range(lam.shape[1]):
        gain = lam[1, j] - np.float64(lam[0, j]) / d.tau_s
        leak = np.float64(lam[1, j]) * states[2 * step + 1, low + j] / d.tau
        zero_length += gain * states[2 * step, low + j] - leak
    d_in[stop - 1] += -zero_length if tied else start_time
    for k in range(stop - 1, i, -1):
        zero_length += _time_gradient(d, inputs.w, inputs.indices[k], low, lam)
        d_in[k] += zero_length
        d_in[k - 1] -= zero_length


@inlined_kernel
def _time_gradient(d, w, row, low, lam):
    """Sum over neurons of w (lam_i / tau_s - lam_u): the jump of the Hamiltonian at an input.

    In the type of the weights.
    """
    real = w.dtype.type
    rate = real(1.0 / d.tau_s)
    gradient = filled(real(0.0))
    for block in range(lam.shape[1] // LANES):
        j = LANES * block
        slope = rate * load(lam, 0, j) - load(lam, 1, j)
        gradient = gradient + load(w, row, low + j) * slope
    return np.float64(total(gradient))


@kernel
def _piggyback_sample(d, inputs, steps, output, gradient, part, room):
    """The analytical adjoint (BATS, EventProp) on the numerical spike times and currents.

    Between events it follows the exact solution, whatever the method of the forward pass.
    """
    mine, own = _own_output(output, part), _own_gradient(gradient, part)
    span, lam = _span(inputs, steps, part), room.lam
    lam[:] = 0
    lost, q = 0, len(mine.spikes) - 1
    now = np.int64(0)
    step = _last_step(mine.spikes, q, span.first)
    one_vector = d.code == EXACT and lam.shape[1] == LANES
    while step >= span.first:
        if one_vector:
            until = _last_step(mine.spikes, q, span.first)
            _quiet_steps(d, inputs, steps, own, span, lam[now : now + 2], step, until)
            step = until
            if q < 0:
                break
        at = step_at(d, steps, step, span.last, span.low, 2 - now)
        if d.code == EXACT:
            a, c, b = _row(steps.propagators, step)
        else:
            a, c, b = exact_propagator(at.end - at.start, d.tau_s, d.tau)
        _adjoint(lam, now, a, c, b)
        now = at.before
        q, n_constant = _analytical_spikes_back(d, mine, own, lam, at, q)
        lost += n_constant
        acting = _acting(steps, span, step)
        for k in range(acting.i, acting.stop):
            row = inputs.indices[k]
            collect_row(own.d_w, row, span.low, lam, now, own.fresh)
            if len(own.d_in) > 0:
                own.d_in[k] += _time_gradient(d, inputs.w, row, span.low, lam[now : now + 2])
        step -= 1
    return lost


@inlined_kernel
def _analytical_spikes_back(d, output, gradient, lam, at, q):
    """As `_spikes_back`, of the analytical adjoint; returns q and how many passed no gradient."""
    spikes, lost = output.spikes, 0
    real = lam.dtype.type
    while q >= 0 and spikes[q].step == at.step:
        neuron = spikes[q].neuron
        j = neuron - at.low
        lam_i, lam_u = np.float64(lam[at.after, j]), np.float64(lam[at.after + 1, j])
        back = AnalyticalAdjoint(lam_i, lam_u, at.end, 1.0)
        while q >= 0 and spikes[q].step == at.step and spikes[q].neuron == neuron:
            spike = spikes[q]
            d_time = gradient.d_out[spike.rank]
            back, rises = before_analytical_spike(d, at, back, spike, d_time)
            lost += not rises
            q -= 1
        back = analytical_back(d, back, at.start, at.decay)
        lam[at.before, j], lam[at.before + 1, j] = real(back.lam_i), real(back.lam_u)
    return q, lost


@inlined_kernel
def _quiet_steps(d, inputs, steps, gradient, span, lam, step, until):
    """Steps of `exact` without spikes behind `until`, of a tile of one vector, in registers.

    lam (2, n): the adjoint behind them, and then before.
    """
    w, low, d_w, fresh, d_in = inputs.w, span.low, gradient.d_w, gradient.fresh, gradient.d_in
    real = w.dtype.type
    rate = real(1.0 / d.tau_s)
    lam_i, lam_u = load(lam, 0, 0), load(lam, 1, 0)
    while step > until:
        a, c, b = _row(steps.propagators, step)
        lam_i = real(a) * lam_i + real(c) * lam_u
        lam_u = real(b) * lam_u
        acting = _acting(steps, span, step)
        for k in range(acting.i, acting.stop):
            row = inputs.indices[k]
            if fresh[row]:
                fresh[row] = False
                store(d_w, row, low, lam_i)
            else:
                add(d_w, row, low, lam_i)
            if len(d_in) > 0:
                d_in[k] += np.float64(total(load(w, row, low) * (rate * lam_i - lam_u)))
        step -= 1
    store(lam, 0, 0, lam_i)
    store(lam, 1, 0, lam_u)
