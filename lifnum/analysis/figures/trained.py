"""Accuracy after training.

Test accuracy of the last epoch of networks trained with adjusted gradients, less that of exact, in
pairs of seeds: averaged over the orders above, per order below.
"""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import difference_axis, dt_axis
from lifnum.analysis.figures.drawing import Drawing
from lifnum.analysis.study import results, statistics


def draw(study):
    """Mean per dt above, per order and dt below, sub-intervals; a column a data set."""
    runs = statistics.select(study.runs, study=0, interpolation="dense")
    runs = statistics.of_gradient(runs, "adjusted")
    gridded = runs[np.isfinite(runs["dt"])]
    names = style.datasets(gridded)
    if not names:
        raise results.NoData("no run with a grid, gradient adjusted and interpolation dense")
    drawing = Drawing((3, len(names)), (style.WIDTH, 6.2), height_ratios=(2, 3, 1.3),
                      sharex=True)  # fmt: skip
    for k, name in enumerate(names):
        own = statistics.select(runs, dataset=name)
        mean, orders, steps = drawing.axes[:, k]
        title = style.dataset(name)
        values, what = statistics.against_exact(own, 100 * own["test_accuracy"],
                                                "test accuracy (%)")  # fmt: skip
        points, count = mean_over_methods(own, values)
        over = f"mean of {count} orders"
        drawing.curve(mean, f"{title}, mean", what, over, points, label="mean of orders")
        exact = statistics.interval(values[np.isnan(own["dt"])])
        drawing.reference(mean, f"{title}, mean", what, exact)
        drawing.methods(orders, title, what, own, values)
        drawing.steps(steps, title, own)
        exact = statistics.interval(100 * own["test_accuracy"][np.isnan(own["dt"])])
        mean.set_title(
            f"{title}, {statistics.epochs(own)}" + f"\nexact: {exact.text()} %" * bool(exact.n)
        )
        for axes, which in ((mean, over), (orders, "per order")):
            difference_axis(axes, what.replace(" less", "\nless"))
            axes.text(0.02, 0.97, which, transform=axes.transAxes, va="top", fontsize=8)
        for row, axes in enumerate(drawing.axes[:, k]):
            dt_axis(axes, statistics.steps(gridded), row == 2)
    drawing.legend()
    return drawing


def mean_over_methods(rows, values):
    """([(dt, Interval)], n) of values, one a row, averaged over n series, then over seeds.

    Only orders that ran at every dt enter, and only seeds that ran all of them: means over
    different orders could not be compared.
    """
    dts = statistics.steps(rows)
    series = np.isfinite(rows["dt"]) & (rows["method"] == b"ps")
    complete = [
        order
        for order in np.unique(rows["order"][series])
        if np.isin(dts, rows["dt"][series & (rows["order"] == order)]).all()
    ]
    points = []
    for dt in dts:
        at = series & (rows["dt"] == dt) & np.isin(rows["order"], complete)
        of_seeds = [values[at & (rows["seed"] == seed)] for seed in np.unique(rows["seed"][at])]
        means = [own.mean() for own in of_seeds if len(own) == len(complete)]
        points.append((float(dt), statistics.interval(means)))
    return points, len(complete)
