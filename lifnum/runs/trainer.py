"""One run: its network, loss, optimiser and data, one training step, one evaluation.

The state of a run between two steps is arrays and numbers alone (`Trainer.state`), so that a
checkpoint can hold it. Shuffling is a function of the seed and the epoch: there is no other
generator to save.
"""

import math
from functools import partial
from time import perf_counter

import numpy as np

from lifnum import losses
from lifnum.cuda.device import to_host
from lifnum.errors import SimulationError
from lifnum.runs.activity import Activity
from lifnum.runs.evaluation import evaluate
from lifnum.runs.revive import revive

# streams of random numbers derived from the seed of a run
_SPLIT, _SHUFFLE = 1, 2


def learning_rate(preset, epoch):
    """Learning rate in that epoch: multiplied by decay every decay_every epochs, down to floor."""
    factor = preset.lr_decay ** (epoch // preset.lr_decay_every)
    return max(preset.lr_floor, preset.learning_rate * factor)


class Trainer:
    """A run in progress.

    Parameters
    ----------
    config : Configuration
        Its seed is that of initial weights, validation split and batch order, the same under every
        scheme; its device is where a step runs: on a GPU data, weights and moments stay there.
    data : Dataset
    net : Network, optional
        One that is there, whose weights are the initial ones; default: the configuration's.
    loss : callable, optional
        As `lifnum.losses.build` gives one; default: the configuration's.
    schedule : callable, optional
        Learning rate in an epoch; default: `learning_rate` of the configuration.

    Attributes
    ----------
    net, loss, optimizer
    epoch, batch : int
        The next step: batch `batch` of epoch `epoch`, both from 0.
    """

    def __init__(self, config, data, net=None, loss=None, schedule=None):
        preset = self.preset = config.preset
        seed = self.seed = config.seed
        self.scheme, self.data = config.scheme, data
        self.net = net or config.network(
            config.initial_weights(data.train.n_neurons, data.n_classes), config.device
        )
        self.loss = loss or losses.build(preset)
        self.schedule = schedule or partial(learning_rate, preset)
        self.penalty = None
        if preset.rate_penalty > 0.0:
            self.penalty = losses.RatePenalty(preset.rate_penalty, preset.rate_target)
        self._train, self._test = (self.net.place(trains) for trains in (data.train, data.test))
        own = {
            "sgd": {"momentum": preset.momentum}, "adamw": {"weight_decay": preset.weight_decay}
        }.get(preset.optimizer, {})  # fmt: skip
        self.optimizer = self.net.optimizer(preset.optimizer, preset.learning_rate, **own)
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
        inputs, labels = self._train._take(rows), self.data.train_labels[rows]
        self.optimizer.learning_rate = self.schedule(self.epoch)
        try:
            out = self.net.forward(inputs)
            values, gradients = self._differentiate(out, labels)
            norms = [layer.gradient_norm for layer in self.net.layers]
            if self.net.device != "cpu":
                values = to_host(values)  # waits for a GPU
                self._check_loss(values)
            self._check_gradients(norms)
            self.optimizer.step(gradients)
            # a shorter last batch would call most neurons silent
            if self.preset.revive > 0.0 and len(rows) == self.preset.batch_size:
                revive(self.net.layers, self.preset.revive)
        except SimulationError as error:
            raise SimulationError(
                f"epoch {self.epoch + 1}, batch {self.batch + 1}: {error}"
            ) from None
        correct = int((to_host(self.loss.predict(out)) == labels).sum())
        self.activity.add(self.net, len(rows))
        total = float(values.sum())
        self.totals += total, correct
        self.norms += norms
        self.n_steps += 1
        self.batch += 1
        if self.batch == self.n_batches:
            self.epoch, self.batch = self.epoch + 1, 0
        self.seconds += perf_counter() - start
        return total / len(rows), correct / len(rows)

    def _differentiate(self, out, labels):
        """(loss of each sample, gradients of its mean), with the penalty on hidden rates."""
        n, by_counts = len(labels), self.scheme.gradient == "surrogate"
        values, d_out = self.loss(out, labels)
        hidden = {}
        if self.penalty is not None:
            for k, layer in enumerate(self.net.layers[:-1]):
                value, d_hidden = self.penalty(layer.spikes)
                values = values + value
                hidden[k] = (self.penalty.d_counts(layer.spikes) if by_counts else d_hidden) / n
        if self.net.device == "cpu":
            self._check_loss(values)
        if by_counts:
            d_counts = self.loss.d_counts(out, labels)
            return values, self.net.backward(counts=d_counts / n, hidden=hidden)
        return values, self.net.backward(d_out / n, hidden=hidden)

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
        result = self._evaluate(self._train._take(rows), self.data.train_labels[rows])
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
        n = self.data.n_classes
        return evaluate(self.net, self.loss, trains, labels, n, count_peaks=count_peaks)

    def state(self):
        """(arrays, numbers) of the run between two steps; the arrays are the run's own."""
        arrays = {f"weights{k}": w for k, w in enumerate(self.net.weights)}
        arrays |= {f"best{k}": w for k, w in enumerate(self.best_weights)}
        arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.state().items()}
        arrays |= {f"activity.{name}": a for name, a in self.activity.state().items()}
        arrays |= {"totals": self.totals, "norms": self.norms}
        names = ("epoch", "batch", "seconds", "best_accuracy", "n_steps")
        return arrays, {name: getattr(self, name) for name in names}

    def restore(self, arrays, numbers):
        """Continue from what `state` returned.

        Raises
        ------
        ValueError
            Arrays of other names, shapes or types than this run's.
        """
        own, own_numbers = self.state()
        # of versions that did not count them, or had another name
        arrays = {"activity.unresolved": np.full(len(self.net.layers), np.nan)} | arrays
        if (old := "activity.constant") in arrays:
            arrays["activity.without_gradient"] = arrays.pop(old)
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
