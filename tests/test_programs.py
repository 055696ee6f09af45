"""What programs say: one line at once about what was meant otherwise, or typed wrong."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import MNIST, SMALL, assert_equal_runs, write_user_file

from lifnum import (
    SpikeTrains,
    __main__,
    __version__,
    errors,
    evaluate,
    options,
    simulate,
    sweep,
    train,
)
from lifnum.analysis import report, training
from lifnum.analysis.figures import __main__ as figures
from lifnum.analysis.study import __main__ as study
from lifnum.data import images
from lifnum.files.reader import Trace
from lifnum.runs.run import _a_sample

FILE = ["--dataset", "mine.npz", "--hidden", "12", "--epochs", "1", "--quiet"]


def run(*arguments):
    return options.run("lifnum.train", train.main, list(arguments))


def run_evaluate(*arguments):
    return options.run("lifnum.evaluate", evaluate.main, list(arguments))


def run_sweep(*arguments):
    return options.run("lifnum.sweep", sweep.main, list(arguments))


def many(n=40, scale=1.0):
    """Arrays of n samples for training and n for test, of two classes that differ."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    samples = [(scale * rng.uniform(0.0, 0.1, 9), rng.integers(4 * k, 4 * k + 4, 9))
               for k in labels]  # fmt: skip
    trains = SpikeTrains.from_samples(samples, 8)
    arrays = {"times": trains.times, "indices": trains.indices, "offsets": trains.offsets,
              "labels": labels}  # fmt: skip
    return {(part, key): value for part in ("train", "test") for key, value in arrays.items()}


def empty(arrays, part):
    none = {"times": np.empty(0), "indices": np.empty(0, int), "offsets": np.zeros(1, int),
            "labels": np.empty(0, int)}  # fmt: skip
    return arrays | {(part, key): value for key, value in none.items()}


def test_spikes_after_the_duration_are_said_at_once_with_numbers(in_tmp, capsys):
    arrays = many(scale=1e3)
    n = 2 * len(arrays["train", "times"])
    late = 2 * np.count_nonzero(arrays["train", "times"] > 0.2)
    write_user_file(Path("mine.npz"), arrays)
    assert run(*FILE, "--output", "a.h5") == 0
    said = (f"{100 * late / n:.0f} % of the input spikes lie after the duration 0.2, the latest at "
            f"{arrays['train', 'times'].max():g}: other units?\n")  # fmt: skip
    assert capsys.readouterr().err.count(said) == 1
    assert run_evaluate("a.h5") == 0
    assert capsys.readouterr().err.count(said) == 1
    arrays = many()
    for part in ("train", "test"):
        arrays[part, "times"] = arrays[part, "times"].copy()
        arrays[part, "times"][-1] = 7.0
    write_user_file(Path("mine.npz"), arrays)
    run(*FILE, "--output", "b.h5")
    assert "2 of 720 of the input spikes lie after" in capsys.readouterr().err


def test_a_step_above_the_duration_is_said_at_once(in_tmp, capsys):
    said = "dt 0.5 is above the duration 0.2, which becomes one step: other units?"
    options = ["--method", "backward-euler", "--dt", "0.5", *SMALL, "--quiet"]
    assert run(*options, "--output", "a.h5") == 0
    assert said in capsys.readouterr().err
    assert run_evaluate("a.h5", "--methods", "exact", "rk2", "--dt", "0.6") == 0
    assert "dt 0.6 is above the duration" in capsys.readouterr().err
    grid = ["--methods", "backward-euler", "--dt", "0.5", "0.1", "--seeds", "0", "1"]
    assert run_sweep(*grid, *SMALL, "--dry-run") == 0
    assert capsys.readouterr().err.count(said) == 1


def test_a_window_without_effect_and_a_file_without_a_preset_are_said(in_tmp, capsys):
    write_user_file(Path("mine.npz"), many())
    assert run(*FILE, "--window", "0.05") == 0
    error = capsys.readouterr().err
    assert "window 0.05 has no effect: the input spikes of mine.npz have times" in error
    assert "mine.npz has no preset of its own" in error and "as in digits (duration 0.2, " in error
    assert [path.name for path in Path("runs").glob("*.h5")] == ["mine-exact-s0.h5"]
    assert run(*FILE, "--preset", "digits", "--output", "b.h5") == 0
    assert "preset" not in capsys.readouterr().err
    assert run_sweep("--dry-run", "--datasets", "mine.npz", "--output", "d", "--window", "1") == 0
    out, error = capsys.readouterr()
    assert "d/mine-exact-s0.h5" in out
    assert "no preset of its own" in error and "window 1 has no effect" in error


