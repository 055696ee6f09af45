"""python -m lifnum.train: train a spiking network, and keep a trace of the run."""

import argparse
import contextlib
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from lifnum import fields, options
from lifnum.data.datasets import DATASETS, default_encoding
from lifnum.data.encoding import ENCODERS, spellings
from lifnum.errors import TraceError
from lifnum.files import checkpoint
from lifnum.files.lock import Lock
from lifnum.files.reader import Trace
from lifnum.losses import LOSSES, loss_options
from lifnum.runs import neurons, presets
from lifnum.runs.configuration import Configuration, default_output, is_file
from lifnum.runs.run import Run, saved
from lifnum.runs.signals import Interrupted, Signals


def _data_lines():
    """What each data set and encoding is, for --help."""
    lines = [f"  {name}: {source.help}" for name, source in DATASETS.items()]
    encoders = [
        f"  {text}: {one.help}" + (f" (default: {one.number[2]:g})" if one.number else "")
        for text, one in zip(spellings(), ENCODERS.values())
    ]
    heads = "data sets (samples for training and test):", "encodings (of values from 0 to 1):"
    return "\n".join([heads[0], *lines, "", heads[1], *encoders])


def _preset_lines():
    """The defaults that each preset brings, for --help."""

    def text(values):
        same = len(set(values)) == 1
        return f"{values[0]}" if same else ",".join(f"{value}" for value in values)

    lines = ["presets (a list is one value a layer):"]
    for name, p in presets.PRESETS.items():
        weights = text([f"{kind}:{a:g}:{b:g}" for kind, a, b in p.weights])
        own = fields.options_of(LOSSES[p.loss])
        numbers = (f"{one.replace('_', '-')} {p.loss_options[one]:g}" for one in own)
        loss = ", ".join([p.loss, *numbers])
        kind = f"theta {text(p.theta)}, tau-s {text(p.tau_s)}, tau {text(p.tau)}"
        if p.models:
            changed = (f" {key}={value:g}" for key, value in neurons.changes(p.neuron).items())
            scheme = presets.SCHEMES[name].label
            kind = f"{scheme},\n    neuron {neurons.names(p.neuron)}{''.join(changed)}"
        lines += [
            f"  {name}: hidden {','.join(map(str, p.hidden))}, {kind}, "
            f"max-spikes {text(p.max_spikes)},",
            f"    duration {p.duration:g}, window {p.window:g}, weights {weights},",
            f"    {loss}, batch {p.batch_size}, epochs {p.epochs}, validation "
            f"{p.validation_share:g},",
            f"    {p.optimizer} {p.learning_rate:g} (x {p.lr_decay:g} every {p.lr_decay_every} "
            f"epochs, floor {p.lr_floor:g})",
        ]
    return "\n".join(lines)


def add_parameter(group, more=""):
    group.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE",
                       help=f"of a model by equations, in its own units{more}; may be "
                       "repeated")  # fmt: skip


def parser():
    p = options.Parser(
        prog="python -m lifnum.train",
        description="Train a spiking network whose neurons are integrated by the method of your "
        "choice. Times are in seconds. Writes one HDF5 trace; python -m lifnum.analysis.training "
        "draws it, python -m lifnum.evaluate evaluates the network in it.",
        epilog=f"{_data_lines()}\n\n{_preset_lines()}",
    )
    options.add_scheme(p)
    data = options.add_data(p, "digits")
    g = p.add_argument_group("network", "by default as the preset says")
    g.add_argument("--preset", metavar="NAME",
                   help=f"hyper-parameters: {', '.join(presets.PRESETS)} "
                   "(default: the data set's own)")  # fmt: skip
    g = {"data": data, "network": g, "training": p.add_argument_group("training", g.description)}
    for one in fields.options_of(presets.Preset).values():
        fields.add(g[one.metadata["group"]], one)
        if one.name == "neuron":
            add_parameter(g["network"], "; for one layer alone LAYER:NAME=VALUE")
    for one in loss_options().values():
        fields.add(g["training"], one)
    run = fields.options_of(Configuration)
    for name, group in (("dtype", "network"), ("weights_from", "network"),
                        ("evaluations", "training"), ("seed", "training")):  # fmt: skip
        default = run[name].default
        fields.add(g[group], run[name], default=default, shown=default)
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


def config_of(args):
    """Configuration of parsed options."""
    config = Configuration.from_options(args, "cuda" if args.device == "cuda" else "cpu")
    options.device_of(args)  # whether there is one
    return config


def remarks(args):
    """Lines about options that do not do what they seem to, or were not given and matter."""
    lines = []
    own_times = args.dataset in DATASETS and not DATASETS[args.dataset].windowed
    if is_file(args.dataset):
        own_times = default_encoding(args.dataset) is None
    if args.window is not None and own_times and args.encoding is None:
        lines.append(
            f"window {args.window:g} has no effect: the input spikes of {args.dataset} "
            "have times of their own"
        )
    preset = config_of(args).preset
    for given, option, optimizer in ((args.momentum, "momentum", "sgd"),
                                     (args.weight_decay, "weight-decay", "adamw")):  # fmt: skip
        if given is not None and preset.optimizer != optimizer:
            lines.append(f"{option} {given:g} has no effect: it belongs to optimizer {optimizer}")
    if args.preset is None and is_file(args.dataset):
        theta = ", ".join(f"{value:g}" for value in preset.theta)
        lines.append(
            f"{args.dataset} has no preset of its own: what no option says is as in "
            f"{presets.default_preset(args.dataset)} (duration {preset.duration:g}, "
            f"theta {theta}, loss {preset.loss})"
        )
    made_on = presets.PRESETS[args.preset].dataset if args.preset else args.dataset
    if made_on != args.dataset == "digits":  # the default
        lines.append(
            f"the hyper-parameters of {args.preset} are used on digits; its own data are those of "
            f"--dataset {made_on}"
        )
    for text in args.neuron or ():
        if neurons.says_no_time_unit(text):
            lines.append(
                f"{text} has no time_unit, which is 1 then: times of its equations are in "
                "seconds (0.001 says milliseconds)"
            )
    name = args.preset or presets.default_preset(args.dataset, preset.neuron)
    if not (args.weights or args.weights_from or presets.has_neurons(name, preset.neuron)):
        made_for, here = (neurons.names(one.neuron) for one in (presets.PRESETS[name], preset))
        lines.append(
            f"initial weights are those of the preset {name}, made for {made_for} neurons, not "
            f"for {here}; --weights and --lr say others"
        )
    return lines


