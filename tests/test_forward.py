"""Spike times of every method equal those of the oracle."""

import cases
import naive
import numpy as np
import pytest

from lifnum import Network, Neuron, Scheme, SpikeTrains

# rounding of a spike time: a few hundred operations on numbers of the size of T
TIME_TOLERANCE = 1e-12 * cases.DURATION


def assert_equal_spikes(trains, oracle, tolerance=TIME_TOLERANCE):
    times, indices = trains[0]
    assert indices.tolist() == [q.neuron for q in oracle]
    np.testing.assert_allclose(times, [q.time for q in oracle], rtol=0, atol=tolerance)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("scheme", cases.schemes(["dense", "linear", "none"]), ids=cases.label)
def test_spike_times_equal_the_oracle(scheme, depth):
    rng = np.random.default_rng(depth)
    for k, taus in enumerate(cases.TIME_CONSTANTS):

        def make(taus=taus, delta=(1.0, 0.7, 1.6, 0.3)[k]):
            return cases.Case(rng, scheme, taus, depth, delta_theta=delta)

        for case in cases.well_conditioned(make, 2)[0]:
            net = case.network()
            net.forward(case.spikes)
            for layer, oracle in zip(net.layers, case.oracle()):
                assert_equal_spikes(layer.spikes, oracle)


def single(weights, times, scheme, duration=2.0, indices=None, **neuron):
    """Network of one layer, its input (one sample) and the oracle's spikes."""
    weights = np.atleast_2d(np.asarray(weights, float))
    neuron = Neuron(**({"tau_s": 0.5, "tau": 1.0, "theta": 1.0} | neuron))
    indices = np.zeros(len(times), int) if indices is None else indices
    trains = SpikeTrains.from_samples([(times, indices)], len(weights))
    net = Network([(weights, neuron)], scheme, duration)
    oracle = naive.simulate(list(zip(*trains[0])), [weights], [neuron], scheme, duration)
    return net, trains, oracle[0]


@pytest.mark.parametrize("interpolation", ["none", "linear", "dense"])
@pytest.mark.parametrize("late", [[1e20], [1e20, 1e300]])
def test_inputs_far_behind_the_end_are_ignored(interpolation, late):
    """Their place on the grid is no 64-bit integer."""
    scheme = Scheme("euler", dt=0.25, interpolation=interpolation)
    net, trains, _ = single([[8.0]], [0.25, *late], scheme, duration=1.0, theta=2.0)
    alone, train, _ = single([[8.0]], [0.25], scheme, duration=1.0, theta=2.0)
    assert net.forward(trains).times.tolist() == alone.forward(train).times.tolist() != []


TOGETHER = {
    "exact": Scheme(dt=0.25),
    **{f"order {order}": Scheme("ps", order, 0.1) for order in (1, 2, 3, 10, 32)},
}


@pytest.mark.parametrize("scheme", TOGETHER.values(), ids=TOGETHER)
@pytest.mark.parametrize("n", [1, 2, 16, 21])  # alone; all at once, in one round or two
@pytest.mark.parametrize("delta", [1.0, 1.6, 0.3, 0.02])  # up to more spikes a step than TURNS
def test_neurons_that_spike_together_equal_the_oracle(n, delta, scheme):
    weights = np.random.default_rng(n).uniform(5.0, 9.0, (1, n))
    net, trains, oracle = single(
        weights, [0.1, 0.4], scheme, delta_theta=delta, max_spikes=60, indices=[0, 0]
    )
    assert_equal_spikes(net.forward(trains), oracle)
    assert len(oracle) > n


@pytest.mark.parametrize("n", [1, 2, 17])
def test_a_neuron_spikes_the_same_alone_and_with_its_like(n):
    """Its series reaches theta at the end of the first step, its float32 state does not."""
    h = 0.1790751327925328
    weights = np.full((1, n), 7.263591766357422, np.float32)
    net = Network([(weights, Neuron(0.5, 1.0, 1.0))], Scheme("ps", 3, h), h)
    trains = SpikeTrains.from_samples([([0.0], [0])], 1)
    assert len(net.forward(trains).times) == 0
    net = Network([(weights, Neuron(0.5, 1.0, 1.0))], Scheme("ps", 3, h), 2 * h)
    np.testing.assert_allclose(net.forward(trains).times, n * [h], rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in TOGETHER if name != "order 1"])
