"""python -m lifnum.analysis.benchmark: how fast, against what is possible and what others take.

Everything that the README's section on speed says is measured by

    python -m lifnum.analysis.benchmark --peers all --markdown

on a machine that does nothing else: less than a quarter of an hour on two cores, once the
environments of the other frameworks are there (the first run installs them; some GB).

Each measurement is a process of its own (`workloads`, `peers`) that is started,
warmed up and then asked for one repetition at a time, in turn with those it is compared with.
An epoch of lifnum is a whole one: encoding of the images, training steps, shuffling, logging and
checkpoint, without the evaluation. For the other frameworks the time of a sample, averaged over
the training steps of a repetition, is multiplied by the samples of an epoch (57,000 of MNIST, which
are 1,140 batches of 50: lifnum trains on as many; 5,000 of Yin-Yang).
Synaptic events are input spikes times fan-out, all layers, each counted once for its way forward
and back. The file holds every repetition: /section/measurement/quantity, in seconds, bytes, flops.
"""

import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import h5py
import numba
import numpy as np

from lifnum import options
from lifnum.analysis import style
from lifnum.analysis.benchmark import model_report, models, report
from lifnum.analysis.benchmark.workers import PEERS, WorkerError, in_turn, install, lifnum, peer
from lifnum.analysis.options import output
from lifnum.data import datasets, images
from lifnum.files.environment import environment
from lifnum.runs.presets import PRESETS

MEASURED = ("epoch", "schemes", "scaling", "start", "memory", "threads")  # by functions here

SECTIONS = (*MEASURED, *models.SECTIONS)

STEPS = (20, 100)  # grids of the frameworks that need one

BATCH, DURATION = 50, 0.2

SPOKEN_STEPS = 1000  # of 1 ms
SPOKEN_BATCHES = (64, 128, 256)  # the last one is as many samples as a repetition takes

# hidden neurons and batch as published with each, and batches a repetition
YINYANG_WORK = {"jaxsnn": (100, 64, 40), "eventax": (20, 32, 20)}


def parser():
    p = options.Parser(
        prog=f"python -m {__package__}",
        description="Measure seconds an epoch, share of the roofline, scaling, memory, start and, "
        "on request, other frameworks on the same work. Prints a table; writes every repetition "
        "to an HDF5 file and draws a figure beside it.",
    )
    p.add_argument("--only", default=",".join(SECTIONS), metavar="NAMES",
                   help=f"sections, separated by commas, or none: {', '.join(SECTIONS)} "
                   "(default: all)")  # fmt: skip
    p.add_argument("--peers", default="", metavar="NAMES",
                   help=f"other frameworks: {', '.join(PEERS)}, or all (default: none); "
                   f"{', '.join(models.ALONE)} are measured in the section cells, and eventax in "
                   "learning too")  # fmt: skip
    p.add_argument("--environments", default="build/peers", metavar="DIR",
                   help="their virtual environments, installed here once (default: "
                   "build/peers)")  # fmt: skip
    p.add_argument("--repeat", type=options.positive(int), default=5, metavar="N",
                   help="repetitions; medians of fewer than 5 are not to be quoted (default: "
                   "5)")  # fmt: skip
    p.add_argument("--quick", action="store_true",
                   help="a small form on digits that shows that everything works; its numbers "
                   "mean nothing")  # fmt: skip
    p.add_argument("--data-dir", metavar="DIR",
                   help="folder of mnist/ (default: $LIFNUM_DATA, else data)")  # fmt: skip
    p.add_argument("--out", type=output(".h5"), metavar="FILE.h5",
                   help="default: runs/benchmark-TIME.h5; .png and .pdf beside it")  # fmt: skip
    p.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return p


