"""The surrogate gradient of layers of `Neuron`: room for its kernels, and what they return."""

from typing import NamedTuple

import numba
import numpy as np

from lifnum.kernels import sums, tiles
from lifnum.kernels.lif import surrogate as kernels
from lifnum.layer import MAX_TABLE_BYTES
from lifnum.methods.propagators import propagator
from lifnum.methods.surrogates import SURROGATES

_EMPTY = np.empty(0)


class Above(NamedTuple):
    """What a layer passes to the one below: the adjoint of its currents, and its weights."""

    lam: np.ndarray  # (batch, n_grid, n_post): after the inputs at every point of the grid
    weights: np.ndarray  # (n_pre, n_post)


def backward(layer, scheme, d_counts, above, is_first):
    """(gradient of a layer's weights, `Above` of the layer below or None where it is the first).

    Parameters
    ----------
    layer : Layer
        After its forward pass under interpolation none.
    scheme : Scheme
        Of the surrogate.
    d_counts : ndarray (batch, n_post), float64
        dL/dn of its spike counts, by the loss.
    above : Above or None
        Of the layer above; None for the last one.
    is_first : bool
        Whether nothing below asks for the adjoint of its currents.

    Raises
    ------
    ValueError
        Its weights were changed, and with them its spikes; or more steps than memory holds.
    """
    d, (inputs, spikes, _) = layer.dynamics, layer._run
    w, batch = layer._kernel_weights(), len(inputs)
    n_padded = w.shape[1]
    width = tiles.tile_width(n_padded, kernels.TILE)
    n_tiles = -(-n_padded // width) if width else 0
    rows = (0 if is_first else batch) * n_padded + 2 * width * numba.get_num_threads()
    room = rows * d.n_grid * w.itemsize
    if room > MAX_TABLE_BYTES:
        raise ValueError(
            f"dt {d.dt:g} with a batch of {batch} needs {room:.3g} bytes for the adjoint of "
            f"{n_padded} neurons; accepted: at most {MAX_TABLE_BYTES:.0f}"
        )
    grid = _grid(d, scheme)
    terms = _terms(layer, d_counts, above, n_tiles, n_padded, 0 if is_first else batch)
    n_chunks = sums.chunks(batch, n_tiles)
    total = np.empty(layer.shape, w.dtype)
    d_w = total[None]
    if n_chunks > 1 or n_padded != layer.shape[1]:
        d_w = np.empty((n_chunks, *w.shape), w.dtype)
    fresh = np.ones((n_chunks, n_tiles, len(w)), np.bool_)
    received = tiles.Inputs(inputs.times, inputs.offsets, inputs.indices, w, width)
    gradient = sums.Gradient(_EMPTY, d_w, fresh, total, _EMPTY[None])
    layer.gradient_norm = layer._call(
        kernels.backward, kernels.sample_address, d, grid, received, layer._steps, terms, gradient
    )
    layer.n_without_gradient = 0
    _require_spikes(d, spikes, terms.checks.sum(axis=1))
    return total, None if is_first else Above(terms.lam, layer.weights)


def _grid(d, scheme):
    """The `Grid` of a layer's dynamics."""
    lengths = d.dt, d.duration - (d.n_grid - 1) * d.dt
    code, _ = SURROGATES[scheme.surrogate]
    passed = d.theta - d.reset if scheme.reset_gradient else 0.0
    rows = np.array([propagator(d, float(h)) for h in lengths])
    return kernels.Grid(code, scheme.surrogate_slope, passed, rows)


def _terms(layer, d_counts, above, n_tiles, n_padded, batch):
    """The `Terms` of a layer; lam has room for so many samples."""
    n_samples, n_post = d_counts.shape
    padded = np.zeros((n_samples, n_padded), layer.dtype)
    padded[:, :n_post] = d_counts
    n_above = above.weights.shape[1] if above else 0
    w_above = np.zeros((n_above, n_padded), layer.dtype)
    if above:
        w_above[:, :n_post] = above.weights.T
        lam_above = above.lam
    else:
        lam_above = np.empty((n_samples, layer.dynamics.n_grid, 0), layer.dtype)
    lam = np.empty((batch, layer.dynamics.n_grid, n_padded), layer.dtype)
    checks = np.empty((n_samples, n_tiles, 2), np.int64)
    return kernels.Terms(padded, lam_above, w_above, lam, checks)


def _require_spikes(d, spikes, checks):
    """Refuse a gradient of other spikes (samples by count and marks) than the forward pass had."""
    steps = np.minimum(np.rint(spikes.times / d.dt), d.n_grid).astype(np.int64) - 1
    steps[spikes.times == d.duration] = d.n_grid - 1
    marks = np.concatenate([[0], np.cumsum(kernels.mark.py_func(steps, spikes.indices))])
    expected = np.diff(spikes.offsets), np.diff(marks[spikes.offsets])
    if not np.array_equal(checks, np.stack(expected, axis=1)):
        raise ValueError(
            "weights were changed after forward, and with them the spikes; accepted: the same "
            "weights, or forward again before backward"
        )
