"""The analytic potential, and a check of one-step methods for the neuron.

The formulas of the analytic solution are written here again, on purpose: what is tested should not
be tested against itself.
"""

import cmath
import math
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from lifnum.methods import propagators
from lifnum.methods.tableau import RungeKutta


def analytic_potential(neuron, input_times, input_weights, output_times, t):
    """Exact membrane potential of a neuron with given input and output spikes, from rest.

        u(t) = sum_i w_i c(t - t_i) - delta_theta sum_q exp(-(t - t_q) / tau)

    over the input spikes i and output spikes q up to t. With e(h) = exp(-h / max(tau, tau_s)) the
    response to one input is ``c(h) = h e(h) phi(h |1/tau_s - 1/tau|)``, phi(x) = (1 - exp(-x)) / x,
    which does not cancel as tau -> tau_s.

    Parameters
    ----------
    neuron : Neuron
        Anything with tau_s, tau and delta_theta.
    input_times, input_weights : array_like (n_inputs,)
        Times, in the unit of the time constants, and weights of the input spikes, in any order.
    output_times : array_like (n_outputs,)
        Each lowers u by delta_theta; after an exact crossing that is the reset to theta -
        delta_theta. Whether u reaches theta there is not checked.
    t : array_like, any shape
        Where to evaluate; right-continuous: at a spike, its effect is included.

    Returns
    -------
    ndarray of the shape of t, float64

    Raises
    ------
    ValueError
        Other numbers of weights than of input times, or arrays that are not one-dimensional.

    Examples
    --------
    >>> neuron = lifnum.Neuron(tau_s=1.0, tau=1.0)
    >>> float(lifnum.testing.analytic_potential(neuron, [0.0], [2.0], [], 0.0))
    0.0
    """
    input_times, input_weights, output_times = (
        np.asarray(values, np.float64) for values in (input_times, input_weights, output_times)
    )
    if input_times.ndim != 1 or input_weights.shape != input_times.shape:
        raise ValueError(
            f"input_weights have shape {input_weights.shape}; accepted: (n_inputs,), as "
            f"input_times, which have shape {input_times.shape}"
        )
    if output_times.ndim != 1:
        raise ValueError(f"output_times have shape {output_times.shape}; accepted: (n_outputs,)")
    t = np.asarray(t, np.float64)
    difference = abs(1.0 / neuron.tau_s - 1.0 / neuron.tau)
    slow = max(neuron.tau_s, neuron.tau)
    u = np.zeros(t.shape)
    for time, weight in zip(input_times, input_weights):
        h = np.maximum(t - time, 0.0)
        lost = -np.expm1(-h * difference) / difference if difference > 0.0 else h
        u += weight * np.exp(-h / slow) * lost
    for time in output_times:
        h = np.maximum(t - time, 0.0)
        u -= neuron.delta_theta * np.where(t >= time, np.exp(-h / neuron.tau), 0.0)
    return u


class IntegratorReport(NamedTuple):
    """What `check_integrator` measured, over all pairs of time constants that it tried."""

    order: float  # smallest convergence order; inf where every error is at rounding
    derivative_error: float  # largest relative error of the derivative; NaN where none was given
    limit_error: float  # largest f(tau_s + d) - 2 f(tau_s) + f(tau_s - d) in tau, d = 1e-10 tau_s


# the numerators of relative errors below are a few dozen roundings at most
ROUNDING = 1e-13

DERIVATIVE_TOLERANCE = 1e-12

ORDER_TOLERANCE = 0.2  # of a fitted slope

# above this order the errors of steps that are small enough to show the slope drown in rounding
MAX_SLOPE_ORDER = 8

# of tau to tau_s: far from, near, and very near the limit of equal ones, from both sides
RATIOS = (1e-3, 0.1, 0.25, 0.995, 1.005, 4.0, 10.0, 1e3)

FAR = (1e-3, 1e3)

SMOOTHNESS_TOLERANCE = 1e-12

UNSTABLE = 1e50  # beyond such values the steps are too long to mean anything

NAMES = ("a", "c", "b")


