"""Noise of the gradients.

Distance in direction (one minus the cosine) and relative norm of adjusted and piggyback gradients
against those of the exact solution, and of piggyback against adjusted ones, per layer, at
initialisation and after training. Points are seeds, lines go through their medians.
"""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import dt_axis, logarithmic
from lifnum.analysis.figures.drawing import Drawing
from lifnum.analysis.study import results, statistics
from lifnum.methods.interpolation import INTERPOLATIONS

WEIGHTS = {"initial": "at initialisation", "last": "after training"}

# column -> (axis label, gradients)
QUANTITIES = {
    "cosine_exact": ("1 - cosine\nwith exact", ("adjusted", "piggyback")),
    "norm_exact": ("norm / norm\nof exact", ("adjusted", "piggyback")),
    "cosine_adjusted": ("1 - cosine\nwith adjusted", ("piggyback",)),
    "norm_adjusted": ("norm / norm\nof adjusted", ("piggyback",)),
}

LINES = {
    "adjusted": {"linestyle": "-"},
    "piggyback": {"linestyle": "--", "markerfacecolor": "none"},
}

FLOOR = 1e-12  # what is nearer to a cosine of one is rounding

OPTIONS = (
    ("--dataset", {"metavar": "NAME",
                   "help": "data set (default: MNIST, else the first there is)"}),
    ("--interpolation", {"choices": list(INTERPOLATIONS), "default": "dense",
                         "help": "spike times of the schemes drawn (default: dense)"}),
)  # fmt: skip


def datasets(study):
    return style.datasets(study.gradients)


def draw(study, dataset=None, interpolation="dense"):
    """A row a quantity, a column a layer, at initialisation and after training."""
    rows = statistics.select(study.gradients, study=0, interpolation=interpolation)
    rows = rows[np.isfinite(rows["dt"])]
    kind = f"transfer file with gradients (lifnum.evaluate --gradients) for {interpolation}"
    name = results.chosen(dataset, style.datasets(rows), kind)
    rows = statistics.select(rows, dataset=name)
    layers = range(int(rows["layers"].max()))
    used = [weights for weights in WEIGHTS if (rows["weights"] == weights.encode()).any()]
    cases = [(weights, layer) for weights in used for layer in layers]
    drawing = Drawing((len(QUANTITIES), len(cases)), (style.WIDTH, 8.0), sharex=True,
                      sharey="row")  # fmt: skip
    for column, (weights, layer) in enumerate(cases):
        place = f"layer {layer + 1}, {WEIGHTS[weights]}"
        of = statistics.select(rows, weights=weights)
        for row, quantity in enumerate(QUANTITIES):
            axes = drawing.axes[row, column]
            _panel(drawing, axes, f"{style.dataset(name)}, {place}", of, quantity, layer)
            axes.set_ylabel("" if column else QUANTITIES[quantity][0])
            dt_axis(axes, statistics.steps(rows), row == len(QUANTITIES) - 1)
        drawing.axes[0, column].set_title(place.replace(", ", "\n"))
    for gradient, line in LINES.items():
        drawing.axes[0, 0].plot([], [], color="#444444", label=gradient, **line)
    title = f"{style.dataset(name)}, interpolation {interpolation}; distances below {FLOOR:g}"
    drawing.legend(f"{title} are drawn there")
    return drawing


def _panel(drawing, axes, panel, rows, quantity, layer):
    """One quantity of one layer: every method and gradient."""
    title, kinds = QUANTITIES[quantity]
    for gradient in kinds:
        own = statistics.select(rows, gradient=gradient)
        values = own[quantity][:, layer]
        if quantity.startswith("cosine"):
            values = np.maximum(1.0 - values, FLOOR)
        methods = statistics.methods(own)
        for k, method in enumerate(methods):
            at = (own["method"] == method[0].encode()) & (own["order"] == method[1])
            series = method, own[at], values[at], (k, len(methods))
            what = f"{gradient}: {' '.join(title.split())}"
            drawing.medians(axes, panel, what, *series, **LINES[gradient])
    logarithmic(axes, most=4)
    if quantity.startswith("norm"):
        axes.axhline(1.0, color="#999999", linewidth=0.8, zorder=0)
