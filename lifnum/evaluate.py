"""python -m lifnum.evaluate: a trained network on its test set."""

import sys
import time

from tqdm import tqdm

from lifnum import cli, datasets, trainer
from lifnum.trace import Trace


def parser():
    p = cli.Parser(
        prog="python -m lifnum.evaluate",
        description="Load the network of a trace and evaluate it: accuracy, confusion matrix, "
        "spike counts.",
    )
    p.add_argument("trace", help="trace of a run")
    p.add_argument("--weights", choices=("last", "best", "initial"), default="last",
                   help="which weights of the run (default: last)")  # fmt: skip
    group = cli.add_data(p, None)
    cli.add_threads(group)
    cli.add_device(group)
    return p


def confusion_lines(confusion):
    """The matrix as text: a row a label, a column a prediction, the last one silent outputs."""
    n = len(confusion)
    width = max(6, len(str(confusion.max(initial=0))) + 1)
    heads = [*map(str, range(n)), "silent"]
    lines = ["label \\ predicted" + "".join(f"{head:>{width + 1}}" for head in heads)]
    for label, row in enumerate(confusion):
        lines.append(f"{label:>17}" + "".join(f"{count:>{width + 1}}" for count in row))
    return lines


def main(argv=None):
    args = parser().parse_args(argv)
    threads = cli.set_threads(args.threads, argv)
    with Trace(args.trace) as trace:
        config, weights, status = trace.config, trace.weights(args.weights), trace.status
    if status != "finished":
        print(f"warning: {args.trace}: the run is {status}", file=sys.stderr)
    net, loss, preset = trainer.network_of(config, weights, cli.device_of(args))
    data = datasets.load(
        args.dataset or preset.dataset, args.data_dir, preset.window, config["seed"], 1,
        args.limit_test if args.limit_test is not None else config["limit_test"],
    )  # fmt: skip
    n_inputs, n_classes = weights[0].shape[0], weights[-1].shape[1]
    if data.test.n_neurons != n_inputs or data.n_classes > n_classes:
        raise ValueError(
            f"dataset {data.name} has {data.test.n_neurons} inputs and {data.n_classes} classes; "
            f"accepted by the network: {n_inputs} and {n_classes}"
        )
    start = time.perf_counter()
    with tqdm(total=len(data.test), unit="sample", leave=False, disable=None) as bar:
        result = trainer.evaluate(
            net, loss, net.place(data.test), data.test_labels, n_classes, progress=bar.update
        )
    print(f"{args.trace}: {net.scheme.label} on {data.name}, {len(data.test)} test samples, "
          f"{threads} threads, {time.perf_counter() - start:.2f} s")  # fmt: skip
    print("\n".join(confusion_lines(result.confusion)))
    for k, (spikes, silent) in enumerate(zip(result.spikes, result.silent)):
        print(f"layer {k}: {spikes:.1f} spikes a sample, {100 * silent:.1f} % of the neurons "
              f"silent on all samples")  # fmt: skip
    print(f"loss {result.loss:.4g}, accuracy {100 * result.accuracy:.2f} %")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("lifnum.evaluate", main))