def check_integrator(propagator, derivative=None, order=None, tau_s=0.130, tau=0.260):
    """Check that a one-step method for the neuron is consistent, differentiable and of its order.

    A method is a propagator: I(h) = a(h) I0 and u(h) = c(h) I0 + b(h) u0 after a step h. Checked,
    for (tau_s, tau), for the two exchanged, for both equal to tau_s, and for ratios tau / tau_s
    from 1/1000 to 1000:

    - consistency at h = 0: a = b = 1, c = 0 and a' = -1 / tau_s, c' = 1, b' = -1 / tau;
    - the derivative, against a complex step of the propagator: 1e-12 relative;
    - tau -> tau_s from both sides: no jump, and no cancellation;
    - the convergence order of a, c and b: the slope of log(error) over log(h) of one step, less
      one, up to order 8 (to 0.2); above, the Taylor coefficients at h = 0 up to the order; for
      order inf equality with the exact solution to rounding;
    - smoothness: a, c / h and b, and their derivatives where given, as functions of h (from 2^-52
      of the smaller time constant to 32 times the larger) and of tau (ratios from 2^-10 to 2^11,
      and ever closer to 1) are where a polynomial through their neighbours expects them, to 1e-12
      of their size. The order only says what a method does at h -> 0: it is by smoothness that
      this holds elsewhere. A formula that changes from case to case has to change without a
      jump, and one that cancels is as rough as what it loses.

    Parameters
    ----------
    propagator : callable, str or RungeKutta
        ``propagator(h, tau_s, tau) -> (a, c, b)`` of Python numbers, h real or complex (so NumPy's
        functions, not those of math); or the name of a method of this library, or a tableau.
    derivative : callable, optional
        ``derivative(h, tau_s, tau) -> (a', c', b')``, by h. Known for a method of this library.
    order : int or math.inf, optional
        The order claimed: a method of a higher one passes. None for a propagator of yours: it is
        measured only. For "ps" it is the order of the series; the other methods know theirs.
    tau_s, tau : float
        Time constants, any unit.

    Returns
    -------
    IntegratorReport
        (order, derivative_error, limit_error) as measured.

    Raises
    ------
    AssertionError
        A property does not hold; the message names it, the step h, the time constants, the value
        found and the value expected.
    ValueError
        An unknown name, ps without an order, an order that is not a whole number >= 0 or inf, or
        time constants that are not positive.

    Examples
    --------
    >>> round(lifnum.testing.check_integrator("ps", order=3).order, 1)
    3.0
    """
    for name, value in (("tau_s", tau_s), ("tau", tau)):
        if not 0.0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}; accepted: a finite number > 0")
    if not callable(propagator):
        propagator, derivative, order = _known(propagator, derivative, order)
    if order is not None and not (order >= 0 and (order == math.inf or order == int(order))):
        raise ValueError(
            f"order is {order!r}; accepted: a whole number >= 0, math.inf, or None to measure only"
        )
    with np.errstate(all="ignore"):
        return _measured(propagator, derivative, order, float(tau_s), float(tau))


def _measured(propagator, derivative, order, tau_s, tau):
    report = IntegratorReport(math.inf, math.nan if derivative is None else 0.0, 0.0)
    pairs = [(tau_s, tau), (tau, tau_s), (tau_s, tau_s)]
    pairs = dict.fromkeys(pairs + [(tau_s, tau_s * ratio) for ratio in RATIOS])
    for taus in pairs:
        _check_consistency(propagator, derivative, *taus)
        if derivative is not None:
            error = _check_derivative(propagator, derivative, *taus)
            report = report._replace(derivative_error=max(report.derivative_error, error))
    functions = [propagator] if derivative is None else [propagator, derivative]
    for function in functions:
        error = _check_limit(function, tau_s, primed=function is derivative)
        report = report._replace(limit_error=max(report.limit_error, error))
    for taus in pairs:
        measured = _check_order(propagator, order, *taus)
        report = report._replace(order=min(report.order, measured))
    for function in functions:
        for taus in dict.fromkeys([*list(pairs)[:3], *((tau_s, tau_s * r) for r in FAR)]):
            _check_smoothness_in_h(propagator, function, *taus)
        _check_smoothness_in_tau(propagator, function, tau_s)
    return report


