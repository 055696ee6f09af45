"""Interpolation against integration.

Test error over the grid step for spikes on the grid (none), on chords (linear) and on the dense
output, after transfer and after training (adjusted gradients; piggyback without interpolation).
Below, for MNIST, the published cliff of an exact solution whose spikes are rounded up to the grid,
after 10 epochs, beside runs of exact without interpolation of as many epochs.
"""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import dt_axis, error_axis, plain
from lifnum.analysis.figures.drawing import Drawing
from lifnum.analysis.study import results, statistics

INTERPOLATIONS = ("none", "linear", "dense")

# dt (ms) and test accuracy (%) of exactly solved networks whose spikes were rounded up to a grid:
# github.com/alexcojocaru2002/bats-time-discretization
ROUNDED = ((0.5, 1, 2, 4, 7, 8), (98.25, 98.19, 98.20, 98.22, 98.18, 57.5))

ROUNDED_EPOCHS = 10

ROUNDED_NAME = "published, rounded to the grid"

SOURCE = (
    "published: exact solution, spikes rounded up\nto the grid, 800 hidden neurons, n = 5;\n"
    "github.com/alexcojocaru2002/\nbats-time-discretization"
)

OPTIONS = (
    ("--dataset", {"metavar": "NAME",
                   "help": "data set (default: MNIST, else the first there is)"}),
)  # fmt: skip


def datasets(study):
    return style.datasets(study.runs, study.transfer)


def draw(study, dataset=None):
    """After transfer above, after training below, a column an interpolation; the cliff."""
    name = results.chosen(dataset, datasets(study), "run or transfer")
    transfer = statistics.select(study.transfer, study=0, trained=name, dataset=name)
    runs = statistics.select(study.runs, study=0, dataset=name)
    runs = runs[(runs["gradient"] == b"adjusted") | (runs["interpolation"] == b"none")]
    tables = {"after transfer": (transfer, "accuracy")}
    for epoch in np.unique(runs["epoch"]):
        own = runs[runs["epoch"] == epoch]
        tables[f"after {statistics.epochs(own)}"] = own, "test_accuracy"
    tables = {title: table for title, table in tables.items() if np.isfinite(table[0]["dt"]).any()}
    if not tables:
        raise results.NoData(f"no run on, and no transfer to, {name} with a grid")
    layout = [[f"{title} {how}" for how in INTERPOLATIONS] for title in (*tables, "steps")]
    heights = [*[3] * len(tables), 1.4]
    if name == "mnist":
        layout.append(["cliff", "cliff", "source"])
        heights.append(2.6)
    size = style.WIDTH, 0.9 + 0.72 * sum(heights)
    drawing = Drawing(layout, size, height_ratios=heights)
    dts = np.unique(np.concatenate([statistics.steps(rows) for rows, _ in tables.values()]))
    for how in INTERPOLATIONS:
        for title, (rows, values) in tables.items():
            axes = drawing.axes[f"{title} {how}"]
            own = statistics.interpolated(rows, how)
            panel = f"{style.dataset(name)}, {title}, {how}"
            drawing.methods(axes, panel, "test error (%)", own, 100 * (1 - own[values]))
            if not np.isfinite(own["dt"]).any():
                axes.text(0.5, 0.1, "no runs", ha="center", transform=axes.transAxes, fontsize=7)
            axes.set_title(f"{how}, {title}")
            error_axis(axes, "test error (%)" if how == "none" else "")
            axes.sharey(drawing.axes[f"{title} none"])
            dt_axis(axes, dts, name=False)
        of_how = [statistics.select(rows, interpolation=how) for rows, _ in tables.values()]
        _draw_steps(drawing, how, f"{style.dataset(name)}, {how}", of_how)
        dt_axis(drawing.axes[f"steps {how}"], dts)
    if name == "mnist":
        _draw_cliff(drawing, statistics.select(study.runs, dataset=name, epoch=ROUNDED_EPOCHS))
    drawing.legend(style.dataset(name))
    return drawing


def _draw_steps(drawing, how, panel, tables):
    """Sub-intervals of all tables in one panel; axis labels at the outer ends only."""
    names = ["seed", "dt", "layers", "duration", "steps", "step_length"]
    axes = drawing.axes[f"steps {how}"]
    drawing.steps(axes, panel, np.concatenate([rows[names].copy() for rows in tables]))
    if how != INTERPOLATIONS[0]:
        axes.set_ylabel("")
    if how != INTERPOLATIONS[-1]:
        for right in axes.child_axes:
            right.set_ylabel("")


def _draw_cliff(drawing, runs):
    """The published points, and runs of exact on the grid that trained for as many epochs."""
    axes = drawing.axes["cliff"]
    panel = f"MNIST, after {ROUNDED_EPOCHS} epochs"
    own = runs[(runs["method"] == b"exact") & (runs["interpolation"] == b"none")]
    points = statistics.over_dt(own, 100 * (1 - own["test_accuracy"]))
    drawing.curve(axes, panel, "test error (%)", ("exact", 0), points, markersize=6)
    dt, accuracy = np.array(ROUNDED)
    line = {"linestyle": ":", "linewidth": 1.8, "marker": ".", "markersize": 7}
    axes.plot(dt, 100 - accuracy, color="#888888", label=ROUNDED_NAME, zorder=1, **line)
    for one, error in zip(dt, 100 - accuracy):
        drawing.note(panel, "test error (%)", ROUNDED_NAME, 1e-3 * one, error)
    error_axis(axes)
    axes.set_ylim(top=100)
    axes.set_title(f"none, {panel.split(', ')[1]}" + "; no such runs" * (not len(own)))
    axes.set(xlabel="grid step dt (ms)", xticks=np.unique([*dt, *1e3 * statistics.steps(own)]))
    axes.xaxis.set_major_formatter(plain)
    axes = drawing.axes["source"]
    axes.axis("off")
    axes.text(0, 0.5, SOURCE, fontsize=7, va="center", transform=axes.transAxes)
