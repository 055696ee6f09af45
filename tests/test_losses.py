"""Losses: their derivatives against difference quotients and complex steps, and silent neurons."""

import numpy as np
import pytest

from lifnum import SpikeTrains, losses, options, train
from lifnum.files.reader import Trace
from lifnum.losses.van_rossum import distances
from lifnum.runs import configuration, presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.trainer import Trainer

DURATION = 1.0

LOSSES = {
    "cross-entropy": losses.CrossEntropy(),
    "first-spike": losses.FirstSpike(0.1, 0.3, 0.05, 0.2, DURATION),
    "van-rossum": losses.VanRossum(0.15, DURATION, 4, 1),
    "count-value": losses.CountValue(0.25),
    "time-value": losses.TimeValue(0.2, DURATION),
}


def trains(seed, batch=5, n_neurons=4, n_spikes=9):
    """Spikes at separate times; the last neuron and the last sample are silent."""
    rng = np.random.default_rng(seed)
    samples = []
    for k in range(batch):
        n = n_spikes * (k < batch - 1)
        times = (rng.permutation(40)[:n] + rng.uniform(0.2, 0.8, n)) / 40 * DURATION
        samples.append((times, rng.integers(0, n_neurons - 1, n)))
    return SpikeTrains.from_samples(samples, n_neurons)


def wanted(loss, out, seed=0):
    rng = np.random.default_rng(seed)
    if isinstance(loss, (losses.CountValue, losses.TimeValue)):
        return rng.uniform(0.0, 1.0, (len(out), out.n_neurons))
    return rng.integers(0, out.n_neurons, len(out))


@pytest.mark.parametrize("name", ["first-spike", "van-rossum", "time-value"])
def test_derivatives_by_spike_times_are_difference_quotients(name):
    """Central differences of 1e-6: their error is some 1e-9."""
    loss = LOSSES[name]
    for seed in range(5):
        out = trains(seed)
        labels = wanted(loss, out, seed)
        values, d_times = loss(out, labels)
        assert values.shape == (5,) and np.abs(d_times).max() > 0.01
        for k, time in enumerate(out.times):
            ends = []
            for step in (1e-6, -1e-6):
                times = out.times.copy()
                times[k] = time + step
                moved = SpikeTrains(times, out.indices, out.offsets, out.n_neurons)
                ends.append(loss(moved, labels)[0].sum())
            np.testing.assert_allclose(d_times[k], (ends[0] - ends[1]) / 2e-6, atol=1e-7)


class Counts:
    """Spike counts as if they were real, or complex, numbers."""

    xp = np

    def __init__(self, counts):
        self._counts = counts
        self.n_neurons = counts.shape[1]

    def __len__(self):
        return len(self._counts)

    def counts(self):
        return self._counts


def by_hand(name, n, labels):
    """The loss of one sample from its counts, complex ones too."""
    if name == "cross-entropy":
        return np.log(np.exp(n).sum()) - n[labels]
    if name == "count-value":
        return 0.5 * ((0.25 * n - labels) ** 2).sum()
    return 0.5 * ((np.where(np.arange(len(n)) == labels, 7.0, 2.0) - n) ** 2).sum()


@pytest.mark.parametrize("name", ["spike-count", "cross-entropy", "count-value"])
def test_derivatives_by_counts_are_complex_steps_and_spikes_get_them_with_the_other_sign(name):
    loss = losses.SpikeCount(7.0, 2.0) if name == "spike-count" else LOSSES[name]
    out = trains(1)
    labels, n = wanted(loss, out), out.counts()
    values, d_times = loss(out, labels)
    d_counts = loss.d_counts(out, labels)
    for b in range(len(out)):
        np.testing.assert_allclose(values[b], by_hand(name, n[b], labels[b]), rtol=1e-12)
        for j in range(out.n_neurons):
            step = n[b] + 1e-30j * (np.arange(out.n_neurons) == j)
            slope = by_hand(name, step, labels[b]).imag / 1e-30
            np.testing.assert_allclose(d_counts[b, j], slope, rtol=1e-12, atol=1e-12)
    assert (d_times == out.spread(-d_counts)).all() and (n == 0).any()
    assert np.abs(d_counts[n == 0]).max() > 0  # silent neurons have a dL/dn


def test_the_cross_entropy_of_many_spikes_does_not_overflow():
    loss, labels = losses.CrossEntropy(), np.array([1])
    values = loss(SpikeTrains.from_samples([(np.arange(2000) * 1e-4, [0] * 2000)], 2), labels)[0]
    assert values[0] == 2000.0


def test_the_penalty_on_rates_is_that_of_the_mean_over_the_batch():
    out, penalty = trains(2), losses.RatePenalty(0.3, 1.5)
    counts = out.counts()

    def total(n):
        return len(n) * 0.15 * ((n.sum(axis=0) / len(n) - 1.5) ** 2).sum()

    value, d_times = penalty(out)
    np.testing.assert_allclose(value * len(out), total(counts), rtol=1e-12)
    d_counts = penalty.d_counts(out)
    for index in np.ndindex(counts.shape):
        step = counts.astype(complex)
        step[index] += 1e-30j
        np.testing.assert_allclose(d_counts[index], total(step).imag / 1e-30, rtol=1e-12)
    assert (d_times == out.spread(-d_counts)).all()


