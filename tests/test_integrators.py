"""Every propagator is the textbook method that its name promises, and so is its derivative."""

from decimal import Decimal, localcontext
from fractions import Fraction
from math import factorial

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from lifnum.methods import propagators

EPS = np.finfo(float).eps

METHODS = [(m, propagators.series_order(m, 0) or None) for m in propagators.METHODS if m != "ps"]
METHODS += [("ps", order) for order in (1, 2, 3, 5, 8, 32)]

# (tau_s, tau): equal, BATS, either side, nearly equal from both sides, ratios of a million
TIME_CONSTANTS = [
    (0.13, 0.13),
    (0.13, 0.26),
    (0.2, 1.2),
    (0.9, 0.3),
    (0.13 * (1 + 1e-12), 0.13),
    (0.13 * (1 - 1e-12), 0.13),
    (1e-6, 1.0),
    (1.0, 1e-6),
]


def complex_propagator(m, h):
    """(a, c, b) of complex h in plain Python: Numba's expm1 cancels for complex numbers."""
    if m.code == propagators.EXACT:
        return propagators.exact_propagator.py_func(h, m.tau_s, m.tau)
    return propagators.propagator.py_func(m, h)


def decimal_propagator(h, tau_s, tau):
    """(a, c, b) of the exact solution in 80 digits: there the cancellation does no harm."""
    with localcontext() as context:
        context.prec = 80
        h, tau_s, tau = Decimal(h), Decimal(tau_s), Decimal(tau)
        a, b = (-h / tau_s).exp(), (-h / tau).exp()
        return a, (h * a if tau == tau_s else (a - b) / (1 / tau - 1 / tau_s)), b


@pytest.mark.parametrize("taus", TIME_CONSTANTS)
@pytest.mark.parametrize("unit", [min, max])
def test_exact_equals_eighty_digits_of_the_solution(taus, unit):
    m = propagators.method("exact", None, *taus)
    for x in (1e-12, 1e-6, 1e-3, 0.03, 0.3, 0.69, 0.7, 1.0, 2.0, 5.0, 10.0, 50.0):
        h = x * unit(taus)
        # the argument of each exponential is rounded, which counts h / tau times
        arguments = (h / taus[0], h / max(taus), h / taus[1])
        for value, true, argument in zip(
            propagators.propagator(m, h), decimal_propagator(h, *taus), arguments
        ):
            assert abs(Decimal(float(value)) - true) <= Decimal(4 * EPS * (2 + argument)) * true + (
                Decimal("1e-307")  # a fast exponential underflows
            )


@pytest.mark.parametrize("taus", TIME_CONSTANTS)
@pytest.mark.parametrize("unit", [min, max])
def test_the_slope_of_exact_equals_eighty_digits_of_the_solution(taus, unit):
    m = propagators.method("exact", None, *taus)
    for x in (0.0, 1e-12, 1e-6, 1e-3, 0.03, 0.3, 0.69, 0.7, 1.0, 2.0, 5.0, 10.0, 50.0):
        h = x * unit(taus)
        a, c, b = decimal_propagator(h, *taus)
        with localcontext() as context:
            context.prec = 80
            slope = float(a - c / Decimal(taus[1]))
        # c' = 0 at the peak of c: relative to the size that it has on either side
        scale = abs(slope) + float(c) / max(taus)
        tolerance = 8 * EPS * (2 + h / max(taus)) * scale + 1e-307
        assert abs(propagators.propagator_derivative(m, h)[1] - slope) <= tolerance


@pytest.mark.parametrize("h", [1e-3, 0.05, 0.13, 0.4])
def test_exact_does_not_notice_on_which_side_of_tau_tau_s_lies(h):
    """c is symmetric in the two, continuous at their meeting, and a and b change places."""
    tau = 0.13
    middle = propagators.propagator(propagators.method("exact", None, tau, tau), h)[1]
    for distance in (1e-3, 1e-6, 1e-9, 1e-12, 2e-16):
        for other in (tau * (1 + distance), tau * (1 - distance)):
            a, c, b = propagators.propagator(propagators.method("exact", None, other, tau), h)
            b2, c2, a2 = propagators.propagator(propagators.method("exact", None, tau, other), h)
            assert (a, c, b) == (a2, c2, b2)
            # dc/dtau_s is at most h c / tau^2
            assert abs(c / middle - 1) <= 1.1 * h / tau * distance + 8 * EPS


@pytest.mark.parametrize("order", range(1, propagators.MAX_ORDER + 1))
@pytest.mark.parametrize("taus", [(0.13, 0.13), (0.13, 0.26), (0.9, 0.3), (1e-3, 1e3)])
def test_series_coefficients_are_the_rational_ones(taus, order):
    """x^p / p! for a and b, sum of x^j y^(p-1-j) / p! for c: no sum of mixed signs, no loss."""
    series = propagators.power_series(order, *taus)
    unit = Fraction(min(taus))
    x, y = -unit / Fraction(taus[0]), -unit / Fraction(taus[1])
    assert series.shape == (3, order + 1)
    for p in range(order + 1):
        mixed = sum(x**j * y ** (p - 1 - j) for j in range(p))
        for value, true in zip(series[:, p], (x**p, mixed, y**p)):
            true = float(true / factorial(p))
            assert abs(value - true) <= 4 * EPS * (p + 1) * abs(true)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8, 16, 32])
