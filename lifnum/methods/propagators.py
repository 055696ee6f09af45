"""Numerical methods as propagators: I(h) = a(h) I0, u(h) = c(h) I0 + b(h) u0.

Only formulas of one step of length h and their derivatives stand here, written once for CPU, CUDA
and complex numbers: scalar functions that allocate nothing. (To differentiate `exact` by a complex
h, call ``exact_propagator.py_func``: Numba's complex expm1 cancels.)
"""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import inlined_kernel, kernel
from lifnum.methods.tableau import RungeKutta

EXACT, PS, BACKWARD_EULER, TRAPEZOIDAL, EXPONENTIAL_EULER = range(5)

MAX_ORDER = 32


class Entry(NamedTuple):
    """A method of the table: its formulas, and the order at which the end of a step converges."""

    code: int
    order: float | None  # None: the user chooses


METHODS = {
    "exact": Entry(EXACT, np.inf),
    "euler": Entry(PS, 1),
    "rk2": Entry(PS, 2),
    "rk4": Entry(PS, 4),
    "ps": Entry(PS, None),
    "backward-euler": Entry(BACKWARD_EULER, 1),
    "trapezoidal": Entry(TRAPEZOIDAL, 2),
    "exponential-euler": Entry(EXPONENTIAL_EULER, 1),
}


def series_order(name, order):
    """Order of the power series of the method of that name; 0 for methods without one."""
    code, own = METHODS[name]
    return int(own or order or 0) if code == PS else 0


# What is below is far from the smallest normal number: a quotient keeps its digits.
TINY = 1e-280

# tau over the duration above which 1 - b has too few digits to tell times within it apart
LONG_TAU = 16.0


class Method(NamedTuple):
    """A numerical method for one neuron model, as the kernels see it."""

    code: int
    order: int  # of the power series, 0 for the other methods
    tau_s: float
    tau: float
    unit: float  # time unit of the series: the smaller time constant, so that no term overflows
    series: np.ndarray  # (3, order + 1): coefficients of a, c / unit and b in powers of h / unit
    taylor: int  # 1 where the series are those of the exact solution, cut; else 0
    bend: float  # u''(0) of the series over that of the exact solution


def method(name, order, tau_s, tau):
    """The `Method` of that name, or tableau, for time constants tau_s and tau.

    A step of a tableau is a polynomial, whose terms are those of the exact solution's series times
    a number each: in a and b, and so in c, which is their divided difference.

    Raises ValueError for a name without formulas: kernels see codes only, and would take others'.
    """
    factors = np.ones(1)
    if isinstance(name, RungeKutta):
        factors = np.array(name.factors)
        code, order = PS, len(factors) - 1
    else:
        code = METHODS[name].code if name in METHODS else None
        if code not in range(EXPONENTIAL_EULER + 1):
            known = ", ".join(key for key, one in METHODS.items() if one.code <= EXPONENTIAL_EULER)
            raise ValueError(f"method is {name!r}, code {code}; accepted: {known}")
        order = series_order(name, order)
    tau_s, tau = float(tau_s), float(tau)
    series, taylor = power_series(order, tau_s, tau) * factors, int((factors == 1.0).all())
    bend = 1.0 if taylor else float(factors[2])
    return Method(code, order, tau_s, tau, min(tau_s, tau), series, taylor, bend)


def convergence_order(name, order):
    """Order at which the end of a step converges, of a name with its order or of a tableau."""
    if isinstance(name, RungeKutta):
        return name.linear_order
    return METHODS[name].order or order


def power_series(order, tau_s, tau):
    """Parker-Sochacki coefficients (3, order + 1) of a, c / unit, b in h / unit, unit = min(taus).

    I_{p+1} = -I_p / tau_s / (p + 1), u_{p+1} = (I_p - u_p / tau) / (p + 1), started at (1, 0) for
    a and c and at (0, 1) for b (Parker & Sochacki 1996; Stewart & Bair 2009).
    """
    unit = min(tau_s, tau)
    series = np.zeros((3, order + 1))
    series[0, 0] = series[2, 0] = 1.0
    for p in range(order):
        a, c, b = series[:, p]
        series[:, p + 1] = (
            -a * (unit / tau_s) / (p + 1),
            (a - c * (unit / tau)) / (p + 1),
            -b * (unit / tau) / (p + 1),
        )
    return series


