"""The figures of the studies in `designs`, from the rows of their tables."""

from functools import partial

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import difference_axis, logarithmic, plain
from lifnum.analysis.study import (
    cell_pictures,
    cost_picture,
    model_pictures,
    noise_picture,
    other_data,
    poster,
    spike_budget,
    surrogate_picture,
    time_constants,
)
from lifnum.analysis.study.statistics import interval
from lifnum.analysis.study.time_constants import RATIOS, THRESHOLDS, Cell, cells, differences
from lifnum.analysis.style import plt

# method -> (name in the legend, colour, marker)
_LOOKS = {
    "exact": ("exact", "#000000", "x"),
    "euler": ("Euler", "#D55E00", "o"),
    "ps2": ("order 2", "#E69F00", "s"),
    "ps3": ("order 3", "#009E73", "^"),
    "ps5": ("order 5", "#56B4E9", "D"),
    "backward-euler": ("backward Euler", "#0072B2", "v"),
    "exponential-euler": ("exponential Euler", "#CC79A7", "P"),
}

_DASHES = ("-", "--", ":")


def draw(name, rows, path):
    """Write the figure of a study to a path."""
    known = {
        "time-constants": _time_constants,
        "other-data": _other_data,
        "spike-budget": _spike_budget,
        "surrogate": surrogate_picture.draw,
        "stewart-bair": cell_pictures.stewart_bair_figure,
        "de-alteriis-oddo": cell_pictures.de_alteriis_oddo_figure,
        "gradient-noise": noise_picture.draw,
        "poster": _poster,
        "cost": cost_picture.draw,
        "nonlinear": model_pictures.nonlinear_figure,
        "regression": model_pictures.regression_figure,
    }
    known[name](rows, path)


def _time_constants(rows, path):
    places = {f"tau_s {1e3 * tau_s:g} ms": partial(Cell, tau_s) for tau_s in THRESHOLDS}
    _over_steps(cells(rows), places, time_constants.METHODS, path)


def _other_data(rows, path):
    found = other_data.cells(rows)
    run = [place for place in other_data.PLACES if any(cell.place == place for cell in found)]
    places = {place.title: partial(other_data.Cell, place) for place in run}
    methods = other_data.METHODS["yinyang"] | {"surrogate": other_data.ON_THE_GRID["surrogate"]}
    methods["adjusted"] += other_data.LATER
    _over_steps(found, places, methods, path)


def _over_steps(found, places, methods_of, path):
    """Accuracy less exact's over dt / tau_s: columns are places, rows gradients.

    places: {title: function that makes a cell}; methods_of: {kind of scheme: methods}. Every run is
    a point; medians are of cells with at least two seeds. Rows without runs are left out.
    """
    names = {"adjusted": "dense, adjusted", "piggyback": "dense, piggyback",
             "none": "on the grid, piggyback", "surrogate": "on the grid, surrogate"}  # fmt: skip
    kinds = [kind for kind in names if any(cell.ratio and _kind(cell) == kind for cell in found)]
    title_size = 10 if len(places) < 5 else 8
    figure, axes = plt.subplots(len(kinds), len(places), sharex=True,
                                figsize=(style.WIDTH, 1.2 + 2.0 * len(kinds)),
                                sharey="row", squeeze=False)  # fmt: skip
    for row, kind in enumerate(kinds):
        methods = {method + str(order or "") for method, order in methods_of[kind]}
        gradient = "piggyback" if kind == "none" else kind
        how = "none" if kind in ("none", "surrogate") else "dense", gradient
        for own, (title, cell) in zip(axes[row], places.items(), strict=True):
            reference = cell("exact", 0.0)
            for k, method in enumerate(name for name in _LOOKS if name in methods):
                label, color, marker = _LOOKS[method]
                values = [differences(found, cell(method, ratio, *how), reference)
                          for ratio in RATIOS]  # fmt: skip
                x = np.array(RATIOS) * 1.05 ** (k - (len(methods) - 1) / 2)
                for place, points in zip(x, values, strict=True):
                    own.scatter([place] * len(points), points, s=8, color=color, alpha=0.5,
                                linewidth=0)  # fmt: skip
                known = [(place, np.median(points)) for place, points in zip(x, values)
                         if len(points) > 1]  # fmt: skip
                if known:
                    own.plot(*np.array(known).T, color=color, marker=marker, label=label)
            if not own.lines:
                own.text(0.5, 0.75, "no runs", transform=own.transAxes, ha="center", fontsize=8)
            own.axhline(0.0, **style.EXACT)
            if row == 0:
                exact = interval([one["accuracy"] for one in found.get(reference, {}).values()])
                own.set_title(f"{title}\nexact {exact.text(form='.1f')} %", fontsize=title_size)
        difference_axis(axes[row, 0], f"{names[kind]}\naccuracy less exact's (points)")
    for own in axes[-1]:
        logarithmic(own, "x")
        own.set_xticks(RATIOS, [plain(ratio) for ratio in RATIOS], fontsize=title_size - 1)
        own.set_xlabel("dt / tau_s")
    _legend(figure, axes)
    style.save(figure, path)


def _kind(cell):
    """Which row of the figure a cell is of."""
    on_grid = cell.interpolation == "none" and cell.gradient == "piggyback"
    return "none" if on_grid else cell.gradient


