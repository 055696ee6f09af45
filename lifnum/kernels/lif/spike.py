"""One spike of one neuron and its derivatives, which every pass calls.

A piece starts at (I0, u0) with u0 < theta and ends in the spike, or with the step. Scalar functions
in float64, for CPU and CUDA alike.
"""

import numpy as np

from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.lif.crossing import (
    NO_CROSSING,
    first_crossing,
    first_root_quadratic,
    quadratic_coefficients,
)
from lifnum.methods.interpolation import DENSE, LINEAR
from lifnum.methods.propagators import (
    is_square,
    propagator,
    propagator_and_derivative,
    square_propagator,
)


@inlined_kernel
def first_spike(m, interpolation, theta, i0, u0, h, u1, b1, reached, scratch):
    """(s, a, c, b): `first_crossing` and the propagator of s; b1 is b(h).

    Where both exponentials are powers of one, the root gives the propagator without any.
    `layer._fire` does for vectors what is done here and in the functions called: change both.
    """
    if is_square(m) and interpolation != LINEAR:
        q1, q2 = quadratic_coefficients(m, theta, i0, u0)
        z = first_root_quadratic(theta - u0, q1, q2, 1.0 - b1, reached)
        if z < 0.0 and not reached:
            return NO_CROSSING, 1.0, 0.0, 1.0
        b, s = 1.0 - z, h
        if z > 0.0 and b > b1:
            s = -m.tau * np.log1p(-z)
        if not s < h:
            s, z, b = h, 1.0 - b1, b1
        a, c, b = square_propagator(m, b, z)
        return s, a, c, b
    s = first_crossing(m, interpolation, theta, i0, u0, h, u1, reached, scratch)
    a, c, b = propagator(m, max(s, 0.0))
    return s, a, c, b


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


@inlined_kernel
def rest_adjoint(m, i0, u0, rest, lam_i, lam_u):
    """Adjoint of (I0, u0) of a piece without a spike, and that of its length `rest`."""
    a, c, b, da, dc, db = propagator_and_derivative(m, rest)
    length = lam_i * da * i0 + lam_u * (dc * i0 + db * u0)
    return a * lam_i + c * lam_u, b * lam_u, length


@inlined_kernel
def spike_adjoint(m, interpolation, theta, i0, u0, s, rest, tau_q, lam_i):
    """Adjoint of (I0, u0) of a piece that ends in a spike after s; u is forgotten there.

    tau_q: total derivative by the spike's time. Returns (lam_i, lam_u, the part of tau_q that goes
    to the end of the step, whether u rises at the spike; if not, its time counts as a constant).
    """
    a, c, b, da, dc, db = propagator_and_derivative(m, s)
    if interpolation == DENSE:
        s_i, s_u, s_r, slope = dense_derivatives(c, b, dc, db, i0, u0)
    else:
        s_i, s_u, s_r, slope = crossing_derivatives(m, interpolation, theta, i0, u0, s, rest)
    if not slope > 0.0:
        return a * lam_i, 0.0, 0.0, False
    sigma = tau_q + lam_i * da * i0
    return a * lam_i + sigma * s_i, sigma * s_u, sigma * s_r, True


@inlined_kernel
def analytical_spike_adjoint(tau, theta, reset, current, e_q, lam_u):
    """(lam_u before a spike, whether u rises there): the jump of the analytical adjoint."""
    slope = current - theta / tau
    if not slope > 0.0:
        return 0.0, False
    return -(e_q - lam_u * (current - reset / tau)) / slope, True
