"""The spikes of neurons that a scheme limits: `spikes_per_step`, and `overshoot` under `none`.

With the limit spent a neuron goes on without spikes to the end of the grid step. Where it is at or
above theta as the next one begins it spikes at once, and u falls by theta - reset from where it is.
"""

import math

import numpy as np

from lifnum.compiler import inlined_kernel
from lifnum.kernels.lif.crossing import has_peak
from lifnum.kernels.lif.dynamics import UNRESOLVED
from lifnum.kernels.lif.firing import record, record_piece
from lifnum.kernels.lif.spike import (
    Adjoint,
    analytical_back,
    analytical_spike_back,
    begin,
    begin_back,
    next_spike,
    spike_back,
    subtracted,
)
from lifnum.methods.interpolation import LOSE, NONE, SEVERAL
from lifnum.methods.propagators import propagator

AT_START = math.inf  # the `decay` in the record of a spike at the start of its step

GRID_STEP, USED = range(2)  # rows of `Room.used`: the latest grid step, and its spikes


@inlined_kernel
def _spikes_at_the_end(d, output, at, room, j, n_spikes):
    """The spikes of neuron j under `none`; returns n_spikes with them."""
    state, i, u = room.state, at.after, at.after + 1
    real = state.dtype.type
    theta = real(d.theta)
    if d.overshoot == LOSE and state[at.before + 1, j] >= theta:  # it has not been below
        return n_spikes
    while state[u, j] >= theta:
        if room.emitted[j] == d.max_spikes:
            room.suppressed[j] = 1
            break
        room.emitted[j] += 1
        state[u, j] = real(subtracted(d, np.float64(state[u, j])))
        record(output, n_spikes, at, j, at.end, np.float64(state[i, j]), 1.0)
        n_spikes += 1
        if d.overshoot != SEVERAL:
            output.tallies[UNRESOLVED] += state[u, j] >= theta
            break
    return n_spikes


@inlined_kernel
def _open_step(d, at, room, j):
    """Begin to count the spikes of neuron j anew where another grid step has begun."""
    g = np.int64(at.start / d.dt)
    while g * d.dt > at.start:
        g -= 1
    while (g + 1) * d.dt <= at.start:
        g += 1
    if room.used[GRID_STEP, j] != g:
        room.used[GRID_STEP, j], room.used[USED, j] = g, 0


@inlined_kernel
def _spikes_at_the_start(d, output, at, room, j, n_spikes):
    """(u, n_spikes) after the spikes of a neuron that is at or above theta as the step begins."""
    state = room.state
    real = state.dtype.type
    theta = real(d.theta)
    current, u = np.float64(state[at.before, j]), np.float64(state[at.before + 1, j])
    while u >= theta and room.used[USED, j] < d.spikes_per_step:
        if room.emitted[j] == d.max_spikes:
            room.suppressed[j] = 1
            break
        u = np.float64(real(subtracted(d, u)))
        room.emitted[j] += 1
        room.used[USED, j] += 1
        record(output, n_spikes, at, j, at.start, current, AT_START)
        record_piece(output, n_spikes, current, u, 0.0, at.end - at.start)
        n_spikes += 1
    return u, n_spikes


@inlined_kernel
def _walk(d, output, at, room, j, n_spikes):
    """The spikes of neuron j, one after the other; returns n_spikes with them."""
    state, emitted, i, u = room.state, room.emitted, at.after, at.after + 1
    real = state.dtype.type
    theta = real(d.theta)
    _open_step(d, at, room, j)
    first = n_spikes
    u0, n_spikes = _spikes_at_the_start(d, output, at, room, j, n_spikes)
    i0, i1, u1 = np.float64(state[at.before, j]), np.float64(state[i, j]), np.float64(state[u, j])
    if n_spikes > first:
        a, c, b = propagator(d, at.end - at.start)
        i1, u1 = a * i0, c * i0 + b * u0
    walk = begin(at.start, at.end, at.decay, i0, u0, i1, u1)
    while real(walk.u0) < theta:
        s, after = next_spike(d, walk, real(walk.u1) >= theta, room.scratch)
        if s < 0.0:
            if d.count_peaks != 0 and emitted[j] < d.max_spikes:
                output.tallies[UNRESOLVED] += has_peak(d, walk.i0, walk.u0, walk.rest, room.scratch)
            break
        if emitted[j] == d.max_spikes:
            room.suppressed[j] = 1
            break
        if room.used[USED, j] >= d.spikes_per_step:
            output.tallies[UNRESOLVED] += 1
            break
        emitted[j] += 1
        room.used[USED, j] += 1
        record(output, n_spikes, at, j, after.time, after.i0, after.decay)
        record_piece(output, n_spikes, walk.i0, walk.u0, s, walk.rest)
        n_spikes += 1
        walk = after
    if n_spikes > first:
        state[i, j], state[u, j] = real(walk.i1), real(walk.u1)
    return n_spikes


@inlined_kernel
def spikes_of_step(d, output, at, room, n_found, n_spikes):
    """As `firing.spikes_of_step`."""
    for k in range(n_found):
        j = room.found[k]
        if room.suppressed[j] != 0:
            continue
        if d.interpolation == NONE:
            n_spikes = _spikes_at_the_end(d, output, at, room, j, n_spikes)
        else:
            n_spikes = _walk(d, output, at, room, j, n_spikes)
    return n_spikes


@inlined_kernel
def potential_after(d, spike, piece):
    """u right after a spike, which ended this piece."""
    return piece.potential if spike.decay == AT_START else d.reset


@inlined_kernel
def after_last(d, spike, piece, lam_i, lam_u):
    """As `adjoint._after_last`."""
    u = potential_after(d, spike, piece)
    return begin_back(d, spike.current, u, piece.rest - piece.length, lam_i, lam_u)


@inlined_kernel
def before_spike(d, behind, spike, piece, d_time):
    """As `adjoint._before_spike`. A spike at the start of its step moves with that."""
    if spike.decay == AT_START:
        start_term = behind.start_term + d_time
        return Adjoint(behind.lam_i, behind.lam_u, behind.end_term, start_term), True
    return spike_back(d, behind, piece.current, piece.potential, piece.length, piece.rest, d_time)


@inlined_kernel
def before_analytical_spike(d, at, behind, spike, d_time):
    """As `adjoint._before_analytical_spike`."""
    if spike.decay == AT_START:
        return analytical_back(d, behind, at.start, at.decay), True
    return analytical_spike_back(d, behind, spike.time, spike.decay, spike.current, d_time)
