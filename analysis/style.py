"""One look for all figures, readable in print and by the colour-blind, and what they share.

Colours are Okabe & Ito's; every method has a marker of its own too, so that grey prints do. A
`Drawing` is a figure that keeps the numbers it shows, for the tables of `analysis.report`.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    Locator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from analysis import results, statistics

matplotlib.use("Agg")

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

plt.rcParams.update({
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "svg.hashsalt": "lifnum",  # the same figure, the same bytes
})  # fmt: skip

WIDTH = 7.5  # inches

# (method, order) -> colour and marker; others take the spare ones in turn
_LOOKS = {
    ("exact", 0): ("#000000", "x"),
    ("ps", 1): ("#D55E00", "o"),
    ("ps", 2): ("#E69F00", "s"),
    ("ps", 3): ("#009E73", "^"),
    ("ps", 5): ("#56B4E9", "D"),
    ("ps", 10): ("#0072B2", "v"),
    ("ps", 4): ("#CC79A7", "p"),
}
_SPARE = (("#CC79A7", "P"), ("#0072B2", "*"), ("#009E73", "<"), ("#666666", ">"))

_DATASETS = {
    "mnist": "MNIST",
    "mnist-threshold": "thresholded MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "yinyang": "Yin-Yang",
}

_REFERENCE = {"color": "#000000", "linestyle": (0, (4, 2)), "linewidth": 1.0}


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


def look(method, order):
    """Colour and marker of a method."""
    known = _LOOKS.get((method, order))
    return known or _SPARE[(order + len(method)) % len(_SPARE)]


def label(method, order):
    """Name of a method in legends."""
    if method != "ps":
        return method
    return "order 1 (Euler)" if order == 1 else f"order {order}"


def dataset(name):
    """Name of a data set in titles."""
    name = name.decode() if isinstance(name, bytes) else name
    return _DATASETS.get(name, name)


def dataset_order(name):
    """Sorting key of data sets: MNIST, thresholded MNIST, the others by name."""
    names = list(_DATASETS)
    return (names.index(name), "") if name in names else (len(names), name)


def dodge(dt, k, n):
    """dt of the k-th of n series, moved a little so that their intervals do not overlap."""
    return np.asarray(dt) * 1.03 ** (k - (n - 1) / 2)


class Drawing:
    """A figure with its axes (2-D array, or those of a mosaic by name) and the numbers in it."""

    def __init__(self, layout, size, **options):
        if isinstance(layout, list):
            self.figure, self.axes = plt.subplot_mosaic(layout, figsize=size, **options)
        else:
            self.figure, self.axes = plt.subplots(*layout, figsize=size, squeeze=False, **options)
        self.numbers = []

    def note(self, panel, quantity, scheme, dt, value):
        """Keep an Interval that the figure shows; dt in seconds."""
        self.numbers.append(Number(panel, quantity, scheme, 1e3 * dt, *value))

    def curve(self, axes, panel, quantity, method, points, place=(0, 1), scale=1.0, **line):
        """Draw [(dt, Interval)] as a line with intervals, and keep it.

        Parameters
        ----------
        panel, quantity : str
            What the numbers are, with the unit; scaled by `scale`.
        method : (str, int) or str
            Method and order, or a label for a mean over several.
        place : (int, int)
            Which of how many series on these axes.
        line : dict
            For Axes.plot.
        """
        name = method if isinstance(method, str) else label(*method)
        points = [(dt, statistics.Interval(scale * v.mean, scale * v.half, v.n))
                  for dt, v in points if v.n]  # fmt: skip
        for dt, value in points:
            self.note(panel, quantity, name, dt, value)
        if not points:
            return
        color, marker = ("#000000", "o") if isinstance(method, str) else look(*method)
        line = {"color": color, "marker": marker, "label": name} | line
        x = dodge([1e3 * dt for dt, _ in points], *place)
        means = np.array([value.mean for _, value in points])
        halves = np.array([value.half for _, value in points])
        axes.plot(x, means, **line)
        known = np.isfinite(halves)
        axes.errorbar(x[known], means[known], halves[known], fmt="none", ecolor=line["color"],
                      elinewidth=0.9, alpha=0.7)  # fmt: skip

    def reference(self, axes, panel, quantity, value, name="exact", scale=1.0, band=True, **line):
        """Draw an Interval that has no dt across the axes, and keep it."""
        if value.n:
            value = statistics.Interval(scale * value.mean, scale * value.half, value.n)
            self.note(panel, quantity, name, np.nan, value)
            axes.axhline(value.mean, **(_REFERENCE | {"label": name} | line))
            if band and np.isfinite(value.half):
                axes.axhspan(value.mean - value.half, value.mean + value.half, color="#000000",
                             alpha=0.08, linewidth=0)  # fmt: skip

    def methods(self, axes, panel, quantity, rows, values, scale=1.0, bounds=None, bands=True,
                **line):  # fmt: skip
        """Every method of the rows over dt as a curve; those without a grid as a reference.

        `values` has one entry a row, and so has `bounds` (bool): values that are lower bounds.
        Means over such get an open triangle in place of an interval. `bands`: shade the intervals
        of references.
        """
        methods = statistics.methods(rows)
        for k, (method, order) in enumerate(methods):
            own = (rows["method"] == method.encode()) & (rows["order"] == order)
            points = statistics.over_dt(rows[own], values[own])
            points.append((np.nan, statistics.interval(values[own & np.isnan(rows["dt"])])))
            if bounds is not None:
                points = self._bounded(axes, panel, quantity, (method, order), points, rows[own],
                                       bounds[own], (k, len(methods)))  # fmt: skip
            self.curve(axes, panel, quantity, (method, order), points[:-1], (k, len(methods)),
                       scale, **line)  # fmt: skip
            style = {key: line[key] for key in ("linestyle", "alpha") if key in line}
            self.reference(axes, panel, quantity, points[-1][1], label(method, order), scale,
                           bands, **style)  # fmt: skip

    def _bounded(self, axes, panel, quantity, method, points, rows, bounds, place):
        """The points, those with lower bounds marked, without their interval and kept as such."""
        result, marked = [], []
        for dt, value in points:
            at = np.isnan(rows["dt"]) if np.isnan(dt) else rows["dt"] == dt
            if bounds[at].any():
                value = value._replace(half=np.nan)
                share = statistics.Interval(float(bounds[at].mean()), np.nan, value.n)
                self.note(panel, f"{quantity}, share of seeds that never did", label(*method), dt,
                          share)  # fmt: skip
                marked.append((dt, value.mean))
            result.append((dt, value))
        style = {"color": look(*method)[0], "markerfacecolor": "white", "markersize": 8,
                 "zorder": 4, "clip_on": False}  # fmt: skip
        gridded = [(1e3 * dt, mean) for dt, mean in marked if np.isfinite(dt)]
        if gridded:
            x, y = zip(*gridded)
            axes.plot(dodge(x, *place), y, "^", **style)
        if len(marked) > len(gridded):  # the reference, marked at the edge
            axes.plot([0.0], marked[-1][1], "^", transform=axes.get_yaxis_transform(), **style)
        return result

    def steps(self, axes, panel, rows):
        """The confound: mean length of the sub-intervals (left) and their number (right) over dt.

        One line a layer, averaged over methods and seeds, with the range of the methods.
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
            style = {"color": "#444444", "linestyle": "-:"[layer == n - 1], "marker": marker}
            self.curve(axes, panel, "mean sub-interval (ms)", name, points, **style)
            dts = [dt for dt, _ in points]
            ranges = np.array([np.nanpercentile(length[rows["dt"] == dt], (0, 100)) for dt in dts])
            axes.fill_between(1e3 * np.array(dts), *ranges.T, color="#444444", alpha=0.15,
                              linewidth=0)  # fmt: skip
            counts = statistics.over_dt(rows, rows["steps"][:, layer], merge=True)
            for dt, value in counts:
                self.note(panel, "sub-intervals a sample", name, dt, value)
        if not n:
            return
        lengths = 1e3 * rows["step_length"][rows["step_length"] > 0]
        low, high = lengths.min(), lengths.max()
        low, high = low / 1.6, high * 1.6
        dt = 1e3 * statistics.steps(rows)
        axes.plot(dt, dt, color="#999999", linewidth=0.8, linestyle="--", label="_dt")
        end = min(dt[-1], 0.8 * high)
        if end >= dt[0]:
            axes.text(end / 1.3, end, "= dt", color="#777777", ha="right", va="center", fontsize=7)
        duration = 1e3 * rows["duration"].max()
        axes.set(yscale="log", ylim=(low, high), ylabel="sub-interval\n(ms)")
        right = axes.secondary_yaxis(
            "right", functions=(lambda h: duration / np.maximum(h, 1e-9),) * 2
        )
        right.set_ylabel("sub-intervals\nper sample")
        for axis, ends in (
            (axes.yaxis, (low, high)),
            (right.yaxis, (duration / high, duration / low)),
        ):
            axis.set_major_locator(FixedLocator(_round_numbers(*ends)))
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_locator(NullLocator())

    def legend(self, sources=None, **options):
        """One legend above the figure, of everything labelled on its axes."""
        found = {}
        flat = self.axes.values() if isinstance(self.axes, dict) else self.axes.ravel()
        for axes in flat if sources is None else sources:
            for handle, name in zip(*axes.get_legend_handles_labels()):
                found.setdefault(name, handle)
        columns = -(-len(found) // -(-len(found) // 6))  # rows of equal length, at most six
        options = {"loc": "outside upper left", "ncols": columns, "handlelength": 1.8} | options
        self.figure.legend(found.values(), found.keys(), **options)


def _round_numbers(low, high):
    """1, 2 and 5 times powers of ten between two numbers; every other decade where many."""
    exponents = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**e for e in exponents for m in steps if low <= m * 10.0**e <= high]
        if len(ticks) <= 4:
            break
    return ticks


