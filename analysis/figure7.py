"""python -m analysis.figure7: how far adjusted and piggyback gradients are from the exact one."""

import sys

import numpy as np

from analysis import results, statistics, style
from lifnum import options

WEIGHTS = {"initial": "at initialisation", "last": "after training"}

# column -> (axis label, gradients)
QUANTITIES = {
    "cosine_exact": ("cosine with\nexact", ("adjusted", "piggyback")),
    "norm_exact": ("norm / norm\nof exact", ("adjusted", "piggyback")),
    "cosine_adjusted": ("cosine with\nadjusted", ("piggyback",)),
    "norm_adjusted": ("norm / norm\nof adjusted", ("piggyback",)),
}

LINES = {
    "adjusted": {"linestyle": "-"},
    "piggyback": {"linestyle": "--", "markerfacecolor": "none"},
}


def draw(study, dataset=None, interpolation="dense"):
    """The figure: a row a quantity, a column a layer, at initialisation and after training."""
    rows = statistics.select(study.gradients, study=0, interpolation=interpolation)
    rows = rows[np.isfinite(rows["dt"])]
    names = {name.decode() for name in rows["dataset"]}
    if not names or dataset not in {None, *names}:
        raise results.NoData(
            f"no transfer file with gradients (lifnum.evaluate --gradients) for interpolation "
            f"{interpolation}{f' on {dataset}' if dataset else ''}"
        )
    name = dataset or min(names, key=style.dataset_order)
    rows = statistics.select(rows, dataset=name)
    n_layers = int(rows["layers"].max())
    cases = [(weights, layer) for weights in WEIGHTS for layer in range(n_layers)
             if (rows["weights"] == weights.encode()).any()]  # fmt: skip
    drawing = style.Drawing((len(QUANTITIES), len(cases)), (style.WIDTH, 7.6), sharex=True,
                            sharey="row")  # fmt: skip
    for column, (weights, layer) in enumerate(cases):
        place = f"layer {layer + 1}, {WEIGHTS[weights]}"
        for row, (quantity, (title, gradients)) in enumerate(QUANTITIES.items()):
            axes = drawing.axes[row, column]
            for gradient in gradients:
                own = statistics.select(rows, weights=weights, gradient=gradient)
                drawing.methods(axes, f"{style.dataset(name)}, {place}",
                                f"{gradient}: {' '.join(title.split())}", own,
                                own[quantity][:, layer], **LINES[gradient])  # fmt: skip
            if quantity.startswith("cosine"):
                style.near_top_axis(axes, 1.0, 1e-6, (0, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1))
            else:
                axes.axhline(1.0, color="#999999", linewidth=0.8, zorder=0)
                positive = rows[quantity][rows[quantity] > 0]
                if positive.max(initial=1.0) > 20 * positive.min(initial=1.0):
                    axes.set_yscale("log")
            axes.set_ylabel("" if column else title)
            style.dt_axis(axes, statistics.steps(rows), row == len(QUANTITIES) - 1)
        drawing.axes[0, column].set_title(place.replace(", ", "\n"))
    for gradient, line in LINES.items():
        drawing.axes[0, 0].plot([], [], color="#444444", label=gradient, **line)
    drawing.legend()
    return drawing


main = style.run(
    "figure7",
    "Draw cosine and relative norm of adjusted and piggyback gradients against the gradient of "
    "the exact solution and against each other, per layer, order and grid step, at "
    "initialisation and after training.",
    draw,
    [
        ("--dataset", {"metavar": "NAME",
                       "help": "data set (default: MNIST, else the first there is)"}),
        ("--interpolation", {"choices": ["none", "linear", "dense"], "default": "dense",
                             "help": "spike times of the schemes drawn (default: dense)"}),
    ],
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(options.run("analysis.figure7", main))
