"""python -m lifnum.train: train a spiking network, and keep a trace of the run."""

import argparse
import contextlib
import json
import math
import os
import shlex
import sys
from pathlib import Path

from lifnum import options
from lifnum.data import datasets
from lifnum.errors import TraceError
from lifnum.files import checkpoint
from lifnum.files.lock import Lock
from lifnum.files.reader import Trace
from lifnum.runs import presets
from lifnum.runs.configuration import configuration
from lifnum.runs.run import Run, saved
from lifnum.runs.signals import Interrupted, Signals
from lifnum.scheme import Scheme


def _preset_lines():
    """The defaults that each preset brings, for --help."""

    def text(values):
        same = len(set(values)) == 1
        return f"{values[0]}" if same else ",".join(f"{value}" for value in values)

    lines = ["presets (a list is one value a layer):"]
    for name, p in presets.PRESETS.items():
        weights = text([f"{kind}:{a:g}:{b:g}" for kind, a, b in p.weights])
        numbers = {"ttfs": f", tau-loss {p.tau_loss:g}",
                   "spike-count": f" {p.target_true:g}/{p.target_false:g}"}  # fmt: skip
        loss = p.loss + numbers.get(p.loss, "")
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
    p = options.Parser(
        prog="python -m lifnum.train",
        description="Train a spiking network whose neurons are integrated by the method of your "
        "choice. Times are in seconds. Writes one HDF5 trace; python -m lifnum.analysis.training "
        "draws it, python -m lifnum.evaluate evaluates the network in it.",
        epilog=_preset_lines(),
    )
    options.add_scheme(p)
    options.add_data(p, "digits")
    layers = "one value, or one a layer"
    g = p.add_argument_group("network", "by default as the preset says")
    g.add_argument("--preset", metavar="NAME",
                   help=f"hyper-parameters: {', '.join(presets.PRESETS)} "
                   "(default: the data set's own)")  # fmt: skip
    g.add_argument("--hidden", type=options.positive(int), nargs="*", metavar="N",
                   help="neurons of each hidden layer; none for a single layer")  # fmt: skip
    g.add_argument("--theta", type=float, nargs="+", metavar="U", help=f"threshold; {layers}")
    g.add_argument("--delta-theta", type=float, nargs="+", metavar="U",
                   help=f"height of the reset (default: theta); {layers}")  # fmt: skip
    g.add_argument("--tau-s", type=float, nargs="+", metavar="S",
                   help=f"synaptic time constant; {layers}")  # fmt: skip
    g.add_argument("--tau", type=float, nargs="+", metavar="S",
                   help=f"membrane time constant; {layers}")  # fmt: skip
    g.add_argument("--max-spikes", type=options.positive(int), nargs="+", metavar="N",
                   help=f"cap on the spikes of a neuron in a sample; {layers}")  # fmt: skip
    g.add_argument("--weights", nargs="+", metavar="DIST:A:B",
                   help=f"initial: uniform:LOW:HIGH or normal:MEAN:STD; {layers}")  # fmt: skip
    g.add_argument("--duration", type=float, metavar="S", help="simulated time of a sample")
    g.add_argument("--window", type=float, metavar="S", help="latest input spike, exclusive")
    g.add_argument("--dtype", choices=("float32", "float64"), default="float32",
                   help="type of weights and state (default: float32)")  # fmt: skip
    g = p.add_argument_group("training", "by default as the preset says")
    g.add_argument("--epochs", type=options.whole, metavar="N")
    g.add_argument("--batch-size", type=options.positive(int), metavar="N", help="samples")
    g.add_argument("--optimizer", metavar="NAME", help="adam or sgd")
    g.add_argument("--learning-rate", "--lr", type=float, metavar="X")
    g.add_argument("--lr-decay", type=float, metavar="X",
                   help="factor on the learning rate every --lr-decay-every epochs")  # fmt: skip
    g.add_argument("--lr-decay-every", type=options.positive(int), metavar="N", help="epochs")
    g.add_argument("--lr-floor", type=float, metavar="X", help="least learning rate")
    g.add_argument("--loss", metavar="NAME", help="spike-count or ttfs (time to first spike)")
    g.add_argument("--target-true", type=float, metavar="N",
                   help="spikes wanted of the label's neuron (spike-count)")  # fmt: skip
    g.add_argument("--target-false", type=float, metavar="N",
                   help="spikes wanted of the others (spike-count)")  # fmt: skip
    g.add_argument("--tau-loss", type=float, metavar="S", help="time scale of ttfs")
    g.add_argument("--validation-share", type=float, metavar="X",
                   help="part of the training samples that chooses the best weights")  # fmt: skip
    g.add_argument("--evaluations", type=options.positive(int), default=1, metavar="N",
                   help="validations an epoch; the test set is evaluated once an epoch "
                   "(default: 1)")  # fmt: skip
    g.add_argument("--seed", type=options.whole, default=0, metavar="N",
                   help="of weights, batch order and validation part: the same under every "
                   "scheme (default: 0)")  # fmt: skip
    g = p.add_argument_group("output")
    g.add_argument("--output", metavar="FILE",
                   help="default: runs/PRESET-SCHEME-sSEED.h5, numbered if taken")  # fmt: skip
    g.add_argument("--overwrite", action="store_true", help="replace an existing --output")
    g.add_argument("--resume", nargs="?", const=True, metavar="TRACE",
                   help="go on where TRACE stopped, or, with more --epochs, where it ended; "
                   "--dataset says where its data are now; without TRACE: the newest unfinished "
                   "run of the same options in runs/")  # fmt: skip
    g.add_argument("--checkpoint-every", type=options.positive(float), default=30.0, metavar="S",
                   help="time between checkpoints, besides each epoch (default: 30)")  # fmt: skip
    g.add_argument("--quiet", action="store_true", help="no progress bar, no line per epoch")
    g.add_argument("--workers", type=options.positive(int), default=1, metavar="N",
                   help="runs that go on at once on this machine, noted in the trace: its times "
                   "are those of a run alone where it is 1 (default: 1)")  # fmt: skip
    g.add_argument("--parent", type=options.positive(int), metavar="PID",
                   help="stop, as on SIGTERM, when this process, which started the run, is "
                   "gone")  # fmt: skip
    options.add_threads(g)
    options.add_device(g)
    return p


