"""CPU kernels of one layer: the forward pass and its spikes in order.

A layer's work is cut into tiles of neurons, samples, and (in `adjoint`) chunks of samples, whose
numbers depend on the problem's size alone: results do not depend on the number of threads.
Symbols: I, u synaptic current and membrane potential; (a, c, b) propagator; h, s, rest lengths;
w weights (n_pre, n_post), so that an input spike reads one row.

What the kernels share stands in a few named tuples, which the compiler takes apart again. They are
flat, since Numba hands no nested tuples to parallel loops.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from lifnum.compiler import address_of, by_class, call, inlined_kernel, kernel, parallel_kernel
from lifnum.kernels.lif import firing, limited
from lifnum.kernels.lif.dynamics import (
    CAPPED,
    OVERFLOWED,
    SPIKES,
    SUPPRESSED,
    UNRESOLVED,
    Dynamics,
    Limited,
    Output,
)
from lifnum.kernels.lif.firing import flagged, room_for
from lifnum.kernels.lif.table import tabulate
from lifnum.kernels.order import collect_sample, sorting_room
from lifnum.kernels.steps import merge, step_at
from lifnum.kernels.tiles import bounds
from lifnum.kernels.vectors import LANES, add, larger, load, not_below, store

spikes_of_step = by_class({Dynamics: firing.spikes_of_step, Limited: limited.spikes_of_step})


class Place(NamedTuple):
    """Where the pass of a tile of one sample has come to."""

    low: int  # the tile's first neuron
    last: int  # the step behind the sample's last one
    step: int  # the next step
    i: int  # the next input
    now: int  # the rows of the state, from this one


@inlined_kernel
def _add_row(state, now, w, row, low):
    """Add a row of weights to I, over the neurons of a tile."""
    for block in range(state.shape[1] // LANES):
        j = LANES * block
        add(state, now, j, load(w, row, low + j))


@inlined_kernel
def _add_rows(state, now, w, first, second, low):
    """Two additions, one after the other, with one store: stores bound this loop."""
    for block in range(state.shape[1] // LANES):
        j = LANES * block
        i0 = load(state, now, j) + load(w, first, low + j)
        store(state, now, j, i0 + load(w, second, low + j))


@inlined_kernel
def _advance(room, now, adding, w, row, low, propagator, bar):
    """Add a row of weights, if `adding`, then one step of all neurons of a tile.

    Rows now and now + 1 of the state hold (I, u) before, the two others receive them after. The
    blocks of LANES neurons of which one may spike go to `blocks`, their flags, a bit a neuron, to
    `flags`: without a branch, for which they are can not be predicted. Returns their number.
    """
    state = room.state
    real = state.dtype.type
    after = 2 - now
    a, c, b = real(propagator[0]), real(propagator[1]), real(propagator[2])
    c_bound, b_bound = real(propagator[3]), real(propagator[4])
    bar = real(bar)
    n = 0
    for block in range(state.shape[1] // LANES):
        j = LANES * block
        i0, u0 = load(state, now, j), load(state, now + 1, j)
        if adding:
            i0 = i0 + load(w, row, low + j)
            store(state, now, j, i0)
        u1 = c * i0 + b * u0
        store(state, after, j, a * i0)
        store(state, after + 1, j, u1)
        # a bound that overflowed may give NaN: that is flagged too
        bits = not_below(larger(u0, u1) + (c_bound * abs(i0) + b_bound * abs(u0)), bar)
        room.blocks[n], room.flags[n] = block, bits
        n += bits != 0
    return n


@inlined_kernel
def _quiet_steps(d, inputs, steps, output, room, place):
    """Steps of a tile of one vector, in registers, up to the first in which a neuron may spike."""
    state, states, now, low = room.state, output.states, place.now, place.low
    real = state.dtype.type
    bar = real(d.bar)
    step, i = place.step, place.i
    current, potential = load(state, now, 0), load(state, now + 1, 0)
    while step < place.last:
        i0, stop = current, steps.stop[step]
        for k in range(i, stop):
            i0 = i0 + load(inputs.w, inputs.indices[k], low)
        if len(states) > 0:
            store(states, 2 * step, low, i0)
            store(states, 2 * step + 1, low, potential)
        row = steps.propagators[step]
        u1 = real(row[1]) * i0 + real(row[2]) * potential
        bound = real(row[3]) * abs(i0) + real(row[4]) * abs(potential)
        if not_below(larger(potential, u1) + bound, bar) != 0:
            break
        current, potential, i = real(row[0]) * i0, u1, stop
        step += 1
    store(state, now, 0, current)
    store(state, now + 1, 0, potential)
    return Place(low, place.last, step, i, now)


@inlined_kernel
def _next_step(d, inputs, steps, room, place):
    """All inputs of a step, then the step; returns how many blocks `_advance` found."""
    indices, w, low, now, i = inputs.indices, inputs.w, place.low, place.now, place.i
    stop = steps.stop[place.step]
    row = steps.propagators[place.step]
    while i + 2 < stop:
        _add_rows(room.state, now, w, indices[i], indices[i + 1], low)
        i += 2
    if i + 1 < stop:
        _add_row(room.state, now, w, indices[i], low)
        i += 1
    if i < stop:
        return _advance(room, now, True, w, indices[i], low, row, d.bar)
    # a number as a literal would have the inlined kernel compiled once more
    return _advance(room, now, False, w, np.int32(0), low, row, d.bar)


@inlined_kernel
def _keep_states(states, room, place):
    """The states at the start of a step, after its inputs."""
    for block in range(room.state.shape[1] // LANES):
        j = LANES * block
        store(states, 2 * place.step, place.low + j, load(room.state, place.now, j))
        store(states, 2 * place.step + 1, place.low + j, load(room.state, place.now + 1, j))


@inlined_kernel
def _tally(d, tallies, room, now, n_spikes):
    """What a tile did; crossings that were not resolved are counted already."""
    finite, n_capped, n_suppressed = True, 0, 0
    for j in range(room.state.shape[1]):
        finite = finite and np.isfinite(room.state[now, j]) and np.isfinite(room.state[now + 1, j])
        n_capped += room.emitted[j] == d.max_spikes
        n_suppressed += room.suppressed[j]
    tallies[SPIKES], tallies[CAPPED], tallies[SUPPRESSED] = n_spikes, n_capped, n_suppressed
    tallies[OVERFLOWED] = not finite


@kernel
def _forward_sample(d, inputs, steps, output, sample, tile, room):
    """One tile of one sample; the first tile writes the table of steps.

    Returns its number of spikes, for `call`.
    """
    first_input = inputs.offsets[sample]
    if tile == 0:
        merge(d, inputs.times, first_input, inputs.offsets[sample + 1], sample, steps)
        tabulate(d, steps, sample, room.lanes)
    here = Output(
        output.spikes[sample, tile], output.pieces[sample, tile], output.tallies[:, sample, tile],
        output.states,
    )  # fmt: skip
    here.tallies[UNRESOLVED] = 0
    n_spikes = 0
    first = steps.first[sample]
    place = Place(tile * inputs.width, first + steps.count[sample], first, first_input, np.int64(0))
    while place.step < place.last:
        if room.state.shape[1] == LANES:
            place = _quiet_steps(d, inputs, steps, here, room, place)
            if place.step == place.last:
                break
        n_blocks = _next_step(d, inputs, steps, room, place)
        if len(here.states) > 0:
            _keep_states(here.states, room, place)
        step = place.step
        if n_blocks > 0:
            at = step_at(d, steps, step, place.last, place.low, place.now)
            n_found = flagged(room, n_blocks)
            n_spikes = spikes_of_step(d, here, at, room, n_found, n_spikes)
        place = Place(place.low, place.last, step + 1, steps.stop[step], 2 - place.now)
    _tally(d, here.tallies, room, place.now, n_spikes)
    return n_spikes


def sample_address(d, inputs, steps, output):
    """Address of `_forward_sample` for arguments of these types."""
    room = room_for(d, inputs.w, 0)
    return address_of(_forward_sample, d, inputs, steps, output, 0, 0, room)


@parallel_kernel
def forward(d, inputs, steps, output, address):
    """Simulate a batch of input spikes; returns its output spikes, sorted by (time, neuron).

    Writes the table of steps and the `Output`. address: of `sample_address`.

    Returns times, indices and offsets of the output spikes, and the totals of `_totals`. There are
    no spikes where the capacity was too small or a state overflowed.
    """
    batch, n_tiles, capacity = output.spikes.shape
    for turn in prange(batch):
        sample = np.int64(turn)  # else compiled twice: a loop that became parallel counts unsigned
        for tile in range(n_tiles):
            low, high = bounds(tile, inputs.width, inputs.w.shape[1])
            room = room_for(d, inputs.w, high - low)
            call(address, (d, inputs, steps, output, sample, tile, room))
    totals, offsets = np.empty(6, np.int64), np.empty(batch + 1, np.int64)
    _totals(output.tallies, steps.count, totals, offsets)
    valid = batch if totals[0] <= capacity and totals[3] < 0 else 0
    times, indices = np.empty(offsets[valid]), np.empty(offsets[valid], np.int32)
    for turn in prange(valid):  # a name: with an expression Numba leaves the loop to one thread
        sample = np.int64(turn)
        first, last = offsets[sample], offsets[sample + 1]
        collect_sample(d.duration, output.spikes[sample], output.tallies[SPIKES, sample], first,
                       times[first:last], indices[first:last],
                       sorting_room(last - first))  # fmt: skip
    return times, indices, offsets, totals


@kernel
def _totals(tallies, counts, totals, offsets):
    """What a batch did: the most spikes of a tile, the neurons at the cap and suppressed, the first
    sample that overflowed or -1, the steps, and the crossings not resolved; and where each sample's
    spikes begin."""
    totals[:] = 0
    totals[3] = -1
    offsets[0] = 0
    for sample in range(len(counts)):
        offsets[sample + 1] = offsets[sample]
        for tile in range(tallies.shape[2]):
            n = tallies[SPIKES, sample, tile]
            offsets[sample + 1] += n
            totals[0] = max(totals[0], n)
            totals[1] += tallies[CAPPED, sample, tile]
            totals[2] += tallies[SUPPRESSED, sample, tile]
            totals[5] += tallies[UNRESOLVED, sample, tile]
            if tallies[OVERFLOWED, sample, tile] != 0 and totals[3] < 0:
                totals[3] = sample
        totals[4] += counts[sample]
