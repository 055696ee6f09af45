"""A figure that keeps the numbers it shows, for the tables of the report."""

from typing import NamedTuple

import numpy as np

from lifnum.analysis.axes import round_ticks
from lifnum.analysis.study import statistics
from lifnum.analysis.style import EXACT, label, look, plt


class Number(NamedTuple):
    """One point of a figure: a mean over n seeds and half its 95 % interval, in `quantity`'s unit.

    dt is in milliseconds, NaN without a grid.
    """

    panel: str
    quantity: str
    scheme: str
    dt: float
    mean: float
    half: float
    n: int


def dodge(dt, k, n):
    """dt of the k-th of n series, moved a little so that their intervals do not overlap."""
    return np.asarray(dt) * 1.03 ** (k - (n - 1) / 2)


def _look(method):
    """Options of a line: of a method and order, or of a mean over several, which has a name."""
    if isinstance(method, str):
        return {"color": "#000000", "marker": "o", "label": method}
    color, marker = look(*method)
    exact = EXACT if method[0] == "exact" else {}
    return {"color": color, "marker": marker, "label": label(*method)} | exact


class Drawing:
    """A figure with its axes (2-D array, or those of a mosaic by name) and the numbers in it."""

    def __init__(self, layout, size, **options):
        if isinstance(layout, list):
            self.figure, self.axes = plt.subplot_mosaic(layout, figsize=size, **options)
        else:
            self.figure, self.axes = plt.subplots(*layout, figsize=size, squeeze=False, **options)
        self.numbers = []

    def note(self, panel, quantity, scheme, dt, value):
        """Keep a number that the figure shows, or an Interval; dt in seconds."""
        if not isinstance(value, tuple):
            value = statistics.Interval(float(value), np.nan, 1)
        self.numbers.append(Number(panel, quantity, scheme, 1e3 * dt, *value))

    def curve(self, axes, panel, quantity, method, points, place=(0, 1), **line):
        """Draw [(dt, Interval)] as a line with intervals, and keep it.

        Parameters
        ----------
        panel, quantity : str
            What the numbers are, with the unit.
        method : (str, int) or str
            Method and order, or a name for a mean over several.
        place : (int, int)
            Which of how many series on these axes.
        line : dict
            For Axes.plot.
        """
        points = [(dt, value) for dt, value in points if value.n]
        line = _look(method) | line
        for dt, value in points:
            self.note(panel, quantity, _look(method)["label"], dt, value)
        if not points:
            return
        x = dodge([1e3 * dt for dt, _ in points], *place)
        means, halves, _ = np.array([value for _, value in points]).T
        axes.plot(x, means, **line)
        known = np.isfinite(halves)
        bars = {"fmt": "none", "ecolor": line["color"], "elinewidth": 0.9, "alpha": 0.7}
        axes.errorbar(x[known], means[known], halves[known], **bars)

    def reference(self, axes, panel, quantity, value, name="exact", **line):
        """Draw an Interval that has no dt across the axes, its interval shaded, and keep it."""
        if not value.n:
            return
        self.note(panel, quantity, name, np.nan, value)
        axes.axhline(value.mean, **(EXACT | {"label": name} | line))
        if np.isfinite(value.half):
            ends = value.mean - value.half, value.mean + value.half
            axes.axhspan(*ends, color="#000000", alpha=0.08, linewidth=0)

    def methods(self, axes, panel, quantity, rows, values, bounds=None, least=1, **line):
        """Every method of the rows over dt as a curve; those without a grid as a reference.

        `values` has one entry a row, and so has `bounds` (bool): values that are lower bounds.
        Means over such get an open triangle in place of an interval. Points of fewer than `least`
        seeds are left out.
        """
        methods = statistics.methods(rows)
        for k, method in enumerate(methods):
            own = (rows["method"] == method[0].encode()) & (rows["order"] == method[1])
            points = statistics.over_dt(rows[own], values[own])
            points.append((np.nan, statistics.interval(values[own & np.isnan(rows["dt"])])))
            points = [(dt, value) for dt, value in points if value.n >= least]
            place = (k, len(methods))
            if bounds is not None:
                of = method, rows[own], bounds[own], place
                points = self._bounded(axes, panel, quantity, points, *of)
            gridded = [point for point in points if np.isfinite(point[0])]
            self.curve(axes, panel, quantity, method, gridded, place, **line)
            for _, value in points[len(gridded) :]:
                self.reference(axes, panel, quantity, value, label(*method))

    def _bounded(self, axes, panel, quantity, points, method, rows, bounds, place):
        """The points, those with lower bounds marked, without their interval and kept as such."""
        result, marked = [], []
        quantity += ", share of seeds that never did"
        for dt, value in points:
            at = np.isnan(rows["dt"]) if np.isnan(dt) else rows["dt"] == dt
            if bounds[at].any():
                value = value._replace(half=np.nan)
                share = statistics.Interval(float(bounds[at].mean()), np.nan, value.n)
                self.note(panel, quantity, label(*method), dt, share)
                marked.append((dt, value.mean))
            result.append((dt, value))
        hollow = {"color": look(*method)[0], "markerfacecolor": "white", "markersize": 8}
        for dt, mean in marked:
            x = {} if np.isfinite(dt) else {"transform": axes.get_yaxis_transform()}  # at the edge
            at = 0.0 if x else dodge(1e3 * dt, *place)
            axes.plot([at], [mean], "^", zorder=4, clip_on=False, **hollow, **x)
        return result

    def medians(self, axes, panel, quantity, method, rows, values, place=(0, 1), **line):
        """A method over dt: every row a point, the median of each dt in a line, which is kept."""
        line = _look(method) | line
        middles = []
        for dt in statistics.steps(rows):
            own = values[(rows["dt"] == dt) & np.isfinite(values)]
            if len(own):
                middles.append((dt, np.median(own)))
                value = statistics.Interval(float(middles[-1][1]), np.nan, len(own))
                self.note(panel, f"{quantity}, median", line["label"], dt, value)
        points = {"color": line["color"], "s": 4, "alpha": 0.6, "linewidth": 0}
        axes.scatter(dodge(1e3 * rows["dt"], *place), values, **points)
        if middles:
            x, y = np.array(middles).T
            axes.plot(dodge(1e3 * x, *place), y, **line)

    def steps(self, axes, panel, rows):
        """The confound: length of the sub-intervals (left) and their number (right) over dt.

        The length is the duration over the number, as `step_length` of a trace has it. One line a
        layer, averaged over methods and seeds, with the range of the methods.
        """
        rows = rows[np.isfinite(rows["dt"])]
        n = int(rows["layers"].max()) if len(rows) else 0
        for layer in range(n):
            name = "output layer" if layer == n - 1 else "hidden layer"
            if n > 2 and layer < n - 1:
                name += f" {layer + 1}"
            length = 1e3 * rows["step_length"][:, layer]
            points = statistics.over_dt(rows, length, merge=True)
            marker = "." if len(points) == 1 else None  # one point makes no line
            line = {"color": "#444444", "linestyle": "-:"[layer == n - 1], "marker": marker}
            self.curve(axes, panel, "mean sub-interval (ms)", name, points, **line)
            dts = np.array([dt for dt, _ in points])
            ranges = np.array([np.nanpercentile(length[rows["dt"] == dt], (0, 100)) for dt in dts])
            axes.fill_between(1e3 * dts, *ranges.T, color="#444444", alpha=0.15, linewidth=0)
            counts = statistics.over_dt(rows, rows["steps"][:, layer], merge=True)
            for dt, value in counts:
                self.note(panel, "sub-intervals a sample", name, dt, value)
        if n:
            _scales_of_steps(axes, rows)

    def legend(self, title=None):
        """One legend above the figure, of everything labelled on its axes."""
        found = {}
        flat = self.axes.values() if isinstance(self.axes, dict) else self.axes.ravel()
        for axes in flat:
            for handle, name in zip(*axes.get_legend_handles_labels()):
                found.setdefault(name, handle)
        columns = -(-len(found) // -(-len(found) // 6))  # rows of equal length, at most six
        self.figure.legend(found.values(), found.keys(), loc="outside upper left", ncols=columns,
                           handlelength=2.2, title=title, title_fontsize=10,
                           alignment="left")  # fmt: skip


def _scales_of_steps(axes, rows):
    """Logarithmic axes of length and of number of sub-intervals, and a line where they equal dt."""
    lengths = 1e3 * rows["step_length"][rows["step_length"] > 0]
    low, high = lengths.min() / 1.6, lengths.max() * 1.6
    dt = 1e3 * statistics.steps(rows)
    axes.plot(dt, dt, color="#999999", linewidth=0.8, linestyle="--", label="_dt")
    end = min(dt[-1], 0.8 * high)
    if end >= dt[0]:
        axes.text(end / 1.3, end, "= dt", color="#777777", ha="right", va="center", fontsize=7)
    duration = 1e3 * rows["duration"].max()
    axes.set(yscale="log", ylim=(low, high), ylabel="sub-interval\n(ms)")
    numbers = (lambda length: duration / np.maximum(length, 1e-9),) * 2
    right = axes.secondary_yaxis("right", functions=numbers)
    right.set_ylabel("sub-intervals\nper sample")
    round_ticks(axes.yaxis, 4)
    round_ticks(right.yaxis, 4)
