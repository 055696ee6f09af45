"""Times meet the grid of `none` in one way, wherever they come from."""

import cases
import naive
import numpy as np
import pytest

from lifnum import Network, Neuron, Scheme, SpikeTrains, models
from lifnum.kernels.steps import Steps, grid_index, grid_steps, merge

STEP_LENGTHS = [1e-3, 0.1, 1.0 / 3.0, 0.7, float(np.float32(1e-3)), 2.0**-7]

NONE = Scheme("euler", dt=0.1, interpolation="none")


@pytest.mark.parametrize("dt", STEP_LENGTHS)
def test_products_of_the_step_lie_on_their_point_up_to_a_hundred_million(dt):
    rng = np.random.default_rng(0)
    points = [0, 1, 2, 3, *rng.integers(4, 1e8, 300), *rng.integers(1.9e7, 2.1e7, 100), 10**8]
    for g in map(int, points):
        product = g * dt
        for time in (product, np.nextafter(product, 0.0), np.nextafter(product, np.inf)):
            assert grid_index(time, dt) == naive.grid_index(time, dt) == g
        assert grid_index(product + 2e-3 * dt, dt) == naive.grid_index(product + 2e-3 * dt, dt)
        assert grid_index(product + 2e-3 * dt, dt) == g + 1
        if g > 0:
            assert grid_index(product - 2e-3 * dt, dt) == g
            assert grid_steps(dt, product) == g


@pytest.mark.parametrize("dt", STEP_LENGTHS)
def test_times_of_single_precision_stay_on_their_point(dt):
    """Rounding t alone, or t and dt, as far as it is under a thousandth of a step."""
    for g in [*range(1, 300), *range(301, 8000, 7)]:
        assert grid_index(float(np.float32(g * dt)), dt) == g
        assert grid_index(float(np.float32(g) * np.float32(dt)), dt) == g


@pytest.mark.parametrize(
    "neuron, none, others",
    [
        # 0.05, 0.06, ..., 0.09 and 0.09; 0.0512 alone splits a step more
        (Neuron(0.01, 0.02), 5 + 1, 6 + 1),
        # the whole grid for each sample, and every input
        (models.lif(), 3 * 10 + 4, 3 * 10 + 4),
    ],
)
def test_sub_intervals_are_counted_from_the_first_input_on_of_models_from_0(neuron, none, others):
    samples = [([0.05, 0.05, 0.0512], [0, 1, 1]), ([], []), ([0.09], [0])]
    trains = SpikeTrains.from_samples(samples, 2)
    for how, expected in (("none", none), ("linear", others), ("dense", others)):
        net = Network([(np.full((2, 3), 0.1), neuron)], Scheme("euler", dt=0.01,
                      interpolation=how), 0.1)  # fmt: skip
        net.forward(trains)
        assert net.layers[0].n_steps == expected


def test_a_time_behind_a_point_by_more_than_rounding_belongs_to_the_next():
    for g in range(50):
        assert grid_index((g + 1e-5) * 0.1, 0.1) == naive.grid_index((g + 1e-5) * 0.1, 0.1) == g + 1


@pytest.mark.parametrize("n", [2 * 10**7, 10**8])
@pytest.mark.parametrize("dt", [1e-3, 0.1, 1.0 / 3.0])
def test_no_spike_between_layers_is_late_on_a_fine_grid(n, dt):
    """The table of steps, from the first input on, near the end of a grid of n steps."""
    duration = n * dt
    points = np.arange(n - 40, n)
    rounded = np.random.default_rng(1).integers(-1, 2, len(points)) * np.spacing(points * dt)
    times = np.append(points * dt + rounded, duration)
    d = Scheme("euler", dt=dt, interpolation="none").dynamics(
        Neuron(1e6, 1e6, 1.0), duration, np.dtype(float)
    )
    room = 60
    steps = Steps(np.zeros(1, np.int64), np.zeros(1, np.int64), np.empty(room),
                  np.empty(room, np.int64), np.empty(room, np.uint8),
                  np.empty((room, 5)))  # fmt: skip
    merge(d, times, 0, len(times), 0, steps)
    count = int(steps.count[0])
    assert d.n_grid == n and count == len(points)
    assert steps.start[:count].tolist() == (points * dt).tolist()
    assert steps.stop[:count].tolist() == list(range(1, count + 1))


@pytest.mark.parametrize("scheme", cases.schemes(["none"]), ids=cases.label)
def test_inputs_of_single_precision_give_the_spikes_of_the_exact_ones(scheme):
    """Under `none`, and as the oracle has them; half of them lie behind their grid point."""
    rng = np.random.default_rng(3)
    case = cases.well_conditioned(lambda: cases.Case(rng, scheme, (0.5, 1.0)), 1)[0][0]
    exact = rng.integers(0, 16, len(case.times)) * scheme.dt
    exact.sort()
    rounded = exact.astype(np.float32).astype(float)
    assert (rounded > exact).any()
    net, spikes = case.network(), []
    for times in (exact, rounded):
        net.forward(SpikeTrains.from_samples([(times, case.indices)], 4))
        spikes.append([(one.spikes.times.tolist(), one.spikes.indices.tolist())
                       for one in net.layers])  # fmt: skip
    assert spikes[0] == spikes[1]
    for (times, indices), oracle in zip(
        spikes[1], case.oracle(inputs=list(zip(rounded, case.indices)))
    ):
        assert indices == [q.neuron for q in oracle]
        np.testing.assert_allclose(times, [q.time for q in oracle], rtol=0, atol=1e-12)
    assert spikes[0][0][0]