@pytest.mark.parametrize("taus", [(0.13, 0.13), (0.13, 0.26), (0.9, 0.3)])
def test_the_series_is_the_recurrence_of_parker_and_sochacki_in_fractions(taus, order):
    m = propagators.method("ps", order, *taus)
    tau_s, tau = map(Fraction, taus)
    for x in (0.01, 0.5, 1.6, 3.0):
        step = x * min(taus)
        h = Fraction(step)
        columns, sizes = [], []
        for current, potential in ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))):
            sums, size = [current, potential], [abs(current), abs(potential)]
            for p in range(order):
                current, potential = (
                    -current / tau_s * h / (p + 1),
                    (current - potential / tau) * h / (p + 1),
                )
                sums = [sums[0] + current, sums[1] + potential]
                size = [size[0] + abs(current), size[1] + abs(potential)]
            columns.append(sums)
            sizes.append(size)
        expected = (columns[0][0], columns[0][1], columns[1][1])
        scales = (sizes[0][0], sizes[0][1], sizes[1][1])  # sums of the terms' absolute values
        for value, true, scale in zip(propagators.propagator(m, step), expected, scales):
            assert abs(Fraction(float(value)) - true) <= Fraction(8 * EPS) * scale


def textbook_stages(name, f, y, h):
    k1 = f(y)
    if name == "euler":
        return y + h * k1
    k2 = f(y + h / 2 * k1)
    if name == "rk2":
        return y + h * k2
    k3 = f(y + h / 2 * k2)
    k4 = f(y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@pytest.mark.parametrize("name", ["euler", "rk2", "rk4"])
@pytest.mark.parametrize("taus", [(0.5, 0.5), (0.5, 1.0), (0.2, 1.2), (0.9, 0.3)])
def test_runge_kutta_methods_are_their_textbook_stages_to_4_ulp(name, taus):
    """From (1, 0) and (0, 1); in ulps of the largest term, since a and b may pass through zero."""

    def f(y):
        return np.array([-y[0] / taus[0], y[0] - y[1] / taus[1]])

    m = propagators.method(name, None, *taus)
    for h in min(taus) * np.linspace(0.0, 1.0, 41):
        a, c, b = propagators.propagator(m, h)
        from_current = textbook_stages(name, f, np.array([1.0, 0.0]), h)
        from_potential = textbook_stages(name, f, np.array([0.0, 1.0]), h)
        assert abs(a - from_current[0]) <= 4 * EPS
        assert abs(c - from_current[1]) <= 4 * EPS * h
        assert from_potential[0] == 0.0
        assert abs(b - from_potential[1]) <= 4 * EPS


@pytest.mark.parametrize("taus", TIME_CONSTANTS)
def test_implicit_methods_solve_their_linear_system(taus):
    """y1 = y0 + h A y1 and y1 = y0 + h/2 A (y0 + y1), with A the matrix of the model."""
    matrix, one = np.array([[-1 / taus[0], 0.0], [1.0, -1 / taus[1]]]), np.eye(2)
    for h in np.outer([1e-3, 0.1, 1.0, 10.0], taus).ravel():
        for name, implicit, explicit in (
            ("backward-euler", one - h * matrix, one),
            ("trapezoidal", one - h / 2 * matrix, one + h / 2 * matrix),
        ):
            m = propagators.method(name, None, *taus)
            a, c, b = propagators.propagator(m, h)
            step = np.linalg.solve(implicit, explicit)
            found = np.array([[a, 0.0], [c, b]])
            # elimination in a triangle: a few roundings of terms that are at most one, and h
            assert (abs(found - step) <= 16 * EPS * (1 + abs(found)) * [[1, 1], [h, 1]]).all()


def test_exponential_euler_holds_the_current_during_a_step():
    for tau_s, tau in TIME_CONSTANTS:
        for h in np.array([1e-9, 0.01, 1.0, 5.0]) * min(tau_s, tau):
            m = propagators.method("exponential-euler", None, tau_s, tau)
            a, c, b = propagators.propagator(m, h)
            # du/dt = -u / tau + 1 from rest, and from one without current
            assert c == pytest.approx(-tau * np.expm1(-h / tau), rel=4 * EPS)
            assert b == pytest.approx(np.exp(-h / tau), rel=4 * EPS)
            assert a == pytest.approx(np.exp(-h / tau_s), rel=4 * EPS)


@pytest.mark.parametrize("taus", TIME_CONSTANTS)
@pytest.mark.parametrize("name, order", METHODS)
def test_the_derivative_is_that_of_the_propagator(name, order, taus):
    """By complex step. The tolerance is relative to f' and to f over the time constants."""
    m = propagators.method(name, order, *taus)
    rates = np.array([1 / taus[0], 1 / taus[0] + 1 / taus[1], 1 / taus[1]])
    for x in (0.0, 1e-9, 1e-3, 0.2, 0.69, 0.7, 1.0, 1.6, 3.0):
        h = x * min(taus)
        values = np.array(complex_propagator(m, h + 1e-30j))
        slopes = np.array(propagators.propagator_derivative(m, h))
        scale = abs(slopes) + abs(values) * rates
        if name == "ps":  # terms of the series exceed their sum, at 3 time constants e^6 times
            scale = scale * np.exp(2 * x)
        assert (abs(slopes - values.imag / 1e-30) <= 1e-14 * scale).all()


@pytest.mark.parametrize("taus", TIME_CONSTANTS)
@pytest.mark.parametrize("name, order", METHODS)
def test_a_step_of_length_zero_changes_nothing_and_moves_by_the_model(name, order, taus):
    m = propagators.method(name, order, *taus)
    assert propagators.propagator(m, 0.0) == (1.0, 0.0, 1.0)
    expected = (-1 / taus[0], 1.0, -1 / taus[1])
    np.testing.assert_allclose(propagators.propagator_derivative(m, 0.0), expected, rtol=2 * EPS)


@pytest.mark.parametrize("name, order", METHODS)
def test_scaling_all_times_by_a_power_of_two_scales_c_and_nothing_else(name, order):
    m = propagators.method(name, order, 0.13, 0.31)
    scaled = propagators.method(name, order, 0.13 * 1024, 0.31 * 1024)
    for h in (1e-5, 0.02, 0.13, 0.5):
        a, c, b = propagators.propagator(m, h)
        assert propagators.propagator(scaled, h * 1024) == (a, c * 1024, b)


@pytest.mark.parametrize("name, order", METHODS)
def test_every_method_is_exact_in_the_limit_of_small_steps(name, order):
    """Composed over 2^18 steps of 2^-18: to the size of the step, or rounding."""
    m = propagators.method(name, order, 0.4, 0.7)
    a, c, b = propagators.propagator(m, 2.0**-18)
    one = np.linalg.matrix_power(np.array([[a, 0.0], [c, b]]), 2**18)
    exact = [float(value) for value in decimal_propagator(1.0, 0.4, 0.7)]
    found = [one[0, 0], one[1, 0], one[1, 1]]
    np.testing.assert_allclose(found, exact, rtol=2e-5)


positive = st.floats(0.01, 10.0)


@hypothesis.given(positive, positive, st.floats(0, 5), st.floats(0, 5))
@hypothesis.settings(deadline=None, derandomize=True, max_examples=200)
def test_two_steps_of_exact_are_one_step_of_their_sum(tau_s, tau, s, t):
    m = propagators.method("exact", None, tau_s, tau)
    a1, c1, b1 = propagators.propagator(m, s)
    a2, c2, b2 = propagators.propagator(m, t)
    a, c, b = propagators.propagator(m, s + t)
    # every argument of an exponential is rounded: relative to its size
    tolerance = 8 * EPS * (2 + (s + t) * (1 / tau_s + 1 / tau))
    assert abs(a2 * a1 - a) <= tolerance * a + 1e-300
    assert abs(b2 * b1 - b) <= tolerance * b + 1e-300
    assert abs(c2 * a1 + b2 * c1 - c) <= tolerance * c + 1e-300


@pytest.mark.parametrize("name, order", METHODS)
@pytest.mark.parametrize("taus", [(0.5, 0.5), (0.5, 1.0), (0.2, 1.2), (0.9, 0.3)])
def test_the_curvature_bound_bounds_the_curvature(name, order, taus):
    """|u''(s)| <= C |I0| + B |u0| on [0, h]; u'' by complex step, at random s, h and states.

    Where the bound is zero u has no peak: Euler is a line, exponential Euler is monotone.
    """
    m = propagators.method(name, order, *taus)
    rng = np.random.default_rng(0)
    for h in min(taus) * 10.0 ** rng.uniform(-3, 1, 60):
        current, potential = propagators.curvature_bound(m, h)
        if current == 0.0:
            assert name in ("euler", "exponential-euler") or (name, order) == ("ps", 1)
            continue
        for s in h * np.concatenate([[0.0, 1.0], rng.uniform(0, 1, 20)]):
            slopes = propagators.propagator_derivative.py_func(m, complex(s, 1e-30))
            dda, ddc, ddb = (np.imag(slope) / 1e-30 for slope in slopes)
            # rounding of the alternating series: of the terms' absolute values
            slack = 1 + (1e-12 if name != "ps" else 1e-10)
            assert abs(ddc) <= current * slack
            assert abs(ddb) <= potential * slack
