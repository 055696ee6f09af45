"""How threads, shared memory and records are laid out on a GPU."""

from typing import NamedTuple

import numpy as np
from numba import cuda

from lifnum.cuda import device
from lifnum.methods.propagators import MAX_ORDER

LANES = 4 if device.SIMULATED else 32  # a block is a multiple of this many threads
MAX_THREADS = 128
THREADS = 4 if device.SIMULATED else 128  # of blocks without a layout of their own
AHEAD = 16  # weights that a thread asks for at a time: it waits for them once
STAGED = 64  # steps that a block holds in shared memory at a time
STOPS, COLUMNS, SCRATCH = STAGED + 1, MAX_THREADS + 1, MAX_ORDER + 1  # shapes must be constants


class Records(NamedTuple):
    """What the forward pass leaves (batch, capacity, n_post): slot k of neuron j is its spike k."""

    time: np.ndarray  # float64
    current: np.ndarray  # float64, I at the spike
    step: np.ndarray  # int32
    piece: np.ndarray  # float64 (4, ...) or empty: (I0, u0), length and rest of what it ended
    counts: np.ndarray  # int32 (batch, n_post): spikes, also those beyond the capacity
    states: np.ndarray  # (steps, 2, n_post) or empty: (I, u) at the start of every step


class DeviceGradient(NamedTuple):
    """What a backward pass reads and writes."""

    d_out: np.ndarray  # float64: dL/dt of every output spike, by rank
    ends: np.ndarray  # int64, as `compact` has them
    ranks: np.ndarray  # int64, as `arrange` leaves them
    table: np.ndarray  # (steps, 3), of `tabulate`, or more columns
    d_w: np.ndarray  # (chunks, n_pre, n_post), zeros
    d_in: np.ndarray  # float64 (tiles, inputs), of the times of the inputs; or (tiles, 0)
    constant: np.ndarray  # int32 (chunks, n_post): spikes that passed no gradient


class Thread(NamedTuple):
    """Whose work a thread does."""

    group: int  # a sample forward, a chunk of samples back
    tile: int
    j: int  # its neuron
    column: int  # a thread without a neuron repeats the last one, and writes nothing
    valid: bool  # whether it has one


@cuda.jit(device=True)
def this_thread(n_post):
    """The `Thread` of a kernel that runs a block for each tile of each group."""
    n_tiles = (n_post + cuda.blockDim.x - 1) // cuda.blockDim.x
    group, tile = cuda.blockIdx.x // n_tiles, cuda.blockIdx.x % n_tiles
    j = tile * cuda.blockDim.x + cuda.threadIdx.x
    return Thread(group, tile, j, min(j, n_post - 1), j < n_post)


def threads(n_post):
    """Threads of a block: neurons in equal tiles of at most MAX_THREADS."""
    n_tiles = -(-n_post // MAX_THREADS)
    return -(-n_post // (n_tiles * LANES)) * LANES


def blocks(n):
    """Blocks of THREADS threads, one for each of n."""
    return max(1, -(-n // THREADS))
