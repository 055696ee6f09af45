"""A loss of a user's: what it returns is counted as what it is, or refused in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import refused

import lifnum
from lifnum.files.reader import Trace
from lifnum.losses import CrossEntropy, SpikeCount

ROOT = Path(__file__).parents[1]
NEURON = lifnum.Neuron(0.01, 0.02, 0.02)
LOSS = SpikeCount()


def data():
    generator = np.random.default_rng(0)

    def part(n):
        samples = [(generator.uniform(0, 0.05, 6), generator.integers(0, 6, 6)) for _ in range(n)]
        return lifnum.SpikeTrains.from_samples(samples, 6), generator.integers(0, 2, n)

    return *part(40), *part(10)


def network(gradient="adjusted"):
    generator = np.random.default_rng(0)
    weights = [generator.uniform(0, 2, shape) for shape in ((6, 5), (5, 2))]
    scheme = lifnum.Scheme("exact")
    if gradient == "surrogate":
        scheme = lifnum.Scheme("euler", dt=1e-3, interpolation="none", gradient="surrogate")
    return lifnum.Network([(w, NEURON) for w in weights], scheme, 0.1)


def fit(folder, loss, net=None, **options):
    net = net or network()
    return lifnum.fit(net, data(), epochs=2, loss=loss, output=folder / "run.h5", overwrite=True,
                      quiet=True, **options)  # fmt: skip


class Own:
    """SpikeCount, with parts of it replaced."""

    def __init__(self, call=LOSS, predict=LOSS.predict, d_counts=LOSS.d_counts):
        self.call, self.predict, self.d_counts = call, predict, d_counts

    def __call__(self, out, labels):
        return self.call(out, labels)


def of(change):
    """A loss whose (values, d_times) are changed."""
    return lambda out, labels: change(*LOSS(out, labels))


@pytest.mark.parametrize(("change", "words"), [
    (lambda v, d: (v.mean(), d), r"values of the loss are float64 of shape \(\); accepted: real "
     r"numbers of shape \(20,\), one for each sample"),
    (lambda v, d: (v[:, None], d), r"values of the loss are float64 of shape \(20, 1\)"),
    (lambda v, d: (v[:-1], d), r"values of the loss are float64 of shape \(19,\)"),
    (lambda v, d: (v > 0, d), "values of the loss are bool"),
    (lambda v, d: (v + 0j, d), "values of the loss are complex128"),
    (lambda v, d: (None, d), "values of the loss are a NoneType; accepted"),
    (lambda v, d: ([[1.0], [2.0, 3.0]], d), "values of the loss are a list; accepted"),
    (lambda v, d: (v, None), "dL/dt of the loss are a NoneType; accepted: real numbers"),
    (lambda v, d: (v, d[:-1]), "dL/dt of the loss are float64 of shape .*one for each spike"),
    (lambda v, d: (v, 0.0), r"dL/dt of the loss are float64 of shape \(\)"),
    (lambda v, d: (v, d.astype(str)), "dL/dt of the loss are <U"),
    (lambda v, d: None, "loss returns a NoneType, no pair; accepted: a pair"),
    (lambda v, d: v, "loss returns a ndarray, no pair; accepted: a pair"),
    (lambda v, d: (v, d, d), "loss returns a tuple, 3 of them; accepted: a pair"),
])  # fmt: skip
def test_a_loss_that_returns_something_else_is_refused(change, words, tmp_path):
    with refused(words):
        fit(tmp_path, of(change))


@pytest.mark.parametrize(("found", "words"), [
    (np.full(20, 7), r"predictions\[0\] of the loss is 7; accepted: -1, none, or 0 to 1"),
    (np.arange(20) - 2, r"predictions\[0\] of the loss is -2; accepted"),
    (np.full(20, 0.5), "predictions of the loss are float64 .*accepted: integers of shape"),
    (np.zeros(19, int), r"predictions of the loss are int64 of shape \(19,\)"),
    (np.zeros((20, 1), int), r"predictions of the loss are int64 of shape \(20, 1\)"),
    (0, r"predictions of the loss are int64 of shape \(\)"),
    (np.zeros(20, bool), "predictions of the loss are bool"),
    (None, "predictions of the loss are a NoneType"),
])  # fmt: skip
def test_predictions_that_are_no_classes_are_refused(found, words, tmp_path):
    with refused(words):
        fit(tmp_path, Own(predict=lambda out: found))


@pytest.mark.parametrize(("change", "words"), [
    (lambda d: d[:, :1], r"d_counts of the loss are float64 of shape \(20, 1\); accepted"),
    (lambda d: None, "d_counts of the loss are object"),
])  # fmt: skip
def test_derivatives_by_counts_of_another_shape_are_refused(change, words, tmp_path):
    loss = Own(d_counts=lambda out, labels: change(LOSS.d_counts(out, labels)))
    with refused(words):
        fit(tmp_path, loss, network("surrogate"))


@pytest.mark.parametrize("change", [
    lambda v, d: (v, d), lambda v, d: (v.tolist(), d.tolist()), lambda v, d: [v, d],
], ids=["arrays", "lists", "a-list"])  # fmt: skip
def test_lists_are_numbers_and_train_with_the_bits_of_arrays(change, tmp_path):
    plain, net = network(), network()
    expected = fit(tmp_path, "spike-count", plain)
    loss = Own(of(change), lambda out: LOSS.predict(out).tolist())
    found = fit(tmp_path, loss, net)
    for one, other in zip(net.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.history["train_loss"], expected.history["train_loss"])


def test_under_a_surrogate_a_loss_needs_no_derivatives_by_times(tmp_path):
    plain, net = network("surrogate"), network("surrogate")
    fit(tmp_path, "spike-count", plain)
    derivatives = Own(
        of(lambda v, d: (v, None)), d_counts=lambda o, y: LOSS.d_counts(o, y).tolist()
    )
    fit(tmp_path, derivatives, net)
    np.testing.assert_array_equal(net.weights[0], plain.weights[0])


def test_no_class_is_the_last_column_of_the_confusion_matrix(tmp_path):
    found = fit(tmp_path, Own(predict=lambda out: np.full(len(out), -1, np.int8)))
    with Trace(found.output) as trace:
        assert trace.confusion[:, :-1].sum() == 0 and trace.confusion[:, -1].sum() == 10
    assert not found.history["test_accuracy"].any()


@pytest.mark.parametrize(("loss", "options", "words"), [
    (SpikeCount(15, 3), {"target_true": 1.0},
     "target_true is 1.0; accepted beside a loss that is no name: none"),
    (Own(), {"target_false": 2.0}, "target_false is 2.0; accepted beside a loss that is no name"),
    (CrossEntropy(), {"tau_loss": 1e-3}, "tau_loss is 0.001; accepted beside a loss"),
    ("cross-entropy", {"target_true": 99.0},
     "target_true is 99.0; accepted beside loss 'cross-entropy': "),
])  # fmt: skip
def test_options_that_a_loss_does_not_take_are_refused(loss, options, words, tmp_path):
    with refused(words):
        fit(tmp_path, loss, **options)


def documented():
    """The loss of example 6."""
    text = (ROOT / "docs/python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (code,) = [block for block in blocks if "def first_spike_at" in block]
    names = {"np": np}
    exec(code.split("lifnum.fit(")[0], names)
    return names["first_spike_at"]


def test_the_documented_loss_has_its_derivative_and_none_where_all_is_silent():
    loss = documented()
    out = lifnum.SpikeTrains([0.06, 0.07, 0.1, 0.2], [1, 1, 0, 0], [0, 3, 3, 4], 2)
    values, d_times = loss(out, np.array([1, 0, 0]))
    expected = 0.5 * (0.01**2 + 0.05**2), 0.0, 0.5 * 0.15**2
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(d_times, [0.01, 0.0, -0.05, 0.15], rtol=1e-12)
    values, d_times = loss(lifnum.SpikeTrains([], [], [0, 0], 2), np.array([0]))
    assert values.tolist() == [0.0] and d_times.shape == (0,)