def _weights(texts):
    """Parse uniform:-1:1 and the like."""
    parsed = []
    for text in texts:
        try:
            distribution, *values = text.split(":")
            first, second = map(float, values)
            if not math.isfinite(first) or not math.isfinite(second):
                raise ValueError
            if second < {"uniform": first, "normal": 0.0}[distribution]:
                raise ValueError
        except (ValueError, KeyError):
            raise ValueError(
                f"weights is {text!r}; accepted: uniform:LOW:HIGH with LOW <= HIGH, or "
                "normal:MEAN:STD with STD >= 0, finite numbers"
            ) from None
        parsed.append((distribution, first, second))
    return tuple(parsed)


def _is_file(dataset):
    """Whether a data set is a user's file of spike trains."""
    return dataset not in datasets.NAMES and Path(dataset).is_file()


def config_of(args):
    """Configuration of parsed options.

    A file of spike trains is kept as an absolute path, and without --preset names the run.
    """
    overrides = {"dataset": args.dataset}
    if _is_file(args.dataset):
        overrides["dataset"] = os.path.abspath(args.dataset)
        overrides["name"] = Path(args.dataset).stem if args.preset is None else None
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
    preset = presets.resolve(preset_name, overrides)
    scheme = options.scheme_of(args)
    return configuration(
        preset,
        scheme,
        seed=args.seed,
        dtype=args.dtype,
        limit_train=args.limit_train,
        limit_test=args.limit_test,
        evaluations=args.evaluations,
        device=options.device_of(args),
    )


def remarks(args):
    """Lines about options that do not do what they seem to, or were not given and matter."""
    lines = []
    own_times = args.dataset == "mnist-threshold" or _is_file(args.dataset)
    if args.window is not None and own_times:
        lines.append(f"window {args.window:g} has no effect: the input spikes of {args.dataset} "
                     "have times of their own")  # fmt: skip
    if args.preset is None and _is_file(args.dataset):
        preset = config_of(args)["preset"]
        theta = ", ".join(f"{value:g}" for value in preset["theta"])
        lines.append(f"{args.dataset} has no preset of its own: what no option says is as in "
                     f"{presets.default_preset(args.dataset)} (duration {preset['duration']:g}, "
                     f"theta {theta}, loss {preset['loss']})")  # fmt: skip
    return lines


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


