"""python -m lifnum.train: train a spiking network, and keep a trace of the run."""

import contextlib
import hashlib
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from lifnum import checkpoint, cli, datasets, presets
from lifnum.lock import Lock
from lifnum.network import Scheme, SimulationError
from lifnum.trace import Trace, TraceError, TraceWriter, check_config, environment
from lifnum.trainer import Trainer, configuration

BATCH_ROWS = 50  # rows of the trace's batches per epoch, about

RASTER_SAMPLES = 8


class Interrupted(Exception):
    """SIGINT or SIGTERM came; carries the exit code."""


class _Signals:
    """Turns SIGINT and SIGTERM into a flag that the training loop looks at between two steps.

    Where the run belongs to a process, `parent`, the end of that process counts as SIGTERM.
    """

    def __init__(self, parent=None):
        self.received = None
        self._parent = parent

    def __enter__(self):
        def note(number, frame):
            if self.received is not None:  # a second one does not wait
                raise KeyboardInterrupt
            self.received = number

        self._before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self):
        if self._parent is not None and os.getppid() != self._parent:
            self.received = self.received or signal.SIGTERM
        if self.received is not None:
            raise Interrupted(128 + self.received)


def _preset_lines():
    """The defaults that each preset brings, for --help."""

    def text(values):
        same = len(set(values)) == 1
        return f"{values[0]}" if same else ",".join(f"{value}" for value in values)

    lines = ["presets (a list is one value a layer):"]
    for name, p in presets.PRESETS.items():
        weights = text([f"{kind}:{a:g}:{b:g}" for kind, a, b in p.weights])
        loss = f"ttfs, tau-loss {p.tau_loss:g}" if p.loss == "ttfs" else (
            f"spike-count {p.target_true:g}/{p.target_false:g}"
        )  # fmt: skip
        lines += [
            f"  {name}: hidden {','.join(map(str, p.hidden))}, theta {text(p.theta)}, "
            f"tau-s {text(p.tau_s)}, tau {text(p.tau)}, max-spikes {text(p.max_spikes)},",
            f"    duration {p.duration:g}, window {p.window:g}, weights {weights}, {loss},",
            f"    {p.optimizer} {p.learning_rate:g} (x {p.lr_decay:g} every {p.lr_decay_every} "
            f"epochs, floor {p.lr_floor:g}), batch {p.batch_size}, epochs {p.epochs}, "
            f"validation {p.validation_share:g}",
        ]
    return "\n".join(lines)


