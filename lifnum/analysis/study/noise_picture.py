"""The figure of the study of gradient noise, from the rows of its table."""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import logarithmic
from lifnum.analysis.study.gradient_noise import EXACT, RESOLVED, STEPS, cells, origins, values
from lifnum.analysis.style import plt

# gradient -> (name in the legend, colour, marker)
_LOOKS = {
    EXACT: ("exact", "#000000", "x"),
    ("euler", "dense", "adjusted"): ("Euler, adjusted", "#0072B2", "o"),
    ("euler", "dense", "piggyback"): ("Euler, piggyback", "#D55E00", "s"),
    ("euler", "dense", "numerical-slope"): ("Euler, numerical slope", "#009E73", "^"),
    ("euler", "dense", "clipped"): ("Euler, clipped", "#E69F00", "v"),
    ("ps5", "dense", "piggyback"): ("order 5, piggyback", "#56B4E9", "D"),
    ("euler", "none", "surrogate"): ("Euler on the grid, surrogate", "#CC79A7", "P"),
}

# share of units whose norm is larger -> measure
_LARGER = {0.5: "median", 0.1: "q90", 0.01: "q99", 0.001: "q999"}


def draw(rows, path):
    """Norms of single samples, cosine and share of bias over samples; hidden layer, a dt a row."""
    found = cells(rows)
    steps = [dt for dt in STEPS if any(key[1] == dt for key in found)]
    figure, axes = plt.subplots(len(steps), 3, figsize=(style.WIDTH, 0.8 + 2.3 * len(steps)),
                                squeeze=False)  # fmt: skip
    smallest = min(key[0] for key in found)
    for row, dt in zip(axes, steps, strict=True):
        for gradient, look in _LOOKS.items():
            _tail(row[0], found, (smallest, dt, gradient), look)
            _over_samples(row[1], found, (dt, gradient), "cosine", look)
            if gradient != EXACT:
                _over_samples(row[2], found, (dt, gradient), "bias_share", look)
        row[0].set(xlabel="norm of a sample's gradient\nover exact's median",
                   ylabel=f"dt {1e3 * dt:g} ms\nshare of samples above")  # fmt: skip
        row[1].set(ylabel="cosine with exact's", xlabel="samples", ylim=(-0.05, 1.05))
        row[2].set(ylabel="share of bias in\nthe squared error", xlabel="samples",
                   ylim=(-0.25, 1.05))  # fmt: skip
        for own in row:
            logarithmic(own, "x", 3)
        logarithmic(row[0], "y")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    style.save(figure, path)


def _tail(axes, found, key, look):
    """Quantiles of the norms of samples, medians over networks."""
    samples, dt, gradient = key
    label, color, marker = look
    sizes = [values(found, samples, dt, gradient, "hidden", samples, name)
             for name in _LARGER.values()]  # fmt: skip
    if len(sizes[0]):
        axes.plot(np.median(sizes, axis=1), list(_LARGER), color=color, marker=marker, label=label)


def _over_samples(axes, found, key, measure, look):
    """A measure over the number of samples: medians over networks, and every network."""
    dt, gradient = key
    _, color, marker = look
    points = {n: values(found, samples, dt, gradient, "hidden", n, measure)
              for n, samples in origins(found).items()}  # fmt: skip
    errors = {n: values(found, samples, dt, gradient, "hidden", n, "error")
              for n, samples in origins(found).items()}  # fmt: skip
    plain = measure == "cosine"
    points = {n: own for n, own in points.items()
              if len(own) and (plain or errors[n].min() > RESOLVED)}  # fmt: skip
    x = sorted(points)
    if not x:
        return
    axes.plot(x, [np.median(points[n]) for n in x], color=color, marker=marker)
    for n in x:
        axes.scatter([n] * len(points[n]), points[n], s=6, color=color, alpha=0.4, linewidth=0)