def _known(method, derivative, order):
    """(propagator, derivative, claimed order) of a method of this library."""
    tableau = isinstance(method, RungeKutta)
    if not tableau and method not in propagators.METHODS:
        known = ", ".join(propagators.METHODS)
        raise ValueError(f"propagator is {method!r}; accepted: {known}, a RungeKutta or a function")
    if method == "ps" and order not in range(1, propagators.MAX_ORDER + 1):
        raise ValueError(
            f"order is {order!r}; accepted: 1 to {propagators.MAX_ORDER} for method 'ps'"
        )
    if order is None:
        order = propagators.convergence_order(method, None)
    series_order = order if method == "ps" else None

    @cache
    def constants(tau_s, tau):
        return propagators.method(method, series_order, tau_s, tau)

    def propagator(h, tau_s, tau):
        m = constants(tau_s, tau)
        if not isinstance(h, complex):
            return propagators.propagator(m, h)
        if m.code == propagators.EXACT:  # plain Python: Numba's expm1 cancels for complex numbers
            return propagators.exact_propagator.py_func(h, tau_s, tau)
        return propagators.propagator.py_func(m, h)

    def own_derivative(h, tau_s, tau):
        return propagators.propagator_derivative(constants(tau_s, tau), h)

    return propagator, derivative or own_derivative, order


def _where(h, tau_s, tau):
    return f"at h = {abs(h):.6g}, tau_s = {tau_s!r}, tau = {tau!r}"


def _values(function, h, tau_s, tau, check, entries=slice(None)):
    """Three numbers of a user's function, those of `entries` finite; `check`: what is tested."""
    try:
        values = list(map(type(h), function(h, tau_s, tau)))
    except (ArithmeticError, TypeError) as error:
        advice = " (use NumPy's functions, which take complex h)" if isinstance(h, complex) else ""
        raise AssertionError(
            f"{check}: {type(error).__name__}: {error}{advice} {_where(h, tau_s, tau)}"
        ) from error
    if len(values) != 3 or not all(map(cmath.isfinite, values[entries])):
        raise AssertionError(
            f"{check}: found {values}, expected three finite numbers {_where(h, tau_s, tau)}"
        )
    return values


def _complex_step(propagator, h, tau_s, tau):
    """(a', c', b') to rounding: the imaginary part of a step too small to matter otherwise."""
    tiny = 1e-30 * min(tau_s, tau)
    values = _values(propagator, complex(h, tiny), tau_s, tau, "derivative")
    return [value.imag / tiny for value in values]


def _check_consistency(propagator, derivative, tau_s, tau):
    found = _values(propagator, 0.0, tau_s, tau, "consistency")
    unit = min(tau_s, tau)
    for name, value, expected, scale in zip(NAMES, found, (1.0, 0.0, 1.0), (1.0, unit, 1.0)):
        if not abs(value - expected) <= ROUNDING * scale:
            raise AssertionError(
                f"consistency: {name} is {value!r}, expected {expected} {_where(0.0, tau_s, tau)}"
            )
    if derivative is not None:
        found = _values(derivative, 0.0, tau_s, tau, "consistency")
    else:
        found = _complex_step(propagator, 0.0, tau_s, tau)
    for name, value, expected in zip(NAMES, found, (-1.0 / tau_s, 1.0, -1.0 / tau)):
        if not abs(value - expected) <= DERIVATIVE_TOLERANCE * abs(expected):
            raise AssertionError(
                f"consistency: {name}' is {value!r}, expected {expected!r} "
                f"{_where(0.0, tau_s, tau)}"
            )


def _check_derivative(propagator, derivative, tau_s, tau):
    """Largest error, relative to |f'| + |f| / (time constants): f' alone may vanish.

    In long steps relative to what `_sizes` says instead of |f|.
    """
    worst = 0.0
    rates = (1.0 / tau_s, 1.0 / tau_s + 1.0 / tau, 1.0 / tau)
    fast, slow = min(tau_s, tau), max(tau_s, tau)
    lengths = [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 6.0, 20.0]
    for h in sorted({fast * x for x in lengths} | {slow * x for x in lengths[-7:]}):
        values = np.abs(_values(propagator, h, tau_s, tau, "derivative"))
        if values[0] > UNSTABLE or values[2] > UNSTABLE:
            break
        if h > 2.0 * fast:
            a, c, b = _sizes(propagator, propagator, h, tau_s, tau)
            values = np.maximum(values, (a, c * h, b))
        found = _values(derivative, h, tau_s, tau, "derivative")
        expected = _complex_step(propagator, h, tau_s, tau)
        for name, f, df, true, rate in zip(NAMES, values, found, expected, rates):
            error = abs(df - true) / (abs(true) + f * rate)
            if not error <= DERIVATIVE_TOLERANCE:
                raise AssertionError(
                    f"derivative: {name}' is {df!r}, expected {true!r} by complex step, relative "
                    f"error {error:.1e} {_where(h, tau_s, tau)}"
                )
            worst = max(worst, float(error))
    return worst


