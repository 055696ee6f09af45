"""The spikes of one neuron in a step, one after the other, forward and back, and derivatives.

A piece starts at (I0, u0) with u0 < theta and ends in a spike, or with the step. Scalar functions
in float64, for CPU and CUDA alike: a caller decides how many spikes a neuron may have and where
they lie in memory.
"""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.lif.crossing import (
    NO_CROSSING,
    first_crossing,
    first_root_quadratic,
    square_coefficients,
)
from lifnum.methods.interpolation import DENSE, LINEAR
from lifnum.methods.propagators import (
    EXACT,
    exact_propagator,
    is_square,
    propagator,
    propagator_and_derivative,
    remaining_propagator,
    square_propagator,
)


@inlined_kernel
def first_spike(d, i0, u0, h, u1, b1, reached, scratch):
    """(s, a, c, b): `first_crossing` and the propagator of s; b1 is b(h).

    Where both exponentials are powers of one, the root gives the propagator without any.
    """
    if is_square(d) and d.interpolation != LINEAR:
        q1, q2 = square_coefficients(d, i0, u0)
        z = first_root_quadratic(d.theta - u0, q1, q2, 1.0 - b1, reached)
        if z < 0.0 and not reached:
            return NO_CROSSING, 1.0, 0.0, 1.0
        b, s = 1.0 - z, h
        if z > 0.0 and b > b1:
            s = -d.tau * np.log1p(-z)
        if not s < h:
            s, z, b = h, 1.0 - b1, b1
        a, c, b = square_propagator(d, b, z)
        return s, a, c, b
    s = first_crossing(d, i0, u0, h, u1, reached, scratch)
    a, c, b = propagator(d, max(s, 0.0))
    return s, a, c, b


class Walk(NamedTuple):
    """One neuron in a step, at its start or at its latest spike."""

    start: float  # time at which the step starts, and ends
    end: float
    time: float  # here
    elapsed: float  # since the start of the step, so that times keep their digits
    rest: float  # of the step
    decay: float  # b of the rest
    i0: float  # (I, u) here
    u0: float
    i1: float  # and at the end of the step, should no spike follow
    u1: float


@inlined_kernel
def begin(start, end, decay, i0, u0, i1, u1):
    """The `Walk` at the start of a step with this decay b."""
    return Walk(start, end, start, 0.0, end - start, decay, i0, u0, i1, u1)


@inlined_kernel
def next_spike(d, walk, reached, scratch):
    """(s, the `Walk` at the spike that follows after s); s < 0 where none does.

    reached: whether u at the end of the step, as it is kept, is at or above theta.
    """
    s, a, c, b = first_spike(d, walk.i0, walk.u0, walk.rest, walk.u1, walk.decay, reached, scratch)
    if s < 0.0:
        return s, walk
    elapsed, time = walk.end - walk.start, walk.end
    if s < walk.rest:
        elapsed = min(walk.elapsed + s, elapsed)
        time = min(walk.start + elapsed, walk.end)
    rest = (walk.end - walk.start) - elapsed
    i0, u0 = a * walk.i0, d.reset
    a, c, decay = remaining_propagator(d, rest, walk.decay, b)
    i1, u1 = a * i0, c * i0 + decay * u0
    return s, Walk(walk.start, walk.end, time, elapsed, rest, decay, i0, u0, i1, u1)


@inlined_kernel
def subtracted(d, u):
    """u after a spike of `none`, at the end of a step: what is above theta stays."""
    return u - (d.theta - d.reset)


@inlined_kernel
def dense_derivatives(c, b, dc, db, i0, u0):
    """(s_I, s_u, s_r, slope) from the propagator at the crossing; see `crossing_derivatives`."""
    slope = dc * i0 + db * u0
    if not slope > 0.0:
        return 0.0, 0.0, 0.0, slope
    return -c / slope, -b / slope, 0.0, slope