def dt_axis(axes, dts, name=True):
    """Logarithmic axis of grid steps (seconds, drawn in ms), ticks at those that were run."""
    dts = 1e3 * np.asarray(sorted(dts))
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(FixedLocator(dts))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if len(dts):
        axes.set_xlim(dts[0] / 1.3, dts[-1] * 1.3)
        # labels keep their distance; round numbers first
        chosen = []
        width = axes.get_window_extent().width / axes.figure.dpi  # inches
        apart = 0.3 / width * np.log10(dts[-1] / dts[0] * 1.7)
        for dt in sorted(dts, key=lambda dt: f"{dt:e}"[0] not in "125"):
            if all(abs(np.log10(dt / other)) > apart for other in chosen):
                chosen.append(dt)
        chosen.sort()
        axes.xaxis.set_major_locator(FixedLocator(chosen))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{dt:g}" for dt in chosen]))
    if name:
        axes.set_xlabel("grid step dt (ms)")


class _NearTop(Locator):
    """Ticks of an axis stretched towards its top; plain ones where it spans little."""

    def __init__(self, ticks):
        self.ticks = np.array(ticks)

    def __call__(self):
        return self.tick_values(*sorted(self.axis.get_view_interval()))

    def tick_values(self, low, high):
        inside = self.ticks[(self.ticks >= low) & (self.ticks <= high)]
        return inside if len(inside) >= 3 else MaxNLocator(4).tick_values(low, high)


