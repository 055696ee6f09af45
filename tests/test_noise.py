"""The analytical adjoint with slopes of choice, and what tells bias from noise and tails."""

import cases
import naive
import numpy as np
import pytest

from lifnum import Scheme
from lifnum.analysis.study import gradient_noise as noise
from lifnum.analysis.study import slopes


def clipped(spike, neuron):
    v = naive.slope_of(spike, neuron)
    return max(v, slopes.CLIP * neuron.theta / neuron.tau) if v > 0 else v


# name: (the study's choice, the oracle's)
CHOICES = {
    "analytical": (slopes.analytical, naive.slope_of),
    "numerical": (slopes.numerical, lambda spike, neuron: spike.slope),
    "clipped": (slopes.clipped, clipped),
}

# those whose slope is not the analytical one
SCHEMES = [scheme for scheme in cases.schemes(["dense"])
           if isinstance(scheme.method, str) and not scheme.gradients_coincide]  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=cases.label)
def test_slopes_of_choice_give_the_oracles_gradient(scheme, name):
    rng = np.random.default_rng(31)
    choose, before = CHOICES[name]
    for taus in cases.TIME_CONSTANTS:
        case = cases.well_conditioned(lambda t=taus: cases.Case(rng, scheme, t, 2), 1)[0][0]
        net, layers = case.network(), case.oracle()
        out = net.forward(case.spikes)
        e = rng.normal(size=len(out.times))
        own = slopes.slopes(net.layers[0])
        expected = [spike.slope for spike in layers[0]]
        np.testing.assert_allclose(own.numerical, expected, rtol=1e-9, atol=1e-9)  # roots to ulps
        gradients = slopes.gradients(net, e, choose)
        expected, _ = naive.eventprop(list(zip(*case.spikes[0])), case.weights, case.neurons,
                                      layers, e, scheme, cases.DURATION, before)  # fmt: skip
        largest = max(1.0, *(np.abs(one).max() for one in expected))
        for g, reference in zip(gradients, expected, strict=True):
            # slopes of numerical currents may come near zero, as in the test of piggyback
            np.testing.assert_allclose(g, reference, rtol=0, atol=1e-11 * largest)


def test_the_analytical_choice_is_piggyback_on_batches():
    rng = np.random.default_rng(32)
    weights = [rng.uniform(-0.4, 1.0, (64, 40)), rng.uniform(-0.4, 1.0, (40, 3))]
    preset = noise.presets.resolve("digits", {})
    trains = noise.load_data("digits", None, preset.window, 0, 60, 60).train
    for scheme in (Scheme(), Scheme("euler", dt=0.02), Scheme("ps", 5, 0.1)):
        net = noise.build_network(preset, scheme, weights)
        e = rng.normal(size=len(net.forward(trains).times))
        expected = net.backward(e, gradient="piggyback")
        for g, reference in zip(slopes.gradients(net, e, slopes.analytical), expected, strict=True):
            # sums over 60 samples in another order
            np.testing.assert_allclose(g, reference, rtol=0, atol=1e-10 * np.abs(reference).max())


@pytest.mark.parametrize("index", [1.0, 2.0, 4.0])
def test_hills_estimate_finds_the_index_of_a_tail(index):
    values = np.random.default_rng(33).pareto(index, 100_000) + 1.0
    found, k = noise.tail_index(values, 0.05)
    assert k == 5000
    assert abs(found - index) < 4.0 * index / np.sqrt(k)  # four standard errors
    assert np.isnan(noise.tail_index(values[:100], 0.05)[0])  # of fewer than ten values
    assert np.isnan(noise.tail_index(np.zeros(1000), 0.05)[0])


def sums(errors, truth, rng):
    """`Sums` of gradients that are off by these errors, and of the truth."""
    one, exact = (noise.Sums(truth.shape) for _ in range(2))
    for error in errors:
        e = truth + rng.normal(size=truth.shape)
        for s, g in ((one, e + error), (exact, e)):
            s.add(g, e, np.linalg.norm(e), slice(None))
    return one.measures(exact)


def test_the_share_of_bias_tells_a_constant_error_from_noise():
    rng = np.random.default_rng(34)
    truth, shape = np.full((20, 10), 0.5), (400, 20, 10)
    bias = sums(np.full(shape, 0.1), truth, rng)
    # 400 times the same: all but one part in 400 of the square of the sum is of pairs
    np.testing.assert_allclose(bias["bias_share"], 1.0 - 1.0 / 400, rtol=1e-9)
    # 0.1^2 over 0.5^2, whose estimate spreads by 2 / (0.5 sqrt(400 * 200)) = 0.014: four times that
    np.testing.assert_allclose(bias["bias"], 0.04, rtol=0.057)
    assert bias["cosine"] > 0.999 and bias["outliers"] == 0.0
    spread = sums(rng.normal(0.0, 3.0, shape), truth, rng)
    assert abs(spread["bias_share"]) < 0.4  # 1 / sqrt(200 numbers) of spread, four times
    assert abs(spread["bias"]) < 0.05
    one = np.zeros(shape)
    one[7] = 1000.0  # a single sample
    tail = sums(one, truth, rng)
    assert abs(tail["bias_share"]) < 1e-9
    # 1000.5 of 400 * 0.5 + 1000, but for the noise of the truth
    assert tail["largest"] == pytest.approx(1000.5 / 1200.0, rel=0.01)
    assert tail["outliers"] == 1 / 400 and tail["rest_cosine"] == pytest.approx(1.0, abs=1e-12)
    assert tail["rest_ratio"] == pytest.approx(1.0, abs=1e-12)


def test_rows_of_a_run_do_not_depend_on_the_size_of_its_units():
    """Sums are linear; what differs is what is told apart."""
    single, batches = (noise.execute(noise.Comparison("digits", 40, unit, (40,), 0.1, 0, 60))
                       for unit in (1, 20))  # fmt: skip
    assert len(single) == len(batches) == 2 * (1 + len(noise.GRADIENTS))
    for one, other in zip(single, batches, strict=True):
        assert [one[name] for name in noise.NAMES] == [other[name] for name in noise.NAMES]
        for name in ("cosine", "norm_ratio"):
            # the error is relative to the largest of 40 norms
            np.testing.assert_allclose(one[name], other[name], rtol=1e-6, err_msg=name)