# the end of a grid of 11 steps of 0.1: how far it is from a point, in steps
ENDS = {"on a point": 0.0, "ulp behind": 1e-14, "ulp before": -1e-14, "single precision": 1e-6,
        "between": 0.5, "clearly behind": 2e-3, "clearly before": -2e-3}  # fmt: skip


@pytest.mark.parametrize("interpolation", ["none", "linear", "dense"])
@pytest.mark.parametrize("end", ENDS)
def test_the_last_point_is_the_end_and_comes_once(end, interpolation):
    """A neuron that spikes at every point of `none`; the layer behind it gets them all in time."""
    duration = (11 + ENDS[end]) * 0.1
    n = 12 if ENDS[end] > 1e-3 else 11
    scheme = Scheme("euler", dt=0.1, interpolation=interpolation)
    neurons = [Neuron(5.0, 5.0, 1.0, 1.0, 1000), Neuron(0.5, 1.0, 1.0, 0.3, 1000)]
    weights = [np.array([[400.0]]), np.array([[1.5]])]
    net = Network(list(zip(weights, neurons)), scheme, duration)
    assert net.layers[0].dynamics.n_grid == n == len(naive.grid(scheme, duration))
    net.forward(SpikeTrains.from_samples([([0.0], [0])], 1), differentiable=False)
    oracle = naive.simulate([(0.0, 0)], weights, neurons, scheme, duration)
    for one, spikes in zip(net.layers, oracle):
        np.testing.assert_allclose(one.spikes.times, [q.time for q in spikes], rtol=0, atol=1e-12)
        assert len(spikes) > 2
    if interpolation == "none":
        points = [g * 0.1 for g in range(1, n)] + [duration]
        assert net.layers[0].spikes.times.tolist() == points


@pytest.mark.parametrize("time", [1.1, np.nextafter(1.1, 0.0), np.nextafter(1.1, 2.0),
                                  float(np.float32(1.1)), 1.1 - 1e-9])  # fmt: skip
def test_inputs_at_the_end_of_the_grid_have_no_effect(time):
    net = Network([(np.array([[1e3]]), Neuron())], NONE, 1.1)
    assert len(net.forward(SpikeTrains.from_samples([([time], [0])], 1)).times) == 0
    assert net.layers[0].n_steps == 0


@pytest.mark.parametrize("dt", [2.0, 1e7, 1e300])
def test_a_step_longer_than_the_duration_is_the_duration(dt):
    """The tolerance is a part of the step taken: the second layer gets nothing before the end."""
    scheme = Scheme("euler", dt=dt, interpolation="none")
    neuron = Neuron(0.5, 1.0, 1.0)
    weights = [np.array([[9.0]]), np.array([[9.0]])]
    net = Network([(w, neuron) for w in weights], scheme, 1.0)
    for time, n_spikes in ((0.0, 1), (0.5, 0), (1.0, 0)):
        net.forward(SpikeTrains.from_samples([([time], [0])], 1))
        oracle = naive.simulate([(time, 0)], weights, [neuron] * 2, scheme, 1.0)
        for one, spikes, n in zip(net.layers, oracle, (n_spikes, 0)):
            assert one.spikes.times.tolist() == [q.time for q in spikes] == [1.0] * n


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@pytest.mark.parametrize("method, order", [("exact", None), ("ps", 1), ("ps", 2), ("ps", 5)])
def test_inputs_beside_a_grid_point_act_as_if_on_it(method, order, interpolation):
    """The tiny steps between input and point move spikes and gradients by no more than that."""
    rng = np.random.default_rng(4)
    scheme = Scheme(method, order, 0.1, interpolation)
    case = cases.well_conditioned(lambda: cases.Case(rng, scheme, (0.5, 1.0)), 1)[0][0]
    net = case.network()
    on_grid = np.sort(rng.integers(0, 16, len(case.times))) * scheme.dt
    results = []
    for off in (0.0, 1e-15, -1e-15, 1e-8, -1e-8):
        times = np.maximum(on_grid + off, 0.0)
        spikes = SpikeTrains.from_samples([(times, case.indices)], 4)
        out = net.forward(spikes)
        results.append((out.indices, out.times, *net.backward(np.ones(len(out.times)))))
        oracle = case.oracle(inputs=list(zip(*spikes[0])))[-1]
        np.testing.assert_allclose(out.times, [q.time for q in oracle], rtol=0, atol=1e-12)
    assert len(results[0][0]) > 0
    indices, *expected = results[0]
    for other, *result in results[1:]:
        assert (indices == other).all()
        for one, two in zip(expected, result):
            # slopes from 0.02 on amplify a shift, over a dozen spikes that follow each other
            np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-4)
