"""The figures of the studies of single cells, from the rows of their tables."""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.study import de_alteriis_oddo, stewart_bair
from lifnum.analysis.study.stewart_bair import select
from lifnum.analysis.style import plt

# method -> (name in the legend, colour, marker)
_LOOKS = {
    "rk4": ("rk4", "#CC79A7", "p"),
    "ps": ("ps, tolerance", "#0072B2", "o"),
    "ps-absolute": ("ps, their rule", "#56B4E9", "+"),
    "DOP853": ("DOP853", "#009E73", "^"),
    "Bulirsch-Stoer": ("", "#E69F00", "D"),
    "euler": ("Euler", "#D55E00", "o"),
    "rk2": ("rk2", "#E69F00", "s"),
    "ps4": ("order 4", "#009E73", "^"),
    "ps8": ("order 8", "#0072B2", "v"),
}


_STORED = {"rk4": "stored in 2009", "Bulirsch-Stoer": "Bulirsch-Stoer, stored"}


def _column(rows, name):
    return np.array([float(row[name]) for row in rows])


def stewart_bair_figure(rows, path):
    """Error of v and of spike times over operations, and of v over seconds; stored numbers."""
    figure, axes = plt.subplots(2, 3, figsize=(style.WIDTH, 5.0), sharey="col", squeeze=False)
    for own, (name, cell) in zip(axes, stewart_bair.CELLS.items()):
        for current, dashes in zip(cell.currents, ("--", "-")):
            here = select(rows, cell=name, current=f"{current:g}")
            for method in ("rk4", "ps", "ps-absolute", "DOP853"):
                label, color, marker = _LOOKS[method]
                found = select(here, method=method)
                for axis, x, y in (
                    (own[0], _column(found, "operations"), "v_error"),
                    (own[1], _column(found, "operations"), "spike_error"),
                    (own[2], 1e6 * _column(found, "seconds"), "v_error"),
                ):
                    values = np.maximum(_column(found, y), 1e-14)
                    axis.plot(x, values, dashes, color=color, marker=marker, markersize=3,
                              linewidth=0.8, label=label if dashes == "-" else None)  # fmt: skip
        for one in stewart_bair.STORED:
            if one.cell == name:
                method = "ps" if one.method == "ps-absolute" else one.method
                own[2].plot(1e6 * one.seconds / cell.n_neurons, one.error, marker="*", markersize=8,
                            linestyle="none", color=_LOOKS[method][1],
                            label=_STORED.get(method))  # fmt: skip
        own[0].set_ylabel(f"{name}\nerror of v (mV)")
        own[1].set_ylabel("error of spike times (ms)")
        own[2].set_ylabel("error of v (mV)")
        for axis, unit in zip(own, ("operations", "operations", "us")):
            _log(axis)
            axis.set_xlabel(f"{unit}\na cell and second")
    _legend(figure, axes)
    style.save(figure, path)


def de_alteriis_oddo_figure(rows, path):
    """Delay over the count, its slope over dt, and the distance over operations."""
    kinds = de_alteriis_oddo.INTERPOLATIONS
    figure, axes = plt.subplots(2, 3, figsize=(style.WIDTH, 5.0), sharex="col", squeeze=False)
    here = select(rows, cell="regular-spiking", input="constant")
    for own, kind in zip(axes, kinds):
        for method in de_alteriis_oddo.NAMES:
            label, color, marker = _LOOKS[method]
            looks = {"color": color, "marker": marker, "markersize": 3, "linewidth": 0.8}
            found = select(here, method=method, interpolation=kind)
            own[0].plot(_column(found, "dt"), np.maximum(np.abs(_column(found, "slope")), 1e-15),
                        label=label, **looks)  # fmt: skip
            for axis, given in zip(own[1:], ("constant", "sine")):
                pooled = _pooled(select(rows, method=method, interpolation=kind, input=given))
                axis.plot(*pooled, **looks)
        own[0].set(ylabel=f"{'on the grid' if kind == 'none' else kind}\nslope of "
                   "the delay,\nregular-spiking (ms a spike)")  # fmt: skip
        _log(own[0])
        own[0].set(xticks=(0.01, 0.1, 1), xticklabels=("0.01", "0.1", "1"))
        for axis, given in zip(own[1:], ("constant", "sine")):
            _log(axis)
            axis.set_ylabel(f"distance a spike, {given}")
    axes[1, 0].set_xlabel("dt (ms)")
    for axis in axes[1, 1:]:
        axis.set_xlabel("operations\na cell and second")
    _legend(figure, axes)
    style.save(figure, path)


def _pooled(rows):
    """(operations, distance) at each step, geometric means over cells."""
    found = {}
    for row in rows:
        values = float(row["operations"]), max(float(row["distance_4000"]), 1e-15)
        found.setdefault(float(row["dt"]), []).append(values)
    logs = [np.log(found[dt]).mean(axis=0) for dt in sorted(found)]
    return np.exp(np.array(logs).reshape(-1, 2)).T


def _log(axis):
    """Logarithmic axes, where there is something to show on them."""
    if any(np.isfinite(line.get_ydata()).any() for line in axis.lines):
        axis.set(xscale="log", yscale="log")


def _legend(figure, axes):
    found = {}
    for own in axes.ravel():
        for handle, name in zip(*own.get_legend_handles_labels()):
            found.setdefault(name, handle)
    figure.legend(found.values(), found.keys(), loc="outside upper left", ncols=5)