def test_peaks_inside_a_step_of_neurons_taken_together_equal_the_oracle(name):
    """u rises to a peak near theta and ends its step below: half of these peaks are spikes."""

    def run(second):
        weights = [[6.47] * len(second), second]
        return single(weights, [0.1, 0.3], TOGETHER[name], duration=0.75, indices=[0, 1])

    low, high = -4.0, -1.0
    for _ in range(30):
        middle = (low + high) / 2
        net, trains, _ = run([middle])
        if len(net.forward(trains).times) > 0:
            high = middle
        else:
            low = middle
    net, trains, oracle = run(np.linspace(low - 1e-3, low + 1e-3, 24))
    assert_equal_spikes(net.forward(trains), oracle, 1e-10)  # a peak is flat
    assert len(oracle) == 12


AWKWARD = {
    "equal times": ([0.2, 0.2, 0.2], {}),
    "input at zero": ([0.0, 0.0], {}),
    "input at the end": ([0.1, 2.0], {}),
    "input after the end": ([0.1, 2.5], {}),
    "inputs on grid points": ([0.25, 0.5, 0.75], {}),
    "duration not a multiple of dt": ([0.1, 0.4], {"duration": 1.9}),
    "dt above the duration": ([0.02], {"duration": 0.1}),
    "no input": ([], {}),
    "capped": ([0.1, 0.2], {"max_spikes": 2}),
    "small reset": ([0.1], {"delta_theta": 1e-3, "max_spikes": 9}),
    "large reset": ([0.1], {"delta_theta": 5.0}),
}


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("interpolation", ["dense", "linear", "none"])
def test_awkward_input_equals_the_oracle(name, interpolation):
    times, options = AWKWARD[name]
    for method, order in (("exact", None), ("euler", None), ("ps", 4), ("trapezoidal", None)):
        scheme = Scheme(method, order, 0.25, interpolation)
        net, trains, oracle = single([[9.0]], times, scheme, **options)
        assert_equal_spikes(net.forward(trains), oracle)


def test_a_sample_without_spikes_beside_one_with_spikes():
    net, trains, oracle = single([[9.0]], [0.1], Scheme())
    empty = np.empty(0)
    both = SpikeTrains.from_samples([(empty, empty), trains[0], (empty, empty)], 1)
    out = net.forward(both)
    assert np.diff(out.offsets).tolist() == [0, len(oracle), 0]


def test_a_batch_of_no_samples():
    net, _, _ = single([[9.0]], [0.1], Scheme("euler", dt=0.1))
    out = net.forward(SpikeTrains.from_samples([], 1))
    assert len(out) == 0
    assert net.backward(np.empty(0))[0].shape == (1, 1)


def test_a_spike_at_the_very_end_is_emitted_and_counted():
    # Euler from rest: u(2 h) = h w, reached at the last grid point, T = 0.5
    for interpolation in ("none", "linear", "dense"):
        scheme = Scheme("euler", dt=0.25, interpolation=interpolation)
        net, trains, oracle = single([[8.0]], [0.25], scheme, duration=0.5, theta=2.0)
        assert net.forward(trains).times.tolist() == [0.5] == [q.time for q in oracle]


def test_a_spike_exactly_on_a_grid_point_is_emitted_once():
    for interpolation in ("none", "linear", "dense"):
        scheme = Scheme("euler", dt=0.25, interpolation=interpolation)
        net, trains, oracle = single([[8.0]], [0.25], scheme, duration=1.0, theta=2.0)
        times = net.forward(trains).times
        assert times[0] == 0.5
        assert_equal_spikes(net.layers[0].spikes, oracle)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["exact", "euler", "backward-euler"])
def test_potential_starts_every_piece_below_theta(method, dtype):
    """In the type of the state, too: after any step of an uncapped network u < theta."""
    rng = np.random.default_rng(0)
    scheme = Scheme(method, dt=0.05)
    weights = rng.normal(1.0, 4.0, (20, 30)).astype(dtype)
    neuron = Neuron(0.5, 1.0, 1.0, 1e-2, 100_000)
    net = Network([(weights, neuron)], scheme, 2.0)
    trains = SpikeTrains.from_samples([(rng.uniform(0, 2, 40), rng.integers(0, 20, 40))], 20)
    net._forward(net.layers, trains, False, True)
    layer = net.layers[0]
    used = int(layer._steps.first[0]) + np.arange(int(layer._steps.count[0]))
    assert (layer._states[2 * used + 1] < dtype(1.0)).all()
    assert len(layer.spikes.times) > 1000


