"""How threads, shared memory and records are laid out on a GPU."""

from typing import NamedTuple

import numpy as np

from lifnum.cuda import device
from lifnum.methods.propagators import MAX_ORDER

LANES = 4 if device.SIMULATED else 32  # a block is a multiple of this many threads
MAX_THREADS = 128
STAGED = 64  # steps that a block holds in shared memory at a time
STOPS, COLUMNS, SCRATCH = STAGED + 1, MAX_THREADS + 1, MAX_ORDER + 1  # shapes must be constants


class Records(NamedTuple):
    """Output spikes (batch, capacity, n_post): slot k of neuron j is its spike k of a sample."""

    time: np.ndarray  # float64
    current: np.ndarray  # float64, I at the spike
    step: np.ndarray  # int32
    piece: np.ndarray  # float64 (4, ...) or empty: (I0, u0), length and rest of what it ended


def threads(n_post):
    """Threads of a block: neurons in equal tiles of at most MAX_THREADS."""
    n_tiles = -(-n_post // MAX_THREADS)
    return -(-n_post // (n_tiles * LANES)) * LANES
