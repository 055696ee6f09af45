"""CPU kernels of one layer: the forward pass and its spikes in order.

A layer's work is cut into tiles of neurons, samples, and (in `adjoint`) chunks of samples, whose
numbers depend on the problem's size alone: results do not depend on the number of threads.
Symbols: I, u synaptic current and membrane potential; (a, c, b) propagator; h, s, rest lengths;
w weights (n_pre, n_post), so that an input spike reads one row.
"""

import numpy as np
from numba import prange
from numba.cpython.unsafe.numbers import trailing_zeros

from lifnum.compiler import address_of, call, inlined_kernel, kernel, parallel_kernel
from lifnum.kernels.lif.crossing import has_peak
from lifnum.kernels.lif.dynamics import PIECE, SPIKE
from lifnum.kernels.lif.spike import begin, next_spike, subtracted
from lifnum.kernels.lif.table import tabulate
from lifnum.kernels.lif.together import ROWS, TURNS, _fire
from lifnum.kernels.order import BUCKET, _collect_sample
from lifnum.kernels.steps import merge, step_end
from lifnum.kernels.vectors import LANES, NEAR, add, larger, load, not_below, store
from lifnum.methods.interpolation import DENSE, NONE
from lifnum.methods.propagators import PS, is_square

FEW = 2  # neurons that may spike in a step; for fewer a vector costs more than it saves


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
def _advance(state, now, adding, w, row, low, propagators, step, bar, blocks, flags):
    """Add a row of weights, if `adding`, then one step of all neurons of a tile.

    state: rows now and now + 1 hold (I, u) before, the two others receive them after. The blocks
    of LANES neurons of which one may spike go to `blocks`, their flags, a bit a neuron, to
    `flags`: without a branch, for which they are can not be predicted. Returns their number.
    """
    real = state.dtype.type
    after = 2 - now
    a, c, b = real(propagators[step, 0]), real(propagators[step, 1]), real(propagators[step, 2])
    c_bound, b_bound = real(propagators[step, 3]), real(propagators[step, 4])
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
        blocks[n], flags[n] = block, bits
        n += bits != 0
    return n


@inlined_kernel
def _quiet_steps(state, now, w, indices, i, low, steps, step, last, bar, states):
    """Steps of a tile of one vector, in registers, up to the first in which a neuron may spike.

    i: their first input. Returns that step, or last, and the first input that has not acted.
    """
    real = state.dtype.type
    bar = real(bar)
    current, potential = load(state, now, 0), load(state, now + 1, 0)
    while step < last:
        i0, stop = current, steps.stop[step]
        for k in range(i, stop):
            i0 = i0 + load(w, indices[k], low)
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
    return step, i


