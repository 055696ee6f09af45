"""What a scheme costs, and what accuracy that buys: docs/studies/cost.md."""

import contextlib
import math
import os
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

from lifnum import models
from lifnum.analysis.benchmark.workloads import turn_of_schemes
from lifnum.analysis.study.runner import Run, load_data
from lifnum.analysis.study.statistics import interval
from lifnum.errors import SimulationError
from lifnum.network import Network
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.trainer import Trainer
from lifnum.runs.transfer import by_neuron
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains

SEEDS = 5  # repetitions

STEPS = (0.001, 0.01)  # dt of the LIF network (s)

ORDERS = tuple(range(1, 33))

TABLED = (2, 3, 5, 10, 16, 24, 32)  # orders in the page's table

BATCHES, PASSES = 5, 4  # of every scheme in a repetition

EPOCH_ORDERS = (1, 5, 32)

STAGES = ("euler", "rk2", "rk4", "exponential-euler")


class Load(NamedTuple):
    """What is measured of a model: steps in ms, and the size of its layer."""

    orders: tuple
    steps: tuple  # of series and stages
    finer: tuple  # of stages alone
    samples: int
    neurons: int


MODELS = {
    "izhikevich": Load(ORDERS, (0.05, 0.1, 0.25, 0.5, 1.0), (0.01, 0.02), 8, 32),
    "hodgkin-huxley": Load((1, 2, 4, 8, 12, 16, 20, 24, 32), (0.02, 0.05, 0.1, 0.2),
                           (0.002, 0.005, 0.01), 2, 16),
}  # fmt: skip

INPUTS = 20

DURATION, RATE = 100.0, 0.05  # ms; spikes an input and ms

WEIGHTS = (0.0, 6.0)  # uniform between them

LEAST = 0.05  # seconds that a model's scheme is measured for, at least

NAMES = ("method", "dt")

# others: cores that other processes kept busy during the piece
MEASURES = (*NAMES, "seconds", "forward", "median_error", "mean_error", "unmatched", "accuracy",
            "others")  # fmt: skip

ERRORS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10)  # ms, to be reached as fast as can be


class Piece(NamedTuple):
    """One repetition of a part."""

    part: str
    repetition: int
    small: bool


def runs(seeds=SEEDS, small=False):
    """All pieces, a repetition after the other."""
    parts = ("step", "izhikevich") if small else ("step", "epoch", *MODELS)
    return [Run({"part": part, "repetition": f"{k}"}, Piece(part, k, small))
            for k in range(seeds) for part in parts]  # fmt: skip


def execute(piece):
    """Rows of one piece: `MEASURES` of each of its schemes."""
    measure = {"step": _steps, "epoch": _epochs}.get(piece.part, _model)
    start, busy, own = perf_counter(), _busy(), process_time()
    rows = measure(piece)
    own, taken = process_time() - own, perf_counter() - start
    common = dict.fromkeys(MEASURES, math.nan) | {"others": (_busy() - busy - own) / taken}
    return [common | row for row in rows]


def _busy():
    """Seconds that the cores together did not rest since the system started; NaN where unknown."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, *rest = map(int, file.readline().split()[1:])
    except (OSError, ValueError):
        return math.nan
    # interrupts, and what a virtual machine was refused
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")


def name_of(scheme):
    """Method with its order, where it has one."""
    return scheme.method + str(scheme.order or "")


def _steps(piece):
    """Seconds a training step of every order, on equal weights and batches."""
    orders = (1, 2) if piece.small else ORDERS
    schemes = [Scheme()] + [Scheme("ps", order, dt) for dt in STEPS for order in orders]
    # in an order of its own, and several times, for the machine drifts within a repetition
    np.random.default_rng(piece.repetition).shuffle(schemes)
    options = ["--dataset", "digits" if piece.small else "mnist"]
    named = [(one, {"method": one.method, "order": one.order, "dt": one.dt}) for one in schemes]
    measure = turn_of_schemes(options, named, 2 if piece.small else BATCHES)
    measure()
    passes = [measure() for _ in range(1 if piece.small else PASSES)]
    return [{"method": name_of(one), "dt": one.dt or 0.0,
             "seconds": np.mean([seconds[one] for seconds in passes])}
            for one in schemes]  # fmt: skip


def _epochs(piece):
    """Seconds of the training steps of a first epoch, and the accuracy on the test set after it."""
    preset = presets.resolve("mnist", {"epochs": 1})
    data = load_data("mnist", None, preset.window, 0, None, None)
    schemes = [Scheme()] + [Scheme("ps", order, dt) for dt in STEPS for order in EPOCH_ORDERS]
    rows = []
    for scheme in schemes:
        trainer = Trainer(Configuration(preset, scheme, 0), data)
        while trainer.epoch < 1:
            trainer.step()
        rows.append({"method": name_of(scheme), "dt": scheme.dt or 0.0, "seconds": trainer.seconds,
                     "accuracy": trainer.test().accuracy})  # fmt: skip
    return rows


def model_schemes(load, small):
    """The schemes of a model's part."""
    if small:
        return [Scheme("rk2", dt=load.steps[-1]), Scheme("ps", 4, load.steps[-1])]
    found = [Scheme("ps", order, dt) for dt in load.steps for order in load.orders]
    return found + [Scheme(method, dt=dt) for dt in load.steps + load.finer for method in STAGES]


