"""Delay and distance of Izhikevich's spikes at equal cost: docs/studies/de-alteriis-oddo.md."""

import functools
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from lifnum.analysis.study import cells, decimals
from lifnum.analysis.study.cells import number, table
from lifnum.analysis.study.distances import victor_purpura
from lifnum.analysis.study.runner import Run
from lifnum.errors import SimulationError
from lifnum.neurons import models
from lifnum.scheme import Scheme

SEEDS = None  # nothing is drawn

CELLS = ("regular-spiking", "intrinsically-bursting", "chattering")

# name -> (its term in v's equation, parameters); ms
INPUTS = {
    "constant": ("", {"current": 10.0}),
    "ramp": (" + slope*t", {"current": 5.0, "slope": 0.0025}),
    "sine": (" + size*sin(rate*t)", {"current": 10.0, "size": 5.0, "rate": math.pi / 250.0}),
}

METHODS = (("euler", None), ("rk2", None), ("rk4", None), ("ps", 4), ("ps", 8))

STEPS = tuple(2.0**-k for k in range(-1, 8))  # ms, whose multiples are exact

INTERPOLATIONS = ("none", "dense")

ENDS = (500, 1000, 2000, 4000)  # ms, of the trains that are compared

Q = 0.1  # of the distance, in 1/ms

GOOD = 0.1  # distance a spike

MARGIN = 1e-6  # of a distance a spike, to win

N_TIMED = 160  # neurons

MEASURES = ("spikes", "common", "delay", "slope", "linearity", "positive",
            *(f"distance_{end}" for end in ENDS), "operations", "seconds")  # fmt: skip


def model_of(cell, given):
    """The cell under an input; time is a variable where the input depends on it."""
    term, parameters = INPUTS[given]
    known = models.izhikevich(cell)
    equations = {"v": f"0.04*v**2 + 5*v + 140 - u + current{term}", "u": known.equations["u"]}
    if term:
        equations["t"] = "1"
    return replace(known, equations=equations, input="v", max_spikes=10**5,
                   parameters={**known.parameters, **parameters})  # fmt: skip


def runs(seeds=1, small=False):
    """All runs; a small design has a corner of them, for half a second."""
    found = []
    duration = ENDS[0] if small else ENDS[-1]
    for cell in CELLS[:1] if small else CELLS:
        for given in list(INPUTS)[:1] if small else INPUTS:
            for method, order in METHODS[:3] if small else METHODS:
                for interpolation in INTERPOLATIONS:
                    for dt in STEPS[1:4] if small else STEPS:
                        scheme = Scheme(method, order, dt, interpolation)
                        key = {"cell": cell, "input": given, "method": method + str(order or ""),
                               "interpolation": interpolation, "dt": f"{dt:.9g}"}  # fmt: skip
                        found.append(Run(key, (cell, given, scheme, duration)))
    return found


@functools.lru_cache(maxsize=16)
def reference(cell, given, duration):
    """Spike times."""
    return decimals.trajectory(model_of(cell, given), duration, "0.25").spikes


def execute(config):
    """`MEASURES` of (cell, input, scheme, duration)."""
    cell, given, scheme, duration = config
    model, true = model_of(cell, given), reference(cell, given, duration)
    try:
        found = cells.simulate(model, scheme, float(duration))
    except SimulationError:
        return dict.fromkeys(MEASURES, np.nan)
    spikes = found.spikes
    n = min(len(spikes), len(true))
    delay = spikes[:n] - true[:n]
    distances = victor_purpura(spikes, true, Q, ENDS)
    counts = np.searchsorted(true, ENDS, side="right")
    operations = cells.cost(found, scheme, float(duration)).operations
    values = (
        len(spikes), n, delay[-1] if n else np.nan, *line(delay), np.mean(delay > 0) if n else 0.0,
        *(distances / counts), 1e3 * operations / duration, np.nan,
    )  # fmt: skip
    return dict(zip(MEASURES, map(float, values), strict=True))


def seconds(config):
    """Of a cell and second."""
    cell, given, scheme, duration = config
    try:
        return 1e3 * cells.seconds(model_of(cell, given), scheme, float(duration), N_TIMED)
    except SimulationError:
        return np.nan


def line(delay):
    """(slope a spike, R^2) of the least squares line of delays over the count."""
    if len(delay) < 10:
        return np.nan, np.nan
    count = np.arange(1.0, len(delay) + 1)
    slope, start = np.polyfit(count, delay, 1)
    rest = delay - start - slope * count
    spread = np.sum((delay - delay.mean()) ** 2)
    return slope, 1.0 - np.sum(rest**2) / spread if spread > 0 else np.nan


# the answer


def select(rows, **equal):
    """Rows whose columns are these texts."""
    return [row for row in rows if all(row[name] == value for name, value in equal.items())]


def name_of(method, order):
    return method + str(order or "")


NAMES = tuple(name_of(*one) for one in METHODS)


def delays(rows, method, interpolation):
    """(runs, all delays positive, linear) with constant input and dt up to 1/2 ms."""
    own = [row for row in select(rows, method=method, interpolation=interpolation,
                                 input="constant")
           if float(row["dt"]) <= 0.5 and float(row["common"]) >= 10]  # fmt: skip
    positive = sum(float(row["positive"]) == 1.0 for row in own)
    linear = sum(float(row["linearity"]) >= 0.99 for row in own)
    return len(own), positive, linear


