"""The spikes of a tile of one sample in a step: which neurons may have some, and the records."""

from typing import NamedTuple

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import register_jitable

from lifnum.compiler import by_class, inlined_kernel
from lifnum.kernels.lif.crossing import has_peak
from lifnum.kernels.lif.dynamics import UNRESOLVED, Dynamics, Limited
from lifnum.kernels.lif.spike import begin, next_spike, subtracted
from lifnum.kernels.lif.together import (
    CURRENT,
    DECAY,
    END_CURRENT,
    END_POTENTIAL,
    I_BEFORE,
    LENGTH,
    REST,
    ROWS,
    TIME,
    TURNS,
    U_AFTER,
    U_BEFORE,
    fire,
)
from lifnum.kernels.vectors import LANES, NEAR
from lifnum.methods.interpolation import DENSE, NONE
from lifnum.methods.propagators import PS, is_square

FEW = 2  # neurons that may spike in a step; for fewer a vector costs more than it saves


class Room(NamedTuple):
    """Scratch for the n neurons of a tile."""

    state: np.ndarray  # (4, n): (I, u) in rows 0 and 1, or 2 and 3, turn by turn
    emitted: np.ndarray  # int32 (n,): spikes
    suppressed: np.ndarray  # int32 (n,): whether the cap suppressed one
    blocks: np.ndarray  # int32 (n,): the blocks of LANES neurons of which one may spike,
    found: np.ndarray  # int32 (n,), and these neurons
    flags: np.ndarray  # uint64 (n,): which ones of each block, a bit a neuron
    firing: np.ndarray  # uint64 (TURNS + 1,), see `fire`
    used: np.ndarray  # int32 (2, n), see `limited`; or (0, n)
    lanes: np.ndarray  # float64 (rows, LANES)
    scratch: np.ndarray  # float64 (order + 1,)


@inlined_kernel
def _no_rows(d):
    return 0


@inlined_kernel
def _two_rows(d):
    return 2


used_rows = by_class({Dynamics: _no_rows, Limited: _two_rows})


@register_jitable
def room_for(d, w, n):
    """A `Room` for n neurons with weights of the type of w, without spikes."""
    counters = np.zeros((4 + used_rows(d), n), np.int32)
    flags = np.empty(n + TURNS + 1, np.uint64)
    return Room(
        np.zeros((4, n), w.dtype), counters[0], counters[1], counters[2], counters[3], flags[:n],
        flags[n:], counters[4:], np.empty((ROWS * TURNS + 3, LANES)), np.empty(d.order + 1),
    )  # fmt: skip


@inlined_kernel
def flagged(room, n_blocks):
    """Write the flagged neurons to `found`; returns their number."""
    n = 0
    for k in range(n_blocks):
        bits = room.flags[k]
        while bits != 0:
            room.found[n] = LANES * room.blocks[k] + np.int64(trailing_zeros(bits))
            n += 1
            bits &= bits - np.uint64(1)
    return n


@inlined_kernel
def record(output, slot, at, j, time, current, decay):
    """The record of a spike of neuron j of the tile, where there is room for it."""
    if slot < len(output.spikes):
        q = output.spikes[slot]
        q.time, q.current, q.decay = time, current, decay
        q.step, q.neuron = at.step, at.low + j


@inlined_kernel
def record_piece(output, slot, i0, u0, length, rest):
    """The piece that it ended, where pieces are kept."""
    if slot < len(output.pieces):
        piece = output.pieces[slot]
        piece.current, piece.potential, piece.length, piece.rest = i0, u0, length, rest


@inlined_kernel
def _fire_lanes(d, at, room, first, n_found):
    """`fire` for up to LANES of the neurons found, from `first` on; returns the odd ones."""
    lanes, state = room.lanes, room.state
    n = min(LANES, n_found - first)
    for lane in range(n):
        j = room.found[first + lane]
        lanes[I_BEFORE, lane] = state[at.before, j]
        lanes[U_BEFORE, lane] = state[at.before + 1, j]
        lanes[U_AFTER, lane] = state[at.after + 1, j]
    theta = state.dtype.type(d.theta)
    return fire(d, theta, at, n, lanes, room.firing)


@inlined_kernel
def _turns(room, lane):
    """How many spikes `fire` found of the neuron in a lane."""
    n = 0
    while (room.firing[n] >> np.uint64(lane)) & np.uint64(1) != 0:
        n += 1
    return n


