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


@allocating_kernel
def no_points(batch):
    """As `points_of`, of no sample."""
    return Points(batch.time[:0], batch.source[:0], batch.tied[:0])


@kernel
def n_intervals(points):
    return len(points.time) - 1


@kernel
def n_vectors(n_post):
    return (n_post + LANES - 1) // LANES


@kernel
def set_up(batch, low, g, s, start):
    """A vector of the neurons from low on, those of padding as the last one; start (LANES, n)."""
    for lane in range(LANES):
        j = min(low + lane, len(batch.thresholds) - 1)
        g.theta[0, lane] = batch.thresholds[j]
        for i in range(len(g.p)):
            g.p[i, lane] = s.p[lane, i] = batch.p[j, i]
        for i in range(start.shape[1]):
            start[lane, i] = batch.starts[j, i]


@allocating_kernel
def columns_of(w, low, n_inputs):
    """The weights (n_pre, LANES) of the neurons from low on without gaps; none for few inputs."""
    n_pre, n_post = w.shape
    block = np.zeros((n_pre if n_inputs > 2 * n_pre else 0, LANES), w.dtype)
    for row in range(len(block)):
        for lane in range(min(LANES, n_post - low)):
            block[row, lane] = w[row, low + lane]
    return block


@kernel
def fill(w, columns, low, indices, drive):
    """The weights of a vector's inputs; columns: of `columns_of`."""
    n_post = w.shape[1]
    if len(columns) > 0:
        for k in range(len(indices)):
            store(drive, k, 0, converted(load(columns, indices[k], 0), 0.0))
    elif low + LANES <= n_post:
        for k in range(len(indices)):
            store(drive, k, 0, converted(load(w, indices[k], low), 0.0))
    else:
        for k in range(len(indices)):
            for lane in range(LANES):
                column = low + lane
                drive[k, lane] = w[indices[k], column] if column < n_post else 0.0


@kernel
def part_of(batch, chunk, n_chunks):
    """(first sample, behind the last, most sub-intervals, most inputs) of a chunk of samples."""
    n_samples = len(batch.places)
    low, high = chunk * n_samples // n_chunks, (chunk + 1) * n_samples // n_chunks
    most = most_inputs = 0
    for sample in range(low, high):
        most = max(most, batch.n_points[sample] - 1)
        most_inputs = max(most_inputs, batch.offsets[sample + 1] - batch.offsets[sample])
    return low, high, most, most_inputs
