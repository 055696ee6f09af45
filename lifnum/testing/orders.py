"""The convergence order of a one-step method, measured."""

import math
from fractions import Fraction

import numpy as np

from lifnum.testing.values import NAMES, ROUNDING, exact_values, units, values_of, where

ORDER_TOLERANCE = 0.2  # of a fitted slope

# above this order the errors of steps that are small enough to show the slope drown in rounding
MAX_SLOPE_ORDER = 8


def check_order(propagator, order, tau_s, tau):
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
                f"{order}; error {error:.1e} {where(high, tau_s, tau)}"
            )
        smallest = min(smallest, measured)
    return smallest


def _check_exact(propagator, tau_s, tau):
    fast, slow = min(tau_s, tau), max(tau_s, tau)
    lengths = (1e-12, 1e-6, 1e-3, 0.03, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
    for h in sorted({unit * x for unit in (fast, slow) for x in lengths}):
        found = values_of(propagator, h, tau_s, tau, "order")
        for name, value, expected in zip(NAMES, found, exact_values(h, tau_s, tau)):
            # the argument of an exponential is rounded too; a fast one underflows
            if not abs(value - expected) <= ROUNDING * (1.0 + h / fast) * expected + 1e-300:
                raise AssertionError(
                    f"order: {name} is {value!r}, {expected!r} in the exact solution, claimed inf "
                    f"{where(h, tau_s, tau)}"
                )
    return math.inf


def _slope(propagator, entry, tau_s, tau):
    """(order, smallest h, largest h, error at the largest): slope of log error over log h, - 1.

    Fitted, with its linear change by h, to the smallest steps whose error is clear of rounding.
    Without such, order is inf.
    """
    unit = units(tau_s, tau)[entry]
    scale = unit if entry == 1 else 1.0
    steps, errors = [], []
    for h in 2.0 * unit * 2.0 ** (-0.5 * np.arange(60)):
        h = float(h)
        found = values_of(propagator, h, tau_s, tau, "order", slice(entry, entry + 1))
        error = abs(found[entry] - exact_values(h, tau_s, tau)[entry]) / scale
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
        unit = units(tau_s, tau)[entry]
        for low in range(1, order + 1, 4):
            n = max(64, 4 * (low + 3))
            radius = low / 3.0
            turns = np.exp(2j * np.pi * (np.arange(n // 2) + 0.5) / n)  # f(conj h) = conj f(h)
            values = np.array([
                values_of(propagator, complex(radius * unit * z), tau_s, tau, "order",
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
                        f"{where(radius * unit, tau_s, tau)}"
                    )
    return float(order)


def _taylor(p, entry, unit, tau_s, tau):
    """Coefficient of (h / unit)^p in the exact a, c / unit or b."""
    unit = Fraction(unit)
    x, y = -unit / Fraction(tau_s), -unit / Fraction(tau)
    values = x**p, sum(x**j * y ** (p - 1 - j) for j in range(p)), y**p
    return float(values[entry] / math.factorial(p))
