"""Any configuration and network: finite results that equal the oracle's, or a clear error.

The tolerance is that of the problem: the oracle runs again on data that differ by MARGIN, relative,
in every number. Where that changes the number or order of spikes the case is at a threshold and
decides nothing; elsewhere the kernels must come as near as the perturbed oracles did.
"""

import itertools
import math
import re
from collections import Counter
from dataclasses import replace

import naive
import numpy as np
import pytest
from cases import check_drawn
from hypothesis import strategies as st

from lifnum import Network, Neuron, Scheme, SpikeTrains
from lifnum.errors import SimulationError
from lifnum.methods.propagators import METHODS

# some hundred roundings; those of float32 are relative to the largest state, too
MARGIN = {np.float64: 1e-11, np.float32: 1e-4}

TIME_TOLERANCE = 1e-12  # of the duration: rounding of the times themselves

# no further: the oracle squares states and thresholds
THETAS = (1e-50, 1e-30, 1e30, 1e100)

# beyond, the terms of a series overflow before they cancel
MAX_SERIES_STEP = 600.0

WEIGHTS = (0.0, 5e-324, -1e-310, 1e-200, 1e30, -1e30, 1e140, -1e140)


@st.composite
def configurations(draw):
    """(layers, Scheme, duration, samples) far beyond what anybody would train."""
    duration = 10.0 ** draw(st.floats(-9, 5))
    method = draw(st.sampled_from(list(METHODS)))
    interpolation = draw(st.sampled_from(("dense", "linear", "none")))
    dt = gap = None
    if draw(st.integers(0, 7)) == 0:  # bursts, each before a silence that underflows
        method, interpolation = "exact", "dense"
        n_bursts = draw(st.integers(1, 2))
        gap = duration / n_bursts
    elif method != "exact" or interpolation == "none" or draw(st.booleans()):
        # steps in the duration: few, often; many, for which the oracle is slow; too many
        steps = 10.0 ** draw(st.floats(-4, 1.7))
        if draw(st.integers(0, 49)) == 49:
            steps = draw(st.sampled_from((1e4, 1e5, 1e9)))
        dt = min(max(duration / steps, 1e-9), 1e3)
    order = draw(st.integers(1, 8)) if method == "ps" else None
    scheme = Scheme(method, order, dt, interpolation)
    dtype = draw(st.sampled_from((np.float64, np.float64, np.float32)))
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    layers = []
    for n_pre, n_post in itertools.pairwise(sizes):
        fast = duration * 10.0 ** draw(st.floats(-3, 2))
        if dt is not None and method in ("rk2", "rk4", "ps"):
            fast = max(fast, min(dt, duration) / MAX_SERIES_STEP)
        slow = fast * 10.0 ** draw(st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 6)))
        taus = (fast, slow) if draw(st.booleans()) else (slow, fast)
        if gap is not None:
            ratio = draw(st.sampled_from((1.0, 1.0 + 1e-9, 1.3, 2.0, 5.0)))
            slow = gap / draw(st.floats(700.0, 760.0))
            fast = slow / ratio
            taus = (fast, slow) if draw(st.booleans()) else (slow, fast)
        theta = 10.0 ** draw(st.floats(-3, 3))
        if draw(st.integers(0, 19)) == 0:
            theta = draw(st.sampled_from(THETAS))
        delta = theta * draw(st.sampled_from((1.0, 1.0, 0.5, 2.0, 1e-3)))
        neuron = Neuron(*taus, theta, delta, draw(st.integers(1, 6)))
        drive = theta * math.e / min(fast, duration)
        weight = st.floats(-2, 4).map(lambda x, drive=drive: x * drive)
        if draw(st.integers(0, 4)) == 0:
            weight = weight | st.sampled_from(WEIGHTS)
        w = np.reshape(draw(st.lists(weight, min_size=n_pre * n_post, max_size=n_pre * n_post)),
                       (n_pre, n_post))  # fmt: skip
        limit = float(np.finfo(dtype).max)
        layers.append((np.clip(w, -limit, limit).astype(dtype), neuron))
    time = st.integers(0, 17).map(lambda k: k * duration / 16) | st.floats(0.0, duration)
    if gap is not None:
        burst = st.integers(0, n_bursts - 1).map(lambda k: k * gap)
        time = st.builds(lambda t, x: t + x * gap / 750.0, burst, st.floats(0.0, 4.0))
    spike = st.tuples(time, st.integers(0, sizes[0] - 1))
    samples = draw(st.lists(st.lists(spike, max_size=8), max_size=2))
    return layers, scheme, duration, samples


def perturbed(layers, margin, sign):
    """The same layers with every number changed by the margin, up or down at random.

    The other sign turns the change of the neurons, not that of the weights: a time that depends
    on theta / w moves under one of the two.
    """
    rng = np.random.default_rng(0)

    def changed(x, change):
        return x * (1.0 + change * rng.choice((-1.0, 1.0), np.shape(x)))

    result = []
    for w, neuron in layers:
        numbers = {name: float(changed(getattr(neuron, name), sign * margin))
                   for name in ("tau_s", "tau", "theta", "delta_theta")}  # fmt: skip
        result.append((changed(np.asarray(w, float), margin), replace(neuron, **numbers)))
    return result


def oracle(layers, inputs, scheme, duration):
    conditioning = naive.Conditioning()
    weights = [np.asarray(w, float).tolist() for w, _ in layers]
    neurons = [neuron for _, neuron in layers]
    return naive.simulate(inputs, weights, neurons, scheme, duration, conditioning), conditioning