@inlined_kernel
def exact_propagator(h, tau_s, tau):
    """(a, c, b) of the exact solution; c does not cancel as tau_s -> tau, from either side."""
    slow, fast = max(tau, tau_s), min(tau, tau_s)
    if slow == 2.0 * fast:  # one exponential is the square of the other
        lost = -np.expm1(-h / slow)
        e_slow = 1.0 - lost if lost.real < 0.5 else np.exp(-h / slow)
        e_fast, c = e_slow * e_slow, slow * e_slow * lost
        return (e_fast, c, e_slow) if tau_s < tau else (e_slow, c, e_fast)
    difference = 1.0 / fast - 1.0 / slow
    e_slow = np.exp(-h / slow)
    x = h * difference
    lost = -np.expm1(-x)  # 1 - e_fast / e_slow = x phi(x)
    # this quotient first: e_slow may underflow
    c = e_slow * (lost / difference if x.real > TINY else h)
    # beyond one half the subtraction would lose the relative accuracy of the fast exponential
    e_fast = e_slow * (1.0 - lost) if lost.real < 0.5 else np.exp(-h / fast)
    if tau_s < tau:
        return e_fast, c, e_slow
    return e_slow, c, e_fast


@inlined_kernel
def significant_order(m, x):
    """Order up to which the series in x = h / unit, and its derivative, differ from their sum.

    Of the exact solution's series term p of the derivative is at most x^p / p!: beyond these
    orders under 2e-17 of the first.
    """
    if m.order <= 5 or not m.taylor:
        return m.order
    if abs(x) < 1e-3:
        return min(m.order, 5)
    return min(m.order, 7) if abs(x) < 1e-2 else m.order


@inlined_kernel
def series_propagator(m, order, x):
    """(a, c, b) of the series up to x^order, x = h / unit: numbers or vectors."""
    a, c, b = 0.0 * x, 0.0 * x, 0.0 * x
    for p in range(order, -1, -1):  # in one loop: the processor works on them side by side
        a = a * x + m.series[0, p]
        c = c * x + m.series[1, p]
        b = b * x + m.series[2, p]
    return a, m.unit * c, b


@inlined_kernel
def propagator(m, h):
    """(a, c, b) of a step of length h, in the time unit of tau."""
    if m.code == EXACT:
        return exact_propagator(h, m.tau_s, m.tau)
    if m.code == PS:
        x = h / m.unit
        return series_propagator(m, significant_order(m, x), x)
    if m.code == BACKWARD_EULER:
        a, b = 1.0 / (1.0 + h / m.tau_s), 1.0 / (1.0 + h / m.tau)
        return a, h * a * b, b
    if m.code == TRAPEZOIDAL:
        x, y = 0.5 * h / m.tau_s, 0.5 * h / m.tau
        return (1.0 - x) / (1.0 + x), h / ((1.0 + x) * (1.0 + y)), (1.0 - y) / (1.0 + y)
    lost = -np.expm1(-h / m.tau)
    return np.exp(-h / m.tau_s), m.tau * lost, np.exp(-h / m.tau)


@inlined_kernel
def is_square(d):
    """Whether both exponentials of the exact solution are powers of one: b, and a = b^2.

    And whether 1 - b is as good as a length: its error is that of a time of some roundings of tau.
    """
    return d.code == EXACT and d.tau == 2.0 * d.tau_s and d.tau <= LONG_TAU * d.duration


@inlined_kernel
def square_propagator(m, b, lost):
    """(a, c, b) where `is_square`, from b and lost = 1 - b: numbers or vectors."""
    return b * b, m.tau * b * lost, b


@inlined_kernel
def remaining_propagator(d, rest, b_whole, b_part):
    """(a, c, b) of the rest of a step whose whole and whose part before have these b.

    The exact solution is a semigroup: with tau = 2 tau_s, where both exponentials are powers of
    one, a division does.
    """
    if is_square(d) and b_whole > TINY:
        b = min(b_whole / b_part, 1.0)
        return square_propagator(d, b, 1.0 - b)
    return propagator(d, rest)