@inlined_kernel
def _take_turns(d, output, at, room, lane, j, n_turns, slot):
    """Record what `fire` found of neuron j, in a lane, and its state after the step."""
    lanes, state = room.lanes, room.state
    real = state.dtype.type
    i0, u0, row = lanes[I_BEFORE, lane], lanes[U_BEFORE, lane], 0
    for turn in range(n_turns):
        row = ROWS * turn
        current = lanes[row + CURRENT, lane]
        record(
            output, slot + turn, at, j, lanes[row + TIME, lane], current,
            lanes[row + DECAY, lane],
        )  # fmt: skip
        record_piece(
            output, slot + turn, i0, u0, lanes[row + LENGTH, lane], lanes[row + REST, lane]
        )
        i0, u0 = current, d.reset
    if n_turns > 0:
        room.emitted[j] += n_turns
        state[at.after, j] = real(lanes[row + END_CURRENT, lane])
        state[at.after + 1, j] = real(lanes[row + END_POTENTIAL, lane])


@inlined_kernel
def _spike_at_the_end(d, output, at, room, j, n_spikes):
    """The spike of neuron j under `none`, if it has one; returns n_spikes with it."""
    state, i, u = room.state, at.after, at.after + 1
    real = state.dtype.type
    theta = real(d.theta)
    if state[u, j] < theta:
        return n_spikes
    if room.emitted[j] == d.max_spikes:
        room.suppressed[j] = 1
        return n_spikes
    room.emitted[j] += 1
    state[u, j] = real(subtracted(d, np.float64(state[u, j])))
    output.tallies[UNRESOLVED] += state[u, j] >= theta
    record(output, n_spikes, at, j, at.end, np.float64(state[i, j]), 1.0)
    return n_spikes + 1


@inlined_kernel
def _walk(d, output, at, room, j, n_spikes):
    """The spikes of neuron j, one after the other; returns n_spikes with them."""
    state, emitted, i, u = room.state, room.emitted, at.after, at.after + 1
    real = state.dtype.type
    theta = real(d.theta)
    walk = begin(
        at.start, at.end, at.decay, np.float64(state[at.before, j]),
        np.float64(state[at.before + 1, j]), np.float64(state[i, j]), np.float64(state[u, j]),
    )  # fmt: skip
    spiked = False
    while True:
        s, after = next_spike(d, walk, real(walk.u1) >= theta, room.scratch)
        if s < 0.0:
            if d.count_peaks != 0 and emitted[j] < d.max_spikes:
                output.tallies[UNRESOLVED] += has_peak(d, walk.i0, walk.u0, walk.rest, room.scratch)
            break
        if emitted[j] == d.max_spikes:
            room.suppressed[j] = 1
            break
        emitted[j] += 1
        record(output, n_spikes, at, j, after.time, after.i0, after.decay)
        record_piece(output, n_spikes, walk.i0, walk.u0, s, walk.rest)
        n_spikes += 1
        walk, spiked = after, True
    if spiked:
        state[i, j], state[u, j] = real(walk.i1), real(walk.u1)
    return n_spikes


@inlined_kernel
def spikes_of_step(d, output, at, room, n_found, n_spikes):
    """The spikes of the neurons found, in a step; returns n_spikes with them."""
    together = (
        n_found >= FEW
        and d.interpolation == DENSE
        and (d.code == PS or (is_square(d) and at.decay > NEAR))
    )
    odd = np.uint64(0)
    for k in range(n_found):
        j, lane = room.found[k], k % LANES
        if together and lane == 0:
            odd = _fire_lanes(d, at, room, k, n_found)
        if room.suppressed[j] != 0:
            continue
        if together and (odd >> np.uint64(lane)) & np.uint64(1) == 0:
            n = _turns(room, lane)
            if room.emitted[j] + n <= d.max_spikes and n_spikes + n <= len(output.spikes):
                _take_turns(d, output, at, room, lane, j, n, n_spikes)
                n_spikes += n
                continue
        if d.interpolation == NONE:
            n_spikes = _spike_at_the_end(d, output, at, room, j, n_spikes)
        else:
            n_spikes = _walk(d, output, at, room, j, n_spikes)
    return n_spikes
