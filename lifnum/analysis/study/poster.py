"""The poster's second experiment on MNIST and Fashion-MNIST: docs/studies/poster.md."""

from typing import NamedTuple

import numpy as np

from lifnum.analysis.study import paired
from lifnum.analysis.study.runner import MEASURES as OF_A_RUN
from lifnum.analysis.study.runner import Run, key_of, load_data
from lifnum.analysis.study.statistics import interval
from lifnum.errors import SimulationError
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.trainer import Trainer
from lifnum.scheme import Scheme

SEEDS = 10

SEEDS_OF = {"mnist": 10, "fashion-mnist": 5}

LEVELS = {"mnist": 0.97, "fashion-mnist": 0.87}  # validation accuracy whose first epoch is kept

MARGIN, WIDE_MARGIN = 0.1, 1.0  # points of accuracy, of equivalence

# one accuracy after each epoch, joined by spaces
MEASURES = (*OF_A_RUN, "validation")

FLOOR = Scheme("euler", None, 0.01, "linear")  # equal to its dense output but for rounding

SCHEMES = (Scheme(), Scheme("euler", None, 0.1), Scheme("ps", 5, 0.1), Scheme("euler", None, 0.01),
           FLOOR, Scheme("ps", 5, 0.01), Scheme("ps", 2, 0.1), Scheme("ps", 2, 0.01))  # fmt: skip


def rank(dataset, scheme, seed):
    """Place of a run in the order of the design."""
    fashion = dataset == "fashion-mnist"
    place = SCHEMES.index(scheme)
    if place < 3:
        return 3 * fashion + (0 if seed < 3 else 2)
    if place < 5 and seed < 3:
        return 3 * fashion + 1
    return 6 + fashion


def runs(seeds=SEEDS, small=False):
    """All runs in the order of the design."""
    found = []
    limits = {"limit_train": 60, "limit_test": 40} if small else {}
    for dataset, most in SEEDS_OF.items():
        if small and dataset != "mnist":
            continue
        epochs = 2 if small else 10
        # an encoded test set is small; digits stand in for what no test can wait for
        name = "digits" if small else "mnist"
        options = {"epochs": epochs} | ({} if small else {"dataset": dataset})
        preset = presets.resolve(name, options)
        for seed in range(min(seeds, most)):
            for scheme in SCHEMES[:3] if small else SCHEMES:
                if scheme == FLOOR and seed >= 3:
                    continue
                run = Run(key_of(config := Configuration(preset, scheme, seed, **limits)), config)
                found.append((rank(dataset, scheme, seed), run))
    return [run for _, run in sorted(found, key=lambda pair: pair[0])]


def execute(config):
    """As `runner.execute`, and the validation accuracy (share) after each epoch."""
    preset = config.preset
    data = load_data(preset.dataset, None, preset.window, config.seed, config.limit_train,
                     config.limit_test)  # fmt: skip
    trainer = Trainer(config, data)
    validation, failed, values = [], 0.0, (0.0,) * 5
    try:
        while trainer.epoch < preset.epochs:
            trainer.step()
            if trainer.batch == 0:
                validation.append(trainer.validate().accuracy)
        test = trainer.test()
    except SimulationError:
        failed = 1.0
    else:
        length = preset.duration / test.steps.clip(1.0)
        values = test.accuracy, test.spikes[0], test.spikes[-1], length[0], length[-1]
    row = dict(zip(OF_A_RUN, (*map(float, values), failed, trainer.seconds), strict=True))
    return row | {"validation": " ".join(f"{share:.5g}" for share in validation)}


class Cell(NamedTuple):
    """A scheme on a data set; dt is 0 without a grid."""

    dataset: str
    method: str
    dt: float
    interpolation: str = "dense"

    @property
    def text(self):
        return f"{self.dataset:<14}{self.method:<6}{1e3 * self.dt:5g} ms {self.interpolation:<7}"


