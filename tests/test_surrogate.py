"""The surrogate gradient: backpropagation through the grid with a smooth derivative of spikes."""

import itertools

import naive
import naive_surrogate
import numpy as np
import pytest

from lifnum import (
    Network,
    Neuron,
    Scheme,
    SpikeTrains,
    evaluate,
    losses,
    options,
    sweep,
    train,
)
from lifnum.files import transfers
from lifnum.files.reader import Trace
from lifnum.runs import configuration

DURATION = 1.95  # its last step is shorter: no multiple of any step here

SLOPES = {"fast-sigmoid": 25.0, "arctan": 2.0}


def surrogate(method="euler", order=None, dt=0.1, **more):
    return Scheme(method, order, dt, "none", "surrogate", **more)


SCHEMES = [
    surrogate(method, order, dt, surrogate=name, slope=slope, reset_gradient=reset)
    for method, order, dt in (("exact", None, 0.07), ("euler", None, 0.1), ("ps", 3, 0.15))
    for name in SLOPES
    for slope in (1.0, 25.0)
    for reset in (False, True)
]


class Problem:
    """A network of random weights, and samples with inputs on and beside the grid."""

    def __init__(self, seed, scheme, sizes=(7, 20, 5), batch=4, max_spikes=None, dtype=float):
        rng = np.random.default_rng(seed)
        self.scheme = scheme
        caps = [max_spikes or 50] * len(sizes)
        self.neurons = [Neuron(0.3, 0.5, 1.0 + 0.2 * k, 0.9, cap) for k, cap in enumerate(caps[1:])]
        shapes = itertools.pairwise(sizes)
        self.weights = [rng.normal(1.5, 4.0, shape).astype(dtype) for shape in shapes]
        self.samples = []
        for k in range(batch):
            times = rng.uniform(0.0, 1.1 * DURATION, 9 * (k > 0))  # the first has none
            times[: 3 * (k > 1)] = scheme.dt * rng.integers(3, 9)
            self.samples.append((times, rng.integers(0, sizes[0], len(times))))
        self.spikes = SpikeTrains.from_samples(self.samples, sizes[0])
        self.d_counts = [rng.normal(0.0, 1.0, (batch, n)) for n in sizes[1:]]

    def network(self):
        return Network(list(zip(self.weights, self.neurons)), self.scheme, DURATION)

    def oracle(self, d_counts, slope=None):
        """(spike counts of every layer, gradients of every layer), summed over the batch."""
        counts = [np.zeros(d.shape) for d in d_counts]
        totals = [np.zeros(w.shape) for w in self.weights]
        slope = slope or self.scheme.slope or SLOPES[self.scheme.surrogate]
        for b, (times, indices) in enumerate(self.samples):
            order = np.lexsort((indices, times))
            layers = naive_surrogate.simulate(
                list(zip(times[order], indices[order])), self.weights, self.neurons, self.scheme,
                DURATION,
            )  # fmt: skip
            found = naive_surrogate.gradients(layers, self.weights, self.neurons, self.scheme,
                                              slope, [d[b] for d in d_counts])  # fmt: skip
            for k, (layer, d_w) in enumerate(zip(layers, found)):
                counts[k][b] = layer.spikes.sum(axis=0)
                totals[k] += d_w
        return counts, totals

    def only_output(self):
        return [*(np.zeros_like(d) for d in self.d_counts[:-1]), self.d_counts[-1]]


def assert_close(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * np.abs(other).max())


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.label)
def test_gradients_equal_those_of_the_oracle(scheme):
    """Two layers; every number is a sum of a few hundred products of order one: 1e-10."""
    problem = Problem(1, scheme)
    net = problem.network()
    net.forward(problem.spikes)
    counts, expected = problem.oracle(problem.only_output())
    for layer, n in zip(net.layers, counts):
        assert (layer.spikes.counts() == n).all() and n.sum() > 20
    found = net.backward(counts=problem.d_counts[-1])
    assert all(np.abs(g).max() > 1e-3 for g in expected)
    assert_close(found, expected, 1e-10)
    norms = [np.linalg.norm(g) for g in expected]
    np.testing.assert_allclose([layer.gradient_norm for layer in net.layers], norms, rtol=1e-10)


