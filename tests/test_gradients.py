"""`adjusted` equals complex-step derivatives of the oracle, `piggyback` equals EventProp."""

import cases
import naive
import numpy as np
import pytest
from cases import GRADIENT_TOLERANCE, STEP, derivative, loss_of, relative_error

from lifnum import Network, Neuron, Scheme, SpikeTrains
from lifnum.losses import SpikeCount, TimeToFirstSpike


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("scheme", cases.schemes(["dense", "linear"]), ids=cases.label)
def test_adjusted_equals_the_complex_step(scheme, depth):
    rng = np.random.default_rng(10 + depth)
    discarded = []
    for k, taus in enumerate(cases.TIME_CONSTANTS):

        def make(taus=taus, delta=(1.0, 0.7, 1.6, 0.3)[k]):
            return cases.Case(rng, scheme, taus, depth, delta_theta=delta)

        kept, share = cases.well_conditioned(make, 1)
        discarded.append(share)
        case = kept[0]
        net = case.network()
        out = net.forward(case.spikes)
        e = rng.normal(size=len(out.times))
        gradients, d_inputs = net.backward(e, input_gradient=True)
        zero = [np.zeros_like(w) for w in case.weights]
        still = np.zeros(len(case.times))
        for layer, w in enumerate(case.weights):
            if depth == 1 or (layer == 0 and taus == (0.5, 1.0)):  # every parameter
                reference = np.zeros_like(w)
                for index in np.ndindex(w.shape):
                    one = [z.copy() for z in zero]
                    one[layer][index] = 1.0
                    reference[index] = derivative(case, e, one, still)
                assert relative_error(gradients[layer], reference) <= GRADIENT_TOLERANCE
            for _ in range(2):  # random directions
                directions = [z.copy() for z in zero]
                directions[layer] = rng.normal(size=w.shape)
                reference = derivative(case, e, directions, still)
                size = np.abs(gradients[layer] * directions[layer]).max()
                ours = (gradients[layer] * directions[layer]).sum()
                assert abs(ours - reference) <= GRADIENT_TOLERANCE * max(size, abs(reference))
        reference = np.array([derivative(case, e, zero, unit) for unit in np.eye(len(still))])
        assert relative_error(d_inputs, reference) <= GRADIENT_TOLERANCE
    assert max(discarded) < 0.3