def near_top_axis(axes, top, floor, ticks):
    """Scale that shows 97 and 98 of `top` = 100 apart and 10 too: -log10(top - y + floor)."""

    def forward(y):
        return -np.log10(np.maximum(top - np.asarray(y), 0.0) + floor)

    axes.set_yscale("function", functions=(forward, lambda v: top + floor - 10.0 ** -np.asarray(v)))
    axes.autoscale_view(scalex=False)  # margins of the former scale may be past the top of this
    axes.yaxis.set_major_locator(_NearTop(ticks))
    axes.yaxis.set_major_formatter(lambda value, _: _near_top_text(value))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _near_top_text(value):
    text = f"{value:.10g}"
    return text if len(text) < 6 or value >= 1 else f"1 - 1e-{round(-np.log10(1 - value))}"


def accuracy_axis(axes, name="test accuracy (%)"):
    """Axis of accuracies in percent, stretched towards 100."""
    near_top_axis(axes, 100.0, 0.1, (10, 50, 80, 90, 95, 97, 98, 99, 99.5, 100))
    axes.set_ylabel(name)


def save(figure, *paths):
    """Write a figure to PNG, PDF or what else the paths' endings say, and close it."""
    for path in paths:
        figure.savefig(path, metadata={"CreationDate": None} if f"{path}".endswith("pdf") else None)
    plt.close(figure)


def chosen_dataset(study, name):
    """The data set asked for, or the first that was trained on; ValueError where there is none."""
    names = {name.decode() for name in study.runs["dataset"]}
    if name is None and names:
        return min(names, key=dataset_order)
    if name not in names:
        has = ", ".join(sorted(names)) or "no runs at all"
        raise results.NoData(f"no run on {name or 'any data set'}; there are: {has}")
    return name


def run(name, description, draw, options=(), reads=True):
    """The program of one figure; ends the process.

    Parameters
    ----------
    name : str
        figure1 and so on.
    draw : callable
        draw(results, **options) -> Drawing; without results where `reads` is False.
    options : sequence of (flag, dict)
        Further options, for add_argument; passed on by name.
    """

    def main(argv=None):
        p = options.Parser(prog=f"python -m analysis.{name}", description=description)
        if reads:
            p.add_argument("source", nargs="?", default="runs", metavar="DIR",
                           help="folder of traces and transfer files, or what "
                           "analysis.results made of it (default: runs)")  # fmt: skip
        p.add_argument("--out", type=options.out_file, default=f"{name}.png", metavar="FILE",
                       help=f"PNG and PDF of this stem are written (default: "
                       f"{name}.png)")  # fmt: skip
        for flag, settings in options:
            p.add_argument(flag, **settings)
        arguments = vars(p.parse_args(argv))
        out = Path(arguments.pop("out"))
        if out.suffix not in ("", ".png", ".pdf"):
            raise ValueError(f"out is {out}; accepted: a name that ends in .png or .pdf")
        study = []
        if reads:
            study = [results.load(arguments.pop("source"))]
            for note in study[0].notes:
                print(note, file=sys.stderr)
        drawing = draw(*study, **arguments)
        paths = [out.with_suffix(ending) for ending in (".png", ".pdf")]
        out.parent.mkdir(parents=True, exist_ok=True)
        save(drawing.figure, *paths)
        print(f"figure in {paths[0]} and {paths[1]}")
        return 0

    return main