def test_float32_spike_counts_and_times_follow_float64():
    rng = np.random.default_rng(1)
    neuron = Neuron(0.13, 0.26, 0.2)
    weights = rng.uniform(-1, 1, (64, 100))
    samples = [(rng.uniform(0, 0.1, 40), rng.integers(0, 64, 40)) for _ in range(4)]
    trains = SpikeTrains.from_samples(samples, 64)
    outs = [
        Network([(weights.astype(dtype), neuron)], Scheme(), 0.2).forward(trains)
        for dtype in (np.float32, np.float64)
    ]
    counts = [out.counts() for out in outs]
    assert (counts[0] != counts[1]).mean() < 0.01  # a grazing spike may differ
    same = (counts[0] == counts[1]).all(axis=0)
    for k in range(4):
        times = [out[k][0][same[out[k][1]]] for out in outs]
        # 1e-7 of the current and of theta, over slopes of the size of theta / tau
        np.testing.assert_allclose(np.sort(times[0]), np.sort(times[1]), rtol=0, atol=2e-5)


def test_a_permuted_batch_gives_permuted_results():
    rng = np.random.default_rng(2)
    weights = rng.normal(0.5, 2.0, (10, 1700)).astype(np.float32)
    samples = [(rng.uniform(0, 1.5, 20), rng.integers(0, 10, 20)) for _ in range(7)]
    trains = SpikeTrains.from_samples(samples, 10)
    net = Network([(weights, Neuron(0.5, 1.0, 1.0))], Scheme("ps", 3, 0.1), 2.0)
    out = net.forward(trains)
    order = rng.permutation(7)
    permuted = net.forward(trains.select(order))
    for k, source in enumerate(order):
        assert (permuted[k][0] == out[source][0]).all()
        assert (permuted[k][1] == out[source][1]).all()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-3, 1.0])
@pytest.mark.parametrize("scheme", [Scheme(), Scheme("euler", dt=0.1, interpolation="none")],
                         ids=cases.label)  # fmt: skip
def test_spikes_are_in_order_however_close_they_are(scheme, spread, ties):
    """And each has its own derivative: a layer and its mirror image give the same gradients."""
    rng = np.random.default_rng(6)
    n = 2000
    weights = 4.0 + spread * rng.uniform(-1.0, 1.0, (3, n))
    if ties:
        weights[:, ::9] = 5.0  # of neurons far apart
    samples = [([0.0, 0.5, 1.0], [0, 1, 2]), ([0.2], [1]), ([], [])]
    trains = SpikeTrains.from_samples(samples, 3)
    results = []
    for w, index in ((weights, np.arange(n)), (weights[:, ::-1], np.arange(n)[::-1])):
        net = Network([(w, Neuron(0.5, 1.0, 1.0))], scheme, 2.0)
        out = net.forward(trains)
        assert len(out.times) > n
        for times, indices in out:
            assert (np.lexsort((indices, times)) == np.arange(len(times))).all()
        gradient = net.backward(np.cos(index[out.indices]) * out.times)[0][:, index]
        results.append((out.counts()[:, index], gradient))
    assert (results[0][0] == results[1][0]).all()
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9)


def test_capped_and_suppressed_neurons_are_counted():
    net, trains, oracle = single([[9.0, 0.1, 9.0]], [0.1, 0.5], Scheme(), max_spikes=2)
    net.forward(trains)
    assert (net.layers[0].n_capped, net.layers[0].n_suppressed) == (2, 2)
    assert len(oracle) == 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("delta, max_spikes", [(1.0, 1000), (0.3, 1000), (0.3, 3)])
