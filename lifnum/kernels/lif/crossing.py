"""The first threshold crossing of one neuron inside one piece of a step.

A piece starts at (I0, u0) with u0 < theta and lasts h. Scalar functions in float64, for CPU and
CUDA alike. Most methods have u(s) = theta at a root of a quadratic, in s itself or in
z = 1 - exp(-s / tau); the others take safeguarded Newton steps that never pass the first root.
"""

import numpy as np

from lifnum.compiler import inlined_kernel, kernel
from lifnum.methods.interpolation import LINEAR
from lifnum.methods.propagators import (
    BACKWARD_EULER,
    EXACT,
    EXPONENTIAL_EULER,
    PS,
    is_concave,
    is_square,
    propagator_and_derivative,
    rises_exactly,
    significant_order,
)

NO_CROSSING = -1.0

SMALL, LARGE = 1e-280, 1e280  # of squares that are numbers

SMALLEST = 5e-324  # a crossing is never at zero

MAX_ITERATIONS = 200  # a Newton sequence that is still undecided then is at a grazing peak


@inlined_kernel
def series_coefficients(m, i0, u0):
    """`quadratic_coefficients` of a series, cut after z^2 = s^2: numbers or vectors."""
    p, q = 1.0 / m.tau, 1.0 / m.tau_s
    slope = i0 - u0 * p
    return slope, (-0.5 * m.bend * (i0 * q + slope * p) if m.order > 1 else 0.0 * slope)


@inlined_kernel
def square_coefficients(m, i0, u0):
    """`quadratic_coefficients` where `is_square`: numbers or vectors."""
    return m.tau * i0 - u0, -m.tau * i0


@inlined_kernel
def quadratic_coefficients(m, theta, i0, u0):
    """(q1, q2) with u(s) = theta where (u0 - theta) + q1 z + q2 z^2 = 0, u above where positive."""
    if m.code == PS:
        return series_coefficients(m, i0, u0)
    if m.code == EXACT:
        return square_coefficients(m, i0, u0)
    p, q = 1.0 / m.tau, 1.0 / m.tau_s
    if m.code == BACKWARD_EULER:
        return i0 + u0 * q - theta * (p + q), -theta * p * q
    return i0 + 0.5 * u0 * (q - p) - 0.5 * theta * (p + q), -0.25 * (u0 + theta) * p * q


@inlined_kernel
def squares(gap, q1, q2):
    """(discriminant of -gap + q1 z + q2 z^2, size of its terms): numbers or vectors.

    No digits are lost where the size lies between SMALL and LARGE.
    """
    return q1 * q1 + 4.0 * q2 * gap, q1 * q1 + abs(q2 * gap)


@inlined_kernel
def rising_root(gap, q1, root):
    """The smaller root where q1 > 0, from the root of the discriminant: numbers or vectors."""
    return 2.0 * gap / (q1 + root)


@inlined_kernel
def first_root_quadratic(gap, q1, q2, end, reached):
    """First root in (0, end] of -gap + q1 z + q2 z^2, gap > 0; `reached`: positive at the end."""
    discriminant, size = squares(gap, q1, q2)
    if not SMALL < size < LARGE:
        largest = max(abs(q1), abs(q2), gap)
        gap, q1, q2 = gap / largest, q1 / largest, q2 / largest
        discriminant, size = squares(gap, q1, q2)
    if not reached:  # only a peak inside can cross
        if not (q1 > 0.0 and -q1 > 2.0 * q2 * end and discriminant >= 0.0):
            return NO_CROSSING
    root = np.sqrt(max(discriminant, 0.0))
    # the two forms of the smaller root: neither subtracts what nearly cancels
    if q1 > 0.0:
        return max(rising_root(gap, q1, root), SMALLEST)
    z = (root - q1) / (2.0 * q2)
    return z if z > 0.0 else (end if reached else NO_CROSSING)


@kernel
def first_root_concave(m, theta, i0, u0, h, reached):
    """First root in (0, h] for `exact`: u is concave while it rises, so tangents never pass it.

    Newton from the left then rises monotonically to the root, and proves that there is none by
    leaving (0, h] or by reaching a point where u falls.
    """
    if not reached and rises_exactly(m, i0, u0, h):  # no peak inside
        return NO_CROSSING
    s, missing = 0.0, theta - u0
    slope = i0 - u0 / m.tau
    for _ in range(20 * MAX_ITERATIONS):  # from far below theta each step is about one tau
        if not slope > 0.0:
            return NO_CROSSING
        step = missing / slope
        if not step > 1e-17 * s:
            break
        s += step
        if s > h:
            return NO_CROSSING
        a, c, b, da, dc, db = propagator_and_derivative(m, s)
        if b > 0.5:  # u(s) - u0 is free of cancellation for small s
            missing = (theta - u0) - (c * i0 + np.expm1(-s / m.tau) * u0)
        else:
            missing = theta - (c * i0 + b * u0)
        slope = dc * i0 + db * u0
        if missing <= 0.0:
            break
    return s


