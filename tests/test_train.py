"""The command lines: a run, its trace, its resumption, and one line for bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import SMALL, assert_equal_runs

import lifnum
from lifnum import errors, evaluate, optimizers, options, train
from lifnum.analysis import training as drawing
from lifnum.data import datasets
from lifnum.errors import TraceError
from lifnum.files import checkpoint
from lifnum.files.reader import Trace
from lifnum.files.trace import BATCHES, EPOCHS
from lifnum.files.writer import TraceWriter
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.run import trainer_of
from lifnum.runs.trainer import Trainer

ROOT = Path(__file__).parents[1]


def run(*arguments):
    return options.run("lifnum.train", train.main, ["--method", "euler", *SMALL, *arguments])


def test_a_run_writes_a_complete_trace_that_loads_and_evaluates(in_tmp, capsys):
    assert run() == 0
    path = Path("runs/digits-euler-dt0.001-s0.h5")
    out = capsys.readouterr().out
    assert f"-m lifnum.analysis.training {path}" in out and "test accuracy" in out
    names = sorted(p.name for p in path.parent.iterdir())
    assert len(names) == 2 and names[0] == path.name  # no leftovers but
    assert names[1].startswith(f"{path.name}.checkpoint-")  # what more epochs go on from
    with Trace(path) as trace:
        assert trace.status == "finished" and trace.config["scheme"]["method"] == "euler"
        epochs = trace.epochs
        assert epochs.keys() == EPOCHS.keys() and len(epochs["epoch"]) == 2
        assert trace.batches.keys() == BATCHES.keys()
        accuracy = epochs["test_accuracy"][-1]
        assert trace.confusion.sum() == 50
        assert np.trace(trace.confusion[:, :10]) == round(50 * accuracy)
        assert trace.raster["count"] if "count" in trace.raster else len(trace.raster["time"])
        weights = trace.weights("last")
    net = lifnum.load(path)
    assert all((a == b).all() for a, b in zip(net.weights, weights))
    assert options.run("lifnum.evaluate", evaluate.main, [str(path)]) == 0
    assert f"accuracy {100 * accuracy:.2f} %" in capsys.readouterr().out
    assert run("--quiet") == 0  # numbered, not overwritten
    assert Path("runs/digits-euler-dt0.001-s0-2.h5").exists()
    assert_equal_runs(path, "runs/digits-euler-dt0.001-s0-2.h5")


def test_the_figure_of_a_run_is_drawn_and_foreign_files_are_named(in_tmp, capsys):
    run("--output", "a.h5", "--quiet")
    Path("b.h5").write_bytes(b"not HDF5")
    for ending in ("png", "pdf"):
        arguments = ["a.h5", "b.h5", "--out", f"a.{ending}"]
        assert options.run("analysis.training", drawing.main, arguments) == 0
        assert Path(f"a.{ending}").stat().st_size > 10_000
    assert "skipped: b.h5" in capsys.readouterr().err
    assert options.run("analysis.training", drawing.main, ["b.h5"]) == 2


def test_a_printed_command_calls_this_interpreter_from_any_folder(in_tmp, monkeypatch):
    """Were its environment active, or not; and in one within the current folder."""
    own = Path(sys.executable).parent
    for path, command in ((str(own), "python"), ("/bin", sys.executable)):
        monkeypatch.setenv("PATH", path)
        assert options.python() == command
    monkeypatch.chdir(own.parent)
    assert options.python() == f"bin/{Path(sys.executable).name}"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--method", "eular"], "method is 'eular'; accepted: exact, euler"),
        (["--method", "ps"], "order is None; accepted: an integer from 1 to 32"),
        (["--method", "ps", "--order", "33"], "order is 33"),
        (["--method", "euler", "--order", "2"], "order is 2"),
        (["--dt", "0"], "dt is 0.0; accepted: a finite number > 0"),
        (["--dt", "nan"], "dt is nan"),
        (["--dt", "1e-12"], "at most 1e+08 steps"),
        (["--theta", "0"], "theta is 0.0"),
        (["--delta-theta", "-1"], "delta_theta is -1.0"),
        (["--theta", "1", "2", "3"], "theta has 3 values; accepted: 1 or 2"),
        (["--interpolation", "cubic"], "interpolation is 'cubic'; accepted: none, linear, dense"),
        (["--interpolation", "none", "--gradient", "adjusted"], "gradient is 'adjusted'"),
        (["--preset", "imagenet"], "preset is 'imagenet'"),
        (["--dataset", "imagenet"], "dataset is 'imagenet'"),
        (["--dataset", "mnist", "--data-dir", "nowhere"], "sought train-images"),
        (["--loss", "mse"], "loss is 'mse'; accepted: spike-count, ttfs"),
        (["--weights", "gauss:0:1"], "weights is 'gauss:0:1'"),
        (["--validation-share", "1"], "validation_share is 1.0"),
        (["--resume", "nothere.h5"], "nothere.h5: no such file"),
        (["--resume"], "resume: no unfinished run"),
        (["--threads", "0"], "--threads: 0 is not > 0"),
        (["--epochs", "many"], "--epochs: invalid integer value: 'many'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(in_tmp, refusal, monkeypatch, arguments, message):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("pooch.retrieve", offline)
    assert message in refusal(run, *arguments)
    assert not list(Path().rglob("*.h5"))


def test_a_trace_is_never_overwritten_without_being_asked(in_tmp, capsys):
    run("--output", "a.h5", "--quiet")
    before = Path("a.h5").read_bytes()
    assert run("--output", "a.h5") == 2
    assert "a.h5: exists" in capsys.readouterr().err and Path("a.h5").read_bytes() == before
    assert run("--output", "a.h5", "--overwrite", "--quiet", "--seed", "1") == 0


def test_an_unstable_step_is_warned_about(in_tmp):
    with pytest.warns(RuntimeWarning, match="stability limit of euler"):
        lifnum.Network(
            [(np.ones((1, 1)), lifnum.Neuron(0.1, 0.2))], lifnum.Scheme("euler", dt=0.5), 1.0
        )


@pytest.mark.parametrize(
    "weights, message",
    [
        ([np.ones((2, 3)), np.ones((2, 3))], r"weights of layer 1 have shape \(2, 3\)"),
        ([np.array([[np.nan]])], "weights of layer 0 hold NaN or inf"),
        ([np.ones(3)], "weights of layer 0 are float64 of shape"),
        ([np.ones((1, 1), int)], "weights of layer 0 are int64"),
        ([np.ones((1, 1)), np.ones((1, 1), np.float32)], "accepted: float64, as in layer 0"),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        lifnum.Network([(w, lifnum.Neuron()) for w in weights], lifnum.Scheme(), 1.0)


def command(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "lifnum.train", "--method", "euler", *SMALL, *arguments]
    return subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def header():
    return {"config": {"answer": 42}, "seed": 0}


def row(columns, value, n_layers=1):
    return {k: np.full(n_layers, value) if per_layer else value
            for k, per_layer in columns.items()}  # fmt: skip


def test_a_reader_never_sees_half_a_row(tmp_path):
    path = tmp_path / "a.h5"
    writer = TraceWriter(path, header(), [np.zeros((2, 3))], 2)
    for k in range(60):
        writer.append_epoch(row(EPOCHS, float(k)))
        writer.set_weights("last", [np.full((2, 3), float(k))])
        with Trace(path) as trace:
            epochs = trace.epochs
            assert {len(c) for c in epochs.values()} == {k + 1}
            assert (trace.weights("last")[0] == k).all()
    writer.close("finished")


def test_a_row_with_a_missing_or_unknown_column_is_refused(tmp_path):
    writer = TraceWriter(tmp_path / "a.h5", header(), [np.zeros((2, 3))], 2)
    with pytest.raises(TraceError, match="loss"):
        writer.append_batch({k: v for k, v in row(BATCHES, 1.0).items() if k != "loss"})
    writer.close("interrupted")


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    trace = tmp_path / "a.h5"
    for k in range(4):
        checkpoint.save(trace, {"x": np.full(3, float(k))}, {"epoch": k, "big": 2**80})
    files = sorted(tmp_path.glob("*checkpoint*"))
    assert len(files) == 2
    arrays, numbers = checkpoint.load_latest(trace)
    assert numbers == {"epoch": 3, "big": 2**80} and (arrays["x"] == 3).all()
    content = bytearray(files[-1].read_bytes())
    content[len(content) // 2] ^= 1
    files[-1].write_bytes(content)
    assert checkpoint.load_latest(trace)[1]["epoch"] == 2
    files[0].write_bytes(b"short")
    with pytest.raises(errors.CheckpointError, match="no usable checkpoint"):
        checkpoint.load_latest(trace)


def test_a_trace_or_checkpoint_of_another_kind_is_refused(tmp_path, refusal):
    path = tmp_path / "a.h5"
    for changes, message in (
        ({"kind": "lifnum-transfer"}, "is a lifnum-transfer, not a lifnum-trace"),
        ({"schema": 99}, "trace of schema 99; accepted: 1"),
        ({"config": "{}"}, "the configuration is not one of lifnum.train ('preset')"),
        ({"config": "[]"}, "the configuration is no dictionary"),
        ({"config": "{"}, "damaged"),
        ({"note": "x" * (1 << 21)}, "attribute note is too large"),
    ):
        writer = TraceWriter(path, header(), [np.zeros((2, 3))], 2, overwrite=True)
        writer.close("finished")
        with h5py.File(path, "r+", libver="latest") as file:
            for name, value in changes.items():
                file.attrs[name] = value
        error = refusal(options.run, "lifnum.evaluate", evaluate.main, [str(path)])
        assert f"{path}: {message}" in error
    checkpoint.save(path, {"weights0": np.zeros((2, 3))}, {"run": "other"})
    with pytest.raises(errors.CheckpointError, match="no usable checkpoint"):
        checkpoint.load_latest(path, "this")
    checkpoint.save(path, {"names": np.array(["a"], "S1")}, {})
    with pytest.raises(errors.CheckpointError, match="no array of numbers"):
        checkpoint.load(max(tmp_path.glob("*checkpoint*")))


def test_an_overflow_stops_the_run_and_saves_the_state_before(in_tmp, capsys):
    """A rate of 1e30 throws the weights beyond what currents of float32 can hold."""
    options = ["--optimizer", "sgd", "--learning-rate", "1e30", "--dtype", "float32"]
    assert run("--output", "a.h5", "--quiet", *options) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and "epoch 1, batch" in error[0] and "layer" in error[0]
    assert "largest weight" in error[0]
    with Trace("a.h5") as trace:
        assert trace.status == "interrupted"
        assert all(np.isfinite(w).all() for w in trace.weights("last"))
    arrays, numbers = checkpoint.load_latest("a.h5")
    assert np.isfinite(arrays["weights0"]).all() and numbers["epoch"] == 0


def test_saturation_is_counted_and_warned_about_once(in_tmp, capsys):
    assert run("--output", "a.h5", "--quiet", "--max-spikes", "2", "--epochs", "3") == 0
    error = capsys.readouterr().err
    assert error.count("layer 0: ") == 1 and "beyond the cap of 2" in error
    run("--output", "b.h5", "--quiet", "--theta", "1e6")
    assert capsys.readouterr().err.count("layer 0 is silent") == 1
    with Trace("a.h5") as trace, Trace("b.h5") as silent:
        assert (trace.epochs["capped"][:, 0] > 0).all()
        assert (trace.epochs["suppressed"][:, 0] > 0).all()
        assert (silent.epochs["silent"] == 1).all()


def test_crossings_that_a_scheme_does_not_resolve_are_traced_and_said(in_tmp, capsys):
    """`none`: in training and in tests, with one warning; `linear`: in tests; `dense`: none."""
    for scheme in ("none", "linear", "dense"):
        assert run("--output", f"{scheme}.h5", "--quiet", "--method", "rk2", "--dt", "0.1",
                   "--interpolation", scheme, "--epochs", "2") == 0  # fmt: skip
        error = capsys.readouterr().err
        assert error.count("layer 0: ") == error.count("above the threshold") == (scheme == "none")
        assert options.run("lifnum.evaluate", evaluate.main, [f"{scheme}.h5"]) == 0
        printed = capsys.readouterr().out
        with Trace(f"{scheme}.h5") as trace:
            training = trace.epochs["unresolved"][:, 0]
            test = trace.epochs["test_unresolved"][-1, 0]
        if scheme == "dense":
            assert (training == 0).all() and test == 0 and "threshold" not in printed
        elif scheme == "none":
            assert (training > 0).all() and test > 0
            assert f"layer 0: {test:.3g} spikes a sample left u at or above" in printed
        else:
            assert np.isnan(training).all() and test > 0
            assert f"layer 0: {test:.3g} peaks a sample above the threshold missed" in printed


def test_traces_and_checkpoints_of_versions_that_counted_less_are_read(in_tmp, monkeypatch):
    from lifnum.files import trace as traces

    short = {name: kind for name, kind in EPOCHS.items() if name not in traces.ADDED}
    with monkeypatch.context() as patch:
        patch.setitem(traces._TABLES, "epochs", short)
        writer = TraceWriter("a.h5", header(), [np.zeros((2, 3))], 2)
        writer.append_epoch(row(short, 1.0))
        state = writer.state()
        writer.close("finished")
    with Trace("a.h5") as trace:
        assert np.isnan(trace.epochs["unresolved"]).all()
        assert trace.epochs["test_unresolved"].shape == (1, 1)
        assert trace.epochs["suppressed"].tolist() == [[1.0]]
    writer = TraceWriter("b.h5", header(), [np.zeros((2, 3))], 2, state=state)
    writer.append_epoch(row(EPOCHS, 2.0))
    writer.close("finished")
    with Trace("b.h5") as trace:
        np.testing.assert_array_equal(trace.epochs["unresolved"], [[np.nan], [2.0]])
    preset = presets.resolve("digits", {"hidden": (4,), "batch_size": 2})
    data = datasets.load("digits", None, preset.window, 0, 8, 2)
    trainer = Trainer(Configuration(preset, lifnum.Scheme("euler", dt=0.05)), data)
    trainer.activity.without_gradient += 7
    arrays, numbers = trainer.state()
    arrays = {name: array.copy() for name, array in arrays.items()}
    del arrays["activity.unresolved"]
    arrays["activity.constant"] = arrays.pop("activity.without_gradient")
    trainer.step()
    trainer.restore(arrays, numbers)
    assert trainer.activity.without_gradient.tolist() == [7, 7]
    assert trainer.activity.samples == 0 and np.isnan(trainer.activity.unresolved).all()


def test_no_module_reads_pickles():
    paths = list((ROOT / "lifnum").rglob("*.py"))
    assert len(paths) > 50
    for path in paths:
        text = path.read_text()
        assert "import pickle" not in text and "allow_pickle=True" not in text


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_equals_its_textbook_form(dtype, decay):
    rng = np.random.default_rng(0)
    w = rng.normal(size=(7, 5)).astype(dtype)
    expected, m, v = w.astype(float), 0.0, 0.0
    adam = optimizers.AdamW([w], 1e-2, decay) if decay else optimizers.Adam([w], 1e-2)
    for step in range(1, 6):
        g = rng.normal(size=w.shape).astype(dtype)
        adam.step([g])
        m, v = 0.9 * m + 0.1 * g.astype(float), 0.999 * v + 0.001 * g.astype(float) ** 2
        expected *= 1 - 1e-2 * decay
        expected -= 1e-2 * m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(w, expected, rtol=0, atol=1e-14 if dtype == np.float64 else 2e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_adam_of_whole_numbers_changes_no_later_one(dtype, monkeypatch):
    """The update is compiled for the numbers of the first: these are real whatever was given."""
    monkeypatch.setattr(optimizers, "_UPDATES", {})
    found = []
    for betas in ((0, 0), (0.9, 0.999), (0.0, 0.0)):
        w = np.ones((2, 3), dtype)
        adam = optimizers.Adam([w], 1, *betas, epsilon=1)
        for k in (1.0, 2.0):
            adam.step([np.full((2, 3), k, dtype)])
        found.append(w)
    # bias-corrected: g / (|g| + 1) a step without memory
    np.testing.assert_allclose(found[0], 1.0 - 1.0 / 2.0 - 2.0 / 3.0, rtol=1e-6)
    second = (0.9 * 0.1 + 0.2) / 0.19 / (np.sqrt((0.999e-3 + 4e-3) / (1.0 - 0.999**2)) + 1.0)
    np.testing.assert_allclose(found[1], 1.0 - 1.0 / 2.0 - second, rtol=1e-6)
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_equals_its_textbook_form(momentum):
    rng = np.random.default_rng(0)
    w = rng.normal(size=(7, 5))
    expected, velocity = w.copy(), 0.0
    sgd = optimizers.SGD([w], 1e-2, momentum)
    for _ in range(5):
        g = rng.normal(size=w.shape)
        sgd.step([g])
        velocity = momentum * velocity + g
        expected -= 1e-2 * velocity
    np.testing.assert_allclose(w, expected, rtol=0, atol=1e-15)  # a rounding a step


@pytest.mark.parametrize("threads", [1, 3, 4])
def test_results_do_not_depend_on_the_number_of_threads(in_tmp, threads):
    """A batch whose size no number of threads divides, wide layers of several tiles."""
    options = ["--hidden", "1700", "--batch-size", "7", "--quiet", "--epochs", "1"]
    assert run(*options, "--output", "a.h5") == 0
    process = command(*options, "--output", "b.h5", "--threads", str(threads))
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    with Trace("b.h5") as trace:
        assert trace.header["threads"] == threads
    assert_equal_runs("a.h5", "b.h5")


def test_the_kernel_cache_is_keyed_by_the_sources_of_kernels(tmp_path):
    from lifnum.compiler import sources_digest

    (tmp_path / "a.py").write_text("@kernel\ndef f(): ...\n")
    (tmp_path / "b.py").write_text("no compiled code here\n")
    before = sources_digest(tmp_path, "1")
    (tmp_path / "b.py").write_text("changed\n")
    assert sources_digest(tmp_path, "1") == before
    (tmp_path / "a.py").write_text("@kernel\ndef f(): pass\n")
    assert sources_digest(tmp_path, "1") != before != sources_digest(tmp_path, "2")


def test_files_with_kernels_import_from_each_other_only():
    """Else an edit of another file could leave a stale kernel in the cache."""
    import ast

    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text()
        for path in (ROOT / "lifnum").rglob("*.py")
    }
    compiled = {name for name, text in sources.items() if "@kernel" in text or "@parallel" in text}
    assert {"lifnum.kernels.lif.forward", "lifnum.methods.propagators"} <= compiled
    keyed = {name for name, text in sources.items() if "kernel" in text}
    for name in compiled:
        for node in ast.walk(ast.parse(sources[name])):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lifnum"):
                modules = {node.module} | {f"{node.module}.{one.name}" for one in node.names}
                assert modules & keyed, name


def test_the_configuration_is_complete_json(in_tmp):
    run("--output", "a.h5", "--quiet")
    with Trace("a.h5") as trace:
        config = json.loads(json.dumps(trace.config))
        assert {
            "lifnum",
            "numpy",
            "numba",
            "cpu",
            "threads",
            "created",
            "command",
        } <= trace.header.keys()
    again = trainer_of(Configuration.from_json(config, "a.h5"))
    assert again.preset.hidden == (12,) and again.scheme.dt == 1e-3