def parser():
    p = cli.Parser(
        prog="python -m lifnum.train",
        description="Train a spiking network whose neurons are integrated by the method of your "
        "choice. Times are in seconds. Writes one HDF5 trace; python -m analysis.training draws "
        "it, python -m lifnum.evaluate evaluates the network in it.",
        epilog=_preset_lines(),
    )
    cli.add_scheme(p)
    cli.add_data(p, "digits")
    layers = "one value, or one a layer"
    g = p.add_argument_group("network", "by default as the preset says")
    g.add_argument("--preset", metavar="NAME",
                   help=f"hyper-parameters: {', '.join(presets.PRESETS)} "
                   "(default: the data set's own)")  # fmt: skip
    g.add_argument("--hidden", type=cli.positive(int), nargs="*", metavar="N",
                   help="neurons of each hidden layer; none for a single layer")  # fmt: skip
    g.add_argument("--theta", type=float, nargs="+", metavar="U", help=f"threshold; {layers}")
    g.add_argument("--delta-theta", type=float, nargs="+", metavar="U",
                   help=f"height of the reset (default: theta); {layers}")  # fmt: skip
    g.add_argument("--tau-s", type=float, nargs="+", metavar="S",
                   help=f"synaptic time constant; {layers}")  # fmt: skip
    g.add_argument("--tau", type=float, nargs="+", metavar="S",
                   help=f"membrane time constant; {layers}")  # fmt: skip
    g.add_argument("--max-spikes", type=cli.positive(int), nargs="+", metavar="N",
                   help=f"cap on the spikes of a neuron in a sample; {layers}")  # fmt: skip
    g.add_argument("--weights", nargs="+", metavar="DIST:A:B",
                   help=f"initial: uniform:LOW:HIGH or normal:MEAN:STD; {layers}")  # fmt: skip
    g.add_argument("--duration", type=float, metavar="S", help="simulated time of a sample")
    g.add_argument("--window", type=float, metavar="S", help="latest input spike, exclusive")
    g.add_argument("--dtype", choices=("float32", "float64"), default="float32",
                   help="type of weights and state (default: float32)")  # fmt: skip
    g = p.add_argument_group("training", "by default as the preset says")
    g.add_argument("--epochs", type=cli.whole, metavar="N")
    g.add_argument("--batch-size", type=cli.positive(int), metavar="N", help="samples")
    g.add_argument("--optimizer", metavar="NAME", help="adam or sgd")
    g.add_argument("--learning-rate", type=float, metavar="X")
    g.add_argument("--lr-decay", type=float, metavar="X",
                   help="factor on the learning rate every --lr-decay-every epochs")  # fmt: skip
    g.add_argument("--lr-decay-every", type=cli.positive(int), metavar="N", help="epochs")
    g.add_argument("--lr-floor", type=float, metavar="X", help="least learning rate")
    g.add_argument("--loss", metavar="NAME", help="spike-count or ttfs (time to first spike)")
    g.add_argument("--target-true", type=float, metavar="N",
                   help="spikes wanted of the label's neuron (spike-count)")  # fmt: skip
    g.add_argument("--target-false", type=float, metavar="N",
                   help="spikes wanted of the others (spike-count)")  # fmt: skip
    g.add_argument("--tau-loss", type=float, metavar="S", help="time scale of ttfs")
    g.add_argument("--validation-share", type=float, metavar="X",
                   help="part of the training samples that chooses the best weights")  # fmt: skip
    g.add_argument("--evaluations", type=cli.positive(int), default=1, metavar="N",
                   help="validations an epoch; the test set is evaluated once an epoch "
                   "(default: 1)")  # fmt: skip
    g.add_argument("--seed", type=cli.whole, default=0, metavar="N",
                   help="of weights, batch order and validation part: the same under every "
                   "scheme (default: 0)")  # fmt: skip
    g = p.add_argument_group("output")
    g.add_argument("--output", metavar="FILE",
                   help="default: runs/PRESET-SCHEME-sSEED.h5, numbered if taken")  # fmt: skip
    g.add_argument("--overwrite", action="store_true", help="replace an existing --output")
    g.add_argument("--resume", nargs="?", const=True, metavar="TRACE",
                   help="go on where TRACE stopped; without TRACE: the newest unfinished run of "
                   "the same options in runs/")  # fmt: skip
    g.add_argument("--checkpoint-every", type=cli.positive(float), default=30.0, metavar="S",
                   help="time between checkpoints, besides each epoch (default: 30)")  # fmt: skip
    g.add_argument("--quiet", action="store_true", help="no progress bar, no line per epoch")
    g.add_argument("--workers", type=cli.positive(int), default=1, metavar="N",
                   help="runs that go on at once on this machine, noted in the trace: its times "
                   "are those of a run alone where it is 1 (default: 1)")  # fmt: skip
    g.add_argument("--parent", type=cli.positive(int), metavar="PID",
                   help="stop, as on SIGTERM, when this process, which started the run, is "
                   "gone")  # fmt: skip
    cli.add_threads(g)
    cli.add_device(g)
    return p


def _weights(texts):
    """Parse uniform:-1:1 and the like."""
    parsed = []
    for text in texts:
        parts = text.split(":")
        try:
            distribution, first, second = parts[0], float(parts[1]), float(parts[2])
            if len(parts) != 3 or distribution not in ("uniform", "normal"):
                raise ValueError
        except (ValueError, IndexError):
            raise ValueError(
                f"weights is {text!r}; accepted: uniform:LOW:HIGH or normal:MEAN:STD"
            ) from None
        parsed.append((distribution, first, second))
    return tuple(parsed)


def config_of(args):
    """Configuration of parsed options."""
    overrides = {}
    for name in ("hidden", "theta", "delta_theta", "tau_s", "tau", "max_spikes"):
        values = getattr(args, name)
        overrides[name] = None if values is None else tuple(values)
    for name in ("duration", "window", "epochs", "batch_size", "optimizer", "learning_rate",
                 "lr_decay", "lr_decay_every", "lr_floor", "loss", "target_true", "target_false",
                 "tau_loss", "validation_share"):  # fmt: skip
        overrides[name] = getattr(args, name)
    if args.weights is not None:
        overrides["weights"] = _weights(args.weights)
    preset_name = args.preset or presets.default_preset(args.dataset)
    preset = presets.resolve(preset_name, overrides | {"dataset": args.dataset})
    scheme = cli.scheme_of(args)
    return configuration(
        preset,
        scheme,
        seed=args.seed,
        dtype=args.dtype,
        limit_train=args.limit_train,
        limit_test=args.limit_test,
        evaluations=args.evaluations,
        device=cli.device_of(args),
    )


