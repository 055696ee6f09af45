"""python -m analysis.figure4: spikes, training time and epochs to a goal over dt, per gradient."""

import sys

import numpy as np

from analysis import results, statistics, style
from lifnum import options

GRADIENTS = ("piggyback", "adjusted")


def draw(study, dataset=None, threshold=97.0):
    """The figure: hidden spikes and seconds an epoch left, epochs to the threshold (%) right."""
    dataset = style.chosen_dataset(study, dataset)
    runs = statistics.interpolated(statistics.select(study.runs, dataset=dataset, study=0), "dense")
    if not np.isfinite(runs["dt"]).any():
        raise results.NoData(f"no run on {dataset} with a grid and interpolation dense")
    timed = statistics.interpolated(statistics.alone(study.runs, dataset), "dense")
    dts = statistics.steps(runs)
    drawing = style.Drawing(
        [["spikes piggyback", "goal piggyback"], ["spikes adjusted", "goal adjusted"],
         ["steps", "key"]],
        (style.WIDTH, 6.4), height_ratios=(3, 3, 1.3), width_ratios=(1, 1),
    )  # fmt: skip
    name = style.dataset(dataset)
    shown = {}
    for gradient in GRADIENTS:
        left, right = (drawing.axes[f"{what} {gradient}"] for what in ("spikes", "goal"))
        own = _of(runs, gradient)
        shown["spikes", gradient] = left
        drawing.methods(left, f"{name}, {gradient}", "hidden spikes a sample", own,
                        statistics.hidden(own, "test_spikes"), linestyle="-")  # fmt: skip
        left.set(
            title=f"{gradient}: spikes (solid), time (dashed)", ylabel="hidden spikes per sample"
        )
        shown["time", gradient] = _draw_times(drawing, left, _of(timed, gradient),
                                              f"{name}, {gradient}")  # fmt: skip
        _draw_epochs(drawing, right, study, own, f"{name}, {gradient}", threshold)
    drawing.steps(drawing.axes["steps"], name, runs)
    for what in ("spikes", "time", "goal"):
        _share_limits([shown.get((what, g), drawing.axes.get(f"{what} {g}")) for g in GRADIENTS])
    for key, axes in drawing.axes.items():
        if key != "key":
            style.dt_axis(axes, dts, key in ("steps", "goal adjusted"))
    _draw_key(drawing)
    drawing.figure.suptitle(name, x=0.01, ha="left", fontsize=11)
    return drawing


def _of(rows, gradient):
    """Rows of a gradient; exact, whose gradients coincide, under either name."""
    exact = rows["method"] == b"exact"
    own = rows["gradient"] == gradient.encode()
    if not (own & exact).any():
        own |= exact
    return rows[own]


def _draw_times(drawing, axes, rows, panel):
    """Seconds of training an epoch on an axis of their own; a line of text where there are none."""
    if not len(rows):
        axes.text(0.03, 0.95, "no run was alone on its machine: no times", va="top", fontsize=7,
                  transform=axes.transAxes, color="#555555")  # fmt: skip
        return None
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    drawing.methods(right, panel, "training time (s an epoch)", rows,
                    statistics.seconds_per_epoch(rows), bands=False, linestyle="--", alpha=0.75,
                    markerfacecolor="none")  # fmt: skip
    right.set_ylabel("training time (s per epoch)")
    return right


def _draw_epochs(drawing, axes, study, rows, panel, threshold):
    """Epochs to the threshold; open triangles are lower bounds, for seeds that never reached it."""
    epochs, censored = statistics.reached(study, rows, threshold / 100.0)
    axes.set(title=f"{panel.split(', ')[-1]}: epochs to {threshold:g} %",
             ylabel="epochs to validation accuracy")  # fmt: skip
    if not np.isfinite(epochs).any():
        axes.text(0.03, 0.95, "never validated", va="top", transform=axes.transAxes)
        return
    quantity = f"epochs to {threshold:g} % on validation"
    drawing.methods(axes, panel, quantity, rows, epochs, bounds=censored, linestyle="-")
    end = study.curves["epoch"][np.isin(study.curves["run"], rows["id"])].max()
    axes.axhline(end, color="#999999", linewidth=0.8, linestyle=":")
    axes.text(1.0, 1.02 * end, "end of training", color="#777777", fontsize=7, ha="right",
              va="bottom", transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_ylim(0, 1.2 * end)


def _share_limits(axes):
    """The same limits on the axes of both gradients, so that they can be compared by eye."""
    axes = [one for one in axes if one is not None]
    limits = np.array([one.get_ylim() for one in axes])
    for one in axes:
        one.set_ylim(limits[:, 0].min(), limits[:, 1].max())


def _draw_key(drawing):
    """The legend, in the free corner of the mosaic."""
    axes = drawing.axes["key"]
    axes.axis("off")
    found = {}
    for key in ("spikes piggyback", "spikes adjusted", "steps"):
        for handle, name in zip(*drawing.axes[key].get_legend_handles_labels()):
            found.setdefault(name, handle)
    style_of = {
        "training time": {"linestyle": "--"},
        "at least: some seeds\nnever reached it": {"linestyle": "", "marker": "^", "markersize": 8,
                                                   "markerfacecolor": "white"},
    }  # fmt: skip
    for name, look in style_of.items():
        found[name] = axes.plot([], [], color="#444444", **look)[0]
    axes.legend(found.values(), found.keys(), loc="center", ncols=2, fontsize=7)


main = style.run(
    "figure4",
    "Draw what training costs over the grid step, piggyback above and adjusted below: hidden "
    "spike count (solid) and training time (dashed; of runs that were alone on their machine), "
    "and beside it the epochs until a validation accuracy was reached.",
    draw,
    [
        ("--dataset", {"metavar": "NAME",
                       "help": "data set of the runs (default: MNIST, else the first there is)"}),
        ("--threshold", {"type": options.positive(float), "default": 97.0, "metavar": "%",
                         "help": "validation accuracy to reach, in percent (default: 97)"}),
    ],
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(options.run("analysis.figure4", main))
