"""Models by equations in the benchmark: cells on their own, training and compilation.

Others simulate the same equations, synaptic current included, from the same start under the same
currents: Brian2 and NEURON on a grid of times, heyoka by adaptive Taylor series, Eventax in
training. What is compared is measured in turn; times of cells are per neuron and step of the grid,
or per neuron and ms.
"""

import math
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from lifnum.analysis.benchmark.workers import WorkerError, in_turn, lifnum, peer
from lifnum.data import datasets
from lifnum.neurons import models

ALONE = ("brian2", "heyoka", "neuron")  # peers that are measured nowhere else

TASKS = "model_workloads"

# the parameters that the peers' equations name
IZHIKEVICH = {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0, "tau_s": 5.0}

GATES = {"m": 0.05293248525725, "h": 0.59612075350846, "n": 0.31767691406070, "tau_s": 5.0}

SERIES_STEPS = (0.15, 0.3, 0.5)  # ms: heyoka finds its own

# which reach GOAL: steps of Brian2's rk4, and (order, dt) of ours, ms
BRIAN2_STEPS = (0.012, 0.01)

PRECISE = ((6, 0.045), (8, 0.06))

GOAL = 1e-6  # ms, error of a spike's time

STEP, DURATION, WINDOW = 0.05, 30.0, 15.0  # of Eventax's training, ms

# Eventax's names of parameters, and weights (mean, deviation) of the hidden and the output layer
TRAINED = {
    "qif": ({"thresh": 10.0, "vreset": -1.0, "tmem": 10.0, "tsyn": 5.0,
             "reset_grad_preserve": False}, (0.15, 0.1), (0.03, 0.02)),
    "izhikevich": ({"c": -65.0, "d": 8.0, "reset_grad_preserve": False}, (4.0, 2.0), (0.2, 0.1)),
}  # fmt: skip


def spike_error(times, reference):
    """Greatest error of a spike's time, inf where there are others; of a few neurons each."""
    if any(len(a) != len(b) for a, b in zip(times, reference, strict=True)):
        return math.inf
    return max(np.abs(np.subtract(a, b)).max(initial=0.0) for a, b in zip(times, reference))


class Cells:
    """Workers of one comparison, all started before the first measures."""

    def __init__(self, stack, pythons):
        self.stack, self.pythons, self.workers = stack, pythons, {}

    def own(self, title, **arguments):
        worker = lifnum("cells", 1, module=TASKS, **arguments)
        self.workers[title] = self.stack.enter_context(worker)
        return worker.about["times"]

    def peer(self, title, name, **arguments):
        """The peer's answer that it is ready, or None: it is not asked for, or failed."""
        if name not in self.pythons:
            return None
        try:
            worker = peer(name, self.pythons[name], **arguments)
        except WorkerError as error:
            print(f"left out: {error}", file=sys.stderr)
            return None
        self.workers[title] = self.stack.enter_context(worker)
        return worker.about

    def measure(self, repeat, count, errors=None):
        """{title: {quantity: values}}, seconds divided by count, errors by title added."""
        results = in_turn(self.workers, repeat)
        for title, measured in results.items():
            measured["seconds"] = [seconds / count for seconds in measured["seconds"]]
            if errors and title in errors:
                measured["error"] = [errors[title]]
        return results


def grid(plan, pythons):
    """Izhikevich's neurons under rk4, dt 0.1 ms: seconds a neuron and step."""
    n, duration, dt = (16, 20.0, 0.1) if plan.quick else (1000, 500.0, 0.1)
    currents = np.linspace(5.0, 15.0, n).tolist()
    with ExitStack() as stack:
        cells = Cells(stack, pythons)
        for how in ("none", "linear", "dense"):
            cells.own(how, model="izhikevich", currents=currents, duration=duration,
                      scheme={"method": "rk4", "dt": dt, "interpolation": how})  # fmt: skip
        cells.peer("brian2", "brian2", model="izhikevich", method="rk4", dt=dt, duration=duration,
                   currents=currents, parameters=IZHIKEVICH, record=False)  # fmt: skip
        return cells.measure(plan.repeat, n * duration / dt)


