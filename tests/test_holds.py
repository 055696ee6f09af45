"""Refractory times of models: spikes, states and gradients are those of the oracle."""

import itertools

import naive_models
import naive_pieces
import numpy as np
import pytest
from cases import ModelCase, check_adjusted, check_checkpoints, relative_error, tie

from lifnum import Model, Network, RungeKutta, Scheme, SimulationError, SpikeTrains, models

# onto the held variable: weights of either sign; or those of one sign, the others onto another
LIFTED = Model(name="lifted", equations={"v": "(current - v) / 10"}, parameters={"current": 3.0},
               threshold=("v", 1.0), reset={"v": "v - 1"}, refractory=1.3)  # fmt: skip
MIXED = Model(name="mixed", equations={"v": "(current - v - g) / 10", "g": "-g / 4"},
              parameters={"current": 3.0}, input=("v", "g"), threshold=("v", 1.0),
              reset={"v": 0.0, "g": "g + 0.1"}, refractory=2.2)  # fmt: skip

# model, grid step: holds that end inside a step, in the next one, or many steps later
HELD = {
    "lif": (models.lif(current=0.45).with_parameters(tau_s=8.0), 2.0, 1.5),
    "lif-coba": (models.lif_coba(current=60.0, refractory=3.0), 1.0, None),
    "eif": (models.eif(current=2.5, refractory=4.0), 0.5, None),
    "izhikevich": (models.izhikevich(current=20.0), 0.25, 2.0),
    "lifted": (LIFTED, 2.0, None),
    "mixed": (MIXED, 1.0, None),
}

METHODS = {
    "euler": ("euler", None, None),
    "heun": (RungeKutta(a=[[0, 0], [1, 0]], b=[1 / 2, 1 / 2]), None, None),
    "rk4": ("rk4", None, None),
    "ps8": ("ps", 8, None),
    "ps-1e-13": ("ps", None, 1e-13),
    "exponential-euler": ("exponential-euler", None, None),
}


def held_case(name, method, interpolation="dense", gradient=None, **options):
    model, dt, refractory = HELD[name]
    if refractory is not None:
        model = Model(**{**model.as_data(), "refractory": refractory})
    method, order, tolerance = METHODS[method]
    scheme = Scheme(method, order, dt, interpolation, gradient, tolerance, **options)
    case = ModelCase(model, scheme, size={"izhikevich": 5.0, "mixed": 0.3}.get(name, 0.2))
    if name == "mixed":
        case.weights[0][1] *= -1.0
    return case


def run(case):
    net = case.network()
    out, expected = net.forward(case.inputs()), case.oracle()
    np.testing.assert_array_equal(out.indices, [q.neuron for q in expected[0]])
    times = np.array([naive_pieces.real(q.time) for q in expected[0]])
    np.testing.assert_allclose(out.times, times, rtol=0, atol=1e-11 * case.duration)
    assert len(times) > 3
    for neuron in range(2):
        apart = np.diff(out.times[out.indices == neuron])
        assert apart.min() > case.models[0].refractory
    return net, out, expected


QUICK = {("lif-coba", "rk4"), ("lifted", "ps8"), ("mixed", "exponential-euler"),
         ("izhikevich", "rk4"), ("lif", "euler"), ("lif-coba", "ps-1e-13")}  # fmt: skip


def models_and_methods():
    """All pairs; those that compile in the long form of the tests alone are marked as slow."""
    return [
        pytest.param(*pair, marks=[] if pair in QUICK else [pytest.mark.slow])
        for pair in itertools.product(HELD, METHODS)
    ]


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@pytest.mark.parametrize(("name", "method"), models_and_methods())
def test_spikes_with_holds_are_the_oracle_s_and_adjusted_equals_complex_steps(
    name, method, interpolation
):
    case = held_case(name, method, interpolation)
    _, _, expected = run(case)
    check_adjusted(case, expected)