@kernel
def first_root_polynomial(q, x_end):
    """First root in (0, x_end] of the polynomial q with q[0] < 0; q is overwritten.

    Marches with steps that a quadratic upper bound of q proves free of roots: the bound uses the
    positive terms of q'' on the stretch ahead, halved until it is tight, and q is re-expanded
    at each new point. Near the root this is Newton's method.
    """
    n = len(q)
    x = 0.0
    if not x_end < np.inf:  # no series has a sum there
        return NO_CROSSING
    for _ in range(20 * MAX_ITERATIONS):
        ahead = x_end - x
        if not ahead > 0.0:
            return NO_CROSSING
        stretch = ahead
        while True:
            curvature = 0.0
            for k in range(n - 1, 1, -1):
                curvature = curvature * stretch + k * (k - 1) * max(q[k], 0.0)
            discriminant = q[1] * q[1] - 2.0 * curvature * q[0]
            if q[1] > 0.0:
                step = -2.0 * q[0] / (q[1] + np.sqrt(discriminant))
            elif curvature > 0.0:
                step = (np.sqrt(discriminant) - q[1]) / curvature
            else:
                step = np.inf
            # tight: the stretch is safe as a whole, or curvature bends the tangent little
            if step >= stretch or (q[1] > 0.0 and curvature * step < 0.5 * q[1]):
                break
            if stretch <= 1e-15 * x:
                break
            stretch *= 0.5
        if step >= stretch:
            if stretch == ahead:
                return NO_CROSSING
            step = stretch
        if not x + step > x:
            return x
        x += step
        for low in range(n - 1):  # re-expand at x
            for k in range(n - 2, low - 1, -1):
                q[k] += step * q[k + 1]
        if q[0] >= 0.0:
            return x
    return x


@inlined_kernel
def series_and_slope(m, order, i0, u0, x):
    """u and du/dx of the series up to x^order, x = s / unit: numbers or vectors."""
    value, slope = 0.0 * x, 0.0 * x
    for p in range(order, -1, -1):
        slope = slope * x + value
        value = value * x + (m.unit * m.series[1, p] * i0 + m.series[2, p] * u0)
    return value, slope


@kernel
def potential_and_slope(m, i0, u0, x):
    """u and du/dx of a series at x = s / unit."""
    return series_and_slope(m, significant_order(m, x), i0, u0, x)


@kernel
def first_root_series(m, theta, i0, u0, h, reached, scratch):
    """First root in (0, h] of a series of order 3 and more."""
    x_end = h / m.unit
    if is_concave(m, i0, u0, h):
        if not reached and potential_and_slope(m, i0, u0, x_end)[1] > 0.0:  # no peak inside
            return NO_CROSSING
        # tangents of a concave u never pass its root from the left, and lead there from the right
        x, left = 0.0, True
        if reached:  # start at the root of the series cut after x^2
            p, q = m.unit / m.tau, m.unit / m.tau_s
            first = m.unit * i0 - u0 * p
            second = -0.5 * m.bend * (m.unit * i0 * q + first * p)
            x = min(first_root_quadratic(theta - u0, first, second, x_end, True), x_end)
            left = False
        for _ in range(MAX_ITERATIONS):
            value, slope = potential_and_slope(m, i0, u0, x)
            if slope > 0.0:
                step = (theta - value) / slope
                x += step
                left = True
                if x > x_end:
                    return NO_CROSSING
                if abs(step) <= 1e-9 * x:  # quadratic convergence: the next step would be nothing
                    return x * m.unit
            elif left:
                return x * m.unit if value >= theta else NO_CROSSING
            else:  # the start lies behind the peak
                x, left = 0.0, True
        return x * m.unit
    q = scratch[: m.order + 1]
    for k in range(1, m.order + 1):
        q[k] = m.unit * m.series[1, k] * i0 + m.series[2, k] * u0
    q[0] = u0 - theta
    x = first_root_polynomial(q, x_end)
    if x < 0.0:
        return NO_CROSSING
    for _ in range(2):  # polish on the series itself, free of re-expansion errors
        value, slope = potential_and_slope(m, i0, u0, x)
        better = x + (theta - value) / slope if slope > 0.0 else x
        if abs(better - x) <= 1e-6 * x:
            x = better
    return x * m.unit


@inlined_kernel
def first_crossing(d, i0, u0, h, u1, reached, scratch):
    """Length s in (0, h] after which u first reaches theta, or NO_CROSSING.

    `reached` says whether the stored end value u1 is at or above theta: then there is a crossing
    and its root is clamped into (0, h]; otherwise only a peak inside the piece can cross.
    `scratch` holds at least order + 1 float64.
    """
    if d.interpolation != LINEAR:
        return dense_crossing(d, i0, u0, h, reached, scratch)
    if not reached:
        return NO_CROSSING
    gap, rise = d.theta - u0, u1 - u0
    return within(h * (gap / rise) if rise > gap else h, h)


@inlined_kernel
def within(s, h):
    """A crossing after s, in (0, h]."""
    s = min(s, h)
    return s if s > 0.0 else min(h, SMALLEST)


@inlined_kernel
def dense_crossing(d, i0, u0, h, reached, scratch):
    """`first_crossing` of the dense output."""
    gap = d.theta - u0
    if d.code == PS and d.order > 2:
        s = first_root_series(d, d.theta, i0, u0, h, reached, scratch)
    elif d.code == EXACT and not is_square(d):
        s = first_root_concave(d, d.theta, i0, u0, h, reached)
    elif d.code == EXPONENTIAL_EULER:
        if not reached:  # u is monotone
            return NO_CROSSING
        over = d.tau * i0 - d.theta  # of the potential that u tends to
        s = d.tau * np.log1p(gap / over) if over > 0.0 else h
    elif d.code == EXACT:
        q1, q2 = square_coefficients(d, i0, u0)
        z = first_root_quadratic(gap, q1, q2, -np.expm1(-h / d.tau), reached)
        s = z if z < 0.0 else (-d.tau * np.log1p(-z) if z < 1.0 else h)
    else:
        q1, q2 = quadratic_coefficients(d, d.theta, i0, u0)
        s = first_root_quadratic(gap, q1, q2, h, reached)
    if s < 0.0:
        return h if reached else NO_CROSSING
    return within(s, h)


@kernel
def has_peak(d, i0, u0, h, scratch):
    """Whether the dense output, below theta at both ends of a piece, reaches it in between."""
    return dense_crossing(d, i0, u0, h, False, scratch) > 0.0