def test_spikes_of_none_that_leave_u_above_theta_are_counted(delta, max_spikes, dtype):
    """Before, several crossings in one step were one spike without a word."""
    rng = np.random.default_rng(10)
    scheme = Scheme("rk2", dt=0.1, interpolation="none")
    weights = rng.uniform(0.0, 12.0, (3, 20)).astype(dtype)
    neuron = Neuron(0.5, 1.0, 1.0, delta, max_spikes)
    times, indices = rng.uniform(0, 1.5, 9), rng.integers(0, 3, 9)
    trains = SpikeTrains.from_samples([(times, indices), ([], []), (times, indices)], 3)
    net, conditioning = Network([(weights, neuron)], scheme, 2.0), naive.Conditioning()
    out = net.forward(trains)
    oracle = naive.simulate(
        list(zip(*trains[0])), [weights.astype(float)], [neuron], scheme, 2.0, conditioning
    )
    assert out[0][1].tolist() == [q.neuron for q in oracle[0]]
    assert net.layers[0].n_unresolved == 2 * conditioning.unresolved > 0


@pytest.mark.parametrize("taus", [(0.5, 1.0), (0.9, 0.3)])
@pytest.mark.parametrize("n", [12, 40])  # one vector, and several
@pytest.mark.parametrize("method", dict.fromkeys(method for method, _, _ in cases.METHODS))
def test_peaks_that_chords_miss_are_counted_where_asked_for(method, n, taus):
    order = 6 if method == "ps" else None
    s = np.linspace(0.0, 2.0, 401)
    u = [naive.propagator(method, order, x, *taus)[1] for x in s]
    k = int(np.argmax(np.diff(u) < 0))  # a step that goes on behind the first peak, if there is one
    dt, height = (1.3 * s[k], u[k]) if k else (0.25, 0.25)
    scheme = Scheme(method, order, dt, "linear")
    weights = [np.array([np.linspace(0.995, 1.01, n), np.linspace(1.5, -0.5, n)]) / height,
               np.full((n, 4), 9.0 / n)]  # fmt: skip
    neurons = [Neuron(*taus, 1.0, 0.7, 2), Neuron(*taus, 1.0, 0.7, 1000)]
    trains = SpikeTrains.from_samples([([0.0, 1.5], [0, 1])], 2)
    net = Network(list(zip(weights, neurons)), scheme, 3.0)
    before = net.forward(trains)
    assert [one.n_unresolved for one in net.layers] == [None, None]
    net.forward(trains, differentiable=False, count_peaks=True)
    net.backward(np.ones(len(before.times)))  # of a pass that lacks what it needs
    out = net.forward(trains, differentiable=False, count_peaks=True)
    assert out.times.tolist() == before.times.tolist()
    conditioning = naive.Conditioning()
    naive.simulate(list(zip(*trains[0])), weights, neurons, scheme, 3.0, conditioning)
    assert sum(one.n_unresolved for one in net.layers) == conditioning.unresolved
    assert (conditioning.unresolved > 0) == (k > 0)
    dense = Network(list(zip(weights, neurons)), Scheme(method, order, dt), 3.0)
    dense.forward(trains, count_peaks=True)
    assert [one.n_unresolved for one in dense.layers] == [0, 0]


def test_exact_equals_the_closed_form_of_bats():
    """tau = 2 tau_s: exp(-t / tau) solves a quadratic (Bacho & Chu 2023)."""
    tau, theta = 1.0, 1.0
    for w in (5.0, 9.0, 20.0):
        net, trains, _ = single([[w]], [0.0], Scheme(), max_spikes=1)
        # u = tau w (x - x^2), x = exp(-t / tau)
        x = 0.5 * (1.0 + np.sqrt(1.0 - 4.0 * theta / (tau * w)))
        np.testing.assert_allclose(net.forward(trains).times, [-tau * np.log(x)], rtol=1e-14)


@pytest.mark.parametrize("taus", cases.TIME_CONSTANTS)
@pytest.mark.parametrize("method", ["exact", "rk2", "ps", "backward-euler", "trapezoidal"])
def test_lossless_detection(method, taus):
    """A peak inside one sub-interval that exceeds theta by 1e-9 of it spikes, below it does not."""
    tau_s, tau = taus
    order = 6 if method == "ps" else None

    def u(s):
        return naive.propagator(method, order, s, tau_s, tau)[1]

    s = np.linspace(0.0, 4.0 * max(taus), 4001)
    k = int(np.argmax(np.diff([u(x) for x in s]) < 0))  # where u first falls
    low, high = s[k - 1], s[k + 1]
    for _ in range(100):  # ternary search
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if u(a) < u(b) else (low, b)
    peak = u(0.5 * (low + high))
    h = 1.3 * low
    scheme = Scheme(method, order, h)
    for excess, expected in ((1e-9, 1), (-1e-9, 0)):
        net, trains, _ = single(
            [[(1.0 + excess) / peak]], [0.0], scheme, duration=h, tau_s=tau_s, tau=tau,
            max_spikes=1,
        )  # fmt: skip
        assert len(net.forward(trains).times) == expected