def filtered(times, tau, grid):
    """Spikes through the filter of van Rossum, on a grid of times."""
    ages = grid[:, None] - np.asarray(times)[None]
    return np.where(ages >= 0, np.exp(-np.maximum(ages, 0) / tau), 0.0).sum(axis=1)


def test_the_distance_of_van_rossum_is_the_integral():
    """By the midpoint rule, whose error at jumps is about the step, 1e-4."""
    rng, tau = np.random.default_rng(3), 0.1
    grid = (np.arange(300_000) + 0.5) * 1e-5
    pairs = [(rng.uniform(0, 1, n), rng.uniform(0, 1, m)) for n, m in ((3, 5), (0, 2), (4, 0))]
    out, targets = (
        SpikeTrains.from_samples(
            [(pair[side], np.zeros(len(pair[side]), int)) for pair in pairs], 1
        )
        for side in (0, 1)
    )
    found = distances(out, targets, tau)[0][:, 0]
    for value, (a, b) in zip(found, pairs):
        integral = ((filtered(a, tau, grid) - filtered(b, tau, grid)) ** 2).sum() * 1e-5 / tau
        np.testing.assert_allclose(value, integral, rtol=2e-3)


def test_spikes_on_their_targets_are_at_no_distance_and_stay():
    out = trains(4)
    values, d_times = distances(out, out, 0.1)
    assert np.abs(values).max() < 1e-14 and np.abs(d_times).max() < 1e-12
    silent = SpikeTrains.from_samples([([], [])] * 5, 4)
    np.testing.assert_allclose(distances(silent, out, 1e-6)[0], 0.5 * out.counts())
    with pytest.raises(ValueError, match="targets have 5 samples of 3 neurons; accepted: 5 of 4"):
        distances(out, trains(4, n_neurons=3), 0.1)


def test_targets_of_classes_are_regular_trains_and_the_nearest_is_predicted():
    loss = losses.VanRossum(0.05, DURATION, 4.0, 1.0)
    labels = np.array([2, 0, 1])
    targets = loss.targets(trains(0, 3, 3), labels)
    times, indices = targets[0]
    assert times[indices == 2].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert times[indices == 0].tolist() == [0.5]
    assert (loss(targets, labels)[0] < 1e-12).all()
    assert loss.predict(targets).tolist() == labels.tolist()
    assert (loss(targets, targets)[0] < 1e-12).all()
    assert loss.predict(SpikeTrains.from_samples([([], [])], 3)).tolist() == [-1]


def test_the_published_time_scales_are_those_of_the_synapse():
    """0.5 ms and 6.4 ms where tau_s is 5 ms, of the last layer."""
    loss = losses.FirstSpike(None, None, 3e-3, (0.1, 5e-3), 0.03)
    np.testing.assert_allclose(loss.scales, (0.5e-3, 6.4e-3))
    assert losses.build(presets.resolve("digits", {"loss": "first-spike"})).scales == (
        0.1 * 0.13, 1.28 * 0.13,
    )  # fmt: skip


def test_a_silent_neuron_is_at_the_end_and_gets_no_gradient():
    out = SpikeTrains.from_samples([([0.4, 0.6], [0, 0])], 2)
    values, d_times = losses.FirstSpike(0.1, 0.3, 0.05, 0.2, DURATION)(out, np.array([1]))
    scores = -np.array([0.4, 1.0]) / 0.1
    expected = np.log(np.exp(scores).sum()) - scores[1] + 0.05 * (np.exp(1.0 / 0.3) - 1)
    np.testing.assert_allclose(values, [expected], rtol=1e-12)
    assert d_times[0] < 0.0 and d_times[1] == 0.0
    values, d_times = losses.TimeValue(0.1, DURATION)(out, np.array([[0.5, 0.9]]))
    np.testing.assert_allclose(values, [1.0], rtol=1e-12)
    np.testing.assert_allclose(d_times, [-10.0, 0.0])


@pytest.mark.parametrize(("call", "words"), [
    (lambda: losses.RatePenalty(0.0), "penalty is 0.0; accepted"),
    (lambda: losses.RatePenalty(1.0, np.nan), "target is nan; accepted"),
    (lambda: losses.CountValue(-1.0), "unit is -1.0; accepted"),
    (lambda: losses.TimeValue(0.0, 1.0), "tau is 0.0; accepted"),
    (lambda: losses.CountValue()(trains(0), np.zeros(5)), r"values are float64 of shape \(5,\); a"),
    (lambda: losses.CountValue()(trains(0), np.full((5, 4), np.inf)), "values are not finite"),
    (lambda: losses.CrossEntropy()(trains(0), np.full(5, 4)), r"labels\[0\] is 4; accepted"),
    (lambda: losses.VanRossum(0.1, 1.0)(trains(0), np.zeros(4, int)), "labels are int64 of shape"),
    (lambda: presets.resolve("digits", {"tau_late": -1.0}), "tau_late is -1.0; accepted"),
    (lambda: presets.resolve("digits", {"revive": np.inf}), "revive is inf; accepted"),
    (lambda: presets.resolve("digits", {"rate_penalty": 1.0, "hidden": ()}),
     "rate_penalty is 1; accepted: 0 without hidden layers"),
])  # fmt: skip
def test_what_is_no_loss_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as refused:
        call()
    assert "\n" not in str(refused.value)