def _flat(config):
    """The entries of a configuration by the names of their options."""
    inner = config["preset"] | config["scheme"]
    rest = {name: value for name, value in config.items() if name not in ("preset", "scheme")}
    return {"device": "cpu"} | inner | rest | {"preset": config["preset"]["name"]}


def _go_on(args, config, output):
    """The configuration of a run with what was typed beside --resume: its data moved, more epochs.

    Raises
    ------
    ValueError
        Any other option that was typed is not as in the run; names it.
    """
    run = _flat(config)
    filled = argparse.Namespace(**vars(args))
    for name in run.keys() & vars(args).keys() - args.typed:
        setattr(filled, name, run[name])
    if "weights" not in args.typed:
        filled.weights = [f"{kind}:{a!r}:{b!r}" for kind, a, b in run["weights"]]
    if None in filled.delta_theta:
        filled.delta_theta = None
    if "preset" not in args.typed:
        filled.preset = None
    if "dt" not in args.typed and (filled.method, filled.interpolation) == ("exact", "dense"):
        filled.dt = None
    if list(filled.hidden) != list(run["hidden"]):  # else values of layers have no place
        differing = ["hidden"]
        given = {"hidden": filled.hidden}
    else:
        given = _flat(_as_json(config_of(filled)))
        differing = [name for name in args.typed & given.keys() if given[name] != run[name]]
        if given["epochs"] > run["epochs"]:
            differing.remove("epochs")
        if "dataset" in differing:
            differing.remove("dataset")  # whether the data are the same says their digest
    if differing:
        texts = [f"--{name.replace('_', '-')} {_text(given[name])} (there {_text(run[name])})"
                 for name in sorted(differing)]  # fmt: skip
        raise ValueError(f"{output}: was begun with other options than {', '.join(texts)}; "
                         "accepted beside --resume: the same, none, --dataset for the same data "
                         "elsewhere, more --epochs")  # fmt: skip
    changes = {name: given[name] for name in ("dataset", "epochs") if name in args.typed}
    return config | {"preset": config["preset"] | changes}


def _text(value):
    """A value as one types it."""
    if isinstance(value, (list, tuple)):
        ends = ":" if value and isinstance(value[0], str) else " "
        return ends.join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def main(argv=None):
    args = parser().parse_args(argv)
    untyped = argparse.Namespace(**dict.fromkeys(vars(args)))
    typed = vars(parser().parse_args(argv, untyped))
    args.typed = {name for name, value in typed.items() if value is not None}
    threads = options.set_threads(args.threads, argv)
    with Signals(args.parent) as signals:
        output, lock = _output_of(args)
        with lock:
            return _run(args, output, lock, threads, signals)


def _run(args, output, lock, threads, signals):
    """Train under the lock of the output; returns the exit code."""
    resume = None
    if args.resume is not None:
        resume = saved(output, args.epochs)
        config = resume.header["config"] = _go_on(args, resume.header["config"], output)
    else:
        config = config_of(args)
        if output.exists() and not args.overwrite:
            raise TraceError(f"{output}: exists; accepted: another --output, or --overwrite")
        for line in remarks(args):
            print(f"warning: {line}", file=sys.stderr)
    run = Run(config, output, args.data_dir, args.overwrite, resume, threads,
              args.checkpoint_every, lock, args.workers)  # fmt: skip
    trainer = run.trainer
    if not args.quiet:
        sizes = [trainer.net.layers[0].weights.shape[0]]
        sizes += [layer.weights.shape[1] for layer in trainer.net.layers]
        print(f"{'-'.join(map(str, sizes))} neurons, {trainer.scheme.label}, "
              f"{len(trainer.train_rows)} training samples, {threads} threads, seed "
              f"{trainer.seed}; compiling takes up to half a minute the first time")  # fmt: skip
    name = shlex.quote(str(output))
    try:
        row = run.train(args.quiet, signals)
    except Interrupted as error:
        print(f"stopped in epoch {trainer.epoch + 1}; what was learnt is in {output}; go on with\n"
              f"    {options.python()} -m lifnum.train --resume {name}")  # fmt: skip
        return error.args[0]
    if row is not None:
        print(f"test accuracy {100 * row['test_accuracy']:.2f} %")
    print(f"trace in {output}; draw it with")
    print(f"    {options.python()} -m lifnum.analysis.training {name}")
    return 0


if __name__ == "__main__":
    sys.exit(options.run("lifnum.train", main))