def trainer_of(config, data_dir=None):
    """The run of a configuration, at its start."""
    preset = presets.from_config(config["preset"])
    data = datasets.load(
        preset.dataset, data_dir, preset.window, config["seed"],
        config["limit_train"], config["limit_test"],
    )  # fmt: skip
    return Trainer(preset, Scheme(**config["scheme"]), data, config["seed"], config["dtype"],
                   config.get("device", "cpu"))  # fmt: skip


def default_output(config):
    """runs/<preset>-<scheme>-s<seed>.h5, numbered where that is taken."""
    label = Scheme(**config["scheme"]).label
    stem = f"{config['preset']['name']}-{label}-s{config['seed']}"
    path = Path("runs") / f"{stem}.h5"
    number = 2
    while path.exists() or Path(f"{path}.lock").exists():
        path = Path("runs") / f"{stem}-{number}.h5"
        number += 1
    return path


class Saved(NamedTuple):
    """What an unfinished run left: the header of its trace, and its newest checkpoint."""

    header: dict
    arrays: dict | None  # None: it was stopped before the first checkpoint
    numbers: dict | None


def saved(output):
    """The `Saved` of an output.

    The checkpoint knows all that the trace does: a trace that is damaged or lost is made anew.

    Raises
    ------
    TraceError
        The run is finished, or there is neither a trace nor a checkpoint.
    CheckpointError
        There are rows in the trace and no usable checkpoint of this run.
    """
    try:
        with Trace(output) as trace:
            header, status = trace.header | {"config": trace.config}, trace.status
            rows = len(trace.batches["epoch"]) + len(trace.epochs["epoch"])
    except TraceError as error:
        try:
            arrays, numbers = checkpoint.load_latest(output)
        except checkpoint.CheckpointError:
            raise error from None
        header = numbers.get("header")
        if not isinstance(header, dict):
            raise checkpoint.CheckpointError(f"{output}: has a checkpoint without header") from None
        check_config(output, header.get("config"))
        print(f"warning: {error}; going on from the checkpoint beside it", file=sys.stderr)
        return Saved(header, arrays, numbers)
    if status == "finished":
        raise TraceError(f"{output}: the run is finished")
    try:
        return Saved(header, *checkpoint.load_latest(output, header.get("run", "")))
    except checkpoint.CheckpointError:
        if rows:
            raise
        return Saved(header, None, None)


def _digest(data):
    """SHA-256 of a data set."""
    digest = hashlib.sha256()
    for trains, labels in ((data.train, data.train_labels), (data.test, data.test_labels)):
        for array in (trains.times, trains.indices, trains.offsets, labels):
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


