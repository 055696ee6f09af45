"""Whether the method matters, over dt / tau_s: docs/studies/time-constants.md."""

from typing import NamedTuple

import numpy as np

from lifnum.analysis.study import paired
from lifnum.analysis.study.runner import Run, key_of
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.scheme import Scheme

SEEDS = 10

# tau_s (s) -> thresholds of digits at which untrained networks spike as often as at 130 ms
THRESHOLDS = {
    0.005: (0.003, 0.012),
    0.010: (0.006, 0.026),
    0.020: (0.011, 0.056),
    0.130: (0.05, 0.2),
}

RATIOS = (0.1, 0.3, 1.0, 1.5)  # dt / tau_s

METHODS = {
    "adjusted": (("euler", None), ("ps", 2), ("ps", 3), ("ps", 5), ("backward-euler", None),
                 ("exponential-euler", None)),
    "piggyback": (("euler", None), ("ps", 2), ("ps", 5)),
    "none": (("exact", None), ("euler", None), ("ps", 5)),
    "surrogate": (("exact", None), ("euler", None), ("ps", 5)),
}  # fmt: skip

MARGIN, WIDE_MARGIN = 0.1, 1.0  # points of accuracy, of equivalence

FLOOR = 0.3  # dt / tau_s at which chords of Euler, equal but for rounding, show the noise


def schemes(tau_s, ratios=RATIOS):
    """The schemes of one time constant, exact first."""
    found = [Scheme()]
    for ratio in ratios:
        dt = round(ratio * tau_s, 9)
        for gradient in ("adjusted", "piggyback"):
            found += [Scheme(method, order, dt, "dense", gradient)
                      for method, order in METHODS[gradient]]  # fmt: skip
        found += [Scheme(method, order, dt, "none") for method, order in METHODS["none"]]
        found += [Scheme(method, order, dt, "none", "surrogate")
                  for method, order in METHODS["surrogate"]]  # fmt: skip
        if ratio == FLOOR:
            found.append(Scheme("euler", None, dt, "linear"))
    return found


def rank(scheme, tau_s):
    """0 for the runs that the question needs most, 1 to 3 for the next, 4 for the second part."""
    if scheme.gradient == "surrogate":
        return 4
    ratio = round((scheme.dt or 0.0) / tau_s, 6)
    name = scheme.method + str(scheme.order or "")
    if name not in ("exact", "euler", "ps5") or scheme.interpolation == "linear":
        return 3
    if scheme.interpolation == "none" or ratio not in (0.0, FLOOR, 1.0):
        return 2
    return int(scheme.gradient == "piggyback" or ratio == FLOOR)


def runs(seeds=SEEDS, small=False):
    """All runs, those first that the question needs most (`rank`), in turn over seeds."""
    found = []
    taus, ratios = ((0.005,), (FLOOR,)) if small else (THRESHOLDS, RATIOS)
    limits = {"limit_train": 60, "limit_test": 40} if small else {}
    for seed in range(seeds):
        for tau_s in taus:
            options = {"tau_s": (tau_s,), "tau": (2 * tau_s,), "theta": THRESHOLDS[tau_s]}
            preset = presets.resolve("digits", options | {"epochs": 1 if small else 20})
            for scheme in schemes(tau_s, ratios):
                config = Configuration(preset, scheme, seed, **limits)
                found.append((rank(scheme, tau_s), Run(key_of(config, tau_s=tau_s), config)))
    return [run for _, run in sorted(found, key=lambda pair: pair[0])]


class Cell(NamedTuple):
    """A scheme at a time constant; ratio is dt / tau_s, 0 without a grid."""

    tau_s: float
    method: str
    ratio: float
    interpolation: str = "dense"
    gradient: str = "adjusted"

    @property
    def text(self):
        name = f"{self.method:<17}{self.interpolation:<7}{self.gradient:<10}"
        return f"{1e3 * self.tau_s:5g} {self.ratio:5g}  {name}"


def cells(rows, cell=Cell, place=lambda row: float(row["tau_s"])):
    """{cell: {seed: row}} of a table, with measures as numbers; accuracy is in percent.

    cell: the class of cells, whose first entry is the place of a row.
    """
    found = {}
    for row in rows:
        ratio = round(float(row["dt"]) / float(row["tau_s"]), 6)
        own = cell(place(row), row["method"], ratio, row["interpolation"], row["gradient"])
        numbers = {name: float(row[name]) for name in ("failed", "hidden_spikes", "hidden_step")}
        numbers["accuracy"] = 100.0 * float(row["accuracy"])
        found.setdefault(own, {})[int(row["seed"])] = numbers
    return found


def differences(found, cell, other, measure="accuracy"):
    """Values of one cell less those of another over the seeds that both have; spikes in percent."""
    one, two = found.get(cell, {}), found.get(other, {})
    pairs = [(one[seed][measure], two[seed][measure]) for seed in sorted(one.keys() & two.keys())]
    first, second = np.array(pairs).reshape(-1, 2).T
    if measure == "accuracy":
        return first - second
    return 100.0 * (first / np.maximum(second, 1.0) - 1.0)


