"""A layer's neurons in tiles of equal width, whole vectors each, and what they receive."""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import inlined_kernel
from lifnum.kernels.vectors import LANES

# neurons: what a step costs whatever its width is then little. Narrower tiles fit the cache of a
# core, but two threads gain less from that than from chunks of samples on the way back.
TILE = 832


def padded(n_post):
    """Number of neurons that the kernels see: silent ones fill the last vector."""
    return -(-n_post // LANES) * LANES


def tile_width(n_post, tile=TILE):
    """Neurons per tile: near `tile`, in equal shares, a multiple of LANES."""
    return padded(-(-n_post // max(1, round(n_post / tile))))


class Inputs(NamedTuple):
    """The input spikes of a batch and what they meet: weights, in tiles of `width` neurons."""

    times: np.ndarray  # float64
    offsets: np.ndarray  # int64 (batch + 1,): where the spikes of each sample begin
    indices: np.ndarray  # int32
    w: np.ndarray  # float32 or float64 (n_pre, n_post), padded
    width: int


@inlined_kernel
def bounds(tile, width, n_post):
    """(low, high): the neurons of a tile are low .. high - 1."""
    return tile * width, min((tile + 1) * width, n_post)
