"""Networks of models by equations: spikes and gradients are those of the oracle."""

import itertools

import naive_models
import naive_pieces
import numba
import numpy as np
import pytest
from cases import SETTINGS, check_adjusted, check_checkpoints, on_their_own, relative_error, tie
from model_cases import SCHEMES, well_conditioned

from lifnum import (
    Model,
    Network,
    Neuron,
    Scheme,
    SimulationError,
    SpikeTrains,
    models,
)


def settings(schemes, interpolations):
    """(model, scheme, interpolation) of all, those in the long form alone marked as slow."""
    short = {("rk4", "dense"), ("ps3", "dense"), ("exponential-euler", "linear")}
    return [
        pytest.param(
            name, scheme, interpolation,
            marks=[] if name == "izhikevich" or (scheme, interpolation) in short
            else [pytest.mark.slow],
        )
        for name, scheme, interpolation in itertools.product(SETTINGS, schemes, interpolations)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "scheme", "interpolation"), settings(SCHEMES, ["dense", "linear", "none"])
)
def test_spike_times_of_every_model_equal_the_oracle_s(name, scheme, interpolation):
    case, expected = well_conditioned([name], scheme, interpolation)
    out = case.network().forward(case.inputs())
    times = np.array([naive_pieces.real(q.time) for q in expected[0]])
    np.testing.assert_array_equal(out.indices, [q.neuron for q in expected[0]])
    # errors of rounding grow along a trajectory: 1e-11 of its length
    np.testing.assert_allclose(out.times, times, rtol=0, atol=1e-11 * case.duration)


GRADIENT_SCHEMES = ["euler", "rk2", "rk4", "ps3", "ps-1e-13", "exponential-euler"]


# a chord over the end of adex's explosion, 4e14 mV/ms: what halves its piece is decided by rounding
ROUGH = ("adex", "ps-1e-13", "linear")


@pytest.mark.parametrize(
    ("name", "scheme", "interpolation"),
    [one for one in settings(GRADIENT_SCHEMES, ["dense", "linear"]) if one.values != ROUGH],
)
def test_adjusted_of_every_model_and_method_equals_complex_steps(name, scheme, interpolation):
    check_adjusted(*well_conditioned([name], scheme, interpolation))


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@pytest.mark.parametrize(
    ("names", "scheme"),
    [(["qif", "izhikevich"], "rk4"), (["izhikevich", "qif"], "ps7"), (["eif", "eif"], "rk2"),
     (["fitzhugh-nagumo", "lif"], "exponential-euler")],
)  # fmt: skip
def test_adjusted_through_two_layers_of_different_kinds_equals_complex_steps(
    names, scheme, interpolation
):
    check_adjusted(*well_conditioned(names, scheme, interpolation))


@pytest.mark.parametrize(
    ("name", "scheme"), [("qif", "euler"), ("izhikevich", "ps7"), ("lif", "exponential-euler")]
)
def test_inputs_at_the_same_time_have_derivatives_of_their_own(name, scheme):
    """Each as if the others stayed, in their order; against complex steps too."""
    case, spikes = well_conditioned([name], scheme, "dense")
    tie(case)
    times, spikes = case.times, case.oracle()
    check_adjusted(case, spikes)
    found = []
    for apart in (0.0, 1e-8):
        case.times = times + apart * np.arange(len(times))
        net = case.network()
        out = net.forward(case.inputs())
        found.append(net.backward(np.cos(out.times), input_gradient=True)[1])
    assert relative_error(found[0], found[1]) <= 1e-5


@pytest.mark.parametrize("scheme", ["euler", "ps7", "ps-1e-6"])
def test_an_input_at_the_smallest_time_has_a_derivative_with_all_digits(scheme):
    """Coefficients with the powers of such a step inside have lost theirs."""
    found = []
    for time in (5e-324, 1e-13):
        case, _ = well_conditioned(["lif-coba"], scheme, "dense")
        case.times[0] = time
        net = case.network()
        for _ in range(2):
            out = net.forward(case.inputs())
            found.append(net.backward(np.cos(out.times), input_gradient=True)[1][0])
            on_their_own(net.layers[0])
    assert abs(found[3]) > 1e-6
    np.testing.assert_allclose(found[:3], found[3], rtol=1e-6)