def test_a_preset_of_other_data_than_the_default_is_said(in_tmp, capsys):
    said = (
        "the hyper-parameters of yinyang are used on digits; its own data are those of --dataset yi"
    )
    assert run(*SMALL, "--preset", "yinyang", "--quiet", "--output", "a.h5") == 0
    assert capsys.readouterr().err.count(said) == 1
    assert run(*SMALL, "--preset", "digits", "--quiet", "--output", "b.h5") == 0
    assert "hyper-parameters" not in capsys.readouterr().err


def test_an_output_that_is_silent_in_evaluation_is_said(in_tmp, capsys):
    assert run(*SMALL, "--theta", "0.05", "1e6", "--output", "a.h5", "--quiet") == 0
    said = "layer 1, the output, is silent on all 50 test samples, which count as wrong"
    assert capsys.readouterr().err.count(said) == 1
    assert run_evaluate("a.h5") == 0
    assert capsys.readouterr().err.count(said) == 1


@pytest.mark.parametrize("part, name", [("train", "training"), ("test", "test")])
def test_an_empty_part_is_refused(in_tmp, refusal, part, name):
    write_user_file(Path("mine.npz"), empty(many(), part))
    assert f"dataset mine has no {name} samples" in refusal(run, *FILE, "--preset", "digits")
    assert f"has no {name} samples" in refusal(run_sweep, "--datasets", "mine.npz", "--dry-run",
                                               "--preset", "digits")  # fmt: skip
    write_user_file(Path("mine.npz"), many())
    assert run(*FILE, "--preset", "digits", "--output", "a.h5") == 0
    write_user_file(Path("none.npz"), empty(many(), part))
    arguments = ["a.h5", "--dataset", "none.npz", "--gradients", "5"]
    assert f"dataset none has no {name} samples" in refusal(run_evaluate, *arguments)


def test_a_validation_part_of_none_or_all_is_said_or_refused(in_tmp, capsys):
    options = [*SMALL, "--limit-train", "4", "--quiet", "--output", "a.h5"]
    assert run(*options, "--validation-share", "0.9") == 2
    assert "validation_share is 0.9, which leaves none of 4 training" in capsys.readouterr().err
    assert run(*options, "--validation-share", "0.1") == 0
    assert "validation_share 0.1 of 4 training samples is none" in capsys.readouterr().err


def test_evaluation_on_a_file_that_changed_is_refused_unless_asked_for(in_tmp, refusal, capsys):
    path = write_user_file(Path("mine.npz"), many())
    assert run(*FILE, "--output", "a.h5", "--limit-test", "30") == 0
    assert run_evaluate("a.h5") == 0
    changed = many()
    changed["test", "labels"] = 1 - changed["test", "labels"]
    write_user_file(path, changed)
    capsys.readouterr()
    error = refusal(run_evaluate, "a.h5")
    assert "mine.npz: holds other data than the network was trained on" in error
    assert "--dataset" in error
    assert run_evaluate("a.h5", "--dataset", "mine.npz") == 0


def test_moved_data_are_named_beside_resume_and_kept_as_absolute_paths(in_tmp, monkeypatch):
    write_user_file(Path("mine.npz"), many())
    assert run(*FILE, "--output", "a.h5") == 0
    Path("elsewhere").mkdir()
    shutil.move("mine.npz", "elsewhere/yours.npz")
    assert run("--resume", "a.h5", "--epochs", "2", "--quiet") == 2
    moved = ["--dataset", "elsewhere/yours.npz"]
    assert run("--resume", "a.h5", "--epochs", "2", "--quiet", *moved) == 0
    with Trace("a.h5") as trace:
        assert trace.status == "finished" and len(trace.epochs["epoch"]) == 2
        dataset = trace.config["preset"]["dataset"]
        assert dataset == str(in_tmp / "elsewhere" / "yours.npz")
        assert trace.config["preset"]["name"] == "mine"
    monkeypatch.chdir("elsewhere")
    assert run_evaluate("../a.h5") == 0
    write_user_file(Path("other.npz"), many(n=30))
    other = ["--resume", "../a.h5", "--epochs", "3", "--dataset", "other.npz"]
    assert run(*other) == 2