def families(found):
    """{name: [(cell, other)]}: the pairs of each family that the design compares."""
    grid = [(tau_s, ratio) for tau_s in THRESHOLDS for ratio in RATIOS]
    names = {kind: [Scheme(method, order, 1.0, "none").method + str(order or "")
                    for method, order in own] for kind, own in METHODS.items()}  # fmt: skip

    def cell(place, method, kind):
        tau_s, ratio = place
        on_grid = kind in ("none", "surrogate")
        return Cell(tau_s, method, ratio, "none" if on_grid else "dense",
                    "piggyback" if kind == "none" else kind)  # fmt: skip

    made = {}
    for kind in ("adjusted", "piggyback"):
        made[f"{kind} less exact"] = [
            (cell(place, method, kind), Cell(place[0], "exact", 0.0))
            for place in grid for method in names[kind]
        ]  # fmt: skip
    exact = [(cell(place, "exact", "none"), Cell(place[0], "exact", 0.0)) for place in grid]
    others = [(cell(place, method, "none"), cell(place, "exact", "none"))
              for place in grid for method in names["none"][1:]]  # fmt: skip
    made["on the grid"] = exact + others
    made["piggyback less adjusted"] = [
        (cell(place, method, "piggyback"), cell(place, method, "adjusted"))
        for place in grid for method in names["piggyback"]
    ]  # fmt: skip
    made["order 5 less Euler"] = [
        (cell(place, "ps5", kind), cell(place, "euler", kind))
        for kind in ("adjusted", "piggyback") for place in grid
    ]  # fmt: skip
    made["surrogate less piggyback"] = [
        (cell(place, method, "surrogate"), cell(place, method, "none"))
        for place in grid for method in names["surrogate"]
    ]  # fmt: skip
    made["surrogate less exact"] = [
        (cell(place, method, "surrogate"), cell(place, "exact", "surrogate"))
        for place in grid for method in names["surrogate"][1:]
    ]  # fmt: skip
    return {name: [pair for pair in pairs if found.get(pair[0]) and found.get(pair[1])]
            for name, pairs in made.items()}  # fmt: skip


def _signed(difference):
    return difference.text(form="+.2f").replace("± +", "± ")


def test_lines(found, made, sparse):
    """Every pair of every family: its difference, corrected p and verdict.

    made: families of accuracy; sparse: of hidden spikes; both {name: [(cell, other)]}.
    """
    lines = []
    tests = [(name, pairs, "accuracy") for name, pairs in made.items()]
    tests += [(name, pairs, "hidden_spikes") for name, pairs in sparse.items()]
    for name, pairs, measure in tests:
        unit = "points" if measure == "accuracy" else "% of hidden spikes"
        lines.append(f"{name}, {len(pairs)} pairs ({unit}; p after Holm):")
        values = [differences(found, *pair, measure) for pair in pairs]
        strict = paired.family(values, MARGIN)
        loose = paired.family(values, WIDE_MARGIN)
        for pair, own, one, other in zip(pairs, values, strict, loose, strict=True):
            verdict = one.verdict
            if measure != "accuracy" and verdict == "equivalent":
                verdict = "undecided"  # asked for differences only
            elif verdict == "undecided" and measure == "accuracy":
                verdict = "within 1 point" if other.verdict == "equivalent" else verdict
            less = (
                "" if pair[1].method == "exact" and not pair[1].ratio else f" less {pair[1].method}"
            )
            lines.append(
                f"{pair[0].text}{less:<12}{_signed(one.difference):>16} "
                f"median {np.median(own):+.2f}  p {one.p:.2g}  {verdict}"
            )
    return lines


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    found = cells(rows)
    seeds = sorted({seed for own in found.values() for seed in own})
    failed = sum(row["failed"] for own in found.values() for row in own.values())
    lines = [f"{len(rows)} runs, seeds {', '.join(map(str, seeds))}; {failed:g} not finite"]
    for tau_s in THRESHOLDS:
        own = found.get(Cell(tau_s, "exact", 0.0), {})
        mean = paired.interval([row["accuracy"] for row in own.values()])
        lines.append(f"exact at tau_s {1e3 * tau_s:g} ms: {mean.text()} %")
    made, sparse = families(found), "adjusted less exact"
    lines += test_lines(found, made, {sparse: made[sparse]})
    lines.append("exact on the grid, surrogate, less exact without a grid (points; not tested):")
    for tau_s in THRESHOLDS:
        own = [differences(found, Cell(tau_s, "exact", ratio, "none", "surrogate"),
                           Cell(tau_s, "exact", 0.0)) for ratio in RATIOS]  # fmt: skip
        texts = [f"{_signed(paired.interval(one))} at {ratio:g}"
                 for ratio, one in zip(RATIOS, own, strict=True) if len(one)]  # fmt: skip
        lines.append(f"{1e3 * tau_s:5g}  {', '.join(texts)}")
    lines.append("mean sub-interval of the hidden layer over tau_s, Euler with adjusted:")
    for tau_s in THRESHOLDS:
        places = [(ratio, found.get(Cell(tau_s, "euler", ratio), {})) for ratio in RATIOS]
        steps = [f"{np.mean([row['hidden_step'] for row in own.values()]) / tau_s:.2f} at {ratio:g}"
                 for ratio, own in places if own]  # fmt: skip
        lines.append(f"{1e3 * tau_s:5g}  {', '.join(steps)}")
    chords = [differences(found, Cell(tau_s, "euler", FLOOR, "linear"), Cell(tau_s, "euler", FLOOR))
              for tau_s in THRESHOLDS]  # fmt: skip
    lines.append("noise floor, chords of Euler less its dense output (points):")
    for tau_s, own in zip(THRESHOLDS, chords, strict=True):
        mean = paired.interval(own).text()
        spread = np.std(own, ddof=1) if len(own) > 1 else np.nan
        lines.append(f"{1e3 * tau_s:5g}  {mean}, standard deviation {spread:.2f}")
    return lines