@pytest.mark.parametrize("interpolation", ["dense", "linear", "none"])
def test_states_are_right_continuous_and_those_of_the_trajectory(interpolation):
    case, spikes = well_conditioned(["izhikevich"], "rk4", interpolation)
    net, scheme = case.network(), case.scheme
    out = net.forward(case.inputs())
    grid = np.arange(1, round(case.duration / scheme.dt)) * scheme.dt
    u = net.state(case.inputs(), grid, "u")[0]
    trace = []
    plain = naive_models.Plain(case.models[0], 0)
    inputs = list(zip(case.times, case.indices))
    naive_models.simulate_neuron(inputs, case.weights[0][:, 0], plain, scheme, case.duration, 0,
                                 naive_pieces.Conditioning(), trace)  # fmt: skip
    pieces = [np.real(y) for kind, y, *_ in trace if kind == "piece"]
    for value in u[0]:  # every grid point begins a piece of the oracle's
        assert min(abs(value - y[1]) for y in pieces) < 1e-9
    v = net.state(case.inputs(), out.times, "v")[0]
    for q, j in enumerate(out.indices):
        assert v[j, q] == pytest.approx(-65.0, abs=1e-9)  # reset already
    if interpolation != "none":
        before = net.potential(case.inputs(), out.times - 1e-9)[0]
        for q, j in enumerate(out.indices):
            assert 29.9 < before[j, q] < 30.0
    unsorted = net.state(case.inputs(), [5.0, 1.0, 3.0], "I")
    np.testing.assert_array_equal(
        unsorted, net.state(case.inputs(), [1, 3, 5], "I")[:, :, [2, 0, 1]]
    )
    with pytest.raises(ValueError, match="variable is 'w'; accepted: v, u, I"):
        net.state(case.inputs(), [1.0], "w")


@pytest.mark.parametrize("method", [("ps", 1), ("ps", 3), ("ps", 6), ("exponential-euler", None)])
@pytest.mark.parametrize("interpolation", ["dense", "linear"])
def test_the_equations_of_neuron_give_its_spikes_and_gradients(method, interpolation):
    """The general passes and the fast ones are each other's test."""
    rng = np.random.default_rng(5)
    scheme = Scheme(*method, dt=0.7, interpolation=interpolation)
    weights = [rng.normal(0.15, 0.25, (5, 6)), rng.normal(0.2, 0.25, (6, 3))]
    inputs = SpikeTrains.from_samples(
        [(rng.uniform(0, 30, 12), rng.integers(0, 5, 12)) for _ in range(3)], 5
    )
    kinds = {
        "fast": [Neuron(5.0, 10.0, 1.0, 0.8, 20)] * 2,
        "general": [models.lif(delta_theta=0.8, max_spikes=20)] * 2,
        "mixed": [Neuron(5.0, 10.0, 1.0, 0.8, 20), models.lif(delta_theta=0.8, max_spikes=20)],
    }
    results = {}
    for kind, neurons in kinds.items():
        net = Network(list(zip(weights, neurons)), scheme, 40.0)
        out = net.forward(inputs)
        d_times = np.sin(np.arange(len(out.times)))
        results[kind] = out, net.backward(d_times, input_gradient=True)
    out, (gradients, d_inputs) = results["fast"]
    assert len(out.times) > 10
    for kind in ("general", "mixed"):
        other, (other_gradients, other_d) = results[kind]
        np.testing.assert_array_equal(other.indices, out.indices)
        np.testing.assert_allclose(other.times, out.times, rtol=0, atol=1e-12 * 40)
        for one, two in zip(gradients, other_gradients):
            np.testing.assert_allclose(two, one, rtol=1e-10, atol=1e-10 * np.abs(one).max())
        np.testing.assert_allclose(
            other_d, d_inputs, rtol=1e-10, atol=1e-10 * np.abs(d_inputs).max()
        )


