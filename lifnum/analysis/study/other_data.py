"""Whether the method matters on Yin-Yang and Fashion-MNIST: docs/studies/other-data.md."""

from typing import NamedTuple

import numpy as np

from lifnum.analysis.study import paired, time_constants
from lifnum.analysis.study.runner import Run, key_of
from lifnum.analysis.study.time_constants import differences, test_lines
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.scheme import Scheme

SEEDS = 10

EULER, ORDER_2, ORDER_5, EXACT = ("euler", None), ("ps", 2), ("ps", 5), ("exact", None)


class Place(NamedTuple):
    """What the runs of a data set share; times in seconds."""

    dataset: str
    tau_s: float
    window: float
    theta: tuple

    @property
    def text(self):
        inputs = f", inputs within {self.window / self.tau_s:.2g} tau_s"
        return f"{self.dataset} at {1e3 * self.tau_s:g} ms{inputs * (self.dataset == 'yinyang')}"

    @property
    def title(self):
        if self.dataset == "yinyang":
            return f"yinyang, inputs\nwithin {self.window / self.tau_s:.2g} tau_s"
        return f"{self.dataset}\ntau_s {1e3 * self.tau_s:g} ms"


# thresholds of Fashion-MNIST at which untrained networks spike as often as at 130 ms
PLACES = (
    Place("yinyang", 0.130, 0.26, (1.0, 15.0)),
    Place("yinyang", 0.130, 0.52, (1.0, 15.0)),
    Place("fashion-mnist", 0.005, 0.1, (0.011, 0.056)),
    Place("fashion-mnist", 0.020, 0.1, (0.043, 0.26)),
    Place("fashion-mnist", 0.130, 0.1, (0.2, 1.3)),
)

RATIOS = {"yinyang": (0.1, 0.3, 1.0, 1.5), "fashion-mnist": (0.3, 1.0)}  # dt / tau_s

METHODS = {
    "yinyang": {"adjusted": (EULER, ORDER_2, ORDER_5), "piggyback": (EULER, ORDER_5),
                "none": (EXACT, EULER, ORDER_5)},
    "fashion-mnist": {"adjusted": (EULER, ORDER_5)},
}  # fmt: skip

# of Yin-Yang, dense with `adjusted`: added after the others were run, a family of their own
LATER = (("ps", 3), ("backward-euler", None), ("exponential-euler", None))

ON_THE_GRID = {"none": (EXACT,), "surrogate": (EXACT, EULER)}  # of Fashion-MNIST, at FLOOR only

# kind of scheme -> (interpolation, gradient)
KINDS = {
    "adjusted": ("dense", "adjusted"),
    "piggyback": ("dense", "piggyback"),
    "none": ("none", "piggyback"),
    "surrogate": ("none", "surrogate"),
    "later": ("dense", "adjusted"),
}

FLOOR = time_constants.FLOOR

SEEDS_OF = {"yinyang": 10, "fashion-mnist": 3}

EPOCHS = {"yinyang": 20, "fashion-mnist": 2}


def methods(dataset, ratio):
    """{kind of scheme: methods} at dt / tau_s."""
    if dataset == "yinyang":
        return METHODS[dataset] | {"later": LATER}
    return METHODS[dataset] | (ON_THE_GRID if ratio == FLOOR else {})


def schemes(place):
    """The schemes of a place, exact first."""
    found = [Scheme()]
    for ratio in RATIOS[place.dataset]:
        dt = round(ratio * place.tau_s, 9)
        for kind, own in methods(place.dataset, ratio).items():
            found += [Scheme(*method, dt, *KINDS[kind]) for method in own]
        if place.dataset == "yinyang" and ratio == FLOOR:
            found.append(Scheme("euler", None, dt, "linear"))
    return found


def rank(scheme):
    """0 for the runs that the question needs most, 1 for the others, 2 for those added later."""
    if (scheme.method, scheme.order) in LATER:
        return 2
    how = scheme.interpolation, scheme.gradient
    return int(scheme.dt is not None and how != ("dense", "adjusted"))


