"""Chunks of samples, each with a gradient of its own, and the sum of these in a fixed order."""

from typing import NamedTuple

import numpy as np
from numba import prange

from lifnum.compiler import kernel, parallel_kernel
from lifnum.kernels.tiles import bounds
from lifnum.kernels.vectors import LANES, add, converted, load, store

# Pieces are tiles times chunks: at least 2, and up to about 8 where each chunk keeps SAMPLES.
# Smaller chunks cost more than they gain: the gradient of each is read once more at the end.
PIECES = 2, 8
SAMPLES = 50
BLOCKS = 8  # of rows of a gradient, each of which is summed by one thread


def chunks(batch, n_tiles):
    """Number of chunks of samples of a backward pass."""
    fewest, most = (-(-pieces // max(1, n_tiles)) for pieces in PIECES)
    return max(1, min(batch, max(fewest, min(most, batch // SAMPLES))))


class Gradient(NamedTuple):
    """What a backward pass reads and writes; of a tile and chunk without the axes of these."""

    d_out: np.ndarray  # float64: dL/dt of every output spike, by rank
    d_w: np.ndarray  # (chunks, n_pre, n_post padded): of the weights, by chunk
    fresh: np.ndarray  # bool (chunks, tiles, n_pre): rows of d_w that nothing was written to
    total: np.ndarray  # (n_pre, n_post): their sum; the first chunk itself where it is alone
    d_in: np.ndarray  # float64 (tiles, inputs), of the times of the inputs; or (tiles, 0)


@kernel
def sum_counts(counts):
    """Sum of all elements of counts (chunks, tiles), int64."""
    n = 0
    for chunk in range(counts.shape[0]):
        for tile in range(counts.shape[1]):
            n += counts[chunk, tile]
    return n


@parallel_kernel
def sum_chunks(gradient, width):
    """Sum the chunks of a `Gradient` in a fixed order; returns the norm of the total."""
    n_rows, n_post = gradient.total.shape
    squares = np.empty((BLOCKS, n_post))
    for block in prange(BLOCKS):
        first, last = block * n_rows // BLOCKS, (block + 1) * n_rows // BLOCKS
        for tile in range(gradient.fresh.shape[1]):
            _sum_rows(gradient, np.int64(tile), width, np.int64(first), np.int64(last), squares,
                      np.int64(block))  # fmt: skip
    norm = 0.0
    for block in range(BLOCKS):
        for j in range(n_post):
            norm += squares[block, j]
    return np.sqrt(norm)


@kernel
def _sum_rows(gradient, tile, width, first, last, squares, block):
    """Rows first .. last - 1 of a tile, and the squares of the sums, by neuron."""
    d_w, fresh, total = gradient.d_w, gradient.fresh[:, tile], gradient.total
    low, high = bounds(tile, width, total.shape[1])
    n_chunks = len(d_w)
    vectors = high - (high - low) % LANES
    for j in range(low, high):
        squares[block, j] = 0.0
    for row in range(first, last):
        written = 0
        while written < n_chunks and fresh[written, row]:
            written += 1
        if written == n_chunks:
            for j in range(low, high):
                total[row, j] = 0
            continue
        for j in range(low, vectors, LANES):
            sums = load(d_w[written], row, j)
            for chunk in range(written + 1, n_chunks):
                if not fresh[chunk, row]:
                    sums = sums + load(d_w[chunk], row, j)
            store(total, row, j, sums)
            wide = converted(sums, 0.0)
            add(squares, block, j, wide * wide)
        for j in range(vectors, high):
            one = d_w[written, row, j]
            for chunk in range(written + 1, n_chunks):
                if not fresh[chunk, row]:
                    one += d_w[chunk, row, j]
            total[row, j] = one
            squares[block, j] += np.float64(one) * np.float64(one)
