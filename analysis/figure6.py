"""python -m analysis.figure6: the ablation: interpolation none, linear, dense by order and dt."""

import sys

import numpy as np

from analysis import results, statistics, style
from lifnum import options

INTERPOLATIONS = ("none", "linear", "dense")

# dt (ms) and test accuracy (%) of exactly solved networks whose spikes were rounded up to a grid,
# MNIST, 800 hidden, trained for 10 epochs, n = 5:
# github.com/alexcojocaru2002/bats-time-discretization
ROUNDED = ((0.5, 1, 2, 4, 7, 8), (98.25, 98.19, 98.20, 98.22, 98.18, 57.5))

ROUNDED_NAME = "published, rounded to the grid"

SOURCE = (
    "published: exact solution with spikes rounded up to the grid, MNIST, 800 hidden neurons, 10 "
    "epochs, n = 5;\ngithub.com/alexcojocaru2002/bats-time-discretization. Grey: its cliff, 7 to "
    "8 ms"
)


def draw(study, dataset=None):
    """The figure: after transfer above, after training below, a column an interpolation."""
    names = {row["dataset"].decode() for row in study.runs} | {
        row["dataset"].decode() for row in study.transfer
    }
    name = dataset or min(names, key=style.dataset_order)
    transfer = statistics.select(study.transfer, study=0, trained=name, dataset=name)
    runs = statistics.select(study.runs, study=0, dataset=name)
    runs = runs[(runs["gradient"] == b"adjusted") | (runs["interpolation"] == b"none")]
    tables = {"after transfer": (transfer, "accuracy"), "after training": (runs, "test_accuracy")}
    tables = {title: table for title, table in tables.items() if np.isfinite(table[0]["dt"]).any()}
    if not tables:
        raise results.NoData(f"no run on, and no transfer to, {name} with a grid")
    drawing = style.Drawing((len(tables) + 1, 3), (style.WIDTH, 2.0 + 2.3 * len(tables)),
                            height_ratios=(*[3] * len(tables), 1.4), sharex=True)  # fmt: skip
    everything = np.concatenate([statistics.steps(rows) for rows, _ in tables.values()])
    dts = np.unique(np.append(everything, 1e-3 * np.array(ROUNDED[0])))
    for column, interpolation in enumerate(INTERPOLATIONS):
        for k, (title, (rows, values)) in enumerate(tables.items()):
            axes = drawing.axes[k, column]
            own = statistics.interpolated(rows, interpolation)
            panel = f"{style.dataset(name)}, {title}, {interpolation}"
            drawing.methods(axes, panel, "test accuracy (%)", own, own[values], 100.0)
            if not np.isfinite(own["dt"]).any():
                axes.text(0.5, 0.1, "no runs", ha="center", transform=axes.transAxes, fontsize=7)
            axes.plot(*ROUNDED, color="#888888", linestyle=":", linewidth=1.8, marker=".",
                      label=ROUNDED_NAME, zorder=1)  # fmt: skip
            axes.axvspan(7, 8, color="#888888", alpha=0.12, linewidth=0)
            axes.set_title(f"{interpolation}, {title}")
            style.accuracy_axis(axes, "test accuracy (%)" if column == 0 else "")
            if column:
                axes.sharey(drawing.axes[k, 0])
                axes.tick_params(labelleft=False)
        steps = drawing.axes[-1, column]
        drawing.steps(steps, f"{style.dataset(name)}, {interpolation}", _with_steps(
            [statistics.select(rows, interpolation=interpolation) for rows, _ in tables.values()]
        ))  # fmt: skip
        if column:
            steps.set_ylabel("")
        if column < 2:
            for right in steps.child_axes:
                right.set_ylabel("")
        for axes in drawing.axes[:, column]:
            style.dt_axis(axes, dts, axes is steps)
    drawing.legend()
    drawing.figure.supxlabel(SOURCE, fontsize=7, x=0.01, ha="left")
    return drawing


def _with_steps(tables):
    """What `Drawing.steps` needs of several tables, in one."""
    names = ["seed", "dt", "layers", "duration", "steps", "step_length"]
    return np.concatenate([np.array(rows[names], rows[names].dtype) for rows in tables])


main = style.run(
    "figure6",
    "Draw the ablation of interpolation against integration: test accuracy over the grid step "
    "for spikes on the grid, on chords and on the dense output, after transfer and after training "
    "(adjusted gradients; piggyback without interpolation), beside the published cliff of rounded "
    "spike times.",
    draw,
    [("--dataset", {"metavar": "NAME",
                    "help": "data set (default: MNIST, else the first there is)"})],
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(options.run("analysis.figure6", main))