def _check_limit(function, tau_s, primed):
    """Compare tau = tau_s (1 + delta) with tau = tau_s; the change must be of the size of delta.

    Returned: the largest relative second difference at delta = 1e-10, which is rounding alone.
    """
    worst = 0.0
    prime = "'" if primed else ""
    for h in tau_s * np.array([1e-3, 0.1, 0.7, 1.5]):
        h = float(h)
        at_limit = _values(function, h, tau_s, tau_s, "limit tau -> tau_s")
        scales = (1.0 / tau_s, 1.0, 1.0 / tau_s) if primed else (1.0, h, 1.0)
        for size in (1e-3, 1e-5, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-14):
            changes = np.zeros(3)
            for near in (tau_s * (1.0 + size), tau_s * (1.0 - size)):
                found = _values(function, h, tau_s, near, "limit tau -> tau_s")
                for k, name in enumerate(NAMES):
                    change = (found[k] - at_limit[k]) / scales[k]
                    changes[k] += change
                    # at such steps the derivative by tau is at most a few of the scale over tau
                    if not abs(change) <= 10.0 * size + 10.0 * ROUNDING:
                        raise AssertionError(
                            f"limit tau -> tau_s: {name}{prime} is {found[k]!r}, expected "
                            f"{at_limit[k]!r} to {size:g} {_where(h, tau_s, near)}"
                        )
            if size == 1e-10:
                worst = max(worst, float(abs(changes).max()))
    return worst


def _check_order(propagator, order, tau_s, tau):
    """The order measured for one pair of time constants; inf where errors are at rounding."""
    if order == math.inf:
        return _check_exact(propagator, tau_s, tau)
    if order is not None and order > MAX_SLOPE_ORDER:
        return _check_taylor(propagator, int(order), tau_s, tau)
    smallest = math.inf
    for entry, name in enumerate(NAMES):
        measured, low, high, error = _slope(propagator, entry, tau_s, tau)
        if order is not None and not measured >= order - ORDER_TOLERANCE:
            raise AssertionError(
                f"order: {name} has {measured:.2f} as measured for h from {low:.3g}, claimed "
                f"{order}; error {error:.1e} {_where(high, tau_s, tau)}"
            )
        smallest = min(smallest, measured)
    return smallest


