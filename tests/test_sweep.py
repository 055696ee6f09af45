"""Sweeps: real worker processes, killed and not, and what is skipped, resumed or refused."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import psutil
import pytest
from distributed import Client, LocalCluster
from helpers import ROOT, SMALL, assert_equal_runs, wait_for

from lifnum import errors, options, sweep, train
from lifnum.files import checkpoint
from lifnum.files.reader import Trace
from lifnum.runs.configuration import Configuration
from lifnum.runs.run import Run

LONG = [*SMALL, "--epochs", "30"]


@pytest.fixture(autouse=True)
def one_thread():
    """Runs beside busy workers: a pool of threads would wait for its slowest at every loop."""
    n = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(n)


def run(*arguments):
    return options.run("lifnum.sweep", sweep.main, ["--quiet", *arguments])


def jobs(*arguments):
    return sweep.jobs_of(*sweep.parser().parse_known_args(arguments))


def train_alone(job, output):
    assert train.main([*job.arguments, "--output", output, "--quiet"]) == 0


def process_of(job):
    """The process that trains a job now, or None."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "lifnum.train" in line and job.path in line:
            return process
    return None


def is_under_way(job):
    """Whether a run has checkpoints of its middle."""
    try:
        return checkpoint.load_latest(job.path)[1]["epoch"] >= 3
    except errors.CheckpointError:
        return False


def test_a_sweep_whose_workers_and_runs_are_killed_ends_as_an_undisturbed_one(in_tmp, capsys):
    grid = ["--methods", "euler", "--dt", "0.01", "0.02", "0.04", "--output", "d", *LONG]
    first, second, third = jobs(*grid)
    Path("whole").mkdir()
    train_alone(first, first.path)  # one that is finished before
    before = Path(first.path).read_bytes()
    for job in (second, third):
        train_alone(job, job.path.replace("d/", "whole/"))
    codes = []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, silence_logs="CRITICAL",
                     dashboard_address="localhost:0") as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        arguments = [*grid, "--scheduler", client.scheduler.address, "--retries", "1"]
        thread = threading.Thread(target=lambda: codes.append(run(*arguments)))
        workers = client.run(os.getpid).values()
        thread.start()
        children = {}
        while len(children) < 2:  # both run at once: whichever is under way first
            for job in (second, third):
                if job.path not in children and is_under_way(job):
                    child = children[job.path] = process_of(job)
                    if job is second:
                        assert child.ppid() in workers
                        os.kill(child.ppid(), signal.SIGKILL)
                    else:  # a run that fails, for which its worker is not to blame
                        child.kill()
            assert thread.is_alive()
            time.sleep(0.02)
        wait_for(lambda: not children[second.path].is_running())  # a run ends with its worker
        thread.join(timeout=300)
    assert codes == [0] and "3 of 3 runs are finished" in capsys.readouterr().out
    assert Path(first.path).read_bytes() == before
    for job in (second, third):
        assert_equal_runs(job.path, job.path.replace("d/", "whole/"))
        with Trace(job.path) as trace:
            assert trace.header["workers"] == 2  # as many as could run on the machine
    with Trace(first.path) as trace:
        assert trace.header["workers"] == 1
    files = {p.name: p.read_bytes() for p in Path("d").iterdir()}
    traces = [name for name in files if ".checkpoint-" not in name]
    assert sorted(traces) == sorted(Path(job.path).name for job in (first, second, third))
    assert len(files) == 2 * len(traces)
    # all are skipped: no scheduler is even looked for
    assert run(*grid, "--scheduler", "tcp://127.0.0.1:1") == 0
    assert {p.name: p.read_bytes() for p in Path("d").iterdir()} == files


def test_a_local_sweep_reports_a_run_that_fails_after_its_retries(in_tmp, capsys):
    grid = ["--methods", "euler", "--dt", "0.01", "--output", "d", *SMALL]
    # the input currents overflow float32
    assert run(*grid, "--weights", "uniform:1e38:2e38", "--workers", "1") == 1
    out, error = capsys.readouterr()
    (job,) = jobs(*grid)
    assert "0 of 1 runs are finished" in out
    assert error.startswith(f"failed: {job.path}: epoch 1, batch 1: layer 0, sample")
    assert error.count("\n") == 1 and "largest weight" in error
    config = Configuration.from_json(Trace(job.path).config, job.path)
    assert sweep.state(job._replace(config=config))[0] == "unfinished"


@pytest.mark.slow
@pytest.mark.parametrize("end", ["SIGINT", "SIGKILL"])
def test_a_stopped_sweep_leaves_its_runs_checkpointed_and_alone(in_tmp, end):
    grid = ["--methods", "euler", "--dt", "0.01", "0.02", "--output", "d", *LONG]
    line = [sys.executable, "-m", "lifnum.sweep", *grid, "--workers", "1", "--epochs", "100000"]
    process = subprocess.Popen(
        line, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    first, second = jobs(*grid, "--epochs", "100000")
    wait_for(lambda: is_under_way(first) or process.poll() is not None)
    child = process_of(first)
    if end == "SIGINT":  # as a terminal sends it: to all processes of the group
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=60)
        assert process.returncode == 130 and error == ""
        assert "0 of 2 runs are finished; the same command goes on" in out
    else:
        process.kill()
        process.communicate(timeout=60)
    wait_for(lambda: not child.is_running())
    with Trace(first.path) as trace:
        assert trace.status == "interrupted"
    assert not list(Path("d").glob("*.lock")) and is_under_way(first)
    assert sweep.state(second)[0] == "new"


