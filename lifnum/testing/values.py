"""Values of a one-step method under test, and those of the exact solution."""

import cmath
from decimal import Decimal, localcontext
from functools import lru_cache

NAMES = ("a", "c", "b")

# the numerators of relative errors are a few dozen roundings at most
ROUNDING = 1e-13

UNSTABLE = 1e50  # beyond such values the steps are too long to mean anything


def where(h, tau_s, tau):
    return f"at h = {abs(h):.6g}, tau_s = {tau_s!r}, tau = {tau!r}"


def values_of(function, h, tau_s, tau, check, entries=slice(None)):
    """Three numbers of a user's function, those of `entries` finite; `check`: what is tested."""
    try:
        values = list(map(type(h), function(h, tau_s, tau)))
    except (ArithmeticError, TypeError) as error:
        advice = " (use NumPy's functions, which take complex h)" if isinstance(h, complex) else ""
        raise AssertionError(
            f"{check}: {type(error).__name__}: {error}{advice} {where(h, tau_s, tau)}"
        ) from error
    if len(values) != 3 or not all(map(cmath.isfinite, values[entries])):
        raise AssertionError(
            f"{check}: found {values}, expected three finite numbers {where(h, tau_s, tau)}"
        )
    return values


def complex_step(propagator, h, tau_s, tau):
    """(a', c', b') to rounding: the imaginary part of a step too small to matter otherwise."""
    tiny = 1e-30 * min(tau_s, tau)
    values = values_of(propagator, complex(h, tiny), tau_s, tau, "derivative")
    return [value.imag / tiny for value in values]


@lru_cache(maxsize=4096)
def exact_values(h, tau_s, tau):
    """(a, c, b) of the exact solution, rounded once: computed in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        h, tau_s, tau = Decimal(h), Decimal(tau_s), Decimal(tau)
        a, b = (-h / tau_s).exp(), (-h / tau).exp()
        c = h * a if tau == tau_s else (a - b) / (1 / tau - 1 / tau_s)
        return float(a), float(c), float(b)


def units(tau_s, tau):
    """The time that each of a, c and b is a function of."""
    return tau_s, min(tau_s, tau), tau