class Run:
    """A run that is trained, traced and checkpointed.

    Parameters
    ----------
    config : dict
    output : path
    data_dir : path, optional
    overwrite : bool
    resume : Saved, optional
        What `saved` returned for that output: go on from there.
    threads, workers : int
        For the header of the trace, which keeps the most workers that any part of the run had.
    checkpoint_every : float
        Seconds.
    lock : Lock, optional
        The claim on the output, if it is held already.

    Raises
    ------
    TraceError, CheckpointError
        The output exists, or what was saved does not belong to this run or its data.
    OSError
        The file system refuses.
    """

    def __init__(self, config, output, data_dir=None, overwrite=False, resume=None, threads=1,
                 checkpoint_every=30.0, lock=None, workers=1):  # fmt: skip
        self.output = Path(output)
        self.checkpoint_every = checkpoint_every
        self.seconds_checkpoints = 0.0
        self.evaluations = config["evaluations"]
        trainer = self.trainer = trainer_of(config, data_dir)
        initial = [w.copy() for w in trainer.net.weights]
        digest, here = _digest(trainer.data), environment(threads)
        self._row, state = np.zeros(3 + 2 * len(initial)), None
        if resume:
            self.header = resume.header
            self._compare(digest, here)
            self.header["workers"] = max(workers, self.header.get("workers", 1))
        else:
            run = secrets.token_hex(8)
            self.header = {"config": config, "seed": config["seed"], "run": run, "data": digest,
                           "workers": workers, **here}  # fmt: skip
        if resume and resume.arrays:
            arrays = resume.arrays
            state = {name.removeprefix("trace."): arrays.pop(name) for name in list(arrays)
                     if name.startswith("trace.")}  # fmt: skip
            self._row = arrays.pop("row")
            try:
                trainer.restore(arrays, resume.numbers)
            except ValueError as error:
                raise checkpoint.CheckpointError(f"{output}: {error}") from None
        n_samples = min(RASTER_SAMPLES, len(trainer.data.test))
        self.trace = TraceWriter(
            self.output, self.header, initial, trainer.data.n_classes, n_samples,
            overwrite or resume is not None, lock, state,
        )  # fmt: skip
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
            raise TraceError(f"{self.output}: was begun with other data than is at hand now")
        for name in ("lifnum", "numpy", "numba", "cpu"):
            if self.header.get(name) != here[name]:
                before = self.header.get(name)
                print(f"warning: {self.output}: was begun with {name} {before}, goes "
                      f"on with {here[name]}: the bits may differ", file=sys.stderr)  # fmt: skip

    def _checkpoint(self):
        start = time.monotonic()
        arrays, numbers = self.trainer.state()
        arrays |= {"row": self._row}
        arrays |= {f"trace.{name}": array for name, array in self.trace.state().items()}
        numbers |= {"run": self.header["run"], "header": self.header}
        checkpoint.save(self.output, arrays, numbers)
        self._saved = time.monotonic()
        self.seconds_checkpoints += self._saved - start

    def train(self, quiet=False, signals=None):
        """Train to the last epoch; returns the last row of the trace's epochs, or None.

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
                signals = signals or stack.enter_context(_Signals())
                if self._evaluation_is_due(stops):
                    row = self._evaluate(quiet, trainer.batch == 0)
                while trainer.epoch < epochs:
                    bar = tqdm(
                        total=trainer.n_batches, initial=trainer.batch, unit="batch",
                        desc=f"epoch {trainer.epoch + 1}/{epochs}", leave=False,
                        disable=True if quiet else None,
                    )  # fmt: skip
                    with bar:
                        epoch = trainer.epoch
                        while trainer.epoch == epoch:
                            signals.check()
                            loss, accuracy = trainer.step()
                            bar.update()
                            done = trainer.batch or trainer.n_batches
                            self._log_batch(epoch, done, loss, accuracy, bar)
                            if done in stops:
                                row = self._evaluate(quiet, trainer.batch == 0, bar)
                            elif time.monotonic() - self._saved > self.checkpoint_every:
                                self._checkpoint()
            self.trace.close("finished")
        except (Interrupted, SimulationError):
            self._checkpoint()
            self.trace.publish(last=trainer.net.weights)
            self.trace.close("interrupted")
            raise
        except OSError as error:
            self._give_up()
            raise OSError(
                f"{error}; the last checkpoint stands, go on with --resume {self.output}"
            ) from None
        except BaseException:
            self._give_up()
            raise
        checkpoint.remove(self.output)
        return row

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
            self.trace.append_batch({
                "epoch": epoch + done / trainer.n_batches,
                "loss": mean[1],
                "accuracy": mean[2],
                "spikes": mean[3 : 3 + n],
                "gradient_norm": mean[3 + n :],
            })  # fmt: skip
            bar.set_postfix(loss=f"{mean[1]:.3g}", accuracy=f"{100 * mean[2]:.1f} %",
                            spikes="+".join(f"{s:.0f}" for s in mean[3 : 3 + n]))  # fmt: skip
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
            "steps": steps,
            "step_length": trainer.preset.duration / np.maximum(steps, 1.0),
            "gradient_norm": trainer.norms / n_steps,
            "without_gradient": activity.per_sample(activity.constant),
            "seconds_training": trainer.seconds,
            "seconds_evaluation": time.perf_counter() - start,
        }
        raster, confusion = (self._raster(), test.confusion) if with_test else (None, None)
        self.trace.record(row, confusion, raster)
        trainer.reset_totals()
        self._checkpoint()  # first: what the trace shows is never lost
        self.trace.publish(best=trainer.best_weights, last=trainer.net.weights)
        self._warn(row)
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
        parts.append(f"({row['seconds_training']:.1f} s)")
        return " ".join(parts)

    def _warn(self, row):
        """Say once a layer and run what saturates or is silent."""

        def warn(kind, k, message):
            if (kind, k) not in self._warned:
                self._warned.add((kind, k))
                print(f"warning: layer {k}{message}", file=sys.stderr)

        for k in range(len(row["suppressed"])):
            cap = self.trainer.preset.max_spikes[k]
            if row["suppressed"][k] > 0 and cap > 1:
                warn("cap", k, f": {row['suppressed'][k]:.2g} neurons a sample would spike beyond "
                     f"the cap of {cap}")  # fmt: skip
            if row["silent"][k] >= 1.0:
                warn("silent", k, " is silent: no neuron spiked")

    def _raster(self):
        """Spikes, labels and predictions of the first test samples."""
        trainer = self.trainer
        n = min(RASTER_SAMPLES, len(trainer.data.test))
        inputs = trainer.data.test.select(np.arange(n))
        out = trainer.net.forward(inputs, differentiable=False)
        trains = [inputs, *(layer.spikes for layer in trainer.net.layers)]
        return trains, trainer.data.test_labels[:n], trainer.loss.predict(out)


def _newest_unfinished(config):
    """(path, lock) of the newest trace in runs/ of that configuration that nobody goes on with."""
    traces = {path: path.stat().st_mtime for path in Path("runs").glob("*.h5")}
    for path in sorted(traces, key=traces.get, reverse=True):
        try:
            with Trace(path) as trace:
                if trace.config == _as_json(config) and trace.status != "finished":
                    return path, Lock(path)
        except TraceError:
            continue
    raise ValueError("resume: no unfinished run of these options in runs/; accepted: a trace")


def _as_json(config):
    return json.loads(json.dumps(config))


def _output_of(args):
    """(output, its lock) of parsed options."""
    if args.resume is None:
        while not args.output:
            output = default_output(config_of(args))
            with contextlib.suppress(TraceError):  # taken in this moment: the next number
                return output, Lock(output)
        return Path(args.output), Lock(args.output)
    if args.resume is True and not args.output:
        return _newest_unfinished(config_of(args))
    output = args.output if args.resume is True else args.resume
    if args.output not in (None, output):
        raise ValueError(f"output is {args.output}; accepted: none beside --resume {output}")
    if not Path(output).exists() and not checkpoint.exists(output):
        raise TraceError(f"{output}: no such file")
    return Path(output), Lock(output)


def _refuse_other_options(args, config, output):
    """Options that are given beside --resume must be those of the run."""
    given = _as_json(config_of(args))
    if given in (config, _as_json(config_of(parser().parse_args([])))):
        return
    names = [name for name in given if given[name] != config.get(name)]
    raise ValueError(f"{output}: was begun with other options ({', '.join(names)}); accepted "
                     "beside --resume: the same, or none")  # fmt: skip


def main(argv=None):
    args = parser().parse_args(argv)
    threads = cli.set_threads(args.threads, argv)
    with _Signals(args.parent) as signals:
        output, lock = _output_of(args)
        with lock:
            return _run(args, output, lock, threads, signals)


def _run(args, output, lock, threads, signals):
    """Train under the lock of the output; returns the exit code."""
    resume = None
    if args.resume is not None:
        resume = saved(output)
        config = resume.header["config"]
        _refuse_other_options(args, config, output)
    else:
        config = config_of(args)
        if output.exists() and not args.overwrite:
            raise TraceError(f"{output}: exists; accepted: another --output, or --overwrite")
    run = Run(config, output, args.data_dir, args.overwrite, resume, threads,
              args.checkpoint_every, lock, args.workers)  # fmt: skip
    trainer = run.trainer
    if not args.quiet:
        sizes = [trainer.net.layers[0].weights.shape[0]]
        sizes += [layer.weights.shape[1] for layer in trainer.net.layers]
        print(f"{'-'.join(map(str, sizes))} neurons, {trainer.scheme.label}, "
              f"{len(trainer.train_rows)} training samples, {threads} threads, seed "
              f"{trainer.seed}; compiling takes up to half a minute the first time")  # fmt: skip
    try:
        row = run.train(args.quiet, signals)
    except Interrupted as error:
        print(f"stopped in epoch {trainer.epoch + 1}; what was learnt is in {output}; go on with\n"
              f"    {cli.python()} -m lifnum.train --resume {output}")  # fmt: skip
        return error.args[0]
    if row is not None:
        print(f"test accuracy {100 * row['test_accuracy']:.2f} %")
    print(f"trace in {output}; draw it with\n    {cli.python()} -m analysis.training {output}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("lifnum.train", main))
