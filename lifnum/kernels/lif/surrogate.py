"""CPU kernels of the surrogate gradient of one layer: backpropagation through the grid of `none`.

The potential at every step, which the forward pass does not keep, is simulated once more, a tile of
neurons and a sample at a time, in scratch that stays in a core's cache. With u the potential after
a step and before its reset, S = 1 where u >= theta and phi of `surrogate_derivative`

    dS/du = (1 / theta) phi((u - theta) / theta)

and backwards, at the end of a step, with e what the loss and the layer above say of S:

    dS = e - [reset_gradient] delta_theta lam_u;   lam_u += dS dS/du
    lam = (a lam_i + c lam_u,  b lam_u);   dL/dw_i += lam_i  of the inputs i of the step's start

The layer above says sum over its neurons of w lam_i, at that point of the grid; 0 at the end.
Symbols, and how work is cut, as in `forward` and `adjoint`.
"""

from typing import NamedTuple

import numpy as np
from numba import prange
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import register_jitable

from lifnum.compiler import address_of, call, inlined_kernel, kernel, parallel_kernel
from lifnum.kernels.lif.adjoint import Part, collect_row
from lifnum.kernels.lif.spike import subtracted
from lifnum.kernels.sums import sum_chunks
from lifnum.kernels.tiles import bounds
from lifnum.kernels.vectors import LANES, add, chosen, filled, load, not_below, ones, store
from lifnum.methods.surrogates import surrogate_derivative

TILE = 64  # neurons: their potentials of some hundred steps fit the cache of a core


class Grid(NamedTuple):
    """The surrogate, and what a step multiplies by where the table of a sample has no row."""

    code: int
    k: float
    passed: float  # what a reset subtracts, where it passes a gradient; else 0
    propagators: np.ndarray  # (2, 3): (a, c, b) of a whole step, and of the last one


class Terms(NamedTuple):
    """What the spikes of a layer receive, and what it passes on."""

    d_counts: np.ndarray  # (batch, n_post padded): dL/dn
    lam_above: np.ndarray  # (batch, n_grid, n_above): lam_i of the layer above; n_above may be 0
    w_above: np.ndarray  # (n_above, n_post padded): its weights, transposed
    lam: np.ndarray  # (batch, n_grid, n_post padded): lam_i; or (0, ...) where nobody asks for it
    checks: np.ndarray  # int64 (batch, tiles, 2): spikes, and their `mark`s summed


class GridRoom(NamedTuple):
    """Scratch for the n neurons of a tile."""

    state: np.ndarray  # (3, n): I, u and the number of spikes
    lam: np.ndarray  # (2, n)
    slopes: np.ndarray  # (n_grid, n): dS/du at the end of every step
    errors: np.ndarray  # (n_grid, n): e


@register_jitable
def grid_room(w, n, n_grid):
    """A `GridRoom` for n neurons with weights of the type of w."""
    return GridRoom(
        np.empty((3, n), w.dtype), np.empty((2, n), w.dtype), np.empty((n_grid, n), w.dtype),
        np.empty((n_grid, n), w.dtype),
    )  # fmt: skip


class Strip(NamedTuple):
    """The steps of a part: where its neurons and its table of steps begin."""

    low: int
    start: int  # the first step, by its number on the grid, that matters
    begin: int  # that of row `first` of the table: before it the state is zero
    first: int
    first_input: int