def early_lines(rows):
    """Which runs with constant input and dt up to 1/2 ms have delays that are not positive."""
    lines = []
    for interpolation in INTERPOLATIONS:
        for name in NAMES:
            own = [row for row in select(rows, method=name, interpolation=interpolation,
                                         input="constant")
                   if float(row["dt"]) <= 0.5 and float(row["positive"]) < 1.0]  # fmt: skip
            if own:
                where = " and ".join(dict.fromkeys(row["cell"] for row in own))
                most = max(abs(float(row["delay"])) for row in own)
                lines.append(f"{interpolation}, {name}: {len(own)} runs with delays not all "
                             f"positive, {where}, the last up to {number(most)} ms")  # fmt: skip
    return lines


def overflow_lines(rows):
    """How many runs of each method and step overflowed."""
    found = {}
    for row in rows:
        if row["spikes"] == "nan":
            key = row["interpolation"], row["method"], row["dt"]
            found[key] = found.get(key, 0) + 1
    return [f"{kind}, {method}, dt {dt} ms: {n} runs beyond all numbers"
            for (kind, method, dt), n in found.items()]  # fmt: skip


def longest(rows, end):
    """The largest dt that is good, with all smaller ones; 0 where none is."""
    best = 0.0
    for row in sorted(rows, key=lambda row: float(row["dt"])):
        if not float(row[f"distance_{end}"]) <= GOOD:
            break
        best = float(row["dt"])
    return best


def limits(rows, method, interpolation):
    """{(cell, input): longest step for each of ENDS}."""
    found = {}
    for cell in CELLS:
        for given in INPUTS:
            own = select(rows, cell=cell, input=given, method=method, interpolation=interpolation)
            if own:
                found[cell, given] = [longest(own, end) for end in ENDS]
    return found


def falls(values):
    """Whether limits never grow, and fall from the first to the last."""
    return all(a >= b for a, b in pairwise(values)) and values[-1] < values[0]


def contest(rows, method, interpolation, price):
    """(wins, losses, comparisons) against each run of rk4 with no higher price."""
    wins = losses = total = 0
    for row in select(rows, method="rk4", interpolation=interpolation):
        own = [float(one["distance_4000"]) for one in
               select(rows, method=method, interpolation=interpolation, cell=row["cell"],
                      input=row["input"]) if float(one[price]) <= float(row[price])]  # fmt: skip
        own = [one for one in own if np.isfinite(one)]
        if own and np.isfinite(float(row["distance_4000"])):
            gain = float(row["distance_4000"]) - min(own)
            total, wins, losses = total + 1, wins + (gain > MARGIN), losses + (gain < -MARGIN)
    return wins, losses, total


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    failed = [row for row in rows if row["spikes"] == "nan"]
    lines = [f"{len(rows)} of {len(runs())} runs, {len(failed)} of them beyond all numbers"]
    for interpolation in INTERPOLATIONS:
        found = []
        for name in NAMES:
            n, positive, linear = delays(rows, name, interpolation)
            made = limits(rows, name, interpolation)
            columns = zip(*made.values(), strict=True) if made else [[np.nan]] * len(ENDS)
            medians = map(np.median, columns)
            found.append([name, f"{positive} of {n}", f"{linear} of {n}",
                          f"{sum(map(falls, made.values()))} of {len(made)}",
                          *(number(one, 3) for one in medians)])  # fmt: skip
        lines += [f"spike times: {interpolation}", *table(
            ["method", "all delays positive", "linear", "limit falls with duration",
             *(f"longest step (ms), {1e-3 * end:g} s" for end in ENDS)], found), ""]  # fmt: skip
    found = []
    for interpolation in INTERPOLATIONS:
        for name in NAMES:
            if name != "rk4":
                scores = (contest(rows, name, interpolation, price)
                          for price in ("operations", "seconds"))  # fmt: skip
                found.append([interpolation, name, *(
                    text for wins, losses, total in scores
                    for text in (f"{wins}", f"{losses}", f"{total}"))])  # fmt: skip
    head = ["spike times", "method", "wins, operations", "losses", "of", "wins, seconds", "losses",
            "of"]  # fmt: skip
    lines += ["against rk4 at no higher cost", *table(head, found), ""]
    return [*lines, *example_lines(rows), *early_lines(rows), *overflow_lines(rows)]


def example_lines(rows):
    """Slope and distance of the regular-spiking cell with constant input."""
    found = []
    for interpolation in INTERPOLATIONS:
        for name in NAMES:
            own = select(rows, cell=CELLS[0], input="constant", method=name,
                         interpolation=interpolation)  # fmt: skip
            by = {float(row["dt"]): row for row in own}
            found.append([interpolation, name, *(
                number(1e3 * float(by[dt]["slope"])) if dt in by else "-"
                for dt in STEPS[1:6:2])])  # fmt: skip
    head = ["spike times", "method", *(f"us a spike, dt {dt:g} ms" for dt in STEPS[1:6:2])]
    return ["regular-spiking, constant: slope of the delay", *table(head, found)]