@pytest.mark.parametrize("interpolation", ["dense", "linear", "none"])
@pytest.mark.parametrize(
    ("name", "method"),
    [("lif", "euler"), ("lif-coba", "rk4"), ("lifted", "ps8"), ("mixed", "exponential-euler"),
     ("izhikevich", "rk4")],
)  # fmt: skip
def test_piggyback_with_holds_is_the_continuous_adjoint(name, method, interpolation):
    case = held_case(name, method, interpolation, "piggyback")
    net, out, spikes = run(case)
    d_times = np.random.default_rng(3).normal(size=len(out.times))
    (gradient,), d_inputs = net.backward(d_times, input_gradient=True)
    inputs = list(zip(case.times, case.indices))
    expected, expected_t = np.zeros_like(gradient), np.zeros(len(inputs))
    for j in range(2):
        d_w, d_t, _ = naive_models.continuous_adjoint(
            inputs, case.weights[0][:, j], naive_models.Plain(case.models[0], j), case.scheme,
            case.duration, [d for d, q in zip(d_times, spikes[0]) if q.neuron == j],
        )  # fmt: skip
        np.add.at(expected[:, j], case.indices, d_w)
        expected_t += d_t
    assert relative_error(gradient, expected) <= 1e-9
    assert relative_error(d_inputs, expected_t) <= 1e-9


def test_both_gradients_with_holds_coincide_on_a_trajectory_without_error():
    case = held_case("lif-coba", "ps-1e-13")
    net, out, _ = run(case)
    d_times = np.random.default_rng(4).normal(size=len(out.times))
    (one,), one_t = net.backward(d_times, input_gradient=True)
    (two,), two_t = net.backward(d_times, input_gradient=True, gradient="piggyback")
    assert relative_error(two, one) <= 1e-9 and relative_error(two_t, one_t) <= 1e-9


@pytest.mark.parametrize(("name", "method"), [("lif", "euler"), ("lif-coba", "rk4")])
def test_inputs_at_the_same_time_during_a_hold_have_derivatives_of_their_own(name, method):
    case = held_case(name, method)
    tie(case)
    _, out, expected = run(case)
    refractory = case.models[0].refractory
    assert any(0.0 < t - spike < refractory for t in case.times[::2] for spike in out.times)
    check_adjusted(case, expected)


@pytest.mark.parametrize("gradient", ["adjusted", "piggyback"])
@pytest.mark.parametrize("method", ["rk4", "ps8"])
@pytest.mark.parametrize("refractory", [0.0, 1.3])
def test_of_inputs_at_the_same_time_the_one_that_lifts_moves_the_spike(
    method, gradient, refractory
):
    """The second of three. The third acts on g, whose reset adds: either order gives the same."""
    model = Model(name="pushed", equations={"v": "(3 - v - g) / 10", "g": "(v - g) / 4"},
                  input=("v", "g"), threshold=("v", 1.0), reset={"v": "v - 1.5", "g": "g + 0.1*v"},
                  refractory=refractory)  # fmt: skip
    method, order, _ = METHODS[method]
    weights, found = np.array([[0.3], [1.2], [-0.2]]), []
    for apart in (0.0, 1e-8):
        inputs = SpikeTrains.from_samples([(1.3 + apart * np.arange(3), np.arange(3))], 3)
        net = Network([(weights, model)], Scheme(method, order, 0.5), 9.0)
        out = net.forward(inputs)
        assert out.times[0] == 1.3 + apart and len(out.times) > 1
        gradients, d_times = net.backward(np.cos(out.times), True, gradient=gradient)
        found.append(np.concatenate([d_times, gradients[0].ravel()]))
    assert relative_error(*found) <= 1e-6


@pytest.mark.parametrize("name", ["lif", "lifted"])
def test_holds_and_a_limit_of_spikes_hold_together(name):
    case = held_case(name, "rk4", spikes_per_step=1)
    case.models[0] = Model(**{**case.models[0].as_data(), "refractory": 0.3})
    case.scheme = Scheme("rk4", dt=4.0, spikes_per_step=1)
    net, _, expected = run(case)
    assert any(q.slope == np.inf for q in expected[0]) and net.layers[0].n_unresolved > 0
    check_adjusted(case, expected)