@pytest.mark.parametrize("scheme", cases.schemes(["dense", "linear"])[:8], ids=cases.label)
def test_derivatives_by_hidden_spike_times_join_those_of_the_layers_above(scheme):
    """A loss of the spike times of every layer, three deep: weights and input times."""
    rng = np.random.default_rng(31)
    case = cases.well_conditioned(lambda: cases.Case(rng, scheme, (0.5, 1.0), 3), 1)[0][0]
    net = case.network()
    out = net.forward(case.spikes)
    e = [rng.normal(size=len(layer.spikes.times)) for layer in net.layers]
    assert len(e[1]) > 1
    hidden = {0: e[0], 1: e[1], 2: 0.5 * e[2]}
    gradients, d_inputs = net.backward(0.5 * e[2], hidden=hidden, input_gradient=True)

    def derivative(directions, input_direction):
        weights = [w + 1j * STEP * d for w, d in zip(case.weights, directions)]
        inputs = [(t + 1j * STEP * d, i)
                  for (t, i), d in zip(zip(*case.spikes[0]), input_direction)]  # fmt: skip
        layers = case.oracle(weights, inputs)
        assert [len(spikes) for spikes in layers] == [len(d) for d in e] and len(out.times)
        return sum(loss_of(layers[: k + 1], d) for k, d in enumerate(e)).imag / STEP

    zero, still = [np.zeros_like(w) for w in case.weights], np.zeros(len(case.times))
    for layer, w in enumerate(case.weights):
        directions = [z.copy() for z in zero]
        directions[layer] = rng.normal(size=w.shape)
        reference = derivative(directions, still)
        size = np.abs(gradients[layer] * directions[layer]).max()
        ours = (gradients[layer] * directions[layer]).sum()
        assert abs(ours - reference) <= GRADIENT_TOLERANCE * max(size, abs(reference))
    reference = np.array([derivative(zero, unit) for unit in np.eye(len(still))])
    assert relative_error(d_inputs, reference) <= GRADIENT_TOLERANCE
    with pytest.raises(ValueError, match=r"hidden\[1\] are .*; accepted: numbers of shape"):
        net.backward(e[2], hidden={1: np.zeros(len(e[1]) + 1)})


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@pytest.mark.parametrize("method", ["exact", "euler", "ps"])
def test_adjusted_at_ties_follows_the_order_of_processing(method, interpolation):
    """Equal input times, and inputs on grid points: steps of length zero lie between them."""
    scheme = Scheme(method, 3 if method == "ps" else None, 0.25, interpolation)
    rng = np.random.default_rng(4)
    case = cases.Case(rng, scheme, (0.4, 0.7), 2)
    case.spikes = SpikeTrains.from_samples(
        [([0.0, 0.1, 0.25, 0.25, 0.5, 0.61, 0.61, 0.61], [0, 1, 3, 2, 0, 1, 2, 3])], 4
    )
    net = case.network()
    out = net.forward(case.spikes)
    e = rng.normal(size=len(out.times))
    assert len(e) > 1
    _, d_inputs = net.backward(e, input_gradient=True)
    zero = [np.zeros_like(w) for w in case.weights]
    n = len(case.spikes.times)
    reference = np.array([derivative(case, e, zero, unit) for unit in np.eye(n)])
    assert relative_error(d_inputs, reference) <= GRADIENT_TOLERANCE


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    "scheme", cases.schemes(["dense", "linear", "none"], "piggyback"), ids=cases.label
)
def test_piggyback_equals_eventprop(scheme, depth):
    rng = np.random.default_rng(20 + depth)
    for k, taus in enumerate(cases.TIME_CONSTANTS):

        def make(taus=taus, delta=(1.0, 0.7, 1.6, 0.3)[k]):
            return cases.Case(rng, scheme, taus, depth, delta_theta=delta)

        case = cases.well_conditioned(make, 1)[0][0]
        net = case.network()
        out = net.forward(case.spikes)
        e = rng.normal(size=len(out.times))
        gradients, d_inputs = net.backward(e, input_gradient=True)
        expected, d_expected = naive.eventprop(
            list(zip(*case.spikes[0])), case.weights, case.neurons, case.oracle(), e,
            scheme, cases.DURATION,
        )  # fmt: skip
        # slopes theta / tau of numerical currents may come near zero: 1e-12 of the largest entry
        largest = max(np.abs(g).max() for g in expected)
        for g, reference in zip(gradients, expected):
            assert np.abs(g - reference).max() <= 1e-12 * max(largest, 1.0)
        d_largest = max(1.0, np.abs(d_expected).max(), largest)
        assert np.abs(d_inputs - d_expected).max() <= 1e-12 * d_largest


def test_piggyback_equals_adjusted_for_exact_with_dense():
    """The analytical adjoint, asked for by name, is the derivative of the exact simulation."""
    rng = np.random.default_rng(5)
    for taus in cases.TIME_CONSTANTS:
        scheme = Scheme("exact", gradient="piggyback")
        case = cases.well_conditioned(lambda t=taus: cases.Case(rng, scheme, t, 2), 1)[0][0]
        net = case.network()
        out = net.forward(case.spikes)
        e = rng.normal(size=len(out.times))
        gradients = net.backward(e)
        zero = [np.zeros_like(w) for w in case.weights]
        for layer, g in enumerate(gradients):
            directions = [z.copy() for z in zero]
            directions[layer] = rng.normal(size=g.shape)
            reference = derivative(case, e, directions, np.zeros(len(case.times)))
            ours = (g * directions[layer]).sum()
            assert abs(ours - reference) <= GRADIENT_TOLERANCE * np.abs(g).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_sums_over_the_batch_and_tiles(dtype):
    """Several samples, chunks and tiles of neurons give the sum of the single samples."""
    rng = np.random.default_rng(6)
    weights = [rng.normal(0.3, 1.0, (6, 1800)).astype(dtype), rng.normal(0.1, 0.3, (1800, 3))]
    weights[1] = weights[1].astype(dtype)
    neurons = [Neuron(0.5, 1.0, 1.0), Neuron(0.5, 1.0, 1.0)]
    samples = [(rng.uniform(0, 1.5, 9), rng.integers(0, 6, 9)) for _ in range(11)]
    trains = SpikeTrains.from_samples(samples, 6)
    for scheme in (Scheme(), Scheme("ps", 3, 0.1)):
        net = Network(list(zip(weights, neurons)), scheme, 2.0)
        out = net.forward(trains)
        e = rng.normal(size=len(out.times))
        together, d_inputs = net.backward(e, input_gradient=True)
        parts = [np.zeros(w.shape) for w in weights]
        d_parts = []
        for k in range(11):
            net.forward(trains.select([k]))
            g, d = net.backward(e[out.offsets[k] : out.offsets[k + 1]], input_gradient=True)
            parts = [a + b for a, b in zip(parts, g)]
            d_parts.append(d)
        tolerance = 1e-12 if dtype == np.float64 else 2e-5  # sums of 11 in another order
        for a, b in zip(together, parts):
            assert relative_error(a, b) < tolerance
        assert relative_error(d_inputs, np.concatenate(d_parts)) < tolerance


