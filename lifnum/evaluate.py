"""python -m lifnum.evaluate: trained networks on a test set, under their own or other schemes."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lifnum import losses, options
from lifnum.data import dataset
from lifnum.data.datasets import DATASETS
from lifnum.files.environment import environment
from lifnum.files.reader import Trace
from lifnum.files.transfers import TRAINING, TransferFile, weights_digest
from lifnum.runs import evaluation
from lifnum.runs.configuration import Configuration, check_scheme, is_file
from lifnum.runs.run import data_digest, remarks, silent_output
from lifnum.runs.transfer import GradientComparison, Transfer
from lifnum.scheme import LIMITS, Scheme

EPILOG = """\
transfer: with any option of the grid, --gradients or --output, each network is evaluated under the
schemes of the grid too, and compared with itself under the one it was trained with; what is not
given is as in training. One HDF5 file a trace (see lifnum/files/transfers.py); after a stop the
same command goes on with it.

    python -m lifnum.evaluate runs/exact.h5 --methods euler ps --orders 2 3 5 \\
        --dt 0.001 0.01 0.1 --interpolation none dense --output runs/exact-transfer.h5"""


def parser():
    p = options.Parser(
        prog="python -m lifnum.evaluate",
        description="Load the networks of traces and evaluate them: accuracy, confusion matrix, "
        "spike counts. Or transfer their weights to other schemes.",
        epilog=EPILOG,
    )
    p.add_argument("trace", nargs="+", help="trace of a run")
    p.add_argument("--weights", choices=("last", "best", "initial"), default="last",
                   help="which weights of the run (default: last)")  # fmt: skip
    options.add_grid(p, "as in training")
    g = p.add_argument_group("transfer")
    g.add_argument("--gradients", type=options.positive(int), metavar="N",
                   help="compare gradients too: of each scheme with that of exact (for models of a "
                   "series of order 24), on the first N training samples, with initial and last "
                   "weights")  # fmt: skip
    g.add_argument("--output", metavar="FILE",
                   help="file, or folder (default: TRACE-transfer.h5, with the data set's name "
                   "where it is another than that of the run)")  # fmt: skip
    g.add_argument("--overwrite", action="store_true", help="replace an existing --output")
    group = options.add_data(p, None)
    options.add_threads(group)
    options.add_device(group)
    return p


def confusion_lines(confusion, classes):
    """The matrix as text: a row a label, a column a prediction, the last one silent outputs."""
    heads = [*map(str, classes), "silent"]
    width = max(*map(len, heads), len(str(confusion.max(initial=0))) + 1)
    lines = ["label \\ predicted" + "".join(f"{head:>{width + 1}}" for head in heads)]
    for label, row in zip(classes, confusion):
        lines.append(f"{label:>17}" + "".join(f"{count:>{width + 1}}" for count in row))
    return lines


def load_data(args, config, weights, digest, classes):
    """The run's data set, or the one asked for, where it fits the network and its classes.

    `digest` is that of the data it was trained on. What is no user's file can not have changed.
    """
    name = args.dataset or config.preset.dataset
    if args.dataset is None and name not in DATASETS and digest is not None:
        if data_digest(config.data(args.data_dir)) != digest:
            raise ValueError(
                f"{name}: holds other data than the network was trained on (another SHA-256); "
                f"accepted: those, or --dataset {name} to evaluate on these on purpose"
            )
    limit_test = config.limit_test if args.limit_test is None else args.limit_test
    limits = {"limit_train": args.gradients or 1, "limit_test": limit_test}
    data = config.data(args.data_dir, name=name, **limits)
    for part, trains in (("test", data.test), ("training", data.train)):
        if len(trains) == 0 and (part == "test" or args.gradients):
            raise ValueError(f"dataset {data.name} has no {part} samples; accepted: at least 1")
    n_inputs, n_classes = weights[0].shape[0], weights[-1].shape[1]
    if data.test.n_neurons != n_inputs or data.n_classes > n_classes:
        raise ValueError(
            f"dataset {data.name} has {data.test.n_neurons} inputs and {data.n_classes} classes; "
            f"accepted by the network: {n_inputs} and {n_classes}"
        )
    return dataset.with_classes(data, classes)


def evaluate(path, config, weights, data, classes, threads, device):
    """Evaluate under the trained scheme and print what comes out."""
    net, loss = config.network(weights, device), losses.build(config.preset)
    start = time.perf_counter()
    with tqdm(total=len(data.test), unit="sample", leave=False, disable=None) as bar:
        test = net.place(data.test), data.test_labels, data.n_classes
        result = evaluation.evaluate(net, loss, *test, progress=bar.update, count_peaks=True)
    taken = f"{threads} threads, {time.perf_counter() - start:.2f} s"
    print(f"{path}: {net.scheme.label} on {data.name}, {len(data.test)} test samples, {taken}")
    print("\n".join(confusion_lines(result.confusion, classes)))
    for k, (spikes, silent) in enumerate(zip(result.spikes, result.silent)):
        share = f"{100 * silent:.1f} % of the neurons silent on all samples"
        print(f"layer {k}: {spikes:.1f} spikes a sample, {share}")
    print("".join(f"{line}\n" for line in unresolved_lines(result.unresolved, net)), end="")
    print(f"loss {result.loss:.4g}, accuracy {100 * result.accuracy:.2f} %")
    if result.silent[-1] >= 1.0:
        print(f"warning: layer {k}{silent_output(len(data.test))}", file=sys.stderr)


def unresolved_lines(unresolved, net):
    """What the interpolation did not resolve, a line a layer where there is any."""
    if net.scheme.interpolation == "linear":
        if net.device != "cpu":
            return ["peaks that chords miss are not counted on a GPU"]
        what = "peaks a sample above the threshold missed by chords"
        if net.scheme.spikes_per_step is not None:
            what += ", and crossings beyond the limit of spikes in a step"
    elif net.scheme.interpolation == "none":
        what = "spikes a sample left u at or above the threshold"
    else:
        what = "crossings a sample beyond the limit of spikes in a step"
    return [f"layer {k}: {n:.3g} {what}" for k, n in enumerate(unresolved) if n > 0]


def grid_of(args, trained):
    """The schemes asked for; what no option says is as in training."""
    limited = any(getattr(trained, name) != usual for name, usual in LIMITS.items())
    if not isinstance(trained.method, str) or trained.tolerance is not None or limited:
        raise ValueError(
            f"the scheme in training, {trained.label}, has no place in a transfer file; accepted: "
            "traces of named methods without a tolerance, a limit of spikes or another overshoot"
        )
    methods = args.methods or [trained.method]
    orders = args.orders
    if orders is None and trained.method == "ps" and "ps" in methods:
        orders = [trained.order]
    dts = args.dt or [trained.dt or options.DEFAULT_DT]
    return options.grid(methods, orders, dts, args.interpolation or [trained.interpolation])


def output_of(args, trace, trained_on):
    """Path of the transfer file of a trace, whose run had the data set `trained_on`."""
    dataset = trained_on if args.dataset is None else args.dataset
    if is_file(dataset):
        dataset = os.path.abspath(dataset)  # as the run has it
    other = "" if dataset == trained_on else f"-{Path(dataset).stem}"
    name = f"{Path(trace).stem}-transfer{other}.h5"
    if args.output is None:
        return Path(trace).with_name(name)
    if len(args.trace) > 1 or args.output.endswith("/") or Path(args.output).is_dir():
        return Path(args.output) / name
    return Path(args.output)


def check_outputs(args):
    """Refuse traces of which one would go on with, or replace, the transfer file of another."""
    owners = {}
    for path in args.trace:
        with Trace(path) as trace:
            config = Configuration.from_json(trace.config, path)
        output = output_of(args, path, config.preset.dataset)
        owner = owners.setdefault(os.path.realpath(output), path)
        if owner is not path:
            raise ValueError(
                f"trace is {owner} and {path}, whose transfers both go to {output}; accepted: "
                "one of them at a time, each with another --output"
            )


def transfer(args, trained_run, data, schemes, threads):
    """Write the transfer file of one trace, or what it lacks, and print it."""
    path, entries, config, weights, gradient_weights = trained_run
    preset, trained = config.preset, config.scheme
    output = output_of(args, path, preset.dataset)
    header = {
        "config": entries,
        "seed": config.seed,
        "trace": Path(path).name,
        "weights": args.weights,
        "weights_digest": weights_digest(weights),
        "dataset": data.name,
        "n_samples": len(data.test),
        "data": data_digest(data, ["test"]),
        **environment(threads),
    }
    n_train = None
    if args.gradients:
        n_train = len(data.train)
        header[TRAINING] = data_digest(data, ["train"])
    experiment = Transfer(preset, trained, weights, data)
    comparison = GradientComparison(preset, gradient_weights, data.train, data.train_labels)
    with TransferFile(output, header, len(weights), n_train, args.overwrite) as file:
        todo = experiment.missing(file, schemes)
        passes = len(todo) + (not experiment.is_trained(todo[0])) if todo else 0
        gradients = comparison.missing(file, schemes)
        total = passes * len(data.test) + len(gradients) * len(data.train)
        try:
            with tqdm(total=total, unit="sample", leave=False, disable=None) as bar:
                for scheme in todo:
                    bar.set_description(scheme.label)
                    file.append("schemes", experiment.row(scheme, bar.update))
                for scheme, which in gradients:
                    bar.set_description(f"gradient of {scheme.label}, {which} weights")
                    file.append("gradients", *comparison.rows(scheme, which, bar.update))
        except KeyboardInterrupt:
            print(f"stopped; the rows done are in {output}; the same command goes on with it")
            raise
        print(f"{path}: {trained.label} on {data.name}, {len(data.test)} test samples")
        print("\n".join(row_lines(file.rows("schemes"))))
    print(f"transfer in {output}")


def row_lines(rows):
    """The rows of a transfer file as text, sums over the layers where that has a meaning."""

    def share(part, whole):
        return f"{100 * part.sum() / whole:.2f}" if whole > 0 else "nan"

    lines = [f"{'scheme':>28} {'accuracy':>8} {'agreement':>9} {'spikes/sample':>15} "
             f"{'lost':>6} {'gained':>6} {'deviation':>10}",
             f"{'':>28} {'%':>8} {'%':>9} {'':>15} {'%':>6} {'%':>6} {'ms':>10}"]  # fmt: skip
    for row in rows:
        method, order = row["method"].decode(), row["order"]
        dt = None if np.isnan(row["dt"]) else float(row["dt"])
        order = int(order) if method == "ps" else None
        scheme = Scheme(method, order, dt, row["interpolation"].decode())
        trained = (row["matched"] + row["lost"]).sum()
        n = row["matched"].sum()
        deviation = np.nansum(row["deviation_mean"] * row["matched"]) / n if n > 0 else np.nan
        spikes = " + ".join(f"{s:.0f}" for s in row["spikes"])
        lines.append(
            f"{scheme.label:>28} {100 * row['accuracy']:8.2f} {100 * row['agreement']:9.2f} "
            f"{spikes:>15} {share(row['lost'], trained):>6} {share(row['gained'], trained):>6} "
            f"{1e3 * deviation:10.3g}"
        )
    return lines


def main(argv=None):
    args = parser().parse_args(argv)
    threads = options.set_threads(args.threads, argv)
    lists = (args.methods, args.orders, args.dt, args.interpolation, args.gradients, args.output)
    transferring = any(option is not None for option in lists)
    if transferring and args.device == "cuda":
        raise ValueError(f"device is {args.device!r}; accepted for a transfer: cpu")
    if transferring:
        check_outputs(args)
    for path in args.trace:
        with Trace(path) as trace:
            config = Configuration.from_json(trace.config, path)
            if args.device == "cuda":
                config = replace(config, device="cuda")  # refused for models
            device = options.device_of(args)
            entries, weights, status = trace.config, trace.weights(args.weights), trace.status
            digest = trace.header.get("data")
            classes = trace.classes
            gradient_weights = {}
            if args.gradients:
                gradient_weights = {which: trace.weights(which) for which in ("initial", "last")}
        if status != "finished":
            print(f"warning: {path}: the run is {status}", file=sys.stderr)
        schemes = grid_of(args, config.scheme) if transferring else []
        for scheme in schemes:
            check_scheme(config.preset, scheme)
        data = load_data(args, config, weights, digest, classes)
        preset = replace(config.preset, validation_share=0.0)
        lines = [line for one in schemes or [config.scheme] for line in remarks(preset, one, data)]
        for line in dict.fromkeys(lines):
            print(f"warning: {path}: {line}", file=sys.stderr)
        if transferring:
            run = path, entries, config, weights, gradient_weights
            transfer(args, run, data, schemes, threads)
        else:
            evaluate(path, config, weights, data, classes, threads, device)
    return 0


if __name__ == "__main__":
    sys.exit(options.run("lifnum.evaluate", main))