def _model(piece):
    """Seconds of a layer's passes, forward and with the one back, and errors of spike times."""
    load, small = MODELS[piece.part], piece.small
    generator = np.random.default_rng(0)
    trains = poisson(1 if small else load.samples, generator)
    weights = generator.uniform(*WEIGHTS, (INPUTS, load.neurons))
    model = getattr(models, piece.part.replace("-", "_"))()

    def network(scheme):
        return Network([(weights, model)], scheme, DURATION)

    dt = load.steps[-1 if small else 0]
    truth = network(Scheme("ps", dt=dt, tolerance=1e-14)).forward(trains)
    rows = []
    for scheme in model_schemes(load, small):
        row = {"method": name_of(scheme), "dt": 1e-3 * scheme.dt}
        with contextlib.suppress(SimulationError):  # a coarse step may overflow
            seconds, forward, out = _seconds(network(scheme), trains, 0.0 if small else LEAST)
            row |= {"seconds": seconds, "forward": forward, **errors(out, truth)}
        rows.append(row)
    return rows


def poisson(n_samples, generator):
    """SpikeTrains of independent inputs of rate `RATE` over `DURATION`."""
    samples = []
    for _ in range(n_samples):
        n = generator.poisson(RATE * DURATION * INPUTS)
        samples.append((generator.uniform(0.0, DURATION, n), generator.integers(0, INPUTS, n)))
    return SpikeTrains.from_samples(samples, INPUTS)


def _seconds(net, trains, least):
    """(seconds of both passes, seconds of the one forward, output), each the mean over turns."""
    turns, taken, forward, n = 1, 0.0, 0.0, 0
    net.backward(np.ones(len(net.forward(trains).times)))  # compiled, and room made
    while n < turns:
        start = perf_counter()
        out = net.forward(trains)
        between = perf_counter()
        net.backward(np.ones(len(out.times)))
        taken += perf_counter() - start
        forward += between - start
        n += 1
        if n == 1:
            turns = math.ceil(least / taken) if least else 1
    return taken / n, forward / n, out


def errors(out, truth):
    """Median and mean distance (ms) of the k-th spike of a neuron to its k-th, where both are.

    And the share of spikes that one of the two lacks.
    """
    own, other = by_neuron(out), by_neuron(truth)
    counts = [np.diff(one.starts) for one in (own, other)]
    common = np.minimum(*counts)

    def matched(one, n):
        rank = np.arange(len(one.times)) - np.repeat(one.starts[:-1], n)
        return one.times[rank < np.repeat(common, n)]

    apart = np.abs(matched(own, counts[0]) - matched(other, counts[1]))
    return {"median_error": np.median(apart), "mean_error": apart.mean(),
            "unmatched": np.abs(counts[0] - counts[1]).sum() / max(counts[1].sum(), 1)}  # fmt: skip


def cells(rows, part):
    """{(method, dt): {repetition: numbers}} of a part."""
    found = {}
    for row in rows:
        if row["part"] == part:
            numbers = {name: float(row[name]) for name in MEASURES if name not in NAMES}
            key = row["method"], float(row["dt"])
            found.setdefault(key, {})[int(row["repetition"])] = numbers
    return found


def over_turns(found, key, measure="seconds", other=None):
    """A measure over the repetitions, over that of another scheme in the same turn where named."""
    own = found[key]
    return np.array([own[k][measure] / (found[other][k][measure] if other else 1.0)
                     for k in sorted(own)])  # fmt: skip