def test_an_integrator_s_interval_is_that_without_a_hold_and_the_hold():
    """Constant current i into a leaky neuron: t_ref - tau log(1 - theta / (tau i))."""
    tau, current, t_ref = 10.0, 0.3, 2.5
    model = Model(name="leaky", equations={"v": "i - v / tau"}, threshold=("v", 1.0),
                  parameters={"tau": tau, "i": current}, reset={"v": 0.0}, refractory=t_ref,
                  time_unit=1e-3)  # fmt: skip
    net = Network([(np.zeros((1, 1)), model)], Scheme("ps", 20, 1e-3), 0.1)
    out = net.forward(SpikeTrains.from_samples([([], [])], 1))
    interval = t_ref - tau * np.log(1.0 - 1.0 / (tau * current))
    np.testing.assert_allclose(np.diff(out.times), 1e-3 * interval, rtol=1e-12)
    times = out.times[0] + 1e-3 * np.array([0.0, 1.0, t_ref - 1e-6, t_ref + 1.0])
    v = net.potential(SpikeTrains.from_samples([([], [])], 1), times)[0, 0]
    assert (v[:3] == 0.0).all() and 0.1 < v[3] < 0.4


def test_an_input_onto_a_held_variable_is_lost_and_has_no_gradient():
    scheme = Scheme("rk4", dt=1.0)
    net = Network([(np.array([[1.5], [0.4]]), LIFTED.with_parameters(current=0.0))], scheme, 10.0)
    spikes = SpikeTrains.from_samples([([1.0, 1.7, 5.0], [0, 1, 0])], 2)
    out = net.forward(spikes)
    assert out.times.tolist() == [1.0, 5.0]
    (gradient,), d_t = net.backward([1.0, 1.0], input_gradient=True)
    np.testing.assert_array_equal(gradient, 0.0)
    np.testing.assert_allclose(d_t, [1.0, 0.0, 1.0], atol=1e-13)


def test_a_neuron_that_is_held_changes_nothing_of_its_neighbours():
    """Twenty neurons together and one by one, weights and input times."""
    case = held_case("mixed", "rk4")
    rng = np.random.default_rng(2)
    weights = 0.3 * rng.normal(size=(3, 20))
    inputs = case.inputs()
    net = Network([(weights, MIXED)], case.scheme, case.duration)
    out = net.forward(inputs)
    e = np.cos(out.times)
    (gradient,), d_t = net.backward(e, input_gradient=True)
    total = np.zeros_like(d_t)
    for j in range(20):
        one = Network([(weights[:, j : j + 1].copy(), MIXED)], case.scheme, case.duration)
        spikes = one.forward(inputs)
        np.testing.assert_array_equal(spikes.times, out.times[out.indices == j])
        (mine,), mine_t = one.backward(np.cos(spikes.times), input_gradient=True)
        np.testing.assert_array_equal(mine[:, 0], gradient[:, j])
        total += mine_t
    np.testing.assert_allclose(total, d_t, rtol=1e-12, atol=1e-12 * np.abs(d_t).max())


def test_long_runs_with_holds_are_differentiated_from_checkpoints_as_short_ones_are():
    """Both ends of segments, at 2 and 4 fifths of the run, fall into holds."""
    model = models.lif_coba(current=60.0, refractory=15.0)
    times = check_checkpoints(model, Scheme("ps", 8, dt=0.02), 40.0)
    assert all(np.any((times < end) & (end < times + 15.0)) for end in (16.0, 32.0))


def test_halvings_without_end_during_a_hold_are_an_error_that_says_where():
    """From the spike on x relaxes in 1e-10 of the step, which a tolerance halves so far."""
    model = Model(name="stiff", equations={"v": "1", "y": "0", "x": "y*y - x*x"}, input="v",
                  threshold=("v", 1.0), reset={"v": 0.0, "y": 1e10}, refractory=1.5)  # fmt: skip
    net = Network([(np.zeros((1, 1)), model)], Scheme("ps", dt=1.0, tolerance=1e-6), 3.0)
    (layer,) = net.layers
    layer.engine = layer.engine._replace(most_cuts=10_000)
    where = "neuron 0: stiff is not at the end of a step after 1, 10000 halvings"
    with pytest.raises(SimulationError, match=where):
        net.forward(SpikeTrains.from_samples([([], [])], 1))


def test_a_hold_without_a_reset_is_refused():
    with pytest.raises(ValueError, match=r"refractory is 1\.0 without a reset; accepted: 0, or a"):
        Model(name="wave", equations={"v": "1"}, threshold=("v", 1.0), refractory=1.0)
