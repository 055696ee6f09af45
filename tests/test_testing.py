"""The tools that users test integrators with accept what is right and refuse what is wrong."""

import warnings
from math import factorial

import cases
import hypothesis
import naive
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from lifnum import Network, Neuron, Scheme, SimulationError, SpikeTrains, integrators, testing

NAMED = [(name, None) for name in integrators.METHODS if name != "ps"]


@pytest.mark.parametrize("name, order", NAMED + [("ps", n) for n in range(1, 33)])
def test_check_integrator_accepts_every_method(name, order):
    report = testing.check_integrator(name, series_order=order)
    assert report.derivative_error <= 1e-11


def backward_euler(h, tau_s, tau):
    a, b = 1 / (1 + h / tau_s), 1 / (1 + h / tau)
    return a, h * a * b, b


def test_check_integrator_accepts_a_users_plain_python():
    assert 0.9 < testing.check_integrator(backward_euler, order=1).order < 1.2


def test_check_integrator_refuses_an_overclaimed_order():
    with pytest.raises(AssertionError, match=r"order: measured .*, claimed 2"):
        testing.check_integrator(backward_euler, order=2)


def test_check_integrator_refuses_an_inconsistent_c():
    with pytest.raises(AssertionError, match="consistency"):
        testing.check_integrator(lambda h, s, t: (np.exp(-h / s), 1e-3 + h, np.exp(-h / t)))


def test_check_integrator_refuses_a_wrong_derivative():
    def derivative(h, tau_s, tau):
        a, c, b = backward_euler(h, tau_s, tau)
        return -a / tau_s, a - c / tau, -b / tau

    with pytest.raises(AssertionError, match="derivative"):
        testing.check_integrator(backward_euler, derivative, order=1)


def test_check_integrator_refuses_a_form_that_cancels_near_equal_time_constants():
    def cancelling(h, tau_s, tau):
        a, b = np.exp(-h / tau_s), np.exp(-h / tau)
        return a, h * a if tau_s == tau else (b - a) / (1 / tau_s - 1 / tau), b

    with pytest.raises(AssertionError, match="limit"):
        testing.check_integrator(cancelling, order=np.inf)


def test_euler_rk2_and_rk4_are_their_textbook_stages():
    """To 4 ulp of the largest term, one step of the system from (1, 0) and from (0, 1)."""

    def stages(name, h, tau_s, tau, y):
        def f(y):
            return np.array([-y[0] / tau_s, y[0] - y[1] / tau])

        k1 = f(y)
        if name == "euler":
            return y + h * k1
        k2 = f(y + h / 2 * k1)
        if name == "rk2":
            return y + h * k2
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    for name in ("euler", "rk2", "rk4"):
        for tau_s, tau in cases.TIME_CONSTANTS:
            h = 0.4 * min(tau_s, tau)
            a, c, b = integrators.propagator(integrators.method(name, None, tau_s, tau), h)
            one = stages(name, h, tau_s, tau, np.array([1.0, 0.0]))
            two = stages(name, h, tau_s, tau, np.array([0.0, 1.0]))
            eps = np.finfo(float).eps
            assert abs(a - one[0]) <= 4 * eps and abs(b - two[1]) <= 4 * eps
            assert abs(c - one[1]) <= 4 * eps * h


@pytest.mark.parametrize("order", range(1, 33))
def test_series_coefficients_are_those_of_the_exponentials(order):
    """a and b: (-unit / tau)^p / p!; at tau = tau_s, c: unit^(p-1) (-1)^(p-1) / (p-1)!."""
    series = integrators.power_series(order, 0.5, 0.8)
    p = np.arange(order + 1)
    inverse = np.array([1 / factorial(k) for k in p])
    np.testing.assert_allclose(series[0], (-1.0) ** p * inverse, rtol=1e-14)
    np.testing.assert_allclose(series[2], (-0.5 / 0.8) ** p * inverse, rtol=1e-13)
    equal = integrators.power_series(order, 0.5, 0.5)[1]
    expected = [0.0] + [(-1.0) ** (k - 1) / factorial(k - 1) for k in p[1:]]
    np.testing.assert_allclose(equal, expected, rtol=1e-13)


def test_a_series_of_a_tiny_time_constant_stays_finite():
    m = integrators.method("ps", 32, 1e-12, 1e-6)
    assert np.isfinite(m.series).all()
    assert np.isfinite(integrators.propagator(m, 1e-12)).all()


@hypothesis.given(testing.neurons(), st.floats(0.05, 2.0), st.floats(-3, 3))
@hypothesis.settings(max_examples=20, deadline=None)
def test_analytic_potential_solves_the_equations(neuron, until, weight):
    def rates(t, y):
        return [-y[0] / neuron.tau_s, y[0] - y[1] / neuron.tau]

    u = testing.analytic_potential(neuron, [0.0], [weight], [], [until])
    y = solve_ivp(rates, (0, until), [weight, 0.0], rtol=1e-10, atol=1e-12, method="DOP853").y
    assert abs(u[0] - y[1, -1]) <= 1e-8