def runs(seeds=SEEDS, small=False):
    """All runs, those first that the question needs most (`rank`), in turn over seeds."""
    found = []
    limits = {"limit_train": 64, "limit_test": 40} if small else {}
    for seed in range(seeds):
        for place in PLACES[:1] if small else PLACES:
            name = place.dataset
            if seed >= SEEDS_OF[name]:
                continue
            options = {"dataset": name, "tau_s": (place.tau_s,), "tau": (2 * place.tau_s,),
                       "window": place.window, "theta": place.theta,
                       "epochs": 1 if small else EPOCHS[name]}  # fmt: skip
            preset = presets.resolve("yinyang" if name == "yinyang" else "mnist", options)
            for scheme in schemes(place):
                config = Configuration(preset, scheme, seed, **limits)
                key = key_of(config, tau_s=place.tau_s, window=place.window)
                found.append((rank(scheme), Run(key, config)))
    found = [run for _, run in sorted(found, key=lambda pair: pair[0])]
    return [run for run in found if float(run.key["dt"]) in (0.0, 0.039)] if small else found


class Cell(NamedTuple):
    """A scheme at a place; ratio is dt / tau_s, 0 without a grid."""

    place: Place
    method: str
    ratio: float
    interpolation: str = "dense"
    gradient: str = "adjusted"

    @property
    def text(self):
        name = f"{self.method:<18}{self.interpolation:<7}{self.gradient:<10}"
        return f"{self.place.text:<42}{self.ratio:5g}  {name}"


def cells(rows):
    """{Cell: {seed: row}} of a table, see `time_constants.cells`."""
    places = {(place.dataset, place.tau_s, place.window): place for place in PLACES}
    return time_constants.cells(
        rows, Cell, lambda row: places[row["dataset"], float(row["tau_s"]), float(row["window"])]
    )


def families(found):
    """{name: [(cell, other)]}: the pairs of each family that the design compares."""
    made = {}
    for place in PLACES:
        exact = Cell(place, "exact", 0.0)
        for ratio in RATIOS[place.dataset]:
            own = {kind: [Cell(place, method + str(order or ""), ratio, *KINDS[kind])
                          for method, order in few]
                   for kind, few in methods(place.dataset, ratio).items()}  # fmt: skip
            adjusted, piggyback, none, surrogate, later = (own.get(kind, []) for kind in KINDS)
            pairs = {
                "adjusted less exact": [(cell, exact) for cell in adjusted],
                "order 5 less Euler": [(adjusted[-1], adjusted[0])],
                "piggyback less adjusted": [
                    (cell, cell._replace(gradient="adjusted")) for cell in piggyback
                ],
                "on the grid": list(zip(none, [exact, *none[:1] * 2])),
                "surrogate": list(zip(surrogate, [*none[:1], *surrogate[:1]])),
                "added methods less exact": [(cell, exact) for cell in later],
            }
            for name, own in pairs.items():
                made.setdefault(f"{place.dataset}, {name}", []).extend(own)
    kept = {name: [pair for pair in pairs if found.get(pair[0]) and found.get(pair[1])]
            for name, pairs in made.items()}  # fmt: skip
    return {name: pairs for name, pairs in kept.items() if pairs}


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    found = cells(rows)
    seeds = sorted({seed for own in found.values() for seed in own})
    failed = sum(row["failed"] for own in found.values() for row in own.values())
    lines = [f"{len(rows)} runs, seeds {', '.join(map(str, seeds))}; {failed:g} not finite"]
    for place in PLACES:
        own = found.get(Cell(place, "exact", 0.0), {}).values()
        accuracy, spikes = (paired.interval([row[name] for row in own])
                            for name in ("accuracy", "hidden_spikes"))  # fmt: skip
        lines.append(
            f"exact, {place.text}: {accuracy.text()} %, {spikes.text(form='.1f')} hidden spikes"
        )
    made = families(found)
    sparse = {name: pairs for name, pairs in made.items() if "adjusted less exact" in name}
    lines += test_lines(found, made, sparse)
    lines.append("mean sub-interval of the hidden layer over tau_s, Euler with adjusted:")
    for place in PLACES:
        steps = [(ratio, [row["hidden_step"] for row in
                          found.get(Cell(place, "euler", ratio), {}).values()])
                 for ratio in RATIOS[place.dataset]]  # fmt: skip
        texts = [f"{np.mean(own) / place.tau_s:.3f} at {ratio:g}" for ratio, own in steps if own]
        lines.append(f"{place.text}: {', '.join(texts)}")
    lines.append("noise floor, chords of Euler less its dense output (points):")
    for place in PLACES[:2]:
        own = differences(found, Cell(place, "euler", FLOOR, "linear"), Cell(place, "euler", FLOOR))
        lines.append(f"{place.text}: {paired.interval(own).text()}")
    return lines