@pytest.mark.parametrize("name", SLOPES)
def test_the_default_slopes_are_those_of_the_documentation(name):
    problem = Problem(2, surrogate(surrogate=name))
    net = problem.network()
    net.forward(problem.spikes)
    assert net.scheme.surrogate_slope == SLOPES[name]
    found = net.backward(counts=problem.d_counts[-1])
    assert_close(found, problem.oracle(problem.only_output(), SLOPES[name])[1], 1e-10)


@pytest.mark.parametrize("sizes", [(3, 1), (5, 17, 130, 3), (4, 64, 80, 16)])
def test_gradients_injected_at_every_layer_equal_those_of_the_oracle(sizes):
    """Of one to three layers, of one and of several tiles, padded or not."""
    problem = Problem(3, surrogate(reset_gradient=True), sizes)
    net = problem.network()
    net.forward(problem.spikes)
    hidden = dict(enumerate(problem.d_counts[:-1]))
    found = net.backward(counts=problem.d_counts[-1], hidden=hidden)
    assert_close(found, problem.oracle(problem.d_counts)[1], 1e-10)


def test_a_capped_neuron_passes_no_gradient_once_it_is():
    problem = Problem(4, surrogate(slope=1.0), max_spikes=2)
    net = problem.network()
    net.forward(problem.spikes)
    counts, expected = problem.oracle(problem.only_output())
    assert net.layers[0].n_suppressed > 5 and all(n.max() == 2 for n in counts)
    assert_close(net.backward(counts=problem.d_counts[-1]), expected, 1e-10)
    free = Problem(4, surrogate(slope=1.0))
    assert np.abs(free.oracle(free.only_output())[1][0] - expected[0]).max() > 1e-3


def test_single_precision_agrees_with_double_precision():
    """Where rounding moves no spike: to a thousand units in the last place of float32, 1e-4."""
    results = []
    for dtype in (np.float32, np.float64):
        problem = Problem(5, surrogate("exact"), (7, 40, 5), dtype=np.float32)
        problem.weights = [w.astype(dtype) for w in problem.weights]
        net = problem.network()
        out = net.forward(problem.spikes)
        results.append((out, net.backward(counts=problem.d_counts[-1])))
    (single, found), (double, expected) = results
    assert single == double and found[0].dtype == np.float32
    assert_close(found, expected, 1e-4)


def test_a_silent_layer_passes_a_gradient():
    """It is what surrogates are for: nothing spikes at the output, and both layers learn."""
    problem = Problem(6, surrogate())
    problem.weights[1] = 0.01 * np.abs(problem.weights[1])
    net = problem.network()
    out = net.forward(problem.spikes)
    assert len(out.times) == 0 and len(net.layers[0].spikes.times) > 0
    found = net.backward(counts=-np.ones((4, 5)))
    assert_close(found, problem.oracle([np.zeros((4, 20)), -np.ones((4, 5))])[1], 1e-10)
    assert (found[1] <= 0.0).all() and all(np.abs(g).max() > 1e-6 for g in found)


@pytest.mark.parametrize(("sizes", "batch"), [((7, 20, 5), 0), ((7, 0, 5), 3), ((0, 4, 5), 3)])
def test_nothing_has_no_gradient(sizes, batch):
    problem = Problem(6, surrogate(), sizes, 0)
    empty = SpikeTrains.from_samples([([], [])] * batch, sizes[0])
    net = problem.network()
    net.forward(empty)
    found = net.backward(counts=np.ones((batch, 5)))
    assert [g.shape for g in found] == [w.shape for w in problem.weights]
    assert all((g == 0.0).all() for g in found)


def test_a_step_longer_than_the_duration_is_the_duration():
    problem = Problem(13, surrogate("exact", dt=5.0))
    net = problem.network()
    net.forward(problem.spikes)
    problem.scheme = surrogate("exact", dt=DURATION)
    found = net.backward(counts=problem.d_counts[-1])
    expected = problem.oracle(problem.only_output())[1]
    assert np.abs(expected[0]).max() == 0.0 == np.abs(found[0]).max()
    net.backward(counts=problem.d_counts[-1], hidden={0: problem.d_counts[0]})
    expected = problem.oracle(problem.d_counts)[1]
    found = net.backward(counts=problem.d_counts[-1], hidden={0: problem.d_counts[0]})
    assert_close(found, expected, 1e-10)