def test_what_models_are_not_simulated_with_is_refused_in_one_line():
    w, qif = np.ones((2, 3)), models.qif()

    def refused(message, model=qif, weights=w, **scheme):
        with pytest.raises(ValueError, match=message) as error:
            Network([(weights, model)], Scheme(**({"method": "rk4", "dt": 0.1} | scheme)), 10.0)
        assert "\n" not in str(error.value)

    refused("method is 'exact' for qif: the solution is not known", method="exact")
    refused("method is 'backward-euler' for qif: it is not explicit", method="backward-euler")
    refused("method is 'trapezoidal' for qif: it is not explicit", method="trapezoidal")
    refused("4 entries; accepted: numbers, or arrays of length 3",
            model=models.qif(tau=[1.0, 2.0, 3.0, 4.0]))  # fmt: skip
    refused("tolerance is 1e-06; accepted: None", method="rk4", tolerance=1e-6)
    refused("tolerance is 1e-17; accepted: None, or from 8.9e-16", method="ps", tolerance=1e-17)
    refused("order is 3; accepted: none beside a tolerance", method="ps", order=3, tolerance=1e-6)
    refused("overshoot is 'jump'; accepted: again, several, lose", overshoot="jump")
    refused("tolerance is 1e-06; accepted: None for a layer of Neuron", model=Neuron(),
            method="ps", tolerance=1e-6)  # fmt: skip


def run(model, weights, samples, scheme, duration=10.0):
    net = Network([(np.array(weights), model)], scheme, duration)
    return net, net.forward(SpikeTrains.from_samples(samples, len(weights)))


EULER = Scheme("euler", dt=0.1)


def test_an_overflow_names_layer_sample_neuron_variable_and_time():
    model = Model(name="runaway", equations={"v": "-v", "x": "x**2 + 1"}, input="v",
                  threshold=("v", 1.0), reset={"v": 0.0})  # fmt: skip
    with pytest.raises(SimulationError, match="layer 0, sample 0, neuron 0: x of runaway is not"):
        run(model, [[0.1]], [([0.1], [0])], Scheme("rk4", dt=0.1))


def test_a_reset_that_is_not_below_the_threshold_names_layer_and_sample():
    model = Model(name="high", equations={"v": "1", "n": "0"}, threshold=("v", 1.0), input="n",
                  reset={"v": "n", "n": "n + 1"})  # fmt: skip
    with pytest.raises(SimulationError, match="layer 0, sample 0, neuron 0: the reset of high"):
        run(model, [[0.1]], [([0.1], [0])], EULER)


def test_a_neuron_lifted_above_its_threshold_fires_at_once_and_its_spike_moves_with_the_input():
    model = Model(name="delta", equations={"v": "-v"}, threshold=("v", 1.0), reset={"v": "v - 1"})
    net, out = run(model, [[1.5]], [([3.0, 3.2], [0, 0])], EULER)
    assert out.times[0] == 3.0
    (gradient,), d_t = net.backward(np.arange(1.0, 1.0 + len(out.times)), input_gradient=True)
    assert len(out.times) == 2
    np.testing.assert_allclose(d_t, [1.0, 2.0], atol=1e-13)
    np.testing.assert_array_equal(gradient, 0.0)


def test_overshoot_says_what_a_neuron_does_that_stays_above_under_none():
    model = Model(name="step", equations={"v": "0"}, threshold=("v", 1.0), reset={"v": "v - 1"})
    spikes = {}
    for overshoot in ("again", "several", "lose"):
        scheme = Scheme("euler", dt=1.0, interpolation="none", overshoot=overshoot)
        spikes[overshoot] = run(model, [[3.5]], [([2.0], [0])], scheme)[1].times.tolist()
    assert spikes == {"again": [3.0, 4.0, 5.0], "several": [3.0] * 3, "lose": [3.0]}


def test_the_cap_silences_a_neuron_and_parameters_may_differ_between_neurons():
    model = models.izhikevich(current=[10.0, 0.0, 20.0], max_spikes=2)
    net, out = run(model, np.zeros((1, 3)), [([], [])] * 2, Scheme("rk4", dt=0.25), 200.0)
    np.testing.assert_array_equal(out.counts(), [[2, 0, 2]] * 2)
    assert (net.layers[0].n_capped, net.layers[0].n_suppressed) == (4, 4)


