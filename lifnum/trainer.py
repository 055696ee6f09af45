"""One run: its network, loss, optimiser and data, one training step, one evaluation.

The state of a run between two steps is arrays and numbers alone (`Trainer.state`), so that a
checkpoint can hold it. Shuffling is a function of the seed and the epoch: there is no other
generator to save.
"""

import math
from dataclasses import asdict
from time import perf_counter
from typing import NamedTuple

import numpy as np

from lifnum import presets
from lifnum.device import to_host
from lifnum.losses import LOSSES, accepted_labels
from lifnum.network import Network, Neuron, Scheme, SimulationError
from lifnum.trace import Trace

EVALUATION_BATCH = 250

# streams of random numbers derived from the seed of a run
_SPLIT, _SHUFFLE = 1, 2


class Evaluation(NamedTuple):
    """Result of a network on a labelled set of spike trains."""

    loss: float
    accuracy: float
    confusion: np.ndarray  # (n_classes, n_classes + 1): label, prediction; last column: silent
    predictions: np.ndarray  # (n_samples,), -1 where the output was silent
    spikes: np.ndarray  # per layer: spikes per sample
    silent: np.ndarray  # per layer: share of the neurons that never spiked
    capped: np.ndarray  # per layer: neurons at the cap, per sample
    suppressed: np.ndarray  # per layer: neurons whose next spike the cap suppressed, per sample
    unresolved: np.ndarray  # per layer: Layer.n_unresolved, per sample; NaN where not counted
    steps: np.ndarray  # per layer: sub-intervals per sample
    seconds: float


class Activity:
    """Counts over many batches of what the layers of a network did; its arrays are its state."""

    def __init__(self, net):
        n = len(net.layers)
        self.samples = np.zeros((), np.int64)
        self.spikes, self.capped, self.suppressed, self.steps, self.constant = (
            np.zeros(n, np.int64) for _ in range(5)
        )
        self.unresolved = np.zeros(n)  # NaN: not counted
        self.spiked = [np.zeros(layer.shape[1], np.bool_) for layer in net.layers]

    def add(self, net, batch):
        """Count the last forward and backward pass of a batch of that many samples."""
        self.samples += batch
        for k, layer in enumerate(net.layers):
            self.spikes[k] += len(layer.spikes.times)
            self.capped[k] += layer.n_capped
            self.suppressed[k] += layer.n_suppressed
            self.unresolved[k] += np.nan if layer.n_unresolved is None else layer.n_unresolved
            self.steps[k] += layer.n_steps
            self.constant[k] += layer.n_constant
            if not self.spiked[k].all():  # soon all have
                layer.spikes.mark(self.spiked[k])

    def per_sample(self, counts):
        """Counts divided by the number of samples, NaN where there are none."""
        return counts / self.samples if self.samples else np.full(len(counts), np.nan)

    def silent(self):
        """Share of each layer's neurons that never spiked."""
        return np.array([1.0 - spiked.mean() if len(spiked) else 0.0 for spiked in self.spiked])

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the object's own."""
        named = {name: getattr(self, name) for name in
                 ("samples", "spikes", "capped", "suppressed", "unresolved", "steps",
                  "constant")}  # fmt: skip
        return named | {f"spiked{k}": spiked for k, spiked in enumerate(self.spiked)}


def build_network(preset, scheme, weights, device="cpu"):
    """The preset's network with these weights, integrated by this scheme on this device."""
    if len(weights) != len(preset.theta):
        raise ValueError(f"weights are of {len(weights)} layers; accepted: {len(preset.theta)}")
    layers = [
        (w, Neuron(preset.tau_s[k], preset.tau[k], preset.theta[k], preset.delta_theta[k],
                   preset.max_spikes[k]))
        for k, w in enumerate(weights)
    ]  # fmt: skip
    return Network(layers, scheme, preset.duration, device)


def build_loss(preset):
    """The preset's loss."""
    return LOSSES[preset.loss](preset)