def test_more_steps_than_memory_holds_are_refused_in_one_line(monkeypatch):
    from lifnum import surrogate as module

    problem = Problem(14, surrogate())
    net = problem.network()
    net.forward(problem.spikes)
    monkeypatch.setattr(module, "MAX_TABLE_BYTES", 1e4)
    with pytest.raises(ValueError, match=r"dt 0\.1 with a batch of 4 needs .* accepted: at"):
        net.backward(counts=problem.d_counts[-1])


def test_bits_do_not_depend_on_threads():
    numba = pytest.importorskip("numba")
    problem = Problem(7, surrogate(), (30, 100, 10), batch=40, dtype=np.float32)
    results = []
    threads = numba.get_num_threads()
    try:
        for n in (1, threads):
            numba.set_num_threads(n)
            net = problem.network()
            net.forward(problem.spikes)
            results.append(net.backward(counts=problem.d_counts[-1]))
    finally:
        numba.set_num_threads(threads)
    for one, other in zip(*results):
        assert (one == other).all() and np.abs(one).max() > 0


def test_weights_that_were_changed_after_forward_are_refused_where_spikes_are_others():
    problem = Problem(8, surrogate())
    net = problem.network()
    net.forward(problem.spikes)
    before = net.backward(counts=problem.d_counts[-1])
    net.weights[0][:] *= 1.5
    with pytest.raises(ValueError, match="weights were changed after forward") as refused:
        net.backward(counts=problem.d_counts[-1])
    assert "\n" not in str(refused.value)
    net.weights[0][:] /= 1.5
    net.forward(problem.spikes)
    for one, other in zip(net.backward(counts=problem.d_counts[-1]), before):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_the_loss_gives_its_derivative_by_the_count():
    """d_counts is what d_times has the opposite sign of, by the convention of the losses."""
    problem = Problem(9, surrogate())
    net = problem.network()
    out = net.forward(problem.spikes)
    labels = np.array([0, 4, 1, 2])
    loss = losses.SpikeCount(7.0, 1.0)
    targets = np.full((4, 5), 1.0)
    targets[np.arange(4), labels] = 7.0
    d_counts = loss.d_counts(out, labels)
    assert (d_counts == out.counts() - targets).all()
    assert (loss(out, labels)[1] == out.spread(-d_counts)).all()
    assert_close(
        net.backward(counts=d_counts), problem.oracle([np.zeros((4, 20)), d_counts])[1], 1e-10
    )


