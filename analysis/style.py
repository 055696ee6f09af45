"""One look for all figures: readable in print and by the colour-blind (Okabe & Ito's colours)."""

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
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
})  # fmt: skip


def save(figure, path):
    """Write a figure to PNG, PDF or what else the path's ending says, and close it."""
    figure.savefig(path)
    plt.close(figure)
