"""A check of one-step methods for the neuron."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from lifnum.methods import propagators
from lifnum.methods.tableau import RungeKutta
from lifnum.testing.orders import check_order
from lifnum.testing.smoothness import check_smoothness_in_h, check_smoothness_in_tau, sizes_of
from lifnum.testing.values import NAMES, ROUNDING, UNSTABLE, complex_step, values_of, where


class IntegratorReport(NamedTuple):
    """What `check_integrator` measured, over all pairs of time constants that it tried."""

    order: float  # smallest convergence order; inf where every error is at rounding
    derivative_error: float  # largest relative error of the derivative; NaN where none was given
    limit_error: float  # largest f(tau_s + d) - 2 f(tau_s) + f(tau_s - d) in tau, d = 1e-10 tau_s


DERIVATIVE_TOLERANCE = 1e-12

# of tau to tau_s: far from, near, and very near the limit of equal ones, from both sides
RATIOS = (1e-3, 0.1, 0.25, 0.995, 1.005, 4.0, 10.0, 1e3)

FAR = (1e-3, 1e3)


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
        measured = check_order(propagator, order, *taus)
        report = report._replace(order=min(report.order, measured))
    for function in functions:
        for taus in dict.fromkeys([*list(pairs)[:3], *((tau_s, tau_s * r) for r in FAR)]):
            check_smoothness_in_h(propagator, function, *taus)
        check_smoothness_in_tau(propagator, function, tau_s)
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


def _check_consistency(propagator, derivative, tau_s, tau):
    found = values_of(propagator, 0.0, tau_s, tau, "consistency")
    unit = min(tau_s, tau)
    for name, value, expected, scale in zip(NAMES, found, (1.0, 0.0, 1.0), (1.0, unit, 1.0)):
        if not abs(value - expected) <= ROUNDING * scale:
            raise AssertionError(
                f"consistency: {name} is {value!r}, expected {expected} {where(0.0, tau_s, tau)}"
            )
    if derivative is not None:
        found = values_of(derivative, 0.0, tau_s, tau, "consistency")
    else:
        found = complex_step(propagator, 0.0, tau_s, tau)
    for name, value, expected in zip(NAMES, found, (-1.0 / tau_s, 1.0, -1.0 / tau)):
        if not abs(value - expected) <= DERIVATIVE_TOLERANCE * abs(expected):
            raise AssertionError(
                f"consistency: {name}' is {value!r}, expected {expected!r} {where(0.0, tau_s, tau)}"
            )


def _check_derivative(propagator, derivative, tau_s, tau):
    """Largest error, relative to |f'| + |f| / (time constants): f' alone may vanish.

    In long steps relative to what `sizes_of` says instead of |f|.
    """
    worst = 0.0
    rates = (1.0 / tau_s, 1.0 / tau_s + 1.0 / tau, 1.0 / tau)
    fast, slow = min(tau_s, tau), max(tau_s, tau)
    lengths = [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 6.0, 20.0]
    for h in sorted({fast * x for x in lengths} | {slow * x for x in lengths[-7:]}):
        values = np.abs(values_of(propagator, h, tau_s, tau, "derivative"))
        if values[0] > UNSTABLE or values[2] > UNSTABLE:
            break
        if h > 2.0 * fast:
            a, c, b = sizes_of(propagator, propagator, h, tau_s, tau)
            values = np.maximum(values, (a, c * h, b))
        found = values_of(derivative, h, tau_s, tau, "derivative")
        expected = complex_step(propagator, h, tau_s, tau)
        for name, f, df, true, rate in zip(NAMES, values, found, expected, rates):
            error = abs(df - true) / (abs(true) + f * rate)
            if not error <= DERIVATIVE_TOLERANCE:
                raise AssertionError(
                    f"derivative: {name}' is {df!r}, expected {true!r} by complex step, relative "
                    f"error {error:.1e} {where(h, tau_s, tau)}"
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
        at_limit = values_of(function, h, tau_s, tau_s, "limit tau -> tau_s")
        scales = (1.0 / tau_s, 1.0, 1.0 / tau_s) if primed else (1.0, h, 1.0)
        for size in (1e-3, 1e-5, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-14):
            changes = np.zeros(3)
            for near in (tau_s * (1.0 + size), tau_s * (1.0 - size)):
                found = values_of(function, h, tau_s, near, "limit tau -> tau_s")
                for k, name in enumerate(NAMES):
                    change = (found[k] - at_limit[k]) / scales[k]
                    changes[k] += change
                    # at such steps the derivative by tau is at most a few of the scale over tau
                    if not abs(change) <= 10.0 * size + 10.0 * ROUNDING:
                        raise AssertionError(
                            f"limit tau -> tau_s: {name}{prime} is {found[k]!r}, expected "
                            f"{at_limit[k]!r} to {size:g} {where(h, tau_s, near)}"
                        )
            if size == 1e-10:
                worst = max(worst, float(abs(changes).max()))
    return worst