@pytest.mark.parametrize("dt", [0.01, 0.05])
def test_none_errs_by_at_most_a_multiple_of_dt(dt):
    weights = [[7.0]]
    exact = single(weights, [0.0], Scheme())[0]
    coarse = single(weights, [0.0], Scheme("euler", dt=dt, interpolation="none"))[0]
    trains = SpikeTrains.from_samples([([0.0], [0])], 1)
    first = exact.forward(trains).times[0], coarse.forward(trains).times[0]
    assert abs(first[1] - first[0]) <= 2.0 * dt


STEPS = 0.4 / np.array(
    [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
)


def slope(order, interpolation, draw_weights, n_draws):
    """Slope of log error over log dt of the first spike time, errors between 1e-12 and 1e-3 tau.

    Inputs lie on the coarsest grid; logarithms are averaged over draws of the weights.
    """
    rng = np.random.default_rng(order)
    trains = SpikeTrains.from_samples([([0.0, 0.4], [0, 1])], 2)
    neuron = Neuron(0.5, 0.9, 1.0, max_spikes=1)
    errors = np.full((n_draws, len(STEPS)), np.nan)
    for row in errors:
        layer = [(np.array(draw_weights(rng)), neuron)]
        exact = Network(layer, Scheme(), 2.0).forward(trains).times[0]
        for k, dt in enumerate(STEPS):
            out = Network(layer, Scheme("ps", order, dt, interpolation), 2.0).forward(trains)
            row[k] = abs(out.times[0] - exact) / neuron.tau if len(out.times) else np.nan
    middle = np.median(errors, axis=0)  # NaN where a coarse step misses a spike
    measured = np.flatnonzero((middle > 1e-12) & (middle < 1e-3))[-3:]  # the asymptotic end
    assert len(measured) >= 3
    logs = np.log(np.maximum(errors[:, measured], 1e-16)).mean(axis=0)
    return np.polyfit(np.log(STEPS[measured]), logs, 1)[0]


@pytest.mark.parametrize("order", range(1, 9))
def test_order_n_converges_with_slope_n(order):
    """Weights that make the exact spike fall on the coarsest grid: no phase blurs the slope."""
    c = [naive.propagator("exact", None, t, 0.5, 0.9)[1] for t in (0.8, 0.4)]

    def draw(rng):
        w = rng.uniform(0.2, 1.0)
        return [[w], [(1.0 - w * c[0]) / c[1]]]

    assert abs(slope(order, "dense", draw, 20) - order) <= 0.2


@pytest.mark.parametrize("order", range(1, 5))
def test_linear_converges_with_slope_two_at_most(order):
    def draw(rng):
        return [[rng.uniform(2.0, 3.6)], [rng.uniform(5.6, 8.0)]]

    assert abs(slope(order, "linear", draw, 60) - min(order, 2)) <= 0.3


def test_several_extrema_in_one_step_of_order_five():
    """At h = 1.6 tau the quintic of this state rises, falls and rises: its first root counts."""
    neuron = {"tau_s": 1.0, "tau": 1.0, "max_spikes": 1}
    scheme = Scheme("ps", 5, 1.6)
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(3000):
        # a first step gives the state, a second one is looked at
        weights = np.array([[rng.uniform(-9, 0.9)] * 3, [rng.uniform(0, 12)] * 3])
        flow = naive.Flow(scheme, Neuron(1.0, 1.0, 1.0), weights[0, 0], 0.0)
        current, potential = flow.at(1.6)
        if not potential < 1.0 or flow.extrema(1.6):
            continue
        second = naive.Flow(scheme, Neuron(1.0, 1.0, 1.0), current + weights[1, 0], potential)
        if len(second.extrema(1.6)) < 2:
            continue
        trains, duration = [0.0, 1.6], 3.2
        net, trains, oracle = single(
            weights, trains, scheme, duration=duration, indices=[0, 1], **neuron
        )
        assert_equal_spikes(net.forward(trains), oracle, 1e-11)
        found += 1
    assert found >= 5