def _spike_budget(rows, path):
    """Loss over dt, in units of duration / target; the longest step; loss under other rules."""
    made = spike_budget.series(rows)
    figure, axes = plt.subplot_mosaic("lr;oo", figsize=(style.WIDTH, 6.2))
    left, right = axes["l"], axes["r"]
    for color, (target, _) in zip(style.COLORS, spike_budget.TARGETS):
        for dashes, duration in zip(_DASHES, spike_budget.THRESHOLDS):
            own = [one for one in made if (one.target, one.duration) == (target, duration)]
            if not own:
                continue
            dt = own[0].dt
            same = [one.loss for one in own if len(one.dt) == len(dt)]
            label = f"target {target}, {duration:g} s"
            left.plot(dt * target / duration, np.median(same, axis=0), color=color,
                      linestyle=dashes, label=label)  # fmt: skip
            longest = 1e3 * np.array([one.longest for one in own])
            budget = 1e3 * duration / target
            marker = "os^"[_DASHES.index(dashes)]
            right.scatter([budget] * len(own), longest, s=12, color=color, marker=marker,
                          linewidth=0, alpha=0.6)  # fmt: skip
    left.axhline(spike_budget.LOSS, **style.EXACT)
    left.set(xlabel="dt target / duration", ylim=(-10, 100),
             ylabel="accuracy lost against exact\nwithout a grid (points), median")  # fmt: skip
    fits = spike_budget.law(made)
    if fits.exponent.n:
        x = np.array([3.5, 90.0])
        right.plot(x, x / fits.steps.mean, **style.EXACT)
        right.set_title(f"exponent {fits.exponent.text()}\nline: {fits.steps.text()} steps a spike")
    for which in "xy":
        logarithmic(right, which)
    right.set(xlabel="duration / target (ms)", ylabel="longest step (ms)")
    _limited(rows, axes["o"])
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    style.save(figure, path)


def _limited(rows, axes):
    """Loss over dt under other rules for spikes of a step: medians, and all runs as points."""
    target, _, duration = spike_budget.LIMITED_CELL
    names = {"none": "grid, again at the next step", "none several": "grid, several at once",
             "none lose": "grid, silent until below", "dense 1": "dense, one a step"}  # fmt: skip
    for name, color, marker in zip(names, style.COLORS, "osD^", strict=False):
        own = [one for one in spike_budget.series(rows, name)
               if (one.target, one.duration) == (target, duration)]  # fmt: skip
        for one in own:
            axes.scatter(1e3 * one.dt, one.loss, s=8, color=color, alpha=0.5, linewidth=0)
        if own:
            axes.plot(1e3 * own[0].dt, np.median([one.loss for one in own], axis=0), color=color,
                      marker=marker, label=names[name])  # fmt: skip
    axes.axhline(spike_budget.LOSS, **style.EXACT)
    axes.set(xlabel="dt (ms)", ylabel="accuracy lost (points)",
             title=f"target {target}, {duration:g} s: what a neuron does that is above its "
             "threshold again")  # fmt: skip
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


def _poster(rows, path):
    """Accuracy and hidden spikes less exact's, of every scheme and seed; rows are data sets."""
    found = poster.cells(rows)
    names = [name for name in dict.fromkeys(cell.dataset for cell in found)
             if any(cell.dataset == name and cell.dt for cell in found)]  # fmt: skip
    figure, axes = plt.subplots(len(names) or 1, 2, figsize=(style.WIDTH, 1.0 + 2.0 * len(names)),
                                squeeze=False)  # fmt: skip
    for own, dataset in zip(axes, names):
        exact = poster.Cell(dataset, "exact", 0.0)
        cells_ = sorted(cell for cell in found if cell.dataset == dataset and cell.dt)
        ticks = [f"{_LOOKS[cell.method][0]}\n{1e3 * cell.dt:g} ms" for cell in cells_]
        ticks = [tick + "\nchords" * (cell.interpolation == "linear")
                 for tick, cell in zip(ticks, cells_)]  # fmt: skip
        for which, measure in zip(own, ("accuracy", "hidden_spikes")):
            for x, cell in enumerate(cells_):
                values = poster.differences(found, cell, exact, measure)
                _, color, marker = _LOOKS[cell.method]
                which.scatter([x] * len(values), values, s=10, color=color, alpha=0.5, linewidth=0)
                if len(values) > 1:
                    mean = interval(values)
                    which.errorbar(x + 0.2, mean.mean, mean.half, color=color, marker=marker,
                                   capsize=2)  # fmt: skip
            which.axhline(0.0, **style.EXACT)
            which.set_xticks(range(len(cells_)), ticks, fontsize=7)
            which.set_xlim(-0.6, len(cells_) - 0.2)
        accuracy = interval([one["accuracy"] for one in found.get(exact, {}).values()])
        own[0].set_title(f"{dataset}: exact {accuracy.text()} %")
        difference_axis(own[0], "accuracy less exact's (points)")
        own[1].set_ylabel("hidden spikes less exact's (%)")
    style.save(figure, path)


def _legend(figure, axes):
    """One legend above, of everything labelled on the axes."""
    found = {}
    for own in axes.ravel():
        for handle, name in zip(*own.get_legend_handles_labels()):
            found.setdefault(name, handle)
    figure.legend(found.values(), found.keys(), loc="outside upper left", ncols=4)
