"""The tools for users' tests accept what is right, refuse what is wrong and draw what is valid."""

import math
import sys

import cases
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from lifnum import Neuron, Scheme, SpikeTrains, testing
from lifnum.methods import propagators

METHODS = [(name, None) for name in propagators.METHODS if name != "ps"]
METHODS += [("ps", order) for order in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 23, 24, 32)]

DRAWS = hypothesis.settings(deadline=None, derandomize=True, max_examples=100)


@pytest.mark.parametrize("name, order", METHODS)
def test_check_integrator_accepts_every_method(name, order):
    report = testing.check_integrator(name, order=order)
    known = Scheme(name, order, 0.1).convergence_order
    assert report.order == known or abs(report.order - known) <= 0.05
    assert report.derivative_error <= 1e-14
    assert report.limit_error <= 1e-14


# ratios from 1/1000 to 1000, units from 1e-100 to 1e100
EXTREME = [(1.0, 1e-3), (1e-103, 1e-100), (1e100, 1e97)]


@pytest.mark.parametrize("taus", EXTREME, ids=str)
@pytest.mark.parametrize(
    "name, order",
    [
        *((name, None) for name in propagators.METHODS if name not in ("rk2", "rk4", "ps")),
        ("ps", 9),
    ],
)
def test_check_integrator_accepts_any_time_constants(name, order, taus):
    testing.check_integrator(name, order=order, tau_s=taus[0], tau=taus[1])


def exact(h, tau_s, tau):
    """Written without cancellation at any h and ratio."""
    mean, x = 0.5 * (1 / tau_s + 1 / tau), 0.5 * h * (1 / tau_s - 1 / tau)
    a, b = np.exp(-h / tau_s), np.exp(-h / tau)
    if abs(x) > 1.0:
        return a, (b - a) * h / (2 * x), b
    phi = 1 + x * x / 6 if abs(x) < 1e-3 else np.sinh(x) / x
    return a, h * np.exp(-mean * h) * phi, b


def backward_euler(h, tau_s, tau):
    a, b = 1 / (1 + h / tau_s), 1 / (1 + h / tau)
    return a, h * a * b, b


SOUND = {"exact": (exact, math.inf), "backward-euler": (backward_euler, 1), "order-3": (None, 3)}


def with_c(name, changed):
    """A sound method whose c is changed(h, tau_s, tau, a, c, b), and its order."""
    method, order = SOUND[name]
    method = method or series(3)

    def propagator(h, tau_s, tau):
        a, c, b = method(h, tau_s, tau)
        return a, changed(h, tau_s, tau, a, c, b), b

    return propagator, order


# c goes wrong near the limit, in long steps, far from the limit, in short steps
FAULTS = {
    "h a where tau is within 1 % of tau_s": lambda h, tau_s, tau, a, c, b: (
        h * a if abs(tau / tau_s - 1) < 0.01 else c
    ),
    "half as much again beyond 2.5 tau": lambda h, tau_s, tau, a, c, b: (
        1.5 * c if h.real > 2.5 * tau else c
    ),
    "wrong for ratios above 3": lambda h, tau_s, tau, a, c, b: (
        c * (1 + 0.01 * h / tau) if max(tau / tau_s, tau_s / tau) > 3 else c
    ),
    "cancels in short steps": lambda h, tau_s, tau, a, c, b: (
        (b - a) / (1 / tau_s - 1 / tau) if abs(tau / tau_s - 1) > 0.3 else c
    ),
    "loses digits in short steps": lambda h, tau_s, tau, a, c, b: (c + tau) - tau,
}


@pytest.mark.parametrize("name", SOUND)
def test_check_integrator_accepts_what_the_faults_are_made_from(name):
    propagator, order = with_c(name, lambda h, tau_s, tau, a, c, b: c)
    for claimed in (order, None):
        assert testing.check_integrator(propagator, order=claimed).order >= order - 0.05