def test_capped_neurons_receive_no_gradient_after_their_last_spike():
    scheme = Scheme("euler", dt=0.05)
    trains = SpikeTrains.from_samples([([0.1, 1.5], [0, 1])], 2)
    weights = np.array([[9.0], [9.0]])
    net = Network([(weights, Neuron(0.5, 1.0, 1.0, max_spikes=1))], scheme, 2.0)
    out = net.forward(trains)
    assert len(out.times) == 1 and out.times[0] < 1.5
    (gradient,), d_inputs = net.backward(np.ones(1), input_gradient=True)
    assert gradient[0, 0] != 0 and gradient[1, 0] == 0 and d_inputs[1] == 0


def test_ttfs_loss_through_two_layers_equals_central_differences():
    rng = np.random.default_rng(7)
    scheme = Scheme("ps", 3, 0.1)
    case = cases.well_conditioned(lambda: cases.Case(rng, scheme, (0.5, 1.0), 2), 1)[0][0]
    loss, labels = TimeToFirstSpike(0.3, cases.DURATION), np.array([1])
    net = case.network()

    def value():
        return loss(net.forward(case.spikes), labels)[0].sum()

    gradients = net.backward(loss(net.forward(case.spikes), labels)[1])
    for w, g in zip(net.weights, gradients):
        reference = np.zeros_like(w)
        for index in np.ndindex(w.shape):
            before = w[index]
            values = []
            for step in (1e-6, -1e-6):
                w[index] = before + step
                values.append(value())
            w[index] = before
            reference[index] = (values[0] - values[1]) / 2e-6
        # truncation 1e-12 and rounding 1e-16 / 1e-6 of the loss, over gradients of order 0.01
        assert np.abs(g - reference).max() <= 1e-7 * max(1.0, np.abs(reference).max())


def test_spike_count_errors_are_target_minus_count():
    out = SpikeTrains.from_samples([([0.1, 0.2, 0.3], [0, 0, 2]), ([], [])], 3)
    values, d_times = SpikeCount(4.0, 1.0)(out, np.array([0, 1]))
    np.testing.assert_allclose(values, [0.5 * (2**2 + 1 + 0), 0.5 * (1 + 16 + 1)])
    assert d_times.tolist() == [2.0, 2.0, 0.0]


def test_predictions_break_ties_by_the_earlier_last_spike_then_the_lowest_index():
    samples = [
        ([0.1, 0.2, 0.3], [2, 1, 0]),  # one each: neuron 2 spiked last at 0.1
        ([0.1, 0.1], [2, 1]),  # at the same time: the lower index
        ([], []),  # silent
        ([0.1, 0.2, 0.4], [0, 1, 1]),  # most spikes
    ]
    out = SpikeTrains.from_samples(samples, 3)
    assert SpikeCount().predict(out).tolist() == [2, 1, -1, 1]
    assert TimeToFirstSpike(0.1, 1.0).predict(out).tolist() == [2, 1, -1, 0]


def test_ttfs_gives_silent_neurons_no_gradient_and_only_first_spikes_any():
    out = SpikeTrains.from_samples([([0.1, 0.2, 0.4], [0, 0, 1])], 3)
    values, d_times = TimeToFirstSpike(0.5, 1.0)(out, np.array([1]))
    scores = np.exp(-np.array([0.1, 0.4, 1.0]) / 0.5)
    p = scores / scores.sum()
    np.testing.assert_allclose(values, [-np.log(p[1])], rtol=1e-14)
    np.testing.assert_allclose(d_times, [-p[0] / 0.5, 0.0, (1 - p[1]) / 0.5], rtol=1e-14)
