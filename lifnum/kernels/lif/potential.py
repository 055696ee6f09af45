"""The membrane potential at any times, from the states and spikes of a forward pass."""

import numpy as np
from numba import prange

from lifnum.compiler import by_class, kernel, parallel_kernel
from lifnum.kernels.lif.dynamics import SPIKES, Dynamics, Limited
from lifnum.kernels.lif.limited import potential_after
from lifnum.kernels.steps import step_end
from lifnum.methods.interpolation import LINEAR, NONE
from lifnum.methods.propagators import propagator


@kernel
def _reset(d, pieces, slot, spike):
    return d.reset


@kernel
def _after(d, pieces, slot, spike):
    return potential_after(d, spike, pieces[slot])


# u right after a spike; pieces: those of its tile
after = by_class({Dynamics: _reset, Limited: _after})


@parallel_kernel
def membrane_potential(d, steps, output, times, u):
    """Fill u (batch, n_post, times) with the membrane potential, right-continuous at spikes."""
    spikes, pieces, states = output.spikes, output.pieces, output.states
    counts = output.tallies[SPIKES]
    for sample in prange(len(steps.count)):
        first = steps.first[sample]
        last = first + steps.count[sample]
        for k in range(len(times)):
            step = first + np.searchsorted(steps.start[first:last], times[k], side="right") - 1
            if step < first:
                u[sample, :, k] = 0.0
                continue
            start, end = steps.start[step], step_end(d, steps, step, last)
            for j in range(u.shape[1]):
                i0, u0 = np.float64(states[2 * step, j]), np.float64(states[2 * step + 1, j])
                u[sample, j, k] = _inside(d, i0, u0, times[k] - start, end - start)
            for tile in range(counts.shape[1]):
                for slot in range(counts[sample, tile]):
                    q = spikes[sample, tile, slot]
                    if q.step != step or times[k] < q.time:
                        continue
                    if d.interpolation == NONE:
                        u[sample, q.neuron, k] -= d.theta - d.reset
                    else:
                        rest = end - q.time
                        if d.interpolation == LINEAR:
                            piece = pieces[sample, tile, slot]
                            rest = piece.rest - piece.length
                        u0 = after(d, pieces[sample, tile], slot, q)
                        s = min(times[k] - q.time, rest)
                        u[sample, q.neuron, k] = _inside(d, q.current, u0, s, rest)


@kernel
def _inside(d, i0, u0, s, h):
    """u at s in a piece of length h: on the chord for `linear`, dense output otherwise."""
    if d.interpolation == LINEAR:
        a, c, b = propagator(d, h)
        return u0 + (c * i0 + b * u0 - u0) * (s / h) if h > 0.0 else u0
    a, c, b = propagator(d, s)
    return c * i0 + b * u0
