"""Chunks of samples, each with a gradient of its own, and the sum of these in a fixed order."""

import numpy as np
from numba import prange

from lifnum.compiler import kernel, parallel_kernel
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


@kernel
def _sum_counts(constant):
    n = 0
    for chunk in range(constant.shape[0]):
        for tile in range(constant.shape[1]):
            n += constant[chunk, tile]
    return n


@parallel_kernel
def sum_chunks(d_w, fresh, width, gradient):
    """Combine the chunks' gradients (chunks, n_pre, padded n_post) in a fixed order.

    fresh (chunks, tiles, n_pre), bool: the rows of a piece that nothing was written to. gradient
    (n_pre, n_post) may be the first chunk itself where it is the only one. Returns its norm.
    """
    n_rows, n_post = gradient.shape
    squares = np.empty((BLOCKS, n_post))
    for block in prange(BLOCKS):
        first, last = block * n_rows // BLOCKS, (block + 1) * n_rows // BLOCKS
        for tile in range(fresh.shape[1]):
            low, high = tile * width, min((tile + 1) * width, n_post)
            _sum_rows(d_w, fresh[:, tile], low, high, gradient, np.int64(first), np.int64(last),
                      squares, np.int64(block))  # fmt: skip
    norm = 0.0
    for block in range(BLOCKS):
        for j in range(n_post):
            norm += squares[block, j]
    return np.sqrt(norm)


@kernel
def _sum_rows(d_w, fresh, low, high, gradient, first, last, squares, block):
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
                gradient[row, j] = 0
            continue
        for j in range(low, vectors, LANES):
            sums = load(d_w[written], row, j)
            for chunk in range(written + 1, n_chunks):
                if not fresh[chunk, row]:
                    sums = sums + load(d_w[chunk], row, j)
            store(gradient, row, j, sums)
            wide = converted(sums, 0.0)
            add(squares, block, j, wide * wide)
        for j in range(vectors, high):
            one = d_w[written, row, j]
            for chunk in range(written + 1, n_chunks):
                if not fresh[chunk, row]:
                    one += d_w[chunk, row, j]
            gradient[row, j] = one
            squares[block, j] += np.float64(one) * np.float64(one)