def check(configuration, verdicts):
    """Run one configuration on the kernels and, where it is feasible, on the oracle."""
    layers, scheme, duration, samples = configuration
    dtype = layers[0][0].dtype.type
    trains = SpikeTrains.from_samples(
        [([t for t, _ in s], [i for _, i in s]) for s in samples], len(layers[0][0])
    )
    try:
        net = Network(layers, scheme, duration)
    except ValueError as error:
        assert "accepted" in str(error), error
        verdicts["refused"] += 1
        return
    failed = None
    try:
        out = net.forward(trains)
        assert np.isfinite(out.times).all() and len(out) == len(samples)
        net.backward(np.ones(len(out.times)))
    except ValueError as error:
        assert "sub-intervals; accepted" in str(error), error
        verdicts["refused"] += 1
        return
    except SimulationError as error:
        failed = re.match(r"layer (\d+), sample (\d+): .*largest weight", str(error))
        assert failed, error
    if scheme.dt is not None and duration / scheme.dt > 1e4 * (1 + 1e-9):
        verdicts["beyond the oracle"] += 1
        return
    limit = float(np.finfo(dtype).max)
    overflows = False
    for k in range(len(samples)):
        inputs = list(zip(*(x.tolist() for x in trains[k])))
        expected, conditioning = oracle(layers, inputs, scheme, duration)
        overflows |= conditioning.largest > 1e-3 * limit
        if failed or conditioning.largest > 1e-3 * limit:
            continue
        others = [
            oracle(perturbed(layers, MARGIN[dtype], sign), inputs, scheme, duration)[0]
            for sign in (1.0, -1.0)
        ]
        for layer, spikes, *rest in zip(net.layers, expected, *others):
            neurons = [q.neuron for q in spikes]
            if any([q.neuron for q in other] != neurons for other in rest):
                verdicts["at a threshold"] += 1
                break
            times = np.array([naive.real(q.time) for q in spikes])
            spread = TIME_TOLERANCE * duration + sum(
                np.abs([naive.real(q.time) for q in other] - times) for other in rest
            )
            found, indices = layer.spikes[k]
            if len(times) > 1 and (np.diff(times) <= 2 * (spread[1:] + spread[:-1])).any():
                # nearly simultaneous spikes of different neurons: their order is open
                by_neuron = np.lexsort((times, neurons)), np.lexsort((found, indices))
                assert sorted(neurons) == sorted(indices.tolist()), "other spikes"
                times, spread = times[by_neuron[0]], spread[by_neuron[0]]
                found = found[by_neuron[1]]
            else:
                assert indices.tolist() == neurons, "other spikes"
            assert (np.abs(found - times) <= spread).all(), (found - times, spread)
        else:
            verdicts["equal"] += 1
            verdicts["spikes"] += sum(map(len, expected))
    if failed:
        assert overflows, f"{failed[0]}, but the oracle's states are finite"
        verdicts["overflow named"] += 1


def check_claim(n, verdicts):
    """The claim is about most of the samples, and not about silence."""
    assert verdicts["equal"] > 9 * verdicts["at a threshold"] and verdicts["spikes"] > n / 2


def test_extreme_configurations_equal_the_oracle_or_are_refused():
    """Rounds of 150, which are drawn anew when sources change, until one in two has a spike."""
    verdicts = Counter()
    for part in range(10, 14):
        check_drawn(configurations(), check, 150, part, verdicts)
        if verdicts["spikes"] > 75:
            break
    check_claim(150, verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 5))
def test_10000_extreme_configurations_equal_the_oracle_or_are_refused(part):
    verdicts = Counter()
    check_drawn(configurations(), check, 2500, part, verdicts)
    check_claim(2500, verdicts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_overflow_names_layer_and_sample(dtype):
    """Spikes whose currents add up to what no number holds; in sample 0 there are none."""
    neuron = Neuron(1.0, 1.0)
    layers = [(np.ones((2, 1)), neuron), (np.full((1, 1), np.finfo(dtype).max), neuron)]
    net = Network([(w.astype(dtype), n) for w, n in layers], Scheme(), 9.0)
    net.weights[0][:, 0] = 0.0, 100.0
    trains = SpikeTrains.from_samples([([0.1], [0]), ([0.1], [1])], 2)
    with pytest.raises(SimulationError, match=r"^layer 1, sample 1: .*largest weight"):
        net.forward(trains)


@pytest.mark.parametrize("theta, weight", [(1e200, 1e200 * math.e), (1e-300, 1e30)])
def test_thresholds_beyond_the_range_of_squares_are_crossed_at_their_time(theta, weight):
    net = Network([(np.array([[weight]]), Neuron(1.0, 1.0, theta, max_spikes=1))],
                  Scheme("euler", dt=1.0), 1.0)  # fmt: skip
    times = net.forward(SpikeTrains.from_samples([([0.0], [0])], 1)).times
    np.testing.assert_allclose(times, [theta / weight], rtol=1e-15, atol=5e-324)


@pytest.mark.filterwarnings("ignore:dt 1 is beyond")
def test_a_series_far_beyond_its_stability_spikes_where_it_ends_above_theta():
    neuron = Neuron(1e-3, 1e-3, 1.0, max_spikes=1)
    net = Network([(np.array([[-2718.0]]), neuron)], Scheme("rk2", dt=1.0), 1.0)
    inputs = SpikeTrains.from_samples([([0.0], [0])], 1)
    assert net.potential(inputs, [0.9])[0, 0, 0] > 1.0
    assert len(net.forward(inputs).times) == 1