@pytest.mark.parametrize("claimed", [True, False], ids=["claimed", "measured"])
@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("fault", FAULTS)
def test_check_integrator_refuses_a_c_that_is_wrong_somewhere(fault, name, claimed):
    """Whatever the order claimed: a first-order method may err like these, but not jump."""
    propagator, order = with_c(name, FAULTS[fault])
    where = r"(?:c is|c has|c / h is|in c is) .* at h = .*, tau_s = .*, tau = .*$"
    with pytest.raises(AssertionError, match=rf"^(?:order|smoothness): .*{where}") as error:
        testing.check_integrator(propagator, order=order if claimed else None)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_check_integrator_refuses_faults_in_any_unit(scale):
    for fault in FAULTS.values():
        propagator, order = with_c("backward-euler", fault)
        with pytest.raises(AssertionError, match=r"^(?:order|smoothness): "):
            testing.check_integrator(propagator, order=order, tau_s=scale, tau=2 * scale)


def test_check_integrator_refuses_a_derivative_that_is_wrong_in_long_steps_alone():
    def derivative(h, tau_s, tau):
        a, c, b = midpoint_derivative(h, tau_s, tau)
        return a, c * (1.5 if h > 2.5 * max(tau_s, tau) else 1.0), b

    with pytest.raises(AssertionError, match=r"^derivative: c' is "):
        testing.check_integrator(midpoint, derivative, order=2)


def midpoint(h, tau_s, tau):
    """A user's own method: the exponential midpoint rule, of order 2, exact for tau = tau_s."""
    k = 0.5 * (1 / tau_s + 1 / tau)
    return np.exp(-h / tau_s), h * np.exp(-k * h), np.exp(-h / tau)


def midpoint_derivative(h, tau_s, tau):
    k = 0.5 * (1 / tau_s + 1 / tau)
    return -np.exp(-h / tau_s) / tau_s, (1 - k * h) * np.exp(-k * h), -np.exp(-h / tau) / tau


def test_check_integrator_measures_a_users_own_method():
    report = testing.check_integrator(midpoint, midpoint_derivative, order=2)
    assert abs(report.order - 2) < 0.01
    assert report.derivative_error < 1e-14
    assert abs(testing.check_integrator(midpoint).order - 2) < 0.01
    assert math.isnan(testing.check_integrator(midpoint).derivative_error)


