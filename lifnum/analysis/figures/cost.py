"""Cost of training.

Over the grid step, a column a gradient: hidden spikes of the trained networks, the epochs until a
validation accuracy was reached (open triangles are lower bounds: some seeds never did) and the
training time, of schemes that more than one seed ran alone on the machine.
"""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import dt_axis
from lifnum.analysis.figures.drawing import Drawing
from lifnum.analysis.options import percent
from lifnum.analysis.study import results, statistics

GRADIENTS = ("piggyback", "adjusted")

OPTIONS = (
    ("--dataset", {"metavar": "NAME",
                   "help": "data set of the runs (default: MNIST, else the first there is)"}),
    ("--threshold", {"type": percent, "default": 97.0, "metavar": "%",
                     "help": "validation accuracy to reach, in percent (default: 97)"}),
)  # fmt: skip


def datasets(study):
    return style.datasets(study.runs)


def draw(study, dataset=None, threshold=97.0):
    """Spikes, epochs to the threshold (%), times and sub-intervals; a column a gradient."""
    dataset = results.chosen(dataset, datasets(study), "run")
    runs = statistics.interpolated(statistics.select(study.runs, dataset=dataset, study=0), "dense")
    if not np.isfinite(runs["dt"]).any():
        raise results.NoData(f"no run on {dataset} with a grid and interpolation dense")
    timed = statistics.interpolated(statistics.alone(study.runs, dataset), "dense")
    repeated = len(np.unique(timed["seed"])) > 1
    kinds = ["spikes", "goal", *["time"] * repeated, "steps"]
    layout = [[f"{kind} {gradient}" for gradient in GRADIENTS] for kind in kinds]
    heights = [1.3 if kind == "steps" else 3 for kind in kinds]
    drawing = Drawing(layout, (style.WIDTH, 0.9 + 0.75 * sum(heights)), height_ratios=heights)
    name = f"{style.dataset(dataset)}, {statistics.epochs(runs)}"
    for gradient in GRADIENTS:
        spikes, goal, *time, steps = (drawing.axes[f"{kind} {gradient}"] for kind in kinds)
        panel = f"{name}, {gradient}"
        own = statistics.of_gradient(runs, gradient)
        values = statistics.hidden(own, "test_spikes")
        drawing.methods(spikes, panel, "hidden spikes a sample", own, values)
        spikes.set_title(panel)
        _draw_epochs(drawing, goal, study, own, panel, threshold)
        for axes in time:
            of = statistics.of_gradient(timed, gradient)
            seconds = statistics.seconds_per_epoch(of)
            drawing.methods(axes, panel, "training time (s an epoch)", of, seconds, least=2)
        drawing.steps(steps, panel, own)
    labels = ["hidden spikes\nper sample", f"epochs to {threshold:g} %\non validation"]
    labels += ["training time\n(s per epoch)"] * repeated
    for kind, label in zip(kinds, labels):
        drawing.axes[f"{kind} piggyback"].set_ylabel(label)
    for kind in kinds:
        _share_limits([drawing.axes[f"{kind} {gradient}"] for gradient in GRADIENTS])
        for gradient in GRADIENTS:
            dt_axis(drawing.axes[f"{kind} {gradient}"], statistics.steps(runs), kind == "steps")
    mark = {"linestyle": "", "marker": "^", "markersize": 8, "markerfacecolor": "white"}
    goal.plot([], [], color="#444444", label="lower bound", **mark)
    drawing.legend()
    return drawing


def _draw_epochs(drawing, axes, study, rows, panel, threshold):
    """Epochs to the threshold; open triangles are lower bounds, for seeds that never reached it."""
    epochs, censored = statistics.reached(study, rows, threshold / 100.0)
    if not np.isfinite(epochs).any():
        axes.text(0.03, 0.95, "never validated", va="top", transform=axes.transAxes)
        return
    quantity = f"epochs to {threshold:g} % on validation"
    drawing.methods(axes, panel, quantity, rows, epochs, bounds=censored)
    end = study.curves["epoch"][np.isin(study.curves["run"], rows["id"])].max()
    axes.axhline(end, color="#999999", linewidth=0.8, linestyle=":")
    axes.text(1.0, 1.02 * end, "end of training", color="#777777", fontsize=7, ha="right",
              va="bottom", transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_ylim(0, 1.2 * end)


def _share_limits(axes):
    """The same limits on the axes of both gradients, so that they can be compared by eye."""
    limits = np.array([one.get_ylim() for one in axes])
    for one in axes:
        one.set_ylim(limits[:, 0].min(), limits[:, 1].max())