SMALL = ["--epochs", "6", "--limit-train", "100", "--limit-test", "20", "--hidden", "30",
         "--validation-share", "0", "--dt", "0.005", "--method", "euler", "--quiet"]  # fmt: skip


def trained(*arguments):
    """(configuration, epochs) of the trace of a run."""
    command = [*SMALL, *arguments, "--output", "a.h5", "--overwrite"]
    assert options.run("lifnum.train", train.main, command) == 0
    with Trace("a.h5") as trace:
        return Configuration.from_json(trace.config, "a.h5"), trace.epochs


@pytest.mark.parametrize(("name", "arguments"), [
    ("cross-entropy", []),
    ("cross-entropy", ["--interpolation", "none", "--gradient", "surrogate"]),
    ("first-spike", ["--tau-softmax", "0.02", "--late-weight", "0.01"]),
    ("van-rossum", ["--tau-rossum", "1", "--target-true", "8", "--target-false", "2",
                    "--limit-train", "400"]),
])  # fmt: skip
def test_every_loss_trains_from_the_command_line(in_tmp, name, arguments):
    config, epochs = trained("--loss", name, *arguments)
    assert config.preset.loss == name
    assert epochs["train_loss"][-1] < 0.8 * epochs["train_loss"][0]
    assert epochs["train_accuracy"][-1] > epochs["train_accuracy"][0]


@pytest.mark.parametrize("gradient", ["adjusted", "surrogate"])
def test_a_penalty_on_hidden_rates_makes_hidden_spikes_fewer_or_more(in_tmp, gradient):
    how = ["--interpolation", "none"] if gradient == "surrogate" else []
    how += ["--gradient", gradient]
    spikes = []
    for more in ([], ["--rate-penalty", "1"], ["--rate-penalty", "1", "--rate-target", "12"]):
        config, epochs = trained(*how, *more)
        spikes.append(epochs["train_spikes"][-1, 0])
    assert config.preset.rate_penalty == 1.0 and config.preset.rate_target == 12.0
    assert spikes[1] < 0.7 * spikes[0] < 0.7 * spikes[2]


def test_the_penalty_adds_to_the_loss_and_to_the_hidden_gradient(in_tmp):
    """A training step is that of the sum of both: loss, and weights of the output as without."""
    steps = []
    for penalty in (0.0, 0.2):
        changes = {"rate_penalty": penalty, "rate_target": 2.0, "hidden": (30,)}
        config = Configuration(presets.resolve("digits", changes), configuration.Scheme())
        trainer = Trainer(config, config.data())
        loss, _ = trainer.step()
        m = trainer.net.layers[0].spikes.counts().mean(axis=0)
        steps.append((loss, 0.1 * ((m - 2.0) ** 2).sum(), trainer.net.weights))
    (plain, _, before), (loss, value, after) = steps
    np.testing.assert_allclose(loss, plain + value, rtol=1e-12)
    assert value > 1.0
    assert (before[1] == after[1]).all() and not (before[0] == after[0]).all()


def test_silent_neurons_are_revived_where_it_is_asked_for(in_tmp):
    silent = ["--weights", "uniform:-0.5:0.02", "uniform:-1:1"]
    kept = [
        trained(*silent)[1]["silent"][:, 0],
        trained(*silent, "--revive", "0.01")[1]["silent"][:, 0],
    ]
    assert kept[0][-1] > 0.2 and kept[1][-1] < 0.5 * kept[0][-1]


def test_only_neurons_that_were_silent_in_all_samples_are_nudged(in_tmp):
    changes = {"revive": 0.125, "learning_rate": 1e-30, "hidden": (30,)}
    preset = presets.resolve("digits", changes | {"weights": (("uniform", -0.5, 0.4),) * 2})
    config = Configuration(preset, configuration.Scheme(), dtype="float64")
    trainer = Trainer(config, config.data())
    before = [w.copy() for w in trainer.net.weights]
    trainer.step()
    spiked = [layer.spikes.counts().any(axis=0) for layer in trainer.net.layers]
    assert not spiked[0].all() and spiked[0].any()
    for w, old, alive in zip(trainer.net.weights, before, spiked):
        np.testing.assert_allclose(w - old, np.where(alive, 0.0, 0.125) + 0 * w, atol=1e-12)


def test_a_gpu_is_refused_what_it_does_not_do():
    for name in ("rate_penalty", "revive"):
        with pytest.raises(
            ValueError, match=f"device is 'cuda'; accepted: cpu where {name} is not"
        ):
            Configuration(
                presets.resolve("digits", {name: 0.1}), configuration.Scheme(), device="cuda"
            )
