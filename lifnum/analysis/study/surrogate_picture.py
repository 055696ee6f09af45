"""The figure of the study of surrogate and exact gradients."""

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.study import surrogate as study
from lifnum.analysis.study.statistics import interval
from lifnum.analysis.study.time_constants import THRESHOLDS
from lifnum.analysis.style import plt


def shown(tau_s):
    """{name: (arm, measure)} of one time constant, from above."""
    exact, surrogate = study.exact, study.surrogate
    longer = {"epochs": study.LONGER}
    mixed = zip(("surrogate in hidden layer", "surrogate in output layer"), study.mixed(tau_s))
    remedies = zip(("revived", "slopes clipped", "batches of 100"), study.remedies(tau_s))
    return {
        **{f"exact, rate x {rate:g}": (exact(tau_s, rate=rate), "accuracy")
           for rate in study.RATES["exact"] if rate != 1.0},
        "exact, 60 epochs": (exact(tau_s, **longer), "accuracy"),
        "exact, 60 epochs, rate x 0.5": (exact(tau_s, rate=0.5, **longer), "accuracy"),
        **{f"exact, {name}": (arm, "accuracy") for name, arm in remedies},
        **{name: (arm, "accuracy") for name, arm in mixed},
        "surrogate, off its grid": (surrogate(tau_s), "accuracy"),
        "surrogate": (surrogate(tau_s), "on_grid"),
        "surrogate, fine grid": (surrogate(tau_s, grid=study.FINE), "on_grid"),
        "surrogate, 60 epochs": (surrogate(tau_s, **longer), "on_grid"),
    }  # fmt: skip


def draw(rows, path):
    """Accuracy of every arm less that of the exact gradient: every seed, and means."""
    found = study.cells(rows)
    taus = [tau_s for tau_s in THRESHOLDS if found.get(study.exact(tau_s))]
    figure, axes = plt.subplots(1, len(taus), figsize=(style.WIDTH, 3.6), sharey=True,
                                squeeze=False)  # fmt: skip
    for own, tau_s in zip(axes[0], taus):
        base = study.exact(tau_s), "accuracy"
        names = shown(tau_s)
        for y, (arm, measure) in enumerate(names.values()):
            values = study.differences(found, (arm, measure), base)
            color = style.COLORS[1 if arm.hidden == "surrogate" else 0]
            color = color if arm.hidden == arm.output else style.COLORS[2]
            own.scatter(values, np.full(len(values), y), s=6, color=color, alpha=0.35, linewidth=0)
            if len(values) > 1:
                mean = interval(values)
                own.errorbar(mean.mean, y + 0.25, xerr=mean.half, color=color, marker="o",
                             capsize=2)  # fmt: skip
        own.axvline(0.0, **style.EXACT)
        exact = interval(study.values(found, *base))
        own.set(xlim=(-12, 12), xlabel="less exact's (points)",
                title=f"tau_s {1e3 * tau_s:g} ms\nexact {exact.text(form='.1f')} %")  # fmt: skip
        own.set_yticks(range(len(names)), names, fontsize=8)
    axes[0, 0].invert_yaxis()
    style.save(figure, path)