@kernel
def chord_derivatives(c, b, dc, db, theta, i0, u0, rest):
    """(s_I, s_u, s_r, slope) from the propagator of the rest; see `crossing_derivatives`."""
    rise = c * i0 + (b - 1.0) * u0
    if not rise > 0.0:
        return 0.0, 0.0, 0.0, rise
    x = (theta - u0) / rise
    scale = rest / rise
    s_u = -scale - scale * x * (b - 1.0)
    return -scale * x * c, s_u, x - scale * x * (dc * i0 + db * u0), rise / rest


@kernel
def crossing_derivatives(m, interpolation, theta, i0, u0, s, rest):
    """(s_I, s_u, s_r, slope): derivatives of the crossing by I0, u0 and the piece's length rest.

    Zero where the slope of u at the crossing is not positive: such a spike passes no gradient.
    """
    if interpolation == DENSE:
        a, c, b, da, dc, db = propagator_and_derivative(m, s)
        return dense_derivatives(c, b, dc, db, i0, u0)
    a, c, b, da, dc, db = propagator_and_derivative(m, rest)
    return chord_derivatives(c, b, dc, db, theta, i0, u0, rest)


class Adjoint(NamedTuple):
    """Of one neuron, from the end of a step back to the start of a piece in it."""

    lam_i: float  # adjoint of (I, u)
    lam_u: float
    end_term: float  # adjoint of the time at which the step ends
    start_term: float  # and of that at which the piece starts


@inlined_kernel
def begin_back(d, current, u, rest, lam_i, lam_u):
    """The `Adjoint` at the last spike of a step, (current, u) after it, from that at its end."""
    a, c, b, da, dc, db = propagator_and_derivative(d, rest)
    length = lam_i * da * current + lam_u * (dc * current + db * u)
    return Adjoint(a * lam_i + c * lam_u, b * lam_u, length, -length)


@inlined_kernel
def spike_back(d, behind, i0, u0, s, rest, d_time):
    """(the `Adjoint` at the start of a piece that ends in a spike after s, whether u rises there).

    behind: the `Adjoint` right after the spike, of which u before is forgotten. d_time: dL/dt of
    the spike; where u does not rise its time counts as a constant.
    """
    spike_term = d_time + behind.start_term
    a, c, b, da, dc, db = propagator_and_derivative(d, s)
    if d.interpolation == DENSE:
        s_i, s_u, s_r, slope = dense_derivatives(c, b, dc, db, i0, u0)
    else:
        s_i, s_u, s_r, slope = crossing_derivatives(d, d.interpolation, d.theta, i0, u0, s, rest)
    if not slope > 0.0:
        return Adjoint(a * behind.lam_i, 0.0, behind.end_term, spike_term), False
    sigma = spike_term + behind.lam_i * da * i0
    end_part = sigma * s_r
    before = Adjoint(
        a * behind.lam_i + sigma * s_i, sigma * s_u, behind.end_term + end_part,
        spike_term - end_part,
    )  # fmt: skip
    return before, True


class AnalyticalAdjoint(NamedTuple):
    """Of one neuron at a time in a step."""

    lam_i: float
    lam_u: float
    time: float
    decay: float  # b from then to the end of the step, of `exact`; 0 where it is not known


@inlined_kernel
def analytical_back(d, behind, time, decay):
    """The `AnalyticalAdjoint` at an earlier time of a step, without spikes in between."""
    rest = behind.time - time
    if d.code == EXACT:
        a, c, b = remaining_propagator(d, rest, decay, behind.decay)
    else:
        a, c, b = exact_propagator(rest, d.tau_s, d.tau)
    lam_i, lam_u = a * behind.lam_i + c * behind.lam_u, b * behind.lam_u
    return AnalyticalAdjoint(lam_i, lam_u, time, decay)


@inlined_kernel
def analytical_spike_back(d, behind, time, decay, current, d_time):
    """(the `AnalyticalAdjoint` right before a spike, whether u rises there)."""
    after = analytical_back(d, behind, time, decay)
    slope = current - d.theta / d.tau
    if not slope > 0.0:
        return AnalyticalAdjoint(after.lam_i, 0.0, time, decay), False
    lam_u = -(d_time - after.lam_u * (current - d.reset / d.tau)) / slope
    return AnalyticalAdjoint(after.lam_i, lam_u, time, decay), True