def _newest_unfinished(config):
    """(path, lock) of the newest trace in runs/ of that configuration that nobody goes on with."""
    traces = {path: path.stat().st_mtime for path in Path("runs").glob("*.h5")}
    for path in sorted(traces, key=traces.get, reverse=True):
        try:
            with Trace(path) as trace:
                found = Configuration.from_json(trace.config, path)
                if found == config and trace.status != "finished":
                    return path, Lock(path)
        except TraceError:
            continue
    raise ValueError("resume: no unfinished run of these options in runs/; accepted: a trace")


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


def _go_on(args, config, output):
    """The configuration of a run with what was typed beside --resume: its data moved, more epochs.

    Raises
    ------
    ValueError
        Any other option that was typed is not as in the run; names it.
    """
    run = config.by_option()
    if any(kind == presets.GIVEN for kind, *_ in config.preset.weights):
        raise ValueError(f"{output} was begun by lifnum.fit; accepted: lifnum.fit with resume=True")
    filled = argparse.Namespace(**vars(args))
    for name in run.keys() & vars(args).keys() - args.typed:
        setattr(filled, name, run[name])
    filled.neuron = config.preset.neuron
    if "neuron" in args.typed:
        typed = tuple(map(neurons.neuron_of, args.neuron))
        typed = presets.per_layer("neuron", typed, len(run["neuron"]))
        if [neurons.structure(one) for one in typed] != run["neuron"]:
            filled.neuron = typed
    if "parameter" not in args.typed:
        filled.parameter = None
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
        given = config_of(filled).by_option()
        differing = [name for name in args.typed & given.keys() if given[name] != run[name]]
        if given["epochs"] > run["epochs"]:
            differing.remove("epochs")
        if "dataset" in differing:
            differing.remove("dataset")  # whether the data are the same says their digest
    if differing:
        texts = []
        for name in sorted(differing):
            here, there = given[name], run[name]
            if name == "parameter":  # those that differ
                own = [key for key in here if here[key] != there.get(key)]
                here, there = (
                    {key: one[key] for key in own if key in one} for one in (here, there)
                )
            texts.append(f"--{name.replace('_', '-')} {_text(here)} (there {_text(there)})")
        raise ValueError(
            f"{output}: was begun with other options than {', '.join(texts)}; accepted beside "
            "--resume: the same, none, --dataset for the same data elsewhere, more --epochs"
        )
    changes = {name: given[name] for name in ("dataset", "epochs") if name in args.typed}
    return replace(config, preset=replace(config.preset, **changes))


def _text(value):
    """A value as one types it."""
    if isinstance(value, dict):  # a neuron, or parameters of some
        return value.get("name") or " ".join(f"{key}={_text(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        names = [isinstance(one, str) for one in value]
        ends = ":" if any(names) and not all(names) else " "  # of a distribution's numbers
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
        config = _go_on(args, Configuration.from_json(resume.header["config"], output), output)
    else:
        if {"weights", "weights_from"} <= args.typed:
            raise ValueError("weights and weights_from are both given; accepted: one of them")
        config = config_of(args)
        if output.exists() and not args.overwrite:
            raise TraceError(f"{output}: exists; accepted: another --output, or --overwrite")
        for line in remarks(args):
            print(f"warning: {line}", file=sys.stderr)
    replacing = args.overwrite, resume, lock
    run = Run(config, output, args.data_dir, *replacing, args.workers)
    trainer = run.trainer
    if not args.quiet:
        sizes = [trainer.net.layers[0].weights.shape[0]]
        sizes += [layer.weights.shape[1] for layer in trainer.net.layers]
        kind = f" {neurons.names(trainer.preset.neuron)}" if trainer.preset.models else ""
        print(
            f"{'-'.join(map(str, sizes))}{kind} neurons, {trainer.scheme.label}, "
            f"{len(trainer.train_rows)} training samples, {threads} threads, seed "
            f"{trainer.seed}; compiling takes up to half a minute the first time"
        )
    name = shlex.quote(str(output))
    try:
        row = run.train(args.quiet, signals, args.checkpoint_every)
    except Interrupted as error:
        print(f"stopped in epoch {trainer.epoch + 1}; what was learnt is in {output}; go on with")
        print(f"    {options.python()} -m lifnum.train --resume {name}")
        return error.args[0]
    if row is not None:
        print(f"test accuracy {100 * row['test_accuracy']:.2f} %")
    print(f"trace in {output}; draw it with")
    print(f"    {options.python()} -m lifnum.analysis.training {name}")
    return 0


if __name__ == "__main__":
    sys.exit(options.run("lifnum.train", main))
