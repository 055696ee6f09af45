"""A run that is trained, traced, checkpointed and resumed; `train` is its command line."""

import contextlib
import hashlib
import secrets
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from tqdm import tqdm

from lifnum import errors
from lifnum.errors import SimulationError, TraceError
from lifnum.files import checkpoint
from lifnum.files.environment import environment
from lifnum.files.reader import Trace
from lifnum.files.writer import TraceWriter, check_replaceable
from lifnum.runs.configuration import Configuration
from lifnum.runs.signals import Interrupted, Signals
from lifnum.runs.trainer import Trainer

BATCH_ROWS = 50  # rows of the trace's batches per epoch, about

RASTER_SAMPLES = 8


def trainer_of(config, data_dir=None, weights=None):
    """The run of a configuration, at its start; with these weights, where they are known."""
    net = None if weights is None else config.network(weights, config.device)
    return Trainer(config, config.data(data_dir), net)


def remarks(preset, scheme, data):
    """Lines about times that look as if they had another unit, and about an empty part."""
    duration, lines = preset.duration, []
    times = data.train.times, data.test.times
    late, n = sum(np.count_nonzero(t > duration) for t in times), sum(len(t) for t in times)
    if late:
        part = f"{100 * late / n:.0f} %" if late >= 0.01 * n else f"{late} of {n}"
        latest = max(t.max(initial=0.0) for t in times)
        where = f"after the duration {duration:g}, the latest at {latest:g}: other units?"
        lines.append(f"{part} of the input spikes lie {where}")
    if scheme.dt is not None and scheme.dt > duration:
        above = f"above the duration {duration:g}, which becomes one step: other units?"
        lines.append(f"dt {scheme.dt:g} is {above}")
    n, share = len(data.train), preset.validation_share
    if share > 0.0 and round(share * n) == 0:
        so = "the last weights will count as the best"
        lines.append(f"validation_share {share:g} of {n} training samples is none: {so}")
    return lines


class Saved(NamedTuple):
    """What a run left that may go on: the header of its trace, and its newest checkpoint."""

    header: dict
    arrays: dict | None  # None: it was stopped before the first checkpoint
    numbers: dict | None


def saved(output, epochs=None):
    """The `Saved` of an output.

    The checkpoint knows all that the trace does: a trace that is damaged or lost is made anew.
    A finished run goes on where `epochs` are more than it has.

    Raises
    ------
    TraceError
        The run is finished and not to go on, or there is neither a trace nor a checkpoint.
    CheckpointError
        There are rows in the trace and no usable checkpoint of this run.
    """
    try:
        with Trace(output) as trace:
            header, status = trace.header, trace.status
            epochs_asked = Configuration.from_json(trace.config, output).preset.epochs
            epochs_done = trace.epochs["epoch"][-1] if len(trace.epochs["epoch"]) else 0
            rows = len(trace.batches["epoch"]) + len(trace.epochs["epoch"])
    except TraceError as error:
        try:
            arrays, numbers = checkpoint.load_latest(output)
        except errors.CheckpointError:
            raise error from None
        header = numbers.get("header")
        if not isinstance(header, dict):
            raise errors.CheckpointError(f"{output}: has a checkpoint without header") from None
        Configuration.from_json(header.get("config"), output)
        print(f"warning: {error}; going on from the checkpoint beside it", file=sys.stderr)
        return Saved(header, arrays, numbers)
    if status == "finished" and (epochs is None or epochs <= epochs_asked):
        asked = "" if epochs is None else f", epochs {epochs} asks for no more"
        raise TraceError(
            f"{output}: the run is finished after {epochs_done:g} epochs{asked}; accepted: "
            f"epochs above {epochs_asked}, which extends it"
        )
    try:
        return Saved(header, *checkpoint.load_latest(output, header.get("run", "")))
    except errors.CheckpointError:
        if rows:
            raise
        return Saved(header, None, None)


def data_digest(data, parts=("train", "test")):
    """SHA-256 of a data set, as the header of a trace has it, or of some of its parts."""
    digest = hashlib.sha256()
    for part in parts:
        trains, labels = getattr(data, part), getattr(data, f"{part}_labels")
        for array in (trains.times, trains.indices, trains.offsets, labels):
            digest.update(np.ascontiguousarray(array))
    digest.update(b"" if data.classes is None else data.classes)
    return digest.hexdigest()


def silent_output(n):
    """What is to be said about an output layer without spikes on n test samples."""
    return f", the output, is silent on all {n} test samples, which count as wrong"