def test_pytorch_gives_the_same_gradients():
    """The network as one writes it in PyTorch, in double precision."""
    torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install '.[torch]'")

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, name, k):
            ctx.save_for_backward(x)
            ctx.name, ctx.k = name, k
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx, d_spike):
            (x,) = ctx.saved_tensors
            if ctx.name == "fast-sigmoid":
                return d_spike / (1 + ctx.k * x.abs()) ** 2, None, None
            return d_spike * ctx.k / 2 / (1 + (torch.pi / 2 * ctx.k * x) ** 2), None, None

    for scheme in SCHEMES:
        problem = Problem(10, scheme)
        n_grid = int(np.ceil(DURATION / scheme.dt))
        x = torch.zeros(n_grid + 1, 4, 7, dtype=torch.float64)
        for b, (times, indices) in enumerate(problem.samples):
            for time, index in zip(times, indices):
                x[min(naive.grid_index(time, scheme.dt), n_grid), b, index] += time < DURATION
        weights = [torch.from_numpy(w.copy()).requires_grad_(True) for w in problem.weights]
        for w, neuron in zip(weights, problem.neurons):
            current = u = torch.zeros(4, w.shape[1], dtype=torch.float64)
            spikes = [torch.zeros_like(u)]
            for g in range(n_grid):
                h = min((g + 1) * scheme.dt, DURATION) - g * scheme.dt
                a, c, b = naive.propagator(scheme.method, scheme.order, h, neuron.tau_s, neuron.tau)
                current = current + x[g] @ w
                current, u = a * current, c * current + b * u
                s = Spike.apply((u - neuron.theta) / neuron.theta, scheme.surrogate, scheme.slope)
                u = u - neuron.delta_theta * (s if scheme.reset_gradient else s.detach())
                spikes.append(s)
            x = torch.stack(spikes)
        (x.sum(0) * torch.from_numpy(problem.d_counts[-1])).sum().backward()
        net = problem.network()
        out = net.forward(problem.spikes)
        assert (out.counts() == x.sum(0).detach().numpy()).all()
        found = net.backward(counts=problem.d_counts[-1])
        assert_close(found, [w.grad.numpy() for w in weights], 1e-10)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: surrogate(surrogate="relu"), "surrogate is 'relu'; accepted: fast-sigmoid, arctan"),
    (lambda: surrogate(slope=0.0), "slope is 0.0; accepted"),
    (lambda: surrogate(reset_gradient=1), "reset_gradient is 1; accepted: True or False"),
    (lambda: Scheme(gradient="surrogate"), "gradient is 'surrogate'; accepted: adjusted or pigg"),
    (lambda: Scheme(slope=3.0), "slope is 3.0; accepted: None beside gradient 'adjusted'"),
    (lambda: Scheme("euler", dt=0.1, surrogate="arctan"), "surrogate is 'arctan'; accepted: 'fast"),
    (lambda: surrogate().adjoint("piggyback"), "gradient is 'piggyback'; accepted: 'surrogate'"),
    (lambda: Scheme("euler", dt=0.1, interpolation="none").adjoint("surrogate"),
     "gradient is 'surrogate'; accepted: 'piggyback'"),
    (lambda: Network([(np.ones((1, 1)), Neuron())], surrogate(), 1.0, "cuda"),
     "device is 'cuda'; accepted: 'cpu' for gradient 'surrogate'"),
])  # fmt: skip
def test_bad_schemes_are_refused_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_a_model_is_refused_in_one_line():
    from lifnum.neurons import models

    with pytest.raises(ValueError, match="gradient is 'surrogate' for izhikevich") as refused:
        Network([(np.ones((1, 1)), models.izhikevich())], surrogate("rk4"), 1.0)
    assert "\n" not in str(refused.value)


COUNTS = np.zeros((4, 5))


@pytest.mark.parametrize(("arguments", "words"), [
    ({}, "neither d_times nor counts is given; accepted: one of them"),
    ({"d_times": [], "counts": COUNTS}, "d_times and counts are given; accepted: one of them"),
    ({"d_times": []}, "d_times, dL/dt, are given; accepted: counts for gradient 'surrogate'"),
    ({"counts": np.zeros((4, 6))}, r"counts are float64 of shape \(4, 6\); accepted: numbers of"),
    ({"counts": np.full((4, 5), np.nan)}, r"counts\[0, 0\] is nan; accepted: finite numbers"),
    ({"counts": COUNTS, "input_gradient": True}, "input_gradient is True; accepted: False"),
    ({"counts": COUNTS, "hidden": [COUNTS]}, "hidden is a list; accepted: a dictionary"),
    ({"counts": COUNTS, "hidden": {2: COUNTS}}, "hidden has the key 2; accepted: layers, integ"),
    ({"counts": COUNTS, "hidden": {0: COUNTS}}, r"hidden\[0\] are float64 of shape \(4, 5\)"),
    ({"counts": COUNTS, "gradient": "piggyback"}, "gradient is 'piggyback'; accepted: 'surrogate'"),
])  # fmt: skip
def test_bad_derivatives_are_refused_in_one_line(arguments, words):
    problem = Problem(11, surrogate())
    net = problem.network()
    net.forward(problem.spikes)
    with pytest.raises(ValueError, match=words) as refused:
        net.backward(**arguments)
    assert "\n" not in str(refused.value)
    assert len(net.backward(counts=COUNTS)) == 2


