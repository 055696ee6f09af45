"""python -m lifnum.sweep: a grid of runs of lifnum.train, on one machine or a cluster.

Each run is a process of its own, ``python -m lifnum.train``, started by a task of Dask distributed,
so signals, threads and failures of one run are its own. Nothing but the traces and checkpoints in
the output folder says how far a run is: a task looks there when it starts, so it does not matter
which worker had the run before, or which sweep. A run ends with the worker that started it.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import dask
from distributed import Client, Event, LocalCluster, get_client, get_worker
from distributed.comm import get_address_host
from tqdm import tqdm

from lifnum import errors, options, train
from lifnum.errors import TraceError
from lifnum.fields import options_of
from lifnum.files import checkpoint
from lifnum.files.lock import Lock
from lifnum.files.reader import Trace
from lifnum.runs.configuration import Configuration
from lifnum.runs.run import remarks
from lifnum.runs.trainer import Trainer
from lifnum.scheme import Scheme

EPILOG = """\
Every other option is one of python -m lifnum.train and holds for all runs:

    python -m lifnum.sweep --methods euler ps --orders 2 3 --dt 0.002 0.01 0.05 \\
        --gradient adjusted piggyback --seeds 0 1 2 --datasets mnist mnist-threshold \\
        --epochs 10 --output runs/study

The same command goes on where it was stopped: finished runs are skipped, unfinished ones resumed.
Times of runs that share a machine say little; for times, run one at a time on all cores:
--workers 1 --threads N.

Several machines that share the folder: start the scheduler on one of them, workers of one thread
on each, then the sweep anywhere:

    dask scheduler --port 8786
    dask worker tcp://HOST:8786 --nthreads 1 --nworkers 8 --memory-limit 0
    python -m lifnum.sweep ... --scheduler tcp://HOST:8786

SLURM: pip install dask-jobqueue, and keep this running while the sweep runs:

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(cores=1, processes=1, memory="4GB", walltime="08:00:00",
                           scheduler_options={"port": 8786})
    cluster.scale(jobs=40)
    input(cluster.scheduler_address)  # for --scheduler

A job that meets its time limit loses nothing but the part of its run since the last checkpoint.

