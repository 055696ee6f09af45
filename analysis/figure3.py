"""python -m analysis.figure3: accuracy of exactly trained networks under other schemes, over dt."""

import sys

import numpy as np

from analysis import results, statistics, style
from lifnum import options
from lifnum.methods.interpolation import INTERPOLATIONS


def draw(study, interpolation="dense"):
    """The figure: accuracy, hidden spikes and sub-intervals; a row a data set."""
    rows = statistics.select(study.transfer, study=0)
    rows = statistics.interpolated(rows, interpolation)
    pairs = sorted(
        {
            (row["trained"].decode(), row["dataset"].decode())
            for row in rows[np.isfinite(rows["dt"])]
        },
        key=lambda pair: [style.dataset_order(name) for name in pair[::-1]],
    )
    if not pairs:
        raise results.NoData(
            f"no transfer file of lifnum.evaluate with interpolation {interpolation}"
        )
    drawing = style.Drawing((len(pairs), 3), (style.WIDTH, 1.0 + 2.1 * len(pairs)),
                            width_ratios=(3, 3, 2), sharex=True)  # fmt: skip
    for k, (trained, dataset) in enumerate(pairs):
        own = statistics.select(rows, trained=trained, dataset=dataset)
        title = style.dataset(dataset)
        if trained != dataset:
            title += f" (trained on {style.dataset(trained)})"
        accuracy, spikes, steps = drawing.axes[k]
        drawing.methods(accuracy, title, "test accuracy (%)", own, own["accuracy"], 100.0)
        drawing.methods(spikes, title, "hidden spikes a sample", own, statistics.hidden(own))
        drawing.steps(steps, title, own)
        accuracy.set_title(title)
        style.accuracy_axis(accuracy)
        spikes.set_ylabel("hidden spikes per sample")
        for axes in drawing.axes[k]:
            style.dt_axis(axes, statistics.steps(rows), k == len(pairs) - 1)
    drawing.legend()
    return drawing


main = style.run(
    "figure3",
    "Draw what becomes of trained networks under other schemes: test accuracy, hidden spike count "
    "and length and number of sub-intervals over the grid step.",
    draw,
    [("--interpolation", {"choices": list(INTERPOLATIONS), "default": "dense",
                          "help": "spike times of the schemes drawn (default: dense)"})],
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(options.run("analysis.figure3", main))
