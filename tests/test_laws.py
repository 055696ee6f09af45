"""Laws that every scheme obeys, on random networks."""

import warnings

import cases
import hypothesis
import naive
import numpy as np
import pytest
from hypothesis import strategies as st

from lifnum import Network, Neuron, Scheme, SimulationError, SpikeTrains, testing
from lifnum.methods import propagators

COMMON = {"deadline": None, "derandomize": True}


@st.composite
def runs(draw):
    """A float64 network and an input for it, times beyond the duration included."""
    net, duration = draw(testing.networks(dtypes=(np.float64,)))
    n_inputs = len(net.weights[0])
    return net, draw(testing.spike_trains(n_inputs, 2, duration, 8, beyond=True))


@pytest.mark.parametrize("taus", cases.TIME_CONSTANTS)
def test_exact_potential_is_the_analytic_one(taus):
    """With inputs and resets of its own spikes, right-continuous; and never above theta."""
    rng = np.random.default_rng(0)
    case = cases.Case(rng, Scheme(), taus, 1)
    net = case.network()
    times = np.linspace(0.0, cases.DURATION, 333)
    net.forward(case.spikes)
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


@hypothesis.given(runs())
@hypothesis.settings(max_examples=150, **COMMON)
def test_random_networks_are_finite_and_capped(run):
    net, trains = run
    out = net.forward(trains)
    gradients, d_inputs = net.backward(np.ones(len(out.times)), input_gradient=True)
    for layer in net.layers:
        spikes = layer.spikes
        SpikeTrains(spikes.times, spikes.indices, spikes.offsets, spikes.n_neurons)  # valid
        assert spikes.counts().max(initial=0) <= layer.neuron.max_spikes
        assert (spikes.times <= net.duration).all()
    assert len(d_inputs) == len(trains.times)


@hypothesis.given(runs(), st.integers(-10, 10))
@hypothesis.settings(max_examples=60, **COMMON)
def test_scaling_all_times_by_a_power_of_two_scales_the_spikes_exactly(run, power):
    """u is scaled with the times, so theta is, and weights stay."""
    net, trains = run
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
    "method, order", [(m, 6 if m == "ps" else None) for m in propagators.METHODS]
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


@pytest.mark.parametrize(
    "scheme", [s for s in cases.schemes(["dense"]) if s.order != 1], ids=cases.label
)
def test_under_dense_the_potential_never_exceeds_theta(scheme):
    """The poster's first figure: interpolation removes the overshoot of a clocked neuron."""
    rng = np.random.default_rng(12)
    times = np.linspace(0.0, cases.DURATION, 1001)
    highest = {}
    for interpolation in ("dense", "none"):
        one = Scheme(scheme.method, scheme.order, scheme.dt or 0.1, interpolation)
        case = cases.Case(rng, one, (0.5, 1.0), 1)
        case.neurons = [Neuron(0.5, 1.0, 1.0, 0.7, 1000)]
        case.weights = [np.full((4, 3), 9.0)]
        highest[interpolation] = case.network().potential(case.spikes, times).max()
    assert 0.9 < highest["dense"] <= 1.0 + 1e-12  # rounding of the dense output at a crossing
    assert highest["none"] > 1.05
