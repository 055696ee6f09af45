"""Short runs of a study, one line of a table each, in this process or in workers.

A run of digits trains for a second, less than a program takes to start: `lifnum.sweep` is for the
longer ones. The table is CSV text that grows line by line, so a stopped study goes on where it was.
"""

import contextlib
import csv
import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numba
from tqdm import tqdm

from lifnum.data import datasets
from lifnum.errors import SimulationError
from lifnum.runs.trainer import Trainer

MEASURES = ("accuracy", "hidden_spikes", "output_spikes", "hidden_step", "output_step", "failed",
            "seconds")  # fmt: skip

load_data = functools.lru_cache(maxsize=16)(datasets.load)


class Run(NamedTuple):
    """One run: the columns that name it in the table, as text, and what is run.

    A `Configuration` for `execute`; whatever a study's own `execute` takes.
    """

    key: dict
    config: object


def key_of(config, **more):
    """Columns that name a run: its data set, scheme and seed, and what else the design varies."""
    scheme = config.scheme
    columns = {"dataset": config.preset.dataset, **more} | {
        "method": scheme.method + str(scheme.order or ""),
        "dt": scheme.dt or 0.0,
        "interpolation": scheme.interpolation,
        "gradient": scheme.gradient,
        "seed": config.seed,
    }
    return {name: value if isinstance(value, str) else f"{value:.9g}"
            for name, value in columns.items()}  # fmt: skip


def execute(config, more=None):
    """Train a network to the end of its epochs, and evaluate it on the test set.

    more: from the trainer to a dict of further measures.

    Returns
    -------
    dict
        `MEASURES`: accuracy (share), spikes a sample and mean sub-interval (s) of the first hidden
        and of the output layer, whether a number was not finite (0 or 1), seconds of training.
        A run stopped by such a number is evaluated with the weights before that step; where these
        give one too, its accuracy is 0.
    """
    preset = config.preset
    data = load_data(preset.dataset, None, preset.window, config.seed, config.limit_train,
                     config.limit_test)  # fmt: skip
    trainer = Trainer(config, data)
    failed, values = 0.0, (0.0,) * 5
    try:
        while trainer.epoch < preset.epochs:
            trainer.step()
    except SimulationError:
        failed = 1.0
    try:
        test = trainer.test()
    except SimulationError:
        failed = 1.0
    else:
        length = preset.duration / test.steps.clip(1.0)
        values = test.accuracy, test.spikes[0], test.spikes[-1], length[0], length[-1]
    found = dict(zip(MEASURES, (*map(float, values), failed, trainer.seconds), strict=True))
    return found | (more(trainer) if more else {})


def read(path, measures=MEASURES):
    """Rows of a table with these columns, a list of dicts of text; empty where there is no file.

    A last line without an end, of a process that was killed, is no row.

    Raises
    ------
    ValueError
        The file is no such table.
    """
    path = Path(path)
    if not path.exists():
        return []
    head, end, _ = path.read_text().rpartition("\n")
    rows = list(csv.DictReader((head + end).splitlines()))
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values() or not set(measures) <= row.keys():
            accepted = "a table that a study of lifnum.analysis.study wrote"
            raise ValueError(f"{path}: line {line} is not of its columns; accepted: {accepted}")
    return rows


def missing(runs, rows):
    """The runs that no row of a table is of."""
    done = {tuple(row.get(name) for name in runs[0].key) for row in rows} if runs else set()
    return [run for run in runs if tuple(run.key.values()) not in done]


def run_all(runs, path, workers=1, quiet=False, most=None, execute=execute, measures=MEASURES):
    """Run what the table at `path` lacks, `most` of it, and add the rows of each when it is there.

    `execute` gives one row of `measures` for a run's config, a dict, or a list of several.

    Raises
    ------
    ValueError
        The file is no table of these runs' columns.
    """
    path, rows = Path(path), read(path, measures)
    todo = missing(runs, rows)[:most]
    columns = [*runs[0].key, *measures]
    if rows and list(rows[0]) != columns:
        raise ValueError(f"{path}: columns {', '.join(rows[0])}; accepted: {', '.join(columns)}")
    if not todo:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():  # without the half line of a process that was killed
        text = path.read_text()
        path.write_text(text[: text.rfind("\n") + 1])
    with open(path, "a") as file, contextlib.ExitStack() as stack:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not file.tell():
            writer.writeheader()
        if workers == 1:
            finished = ((run, execute(run.config)) for run in todo)
        else:
            finished = _in_workers(todo, workers, stack, execute)
        bar = tqdm(finished, total=len(todo), unit="run", disable=True if quiet else None)
        for run, found in bar:
            for one in [found] if isinstance(found, dict) else found:
                values = {name: value if isinstance(value, str) else f"{value:.6g}"
                          for name, value in one.items()}  # fmt: skip
                writer.writerow(run.key | values)
            file.flush()


def time_all(runs, path, seconds, measures):
    """Measure the seconds that rows of the table at `path` lack (NaN), and write them into it.

    seconds: from a run's `config` to a number. To be run alone on the machine.
    """
    path, rows = Path(path), read(path, measures)
    by_key = {tuple(run.key.values()): run for run in runs}
    for row in rows:
        run = by_key.get(tuple(row[name] for name in runs[0].key))
        if run is None or row["seconds"] != "nan":
            continue
        row["seconds"] = f"{seconds(run.config):.6g}"
        if row["seconds"] != "nan":
            part = path.with_suffix(".part")
            with open(part, "w") as file:
                writer = csv.DictWriter(file, list(row), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            part.replace(path)


def _in_workers(runs, workers, stack, execute):
    """(run, measures) as they come, of processes of one thread each; none outlives the stack."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, numba.set_num_threads, (1,))
    stack.callback(pool.shutdown, cancel_futures=True)
    futures = {pool.submit(execute, run.config): run for run in runs}
    for future in as_completed(futures):
        yield futures.pop(future), future.result()
