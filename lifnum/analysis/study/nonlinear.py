"""Where the integrator decides whether nonlinear neurons learn: docs/studies/nonlinear.md."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lifnum.analysis.study import paired, runner
from lifnum.analysis.study.runner import Run, key_of
from lifnum.analysis.study.statistics import interval
from lifnum.errors import SimulationError
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.trainer import Trainer
from lifnum.scheme import Scheme

SEEDS = 3

# preset -> (epochs, training samples) that the machine affords
NETWORKS = {"digits-izhikevich": (5, 700), "digits-adex": (5, 700), "yinyang-qif": (8, 2000)}

METHODS = (("euler", None), ("ps", 2), ("ps", 4), ("ps", 8), ("rk4", None))

STEPS = (1e-4, 1e-3, 2e-3, 4e-3)  # s

PIGGYBACK = 1e-3  # dt (s) at which piggyback is tried

REFERENCE = Scheme("ps", 8, 1e-4)

SMALL = ("yinyang-qif", f"{REFERENCE.dt:.9g}")  # network and dt

MARGIN = 1.0  # points of accuracy, of equivalence

LOSS = 5.0  # points below the reference's accuracy, from which a network counts as not trained

# reference_accuracy: share right when the trained weights are simulated under REFERENCE
MEASURES = (*runner.MEASURES, "reference_accuracy")


def rank(scheme):
    """0 for the runs that the question needs most, to 4 for the rest."""
    if scheme == REFERENCE:
        return 0
    ends = scheme.method == "euler" or scheme.order == 8
    if scheme.gradient == "piggyback":
        return 1 if ends else 3
    return {4e-3: 0, 1e-3: 0}.get(scheme.dt, 2) if ends else {4e-3: 2, 1e-3: 2}.get(scheme.dt, 4)


def schemes():
    """The schemes of every network."""
    found = [Scheme(*method, dt) for dt in STEPS for method in METHODS]
    return found + [Scheme(*method, PIGGYBACK, gradient="piggyback") for method in METHODS]


def runs(seeds=SEEDS, small=False):
    """All runs, those first that the question needs most (`rank`), in turn over seeds."""
    found = []
    for seed in range(seeds):
        for name, (epochs, samples) in NETWORKS.items():
            preset = replace(presets.PRESETS[name], epochs=1 if small else epochs)
            limits = (60, 40) if small else (samples, None)
            for scheme in schemes():
                config = Configuration(preset, scheme, seed, "float32", *limits)
                found.append((rank(scheme), Run(key_of(config, network=name), config)))
    found = [run for _, run in sorted(found, key=lambda pair: pair[0])]
    if small:  # two methods of one network, which need the least compilation
        found = [run for run in found if (run.key["network"], run.key["dt"]) == SMALL
                 and run.key["method"] in ("euler", "ps8")]  # fmt: skip
    return found


def execute(config):
    """`MEASURES` of one run, a dict."""

    def under_reference(trainer):
        net = replace(config, scheme=REFERENCE).network(trainer.net.weights)
        try:
            accuracy = Trainer(config, trainer.data, net=net).test().accuracy
        except SimulationError:
            accuracy = 0.0
        return {"reference_accuracy": accuracy}

    return runner.execute(config, under_reference)


class Cell(NamedTuple):
    """A scheme on a network; dt in seconds."""

    network: str
    method: str
    dt: float
    gradient: str = "adjusted"

    @property
    def text(self):
        return f"{self.network:<18}{self.method:<6}{1e3 * self.dt:4g} ms  {self.gradient:<10}"


def reference(network):
    """The cell that others on a network are compared with."""
    return Cell(network, f"ps{REFERENCE.order}", REFERENCE.dt)


def cells(rows):
    """{Cell: {seed: row}} of a table, with measures as numbers; accuracies are in percent."""
    found = {}
    for row in rows:
        cell = Cell(row["network"], row["method"], float(row["dt"]), row["gradient"])
        numbers = {name: float(row[name]) for name in MEASURES}
        for name in ("accuracy", "reference_accuracy"):
            numbers[name] *= 100.0
        found.setdefault(cell, {})[int(row["seed"])] = numbers
    return found


def values(found, cell, measure="accuracy"):
    """A measure of the runs of a cell, (seeds,)."""
    own = found.get(cell, {})
    return np.array([own[seed][measure] for seed in sorted(own)])


def differences(found, cell, other, measure="accuracy"):
    """Values of one cell less those of another, over the seeds that both have."""
    one, two = found.get(cell, {}), found.get(other, {})
    return np.array([one[seed][measure] - two[seed][measure]
                     for seed in sorted(one.keys() & two.keys())])  # fmt: skip


def grid():
    """(network, name of the method, dt) of all cells."""
    names = [method + str(order or "") for method, order in METHODS]
    return [(network, name, dt) for network in NETWORKS for dt in STEPS for name in names]


def families(found):
    """{name: [(cell, other)]}: the pairs of each family that the design compares."""
    made = {"adjusted less reference": [], "piggyback less adjusted": [], "order 8 less Euler": []}
    for place in grid():
        cell, base = Cell(*place), reference(place[0])
        if cell != base:
            made["adjusted less reference"].append((cell, base))
        if place[2] == PIGGYBACK:
            made["piggyback less adjusted"].append((cell._replace(gradient="piggyback"), cell))
        if place[1] == "ps8":
            made["order 8 less Euler"].append((cell, cell._replace(method="euler")))
    return {name: [pair for pair in pairs if found.get(pair[0]) and found.get(pair[1])]
            for name, pairs in made.items()}  # fmt: skip


def state(found, cell):
    """works, fails or varies: how far the runs of a cell end below the reference's of their seed.

    A run that met a number that is not finite fails, whatever it ends with.
    """
    base = found.get(reference(cell.network), {})
    failed = [row["failed"] > 0.0 or row["accuracy"] <= base[seed]["accuracy"] - LOSS
              for seed, row in found.get(cell, {}).items() if seed in base]  # fmt: skip
    if not failed:
        return "unknown"
    return "fails" if all(failed) else "varies" if any(failed) else "works"


def _cell_lines(found):
    """What became of every scheme."""
    lines = []
    for cell in sorted(found, key=lambda one: (one.network, one.gradient, one.dt, one.method)):
        stopped = int(values(found, cell, "failed").sum())
        lines.append(
            f"{cell.text} {interval(values(found, cell)).text():>15} %, under the reference "
            f"{interval(values(found, cell, 'reference_accuracy')).text():>15} %, {stopped} "
            f"stopped, {state(found, cell)}; hidden step "
            f"{1e3 * np.mean(values(found, cell, 'hidden_step')):.2f} ms"
        )
    return lines


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    found = cells(rows)
    seeds = sorted({seed for own in found.values() for seed in own})
    lines = [f"{len(rows)} runs, seeds {', '.join(map(str, seeds))}", *_cell_lines(found)]
    for name, pairs in families(found).items():
        lines.append(f"{name}, {len(pairs)} pairs (points; p after Holm):")
        own = [differences(found, *pair) for pair in pairs]
        for pair, one in zip(pairs, paired.family(own, MARGIN), strict=True):
            difference = one.difference.text(form="+.2f").replace("± +", "± ")
            lines.append(f"{pair[0].text} {difference:>16}  p {one.p:.2g}  {one.verdict}")
    return lines