class Plan:
    """What is measured how often: parsed options, and the sizes of the full or the quick form."""

    def __init__(self, args):
        self.quick, self.repeat, self.data_dir = args.quick, args.repeat, args.data_dir
        self.dataset = "digits" if args.quick else "mnist"
        self.options = ["--dataset", self.dataset]
        if args.data_dir:
            self.options += ["--data-dir", args.data_dir]
        self.sections = _names("only", args.only, (*SECTIONS, "none"))
        self.peers = list(PEERS) if args.peers == "all" else _names("peers", args.peers, PEERS)
        if self.sections in ([], ["none"]) and not self.peers:
            raise ValueError("only and peers name nothing to measure; accepted: one at least")
        self.environments = args.environments
        self.out = Path(args.out or time.strftime("runs/benchmark-%Y%m%d-%H%M%S.h5"))
        for path in self.files():
            if path.exists():
                raise ValueError(f"{path}: exists; accepted: another --out")

    def files(self):
        """All files that the run writes."""
        return [self.out, *(self.out.with_suffix(ending) for ending in (".png", ".pdf"))]

    def levels(self):
        """{factor: {level: (threads, arguments of workloads.point)}}; each level twice the last."""
        base = {"hidden": [100 if self.quick else 800], "inputs": 784, "spikes": 150,
                "batch": BATCH, "batches": 1, "scheme": {},
                "seconds": 0.01 if self.quick else 0.3}  # fmt: skip
        size = base["hidden"][0]
        threads = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= numba.config.NUMBA_NUM_THREADS]
        factors = {
            "neurons": {n: {"hidden": [n]} for n in (size // 2, size, 2 * size)},
            "input spikes": {n: {"spikes": n} for n in (75, 150, 300)},
            "batch": {n: {"batch": n} for n in (25, 50, 100)},
            "layers": {n: {"hidden": [200] * n} for n in (2, 4, 8)},
            "samples": {n * BATCH: {"batches": n} for n in (2, 4, 8)},
            "grid steps": {
                n: {"scheme": {"method": "euler", "dt": DURATION / n}} for n in (100, 200, 400)
            },
            "threads": {n: {} for n in threads},
        }
        if self.quick:
            factors = {"neurons": dict(list(factors["neurons"].items())[:2])}
        return {
            factor: {
                str(level): (level if factor == "threads" else None, base | changes)
                for level, changes in levels.items()
            }
            for factor, levels in factors.items()
        }


def _names(option, text, accepted):
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in accepted:
            raise ValueError(f"{option} has {name!r}; accepted: {', '.join(accepted)}")
    return names


def _in_turn(started, repeat):
    """`in_turn` of workers that are started one after another and closed at the end."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(begin()) for name, begin in started.items()}
        return in_turn(workers, repeat)


def measure_epoch(plan):
    started = {
        "exact": lambda: lifnum("epoch", options=[*plan.options, "--method", "exact"]),
        "euler 1 ms": lambda: lifnum(
            "epoch", options=[*plan.options, "--method", "euler", "--dt", "1e-3"]
        ),
        "machine": lambda: lifnum("machine", megabytes=8 if plan.quick else 128),
    }
    return _in_turn(started, plan.repeat)


def measure_schemes(plan):
    named = [
        (f"{name} {1e3 * dt:g} ms", {**method, "dt": dt})
        for dt in (1e-3, 1e-2)
        for name, method in (
            ("euler", {"method": "euler"}),
            ("ps10", {"method": "ps", "order": 10}),
        )
    ]
    count = 2 if plan.quick else 60
    started = {"steps": lambda: lifnum("schemes", options=plan.options, named=named, count=count)}
    return _in_turn(started, plan.repeat)


def measure_scaling(plan):
    results = {}
    for factor, levels in plan.levels().items():
        started = {
            level: lambda threads=threads, arguments=arguments: lifnum(
                "point", threads, **arguments
            )
            for level, (threads, arguments) in levels.items()
        }
        results[factor] = _in_turn(started, plan.repeat)
    return results


def measure_start(plan):
    def seconds(cache):
        with lifnum("start", cache=cache, options=plan.options) as worker:
            return worker.seconds_to_ready

    results = {"cached": {"seconds": [seconds(None) for _ in range(plan.repeat)]}}
    if not plan.quick:  # compiling takes its time however small the work
        results["compiled"] = {"seconds": []}
        for _ in range(plan.repeat):
            with tempfile.TemporaryDirectory() as folder:
                results["compiled"]["seconds"].append(seconds(folder))
    return results


def measure_memory(plan):
    """Every repetition in a new process: memory that was freed may count again in an old one."""
    peaks = []
    for _ in range(plan.repeat):
        with lifnum("memory", options=[*plan.options, "--epochs", "1"]) as worker:
            peaks.append(worker.measure()["peak"])
    return {"train": {"peak": peaks}}


def measure_threads(plan):
    results = {}
    for threads in (1, 2) if plan.quick else (1, 2, 3, 4):
        with lifnum("epoch", threads, options=plan.options) as worker:
            results[str(threads)] = {key: [value] for key, value in worker.measure().items()}
    return results


def installed(plan):
    """{name: Python} of the peers that can be installed; says which can not."""
    pythons = {}
    for name in plan.peers:
        try:
            pythons[name] = install(name, plan.environments)
        except WorkerError as error:
            print(f"left out: {error}", file=sys.stderr)
    return pythons


def measure_peers(plan, pythons):
    """lifnum and the peers in turn; a peer that fails is left out, with one line."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trains, points = folder / "trains.npz", folder / "points.npz"
        workers = {}

        def own(name, options):
            workers[name] = stack.enter_context(lifnum("epoch", options=options))

        def add(title, name, **arguments):
            try:
                workers[title] = stack.enter_context(peer(name, pythons[name], **arguments))
            except WorkerError as error:
                print(f"left out: {error}", file=sys.stderr)

        grids = [
            name for name in pythons if PEERS[name].script == "grid.py" and not PEERS[name].shared
        ]
        if grids:
            _save_trains(plan.dataset, 8 * BATCH, trains, plan.data_dir)
            own(report.IMAGES, plan.options)
        for name in grids:
            for steps in STEPS:
                add(f"{name} {steps} steps", name, framework=name, data=str(trains), steps=steps,
                    batch=BATCH, count=2 if plan.quick else 1000 // steps,
                    **_work("mnist"))  # fmt: skip
                if f"{name} {steps} steps" in report.SURROGATE:
                    own(report.SURROGATE[f"{name} {steps} steps"], [
                        *plan.options, "--interpolation", "none", "--gradient", "surrogate",
                        "--dt", str(DURATION / steps),
                    ])  # fmt: skip
        if "snntorch-spoken" in pythons:
            _add_spoken(folder / "spoken.npz", (2,) if plan.quick else SPOKEN_BATCHES, add, own)
        _save_points(points)
        for name in report.YINYANG:
            if name not in pythons:
                continue
            hidden, batch, count = YINYANG_WORK[name]
            own(report.YINYANG[name], [
                "--dataset", "yinyang", "--hidden", str(hidden), "--batch-size", str(batch),
                "--validation-share", "0",
            ])  # fmt: skip
            add(name, name, data=str(points), hidden=hidden, batch=batch,
                count=2 if plan.quick else count)  # fmt: skip
        return in_turn(workers, plan.repeat)


def _add_spoken(path, batches, add, own):
    """The peer at every batch, and lifnum, on as many spoken digits as the last batch has."""
    n = batches[-1]
    _save_trains("synthetic-shd", n, path)
    for batch in batches:
        add(f"snntorch-spoken batch {batch}", "snntorch-spoken", framework="snntorch",
            data=str(path), steps=SPOKEN_STEPS, batch=batch, count=n // batch,
            **_work("synthetic-shd"))  # fmt: skip
    of_data = ["--dataset", "synthetic-shd", "--validation-share", "0", "--limit-train", str(n),
               "--limit-test", "20"]  # fmt: skip
    none = [*of_data, "--interpolation", "none", "--dt", "1e-3"]
    schemes = of_data, none, [*none, "--gradient", "surrogate"]
    for name, scheme in zip(report.SPOKEN.values(), schemes, strict=True):
        own(name, scheme)


def _work(preset):
    """What `peers.grid` takes of a preset."""
    preset = PRESETS[preset]
    return {
        "hidden": preset.hidden[0],
        "duration": preset.duration,
        "rate": preset.learning_rate,
        "neurons": list(zip(preset.tau_s, preset.tau, preset.theta)),
        "weights": [edges for _, *edges in preset.weights],
    }


def _save_trains(dataset, n, path, data_dir=None):
    """Samples of spike trains for frameworks that do not know lifnum."""
    data = datasets.load(dataset, data_dir, limit_train=n, limit_test=1)
    trains = data.train
    np.savez(path, times=trains.times, indices=trains.indices, offsets=trains.offsets,
             labels=data.train_labels, n_neurons=trains.n_neurons,
             n_classes=data.n_classes)  # fmt: skip


def _save_points(path):
    """Yin-Yang's inputs (n, 5) in [0, 1], the fraction of the window at which each spikes."""
    data = datasets.load("yinyang", window=1.0)
    n = len(data.train)
    points = np.empty((n, 5))
    points[np.repeat(np.arange(n), 5), data.train.indices] = data.train.times
    np.savez(path, points=points, labels=data.train_labels)


class Record:
    """The HDF5 file of a benchmark: written section by section, so that a stop loses one."""

    def __init__(self, path, header):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with h5py.File(path, "x") as file:
            file.attrs.update(header)

    def add(self, section, results):
        """Append a section: nested dicts that end in lists of one value a repetition."""

        def write(group, items):
            for name, item in items.items():
                if isinstance(item, dict):
                    write(group.create_group(name), item)
                else:
                    texts = isinstance(item[0], str)
                    group[name] = np.array(item, "S" if texts else float)

        with h5py.File(self.path, "a") as file:
            write(file.create_group(section), results)


def measure(plan, record):
    """All results of the plan: {section: {measurement: {quantity: values}}}."""
    pythons = installed(plan)  # before anything is measured
    tasks = {name: globals()[f"measure_{name}"] for name in MEASURED if name in plan.sections}
    for name in [name for name in models.SECTIONS if name in plan.sections]:
        tasks[name] = partial(models.SECTIONS[name], pythons=pythons)
    others = {name: python for name, python in pythons.items() if name not in models.ALONE}
    if others and not (plan.sections and set(plan.sections) <= set(models.SECTIONS)):
        tasks["peers"] = lambda plan: measure_peers(plan, others)
    results = {}
    for name, task in tasks.items():
        start = time.perf_counter()
        results[name] = task(plan)
        record.add(name, results[name])
        print(f"{name}: measured in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return results


def main(argv=None):
    args = parser().parse_args(argv)
    plan = Plan(args)
    header = environment(numba.config.NUMBA_NUM_THREADS) | {
        "repeat": plan.repeat, "quick": plan.quick, "dataset": plan.dataset,
    }  # fmt: skip
    if not plan.quick:
        images.read_images(plan.dataset, plan.data_dir)  # fails now or not at all
    results = measure(plan, Record(plan.out, header))
    table = report.rows(results, plan.dataset) + model_report.rows(results)
    if args.markdown:
        print(report.markdown(table, header))
    else:
        width = max((len(what) for what, _ in table), default=0)
        print("\n".join(f"{what:<{width}}  {result}" for what, result in table))
    style.save(report.draw(results, plan.dataset), *plan.files()[1:])
    print(f"repetitions in {plan.out}, figure in {plan.files()[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(options.run(__package__, main))