@inlined_kernel
def propagator_and_derivative(m, h):
    """(a, c, b, a', c', b') of a step of length h: derivatives with respect to h."""
    if m.code == PS:
        x = h / m.unit
        a, c, b = 0.0 * x, 0.0 * x, 0.0 * x
        da, dc, db = a, c, b
        for p in range(significant_order(m, x), -1, -1):
            da, a = da * x + a, a * x + m.series[0, p]
            dc, c = dc * x + c, c * x + m.series[1, p]
            db, b = db * x + b, b * x + m.series[2, p]
        return a, m.unit * c, b, da / m.unit, dc, db / m.unit
    a, c, b = propagator(m, h)
    if m.code == EXACT:  # c' = a - c / tau = b - c / tau_s; the form used here never cancels
        slope = a - c / m.tau if m.tau_s < m.tau else b - c / m.tau_s
        return a, c, b, -a / m.tau_s, slope, -b / m.tau
    if m.code == BACKWARD_EULER:
        slope = a * b * (a * b - (h / m.tau_s * a) * (h / m.tau * b))
        return a, c, b, -a * a / m.tau_s, slope, -b * b / m.tau
    if m.code == TRAPEZOIDAL:
        x, y = 0.5 * h / m.tau_s, 0.5 * h / m.tau
        f, g = 1.0 / (1.0 + x), 1.0 / (1.0 + y)
        return a, c, b, -f * f / m.tau_s, f * g * (f * g - (x * f) * (y * g)), -g * g / m.tau
    return a, c, b, -a / m.tau_s, b, -b / m.tau


@inlined_kernel
def rises_exactly(m, i0, u0, h):
    """Whether u of `exact` rises at h: the sign of u'(h) / e_slow, which does not underflow."""
    p, q = 1.0 / m.tau, 1.0 / m.tau_s
    x = h * abs(q - p)
    e_fast = np.exp(-x)
    c = -np.expm1(-x) / abs(q - p) if x > TINY else h
    if m.tau_s < m.tau:
        return (e_fast - c * p) * i0 - p * u0 > 0.0
    return (e_fast - c * q) * i0 - e_fast * p * u0 > 0.0


@inlined_kernel
def propagator_derivative(m, h):
    """(a', c', b') with respect to the step length h."""
    return propagator_and_derivative(m, h)[3:]


@kernel
def curvature_bound(m, h):
    """Bounds (C, B): |u''(s)| <= C |I0| + B |u0| on [0, h]; zero where u has no peak inside."""
    p, q = 1.0 / m.tau, 1.0 / m.tau_s
    if m.code == EXACT or m.code == TRAPEZOIDAL:
        return p + q, p * p
    if m.code == BACKWARD_EULER:
        return 2.0 * (p + q), 2.0 * p * p
    if m.code == PS and m.order > 1:
        if not m.taylor:
            return absolute_derivatives(m, h, 2)
        growth = series_growth(m, h)
        return (p + q + h * p * p) * growth, p * p * growth
    return 0.0, 0.0


@kernel
def absolute_derivatives(m, h, n):
    """Bounds (C, B) of derivative n of any series on [0, h], as in `curvature_bound`.

    The sums of the absolute values of its terms.
    """
    x = h / m.unit
    c, b = 0.0, 0.0
    for p in range(m.order, n - 1, -1):
        falling = 1.0
        for k in range(n):
            falling *= p - k
        c = c * x + falling * abs(m.series[1, p])
        b = b * x + falling * abs(m.series[2, p])
    rate = 1.0 / m.unit
    for _ in range(n - 1):
        c, b = c * rate, b * rate
    return c, b * rate


@kernel
def series_growth(m, h):
    """Bound of exp(h / unit), by which the partial sums of the series can exceed the solution."""
    x = h / m.unit
    return 1.0 / (1.0 - x) if x < 0.5 else np.exp(x)


@inlined_kernel
def bend_change(m, h):
    """Bounds (C, B) of a series: |u''(s) - u''(0)| <= C |I0| + B |u0| on [0, h]."""
    if not m.taylor:
        c, b = absolute_derivatives(m, h, 3)
        return h * c, h * b
    p, q = 1.0 / m.tau, 1.0 / m.tau_s
    growth = h * series_growth(m, h)
    return growth * (p * p + p * q + q * q + h * p * p * p), growth * p * p * p


@kernel
def is_concave(m, i0, u0, h):
    """Whether u'' < 0 on all of [0, h] for a series of order 3 and more."""
    p, q = 1.0 / m.tau, 1.0 / m.tau_s
    by_current, by_potential = bend_change(m, h)
    bend = -m.bend * (i0 * q + (i0 - u0 * p) * p)  # u''(0)
    return bend + (by_current * abs(i0) + by_potential * abs(u0)) < 0.0
