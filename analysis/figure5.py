"""python -m analysis.figure5: test accuracy after training with adjusted gradients, over dt."""

import sys

import numpy as np

from analysis import results, statistics, style
from lifnum import options


def draw(study):
    """The figure: mean per dt above, per order and dt below, sub-intervals; a column a data set."""
    runs = statistics.select(study.runs, study=0, gradient="adjusted", interpolation="dense")
    gridded = runs[np.isfinite(runs["dt"])]
    names = sorted({name.decode() for name in gridded["dataset"]}, key=style.dataset_order)
    if not names:
        raise results.NoData("no run with a grid, gradient adjusted and interpolation dense")
    drawing = style.Drawing((3, len(names)), (style.WIDTH, 6.2), height_ratios=(2, 3, 1.3),
                            sharex=True)  # fmt: skip
    for k, name in enumerate(names):
        own = statistics.select(runs, dataset=name)
        mean, orders, steps = drawing.axes[:, k]
        title = style.dataset(name)
        points, count = mean_over_methods(own)
        drawing.curve(mean, f"{title}, mean", "test accuracy (%)", f"mean of {count} orders",
                      points, scale=100.0, label="mean of orders")  # fmt: skip
        exact = own["test_accuracy"][np.isnan(own["dt"])]
        drawing.reference(mean, f"{title}, mean", "test accuracy (%)",
                          statistics.interval(exact), scale=100.0)  # fmt: skip
        drawing.methods(orders, title, "test accuracy (%)", own, own["test_accuracy"], 100.0)
        drawing.steps(steps, title, own)
        mean.set_title(f"{title}: mean of {count} orders")
        orders.set_title(f"{title}: per order")
        for row, axes in enumerate(drawing.axes[:, k]):
            if row < 2:
                style.accuracy_axis(axes)
            style.dt_axis(axes, statistics.steps(gridded), row == 2)
    drawing.legend()
    return drawing


def mean_over_methods(rows):
    """([(dt, Interval)], n) of the test accuracy averaged over n series, then over seeds.

    Only orders that ran at every dt enter, and only seeds that ran all of them: means over
    different orders could not be compared.
    """
    dts = statistics.steps(rows)
    series = statistics.select(rows[np.isfinite(rows["dt"])], method="ps")
    complete = [
        order for order in np.unique(series["order"])
        if np.isin(dts, series["dt"][series["order"] == order]).all()
    ]  # fmt: skip
    points = []
    for dt in dts:
        at = series[(series["dt"] == dt) & np.isin(series["order"], complete)]
        means = [
            own["test_accuracy"].mean()
            for own in (at[at["seed"] == seed] for seed in np.unique(at["seed"]))
            if len(own) == len(complete)
        ]  # fmt: skip
        points.append((float(dt), statistics.interval(means)))
    return points, len(complete)


main = style.run(
    "figure5",
    "Draw the test accuracy of the last epoch of networks trained with adjusted gradients, over "
    "the grid step: averaged over the orders above, per order below.",
    draw,
)

if __name__ == "__main__":
    sys.exit(options.run("analysis.figure5", main))
