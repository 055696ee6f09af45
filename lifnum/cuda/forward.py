"""The table of steps and the forward pass of one layer on a GPU.

A thread is a neuron, a block a tile of neurons of one sample. The table of steps is read once per
block, through shared memory; weights and records lie so that neighbouring threads read
neighbouring addresses. All formulas are those of the CPU's scalar kernels, called here.
"""

import numpy as np
from numba import cuda

from lifnum.cuda import device
from lifnum.cuda.adjoint import AHEAD
from lifnum.cuda.layout import MAX_THREADS, SCRATCH, STAGED
from lifnum.kernels.lif.spike import begin, next_spike, subtracted
from lifnum.kernels.lif.table import write_row
from lifnum.kernels.steps import merge, step_end
from lifnum.methods.interpolation import NONE
from lifnum.methods.propagators import propagator


@device.kernel
def build_steps(d, inputs, steps):
    """The table of steps of every sample; a block a sample, whose first thread merges.

    inputs: (times, offsets).
    """
    sample, thread = cuda.blockIdx.x, cuda.threadIdx.x
    times, offsets = inputs
    if thread == 0:
        merge(d, times, offsets[sample], offsets[sample + 1], sample, steps)
    cuda.syncthreads()
    first = steps.first[sample]
    last = first + steps.count[sample]
    for step in range(first + thread, last, cuda.blockDim.x):
        h = step_end(d, steps, step, last) - steps.start[step]
        a, c, b = propagator(d, h)
        write_row(d, steps.propagators[step], h, a, c, b)


@device.kernel
def forward(d, offsets, indices, w, steps, records, counts, totals, states):
    """Simulate every tile of every sample.

    counts (batch, n_post): spikes, also those beyond the capacity of the records. totals, int64,
    come as zeros: the largest of the counts, and, of all neurons and samples, spikes, neurons at
    the cap, neurons with a spike suppressed by it, samples left where the first state overflows
    (0 where none does), steps, and spikes of `none` after which u is still at or above theta.
    states (steps, 2, n_post) or empty: (I, u) at the start of every step.
    """
    n = w.shape[1]
    n_tiles = (n + cuda.blockDim.x - 1) // cuda.blockDim.x
    sample = cuda.blockIdx.x // n_tiles
    thread = cuda.threadIdx.x
    j = (cuda.blockIdx.x % n_tiles) * cuda.blockDim.x + thread
    column = min(j, n - 1)  # threads without a neuron repeat the last one, and write nothing
    valid = j < n
    table = cuda.shared.array((STAGED, 5), w.dtype)
    stops = cuda.shared.array(STAGED, np.int64)
    numbers = cuda.shared.array(MAX_THREADS, np.int64)
    weights = cuda.local.array(AHEAD, w.dtype)
    scratch = cuda.local.array(SCRATCH, np.float64)
    real = w.dtype.type
    theta, bar = real(d.theta), real(d.bar)
    capacity = records.time.shape[1]
    current, potential = real(0.0), real(0.0)
    emitted, silenced, unresolved = 0, False, 0
    i = held = offsets[sample]  # weights has those of inputs held - AHEAD .. held - 1
    last_input = offsets[sample + 1]
    first = steps.first[sample]
    last = first + steps.count[sample]
    for step in range(first, last):
        slot = (step - first) % STAGED
        if slot == 0:
            cuda.syncthreads()
            for k in range(thread, min(STAGED, last - step), cuda.blockDim.x):
                for p in range(5):
                    table[k, p] = real(steps.propagators[step + k, p])
                stops[k] = steps.stop[step + k]
            cuda.syncthreads()
        stop = stops[slot]
        while i < stop:
            if i == held:
                for k in range(AHEAD):
                    weights[k] = w[indices[min(i + k, last_input - 1)], column]
                held += AHEAD
            current += weights[i - held + AHEAD]
            i += 1
        if states.shape[0] > 0 and valid:
            states[step, 0, j] = current
            states[step, 1, j] = potential
        i0, u0 = current, potential
        current = table[slot, 0] * i0
        potential = table[slot, 1] * i0 + table[slot, 2] * u0
        above = table[slot, 3] * abs(i0) + table[slot, 4] * abs(u0)
        # a bound that overflowed may give NaN: that goes on too
        if silenced or max(u0, potential) + above < bar:
            continue
        if d.interpolation == NONE:
            if potential < theta:
                continue
            if emitted == d.max_spikes:
                silenced = True
                continue
            if valid and emitted < capacity:
                records.time[sample, emitted, j] = step_end(d, steps, step, last)
                records.current[sample, emitted, j] = current
                records.step[sample, emitted, j] = step
            emitted += 1
            potential = real(subtracted(d, np.float64(potential)))
            if potential >= theta:
                unresolved += 1
            continue
        start, end = steps.start[step], step_end(d, steps, step, last)
        walk, spiked = begin(
            start, end, steps.propagators[step, 2], np.float64(i0), np.float64(u0),
            np.float64(current), np.float64(potential),
        ), False  # fmt: skip
        while True:
            s, after = next_spike(d, walk, real(walk.u1) >= theta, scratch)
            if s < 0.0:
                break
            if emitted == d.max_spikes:
                silenced = True
                break
            if valid and emitted < capacity:
                records.time[sample, emitted, j] = after.time
                records.current[sample, emitted, j] = after.i0
                records.step[sample, emitted, j] = step
                if records.piece.shape[0] > 0:
                    records.piece[0, sample, emitted, j] = walk.i0
                    records.piece[1, sample, emitted, j] = walk.u0
                    records.piece[2, sample, emitted, j] = s
                    records.piece[3, sample, emitted, j] = walk.rest
            emitted += 1
            walk, spiked = after, True
        if spiked:
            current, potential = real(walk.i1), real(walk.u1)
    if valid:
        counts[sample, j] = emitted
        if unresolved > 0:
            cuda.atomic.add(totals, 6, unresolved)
    bad = valid and not (current - current == 0.0 and potential - potential == 0.0)
    numbers[thread] = emitted if valid else 0
    n_capped = cuda.syncthreads_count(np.int32(valid and emitted == d.max_spikes))
    n_suppressed = cuda.syncthreads_count(np.int32(valid and silenced))
    n_bad = cuda.syncthreads_count(np.int32(bad))
    if thread == 0:  # integers: their sums do not depend on the order
        most = n_spikes = 0
        for other in range(cuda.blockDim.x):
            most, n_spikes = max(most, numbers[other]), n_spikes + numbers[other]
        cuda.atomic.max(totals, 0, most)
        cuda.atomic.add(totals, 1, n_spikes)
        cuda.atomic.add(totals, 2, n_capped)
        cuda.atomic.add(totals, 3, n_suppressed)
        if n_bad > 0:
            cuda.atomic.max(totals, 4, counts.shape[0] - sample)
        if cuda.blockIdx.x % n_tiles == 0:
            cuda.atomic.add(totals, 5, last - first)