@parallel_kernel
def forward(d, times, offsets, indices, w, width, steps, spikes, pieces, tallies, states, address):
    """Simulate a batch of input spikes; returns its output spikes, sorted by (time, neuron).

    Writes the table of steps. spikes (batch, tiles, capacity) receives the first `capacity`
    spikes of each tile, in the order of their steps, neurons and times, and pieces, unless it is
    empty, what they ended (what no gradient of dense output of `exact` reads). tallies (5,
    batch, tiles), int64: how many spikes there were; how many neurons were at the cap, and at how
    many it suppressed a spike; whether the state overflowed; how many crossings were not resolved.
    states (2 steps, n_post), or empty: I and u at the start of every step, after its inputs.
    address: of `sample_address`.

    Returns times, indices and offsets of the output spikes, and the totals of `_totals`. There are
    no spikes where the capacity was too small or a state overflowed.
    """
    batch, n_tiles, capacity = spikes.shape
    for turn in prange(batch):
        sample = np.int64(turn)  # else compiled twice: a loop that became parallel counts unsigned
        lanes = np.empty((ROWS * TURNS + 3, LANES))
        room, counters = np.empty(4 * width, w.dtype), np.empty(4 * width, np.int32)
        flags, scratch = np.empty(width + TURNS + 1, np.uint64), np.empty(d.order + 1)
        for tile in range(n_tiles):
            low, high = tile * width, min((tile + 1) * width, w.shape[1])
            n = high - low
            call(address, (
                d, times, offsets[sample], offsets[sample + 1], indices, w, low, high, steps,
                sample, spikes[sample, tile], pieces[sample, tile], tallies[:, sample, tile],
                states,
                room[: 4 * n].reshape(4, n), counters[: 4 * n].reshape(4, n), flags, lanes,
                scratch,
            ))  # fmt: skip
    totals, out_offsets = np.empty(6, np.int64), np.empty(batch + 1, np.int64)
    _totals(tallies, steps.count, totals, out_offsets)
    valid = batch if totals[0] <= capacity and totals[3] < 0 else 0
    out_times, out_indices = np.empty(out_offsets[valid]), np.empty(out_offsets[valid], np.int32)
    for turn in prange(valid):  # a name: with an expression Numba leaves the loop to one thread
        sample = np.int64(turn)
        first, last = out_offsets[sample], out_offsets[sample + 1]
        _collect_sample(d.duration, spikes[sample], tallies[0, sample], first,
                        out_times[first:last], out_indices[first:last],
                        np.zeros((last - first) // BUCKET + 2, np.int64),
                        np.empty(last - first, np.int64),
                        np.empty((1, last - first + LANES)))  # fmt: skip
    return out_times, out_indices, out_offsets, totals


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
            n = tallies[0, sample, tile]
            offsets[sample + 1] += n
            totals[0] = max(totals[0], n)
            totals[1] += tallies[1, sample, tile]
            totals[2] += tallies[2, sample, tile]
            totals[5] += tallies[4, sample, tile]
            if tallies[3, sample, tile] != 0 and totals[3] < 0:
                totals[3] = sample
        totals[4] += counts[sample]


@kernel
def _forward_sample(d, times, i, behind, indices, w, low, high, steps, sample, spikes, pieces,
                    tallies, states, state, counters, flags, lanes, scratch):  # fmt: skip
    """One tile of one sample with inputs i .. behind - 1; the first tile writes the table of steps.

    The last five arrays are scratch. Returns tallies[0], for `call`.
    """
    if low == 0:
        merge(d, times, i, behind, sample, steps)
        tabulate(d, steps, sample, lanes)
    state[:] = 0
    counters[:] = 0
    emitted, suppressed, blocks, found = counters[0], counters[1], counters[2], counters[3]
    firing = flags[len(flags) - TURNS - 1 :]
    n = high - low
    real = w.dtype.type
    theta = real(d.theta)
    n_spikes, n_unresolved = 0, 0
    first = steps.first[sample]
    last = first + steps.count[sample]
    # numbers as literals would have the inlined kernels compiled once more
    now, nothing = np.int64(0), np.int32(0)
    following = first
    while following < last:
        if n == LANES:
            following, i = _quiet_steps(
                state, now, w, indices, i, low, steps, following, last, d.bar, states
            )
            if following == last:
                break
        step = following
        following += 1
        stop = steps.stop[step]
        while i + 2 < stop:
            _add_rows(state, now, w, indices[i], indices[i + 1], low)
            i += 2
        if i + 1 < stop:
            _add_row(state, now, w, indices[i], low)
            i += 1
        if i < stop:
            n_blocks = _advance(
                state, now, True, w, indices[i], low, steps.propagators, step, d.bar, blocks, flags
            )
            i += 1
        else:
            n_blocks = _advance(
                state, now, False, w, nothing, low, steps.propagators, step, d.bar, blocks, flags
            )
        if len(states) > 0:
            for block in range(n // LANES):
                j = LANES * block
                store(states, 2 * step, low + j, load(state, now, j))
                store(states, 2 * step + 1, low + j, load(state, now + 1, j))
        before, now = now, 2 - now
        if n_blocks == 0:
            continue
        start, end = steps.start[step], step_end(d, steps, step, last)
        n_found = 0
        for k in range(n_blocks):
            bits = flags[k]
            while bits != 0:
                found[n_found] = LANES * blocks[k] + np.int64(trailing_zeros(bits))
                n_found += 1
                bits &= bits - np.uint64(1)
        b_whole = steps.propagators[step, 2]
        together = (
            n_found >= FEW
            and d.interpolation == DENSE
            and (d.code == PS or (is_square(d) and b_whole > NEAR))
        )
        odd = np.uint64(0)
        for k in range(n_found):
            j = found[k]
            lane = k % LANES
            if together and lane == 0:
                m = min(LANES, n_found - k)
                for other in range(m):
                    lanes[0, other] = state[before, found[k + other]]
                    lanes[1, other] = state[before + 1, found[k + other]]
                    lanes[2, other] = state[now + 1, found[k + other]]
                odd = _fire(d, theta, start, end, b_whole, m, lanes, firing)
            if suppressed[j] != 0:
                continue
            if together and (odd >> np.uint64(lane)) & np.uint64(1) == 0:
                m = 0
                while (firing[m] >> np.uint64(lane)) & np.uint64(1) != 0:
                    m += 1
                if emitted[j] + m <= d.max_spikes and n_spikes + m <= len(spikes):
                    for turn in range(m):
                        row = ROWS * turn + 3
                        q = spikes[n_spikes]
                        q.time, q.step, q.neuron = lanes[row, lane], step, low + j
                        q.current, q.decay = lanes[row + 1, lane], lanes[row + 2, lane]
                        if len(pieces) > 0:
                            piece = pieces[n_spikes]
                            piece.current, piece.potential = lanes[0, lane], lanes[1, lane]
                            piece.length, piece.rest = lanes[row + 5, lane], lanes[row + 6, lane]
                            lanes[0, lane], lanes[1, lane] = lanes[row + 1, lane], d.reset
                        n_spikes += 1
                    if m > 0:
                        emitted[j] += m
                        row = ROWS * (m - 1) + 3
                        state[now, j] = real(lanes[row + 3, lane])
                        state[now + 1, j] = real(lanes[row + 4, lane])
                    continue
            i0, u0 = np.float64(state[before, j]), np.float64(state[before + 1, j])
            i1, u1 = np.float64(state[now, j]), np.float64(state[now + 1, j])
            if d.interpolation == NONE:
                if state[now + 1, j] < theta:
                    continue
                if emitted[j] == d.max_spikes:
                    suppressed[j] = 1
                    continue
                emitted[j] += 1
                state[now + 1, j] = real(subtracted(d, u1))
                n_unresolved += state[now + 1, j] >= theta
                if n_spikes < len(spikes):
                    q = spikes[n_spikes]
                    q.time, q.current, q.step, q.neuron = end, i1, step, low + j
                    q.decay = 1.0
                n_spikes += 1
                continue
            walk, before_walk = begin(start, end, b_whole, i0, u0, i1, u1), emitted[j]
            while True:
                s, after = next_spike(d, walk, real(walk.u1) >= theta, scratch)
                if s < 0.0:
                    if d.count_peaks != 0 and emitted[j] < d.max_spikes:
                        n_unresolved += has_peak(d, d.theta, walk.i0, walk.u0, walk.rest, scratch)
                    break
                if emitted[j] == d.max_spikes:
                    suppressed[j] = 1
                    break
                emitted[j] += 1
                if n_spikes < len(spikes):
                    q = spikes[n_spikes]
                    q.time, q.current, q.decay = after.time, after.i0, after.decay
                    q.step, q.neuron = step, low + j
                if n_spikes < len(pieces):
                    piece = pieces[n_spikes]
                    piece.current, piece.potential = walk.i0, walk.u0
                    piece.length, piece.rest = s, walk.rest
                n_spikes += 1
                walk = after
            if emitted[j] > before_walk:
                state[now, j], state[now + 1, j] = real(walk.i1), real(walk.u1)
    finite, n_capped, n_suppressed = True, 0, 0
    for j in range(n):
        finite = finite and np.isfinite(state[now, j]) and np.isfinite(state[now + 1, j])
        n_capped += emitted[j] == d.max_spikes
        n_suppressed += suppressed[j]
    tallies[0], tallies[1], tallies[2], tallies[3] = n_spikes, n_capped, n_suppressed, not finite
    tallies[4] = n_unresolved
    return n_spikes


def sample_address(d, steps, dtype):
    """Address of `_forward_sample` for weights of this dtype."""
    numbers, reals = np.empty((2, 2), np.int64), np.empty((0, 0), dtype)
    return address_of(
        _forward_sample, d, np.empty(0), 0, 0, np.empty(0, np.int32), reals, 0, 0, steps, 0,
        np.empty(0, SPIKE), np.empty(0, PIECE), numbers[:, 0], reals, reals,
        np.empty((0, 0), np.int32), np.empty(0, np.uint64), np.empty((0, 0)), np.empty(0),
    )  # fmt: skip