exit code: 0 where all runs finished, 1 where some failed, 2 for bad input, 130 after Ctrl-C."""

POLL = 0.5  # seconds between two looks at the runs

RELEASE = 120.0  # seconds until a run whose worker is gone has stopped: a step, or an evaluation

STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM)  # exit codes of a run that was told to stop

# Ctrl-C reaches the worker processes too, but it is the sweep that stops them, runs first
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


class Job(NamedTuple):
    """One run of a sweep."""

    path: str  # of its trace
    config: Configuration
    arguments: list  # of lifnum.train
    folder: str  # that paths are relative to
    data_dir: str | None
    threads: int
    remarks: tuple = ()  # of lifnum.train about its options


def parser():
    p = options.Parser(
        prog="python -m lifnum.sweep",
        description="Train a network for every combination of methods, orders, grid steps, "
        "interpolations, gradients, seeds and data sets, each with a trace of its own.",
        epilog=EPILOG,
    )
    group = options.add_grid(p, "exact, dense, dt 0.001; as the preset of a model", gradients=True)
    group.add_argument("--seeds", type=options.whole, nargs="+", default=[0], metavar="N",
                       help="runs of equal seed share initial weights and batch order "
                       "(default: 0)")  # fmt: skip
    group.add_argument("--datasets", nargs="+", default=["digits"], metavar="NAME",
                       help="as --dataset of lifnum.train (default: digits)")  # fmt: skip
    group.add_argument("--neurons", nargs="+", metavar="MODEL",
                       help="as --neuron of lifnum.train, for all layers (default: as the preset "
                       "says)")  # fmt: skip
    g = p.add_argument_group("execution")
    g.add_argument("--output", default="runs/sweep", metavar="DIR",
                   help="folder of the traces (default: runs/sweep)")  # fmt: skip
    g.add_argument("--workers", type=options.positive(int), metavar="N",
                   help="runs at once on this machine (default: one a core)")  # fmt: skip
    g.add_argument("--threads", type=options.positive(int), default=1, metavar="N",
                   help="threads of each run (default: 1)")  # fmt: skip
    g.add_argument("--scheduler", metavar="ADDRESS",
                   help="of a Dask scheduler, whose workers run the sweep")  # fmt: skip
    g.add_argument("--retries", type=options.whole, default=1, metavar="N",
                   help="times that a failed run is tried again (default: 1)")  # fmt: skip
    g.add_argument("--dry-run", action="store_true", help="list the runs and how far they are")
    g.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


def jobs_of(args, rest):
    """The runs of parsed options and of the options that are for lifnum.train.

    Raises
    ------
    ValueError
        A value that lifnum.train refuses, or two runs that one file name stands for.
    """
    train_parser = train.parser()
    train_parser.prog = "python -m lifnum.sweep"
    jobs = {}
    for seed, dataset, neuron in product(args.seeds, args.datasets, args.neurons or [None]):
        common = {"dataset": dataset, "seed": seed, "neuron": neuron}
        for scheme in _schemes(args, train_parser.parse_args([*options.arguments(common), *rest])):
            chosen = common | {name: getattr(scheme, name) for name in options_of(Scheme)}
            job = _job(args, train_parser, [*options.arguments(chosen), *rest])
            if jobs.setdefault(job.path, job).config != job.config:
                raise ValueError(
                    f"{job.path} would stand for two runs; accepted: one sweep for each"
                )
    return list(jobs.values())


def _schemes(args, parsed):
    """The schemes of the grid; what no option says is as the preset of parsed options has it."""
    own = train.config_of(parsed).scheme
    methods, orders, tolerances = args.methods or [own.method], args.orders, args.tolerance
    if not (orders or tolerances) and own.method == "ps" and "ps" in methods:
        orders, tolerances = ([one] if one else None for one in (own.order, own.tolerance))
    dts = args.dt or [own.dt or options.DEFAULT_DT]
    kinds = args.interpolation or [own.interpolation]
    return options.grid(methods, orders, dts, kinds, options.gradients_of(args),
                        options.limits_of(args), tolerances)  # fmt: skip


def _job(args, train_parser, arguments):
    """The run of options of lifnum.train."""
    parsed = train_parser.parse_args(arguments)
    for name in ("resume", "overwrite", "parent"):
        if getattr(parsed, name):
            raise ValueError(f"{name} is no option of a sweep; accepted: another --output")
    config = train.config_of(parsed)
    path = Path(args.output, f"{config.label_with_data}.h5")
    data_dir = parsed.data_dir or os.environ.get("LIFNUM_DATA")
    if parsed.data_dir is None and data_dir:  # other machines do not have our environment
        arguments = [*arguments, f"--data-dir={data_dir}"]
    where = os.getcwd(), data_dir, args.threads
    return Job(str(path), config, arguments, *where, tuple(train.remarks(parsed)))


def check(jobs):
    """Begin runs as lifnum.train does, without a trace: what it refuses is refused before all.

    What it warns about is so once. A data set that has to be downloaded is so once, instead of by
    every worker.
    """
    loaded, lines = {}, {}
    for job in jobs:
        for folder in Path(job.path).parents:
            if folder.exists() and not folder.is_dir():
                why = f"but {folder} is a file; accepted: a folder"
                raise ValueError(f"output is {Path(job.path).parent}, {why}")
        preset = job.config.preset
        key = preset.dataset, preset.window, preset.encoding, preset.label_column
        if key not in loaded:
            loaded[key] = job.config.data(job.data_dir)
        Trainer(replace(job.config, device="cpu"), loaded[key])
        lines |= dict.fromkeys([*job.remarks, *remarks(preset, job.config.scheme, loaded[key])])
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)


def state(job):
    """("new", "unfinished" or "finished", epochs done) of a run.

    Raises
    ------
    TraceError
        Its file holds something else, or is damaged.
    """
    path = Path(job.folder, job.path)
    if not path.exists():
        return "new", 0.0
    with Trace(path) as trace:
        if Configuration.from_json(trace.config, path) != job.config:
            raise TraceError(f"{path}: holds a run of other options; accepted: another --output")
        epochs = trace.epochs["epoch"]
        done = float(epochs[-1]) if len(epochs) else 0.0
        return ("finished" if trace.status == "finished" else "unfinished"), done


def _is_free(path, seconds=0.0):
    """Whether no process is writing a trace, after a wait of at most that long."""
    end = time.monotonic() + seconds
    while Path(f"{path}.lock").exists():
        try:
            Lock(path).release()
        except TraceError:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
    return True


def _start(job):
    """Options of lifnum.train that begin a run, or go on with it; None where it is finished."""
    path = Path(job.folder, job.path)
    if not _is_free(path, RELEASE):
        raise TraceError(f"{path}: another process is writing it")
    name, _ = state(job)
    if name == "finished":
        return None
    if name == "new":
        return ["--output", job.path]
    with Trace(path) as trace:
        begun = any(len(table["epoch"]) for table in (trace.epochs, trace.batches))
    try:
        checkpoint.load_latest(path)
    except errors.CheckpointError:
        if begun:
            raise
        return ["--output", job.path, "--overwrite"]  # killed before its first checkpoint
    return ["--resume", job.path]


def execute(job, stop_name):
    """Task of a Dask worker: train a run to its end.

    Returns whether it is finished; False where the sweep was stopped, after a checkpoint.

    Raises
    ------
    RuntimeError
        The run failed; the message is one line.
    """
    stop = Event(stop_name, client=get_client())
    host = get_address_host(get_worker().address)
    threads = get_client().nthreads()
    workers = sum(n for address, n in threads.items() if get_address_host(address) == host)
    try:
        start = _start(job)
    except ValueError as error:
        raise RuntimeError(str(error)) from None
    if start is None:
        return True
    command = [sys.executable, "-m", "lifnum.train", *job.arguments, *start, "--quiet"]
    command += [f"--threads={job.threads}", f"--workers={max(1, workers)}"]
    command += [f"--parent={os.getpid()}"]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    streams |= {"stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=job.folder, start_new_session=True, **streams)
    stopping = False
    while True:
        try:
            _, errors = process.communicate(timeout=POLL)
            break
        except subprocess.TimeoutExpired:
            if not stopping and stop.is_set():
                stopping = True
                process.terminate()
    if process.returncode == 0:
        return True
    if stopping and process.returncode in STOPPED:
        return False
    raise RuntimeError(_failure(process.returncode, errors))


def _failure(code, errors):
    """One line about a process that failed."""
    lines = [line for line in errors.splitlines() if line and not line.startswith("warning")]
    if code < 0 or not lines:
        return f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return lines[-1].removeprefix("lifnum.train: ")


def _client(stack, args, n_runs):
    """A client of the scheduler asked for, or of a cluster on this machine."""
    if args.scheduler is not None:
        try:
            return stack.enter_context(Client(args.scheduler, timeout=20))
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            raise ValueError(
                f"scheduler is {args.scheduler!r}: {' '.join(str(error).split())}; accepted: the "
                "address of a running one, such as tcp://host:8786"
            ) from None
    n = args.workers or options.set_threads(None)
    # no worker keeps a second run waiting that another could begin
    stack.enter_context(dask.config.set({"distributed.scheduler.worker-saturation": 1.0}))
    cluster = LocalCluster(
        n_workers=min(n, n_runs),
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address="localhost:0",
        preload=[DEAF],
        silence_logs="CRITICAL",
    )
    return stack.enter_context(Client(stack.enter_context(cluster)))


def sweep(jobs, args):
    """Run what is not finished; returns {path: error line} of the runs that failed.

    Raises
    ------
    KeyboardInterrupt
        After the running ones were stopped and checkpointed.
    """
    states = {job.path: state(job) for job in jobs}
    todo = [job for job in jobs if states[job.path][0] != "finished"]
    epochs = {job.path: job.config.preset.epochs for job in jobs}
    done = {path: epoch for path, (_, epoch) in states.items()}
    done |= {path: float(epochs[path]) for path, (name, _) in states.items() if name == "finished"}
    failed = {}
    if not todo:
        return failed
    check(todo)
    with ExitStack() as stack:
        client = _client(stack, args, len(todo))
        stop = Event(f"stop-{os.getpid()}-{time.time_ns()}", client=client)
        how = {"retries": args.retries, "pure": False}
        pending = {
            client.submit(execute, job, stop.name, priority=-k, **how): job
            for k, job in enumerate(todo)
        }
        total, initial = sum(epochs.values()), round(sum(done.values()), 1)
        disable = True if args.quiet else None
        bar = tqdm(total=total, unit="epoch", initial=initial, disable=disable)
        stack.enter_context(bar)
        alone = False
        try:
            while pending:
                alone = _say_whether_alone(client, alone)
                for future in [f for f in pending if f.done()]:
                    job = pending.pop(future)
                    error = _error(future)
                    if error is None:
                        done[job.path] = float(epochs[job.path])
                    else:
                        failed[job.path] = error
                paths = [job.path for job in pending.values()]
                running = [path for path in paths if Path(f"{path}.lock").exists()]
                for path in running:
                    done[path] = _progress(path, done[path])
                bar.n = round(sum(done.values()), 1)
                finished = len(jobs) - len(pending) - len(failed)
                others = f"{len(running)} running, {len(failed)} failed"
                bar.set_postfix_str(f"{finished} of {len(jobs)} runs finished, {others}")
                time.sleep(POLL if pending else 0.0)
        except KeyboardInterrupt:
            stop.set()
            waiting = [f for f, job in pending.items() if not Path(f"{job.path}.lock").exists()]
            client.cancel(waiting)
            for job in pending.values():
                _is_free(job.path, RELEASE)
            raise
    return failed


def _say_whether_alone(client, before):
    """Say so where no worker is left, once (`before`: it was so at the last look); whether it is.

    They may come back: a cluster starts jobs again.
    """
    try:
        alone = not client.nthreads()
    except (OSError, TimeoutError):  # the scheduler is gone, which the runs then tell
        return before
    if alone and not before:
        address = client.scheduler.address
        how = f"`dask worker {address} --nthreads 1 --memory-limit 0` starts it"
        line = f"warning: the scheduler {address} has no worker: the runs wait for one, as {how}"
        tqdm.write(line, file=sys.stderr)
    return alone


def _error(future):
    """What was wrong with a task, in one line, or None."""
    if future.status == "finished":
        return None if future.result() else "stopped"
    if future.status == "error":
        return " ".join(str(future.exception()).split())
    return "lost: the scheduler is gone"


def _progress(path, before):
    """Epochs done according to a trace that is being written."""
    try:
        with Trace(path) as trace:
            epochs = trace.epochs["epoch"]
            return max(before, float(epochs[-1])) if len(epochs) else before
    except TraceError:  # just being created
        return before


def listing(jobs):
    """The runs and how far they are, as text."""
    lines, counts = [], Counter()
    for job in jobs:
        name, epoch = state(job)
        counts[name] += 1
        epochs = job.config.preset.epochs
        lines.append(f"{name:<10} {epoch:>6.4g} of {epochs} epochs  {job.path}")
    return [*lines, f"{len(jobs)} runs: " + ", ".join(f"{n} {name}" for name, n in counts.items())]


def main(argv=None):
    args, rest = parser().parse_known_args(argv)
    jobs = jobs_of(args, rest)
    if args.dry_run:
        check([job for job in jobs if state(job)[0] != "finished"])
        print("\n".join(listing(jobs)))
        return 0
    try:
        failed = sweep(jobs, args)
    except KeyboardInterrupt:
        finished = sum(state(job)[0] == "finished" for job in jobs)
        print(f"stopped; {finished} of {len(jobs)} runs are finished; the same command goes on")
        raise
    for path, line in failed.items():
        print(f"failed: {path}: {line.removeprefix(path + ': ')}", file=sys.stderr)
    print(f"{len(jobs) - len(failed)} of {len(jobs)} runs are finished; traces in {args.output}")
    return 1 if failed else 0


if __name__ == "__main__":
    from lifnum import sweep as module  # tasks name their function after it

    sys.exit(options.run("lifnum.sweep", module.main))