@lru_cache(maxsize=4096)
def _exact(h, tau_s, tau):
    """(a, c, b) of the exact solution, rounded once: computed in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        h, tau_s, tau = Decimal(h), Decimal(tau_s), Decimal(tau)
        a, b = (-h / tau_s).exp(), (-h / tau).exp()
        c = h * a if tau == tau_s else (a - b) / (1 / tau - 1 / tau_s)
        return float(a), float(c), float(b)


def _check_exact(propagator, tau_s, tau):
    fast, slow = min(tau_s, tau), max(tau_s, tau)
    lengths = (1e-12, 1e-6, 1e-3, 0.03, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
    for h in sorted({unit * x for unit in (fast, slow) for x in lengths}):
        found = _values(propagator, h, tau_s, tau, "order")
        for name, value, expected in zip(NAMES, found, _exact(h, tau_s, tau)):
            # the argument of an exponential is rounded too; a fast one underflows
            if not abs(value - expected) <= ROUNDING * (1.0 + h / fast) * expected + 1e-300:
                raise AssertionError(
                    f"order: {name} is {value!r}, {expected!r} in the exact solution, claimed inf "
                    f"{_where(h, tau_s, tau)}"
                )
    return math.inf


def _units(tau_s, tau):
    """The time that each of a, c and b is a function of."""
    return tau_s, min(tau_s, tau), tau


def _slope(propagator, entry, tau_s, tau):
    """(order, smallest h, largest h, error at the largest): slope of log error over log h, - 1.

    Fitted, with its linear change by h, to the smallest steps whose error is clear of rounding.
    Without such, order is inf.
    """
    unit = _units(tau_s, tau)[entry]
    scale = unit if entry == 1 else 1.0
    steps, errors = [], []
    for h in 2.0 * unit * 2.0 ** (-0.5 * np.arange(60)):
        h = float(h)
        found = _values(propagator, h, tau_s, tau, "order", slice(entry, entry + 1))
        error = abs(found[entry] - _exact(h, tau_s, tau)[entry]) / scale
        if error > ROUNDING:
            steps.append(h)
            errors.append(error)
    steps, errors = steps[-8:], errors[-8:]
    if len(steps) < 4:
        return math.inf, 0.0, 0.0, 0.0
    columns = [np.log(steps), np.divide(steps, unit), np.ones(len(steps))]
    slope = np.linalg.lstsq(np.transpose(columns), np.log(errors))[0][0]
    return float(slope) - 1.0, steps[-1], steps[0], errors[0]


def _check_taylor(propagator, order, tau_s, tau):
    """Compare the Taylor coefficients at h = 0, by Cauchy's integral, up to the order claimed.

    Of a, c / unit and b in powers of h over the entry's own time unit. On circles of radius p / 3,
    for four coefficients each, coefficient p stands clear of rounding, and the poles of implicit
    methods of that order lie outside.
    """
    for entry, name in enumerate(NAMES):
        unit = _units(tau_s, tau)[entry]
        for low in range(1, order + 1, 4):
            n = max(64, 4 * (low + 3))
            radius = low / 3.0
            turns = np.exp(2j * np.pi * (np.arange(n // 2) + 0.5) / n)  # f(conj h) = conj f(h)
            values = np.array([
                _values(propagator, complex(radius * unit * z), tau_s, tau, "order",
                        slice(entry, entry + 1))[entry]
                for z in turns
            ]) / (unit if entry == 1 else 1.0)  # fmt: skip
            for p in range(0 if low == 1 else low, min(low + 4, order + 1)):
                value = (values @ turns**-p).real / (n // 2) / radius**p
                noise = 0.1 * ROUNDING * abs(values).max() / radius**p
                expected = _taylor(p, entry, unit, tau_s, tau)
                if not abs(value - expected) <= 1e-6 * abs(expected) + noise:
                    raise AssertionError(
                        f"order: the coefficient of (h / {unit:g})^{p} in {name} is {value:.9g}, "
                        f"expected {expected:.9g} for the claimed {order} "
                        f"{_where(radius * unit, tau_s, tau)}"
                    )
    return float(order)


def _taylor(p, entry, unit, tau_s, tau):
    """Coefficient of (h / unit)^p in the exact a, c / unit or b."""
    unit = Fraction(unit)
    x, y = -unit / Fraction(tau_s), -unit / Fraction(tau)
    values = x**p, sum(x**j * y ** (p - 1 - j) for j in range(p)), y**p
    return float(values[entry] / math.factorial(p))


@lru_cache
def _interpolation(n):
    """n Chebyshev nodes in [-1, 1], the n - 1 points between, and the matrix that maps the values
    of a polynomial at the former to those at the latter."""
    angles = np.pi * (np.arange(n) + 0.5) / n
    nodes, between = np.cos(angles), np.cos(np.pi * np.arange(1, n) / n)
    weights = (-1.0) ** np.arange(n) * np.sin(angles)
    matrix = weights / (between[:, None] - nodes)
    return nodes, between, matrix / matrix.sum(axis=1, keepdims=True)


def _rough(values, expected, sizes):
    """(row, entry) of the worst value that its neighbours do not expect, or None.

    Relative to the largest of its entry. values, expected (points, 3), sizes (3,).
    """
    error = abs(values - expected) / np.maximum(abs(expected).max(axis=0), sizes)
    where = np.unravel_index(np.argmax(error), error.shape)
    return None if error[where] <= SMOOTHNESS_TOLERANCE else where


def _smooth_values(function, primed, h, tau_s, tau):
    """(a, c / h, b), or (tau_s a', c', tau b'): all near one for short steps."""
    a, c, b = _values(function, h, tau_s, tau, "smoothness")
    return (tau_s * a, c, tau * b) if primed else (a, c / h, b)


def _sizes(propagator, function, h, tau_s, tau):
    """Sizes of the terms that `_smooth_values` may be sums of, at least 1.

    Twice estimated, since each alone would excuse too much. An alternating series is largest where
    the terms add up, on the other side of the circle |h| = const (to the left itself an implicit
    method has its poles): so are exponentials, which do not cancel. And what cancels scatters
    under roundings of h: so does a formula that has no reason to.
    """
    z = h * complex(-0.86, 0.51)
    a, c, b = _values(propagator, z, tau_s, tau, "smoothness", slice(0))
    around = np.abs([a, c / h, b])
    primed = function is not propagator
    steps = [h * (1.0 - k * 2.0**-50) for k in range(8)]
    scatter = np.ptp([_smooth_values(function, primed, x, tau_s, tau) for x in steps], axis=0)
    return np.fmax(1.0, np.fmin(around, 1e14 * scatter))


def _raise_rough(primed, entry, value, expected, variable, h, tau_s, tau):
    names = ("tau_s a'", "c'", "tau b'") if primed else ("a", "c / h", "b")
    raise AssertionError(
        f"smoothness: {names[entry]} is {value:.17g}, expected {expected:.17g} by its neighbours "
        f"in {variable}: it jumps or loses digits {_where(h, tau_s, tau)}"
    )


def _check_smoothness_in_h(propagator, function, tau_s, tau):
    """Over stretches of h that overlap by half, so that no jump falls between them.

    40 nodes are exact for polynomials, and resolve exponentials and quotients with poles at h < 0;
    very short steps are nearly linear.
    """
    primed = function is not propagator
    fast, slow = min(tau_s, tau), max(tau_s, tau)
    low, largest = 2.0**-52, 0.0
    while low * fast < 8.0 * slow and largest < UNSTABLE:
        short = low < 1e-4
        high = low * (64.0 if short else 8.0)
        nodes, between, matrix = _interpolation(12 if short else 40)
        points = 0.5 * (low + high) + 0.5 * (high - low) * np.concatenate([nodes, between])
        rows = np.array(
            [_smooth_values(function, primed, float(x * fast), tau_s, tau) for x in points]
        )
        largest = abs(rows).max()
        values, expected = rows[len(nodes) :], matrix @ rows[: len(nodes)]
        where = _rough(values, expected, _sizes(propagator, function, high * fast, tau_s, tau))
        if where is not None:
            h = fast * points[len(nodes) + where[0]]
            _raise_rough(primed, where[1], values[where], expected[where], "h", h, tau_s, tau)
        low *= 32.0 if short else 4.0


def _check_smoothness_in_tau(propagator, function, tau_s):
    """In 1 / tau: over overlapping stretches of ratios, and over ever smaller ones around 1."""
    primed = function is not propagator
    stretches = [(2.0**k, 2.0 ** (k + 3)) for k in range(-10, 9, 2)]
    stretches += [(1.0 - 4.0**-k, 1.0 + 4.0**-k) for k in range(1, 22)]
    for low, high in stretches:
        nodes, between, matrix = _interpolation(40 if high > 1.5 * low else 12)
        middle, half = 0.5 * (1 / low + 1 / high), 0.5 * (1 / low - 1 / high)
        taus = [tau_s / float(middle + half * z) for z in np.concatenate([nodes, between])]
        for x in (0.3, 2.7, 8.0):
            h = x * tau_s * min(low, 1.0)
            rows = np.array([_smooth_values(function, primed, h, tau_s, tau) for tau in taus])
            values, expected = rows[len(nodes) :], matrix @ rows[: len(nodes)]
            ends = [_sizes(propagator, function, h, tau_s, one) for one in (min(taus), max(taus))]
            sizes = np.maximum(*ends)
            where = _rough(values, expected, sizes)
            if where is not None:
                tau = taus[len(nodes) + where[0]]
                _raise_rough(primed, where[1], values[where], expected[where], "tau", h, tau_s, tau)
