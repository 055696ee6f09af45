"""What the machine could do at most, and how much work a training step is.

Numba on all threads measures the machine: a triad for memory, fused multiply-adds in registers
for arithmetic. The work is counted as 8 flops a neuron and
sub-interval forward and 4 backward, and one each way for each weight of each input spike; an
optimiser step of Adam reads four numbers a weight and writes three.
"""

import itertools
from time import perf_counter

import numba
import numpy as np
from numba import prange
from numba.extending import intrinsic

from lifnum.compiler import parallel_kernel

FLOPS_A_STEP = 8 + 4  # of one neuron over one sub-interval, forward and backward
FLOPS_A_WEIGHT = 1 + 1  # of one input spike
ADAM_NUMBERS = 7  # read w, g, m, v; write w, m, v

CHAIN = 8  # multiply-adds of one number between its load and its store


def synaptic_events(spikes_in, sizes):
    """Input spikes times fan-out, summed over the layers.

    spikes_in: input spikes of each layer; sizes: neurons of the input and of each layer.
    """
    return sum(n * fan_out for n, fan_out in zip(spikes_in, sizes[1:], strict=True))


def training_flops(steps, spikes_in, sizes):
    """Flops of a forward and a backward pass, for the sub-intervals of each layer."""
    moved = sum(n * size for n, size in zip(steps, sizes[1:], strict=True))
    return FLOPS_A_STEP * moved + FLOPS_A_WEIGHT * synaptic_events(spikes_in, sizes)


def adam_bytes(sizes, itemsize=4):
    """Bytes that one step of Adam moves."""
    n_weights = sum(a * b for a, b in itertools.pairwise(sizes))
    return ADAM_NUMBERS * itemsize * n_weights


@intrinsic
def _fma(typing_context, x, y, z):
    """x y + z, rounded once: the instruction, which plain arithmetic must not be turned into."""

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return x(x, y, z), generate


@parallel_kernel
def _triad(a, b, c, scale):
    for block in prange(a.shape[0]):
        for k in range(a.shape[1]):
            a[block, k] = b[block, k] + scale * c[block, k]


@parallel_kernel
def _multiply_add(x, factor, addend, turns):
    half = x.shape[1] // 2
    for block in prange(x.shape[0]):
        for _ in range(turns):
            for k in range(half):
                # two chains, four vectors each after unrolling, hide the latency of one
                y, z = x[block, k], x[block, half + k]
                for _ in range(CHAIN):
                    y, z = _fma(y, factor, addend), _fma(z, factor, addend)
                x[block, k], x[block, half + k] = y, z


class Machine:
    """The two measurements on all threads of this process.

    Parameters
    ----------
    megabytes : int
        Size of each of the triad's three arrays; must exceed the caches several times.
    """

    def __init__(self, megabytes=128):
        self.threads = numba.get_num_threads()
        shape = (self.threads, megabytes * 2**20 // 8 // self.threads)
        self._arrays = [np.full(shape, value) for value in (0.0, 1.0, 2.0)]
        self._x = np.full((self.threads, 128), 0.5, np.float32)  # stays in the first cache
        self._turns = 20_000 * megabytes
        self.measure()

    def measure(self):
        """{"bandwidth": bytes/s (without write-allocation), "flops": float32 flops/s}."""
        a, b, c = self._arrays
        start = perf_counter()
        for _ in range(4):
            _triad(a, b, c, 3.0)
        bandwidth = 4 * 3 * a.nbytes / (perf_counter() - start)
        start = perf_counter()
        _multiply_add(self._x, np.float32(0.5), np.float32(0.25), self._turns)
        done = 2 * CHAIN * self._x.size * self._turns
        return {"bandwidth": bandwidth, "flops": done / (perf_counter() - start)}
