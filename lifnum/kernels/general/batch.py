"""A batch to the passes of a model's layer: neurons, inputs, and the points of each sample."""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import allocating_kernel, kernel
from lifnum.kernels.general.walk import Points, merge
from lifnum.kernels.vectors import LANES, converted, load, store


class Batch(NamedTuple):
    """A layer's neurons, the samples that act on them, and where these have their points.

    Points of a sample, see `walk.Points`, begin at places[sample]; `tabulate` fills them in.
    """

    times: np.ndarray
    offsets: np.ndarray
    indices: np.ndarray
    w: np.ndarray  # (n_pre, n_post)
    p: np.ndarray  # (n_post, n_p)
    thresholds: np.ndarray  # (n_post,)
    starts: np.ndarray  # (n_post, n)
    places: np.ndarray  # int64 (batch,)
    n_points: np.ndarray  # int64 (batch,)
    time: np.ndarray
    source: np.ndarray
    tied: np.ndarray


def batch_of(inputs, n_grid, neurons):
    """`Batch` of SpikeTrains and (w, p, thresholds, starts), its points not filled in yet."""
    offsets = inputs.offsets
    places = offsets[:-1] + np.arange(len(inputs)) * (n_grid + 3)
    n = len(inputs.times) + len(inputs) * (n_grid + 3)
    return Batch(inputs.times, offsets, inputs.indices, *neurons, places, np.empty_like(places),
                 np.empty(n), np.empty(n, np.int64), np.empty(n, np.bool_))  # fmt: skip


@kernel
def tabulate(e, batch):
    """Fill in the points of all samples."""
    for sample in range(len(batch.places)):
        low = batch.places[sample]
        points = Points(batch.time[low:], batch.source[low:], batch.tied[low:])
        times = batch.times[batch.offsets[sample] : batch.offsets[sample + 1]]
        batch.n_points[sample] = merge(e, times, points)
    return 0


@allocating_kernel
def points_of(batch, sample):
    """The points of a sample, for a kernel that counts references."""
    low = batch.places[sample]
    high = low + batch.n_points[sample]
    return Points(batch.time[low:high], batch.source[low:high], batch.tied[low:high])


@kernel
def n_intervals(points):
    return len(points.time) - 1


@kernel
def n_vectors(n_post):
    return (n_post + LANES - 1) // LANES


@kernel
def fill(w, indices, batch, low, g, s, start):
    """Fill a vector with the neurons from low on, those of the padding as the last one, and with
    its inputs' weights; start (LANES, n)."""
    n_post = w.shape[1]
    for lane in range(LANES):
        j = min(low + lane, n_post - 1)
        g.theta[0, lane] = batch.thresholds[j]
        for i in range(len(g.p)):
            g.p[i, lane] = s.p[lane, i] = batch.p[j, i]
        for i in range(start.shape[1]):
            start[lane, i] = batch.starts[j, i]
    if low + LANES <= n_post:
        for k in range(len(indices)):
            store(g.drive, k, 0, converted(load(w, indices[k], low), 0.0))
        return
    for k in range(len(indices)):
        for lane in range(LANES):
            column = low + lane
            g.drive[k, lane] = w[indices[k], column] if column < n_post else 0.0
