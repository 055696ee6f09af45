"""The figure of the study of costs, from the rows of its table."""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import logarithmic
from lifnum.analysis.study.cost import MODELS, STAGES, STEPS, cells, over_turns
from lifnum.analysis.style import plt

_MARKS = dict(zip(STAGES, "xsP*", strict=True))

_NAMES = {"euler": "Euler", "exponential-euler": "exponential Euler"}

_ORDERS = (1, 2, 4, 8, 16, 32)


def draw(rows, path):
    """Cost over order, of `Neuron` and of models; and error over cost of the models."""
    parts = [part for part in MODELS if cells(rows, part)]
    figure, axes = plt.subplots(2, 1 + len(parts), figsize=(style.WIDTH, 5.2), squeeze=False)
    _of_lif(axes[0, 0], cells(rows, "step"))
    axes[1, 0].axis("off")
    for (top, bottom), part in zip(axes[:, 1:].T, parts, strict=True):
        found = cells(rows, part)
        _of_orders(top, found, MODELS[part])
        _trade_off(bottom, found, MODELS[part])
        top.set_title(part)
    handles = [pair for own in axes[1, 1:2] for pair in zip(*own.get_legend_handles_labels())]
    legend = axes[1, 0].legend(*zip(*handles), loc="center left", title="error over time, right")
    legend.set_in_layout(False)
    style.save(figure, path)


def _of_lif(axes, found):
    """Seconds of a step over those of order 1 in the same turn."""
    for dt, color in zip(STEPS, style.COLORS):
        orders = sorted(int(method[2:]) for method, own in found if method != "exact" and own == dt)
        ratios = [over_turns(found, (f"ps{order}", dt), other=("ps1", dt)) for order in orders]
        if not orders:
            continue
        axes.plot(orders, np.median(ratios, axis=1), color=color, label=f"dt {1e3 * dt:g} ms")
        axes.fill_between(orders, np.min(ratios, axis=1), np.max(ratios, axis=1), color=color,
                          alpha=0.2, linewidth=0)  # fmt: skip
    axes.set(xlabel="order", ylabel="time of a training step\nover order 1", ylim=(0, None))
    axes.set_title("Neuron, 784-800-10")
    axes.legend()


def _of_orders(axes, found, load):
    """Time of both passes of the series that do not overflow, and the square for the eye."""
    least = []
    for dt, color in zip(load.steps, style.COLORS):
        orders = [order for order in load.orders if (f"ps{order}", 1e-3 * dt) in found]
        times = [1e3 * np.median(over_turns(found, (f"ps{order}", 1e-3 * dt))) for order in orders]
        if np.isfinite(times).any():
            axes.plot(orders, times, color=color, marker="o", markersize=2, label=f"dt {dt:g} ms")
            least.append(np.nanmin(times))
    if least:
        x = np.array([8.0, 32.0])
        axes.plot(x, 0.6 * min(least) * (x / x[0]) ** 2, **style.EXACT, label="slope 2")
    for which in "xy":
        logarithmic(axes, which)
    axes.set(xlabel="order", ylabel="time of both passes (ms)")
    axes.set_ylim(top=8.0 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left", ncols=2, handlelength=1.0, columnspacing=0.8, fontsize=7)


def _trade_off(axes, found, load):
    """Median error of spike times over time: a line a method, a point a step."""
    steps = sorted({dt for _, dt in found})
    named = [(f"ps{order}", f"order {order}") for order in _ORDERS]
    named += [(name, _NAMES.get(name, name)) for name in STAGES]
    for k, (method, label) in enumerate(named):
        own = [(method, dt) for dt in steps if (method, dt) in found]
        if not own:
            continue
        time = [1e3 * np.median(over_turns(found, key)) for key in own]
        error = [max(over_turns(found, key, "median_error")[0], 1e-15) for key in own]
        if method in _MARKS:
            axes.plot(time, error, color="#666666", marker=_MARKS[method], linewidth=0.7,
                      label=label)  # fmt: skip
        else:
            color = plt.get_cmap("viridis")(k / len(_ORDERS))
            axes.plot(time, error, color=color, marker="o", label=label)
    for which in "xy":
        logarithmic(axes, which)
    axes.set(xlabel="time of both passes (ms)", ylabel="median error of\nspike times (ms)")