def test_counts_are_refused_by_the_adjoints_of_spike_times():
    problem = Problem(12, Scheme("euler", dt=0.1))
    net = problem.network()
    net.forward(problem.spikes)
    with pytest.raises(ValueError, match="counts, dL/dn, are given; accepted: d_times"):
        net.backward(counts=COUNTS)


SMALL = ["--epochs", "2", "--limit-train", "60", "--limit-test", "20", "--hidden", "30",
         "--interpolation", "none", "--dt", "0.005", "--quiet"]  # fmt: skip


def test_a_run_trains_with_the_surrogate_that_its_options_name(in_tmp):
    """The first step goes down the gradient of that surrogate; the trace knows it."""
    more = ["--surrogate", "arctan", "--slope", "3", "--reset-gradient"]
    arguments = [*SMALL, "--gradient", "surrogate", *more, "--output", "a.h5"]
    assert options.run("lifnum.train", train.main, arguments) == 0
    with Trace("a.h5") as trace:
        config = configuration.Configuration.from_json(trace.config, "a.h5")
        losses_of_epochs = trace.epochs["train_loss"]
    expected = surrogate("exact", dt=0.005, surrogate="arctan", slope=3.0, reset_gradient=True)
    assert config.scheme == expected
    assert expected.label == "exact-dt0.005-none-surrogate-arctan-slope3-reset"
    assert losses_of_epochs[1] < losses_of_epochs[0]
    assert configuration.load("a.h5").scheme == expected
    more = ["--interpolation", "none", "dense", "--gradients", "10", "--output", "t.h5"]
    assert options.run("lifnum.evaluate", evaluate.main, ["a.h5"]) == 0
    assert options.run("lifnum.evaluate", evaluate.main, ["a.h5", *more]) == 0
    assert len(transfers.read_transfer("t.h5").schemes["accuracy"]) == 2


def test_a_sweep_has_every_gradient_that_there_is_from_the_same_weights(in_tmp, refusal):
    def schemes(*arguments):
        command = ["--methods", "euler", "--dt", "0.005", *arguments, "--hidden", "30"]
        jobs = sweep.jobs_of(*sweep.parser().parse_known_args(command))
        return [job.config.scheme for job in jobs]

    gradients = ["--gradient", "adjusted", "piggyback", "surrogate"]
    found = schemes("--interpolation", "none", "dense", *gradients)
    assert [(s.interpolation, s.gradient) for s in found] == [
        ("none", "piggyback"), ("none", "surrogate"), ("dense", "adjusted"), ("dense", "piggyback"),
    ]  # fmt: skip
    found = schemes("--interpolation", "none", *gradients[:1], "surrogate", "--reset-gradient",
                    "--surrogate", "arctan", "fast-sigmoid", "--slope", "1", "5")  # fmt: skip
    assert [(s.surrogate, s.slope, s.reset_gradient) for s in found] == [
        ("arctan", 1.0, True), ("arctan", 5.0, True), ("fast-sigmoid", 1.0, True),
        ("fast-sigmoid", 5.0, True),
    ]  # fmt: skip
    for arguments, words in (
        (["--slope", "5"], "slope is [5.0]; accepted: none where surrogate is not among"),
        (["--gradient", "surrogate"], "interpolation is ['dense']; accepted: none among them"),
    ):
        line = refusal(options.run, "lifnum.sweep", sweep.main, ["--dry-run", *arguments])
        assert words in line


@pytest.mark.parametrize(("arguments", "words"), [
    (["--loss", "ttfs"], "loss is 'ttfs'; accepted for gradient 'surrogate', which needs dL/dn: s"),
    (["--interpolation", "dense"], "gradient is 'surrogate'; accepted: adjusted or piggyback"),
    (["--slope", "-1"], "slope is -1.0; accepted: a finite number > 0"),
    (["--surrogate", "step"], "surrogate is 'step'; accepted: fast-sigmoid, arctan"),
])  # fmt: skip
def test_training_names_what_it_refuses(in_tmp, refusal, arguments, words):
    command = [*SMALL, "--gradient", "surrogate", *arguments]
    assert words in refusal(options.run, "lifnum.train", train.main, command)
