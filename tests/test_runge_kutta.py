"""A user's own tableau is a method like any other: its textbook stages, at full speed."""

import copy
import math
import pickle
from fractions import Fraction

import cases
import naive
import numpy as np
import pytest

from lifnum import Model, Network, Neuron, RungeKutta, Scheme, SpikeTrains
from lifnum.methods import propagators
from lifnum.testing import check_integrator

EPS = np.finfo(float).eps

# name -> tableau, order for any equation, order for linear ones
KNOWN = {
    "euler": (RungeKutta([[0]], [1]), 1, 1),
    "heun": (RungeKutta([[0, 0], [1, 0]], [0.5, 0.5]), 2, 2),
    "ralston": (RungeKutta([[0, 0], [2 / 3, 0]], [0.25, 0.75]), 2, 2),
    # Shu & Osher 1988
    "ssp-rk3": (RungeKutta([[0] * 3, [1, 0, 0], [0.25, 0.25, 0]], [1 / 6, 1 / 6, 2 / 3]), 3, 3),
    "rk4": (
        RungeKutta(
            [[0] * 4, [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]
        ),
        4,
        4,
    ),
    # Kutta 1901
    "3/8": (
        RungeKutta(
            [[0] * 4, [1 / 3, 0, 0, 0], [-1 / 3, 1, 0, 0], [1, -1, 1, 0]],
            [Fraction(1, 8), Fraction(3, 8), Fraction(3, 8), Fraction(1, 8)],
        ),
        4,
        4,
    ),
    # Dormand & Prince 1980, of order 5: conditions are checked up to 4
    "dopri5": (
        RungeKutta(
            [
                [0, 0, 0, 0, 0, 0],
                [1 / 5, 0, 0, 0, 0, 0],
                [3 / 40, 9 / 40, 0, 0, 0, 0],
                [44 / 45, -56 / 15, 32 / 9, 0, 0, 0],
                [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0],
                [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0],
            ],
            [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
        ),
        4,
        5,
    ),
    # of order 3 for the neuron: the condition b . c^2 = 1/3 alone does not hold
    "linear-3": (RungeKutta([[0] * 3, [1 / 3, 0, 0], [0, 1 / 2, 0]], [0, 0, 1]), 2, 3),
    **{name: (tableau, 1, 1) for name, tableau in cases.TABLEAUX.items()},
    "sixteen-stages": (cases.random_tableau(5, 16), 1, 1),
}

every_tableau = pytest.mark.parametrize("name", KNOWN)


@every_tableau
def test_the_order_is_the_one_that_the_conditions_say(name):
    tableau, order, linear_order = KNOWN[name]
    assert (tableau.order, tableau.linear_order) == (order, linear_order)
    assert tableau.c == pytest.approx([sum(row) for row in tableau.a])
    assert Scheme(tableau, dt=0.1).convergence_order == linear_order


def textbook(tableau, f, y, h):
    """One step for any f, stage by stage."""
    slopes = []
    for row in tableau.a:
        slopes.append(f(y + h * sum((x * k for x, k in zip(row, slopes)), 0.0 * y)))
    return y + h * sum(x * k for x, k in zip(tableau.b, slopes))


@every_tableau
def test_the_order_is_the_one_that_a_nonlinear_equation_shows(name):
    """A nonlinear pair of equations, against 400 steps of rk4; every tree up to order 4 counts."""
    tableau, order, _ = KNOWN[name]

    def f(y):
        return np.array([y[0] * y[1] - 0.3 * y[0] ** 3, 1.0 - y[0] ** 2 + 0.2 * y[1]])

    start = np.array([0.8, 0.5])
    steps = 0.5 ** np.arange(2, 6)
    errors = []
    for h in steps:
        true = start
        for _ in range(400):
            true = textbook(KNOWN["rk4"][0], f, true, h / 400)
        errors.append(np.abs(textbook(tableau, f, start, h) - true).max())
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0] - 1.0
    assert order - 0.3 < slope
    assert slope < order + 0.3 or order == 4  # conditions of order 5 are not looked at


@every_tableau
@pytest.mark.parametrize("taus", cases.TIME_CONSTANTS)
def test_a_step_is_that_of_the_textbook_stages(name, taus):
    """In ulps of the largest term: of the polynomials, and of the stages of the oracle."""
    tableau = KNOWN[name][0]
    m = propagators.method(tableau, None, *taus)
    n = len(tableau.b)
    for h in min(taus) * np.linspace(0.0, 1.0, 21):
        found = propagators.propagator(m, h)
        expected = naive.propagator(tableau, None, h, *taus)
        size = sum(abs(x) for x in tableau.factors) * (1.0 + sum(map(abs, tableau.b)))
        for value, true, scale in zip(found, expected, (1.0, max(h, 1e-300), 1.0)):
            assert abs(value - true) <= (4 + n) * EPS * size * scale


def test_the_tableau_of_rk4_is_rk4():
    """To 4 ulp it must be; coefficients that are right to rounding are taken as right."""
    for name, method in (("euler", "euler"), ("heun", "rk2"), ("ralston", "rk2"), ("rk4", "rk4"),
                         ("3/8", "rk4")):  # fmt: skip
        for taus in cases.TIME_CONSTANTS:
            one = propagators.method(KNOWN[name][0], None, *taus)
            other = propagators.method(method, None, *taus)
            assert np.array_equal(one.series, other.series)
            assert one._replace(series=0) == other._replace(series=0)


@every_tableau
def test_check_integrator_accepts_a_tableau_with_its_order(name):
    tableau, _, order = KNOWN[name]
    assert abs(check_integrator(tableau).order - order) <= 0.2
    with pytest.raises(AssertionError, match=r"^order: . has .* claimed"):
        check_integrator(tableau, order=order + 1)


# tests against the oracle: sixteen stages take it long
short_tableau = pytest.mark.parametrize("name", [n for n in KNOWN if n != "sixteen-stages"])


def scheme_of(name, interpolation, gradient=None):
    return Scheme(KNOWN[name][0], None, 0.15, interpolation, gradient)


def good_case(rng, scheme, taus, depth=2, delta=0.7):
    def make():
        return cases.Case(rng, scheme, taus, depth, delta_theta=delta)

    return cases.well_conditioned(make, 1)[0][0]


@pytest.mark.parametrize("interpolation", ["dense", "linear", "none"])
@short_tableau
def test_spikes_equal_the_oracle(name, interpolation):
    rng = np.random.default_rng(1)
    for taus in cases.TIME_CONSTANTS[1:3]:
        case = good_case(rng, scheme_of(name, interpolation), taus)
        net = case.network()
        net.forward(case.spikes)
        for layer, expected in zip(net.layers, case.oracle()):
            assert layer.spikes.indices.tolist() == [q.neuron for q in expected]
            times = [q.time for q in expected]
            np.testing.assert_allclose(layer.spikes.times, times, rtol=0, atol=2e-12)


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@short_tableau
def test_adjusted_gradients_equal_the_complex_step(name, interpolation):
    rng = np.random.default_rng(2)
    for taus, depth in ((0.5, 1.0), 2), ((0.9, 0.3), 1):
        case = good_case(rng, scheme_of(name, interpolation), taus, depth)
        net = case.network()
        out = net.forward(case.spikes)
        e = rng.normal(size=len(out.times))
        gradients, d_inputs = net.backward(e, input_gradient=True)

        def loss(weights=None, inputs=None, case=case, e=e):
            layers = case.oracle(weights, inputs)
            return sum(x * q.time for x, q in zip(e, layers[-1], strict=True)).imag / 1e-30

        for k, g in enumerate(gradients):
            for direction in (rng.normal(size=g.shape), rng.normal(size=g.shape)):
                weights = [w.astype(complex) for w in case.weights]
                weights[k] += 1e-30j * direction
                scale = max(np.abs(g * direction).max(), 1e-3)
                assert abs(loss(weights) - (g * direction).sum()) <= 1e-10 * scale
        pairs = list(zip(*case.spikes[0]))
        reference = [
            loss(None, [(t + 1e-30j * (k == n), i) for n, (t, i) in enumerate(pairs)])
            for k in range(len(pairs))
        ]
        assert np.abs(d_inputs - reference).max() <= 1e-10 * np.abs(reference).max()


@pytest.mark.parametrize("name", ["ssp-rk3", "two-stages", "five-stages"])
# in one vector, or two; with up to many spikes a step
@pytest.mark.parametrize("n, delta", [(2, 0.02), (16, 1.6), (21, 0.3)])
def test_neurons_that_spike_together_equal_the_oracle(name, n, delta):
    weights = np.random.default_rng(n).uniform(5.0, 9.0, (1, n))
    neuron = Neuron(0.5, 1.0, 1.0, delta, max_spikes=60)
    trains = SpikeTrains.from_samples([([0.1, 0.4], [0, 0])], 1)
    scheme = Scheme(KNOWN[name][0], dt=0.1)
    out = Network([(weights, neuron)], scheme, 2.0).forward(trains)
    expected = naive.simulate(list(zip(*trains[0])), [weights], [neuron], scheme, 2.0)[0]
    assert out.indices.tolist() == [q.neuron for q in expected]
    np.testing.assert_allclose(out.times, [q.time for q in expected], rtol=0, atol=2e-12)
    assert len(expected) > n


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@short_tableau
def test_float32_follows_float64(name, interpolation):
    rng = np.random.default_rng(3)
    case = good_case(rng, scheme_of(name, interpolation), (0.5, 1.0))
    double = case.network()
    single = Network(
        [(w.astype(np.float32), n) for w, n in zip(case.weights, case.neurons)],
        case.scheme,
        cases.DURATION,
    )
    expected, out = double.forward(case.spikes), single.forward(case.spikes)
    assert out.counts().tolist() == expected.counts().tolist()
    order = [np.lexsort((x.times, x.indices)) for x in (out, expected)]
    # slopes of at least 0.02 theta / tau over rounding of 6e-8, through two layers
    assert np.abs(out.times[order[0]] - expected.times[order[1]]).max() < 1e-3
    gradients = double.backward(np.ones(len(expected.times)))
    for g, reference in zip(single.backward(np.ones(len(out.times))), gradients):
        assert g.dtype == np.float32
        assert np.abs(g - reference).max() <= 5e-2 * np.abs(reference).max()


@pytest.mark.parametrize("name", ["heun", "ssp-rk3", "3/8", "dopri5", "linear-3", "five-stages"])
def test_spike_times_converge_with_the_linear_order(name):
    """The exact spike lies on the coarsest grid, so that no phase blurs the slope."""
    tableau, _, order = KNOWN[name]
    c = [naive.propagator("exact", None, t, 0.5, 0.9)[1] for t in (0.8, 0.4)]
    trains = SpikeTrains.from_samples([([0.0, 0.4], [0, 1])], 2)
    neuron = Neuron(0.5, 0.9, 1.0, max_spikes=1)
    steps = 0.4 / 2.0 ** np.arange(2, 6)
    logs = []
    for w in np.random.default_rng(4).uniform(0.2, 1.0, 10):
        layer = [(np.array([[w], [(1.0 - w * c[0]) / c[1]]]), neuron)]
        exact = Network(layer, Scheme(), 2.0).forward(trains).times[0]
        times = [Network(layer, Scheme(tableau, dt=dt), 2.0).forward(trains).times for dt in steps]
        logs.append([math.log(max(abs(time[0] - exact), 1e-16)) for time in times])
    slope = np.polyfit(np.log(steps), np.mean(logs, axis=0), 1)[0]
    assert abs(slope - order) <= 0.3


def test_a_tableau_is_a_value():
    one = RungeKutta(np.array([[0, 0], [1, 0]]), np.array([0.5, 0.5]))
    assert one == KNOWN["heun"][0] and hash(one) == hash(KNOWN["heun"][0])
    assert one != KNOWN["ralston"][0] and one.label != KNOWN["ralston"][0].label
    assert repr(one) == "RungeKutta(a=((0.0, 0.0), (1.0, 0.0)), b=(0.5, 0.5))"
    assert eval(repr(one)) == one
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    with pytest.raises(AttributeError):
        one.b = (1.0, 0.0)
    scheme = Scheme(one, dt=0.01, interpolation="linear")
    assert scheme == Scheme(KNOWN["heun"][0], dt=0.01, interpolation="linear")
    assert scheme.label == f"{one.label}-dt0.01-linear"
    assert one.label.startswith("rk2-")


@pytest.mark.parametrize(
    "a, b, message",
    [
        ([[0]], [0.5], r"b has the sum 0.5; accepted: 1"),
        ([[0, 0], [1, 0]], [1e20, -1e20], r"b has the sum 0.0; accepted: 1"),
        ([[0, 0], [1, 0]], [0.5, 0.5 + 1e-12], r"b has the sum 1.000000000001; accepted: 1"),
        ([[0, 0], [1, 0.1]], [0.5, 0.5], r"a\[1\]\[1\] is 0.1; accepted: 0 on and above"),
        ([[0, 0.1], [1, 0]], [0.5, 0.5], r"a\[0\]\[1\] is 0.1; accepted: 0 on and above"),
        ([[0, 0], [math.nan, 0]], [0.5, 0.5], r"a\[1\] is .*nan.*; accepted: a sequence of finite"),
        ([[0]], [math.inf], r"b is .*inf.*; accepted: a sequence of finite"),
        ([[0]], ["1"], r"b is \['1'\]; accepted: a sequence of finite"),
        ([[0]], 1.0, r"b is 1.0; accepted: a sequence of finite"),
        (0.0, [1.0], r"a is 0.0; accepted: 1 rows"),
        ([0.0], [1.0], r"a\[0\] is 0.0; accepted: a sequence of finite"),
        ([[0, 0]], [1.0], r"a\[0\] has 2 entries; accepted: 1"),
        ([[0], [0]], [1.0], r"a has 2 rows; accepted: 1"),
        ([], [], r"b has 0 entries; accepted: 1 to 16"),
        (np.zeros((17, 17)), np.ones(17) / 17, r"b has 17 entries; accepted: 1 to 16"),
        (np.tril(np.full((5, 5), 1e200), -1), np.ones(5) / 5, r"a has entries up to 1e\+200"),
    ],
)
def test_a_tableau_that_is_none_is_refused_in_one_line(a, b, message):
    with pytest.raises(ValueError, match=message) as error:
        RungeKutta(a, b)
    assert "\n" not in str(error.value)


def test_a_scheme_refuses_a_tableau_without_dt_or_with_an_order():
    heun = KNOWN["heun"][0]
    with pytest.raises(ValueError, match="dt is None; accepted: a finite number > 0"):
        Scheme(heun)
    with pytest.raises(ValueError, match="order is 2; accepted: none for method"):
        Scheme(heun, order=2, dt=0.1)
    with pytest.raises(ValueError, match=r"accepted: exact, .* or a lifnum\.RungeKutta"):
        Scheme((heun.a, heun.b), dt=0.1)


def test_an_unstable_step_of_a_tableau_is_warned_about_by_its_label():
    heun = KNOWN["heun"][0]
    with pytest.warns(RuntimeWarning, match=f"stability limit of {heun.label}"):
        Network([(np.ones((1, 1)), Neuron(0.1, 0.2))], Scheme(heun, dt=0.5), 1.0)


def test_the_search_for_a_spike_is_not_misled_by_a_point_far_above_the_threshold():
    """An end at 1e38 makes secants so steep that the next guess hardly moves, which is no root."""
    model = Model("far", {"v": "v**2 - 0.1 + I", "I": "-I / 3"}, initial={"v": -4.0}, input="I",
                  threshold=("v", 4.0), reset={"v": -4.0})  # fmt: skip

    def field(y):
        return np.array([y[0] ** 2 - 0.1 + y[1], -y[1] / 3.0])

    def potential(weight, h):
        y = np.array([-4.0, weight])
        k1 = field(y)
        k2 = field(y + h / 2 * k1)
        k3 = field(y + h / 2 * k2)
        return (y + h / 6 * (k1 + 2 * k2 + 2 * k3 + field(y + h * k3)))[0]

    weights, inputs = np.linspace(0.2, 6.0, 60), SpikeTrains.from_samples([([0.0], [0])], 1)
    out = Network([(weights[None], model)], Scheme("rk4", dt=4.0), 4.0).forward(inputs)
    first = {neuron: time for time, neuron in reversed(list(zip(out.times, out.indices)))}
    assert len(first) == 60 and max(first.values()) < 4.0
    for neuron, time in first.items():
        around = [potential(weights[neuron], time * (1.0 + side)) for side in (-1e-13, 1e-13)]
        assert around[0] <= 4.0 <= around[1]