def learning_rate(preset, epoch):
    """Learning rate in that epoch: multiplied by decay every decay_every epochs, down to floor."""
    factor = preset.lr_decay ** (epoch // preset.lr_decay_every)
    return max(preset.lr_floor, preset.learning_rate * factor)


def evaluate(net, loss, trains, labels, n_classes, progress=None, count_peaks=False):
    """Run a network over labelled spike trains, without gradients.

    Parameters
    ----------
    net : Network
    loss : callable
        One of lifnum.losses.
    trains, labels : SpikeTrains, ndarray (n,)
    n_classes : int
    progress : callable, optional
        Called with the number of samples done after each batch.
    count_peaks : bool
        As in `Network.forward`.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        Labels other than one from 0 to n_classes - 1 for each sample.
    """
    start = perf_counter()
    n = len(trains)
    labels = accepted_labels(labels, n, n_classes)
    activity = Activity(net)
    predictions = np.empty(n, np.int64)
    total = 0.0
    for first in range(0, n, EVALUATION_BATCH):
        rows = np.arange(first, min(n, first + EVALUATION_BATCH))
        out = net.forward(trains.select(rows), differentiable=False, count_peaks=count_peaks)
        total += float(loss(out, labels[rows])[0].sum())
        predictions[rows] = to_host(loss.predict(out))
        activity.add(net, len(rows))
        if progress is not None:
            progress(len(rows))
    confusion = np.zeros((n_classes, n_classes + 1), np.int64)
    np.add.at(confusion, (labels, predictions), 1)  # -1 is the last column
    return Evaluation(
        total / n if n else np.nan,
        float((predictions == labels).mean()) if n else np.nan,
        confusion,
        predictions,
        activity.per_sample(activity.spikes),
        activity.silent(),
        activity.per_sample(activity.capped),
        activity.per_sample(activity.suppressed),
        activity.per_sample(activity.unresolved),
        activity.per_sample(activity.steps),
        perf_counter() - start,
    )


class Trainer:
    """A run in progress.

    Parameters
    ----------
    preset : lifnum.presets.Preset
    scheme : Scheme
    data : lifnum.datasets.Dataset
    seed : int
        Of initial weights, validation split and batch order: the same under every scheme.
    dtype : {"float32", "float64"}
    device : {"cpu", "cuda"}
        Where a step runs; on a GPU data, weights and moments stay there.

    Attributes
    ----------
    net, loss, optimizer
    epoch, batch : int
        The next step: batch `batch` of epoch `epoch`, both from 0.
    """

    def __init__(self, preset, scheme, data, seed=0, dtype="float32", device="cpu"):
        self.preset, self.scheme, self.data, self.seed = preset, scheme, data, seed
        weights = presets.initial_weights(
            preset, data.train.n_neurons, data.n_classes, seed, np.dtype(dtype)
        )
        self.net = build_network(preset, scheme, weights, device)
        self.loss = build_loss(preset)
        self._train, self._test = (self.net.place(trains) for trains in (data.train, data.test))
        self.optimizer = self.net.optimizer(preset.optimizer, preset.learning_rate)
        # the second moments are squares
        self._largest_norm = float(np.sqrt(np.finfo(self.net.dtype).max))
        n = len(data.train)
        for part, trains in (("training", data.train), ("test", data.test)):
            if len(trains) == 0:
                raise ValueError(f"dataset {data.name} has no {part} samples; accepted: at least 1")
        shuffled = np.random.default_rng([seed, _SPLIT]).permutation(n)
        n_validation = round(preset.validation_share * n)
        if n_validation == n:
            raise ValueError(
                f"validation_share is {preset.validation_share:g}, which leaves none of {n} "
                "training samples; accepted: a part of them"
            )
        self.validation_rows = np.sort(shuffled[:n_validation])
        self.train_rows = np.sort(shuffled[n_validation:])
        self.n_batches = -(-len(self.train_rows) // preset.batch_size)
        self.epoch = self.batch = 0
        self.seconds = 0.0
        self.best_accuracy = -1.0
        self.best_weights = [w.copy() for w in self.net.weights]
        self._order_of, self._order = None, None
        self.reset_totals()

    def reset_totals(self):
        """Start a new row of the trace."""
        self.activity = Activity(self.net)
        self.totals = np.zeros(2)  # loss, correct predictions
        self.norms = np.zeros(len(self.net.layers))  # sums over batches
        self.n_steps = 0

    def rows_of_batch(self):
        """Samples of the next batch."""
        if self._order_of != self.epoch:
            generator = np.random.default_rng([self.seed, _SHUFFLE, self.epoch])
            self._order_of, self._order = self.epoch, generator.permutation(self.train_rows)
        size = self.preset.batch_size
        return self._order[self.batch * size : (self.batch + 1) * size]

    def step(self):
        """One batch: forward, loss, backward, update. Returns its mean loss and accuracy.

        Raises
        ------
        SimulationError
            A state, the loss or a gradient is not finite; names epoch, batch, layer and the
            largest weight. The weights are then those before the step.
        """
        start = perf_counter()
        rows = self.rows_of_batch()
        inputs, labels = self._train.select(rows), self.data.train_labels[rows]
        self.optimizer.learning_rate = learning_rate(self.preset, self.epoch)
        try:
            out = self.net.forward(inputs)
            values, d_times = self.loss(out, labels)
            if self.net.device == "cpu":
                self._check_loss(values)
            gradients = self.net.backward(d_times / len(rows))
            values = to_host(values)  # waits for a GPU
            norms = [layer.gradient_norm for layer in self.net.layers]
            self._check_loss(values)
            self._check_gradients(norms)
            self.optimizer.step(gradients)
        except SimulationError as error:
            raise SimulationError(
                f"epoch {self.epoch + 1}, batch {self.batch + 1}: {error}"
            ) from None
        correct = int((to_host(self.loss.predict(out)) == labels).sum())
        self.activity.add(self.net, len(rows))
        self.totals += values.sum(), correct
        self.norms += norms
        self.n_steps += 1
        self.batch += 1
        if self.batch == self.n_batches:
            self.epoch, self.batch = self.epoch + 1, 0
        self.seconds += perf_counter() - start
        return float(values.mean()), correct / len(rows)

    def _check_loss(self, values):
        if not np.isfinite(values).all():
            raise SimulationError(f"the loss is not finite; {self._largest_weight()}")

    def _check_gradients(self, norms):
        """Refuse a step after which moments or weights are not finite."""
        rate = self.optimizer.learning_rate
        for layer, norm in enumerate(norms):
            if not math.isfinite(norm):
                raise SimulationError(
                    f"layer {layer}: the gradient is not finite; {self._largest_weight()}"
                )
            if max(norm, rate, rate * norm) > self._largest_norm:
                raise SimulationError(
                    f"layer {layer}: a gradient of norm {norm:g} at a learning rate of "
                    f"{rate:g} overflows {self.net.dtype}; {self._largest_weight()}"
                )

    def _largest_weight(self):
        largest = [float(np.abs(w).max(initial=0.0)) for w in self.net.weights]
        layer = int(np.argmax(largest))
        return f"largest weight {largest[layer]:g} in layer {layer}"

    def validate(self):
        """Evaluate on the validation part of the training set; keeps the best weights."""
        rows = self.validation_rows
        result = self._evaluate(self._train.select(rows), self.data.train_labels[rows])
        # without a validation part the last weights count as the best
        if len(rows) == 0 or result.accuracy > self.best_accuracy:
            self.best_accuracy = result.accuracy if len(rows) else -1.0
            for best, w in zip(self.best_weights, self.net.weights, strict=True):
                best[:] = w
        return result

    def test(self):
        """Evaluate on the test set."""
        return self._evaluate(self._test, self.data.test_labels, count_peaks=True)

    def _evaluate(self, trains, labels, count_peaks=False):
        return evaluate(self.net, self.loss, trains, labels, self.data.n_classes,
                        count_peaks=count_peaks)  # fmt: skip

    def state(self):
        """(arrays, numbers) of the run between two steps; the arrays are the run's own."""
        arrays = {f"weights{k}": w for k, w in enumerate(self.net.weights)}
        arrays |= {f"best{k}": w for k, w in enumerate(self.best_weights)}
        arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.state().items()}
        arrays |= {f"activity.{name}": a for name, a in self.activity.state().items()}
        arrays |= {"totals": self.totals, "norms": self.norms}
        numbers = {name: getattr(self, name) for name in
                   ("epoch", "batch", "seconds", "best_accuracy", "n_steps")}  # fmt: skip
        return arrays, numbers

    def restore(self, arrays, numbers):
        """Continue from what `state` returned.

        Raises
        ------
        ValueError
            Arrays of other names, shapes or types than this run's.
        """
        own, own_numbers = self.state()
        # of a version that did not count them
        arrays = {"activity.unresolved": np.full(len(self.net.layers), np.nan)} | arrays
        if own.keys() != arrays.keys() or not own_numbers.keys() <= numbers.keys():
            raise ValueError("the checkpoint belongs to another kind of run")
        for name, array in own.items():
            if array.shape != arrays[name].shape or array.dtype != arrays[name].dtype:
                raise ValueError(
                    f"{name} of the checkpoint is {arrays[name].dtype} of shape "
                    f"{arrays[name].shape}; accepted: {array.dtype} of shape {array.shape}"
                )
        for name, array in own.items():
            array[...] = arrays[name]
        for name in own_numbers:
            setattr(self, name, numbers[name])


def configuration(preset, scheme, **options):
    """Everything that decides the result of a run, as JSON can hold it."""
    return {
        "preset": asdict(preset),
        "scheme": {name: getattr(scheme, name)
                   for name in ("method", "order", "dt", "interpolation", "gradient")},
        **options,
    }  # fmt: skip


def network_of(config, weights, device="cpu"):
    """(Network, loss, Preset) of a configuration that `configuration` made, with these weights."""
    preset = presets.from_config(config["preset"])
    scheme = Scheme(**config["scheme"])
    return build_network(preset, scheme, weights, device), build_loss(preset), preset


def load(path, which="last"):
    """The network of a trace.

    Parameters
    ----------
    path : path
    which : {"last", "best", "initial"}
        Its weights.

    Returns
    -------
    Network

    Raises
    ------
    TraceError
        No such file, not a trace, or damaged.
    ValueError
        Other weights asked for.
    """
    with Trace(path) as trace:
        return network_of(trace.config, trace.weights(which))[0]
