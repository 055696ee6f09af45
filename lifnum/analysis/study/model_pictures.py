"""Figures of the studies of models by equations, from the rows of their tables."""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import logarithmic, plain
from lifnum.analysis.study import nonlinear, regression
from lifnum.analysis.style import plt

# method -> (name in the legend, colour, marker)
LOOKS = {
    "euler": ("Euler", "#D55E00", "o"),
    "ps2": ("order 2", "#E69F00", "s"),
    "ps4": ("order 4", "#009E73", "^"),
    "ps8": ("order 8", "#0072B2", "D"),
    "rk4": ("rk4", "#CC79A7", "v"),
}


def nonlinear_figure(rows, path):
    """Accuracy over dt of each network: own scheme, and the same weights under the reference.

    Every run with `adjusted` is a point, lines go through medians; crosses are `piggyback`.
    """
    found = nonlinear.cells(rows)
    names = {"accuracy": "accuracy (%)", "reference_accuracy": "the same weights\nunder the "
             "reference (%)"}  # fmt: skip
    networks = [name for name in nonlinear.NETWORKS if any(cell.network == name for cell in found)]
    figure, axes = plt.subplots(2, len(networks), figsize=(style.WIDTH, 4.6), sharex=True,
                                sharey=True, squeeze=False)  # fmt: skip
    for column, network in enumerate(networks):
        for row, measure in enumerate(names):
            own = axes[row, column]
            for k, method in enumerate(LOOKS):
                _curve(own, found, network, method, measure, 1.06 ** (k - 2))
        axes[0, column].set_title(network)
        axes[1, column].set_xlabel("dt (ms)")
        logarithmic(axes[1, column], "x")
        steps = [1e3 * dt for dt in nonlinear.STEPS]
        axes[1, column].set_xticks(steps, [plain(dt) for dt in steps])
    for own, name in zip(axes[:, 0], names.values(), strict=True):
        own.set(ylabel=name, ylim=(-3, 103))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=6)
    style.save(figure, path)


def _curve(own, found, network, method, measure, shift):
    """Points and medians of one method on one network."""
    label, color, marker = LOOKS[method]
    medians = []
    for dt in nonlinear.STEPS:
        for gradient in ("adjusted", "piggyback"):
            cell = nonlinear.Cell(network, method, dt, gradient)
            points = nonlinear.values(found, cell, measure)
            place = 1e3 * dt * shift
            if gradient == "piggyback":
                own.scatter([place] * len(points), points, s=24, color=color, marker="x",
                            linewidth=0.8)  # fmt: skip
            elif len(points):
                own.scatter([place] * len(points), points, s=8, color=color, linewidth=0)
                medians.append((place, np.median(points)))
    own.plot(*np.array(medians).reshape(-1, 2).T, color=color, marker=marker, markersize=3,
             label=label)  # fmt: skip


def regression_figure(rows, path):
    """Error of each function over cost, a panel a population and function.

    Points are medians over seeds of a read-out fitted to the scheme's own responses; where the
    fit was to the reference's, thin dashed lines.
    """
    found = regression.cells(rows)
    neurons = [name for name in regression.POPULATIONS if any(c.neuron == name for c in found)]
    functions = list(regression.FUNCTIONS)
    size = style.WIDTH, 1.0 + 1.7 * len(functions)
    figure, axes = plt.subplots(len(functions), len(neurons), figsize=size, sharex="col",
                                sharey=True, squeeze=False)  # fmt: skip
    for column, neuron in enumerate(neurons):
        for row, function in enumerate(functions):
            own = axes[row, column]
            for method in dict.fromkeys(cell.method for cell in regression.schemes(neuron)):
                _costs(own, found, neuron, method, function)
            base = regression.values(found, regression.reference(neuron), f"own_{function}")
            if len(base):
                own.axhline(np.median(base), **style.EXACT)
            for which in "xy":
                logarithmic(own, which)
            own.tick_params(labelsize=6)
        axes[0, column].set_title(neuron)
        axes[-1, column].set_xlabel("s of a core")
    for own, function in zip(axes[:, 0], functions, strict=True):
        own.set(ylabel=f"{function}\nerror (rms)", ylim=(0.015, 4.0))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=6)
    style.save(figure, path)


def _costs(own, found, neuron, method, function):
    """Errors over seconds of one method."""
    label, color, marker = LOOKS[method]
    cells = [cell for cell in regression.schemes(neuron) if cell.method == method]
    cells = [cell for cell in cells if len(regression.values(found, cell, "spikes"))]
    for kind, look in (("own", {"marker": marker, "markersize": 3, "label": label}),
                       ("transfer", {"linestyle": "--", "linewidth": 0.6})):  # fmt: skip
        points = [(np.median(regression.values(found, cell, "seconds")),
                   np.median(regression.values(found, cell, f"{kind}_{function}")))
                  for cell in cells]  # fmt: skip
        points = [point for point in points if np.isfinite(point).all()]
        own.plot(*np.array(points).reshape(-1, 2).T, color=color, **look)
