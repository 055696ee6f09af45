"""Runs that are killed, stopped, starved of disk space or started twice, and those who read them.

Children come from a server that has imported lifnum already, so that a kill meets training rather
than imports.
"""

import errno
import os
import signal
import subprocess
import time
from pathlib import Path

import numba
import numpy as np
import pytest
from helpers import CONTEXT, OPTIONS, Child, assert_equal_runs, wait_for

from lifnum import options, train
from lifnum.errors import TraceError
from lifnum.files import checkpoint
from lifnum.files.lock import Lock
from lifnum.files.reader import Trace
from lifnum.files.trace import BATCHES, EPOCHS, TIMINGS
from lifnum.files.writer import TraceWriter
from lifnum.runs.run import Run
from lifnum.runs.signals import Interrupted, Signals


def run(*arguments):
    threads = numba.get_num_threads()
    try:
        return options.run("lifnum.train", train.main, [*OPTIONS, "--quiet", *arguments])
    finally:
        numba.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The trace of a run that nothing happened to."""
    path = tmp_path_factory.mktemp("whole") / "whole.h5"
    assert run("--output", str(path)) == 0
    return path


def read_all(path):
    """Every part of a trace, and its epochs."""
    with Trace(path) as trace:
        epochs = trace.epochs
        parts = (trace.batches, trace.confusion, trace.raster, trace.status, trace.config)
        assert all(part is not None for part in parts) and trace.weights("initial")
        if len(epochs["epoch"]):
            trace.weights("best"), trace.weights("last")
    return epochs


def assert_first_rows(path, whole):
    """The rows of a trace are the first ones of the uninterrupted run; returns their number."""
    rows, expected = read_all(path), read_all(whole)
    n = len(rows["epoch"])
    for name, column in rows.items():
        if name not in TIMINGS:
            assert np.array_equal(column, expected[name][:n], equal_nan=True), name
    return n


def is_finished(path):
    with Trace(path) as trace:
        return trace.status == "finished"


def kill_and_resume(whole, kills, rng):
    """Start runs and kill them at random moments until that many kills have met a living one."""
    done, runs = 0, 0
    while done < kills:
        path, shown, longest = Path(f"run{runs}.h5"), 0, 3.0
        while True:
            start = time.monotonic()
            begun = path.exists()
            child = Child(*(["--resume", str(path)] if begun else ["--output", str(path)]))
            delay = rng.uniform(0.0, longest)
            child.process.join(delay if done < kills else None)
            child.signal(signal.SIGKILL)
            code, text = child.end()
            assert code in (0, -signal.SIGKILL), text
            if code == 0:
                longest = min(longest, time.monotonic() - start)
            done += code != 0
            assert path.exists() or not begun
            if not path.exists():
                continue
            now = assert_first_rows(path, whole)
            assert now >= shown, "an epoch that the trace showed is gone"
            shown = now
            if code == 0 or is_finished(path):  # killed between its last write and its end
                break
            if shown:
                arrays, _ = checkpoint.load_latest(path)
                assert len(arrays["trace.epochs.epoch"]) >= shown, "shown before it was saved"
        assert_equal_runs(whole, path)
        # a run that was killed after its last write may leave the checkpoint before, too
        assert len(list(Path().glob(f"{path}.checkpoint-*"))) in ((1,) if code == 0 else (1, 2))
        runs += 1
    return runs


def test_runs_killed_at_random_moments_resume_to_the_same_bits(in_tmp, whole):
    kill_and_resume(whole, 6, np.random.default_rng(0))


@pytest.mark.slow
def test_200_kills_lose_nothing(in_tmp, whole):
    runs = kill_and_resume(whole, 200, np.random.default_rng(1))
    print(f"200 kills, {runs} runs finished: nothing lost")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_that_resumes_to_the_same_bits(in_tmp, whole, number):
    child = Child("--output", "a.h5")
    wait_for(lambda: Path("a.h5").exists() or not child.process.is_alive())
    child.signal(number)
    code, text = child.end()
    assert code == 128 + number and "--resume a.h5" in text
    with Trace("a.h5") as trace:
        assert trace.status == "interrupted"
    assert_first_rows("a.h5", whole)
    assert run("--resume", "a.h5") == 0  # the same command with --resume
    assert_equal_runs("a.h5", whole)


@pytest.mark.parametrize("moment", ["first checkpoint", "last checkpoint", "end"])
def test_a_run_killed_between_two_writes_resumes_to_the_same_bits(
    in_tmp, whole, monkeypatch, moment
):
    """The moments that random kills may miss."""

    class Killed(BaseException):
        pass

    def kill(*_, **__):
        raise Killed

    monkeypatch.setattr(Run, "_give_up", lambda run: run.trace._abandon())
    with monkeypatch.context() as patch, pytest.raises(Killed):
        if moment == "first checkpoint":  # the trace is in place, no checkpoint yet
            patch.setattr(checkpoint, "save", kill)
        elif moment == "last checkpoint":  # the checkpoint knows a row that the trace lacks
            publish = TraceWriter.publish

            def kill_at_the_end(writer, **weights):
                if writer.state()["epochs.epoch"][-1] == 6.0:
                    raise Killed
                publish(writer, **weights)

            patch.setattr(TraceWriter, "publish", kill_at_the_end)
        else:  # all is written but the status
            patch.setattr(TraceWriter, "close", kill)
        run("--output", "a.h5")
    assert run("--output", "a.h5") == 2  # exists
    assert run("--output", "a.h5", "--resume") == 0
    assert_equal_runs("a.h5", whole)


def test_a_run_whose_trace_is_damaged_goes_on_from_its_checkpoint(in_tmp, whole, capsys):
    child = Child("--output", "a.h5")
    wait_for(lambda: len(list(Path().glob("a.h5.checkpoint-*"))) == 2)
    child.signal(signal.SIGKILL)
    child.end()
    Path("a.h5").write_bytes(Path("a.h5").read_bytes()[:1000])
    assert run("--resume", "a.h5") == 0
    assert "going on from the checkpoint" in capsys.readouterr().err
    assert_equal_runs("a.h5", whole)


def test_checkpoints_of_an_overwritten_run_are_not_used(in_tmp, whole):
    child = Child("--output", "a.h5", "--seed", "7")
    wait_for(lambda: len(list(Path().glob("a.h5.checkpoint-*"))) == 2)
    child.signal(signal.SIGKILL)
    child.end()
    foreign = {path.name: path.read_bytes() for path in Path().glob("a.h5.checkpoint-*")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run("--output", "a.h5", "--overwrite") == 130
    for name, content in foreign.items():
        Path(name).write_bytes(content)
    assert run("--resume", "a.h5") == 0
    assert_equal_runs("a.h5", whole)


def test_a_second_process_on_the_same_output_is_refused_at_once(in_tmp, whole, capsys):
    child = Child("--output", "a.h5", "--epochs", "100000")
    wait_for(lambda: Path("a.h5").exists() or not child.process.is_alive())
    before = os.stat("a.h5").st_ino
    for arguments in (["--output", "a.h5"], ["--output", "a.h5", "--overwrite"],
                      ["--resume", "a.h5"], ["--output", "a.h5", "--resume"]):  # fmt: skip
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert "a.h5: another process is writing it" in error and error.count("\n") == 1
    wait_for(lambda: len(read_all("a.h5")["epoch"]) > 4)
    child.signal(signal.SIGTERM)
    assert child.end()[0] == 143
    assert os.stat("a.h5").st_ino == before
    rows, expected = read_all("a.h5"), read_all(whole)
    n = min(len(rows["epoch"]), len(expected["epoch"]))
    assert n > 4 and (rows["train_loss"][:n] == expected["train_loss"][:n]).all()


def test_other_options_or_data_than_the_runs_are_refused_beside_resume(in_tmp, capsys):
    from helpers import user_arrays, write_user_file

    data = write_user_file(Path("mine.npz"), user_arrays())
    options = ["--dataset", str(data), "--duration", "1", "--epochs", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Signals, "check", lambda self: (_ for _ in ()).throw(
            Interrupted(130)))  # fmt: skip
        assert run("--output", "a.h5", *options) == 130
    assert run("--resume", "a.h5", *options, "--seed", "3") == 2
    assert "a.h5: was begun with other options than --seed 3 (there 0)" in capsys.readouterr().err
    arrays = user_arrays()
    arrays["train", "times"] = arrays["train", "times"] * 0.5
    write_user_file(data, arrays)
    assert run("--resume", "a.h5", *options) == 2
    assert "a.h5: was begun with other data" in capsys.readouterr().err
    write_user_file(data, user_arrays())
    assert run("--resume", "a.h5", *options) == 0


def starve(whole, limits):
    """Runs under limits of the size of a file: one line, exit code 1, and nothing lost."""
    for limit in limits:
        path = Path(f"limit{limit}.h5")
        code, text = Child("--output", str(path), "--quiet", limit=limit).end()
        assert code == 1 and text.count("\n") == 1, (limit, code, text)
        assert "lifnum.train: " in text and "File too large" in text, (limit, text)
        arguments = ["--output", str(path)]
        if path.exists():
            assert_first_rows(path, whole)
            arguments = ["--resume", str(path)]
        assert run(*arguments) == 0
        assert_equal_runs(path, whole)


def sizes_to_starve(whole, n):
    """From nothing to the size of the trace; the writer reserves 1 MiB ahead."""
    return [1000, *(int(2**20 + size) for size in np.linspace(0, 0.99 * whole.stat().st_size, n))]


def test_a_limit_on_file_sizes_costs_one_line_and_no_epoch(in_tmp, whole):
    starve(whole, sizes_to_starve(whole, 3))


@pytest.mark.slow
def test_100_limits_on_file_sizes_cost_no_epoch(in_tmp, whole):
    starve(whole, sizes_to_starve(whole, 100))


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_full_disk_while_checkpointing_leaves_the_last_checkpoint(
    in_tmp, whole, monkeypatch, capsys, nth
):
    calls, fsync = [], os.fsync

    def full(handle):
        calls.append(handle)
        if len(calls) > 2 * nth - 2:  # each checkpoint syncs a file and its folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert run("--output", "a.h5") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left on device" in error
    assert not list(Path().glob("*.new"))
    if nth > 1:
        assert "--resume a.h5" in error
        checkpoint.load_latest("a.h5")
    assert run("--resume", "a.h5") == 0
    assert_equal_runs("a.h5", whole)


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a file system of that many bytes, and gives its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        line = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(line, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a file system")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize("kib", [100, 200])
def test_a_full_file_system_costs_one_line_and_no_epoch(in_tmp, whole, small_disk, kib):
    path = small_disk(f"size={kib}k") / "a.h5"
    code, text = Child("--output", str(path), "--quiet").end()
    assert code == 1 and text.count("\n") == 1 and "No space left on device" in text, text
    copies = [Path(f.name) for f in path.parent.iterdir()]
    for copy in copies:
        copy.write_bytes((path.parent / copy.name).read_bytes())
    arguments = ["--output", "a.h5"]
    if Path("a.h5").exists():
        assert_first_rows("a.h5", whole)
        arguments = ["--resume", "a.h5"]
    assert run(*arguments) == 0
    assert_equal_runs("a.h5", whole)


def test_a_read_only_folder_costs_one_line(in_tmp, small_disk, capsys):
    folder = small_disk("ro")
    assert run("--output", str(folder / "a.h5")) in (1, 2)
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Read-only file system" in error


def write_for_ever(path, n_rows):
    """Traces one after the other under one name, whose every number is that of its row."""
    while True:
        header = {"config": {}, "seed": 0}
        writer = TraceWriter(path, header, [np.zeros((20, 30))], 2, overwrite=True)
        for k in range(n_rows):
            filled = {name: np.full(1, float(k)) if per_layer else float(k)
                      for name, per_layer in EPOCHS.items()}  # fmt: skip
            writer.record(filled, np.full((2, 3), k))
            writer.publish(last=[np.full((20, 30), float(k))])
            writer.append_batch({name: filled.get(name, float(k)) for name in BATCHES})
        writer.close("finished")


def read_while_written(folder, times):
    """Open and read a trace that often while it is written, closed and replaced."""
    path = folder / "a.h5"
    writer = CONTEXT.Process(target=write_for_ever, args=(path, 150), daemon=True)
    writer.start()
    seen = set()
    try:
        wait_for(path.exists)
        for _ in range(times):
            with Trace(path) as trace:
                batches = trace.batches["epoch"]
                epochs = trace.epochs
                n = len(epochs["epoch"])
                for column in epochs.values():
                    assert (np.arange(n, dtype=float) == column.T).all()
                assert len(batches) <= n
                if n:
                    (weights,) = trace.weights("last")
                    assert (weights == weights[0, 0]).all() and weights[0, 0] >= n - 1
                    confusion = trace.confusion
                    assert (confusion == confusion[0, 0]).all() and confusion[0, 0] >= n - 1
                seen.add(n)
    finally:
        writer.kill()
        writer.join()
    assert len(seen) > 1, "nothing was written meanwhile"


def test_a_trace_is_read_while_it_is_written(tmp_path):
    read_while_written(tmp_path, 50)


@pytest.mark.slow
def test_a_trace_is_read_1000_times_while_it_is_written(tmp_path):
    read_while_written(tmp_path, 1000)


def test_a_claim_ends_with_its_process_and_excludes_others(tmp_path):
    path = tmp_path / "a.h5"
    with Lock(path), pytest.raises(TraceError, match="another process"):
        Lock(path)
    Path(f"{path}.lock").write_text("")  # as a killed process leaves it
    Lock(path).release()
    assert not Path(f"{path}.lock").exists()
