"""The table of steps and the forward pass of one layer on a GPU.

A thread is a neuron, a block a tile of neurons of one sample. The table of steps is read once per
block, through shared memory; weights and records lie so that neighbouring threads read
neighbouring addresses. All formulas are those of the CPU's scalar kernels, called here.
"""

import numpy as np
from numba import cuda

from lifnum.cuda import device
from lifnum.cuda.layout import AHEAD, MAX_THREADS, SCRATCH, STAGED, this_thread
from lifnum.kernels.lif.spike import begin, next_spike, subtracted
from lifnum.kernels.lif.table import write_row
from lifnum.kernels.steps import merge, step_end
from lifnum.methods.interpolation import NONE
from lifnum.methods.propagators import propagator

device.teach_math()


@device.kernel
def build_steps(d, inputs, steps):
    """The table of steps of every sample; a block a sample, whose first thread merges."""
    sample, thread = cuda.blockIdx.x, cuda.threadIdx.x
    offsets = inputs.offsets
    if thread == 0:
        merge(d, inputs.times, offsets[sample], offsets[sample + 1], sample, steps)
    cuda.syncthreads()
    first = steps.first[sample]
    last = first + steps.count[sample]
    for step in range(first + thread, last, cuda.blockDim.x):
        h = step_end(d, steps, step, last) - steps.start[step]
        a, c, b = propagator(d, h)
        write_row(d, steps.propagators[step], h, a, c, b)


@cuda.jit(device=True)
def _stage(steps, step, last, table, stops):
    """The next STAGED steps, from `step` on, in shared memory."""
    real = table.dtype.type
    cuda.syncthreads()
    for k in range(cuda.threadIdx.x, min(STAGED, last - step), cuda.blockDim.x):
        for p in range(5):
            table[k, p] = real(steps.propagators[step + k, p])
        stops[k] = steps.stop[step + k]
    cuda.syncthreads()


@cuda.jit(device=True)
def _keep_state(records, me, step, current, potential):
    """The state at the start of a step, where states are kept."""
    if me.valid and step < records.states.shape[0]:
        records.states[step, 0, me.j] = current
        records.states[step, 1, me.j] = potential


@cuda.jit(device=True)
def _record(records, me, slot, step, time, current):
    """The record of a spike, where there is room for it."""
    if me.valid and slot < records.time.shape[1]:
        records.time[me.group, slot, me.j] = time
        records.current[me.group, slot, me.j] = current
        records.step[me.group, slot, me.j] = step


@cuda.jit(device=True)
def _record_piece(records, me, slot, walk, s):
    """The piece that it ended after s, where pieces are kept."""
    if me.valid and slot < records.piece.shape[2]:
        records.piece[0, me.group, slot, me.j] = walk.i0
        records.piece[1, me.group, slot, me.j] = walk.u0
        records.piece[2, me.group, slot, me.j] = s
        records.piece[3, me.group, slot, me.j] = walk.rest


@cuda.jit(device=True)
def _spike_at_the_end(d, records, me, step, end, current, potential, emitted):
    """Under `none`: (u after the step, spikes, whether the cap suppressed one, crossings left)."""
    real = records.states.dtype.type
    theta = real(d.theta)
    if potential < theta:
        return potential, emitted, False, 0
    if emitted == d.max_spikes:
        return potential, emitted, True, 0
    _record(records, me, emitted, step, end, current)
    potential = real(subtracted(d, np.float64(potential)))
    return potential, emitted + 1, False, 1 if potential >= theta else 0


@cuda.jit(device=True)
def _walk(d, records, me, step, walk, emitted, scratch):
    """The spikes of a neuron in a step: (last walk, spikes, whether the cap suppressed one)."""
    real = records.states.dtype.type
    theta = real(d.theta)
    while True:
        s, after = next_spike(d, walk, real(walk.u1) >= theta, scratch)
        if s < 0.0:
            return walk, emitted, False
        if emitted == d.max_spikes:
            return walk, emitted, True
        _record(records, me, emitted, step, after.time, after.i0)
        _record_piece(records, me, emitted, walk, s)
        emitted += 1
        walk = after