def text(values, form=".3g"):
    """Median, and in brackets the least and the greatest."""
    return f"{np.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def growth(found, dt, first=16, last=32):
    """Exponent of an order's cost between two orders, for every repetition."""
    ratios = over_turns(found, (f"ps{last}", dt), other=(f"ps{first}", dt))
    return np.log(ratios) / np.log(last / first)


def fastest(found, error):
    """[(method, dt)] of each repetition: the least seconds of those within a median error (ms)."""
    able = [key for key, own in found.items()
            if all(one["median_error"] <= error and one["unmatched"] == 0.0
                   for one in own.values())]  # fmt: skip
    if not able:
        return []
    seconds = np.array([over_turns(found, key) for key in able])
    return [able[k] for k in seconds.argmin(axis=0)]


def _order(method):
    """The order of a series, 0 for others."""
    return int(method[2:]) if method.startswith("ps") else 0


def _lif_lines(found, scale, unit):
    """Time of every order, in a unit of which a second has `scale`, and over that of order 1."""
    lines = []
    for method, dt in sorted(found, key=lambda key: (key[1], _order(key[0]))):
        seconds = over_turns(found, (method, dt))
        line = f"{1e3 * dt:5g} ms {method:<6} {text(scale * seconds)} {unit}"
        if method != "exact":
            line += f", {_ratio(found, method, dt)} times order 1"
        accuracy = over_turns(found, (method, dt), "accuracy")
        if not np.isnan(accuracy).any():
            line += f"; accuracy {100.0 * np.median(accuracy):.2f} %"
        lines.append(line)
    return lines


def _ratio(found, method, dt):
    """Time of an order over that of order 1 in the same turn, and what that shows."""
    ratios = over_turns(found, (method, dt), other=("ps1", dt))
    verdict = ": a cost" if min(ratios) > 1.0 else ": a gain" if max(ratios) < 1.0 else ""
    return text(ratios, ".2f") + verdict


def _step_table(found):
    """Rows of a table: an order, and what it costs at each dt."""
    orders = sorted({_order(method) for method, dt in found} - {0, 1})
    return [f"| {order} | " + " | ".join(_ratio(found, f"ps{order}", dt) for dt in STEPS) + " |"
            for order in orders if order in TABLED]  # fmt: skip


def _model_lines(found, load):
    """How the cost of an order grows at every dt, and the rows of a table of the fastest."""
    lost = sorted(key for key in found if np.isnan(over_turns(found, key)).any())
    lines = [f"overflows: {method} at {1e3 * dt:g} ms" for method, dt in lost]
    for dt in load.steps:
        orders = [order for order in load.orders if (f"ps{order}", 1e-3 * dt) in found
                  and (f"ps{order}", 1e-3 * dt) not in lost]  # fmt: skip
        if {16, 32} <= set(orders):
            exponent = interval(growth(found, 1e-3 * dt))
            ratio = over_turns(found, ("ps32", 1e-3 * dt), other=(f"ps{orders[0]}", 1e-3 * dt))
            lines.append(f"{dt:5g} ms: from order 16 to 32 an exponent of {exponent.text()}; order "
                         f"32 takes {text(ratio)} times order {orders[0]}")  # fmt: skip
    for error in ERRORS:
        names = fastest(found, error)
        if not names:
            continue
        best = max(sorted(set(names)), key=names.count)
        own = over_turns(found, best, "median_error")[0]
        method = f"order {_order(best[0])}" if _order(best[0]) else f"`{best[0]}`"
        lines.append(f"| {error:.0e} | {method}, {1e3 * best[1]:g} ms | {own:.1e} | "
                     f"{text(1e3 * over_turns(found, best))} | {names.count(best)} of "
                     f"{len(names)} |")  # fmt: skip
    return lines


def answer(rows):
    """The numbers of the study's page, as lines of text; those of its tables as their rows."""
    done = {(row["part"], row["repetition"]) for row in rows}
    repetitions = sorted({int(row["repetition"]) for row in rows})
    others = {(row["part"], row["repetition"]): float(row["others"]) for row in rows}
    lines = [f"{len(done)} runs, repetitions {', '.join(map(str, repetitions))}; other processes "
             f"kept {text(list(others.values()), '.2f')} cores busy"]  # fmt: skip
    for part in dict.fromkeys(row["part"] for row in rows):
        found = cells(rows, part)
        lines.append(f"{part}:")
        if part in MODELS:
            lines += _model_lines(found, MODELS[part])
        elif part == "step":
            lines += _lif_lines(found, 1e3, "ms a step") + _step_table(found)
        else:
            lines += _lif_lines(found, 1.0, "s an epoch")
    return lines