def padé(order):
    """Diagonal Padé approximants of the exponentials: order 2 m, with poles."""
    p = np.array([math.comb(order // 2, k) / math.comb(order, k) / math.factorial(k)
                  for k in range(order // 2 + 1)])  # fmt: skip

    nodes, weights = np.polynomial.legendre.leggauss(12)

    def value(x):
        return np.polyval(p[::-1], x) / np.polyval(p[::-1], -x)

    def propagator(h, tau_s, tau):
        # Gauss-Legendre quadrature of the mean of R' between the arguments: no division by 0
        x, y = -h / tau_s, -h / tau
        middle = slope(0.5 * (x + y) + 0.5 * (x - y) * nodes)
        return value(x), h * (weights @ middle) / 2, value(y)

    def slope(x):
        top, bottom = np.polyval(p[::-1], x), np.polyval(p[::-1], -x)
        d = np.polyder(p[::-1])
        return (np.polyval(d, x) * bottom + top * np.polyval(d, -x)) / bottom**2

    return propagator


@pytest.mark.parametrize("order", [4, 8, 10, 14])
def test_check_integrator_accepts_implicit_methods_of_high_order(order):
    report = testing.check_integrator(padé(order), order=order)
    assert abs(report.order - order) <= 0.2


@pytest.mark.parametrize("order", [4, 6, 8, 10, 14])
def test_check_integrator_refuses_an_order_above_that_of_an_implicit_method(order):
    with pytest.raises(AssertionError, match=r"^order: "):
        testing.check_integrator(padé(order), order=order + 1)


def series(order):
    def propagator(h, tau_s, tau):
        return propagators.propagator.py_func(propagators.method("ps", order, tau_s, tau), h)

    return propagator


@pytest.mark.parametrize("order", [*range(1, 13), 16, 24, 31])
def test_check_integrator_refuses_one_order_too_many(order):
    with pytest.raises(AssertionError, match=r"^order: .* claimed"):
        testing.check_integrator(series(order), order=order + 1)


@pytest.mark.parametrize("order", [2, math.inf])
def test_check_integrator_refuses_euler_as_anything_better(order):
    with pytest.raises(AssertionError, match=rf"^order: .* claimed {order}"):
        testing.check_integrator("euler", order=order)


def test_check_integrator_refuses_a_series_of_order_32_as_exact():
    with pytest.raises(AssertionError, match=r"^order: . is .* claimed inf at h = "):
        testing.check_integrator(series(32), order=math.inf)


def test_an_error_says_which_property_where_and_the_values():
    def wrong(h, tau_s, tau):
        a, c, b = midpoint_derivative(h, tau_s, tau)
        return a, c * (1 + 1e-11 * h), b

    with pytest.raises(AssertionError) as error:
        testing.check_integrator(midpoint, wrong, order=2, tau_s=0.5, tau=0.75)
    message = str(error.value)
    assert message.startswith("derivative: c' is 0.")
    assert "by complex step" in message
    assert message.endswith("tau_s = 0.5, tau = 0.75")


@pytest.mark.parametrize("entry, name", list(enumerate("acb")))
def test_check_integrator_refuses_a_derivative_wrong_in_any_entry(entry, name):
    def wrong(h, tau_s, tau):
        values = list(midpoint_derivative(h, tau_s, tau))
        values[entry] += 1e-9 * h
        return values

    with pytest.raises(AssertionError, match=rf"^derivative: {name}' "):
        testing.check_integrator(midpoint, wrong)


@pytest.mark.parametrize(
    "c, entry",
    [
        (lambda h, tau_s, tau: 1e-9 + h * np.exp(-h / tau), "c is"),
        (lambda h, tau_s, tau: 1.001 * h * np.exp(-h / tau), "c' is"),
        (lambda h, tau_s, tau: h * np.exp(-h / tau) / tau, "c' is"),  # tau du/dt = -u + I
    ],
)
def test_check_integrator_refuses_an_inconsistent_c(c, entry):
    def propagator(h, tau_s, tau):
        return np.exp(-h / tau_s), c(h, tau_s, tau), np.exp(-h / tau)

    with pytest.raises(AssertionError, match=f"^consistency: {entry}"):
        testing.check_integrator(propagator)


def test_check_integrator_refuses_a_and_b_exchanged():
    with pytest.raises(AssertionError, match=r"^consistency: a' is"):
        testing.check_integrator(lambda *args: midpoint(*args)[::-1])


@pytest.mark.parametrize("guard", [0.0, 1e-13, 1e-9])
def test_check_integrator_refuses_a_form_that_cancels_as_tau_nears_tau_s(guard):
    """The textbook's difference of two exponentials, with a branch for (nearly) equal ones."""

    def cancelling(h, tau_s, tau):
        a, b, difference = np.exp(-h / tau_s), np.exp(-h / tau), 1 / tau - 1 / tau_s
        near = abs(tau_s / tau - 1) <= guard
        return a, h * a if near else (a - b) / difference, b

    with pytest.raises(AssertionError, match=r"^limit tau -> tau_s: c is"):
        testing.check_integrator(cancelling, order=math.inf)


def test_check_integrator_refuses_a_division_by_zero_at_equal_time_constants():
    def dividing(h, tau_s, tau):
        a, b = np.exp(-h / tau_s), np.exp(-h / tau)
        return a, (a - b) / (1 / tau - 1 / tau_s), b

    with pytest.raises(AssertionError, match=r"at h = 0, tau_s = 0.13, tau = 0.13$"):
        testing.check_integrator(dividing)


def test_check_integrator_refuses_one_side_of_the_limit_alone():
    def one_sided(h, tau_s, tau):
        a, c, b = midpoint(h, tau_s, tau)
        return a, c if tau >= tau_s else c * (1 + 1e-9 * h), b

    with pytest.raises(AssertionError, match=r"^limit tau -> tau_s: c is"):
        testing.check_integrator(one_sided)


def test_functions_that_refuse_complex_numbers_are_pointed_to_those_that_take_them():
    def refusing(h, tau_s, tau):
        return math.exp(-h / tau_s), h * math.exp(-h / tau), math.exp(-h / tau)

    with pytest.raises(AssertionError, match="NumPy's functions"):
        testing.check_integrator(refusing)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"propagator": "runge"}, "propagator is 'runge'; accepted: exact, "),
        ({"propagator": "ps"}, "order is None; accepted: 1 to 32"),
        ({"propagator": "ps", "order": 33}, "order is 33; accepted: 1 to 32"),
        ({"propagator": midpoint, "order": -1}, "order is -1; accepted: "),
        ({"propagator": midpoint, "order": 1.5}, "order is 1.5; accepted: "),
        ({"propagator": midpoint, "tau": 0.0}, "tau is 0.0; accepted: "),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        testing.check_integrator(**arguments)


@pytest.mark.parametrize("taus", [*cases.TIME_CONSTANTS, (0.5, 0.5 * (1 + 1e-9))])
def test_analytic_potential_solves_the_differential_equations(taus):
    """Between its events, in any order, against an integrator of scipy at its tightest."""
    rng = np.random.default_rng(0)
    neuron = Neuron(*taus, theta=1.0, delta_theta=0.7)
    inputs, weights = rng.uniform(0.0, 2.0, 6), rng.normal(0.0, 5.0, 6)
    outputs = rng.uniform(0.0, 2.0, 3)
    events = sorted([(t, w, 0.0) for t, w in zip(inputs, weights)]
                    + [(t, 0.0, -neuron.delta_theta) for t in outputs])  # fmt: skip
    state, now = np.zeros(2), 0.0
    for time, d_current, d_potential in [*events, (2.5, 0.0, 0.0)]:
        times = np.linspace(now, time, 5)
        path = solve_ivp(
            lambda _, y: (-y[0] / neuron.tau_s, y[0] - y[1] / neuron.tau), (now, time), state,
            t_eval=times, rtol=1e-12, atol=1e-13, method="DOP853",
        ).y  # fmt: skip
        u = testing.analytic_potential(neuron, inputs, weights, outputs, times[:-1])
        # the tolerances of the integrator, over a few pieces
        np.testing.assert_allclose(u, path[1, :-1], rtol=0, atol=1e-10)
        state, now = path[:, -1] + (d_current, d_potential), time


def test_analytic_potential_is_right_continuous_and_keeps_the_shape():
    neuron = Neuron(0.5, 1.0, theta=1.0, delta_theta=0.7)
    t = np.array([[np.nextafter(1.0, 0.0), 1.0], [0.0, -1.0]])
    u = testing.analytic_potential(neuron, [0.0], [3.0], [1.0], t)
    assert u.shape == (2, 2)
    assert u[0, 0] - u[0, 1] == pytest.approx(0.7, rel=1e-14)
    assert u[1].tolist() == [0.0, 0.0]
    assert testing.analytic_potential(neuron, [], [], [], 1.0).shape == ()
    with pytest.raises(ValueError, match=r"input_weights have shape \(2,\); accepted"):
        testing.analytic_potential(neuron, [0.0], [1.0, 2.0], [], t)


@pytest.mark.parametrize("taus", cases.TIME_CONSTANTS)
def test_the_potential_of_an_exact_network_is_the_analytic_one(taus):
    """With the resets of its own spikes; at and between events."""
    case = cases.Case(np.random.default_rng(1), Scheme(), taus, depth=1)
    net = case.network()
    out = net.forward(case.spikes)
    assert len(out.times) > 0
    t = np.concatenate([np.linspace(0.0, cases.DURATION, 300), case.times])
    u = net.potential(case.spikes, t)[0]
    times, indices = case.spikes[0]
    for j in range(u.shape[0]):
        weights, outputs = case.weights[0][indices, j], out.times[out.indices == j]
        # t at a spike itself falls on either side of it
        off = (abs(t[:, None] - outputs) > 1e-12).all(axis=1)
        expected = testing.analytic_potential(case.neurons[0], times, weights, outputs, t)
        np.testing.assert_allclose(u[j, off], expected[off], rtol=0, atol=1e-12)


@hypothesis.given(testing.neurons(tau_s=(0.1, 0.2), tau_ratio=(0.5, 4.0), max_spikes=3))
@DRAWS
def test_neurons_lie_in_the_ranges_asked_for(neuron):
    assert 0.1 <= neuron.tau_s <= 0.2
    assert 0.5 * neuron.tau_s <= neuron.tau <= 4.0 * neuron.tau_s
    assert 1 <= neuron.max_spikes <= 3


@hypothesis.given(st.data(), st.integers(0, 3), st.integers(0, 3), st.booleans())
@DRAWS
def test_spike_trains_are_valid_and_inside_what_was_asked_for(data, n_neurons, batch, beyond):
    trains = data.draw(testing.spike_trains(n_neurons, batch, 0.7, max_spikes=4, beyond=beyond))
    SpikeTrains(trains.times, trains.indices, trains.offsets, trains.n_neurons)  # checks itself
    assert (len(trains), trains.n_neurons) == (batch, n_neurons)
    assert trains.counts().sum(axis=1).max(initial=0) <= 4
    assert (trains.times <= 1.5 * 0.7).all() if beyond else (trains.times < 0.7).all()


@hypothesis.given(testing.schemes(methods=("ps", "exact"), interpolations=("linear", "none")))
@DRAWS
def test_schemes_are_of_the_kinds_asked_for(scheme):
    assert scheme.method in ("ps", "exact")
    assert scheme.interpolation in ("linear", "none")
    assert scheme.order is None or 1 <= scheme.order <= 8


@pytest.mark.parametrize("name", ["methods", "interpolations", "gradients"])
@pytest.mark.parametrize("value", [(), ("eulr",), "dense"])
def test_schemes_name_a_choice_that_does_not_exist(name, value):
    with pytest.raises(ValueError, match=f"{name} are .* accepted: a sequence of "):
        testing.schemes(**{name: value})


@hypothesis.given(testing.networks(), st.data())
@DRAWS
def test_networks_run_forward_and_backward(network, data):
    """Without the warning of an unstable step (an error in these tests), overflow or NaN."""
    net, duration = network
    assert net.duration == duration
    trains = data.draw(testing.spike_trains(len(net.weights[0]), 2, duration, beyond=True))
    out = net.forward(trains)
    gradients, d_inputs = net.backward(np.ones_like(out.times), input_gradient=True)
    for gradient, weights in zip(gradients, net.weights):
        assert gradient.shape == weights.shape and np.isfinite(gradient).all()
    assert d_inputs.shape == trains.times.shape and np.isfinite(d_inputs).all()


@hypothesis.given(testing.networks(scheme=Scheme("exact"), max_depth=1), st.data())
@DRAWS
def test_the_potential_of_uncapped_neurons_never_exceeds_theta(network, data):
    """The poster's first figure, under the analytic solution of the network's own spikes."""
    net, duration = network
    trains = data.draw(testing.spike_trains(len(net.weights[0]), 1, duration))
    net.forward(trains)
    layer, (times, indices) = net.layers[0], trains[0]
    hypothesis.assume(layer.n_capped == 0)
    t = np.linspace(0.0, duration, 50)
    single = layer.weights.dtype == np.float32
    for j in range(layer.weights.shape[1]):
        weights = layer.weights[indices, j].astype(float)
        outputs = layer.spikes.times[layer.spikes.indices == j]
        u = testing.analytic_potential(layer.neuron, times, weights, outputs, t)
        # rounding of the sums of inputs, whose weights are up to 11 theta over a time constant
        slack = (1e-3 if single else 1e-11) * layer.neuron.theta
        assert u.max() <= layer.neuron.theta + slack


def test_strategies_shrink_to_small_cases():
    def smallest(strategy, condition):
        settings = hypothesis.settings(DRAWS, max_examples=500, database=None)
        return hypothesis.find(strategy, condition, settings=settings)

    net, _ = smallest(testing.networks(), lambda network: network[0].weights[0].max() > 3)
    assert [w.shape for w in net.weights] == [(1, 1)]
    assert net.scheme == Scheme("exact")
    neuron = smallest(testing.neurons(), lambda neuron: neuron.max_spikes > 3)
    assert neuron == Neuron(1.0, 2.0, 1.0, 1.0, max_spikes=4)
    trains = smallest(testing.spike_trains(3, 2), lambda trains: len(trains.times) >= 2)
    assert trains.times.tolist() == [0.0, 0.0] and trains.indices.tolist() == [0, 0]


@pytest.mark.parametrize("strategy", ["neurons", "schemes", "networks"])
def test_a_missing_hypothesis_is_named_in_one_line(strategy, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match=r"pip install lifnum\[test\]$") as error:
        getattr(testing, strategy)()
    assert "\n" not in str(error.value)