@cuda.jit(device=True)
def _tally(d, totals, batch, me, emitted, silenced, bad, n_steps):
    """Add what a block did to the totals: integers, whose sums do not depend on the order."""
    numbers = cuda.shared.array(MAX_THREADS, np.int64)
    numbers[cuda.threadIdx.x] = emitted if me.valid else 0
    n_capped = cuda.syncthreads_count(np.int32(me.valid and emitted == d.max_spikes))
    n_suppressed = cuda.syncthreads_count(np.int32(me.valid and silenced))
    n_bad = cuda.syncthreads_count(np.int32(me.valid and bad))
    if cuda.threadIdx.x == 0:
        most = n_spikes = 0
        for other in range(cuda.blockDim.x):
            most, n_spikes = max(most, numbers[other]), n_spikes + numbers[other]
        cuda.atomic.max(totals, 0, most)
        cuda.atomic.add(totals, 1, n_spikes)
        cuda.atomic.add(totals, 2, n_capped)
        cuda.atomic.add(totals, 3, n_suppressed)
        if n_bad > 0:
            cuda.atomic.max(totals, 4, batch - me.group)
        if me.tile == 0:
            cuda.atomic.add(totals, 5, n_steps)


@device.kernel
def forward(d, inputs, steps, records, totals):
    """Simulate every tile of every sample.

    totals, int64, come as zeros: the largest of the counts, and, of all neurons and samples,
    spikes, neurons at the cap, neurons with a spike suppressed by it, samples left where the first
    state overflows (or 0), steps, and spikes of `none` after which u is still at or above theta.
    """
    w, indices = inputs.w, inputs.indices
    me = this_thread(w.shape[1])
    table = cuda.shared.array((STAGED, 5), w.dtype)
    stops = cuda.shared.array(STAGED, np.int64)
    weights = cuda.local.array(AHEAD, w.dtype)
    scratch = cuda.local.array(SCRATCH, np.float64)
    real = w.dtype.type
    bar, current, potential = real(d.bar), real(0.0), real(0.0)
    emitted, silenced, unresolved = 0, False, 0
    i = held = inputs.offsets[me.group]  # weights: those of inputs held - AHEAD .. held - 1
    last_input = inputs.offsets[me.group + 1] - 1
    first = steps.first[me.group]
    last = first + steps.count[me.group]
    for step in range(first, last):
        slot = (step - first) % STAGED
        if slot == 0:
            _stage(steps, step, last, table, stops)
        stop = stops[slot]
        while i < stop:
            if i == held:
                for k in range(AHEAD):
                    weights[k] = w[indices[min(i + k, last_input)], me.column]
                held += AHEAD
            current += weights[i - held + AHEAD]
            i += 1
        _keep_state(records, me, step, current, potential)
        i0, u0 = current, potential
        current = table[slot, 0] * i0
        potential = table[slot, 1] * i0 + table[slot, 2] * u0
        above = table[slot, 3] * abs(i0) + table[slot, 4] * abs(u0)
        # a bound that overflowed may give NaN: that goes on too
        if silenced or max(u0, potential) + above < bar:
            continue
        end, before = step_end(d, steps, step, last), emitted
        if d.interpolation == NONE:
            potential, emitted, silenced, left = _spike_at_the_end(
                d, records, me, step, end, current, potential, emitted
            )
            unresolved += left
            continue
        walk = begin(
            steps.start[step], end, steps.propagators[step, 2], np.float64(i0), np.float64(u0),
            np.float64(current), np.float64(potential),
        )  # fmt: skip
        walk, emitted, silenced = _walk(d, records, me, step, walk, emitted, scratch)
        if emitted > before:
            current, potential = real(walk.i1), real(walk.u1)
    if me.valid:
        records.counts[me.group, me.j] = emitted
        if unresolved > 0:
            cuda.atomic.add(totals, 6, unresolved)
    finite = current - current == 0.0 and potential - potential == 0.0
    _tally(d, totals, records.counts.shape[0], me, emitted, silenced, not finite, last - first)