def test_more_epochs_extend_a_finished_run_to_the_bits_of_a_longer_one(in_tmp, refusal, capsys):
    options = ["--method", "euler", *SMALL, "--quiet", "--lr-decay", "0.9"]
    assert run(*options, "--output", "a.h5") == 0
    assert run(*options, "--epochs", "4", "--output", "whole.h5") == 0
    assert "a.h5: the run is finished after 2 epochs; accepted: epochs above 2" in refusal(
        run, "--resume", "a.h5"
    )
    assert "epochs 2 asks for no more" in refusal(run, "--resume", "a.h5", "--epochs", "2")
    assert run("--resume", "a.h5", "--epochs", "3", "--quiet") == 0
    assert run("--resume", "a.h5", *options, "--epochs", "4") == 0
    assert_equal_runs("a.h5", "whole.h5")
    with Trace("a.h5") as trace:
        assert trace.config["preset"]["epochs"] == 4
    assert len(list(Path().glob("a.h5.checkpoint-*"))) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--seed", "3"], "--seed 3 (there 0)"),
        (["--batch-size", "7", "--lr", "0.5"], "--batch-size 7 (there 20), --learning-rate 0.5"),
        (["--hidden", "12", "13"], "--hidden 12 13 (there 12)"),
        (["--theta", "1"], "--theta 1 1 (there 0.05 0.2)"),
        (["--weights", "normal:0:1"], "--weights normal:0:1 normal:0:1 (there uniform:-1:1"),
        (["--dt", "0.1"], "--dt 0.1 (there 0.001)"),
        (["--epochs", "1"], "epochs 1 asks for no more"),
    ],
)
def test_a_refusal_beside_resume_names_what_was_typed(finished, refusal, arguments, message):
    assert message in refusal(run, "--resume", finished, "--epochs", "3", *arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that is finished."""
    path = tmp_path_factory.mktemp("finished") / "a.h5"
    assert run("--method", "euler", *SMALL, "--quiet", "--output", str(path)) == 0
    return str(path)


def test_overwrite_replaces_traces_and_transfer_files_only(in_tmp, finished, refusal):
    for name in ("script.py", "notes.h5"):
        Path(name).write_text("print('mine')\n")
        line = refusal(run, *SMALL, "--output", name, "--overwrite")
        assert name in line and "overwrite replaces traces only" in line
        line = refusal(run_evaluate, finished, "--methods", "exact", "--output", name,
                       "--overwrite")  # fmt: skip
        assert name in line and "--overwrite replaces these only" in line
        assert Path(name).read_text() == "print('mine')\n"
    before = Path(finished).read_bytes()
    refusal(run_evaluate, finished, "--methods", "exact", "--output", finished, "--overwrite")
    assert Path(finished).read_bytes() == before
    Path("folder").mkdir()
    assert "folder: is a folder" in refusal(run, *SMALL, "--output", "folder", "--overwrite")
    shutil.copy(finished, "mine.h5")
    again = ["--methods", "exact", "--output", "transfer.h5", "--overwrite", "--limit-test", "9"]
    assert run(*SMALL, "--output", "mine.h5", "--overwrite", "--quiet") == 0
    assert run_evaluate(finished, *again) == run_evaluate(finished, *again) == 0


def test_an_aggregate_replaces_aggregates_only(in_tmp, finished, refusal):
    def run_study(*arguments):
        arguments = [str(Path(finished).parent), *arguments]
        return options.run("lifnum.analysis.study", study.main, arguments)

    before = Path(finished).read_bytes()
    line = refusal(run_study, "--out", finished, "--overwrite")
    assert f"{finished}: no aggregate; --overwrite replaces these only" in line
    assert Path(finished).read_bytes() == before
    assert run_study("--out", "new/all.h5") == 0
    assert "exists; accepted: another --out" in refusal(run_study, "--out", "new/all.h5")
    assert run_study("--out", "new/all.h5", "--overwrite") == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--seed", "9223372036854775808"], "--seed: 9223372036854775808 is not below 2^63"),
        (["--epochs", "99999999999999999999"], "--epochs: 99999999999999999999 is not below"),
        (["--lr", "nan"], "learning_rate is nan; accepted: a finite number > 0"),
        (["--lr=-1"], "learning_rate is -1.0"),
        (["--lr-floor", "nan"], "lr_floor is nan"),
        (["--dt", "0.01"], "dt is 0.01; accepted: none where method is 'exact'"),
        (["--weights", "uniform:1:0"], "weights is 'uniform:1:0'; accepted: uniform:LOW:HIGH with"),
        (["--weights", "normal:0:-1"], "weights is 'normal:0:-1'"),
        (["--weights", "uniform:0:inf"], "weights is 'uniform:0:inf'"),
        (["--weights", "uniform:0:1:2"], "weights is 'uniform:0:1:2'"),
    ],
)
def test_training_names_what_it_refuses(in_tmp, refusal, arguments, message):
    assert message in refusal(run, *SMALL, *arguments)
    assert not list(Path().iterdir())


def test_the_largest_seed_trains(in_tmp):
    assert run(*SMALL, "--seed", str(2**63 - 1), "--epochs", "0", "--output", "a.h5") == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--seeds", "9223372036854775808"], "--seeds: 9223372036854775808 is not below 2^63"),
        (["--datasets", "mnist", "--data-dir", "nowhere"], "sought train-images"),
        (["--output", "file/d"], "output is file/d, but file is a file; accepted: a folder"),
        (["--methods", "euler", "--dt", "1e-12"], "at most 1e+08 steps"),
    ],
)
def test_a_dry_run_refuses_what_can_not_run(in_tmp, refusal, monkeypatch, arguments, message):
    monkeypatch.setattr("pooch.retrieve", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    Path("file").write_text("")
    assert message in refusal(run_sweep, "--dry-run", *arguments)


@pytest.mark.parametrize(
    "program, arguments, message",
    [
        (figures, ["2", "--order", "99"], "--order: 99 is no integer from 1 to 32"),
        (figures, ["2", "--order", "five"], "--order: five is no integer from 1 to 32"),
        (figures, ["2", "--out", "folder"], "--out: folder is a folder"),
        (training, ["a.h5", "--out", "folder"], "--out: folder is a folder"),
        (study, ["--out", "folder"], "--out: folder is a folder"),
        (report, ["--out", "folder"], "--out: folder is a folder"),
    ],
)
def test_the_analysis_names_what_it_refuses(in_tmp, refusal, program, arguments, message):
    Path("folder").mkdir()
    assert message in refusal(options.run, "analysis", program.main, arguments)


@pytest.mark.parametrize("program", [train, evaluate, sweep, simulate, __main__])
def test_every_program_tells_its_version(program, capsys):
    with pytest.raises(SystemExit) as end:
        program.main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"lifnum {__version__}\n"


def test_python_m_lifnum_lists_the_programs(capsys):
    assert __main__.main([]) == 0
    out = capsys.readouterr().out
    names = [line.split()[2] for line in out.splitlines() if line.startswith("  python -m ")]
    assert {"lifnum.train", "lifnum.evaluate", "lifnum.sweep", "lifnum.simulate"} <= set(names)
    for name in names:
        path = Path(train.__file__).parents[1] / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_help_says_nothing_that_is_no_longer_so(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    assert "not yet run" not in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "rate, text",
    [
        (8.8e-5, "one neuron in 11,000 samples"),
        (0.5, "one neuron in 2 samples"),
        (1.0, "1 neurons a sample"),
        (12.34, "12.3 neurons a sample"),
        (12345.6, "12,346 neurons a sample"),
    ],
)
def test_rates_are_said_in_numbers_of_a_person(rate, text):
    assert _a_sample(rate, "neuron") == text


FASHION = MNIST is not None and (MNIST / "fashion-mnist").is_dir()


@pytest.mark.skipif(not FASHION, reason="Fashion-MNIST is not at hand")
def test_the_content_of_fashion_mnist_is_checked(tmp_path):
    labels = images.read_images("fashion-mnist", MNIST)[1]
    assert labels[:5].tolist() == [9, 0, 0, 3, 0]
    name = "t10k-labels-idx1-ubyte"
    content = bytearray(gzip.decompress((MNIST / "fashion-mnist" / f"{name}.gz").read_bytes()))
    content[100] ^= 1
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(errors.DataError, match="another SHA-256 than fashion-mnist"):
        images._read_idx("fashion-mnist", path, name)