def _a_sample(rate, noun):
    """A number a sample, in words: a rate below one as one in so many samples."""
    if rate >= 1.0:
        return f"{rate:.3g} {noun}s a sample" if rate < 1e3 else f"{rate:,.0f} {noun}s a sample"
    return f"one {noun} in {float(f'{1 / rate:.2g}'):,.0f} samples"


def _weights_at_the_start(output, resume):
    """Those of a run that is resumed; None where there are none yet, or its trace is lost."""
    if resume and resume.arrays:
        with contextlib.suppress(TraceError), Trace(output) as trace:
            return [np.array(w) for w in trace.weights("initial")]
    return None


class Run:
    """A run that is trained, traced and checkpointed.

    Parameters
    ----------
    config : Configuration
    output : path
    data_dir : path, optional
    overwrite : bool
    resume : Saved, optional
        What `saved` returned for that output: go on from there.
    workers : int
        For the header of the trace, which keeps the most that any part of the run had.
    lock : Lock, optional
        The claim on the output, if it is held already.
    trainer : Trainer, optional
        The run at its start, if there is one already.

    Raises
    ------
    TraceError, CheckpointError
        The output exists, or what was saved does not belong to this run or its data.
    OSError
        The file system refuses.
    """

    def __init__(
        self,
        config,
        output,
        data_dir=None,
        overwrite=False,
        resume=None,
        lock=None,
        workers=1,
        trainer=None,
    ):
        self.output = Path(output)
        self.seconds_checkpoints = 0.0
        self.evaluations = config.evaluations
        if overwrite and resume is None:
            check_replaceable(self.output)
        if trainer is None:
            trainer = trainer_of(config, data_dir, _weights_at_the_start(output, resume))
        self.trainer = trainer
        for line in remarks(trainer.preset, trainer.scheme, trainer.data):
            print(f"warning: {line}", file=sys.stderr)
        initial = [w.copy() for w in trainer.net.weights]
        digest, here = data_digest(trainer.data), environment(numba.get_num_threads())
        self._row, state = np.zeros(3 + 2 * len(initial)), None
        if resume:
            self.header = resume.header | {"config": config.to_json()}
            self._compare(digest, here)
            self.header["workers"] = max(workers, self.header.get("workers", 1))
        else:
            run = secrets.token_hex(8)
            self.header = {"config": config.to_json(), "seed": config.seed, "run": run}
            self.header |= {"data": digest, "workers": workers, **here}
        if resume and resume.arrays:
            # those of a network that is given may have been trained since
            initial = _weights_at_the_start(output, resume) or initial
            arrays = resume.arrays
            of_trace = [name for name in arrays if name.startswith("trace.")]
            state = {name.removeprefix("trace."): arrays.pop(name) for name in of_trace}
            self._row = arrays.pop("row")
            try:
                trainer.restore(arrays, resume.numbers)
            except ValueError as error:
                raise errors.CheckpointError(f"{output}: {error}") from None
        n_samples = min(RASTER_SAMPLES, len(trainer.data.test))
        replacing = overwrite or resume is not None
        classes = trainer.data.label_of_class()
        self.trace = TraceWriter(
            self.output, self.header, initial, classes, n_samples, replacing, lock, state
        )
        if state:
            self.trace.publish(best=trainer.best_weights, last=trainer.net.weights)
        else:
            self._checkpoint()
        checkpoint.remove(self.output, but_run=self.header["run"])
        self._saved = time.monotonic()
        self._batches_a_row = max(1, trainer.n_batches // BATCH_ROWS)
        self._warned = set()

    def _compare(self, digest, here):
        """Refuse other data than the run was begun with; warn of another environment."""
        if self.header.get("data") != digest:
            raise TraceError(
                f"{self.output}: was begun with other data than is at hand now in "
                f"{self.trainer.preset.dataset}"
            )
        for name in ("lifnum", "numpy", "numba", "cpu"):
            if self.header.get(name) != here[name]:
                before = self.header.get(name)
                now = f"goes on with {here[name]}: the bits may differ"
                print(
                    f"warning: {self.output}: was begun with {name} {before}, {now}",
                    file=sys.stderr,
                )

    def _checkpoint(self):
        start = time.monotonic()
        arrays, numbers = self.trainer.state()
        arrays |= {"row": self._row}
        arrays |= {f"trace.{name}": array for name, array in self.trace.state().items()}
        numbers |= {"run": self.header["run"], "header": self.header}
        checkpoint.save(self.output, arrays, numbers)
        self._saved = time.monotonic()
        self.seconds_checkpoints += self._saved - start

    def history(self):
        """The rows of the trace's epochs so far, as columns by name."""
        columns = self.trace.state().items()
        return {key.removeprefix("epochs."): x for key, x in columns if key.startswith("epochs.")}

    def train(self, quiet=False, signals=None, checkpoint_every=30.0, callbacks=()):
        """Train to the last epoch; returns the last row of the trace's epochs, or None.

        There is a checkpoint each epoch, and after so many seconds without. callbacks: see
        `lifnum.callbacks`.

        Raises
        ------
        Interrupted
            On SIGINT or SIGTERM, after a checkpoint.
        SimulationError
            Something overflowed, after a checkpoint of the state before.
        OSError
            The file system refuses; the last checkpoint is intact.
        """
        trainer = self.trainer
        epochs = trainer.preset.epochs
        stops = [
            -(-trainer.n_batches * (k + 1) // self.evaluations) for k in range(self.evaluations)
        ]
        row = None
        try:
            with contextlib.ExitStack() as stack:
                signals = signals or stack.enter_context(Signals())
                ended = False
                if self._evaluation_is_due(stops):
                    row = self._evaluate(quiet, trainer.batch == 0)
                if trainer.epoch > 0 and trainer.batch == 0:  # resumed: they may not have seen it
                    last = {name: column[-1] for name, column in self.history().items()}
                    ended = self._call(callbacks, last)
                while trainer.epoch < epochs and not ended:
                    with self._bar(quiet) as bar:
                        epoch = trainer.epoch
                        while trainer.epoch == epoch:
                            signals.check()
                            loss, accuracy = trainer.step()
                            bar.update()
                            done = trainer.batch or trainer.n_batches
                            self._log_batch(epoch, done, loss, accuracy, bar)
                            if done in stops:
                                row = self._evaluate(quiet, trainer.batch == 0, bar)
                            elif time.monotonic() - self._saved > checkpoint_every:
                                self._checkpoint()
                    ended = self._call(callbacks, row)
            self.trace.close("finished")
        except (Interrupted, SimulationError):
            self._checkpoint()
            self.trace.publish(last=trainer.net.weights)
            self.trace.close("interrupted")
            raise
        except OSError as error:
            self._give_up()
            raise OSError(
                f"{error}; the last checkpoint stands, to go on from with --resume {self.output}, "
                "or resume=True from Python"
            ) from None
        except BaseException:
            self._give_up()
            raise
        checkpoint.remove_older(self.output)  # more epochs may be asked for
        return row

    def _call(self, callbacks, row):
        """Whether any of the callbacks, all of which are called, ends the training."""
        return any([bool(callback(self, row)) for callback in callbacks])  # noqa: C419

    def _bar(self, quiet):
        """Progress of an epoch."""
        trainer = self.trainer
        return tqdm(
            total=trainer.n_batches,
            initial=trainer.batch,
            unit="batch",
            desc=f"epoch {trainer.epoch + 1}/{trainer.preset.epochs}",
            leave=False,
            disable=True if quiet else None,
        )

    def _give_up(self):
        """Close the trace without what no checkpoint holds."""
        with contextlib.suppress(OSError):
            self.trace.close("interrupted", publish=False)

    def _evaluation_is_due(self, stops):
        """Whether the state of the run is one whose evaluation was not reached before the stop."""
        trainer = self.trainer
        position = trainer.epoch + trainer.batch / trainer.n_batches
        done = (trainer.batch or trainer.n_batches) in stops
        rows = self.trace.state()["epochs.epoch"]
        return done and (position > 0 or trainer.preset.epochs == 0) and position not in rows

    def _log_batch(self, epoch, done, loss, accuracy, bar):
        trainer = self.trainer
        layers = trainer.net.layers
        size = len(layers[0].spikes)
        spikes = [len(layer.spikes.times) / size for layer in layers]
        norms = [layer.gradient_norm for layer in layers]
        self._row += [1.0, loss, accuracy, *spikes, *norms]
        if done % self._batches_a_row == 0 or done == trainer.n_batches:
            mean = self._row / self._row[0]
            n = len(layers)
            row = {"epoch": epoch + done / trainer.n_batches, "loss": mean[1], "accuracy": mean[2]}
            row |= {"spikes": mean[3 : 3 + n], "gradient_norm": mean[3 + n :]}
            self.trace.append_batch(row)
            accuracy, spikes = f"{100 * mean[2]:.1f} %", "+".join(f"{s:.0f}" for s in row["spikes"])
            bar.set_postfix(loss=f"{mean[1]:.3g}", accuracy=accuracy, spikes=spikes)
            self._row[:] = 0.0

    def _evaluate(self, quiet, with_test, bar=None):
        """Validate, test at the end of an epoch, and write a row of the trace."""
        trainer, activity = self.trainer, self.trainer.activity
        start = time.perf_counter()
        validation = trainer.validate()
        n_layers = len(trainer.net.layers)
        test = trainer.test() if with_test else None
        steps = activity.per_sample(activity.steps)
        samples, n_steps = max(1, int(activity.samples)), max(1, trainer.n_steps)
        has_validation = len(trainer.validation_rows) > 0
        row = {
            "epoch": trainer.epoch + trainer.batch / trainer.n_batches,
            "learning_rate": trainer.optimizer.learning_rate,
            "train_loss": trainer.totals[0] / samples if activity.samples else np.nan,
            "train_accuracy": trainer.totals[1] / samples if activity.samples else np.nan,
            "validation_loss": validation.loss,
            "validation_accuracy": validation.accuracy if has_validation else np.nan,
            "test_loss": test.loss if test else np.nan,
            "test_accuracy": test.accuracy if test else np.nan,
            "train_spikes": activity.per_sample(activity.spikes),
            "test_spikes": test.spikes if test else np.full(n_layers, np.nan),
            "silent": activity.silent(),
            "capped": activity.per_sample(activity.capped),
            "suppressed": activity.per_sample(activity.suppressed),
            "unresolved": activity.per_sample(activity.unresolved),
            "test_unresolved": test.unresolved if test else np.full(n_layers, np.nan),
            "steps": steps,
            "step_length": trainer.preset.duration / np.maximum(steps, 1.0),
            "gradient_norm": trainer.norms / n_steps,
            "without_gradient": activity.per_sample(activity.without_gradient),
            "seconds_training": trainer.seconds,
            "seconds_evaluation": time.perf_counter() - start,
        }
        raster, confusion = (self._raster(), test.confusion) if with_test else (None, None)
        self.trace.record(row, confusion, raster)
        trainer.reset_totals()
        self._checkpoint()  # first: what the trace shows is never lost
        self.trace.publish(best=trainer.best_weights, last=trainer.net.weights)
        self._warn(row, test)
        if not quiet and with_test:
            print(self._epoch_line(row))
        return row

    def _epoch_line(self, row):
        parts = [f"epoch {row['epoch']:.0f}:"]
        parts.append(f"loss {row['train_loss']:.3g}, training {100 * row['train_accuracy']:.2f} %,")
        if np.isfinite(row["validation_accuracy"]):
            parts.append(f"validation {100 * row['validation_accuracy']:.2f} %,")
        parts.append(f"test {100 * row['test_accuracy']:.2f} %,")
        parts.append("spikes/sample " + " + ".join(f"{s:.0f}" for s in row["test_spikes"]))
        parts.append(f"(training so far: {row['seconds_training']:.1f} s)")
        return " ".join(parts)

    def _warn(self, row, test):
        """Say once a layer and run what saturates or is silent."""

        def warn(kind, k, message):
            if (kind, k) not in self._warned:
                self._warned.add((kind, k))
                print(f"warning: layer {k}{message}", file=sys.stderr)

        for k in range(len(row["suppressed"])):
            cap = self.trainer.preset.max_spikes[k]
            if row["suppressed"][k] > 0 and cap > 1:
                those = _a_sample(row["suppressed"][k], "neuron")
                warn("cap", k, f": {those} would spike beyond the cap of {cap}")
            if row["unresolved"][k] > 0 and cap > 1:  # under `none`
                scheme = self.trainer.scheme
                coarse = f"dt {scheme.dt:g} is coarse for that"
                if scheme.spikes_per_step is None:
                    those = f"after {_a_sample(row['unresolved'][k], 'spike')}"
                    line = f": u stays at or above the threshold {those}: {coarse}"
                else:
                    those = _a_sample(row["unresolved"][k], "crossing")
                    line = f": {those} beyond {scheme.spikes_per_step} in a step: {coarse}"
                warn("unresolved", k, line)
            if row["silent"][k] >= 1.0:
                warn("silent", k, " is silent: no neuron spiked")
        if test is not None and test.silent[-1] >= 1.0:
            warn("test", len(test.silent) - 1, silent_output(len(test.predictions)))

    def _raster(self):
        """Spikes, labels and predictions of the first test samples."""
        trainer = self.trainer
        n = min(RASTER_SAMPLES, len(trainer.data.test))
        inputs = trainer.data.test.select(np.arange(n))
        out = trainer.net.forward(inputs, differentiable=False)
        trains = [inputs, *(layer.spikes for layer in trainer.net.layers)]
        return trains, trainer.data.test_labels[:n], trainer.loss.predict(out)
