"""A layer's neurons in tiles of equal width, whole vectors each."""

from lifnum.kernels.vectors import LANES

# neurons: what a step costs whatever its width is then little. Narrower tiles fit the cache of a
# core, but two threads gain less from that than from chunks of samples on the way back.
TILE = 832


def padded(n_post):
    """Number of neurons that the kernels see: silent ones fill the last vector."""
    return -(-n_post // LANES) * LANES


def tile_width(n_post):
    """Neurons per tile: near TILE, in equal shares, a multiple of LANES."""
    return padded(-(-n_post // max(1, round(n_post / TILE))))
