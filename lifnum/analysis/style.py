"""One look for all figures, readable in print and by the colour-blind.

Colours are Okabe & Ito's; every method has a marker of its own too, so that grey prints do.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from cycler import cycler

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

# the exact solution looks like this wherever it is drawn
EXACT = {"color": "#000000", "linestyle": (0, (4, 2)), "linewidth": 1.1}

# (method, order) -> colour and marker; others take the spare ones in turn
_LOOKS = {
    ("exact", 0): (EXACT["color"], "x"),
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


def datasets(*tables):
    """Names of the data sets in tables: MNIST, thresholded MNIST, the others by name."""
    known = list(_DATASETS)
    names = {name.decode() for table in tables for name in table["dataset"]}
    return sorted(names, key=lambda name: (known.index(name) if name in known else 99, name))


def save(figure, *paths):
    """Write a figure to PNG, PDF or what else the paths' endings say, and close it."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"CreationDate": None} if f"{path}".endswith("pdf") else None)
    plt.close(figure)
