"""Accuracy after transfer.

Networks trained with the exact solution, under other schemes: how far test accuracy and hidden
spikes are from those of the same network under exact, in pairs. The right column shows what the
schemes really stepped: interpolation splits steps at input events.
"""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import difference_axis, dt_axis
from lifnum.analysis.figures.drawing import Drawing
from lifnum.analysis.study import results, statistics
from lifnum.methods.interpolation import INTERPOLATIONS

OPTIONS = (
    ("--interpolation", {"choices": list(INTERPOLATIONS), "default": "dense",
                         "help": "spike times of the schemes drawn (default: dense)"}),
)  # fmt: skip


def draw(study, interpolation="dense"):
    """Accuracy, hidden spikes and sub-intervals; a row a data set."""
    rows = statistics.interpolated(statistics.select(study.transfer, study=0), interpolation)
    gridded = rows[np.isfinite(rows["dt"])]
    pairs = [
        (trained, dataset)
        for dataset in style.datasets(gridded)
        for trained in np.unique(gridded["trained"][gridded["dataset"] == dataset.encode()])
    ]
    if not pairs:
        raise results.NoData(
            f"no transfer file of lifnum.evaluate with interpolation {interpolation}"
        )
    drawing = Drawing((len(pairs), 3), (style.WIDTH, 1.0 + 2.2 * len(pairs)),
                      width_ratios=(3, 3, 2), sharex=True)  # fmt: skip
    for k, (trained, dataset) in enumerate(pairs):
        own = statistics.select(rows, trained=trained, dataset=dataset)
        title = style.dataset(dataset)
        if trained.decode() != dataset:
            title += f" (trained on {style.dataset(trained)})"
        accuracy, spikes, steps = drawing.axes[k]
        values, name = statistics.against_exact(own, 100 * own["accuracy"], "test accuracy (%)")
        drawing.methods(accuracy, title, name, own, values)
        difference_axis(accuracy, name.replace(" less", "\nless"))
        values, name = statistics.against_exact(own, statistics.hidden(own), "hidden spikes")
        drawing.methods(spikes, title, name, own, values)
        spikes.set_ylabel(name.replace(" less", "\nless"))
        drawing.steps(steps, title, own)
        exact = statistics.interval(100 * own["accuracy"][np.isnan(own["dt"])])
        accuracy.set_title(title + f"\nexact: {exact.text()} %" * bool(exact.n))
        for axes in drawing.axes[k]:
            dt_axis(axes, statistics.steps(rows), k == len(pairs) - 1)
    drawing.legend()
    return drawing