@pytest.mark.parametrize("taus", cases.TIME_CONSTANTS)
def test_exact_potential_is_the_analytic_one(taus):
    """With inputs and resets of its own spikes, right-continuous; and never above theta."""
    rng = np.random.default_rng(0)
    case = cases.Case(rng, Scheme(), taus, 1)
    net = case.network()
    times = np.linspace(0.0, cases.DURATION, 333)
    u = net.potential(case.spikes, times)[0]
    out = net.layers[0].spikes
    for j in range(u.shape[0]):
        outputs = out.times[out.indices == j]
        expected = testing.analytic_potential(
            case.neurons[0], case.times, case.weights[0][case.indices, j], outputs, times
        )
        # sums of a dozen kernels of size of weights; a crossing is at theta to rounding
        np.testing.assert_allclose(u[j], expected, rtol=0, atol=1e-11)
    assert u.max() <= case.neurons[0].theta * (1 + 1e-12)


# laws of every scheme, on random networks

COMMON = {"deadline": None, "derandomize": True}


@hypothesis.given(testing.networks(n_inputs=3), testing.spike_trains(3))
@hypothesis.settings(max_examples=150, **COMMON)
def test_random_networks_are_finite_and_capped(net, trains):
    out = net.forward(trains)
    gradients, d_inputs = net.backward(np.ones(len(out.times)), input_gradient=True)
    for layer in net.layers:
        spikes = layer.spikes
        SpikeTrains(spikes.times, spikes.indices, spikes.offsets, spikes.n_neurons)  # valid
        assert spikes.counts().max(initial=0) <= layer.neuron.max_spikes
        assert (spikes.times <= net.duration).all()
    assert len(d_inputs) == len(trains.times)


@hypothesis.given(testing.networks(n_inputs=3), testing.spike_trains(3), st.integers(-10, 10))
@hypothesis.settings(max_examples=60, **COMMON)
def test_scaling_all_times_by_a_power_of_two_scales_the_spikes_exactly(net, trains, power):
    """u is scaled with the times, so theta is, and weights stay."""
    factor = 2.0**power
    scheme = net.scheme
    scaled = Scheme(
        scheme.method, scheme.order, scheme.dt and scheme.dt * factor, scheme.interpolation
    )
    layers = [
        (layer.weights, Neuron(n.tau_s * factor, n.tau * factor, n.theta * factor,
                               n.delta_theta * factor, n.max_spikes))
        for layer in net.layers for n in [layer.neuron]
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        other = Network(layers, scaled, net.duration * factor)
    stretched = SpikeTrains(trains.times * factor, trains.indices, trains.offsets, trains.n_neurons)
    expected = net.forward(trains)
    out = other.forward(stretched)
    assert (out.indices == expected.indices).all()
    assert (out.times == expected.times * factor).all()


@hypothesis.given(testing.neurons(), testing.schemes(), st.floats(0.1, 0.9))
@hypothesis.settings(max_examples=100, **COMMON)
def test_below_threshold_the_potential_is_linear_in_the_weights(neuron, scheme, share):
    trains = SpikeTrains.from_samples([([0.1, 0.5, 0.5], [0, 1, 0])], 2)
    weights = np.array([[1.0, share, 1.0 + share], [-0.5, 1.0, 0.5]])
    high = Neuron(neuron.tau_s, neuron.tau, 1e100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        net = Network([(weights, high)], scheme, 2.0)
    u = net.potential(trains, np.linspace(0, 2, 41))[0]
    np.testing.assert_allclose(u[0] + u[1], u[2], rtol=0, atol=1e-12 * np.abs(u).max())


@pytest.mark.parametrize("method", ["exact", "backward-euler", "exponential-euler", "euler"])
def test_without_input_the_potential_decays(method):
    trains = SpikeTrains.from_samples([([0.0], [0])], 1)
    net = Network([(np.array([[0.5]]), Neuron(0.1, 0.2, 1.0))], Scheme(method, dt=0.01), 4.0)
    u = net.potential(trains, np.linspace(1.0, 4.0, 100))[0, 0]
    assert (np.diff(u) < 0).all() and u[-1] < 1e-6


@pytest.mark.parametrize(
    "method, order", [(m, 6 if m == "ps" else None) for m in integrators.METHODS]
)
def test_exact_is_the_limit_of_every_method(method, order):
    rng = np.random.default_rng(11)
    case = cases.well_conditioned(lambda: cases.Case(rng, Scheme(), (0.5, 1.0), 2), 1)[0][0]
    exact = case.network().forward(case.spikes)
    fine = Network(list(zip(case.weights, case.neurons)), Scheme(method, order, 1e-4), 2.0)
    out = fine.forward(case.spikes)
    assert (out.indices == exact.indices).all()
    assert np.abs(out.times - exact.times).max() < 5e-3


def test_order_five_depends_on_the_split_point_and_exact_does_not():
    """The poster's second figure: u(dt) of one step against where it is split."""

    def end(method, order, split, h=0.5):
        current, potential = 1.3, 0.4
        for part in (split, h - split):
            a, c, b = naive.propagator(method, order, part, 0.13, 0.26)
            current, potential = a * current, c * current + b * potential
        return potential

    splits = np.linspace(0.0, 0.5, 51)
    series = [end("ps", 5, s) for s in splits]
    exact = [end("exact", None, s) for s in splits]
    truncation = abs(end("ps", 5, 0.0) - exact[0])
    assert 0.5 * truncation < np.ptp(series) < 3.0 * truncation
    assert np.ptp(exact) < 1e-15


def test_an_overflow_names_layer_and_sample():
    trains = SpikeTrains.from_samples([([], []), ([0.1, 0.1], [0, 0])], 1)
    net = Network([(np.array([[1e308]]), Neuron(1.0, 2.0, 1.0))], Scheme(), 2.0)
    with pytest.raises(SimulationError, match="layer 0, sample 1"):
        net.forward(trains)