def series(plan, pythons):
    """Izhikevich's neurons to double precision: seconds a neuron and ms."""
    n, duration = (16, 20.0) if plan.quick else (64, 500.0)
    currents, errors = np.linspace(5.0, 15.0, n).tolist(), {}
    with ExitStack() as stack:
        cells = Cells(stack, pythons)
        times = {}
        for dt in SERIES_STEPS[:1] if plan.quick else SERIES_STEPS:
            title = f"ps, tolerance 1e-15, dt {dt:g} ms"
            times[title] = cells.own(
                title, model="izhikevich", currents=currents, duration=duration,
                scheme={"method": "ps", "tolerance": 1e-15, "dt": dt},
            )  # fmt: skip
        about = cells.peer("heyoka", "heyoka", currents=currents, duration=duration, tolerance=0.0,
                           batch=8, parameters=IZHIKEVICH)  # fmt: skip
        if about and "reference" in about:
            times["heyoka"] = about["times"]
            errors = {k: spike_error(one, about["reference"]) for k, one in times.items()}
        return cells.measure(plan.repeat, n * duration, errors)


def hodgkin_huxley(plan, pythons):
    """Hodgkin and Huxley's under exponential Euler at one dt: seconds a neuron and step."""
    n, duration, dt = (16, 10.0, 0.05) if plan.quick else (200, 100.0, 0.05)
    currents = np.linspace(8.0, 15.0, n).tolist()
    with ExitStack() as stack:
        cells = Cells(stack, pythons)
        for how in ("none", "linear", "dense"):
            cells.own(how, model="hodgkin-huxley", currents=currents, duration=duration,
                      scheme={"method": "exponential-euler", "dt": dt,
                              "interpolation": how})  # fmt: skip
        spec = {"model": "hodgkin-huxley", "method": "exponential_euler", "parameters": GATES}
        common = {"dt": dt, "duration": duration, "currents": currents}
        cells.peer("brian2", "brian2", **spec, **common, record=False)
        cells.peer("neuron", "neuron", **common)
        return cells.measure(plan.repeat, n * duration / dt)


def precise(plan, pythons):
    """Hodgkin and Huxley's with spike times to 1e-6 ms: seconds a neuron and ms."""
    n, duration = (16, 10.0) if plan.quick else (64, 100.0)
    currents, times = np.linspace(8.0, 15.0, n).tolist(), {}
    common = {"currents": currents, "duration": duration}
    with ExitStack() as stack:
        cells = Cells(stack, pythons)
        for order, dt in PRECISE[:1] if plan.quick else PRECISE:
            title = f"ps, order {order}, dt {dt:g} ms"
            scheme = {"method": "ps", "order": order, "dt": dt}
            times[title] = cells.own(title, model="hodgkin-huxley", **common, scheme=scheme)
        title = f"rk4, dt {BRIAN2_STEPS[0]:g} ms"
        times[title] = cells.own(title, model="hodgkin-huxley", **common,
                                 scheme={"method": "rk4", "dt": BRIAN2_STEPS[0]})  # fmt: skip
        for dt in BRIAN2_STEPS[:1] if plan.quick else BRIAN2_STEPS:
            title = f"brian2, rk4, dt {dt:g} ms"
            spec = {"model": "hodgkin-huxley", "method": "rk4", "dt": dt, "parameters": GATES}
            # its potential, for the error, is recorded by another program than is measured
            about = Cells(stack, pythons).peer(title, "brian2", **common, **spec, record=True)
            if about and cells.peer(title, "brian2", **common, **spec, record=False):
                times[title] = about["times"]
        with lifnum("cells", 1, module=TASKS, model="hodgkin-huxley", **common,
                    scheme={"method": "ps", "tolerance": 1e-14, "dt": 0.02}) as worker:  # fmt: skip
            reference = worker.about["times"]
        errors = {title: spike_error(one, reference) for title, one in times.items()}
        return cells.measure(plan.repeat, n * duration, errors)