@parallel_kernel
def backward(d, grid, inputs, steps, terms, gradient, address):
    """The surrogate gradient of a layer; returns the norm of the gradient.

    Of the `Gradient`, without d_out and d_in, total is a result, d_w scratch; fresh comes as True.
    The states of the steps are those that the weights give now: `checks` says which spikes.
    """
    n_chunks, n_tiles = gradient.fresh.shape[0], gradient.fresh.shape[1]
    batch, n_parts = len(steps.count), n_chunks * n_tiles
    for turn in prange(n_parts):
        tile, chunk = np.int64(turn) // n_chunks, np.int64(turn) % n_chunks
        low, high = bounds(tile, inputs.width, inputs.w.shape[1])
        room = grid_room(inputs.w, high - low, d.n_grid)
        for sample in range(chunk * batch // n_chunks, (chunk + 1) * batch // n_chunks):
            part = Part(sample, tile, chunk)
            call(address, (d, grid, inputs, steps, terms, gradient, part, room))
    return sum_chunks(gradient, inputs.width)


def sample_address(d, grid, inputs, steps, terms, gradient):
    """Address of `_sample` for arguments of these types."""
    room = grid_room(inputs.w, 0, 0)
    return address_of(_sample, d, grid, inputs, steps, terms, gradient, Part(0, 0, 0), room)


@kernel
def _sample(d, grid, inputs, steps, terms, gradient, part, room):
    """One tile of one sample; returns its number of spikes, for `call`."""
    sample = part.sample
    begin = d.n_grid - steps.count[sample]
    start = np.int64(0) if len(terms.lam) > 0 else begin
    at = Strip(part.tile * inputs.width, start, begin, steps.first[sample], inputs.offsets[sample])
    _errors(d, terms, sample, at, room)
    n, marks = _slopes(d, grid, inputs, steps, at, room)
    terms.checks[sample, part.tile, 0], terms.checks[sample, part.tile, 1] = n, marks
    _back(grid, inputs, steps, terms, gradient, part, at, room)
    return n


@inlined_kernel
def _errors(d, terms, sample, at, room):
    """e at the end of every step: dL/dn, and of each neuron above w lam_i at that point."""
    errors, w = room.errors, terms.w_above
    lam = terms.lam_above[sample]
    last = d.n_grid - 1
    for block in range(errors.shape[1] // LANES):
        j = LANES * block
        d_n = load(terms.d_counts, sample, at.low + j)
        step = at.start
        while step + 4 <= last:  # four steps share the weights
            e0, e1, e2, e3 = d_n, d_n, d_n, d_n
            for k in range(len(w)):
                row = load(w, k, at.low + j)
                e0 = e0 + row * lam[step + 1, k]
                e1 = e1 + row * lam[step + 2, k]
                e2 = e2 + row * lam[step + 3, k]
                e3 = e3 + row * lam[step + 4, k]
            store(errors, step, j, e0)
            store(errors, step + 1, j, e1)
            store(errors, step + 2, j, e2)
            store(errors, step + 3, j, e3)
            step += 4
        while step < last:
            e0 = d_n
            for k in range(len(w)):
                e0 = e0 + load(w, k, at.low + j) * lam[step + 1, k]
            store(errors, step, j, e0)
            step += 1
        if at.start <= last:
            store(errors, last, j, d_n)


@inlined_kernel
def mark(step, neuron):
    """A number of a spike at the end of a step: sums of them differ where spikes do."""
    return (step + 1) * (neuron + 1)


@inlined_kernel
def _row(grid, steps, at, step, last):
    """(a, c, b) of a step, as the forward pass had them."""
    if step >= at.begin:
        row = steps.propagators[at.first + step - at.begin]
        return row[0], row[1], row[2]
    row = grid.propagators[np.int64(step == last)]
    return row[0], row[1], row[2]


@inlined_kernel
def _slopes(d, grid, inputs, steps, at, room):
    """dS/du at the end of every step; returns the number of spikes and the sum of their marks."""
    state = room.state
    state[:] = 0
    n, marks, i = 0, 0, at.first_input
    last = d.n_grid - 1
    for step in range(at.start, d.n_grid):
        if step >= at.begin:
            stop = steps.stop[at.first + step - at.begin]
            for k in range(i, stop):
                _add_row(state, inputs.w, inputs.indices[k], at.low)
            i = stop
        row = _row(grid, steps, at, step, last)
        n_step, marks_step = _advance(d, grid, room, step, at.low, row)
        n, marks = n + n_step, marks + marks_step
    return n, marks


@inlined_kernel
def _add_row(state, w, row, low):
    """Add a row of weights to I, over the neurons of a tile."""
    for block in range(state.shape[1] // LANES):
        add(state, 0, LANES * block, load(w, row, low + LANES * block))


@inlined_kernel
def _advance(d, grid, room, step, low, row):
    """One step of all neurons of a tile, with its resets; the results are those of `_slopes`."""
    state, slopes = room.state, room.slopes
    real = state.dtype.type
    a, c, b = real(row[0]), real(row[1]), real(row[2])
    theta, k = real(d.theta), real(grid.k)
    rate, most = real(1.0 / d.theta), real(d.max_spikes)
    n, marks = 0, 0
    for block in range(state.shape[1] // LANES):
        j = LANES * block
        i0, u0, emitted = load(state, 0, j), load(state, 1, j), load(state, 2, j)
        u1 = c * i0 + b * u0
        capped = not_below(emitted, most)
        phi = surrogate_derivative(real, grid.code, k, rate * (u1 - theta))
        store(slopes, step, j, chosen(capped, filled(real(0.0)), rate * phi))
        store(state, 0, j, a * i0)
        store(state, 1, j, u1)
        bits = not_below(u1, theta) & ~capped
        if bits != 0:
            n += ones(bits)
            store(state, 2, j, chosen(bits, emitted + real(1.0), emitted))
            while bits != 0:
                neuron = j + np.int64(trailing_zeros(bits))
                state[1, neuron] = real(subtracted(d, np.float64(state[1, neuron])))
                marks += mark(step, low + neuron)
                bits &= bits - np.uint64(1)
    return n, marks


@inlined_kernel
def _back(grid, inputs, steps, terms, gradient, part, at, room):
    """Walk the steps backwards; the gradient of the weights, and lam_i where it is asked for."""
    lam = room.lam
    lam[:] = 0
    d_w, fresh = gradient.d_w[part.chunk], gradient.fresh[part.chunk, part.tile]
    keeping = len(terms.lam) > 0
    last = len(room.slopes) - 1
    step = last
    while step >= at.start:
        _retreat(grid, room, step, _row(grid, steps, at, step, last))
        if keeping:
            kept = terms.lam[part.sample]
            for block in range(lam.shape[1] // LANES):
                store(kept, step, at.low + LANES * block, load(lam, 0, LANES * block))
        if step >= at.begin:
            row = at.first + step - at.begin
            first = steps.stop[row - 1] if step > at.begin else at.first_input
            for k in range(first, steps.stop[row]):
                collect_row(d_w, inputs.indices[k], at.low, lam, np.int64(0), fresh)
        step -= 1


@inlined_kernel
def _retreat(grid, room, step, row):
    """The adjoint from the end of a step to its start, of all neurons of a tile."""
    lam = room.lam
    real = lam.dtype.type
    a, c, b, passed = real(row[0]), real(row[1]), real(row[2]), real(grid.passed)
    for block in range(lam.shape[1] // LANES):
        j = LANES * block
        lam_i, lam_u = load(lam, 0, j), load(lam, 1, j)
        d_spike = load(room.errors, step, j) - passed * lam_u
        lam_u = lam_u + d_spike * load(room.slopes, step, j)
        store(lam, 0, j, a * lam_i + c * lam_u)
        store(lam, 1, j, b * lam_u)