def test_long_runs_are_differentiated_from_checkpoints_as_short_ones_are():
    times = check_checkpoints(models.qif(current=0.1), Scheme("ps", 8, dt=0.02), 40.0)
    assert times[-1] > 0.9 * 40.0


def test_bits_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(8)
    model = models.qif(current=0.05)
    inputs = SpikeTrains.from_samples(
        [(rng.uniform(0, 20, 9), rng.integers(0, 3, 9)) for _ in range(5)], 3
    )
    weights = rng.normal(0.1, 0.1, (3, 20))
    results, threads = [], numba.get_num_threads()
    for n in (1, threads):
        numba.set_num_threads(n)
        net = Network([(weights, model)],
                      Scheme("ps", 8, dt=0.5), 20.0)  # fmt: skip
        out = net.forward(inputs)
        (gradient,), d_t = net.backward(np.cos(out.times), input_gradient=True)
        results.append((out.times, gradient, d_t))
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dt", [0.2, 3.2, 12.8])
def test_a_spike_at_the_end_of_an_explosion_has_the_derivative_of_its_time(dt):
    """At v_peak 20 mV adex rises by 4e14 mV/ms, and has 5e-15 ms to live: some 47 halvings."""
    model = models.BUILT_IN["adex"](current=900.0)
    scheme = Scheme("ps", None, dt, tolerance=1e-13)
    inputs = SpikeTrains.from_samples([([0.1], [0])], 1)

    def network(weight):
        net = Network([(np.array([[weight]]), model)], scheme, 8.0)
        return net, net.forward(inputs).times

    net, times = network(1800.0)
    (gradient,) = net.backward(np.ones(1))
    by_weight = (network(1800.002)[1] - network(1799.998)[1]) / 0.004
    np.testing.assert_allclose(times, 4.50291953, rtol=1e-9)
    np.testing.assert_allclose(gradient[0], by_weight, rtol=1e-8)


def test_a_chord_of_a_halved_step_makes_spike_times_a_sawtooth_with_its_own_derivative():
    """Right on average over weights, and `adjusted` is the slope of the tooth, not the average."""
    model = models.BUILT_IN["adex"](current=900.0, v_peak=-30.0)
    inputs = SpikeTrains.from_samples([([0.1], [0])], 1)

    def run(weight, interpolation="linear"):
        scheme = Scheme("ps", None, 0.2, interpolation, tolerance=1e-13)
        net = Network([(np.array([[weight]]), model)], scheme, 8.0)
        return net, net.forward(inputs).times[0]

    def slope(step):
        return (run(1800.0 + step)[1] - run(1800.0 - step)[1]) / (2.0 * step)

    gradient, smooth = (run(1800.0, how)[0].backward(np.ones(1))[0][0, 0]
                        for how in ("linear", "dense"))  # fmt: skip
    np.testing.assert_allclose(gradient, slope(1e-4), rtol=1e-6)
    assert abs(gradient / smooth - 1.0) > 0.05  # the tooth's
    np.testing.assert_allclose(slope(5.0), smooth, rtol=0.01)  # the average


@pytest.mark.parametrize("weight", [-1e20, -1e26])
def test_a_step_that_a_tolerance_cuts_without_end_is_an_error_that_says_where(weight):
    """The relaxation of v takes 1e-10 or less, the current that drives it milliseconds."""
    scheme = Scheme("ps", dt=1.0, tolerance=1e-6)
    net = Network([(np.array([[0.0, weight]]), models.qif())], scheme, 2.0)
    (layer,) = net.layers
    layer.engine = layer.engine._replace(most_cuts=10_000)  # fewer than by default: soon
    where = "^layer 0, sample 1, neuron 1: qif is not at the end of a step after 0.5, 10000 halv"
    with pytest.raises(SimulationError, match=where):
        net.forward(SpikeTrains.from_samples([([], []), ([0.5], [0])], 1))