def passes(plan):
    """Forward and backward pass of two layers, seconds."""
    n, batch = (20, 2) if plan.quick else (200, 10)
    schemes = {
        "rk4": {"method": "rk4", "dt": 0.1},
        "rk4, linear": {"method": "rk4", "dt": 0.1, "interpolation": "linear"},
        "rk4, piggyback": {"method": "rk4", "dt": 0.1, "gradient": "piggyback"},
        "ps order 6": {"method": "ps", "order": 6, "dt": 0.25},
        "exponential-euler": {"method": "exponential-euler", "dt": 0.1},
    }
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(
                lifnum(
                    "learn", 1, module=TASKS, model="izhikevich", scheme=scheme, n=n, batch=batch
                )
            )
            for name, scheme in schemes.items()
        }
        return in_turn(workers, plan.repeat)


def measure_compilation(plan, pythons):
    """Seconds of processor from a model to its first gradient, compiled and cached.

    The first one compiles what all models share too. The quick form compiles nothing anew.
    """
    results = {}
    names = ["lif", *(name for name in models.BUILT_IN if name != "lif")]
    for method in ("rk4",) if plan.quick else ("ps", "rk4"):
        with tempfile.TemporaryDirectory() as folder:
            cache = None if plan.quick else folder
            for name in names[:1] if plan.quick else names:
                found = []
                for _ in range(2):
                    with lifnum("first", 2, cache, TASKS, model=name, method=method) as worker:
                        found.append(worker.about)
                title = "what models share and lif" if name == "lif" else name
                results[f"{title}, {method}"] = {
                    "compiled": [found[0]["first"]],
                    "again": [found[0]["again"]],
                    "cached": [found[1]["first"]],
                }
    return results


def images(plan):
    """Training steps of 784-800-10 Izhikevich neurons on MNIST on two threads."""
    sizes = {"dataset": "digits", "hidden": 40, "count": 2} if plan.quick else {"count": 20}
    with lifnum("epoch", 2, module=TASKS, data_dir=plan.data_dir, **sizes) as worker:
        return in_turn({"izhikevich": worker}, plan.repeat)


def yinyang(plan, pythons):
    """Training steps of lifnum and Eventax on the same samples and weights: seconds a sample."""
    if "eventax" not in pythons:
        return {}
    hidden, batch, count = 100, 32, 2 if plan.quick else 10
    data, results = datasets.load("yinyang", window=1.0, limit_test=1), {}
    points = np.empty((len(data.train), 5))
    points[np.repeat(np.arange(len(points)), 5), data.train.indices] = data.train.times
    for name, (options, first, second) in TRAINED.items():
        generator = np.random.default_rng(0)
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            path = str(Path(folder) / "yinyang.npz")
            np.savez(path, points=points, labels=data.train_labels,
                     hidden=generator.normal(*first, (5, hidden)),
                     out=generator.normal(*second, (hidden, 3)))  # fmt: skip
            common = {"model": name, "data": path, "batch": batch}
            cells = Cells(stack, pythons)
            about = cells.peer(f"eventax, {name}", "eventax", **common, options=options,
                               hidden=hidden, count=count)  # fmt: skip
            if about is None:
                continue
            own = lifnum("yinyang", 1, module=TASKS, **common, options={}, count=10 * count,
                         step=STEP, duration=DURATION, window=WINDOW)  # fmt: skip
            cells.workers[f"lifnum, {name}"] = stack.enter_context(own)
            measured = in_turn(cells.workers, plan.repeat)
            for title, one in measured.items():
                one["loss"] = [cells.workers[title].about["loss"]]
            results |= measured
    return results


def measure_cells(plan, pythons):
    """{measurement: {title: {quantity: values}}} of neurons on their own."""
    return {
        "grid": grid(plan, pythons),
        "series": series(plan, pythons),
        "exponential": hodgkin_huxley(plan, pythons),
        "precise": precise(plan, pythons),
    }


def measure_learning(plan, pythons):
    """{measurement: {title: {quantity: values}}} of networks with gradients."""
    return {
        "passes": passes(plan),
        "images": images(plan),
        "training": yinyang(plan, pythons),
    }


SECTIONS = {"cells": measure_cells, "learning": measure_learning,
            "compilation": measure_compilation}  # fmt: skip
