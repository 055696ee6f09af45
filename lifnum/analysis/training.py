"""python -m lifnum.analysis.training: loss, accuracy, spikes and a raster of one or more runs."""

import sys
from pathlib import Path

import numpy as np

from lifnum import options
from lifnum.analysis import style
from lifnum.analysis.axes import logarithmic
from lifnum.analysis.options import output
from lifnum.errors import TraceError
from lifnum.files.reader import Trace
from lifnum.runs.neurons import names, of_data
from lifnum.scheme import Scheme


def parser():
    p = options.Parser(
        prog=f"python -m {__package__}.training",
        description="Draw the course of training of one or several traces, and the spikes of one "
        "test sample of the first, into one figure.",
    )
    p.add_argument("traces", nargs="+", metavar="TRACE")
    p.add_argument("--out", type=output(".png", ".pdf"), metavar="FILE",
                   help="PNG or PDF (default: the first trace with .png)")  # fmt: skip
    p.add_argument("--sample", type=options.whole, default=0, metavar="N",
                   help="which of the kept test samples the raster shows (default: 0)")  # fmt: skip
    return p


def read(paths):
    """The usable ones of some traces; the others are named on standard error."""
    runs = []
    for path in paths:
        try:
            with Trace(path) as trace:
                run = {
                    "path": Path(path),
                    "config": trace.config,
                    "epochs": trace.epochs,
                    "batches": trace.batches,
                    "raster": trace.raster,
                    "status": trace.status,
                }
        except TraceError as error:
            print(f"skipped: {error}", file=sys.stderr)
            continue
        if len(run["epochs"]["epoch"]) == 0:
            print(f"skipped: {path}: no epoch is complete", file=sys.stderr)
            continue
        runs.append(run)
    if not runs:
        raise TraceError("none of the traces can be drawn")
    return runs


def label(run):
    config = run["config"]
    neurons = [of_data(one) for one in config["preset"].get("neuron", ())]
    kind = f"{names(neurons)}, " if neurons else ""
    return f"{kind}{Scheme.from_json(config['scheme']).label}, seed {config['seed']}"


def colors_of(runs):
    """A colour for each run: black for the first that was solved exactly, as in other figures."""
    *cycle, black = style.COLORS
    colors = [cycle[k % len(cycle)] for k in range(len(runs))]
    exact = [run["config"]["scheme"]["method"] == "exact" for run in runs]
    if any(exact):
        colors[exact.index(True)] = black
    return colors


def draw(runs, sample):
    """The figure."""
    datasets = sorted({style.dataset(run["config"]["preset"]["dataset"]) for run in runs})
    figure, axes = style.plt.subplots(2, 2, figsize=(7.5, 5.4))
    loss, accuracy, spikes, raster = axes.ravel()
    for run, color in zip(runs, colors_of(runs)):
        batches, epochs = run["batches"], run["epochs"]
        loss.plot(batches["epoch"], batches["loss"], color=color, alpha=0.35, linewidth=0.8)
        loss.plot(epochs["epoch"], epochs["train_loss"], "o-", color=color, label=label(run))
        accuracy.plot(epochs["epoch"], 100 * epochs["train_accuracy"], ":", color=color)
        tested = np.isfinite(epochs["test_accuracy"])
        accuracy.plot(
            epochs["epoch"][tested], 100 * epochs["test_accuracy"][tested], "o-", color=color
        )
        counts = epochs["train_spikes"]
        for layer in range(counts.shape[1]):
            last = layer == counts.shape[1] - 1
            spikes.plot(epochs["epoch"], counts[:, layer], "o--" if last else "o-", color=color)
    loss.set(title=f"Training loss, {', '.join(datasets)}", xlabel="epoch", ylabel="loss")
    logarithmic(loss)
    loss.legend(fontsize=7)
    accuracy.set(title="Accuracy: test (solid), training (dotted)", xlabel="epoch", ylabel="%")
    spikes.set(title="Spikes: hidden (solid), output (dashed)", xlabel="epoch")
    spikes.set_ylabel("spikes per sample")
    logarithmic(spikes)
    draw_raster(raster, runs[0], sample)
    return figure


def draw_raster(axes, run, sample):
    raster = run["raster"]
    n = len(raster["label"])
    if not 0 <= sample < n:
        raise ValueError(f"sample is {sample}; accepted: 0 to {n - 1}")
    chosen = raster["sample"] == sample
    time, layer, neuron = (raster[name][chosen] for name in ("time", "layer", "neuron"))
    sizes = [int(neuron[layer == k].max(initial=0)) + 1 for k in range(layer.max(initial=0) + 1)]
    base, ticks, names = 0, [], []
    for k, size in enumerate(sizes):
        height = 1.0 if k < len(sizes) - 1 else 0.5
        y = base + height * neuron[layer == k] / max(1, size - 1)
        axes.plot(1e3 * time[layer == k], y, "|", markersize=3, color=style.COLORS[k % 7])
        ticks.append(base + height / 2)
        names.append("input" if k == 0 else "output" if k == len(sizes) - 1 else f"hidden {k}")
        base += height + 0.15
    predicted = raster["prediction"][sample]
    verdict = "silent" if predicted < 0 else f"predicted {predicted}"
    axes.set(title=f"One test sample: label {raster['label'][sample]}, {verdict}",
             xlabel="time (ms)", yticks=ticks)  # fmt: skip
    axes.set_yticklabels(names, rotation=90, va="center")
    axes.tick_params(axis="y", length=0)


def main(argv=None):
    args = parser().parse_args(argv)
    runs = read(args.traces)
    out = args.out or runs[0]["path"].with_suffix(".png")
    style.save(draw(runs, args.sample), out)
    print(f"figure in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(options.run(f"{__package__}.training", main))