def cells(rows):
    """{Cell: {seed: row}} of a table, with measures as numbers; accuracy is in percent."""
    found = {}
    for row in rows:
        cell = Cell(row["dataset"], row["method"], float(row["dt"]), row["interpolation"])
        numbers = {name: float(row[name]) for name in OF_A_RUN}
        numbers["accuracy"] *= 100.0
        numbers["validation"] = np.array(row["validation"].split(), np.float64)
        found.setdefault(cell, {})[int(row["seed"])] = numbers
    return found


def differences(found, cell, other, measure="accuracy"):
    """Values of one cell less those of another over the seeds that both have; spikes in percent."""
    one, two = found.get(cell, {}), found.get(other, {})
    pairs = [(one[seed][measure], two[seed][measure]) for seed in sorted(one.keys() & two.keys())]
    first, second = np.array(pairs).reshape(-1, 2).T
    return first - second if measure == "accuracy" else 100.0 * (first / second - 1.0)


def family(found):
    """The cells that the design compares with exact, of which there are runs."""
    return [cell for cell in (Cell(dataset, scheme.method + str(scheme.order or ""), scheme.dt)
                              for dataset in SEEDS_OF for scheme in SCHEMES[1:] if scheme != FLOOR)
            if found.get(cell) and found.get(Cell(cell.dataset, "exact", 0.0))]  # fmt: skip


def first_epoch(validation, level):
    """Epoch, from 1, at whose end the validation accuracy is first `level`; NaN if never."""
    reached = np.flatnonzero(validation >= level)
    return reached[0] + 1.0 if len(reached) else np.nan


def _signed(difference):
    return difference.text(form="+.2f").replace("± +", "± ")


def _test_lines(found):
    """Every pair of both families: its difference, corrected p and verdict."""
    lines, pairs = [], family(found)
    for measure, unit in (("accuracy", "points"), ("hidden_spikes", "% of hidden spikes")):
        lines.append(f"less exact, {len(pairs)} pairs ({unit}; p after Holm):")
        values = [differences(found, cell, Cell(cell.dataset, "exact", 0.0), measure)
                  for cell in pairs]  # fmt: skip
        strict, loose = (paired.family(values, margin) for margin in (MARGIN, WIDE_MARGIN))
        for cell, own, one, other in zip(pairs, values, strict, loose, strict=True):
            verdict = one.verdict
            if measure != "accuracy" and verdict == "equivalent":
                verdict = "undecided"  # asked for differences only
            elif verdict == "undecided" and measure == "accuracy":
                verdict = "within 1 point" if other.verdict == "equivalent" else verdict
            lines.append(f"{cell.text} {len(own)} seeds {_signed(one.difference):>16} "
                         f"median {np.median(own):+.2f}  p {one.p:.2g}  {verdict}")  # fmt: skip
    return lines


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    found = cells(rows)
    seeds = sorted({seed for own in found.values() for seed in own})
    failed = sum(row["failed"] for own in found.values() for row in own.values())
    lines = [f"{len(rows)} runs, seeds {', '.join(map(str, seeds))}; {failed:g} not finite"]
    for cell, own in found.items():
        accuracy, spikes = (interval([row[name] for row in own.values()])
                            for name in ("accuracy", "hidden_spikes"))  # fmt: skip
        level = LEVELS.get(cell.dataset, 0.97)
        epochs = [first_epoch(row["validation"], level) for row in own.values()]
        lines.append(
            f"{cell.text} {accuracy.text()} %, {spikes.text(form='.1f')} hidden spikes, "
            f"{100 * level:g} % of the validation images after epoch {np.median(epochs):g} "
            f"({', '.join(f'{epoch:g}' for epoch in epochs)})"
        )
    lines += _test_lines(found)
    lines.append("noise floor, chords of Euler at 10 ms less its dense output (points):")
    for dataset in SEEDS_OF:
        own = differences(found, Cell(dataset, "euler", 0.01, "linear"),
                          Cell(dataset, "euler", 0.01))  # fmt: skip
        if len(own):
            each = ", ".join(f"{value:+.2f}" for value in own)
            lines.append(f"{dataset:<14}{_signed(interval(own))} ({each})")
    return lines