def test_a_run_stops_when_the_process_that_started_it_is_gone(in_tmp):
    program = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-m', 'lifnum.train', *sys.argv[1:],\n"
        "                  f'--parent={os.getpid()}'], stderr=subprocess.DEVNULL)\n"
    )
    line = [sys.executable, "-c", program, "--output", "a.h5", "--quiet", "--method", "euler",
            *LONG, "--epochs", "100000", "--threads", "1"]  # fmt: skip
    # its output is the run's too, and ends when both are gone
    subprocess.run(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120, check=True,
                   stdout=subprocess.PIPE)  # fmt: skip
    with Trace("a.h5") as trace:
        assert trace.status == "interrupted" and len(trace.epochs["epoch"]) == 0


def test_a_dry_run_lists_the_runs_and_starts_none(in_tmp, capsys):
    grid = ["--methods", "euler", "ps", "--orders", "2", "--dt", "0.01", "--output", "d", *SMALL]
    done, todo = jobs(*grid)
    train_alone(done, done.path)
    capsys.readouterr()
    assert run(*grid, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["finished", "2", "of", "2", "epochs", done.path]
    assert lines[1].split() == ["new", "0", "of", "2", "epochs", todo.path]
    assert lines[2] == "2 runs: 1 finished, 1 new"
    assert [p.name for p in Path("d").glob("*.h5")] == [Path(done.path).name]


def test_a_run_killed_before_its_first_checkpoint_begins_anew_and_none_later(in_tmp):
    (job,) = jobs("--methods", "euler", "--output", "d", *SMALL)
    assert sweep._start(job) == ["--output", job.path]
    run_ = Run(job.config, job.path)
    run_.trace.close("running")
    assert sweep._start(job) == ["--resume", job.path]
    checkpoint.remove(job.path)
    assert sweep._start(job) == ["--output", job.path, "--overwrite"]
    run_ = Run(job.config, job.path, overwrite=True)
    run_._evaluate(True, False)
    run_.trace.close("running")
    checkpoint.remove(job.path)
    with pytest.raises(errors.CheckpointError, match="no usable checkpoint"):
        sweep._start(job)


def test_every_run_of_a_grid_has_a_file_named_after_it():
    names = [
        Path(job.path).name
        for job in jobs(
            "--methods", "euler", "exact", "--dt", "0.01", "--gradient", "adjusted", "piggyback",
            "--seeds", "0", "1", "--datasets", "mnist", "mnist-threshold", "--epochs", "3",
        )
    ]  # fmt: skip
    assert len(set(names)) == len(names) == 2 * 2 * 3  # exact has one gradient
    # a sweep that is cut short has whole grids of the first seeds
    assert names[:3] == ["mnist-euler-dt0.01-s0.h5", "mnist-euler-dt0.01-piggyback-s0.h5",
                         "mnist-exact-s0.h5"]  # fmt: skip
    assert names[3:6] == [name.replace("mnist", "mnist-threshold") for name in names[:3]]
    assert names[6:] == [name.replace("s0", "s1") for name in names[:6]]
    (job,) = jobs("--datasets", "mnist-threshold", "--preset", "mnist", "--hidden", "7")
    assert Path(job.path).name == "mnist-mnist-threshold-exact-s0.h5"
    assert job.config.preset.hidden == (7,)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--methods", "eular"], "method is 'eular'; accepted: exact, euler"),
        (["--methods", "ps"], "order is None; accepted: an integer from 1 to 32"),
        (["--gradient", "adjoint"], "gradient is 'adjoint'; accepted: adjusted, piggyback"),
        (["--datasets", "digits", "--theta", "0"], "theta is 0.0"),
        (["--datasets", "imagenet"], "dataset is 'imagenet'; accepted: digits, yinyang"),
        (["--methods", "euler", "--dt", "0.1", "1e-12"], "at most 1e+08 steps"),
        (["--epoks", "3"], "unrecognized arguments: --epoks 3"),
        (["--overwrite"], "overwrite is no option of a sweep"),
        (["--methods", "euler", "--dt", "0.01", "0.010000001"], "would stand for two runs"),
        (["--scheduler", "nowhere"], "scheduler is 'nowhere'"),
        (["--workers", "0"], "--workers: 0 is not > 0"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(in_tmp, refusal, arguments, message):
    assert message in refusal(run, *arguments)
    assert not list(Path().rglob("*.h5"))


def test_a_file_that_is_not_the_run_is_named_and_left_as_it_is(in_tmp, refusal):
    grid = ["--methods", "euler", "--output", "d", *SMALL]
    (job,) = jobs(*grid)
    train_alone(job, job.path)
    for content in (Path(job.path).read_bytes(), b"no trace"):
        Path(job.path).write_bytes(content)
        assert job.path in refusal(run, *grid, "--batch-size", "10")
        assert Path(job.path).read_bytes() == content


def test_the_last_line_of_a_failed_run_says_why():
    assert sweep._failure(-9, "") == "killed by signal 9"
    assert sweep._failure(1, "warning: slow\nlifnum.train: no space\n") == "no space"
    assert sweep._failure(1, "warning: slow\n") == "ended with exit code 1"
