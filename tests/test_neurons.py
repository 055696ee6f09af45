"""Models by equations in the programs: runs, traces, resumption, transfer, sweeps, simulation."""

import json
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import IZHIKEVICH, SMALL_MODELS, Child, assert_equal_runs, wait_for
from helpers import run_training as run

import lifnum
from lifnum import evaluate, options, simulate, sweep, train
from lifnum.analysis import report
from lifnum.analysis import training as drawing
from lifnum.analysis.study import __main__ as study
from lifnum.files import checkpoint
from lifnum.files.reader import Trace
from lifnum.files.transfers import read_transfer
from lifnum.files.writer import TraceWriter
from lifnum.runs import neurons, presets
from lifnum.runs.configuration import Configuration


def config_of(*arguments):
    return train.config_of(train.parser().parse_args(arguments))


def write_model(path, **changes):
    """A file with the model of Izhikevich's neuron, entries changed; None leaves one out."""
    data = lifnum.models.izhikevich().as_data() | {"time_unit": 1e-3} | changes
    kept = {key: value for key, value in data.items() if value is not None}
    Path(path).write_text(json.dumps(kept, default=np.ndarray.tolist))


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """A run of Izhikevich's neurons with a parameter of its own."""
    path = str(tmp_path_factory.mktemp("model") / "a.h5")
    assert run(*IZHIKEVICH, "--parameter", "a=0.1", "--output", path) == 0
    return path


def test_a_model_is_in_the_trace_as_data_and_comes_back_with_load(trace):
    with Trace(trace) as opened:
        kept = opened.config["preset"]["neuron"]
        weights = opened.weights("last")
        assert (opened.epochs["test_spikes"][-1] > 0).all()
        assert (opened.weights("initial")[0] != weights[0]).any()  # it learns
    # as JSON holds it: the equations, and the parameter that was given
    assert len(kept) == 2 and kept[0]["equations"]["u"] == "a*(b*v - u)"
    assert [one["parameters"]["a"] for one in kept] == [0.1, 0.1]
    net = lifnum.load(trace)
    own = presets.PRESETS["digits-izhikevich"].neuron
    caps = [layer.neuron.max_spikes for layer in net.layers]
    expected = [replace(one.with_parameters(a=0.1), max_spikes=cap) for one, cap in zip(own, caps)]
    assert [layer.neuron for layer in net.layers] == expected
    assert all((one == other).all() for one, other in zip(net.weights, weights))


def test_lif_leaves_no_word_of_neurons_in_a_configuration():
    """So that its traces are those of before, and the newest ones load where there were none."""
    plain = config_of("--method", "euler")
    assert "neuron" not in plain.to_json()["preset"]
    assert plain == config_of("--method", "euler", "--neuron", "lif")
    assert Configuration.from_json(json.loads(json.dumps(plain.to_json())), "a.h5") == plain


@pytest.mark.parametrize("names", [["izhikevich"], ["adex", "lif"], ["lif", "qif"], ["file.json"]])
def test_a_configuration_with_models_comes_back_from_json(in_tmp, names):
    # parameters that are no short decimal numbers, and one entry a neuron
    write_model("file.json", parameters=lifnum.models.izhikevich(a=1 / 3).parameters)
    config = config_of("--neuron", *names, "--method", "rk4", "--hidden", "5")
    again = Configuration.from_json(json.loads(json.dumps(config.to_json())), "a.h5")
    assert again == config
    kinds = [neurons.name_of(one) for one in again.preset.neuron]
    wanted = ["izhikevich" if name == "file.json" else name for name in names]
    assert kinds == wanted * (2 // len(wanted))


def test_arrays_of_parameters_belong_to_the_layer_of_their_length(in_tmp, refusal, capsys):
    write_model(
        "hidden.json", parameters=lifnum.models.izhikevich(a=np.linspace(0.02, 0.1, 6)).parameters
    )
    arguments = [
        "--neuron",
        "hidden.json",
        "izhikevich",
        *SMALL_MODELS,
        "--epochs",
        "1",
        "--output",
    ]
    assert run(*arguments, "a.h5") == 0
    assert (lifnum.load("a.h5").layers[0].neuron.parameters["a"] == np.linspace(0.02, 0.1, 6)).all()
    capsys.readouterr()
    message = "entries; accepted: numbers, or arrays of length 10"
    assert message in refusal(run, "--neuron", "hidden.json", *SMALL_MODELS, "--output", "b.h5")


def test_a_configuration_too_large_to_be_read_back_is_refused(in_tmp):
    header = {"config": config_of(*IZHIKEVICH).to_json() | {"more": "x" * (1 << 20)}}
    with pytest.raises(lifnum.errors.TraceError, match=r"takes \d+ bytes; accepted: at most 10485"):
        TraceWriter("a.h5", header, [np.zeros((2, 2))], 2)
    assert not list(Path().iterdir())


def test_a_killed_run_of_a_model_resumes_to_the_same_bits(in_tmp):
    """The model is in the trace: its file may be gone."""
    write_model("model.json", parameters=lifnum.models.izhikevich(d=2.5).parameters)
    long = ["--neuron", "model.json", *SMALL_MODELS, "--epochs", "8", "--evaluations", "2"]
    long += ["--parameter", "1:tau_s=4"]
    assert run(*long, "--output", "whole.h5") == 0
    child = Child(*long, "--checkpoint-every", "0.01", "--output", "a.h5")

    def is_under_way():
        try:
            return checkpoint.load_latest("a.h5")[1]["epoch"] >= 2
        except lifnum.errors.CheckpointError:
            return child.process.exitcode is not None

    wait_for(is_under_way)
    child.signal(signal.SIGKILL)
    child.end()
    with Trace("a.h5") as opened:
        assert opened.status == "running"
    Path("model.json").unlink()
    assert run("--resume", "a.h5", "--quiet") == 0
    assert_equal_runs("a.h5", "whole.h5")


@pytest.mark.parametrize(
    "typed, message",
    [
        (["--neuron", "izhikevich"], None),
        (["--parameter", "a=0.1"], None),
        (["--neuron", "izhikevich", "--parameter", "0:a=0.1"], None),
        (["--parameter", "a=0.2"], "--parameter 0:a=0.2 1:a=0.2 (there 0:a=0.1 1:a=0.1)"),
        (["--neuron", "qif"], "--neuron qif qif (there izhikevich izhikevich)"),
        (["--neuron", "lif"], "--neuron lif lif (there izhikevich izhikevich)"),
    ],
)
def test_beside_resume_a_model_may_be_named_as_it_was(in_tmp, trace, refusal, typed, message):
    Path("a.h5").write_bytes(Path(trace).read_bytes())
    for path in Path(trace).parent.glob("*.checkpoint-*"):
        Path(path.name).write_bytes(path.read_bytes())
    arguments = ["--resume", "a.h5", "--epochs", "3", "--quiet", *typed]
    if message is None:
        assert run(*arguments) == 0
    else:
        assert message in refusal(run, *arguments)


def test_a_trained_model_transfers_to_other_schemes(in_tmp, trace, capsys):
    arguments = ["--methods", "ps", "rk4", "euler", "--orders", "6", "--dt", "5e-5", "5e-4",
                 "--gradients", "20", "--output", "t.h5"]  # fmt: skip
    assert options.run("lifnum.evaluate", evaluate.main, [trace]) == 0
    assert "rk4-dt0.0005" in capsys.readouterr().out
    assert options.run("lifnum.evaluate", evaluate.main, [trace, *arguments]) == 0
    contents = read_transfer("t.h5")
    rows, found = contents.schemes, contents.gradients
    assert (rows["matched"] > 0).all() and len(rows["method"]) == 6
    keys = list(zip(rows["method"].tolist(), rows["dt"].tolist()))
    error = dict(zip(keys, rows["deviation_mean"][:, 0]))
    assert [key for key, value in error.items() if value == 0.0] == [(b"rk4", 5e-4)]
    # euler with the same step is farther off than what is right
    assert error[b"euler", 5e-4] > 2 * error[b"ps", 5e-5]
    # the gradients of a fine step are those of the reference, as far as an error of 1e-5 in the
    # times of those spikes allows that come latest after their inputs; those of euler are not
    near = (found["method"] == b"ps") & (found["dt"] == 5e-5) & (found["gradient"] == b"adjusted")
    assert near.sum() == 2 and (found["cosine_exact"][near] > 1.0 - 1e-5).all()
    far = (found["method"] == b"euler") & (found["dt"] == 5e-4)
    assert far.sum() == 4 and (found["cosine_exact"][far] < 0.99).any(axis=1).all()


@pytest.mark.parametrize("method", ["exact", "backward-euler", "trapezoidal"])
def test_what_a_model_is_not_simulated_with_is_refused(in_tmp, trace, refusal, method):
    message = f"method is '{method}' for izhikevich"
    assert message in refusal(run, *IZHIKEVICH, "--method", method)
    call = lambda *more: options.run("lifnum.evaluate", evaluate.main, [trace, *more])  # noqa: E731
    assert message in refusal(call, "--methods", "euler", method, "--output", "t.h5")
    call = lambda *more: options.run("lifnum.sweep", sweep.main, more)  # noqa: E731
    grid = ["--methods", "euler", method, "--neurons", "izhikevich", "--hidden", "4"]
    assert message in refusal(call, *grid)
    call = lambda *more: options.run("lifnum.simulate", simulate.main, more)  # noqa: E731
    assert message in refusal(call, "izhikevich", "--method", method)
    assert not list(Path().iterdir())


def test_a_model_is_refused_on_a_gpu_whether_there_is_one_or_not(in_tmp, trace, refusal):
    assert "device is 'cuda'; accepted: cpu for izhikevich" in refusal(
        run, *IZHIKEVICH, "--device", "cuda"
    )
    call = lambda *more: options.run("lifnum.evaluate", evaluate.main, more)  # noqa: E731
    assert "device is 'cuda'; accepted: " in refusal(call, trace, "--device", "cuda")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"equations": {"v": "v + q", "u": "-u", "I": "-I"}},
         "equations['v']: 'q' is an unknown name; accepted: the names v, u, I, a, b, c, current, "
         "d, tau_s (in 'v + q', at 'q')"),
        ({"equations": {"v": "__import__('os')", "u": "-u", "I": "-I"}}, "is no function of these"),
        ({"threshold": ["w", 30.0]}, "the threshold variable is 'w'; accepted: v, u, I"),
        ({"threshold": None}, "model has no 'threshold'"),
        ({"reset": {"v": 40.0}}, "reset['v'] is 40; accepted: below the threshold 30"),
        ({"parameters": {"a": float("inf")}}, "accepted: finite numbers"),
        ({"parameters": {"a": [[1.0]]}}, "accepted: a number, or an array"),
        ({"equations": {f"x{k}": "1" for k in range(9)}}, "equations have 9 variables"),
        ({"equations": {"v": "+".join(["v"] * 600), "u": "-u", "I": "-I"}}, "has more than 500"),
        ({"time_unit": 0}, "time_unit is 0; accepted: finite, > 0"),
        ({"colour": "red"}, "model has 'colour'; accepted: name"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_model_gets_one_line(in_tmp, refusal, changes, message):
    write_model("m.json", **changes)
    for call in (
        lambda: run("--neuron", "m.json", *SMALL_MODELS),
        lambda: options.run("lifnum.simulate", simulate.main, ["m.json"]),
    ):
        line = refusal(call)
        assert ": m.json: " in line and message in line


@pytest.mark.parametrize(
    "content, message",
    [(b"{", "is not JSON"), (b"[]", "accepted: a dictionary"), (b"\xff", "can't decode byte"),
     (b" " * (1 << 20) + b"{}", "more than a model would"), (b"[" * 50_000, "not JSON")],
    ids=["half", "list", "bytes", "huge", "deep"],
)  # fmt: skip
def test_a_file_that_is_no_json_of_a_model_gets_one_line(in_tmp, refusal, content, message):
    Path("m.json").write_bytes(content)
    assert message in refusal(run, "--neuron", "m.json", *SMALL_MODELS)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--neuron", "izikevich"], "neuron is 'izikevich'; accepted: lif, lif-coba"),
        (["--neuron", "izhikevich:green"], "cell is 'green'; accepted: regular-spiking"),
        (["--neuron", "qif:green"], "neuron is 'qif:green'"),
        (["--neuron", "qif", "qif", "qif"], "neuron has 3 values; accepted: 1 or 2"),
        (["--neuron", "qif", "--parameter", "a=1"], "parameter is 'a=1'; accepted: the parameters"),
        (["--neuron", "qif", "--parameter", "tau"], "accepted: NAME=VALUE with a number"),
        (["--neuron", "qif", "--parameter", "tau=nan"], "accepted: finite numbers"),
        (["--neuron", "qif", "--parameter", "2:tau=1"], "accepted: layers 0 to 1"),
        (["--parameter", "tau=1"], "accepted: none without --neuron MODEL"),
        (["--neuron", "qif", "lif", "--parameter", "1:tau=1"], "accepted: none without --neuron"),
        (["--neuron", "qif", "--method", "ps", "--order", "33"], "order is 33"),
        (["--preset", "yinyang-qif", "--method", "exact"], "method is 'exact' for qif"),
    ],
)  # fmt: skip
def test_bad_neurons_get_one_line_and_exit_code_2(in_tmp, refusal, arguments, message):
    assert message in refusal(run, *SMALL_MODELS, *arguments)
    assert not list(Path().rglob("*.h5"))


def test_a_model_that_overflows_ends_a_run_with_one_line(in_tmp, capsys):
    arguments = ["--weights", "uniform:1e200:2e200", "--dtype", "float64"]
    assert run(*IZHIKEVICH, *arguments) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"epoch 1, batch 1: layer 0, sample \d+, neuron \d+: . of izhikevich", error)


def test_neurons_bring_the_preset_that_is_theirs_and_its_scheme():
    own = config_of("--dataset", "yinyang", "--neuron", "qif")
    assert own == config_of("--dataset", "yinyang", "--preset", "yinyang-qif")
    assert own.scheme == presets.SCHEMES["yinyang-qif"]
    other = config_of("--preset", "yinyang-qif", "--dataset", "yinyang", "--method", "euler")
    assert (other.scheme.method, other.scheme.dt) == ("euler", own.scheme.dt)
    # without a preset of its own: what is not said is as in the data set's
    foreign = config_of("--dataset", "yinyang", "--neuron", "eif")
    assert foreign.preset == replace(
        presets.PRESETS["yinyang"], neuron=(neurons.neuron_of("eif"),) * 2
    )
    assert foreign.scheme == presets.MODEL_SCHEME


@pytest.mark.parametrize("name", presets.SCHEMES)
def test_a_preset_of_models_runs_and_says_its_name(in_tmp, name):
    dataset = presets.PRESETS[name].dataset
    few = ["--limit-train", "20", "--limit-test", "5", "--epochs", "1", "--hidden", "4", "--quiet"]
    assert run("--preset", name, "--dataset", dataset, *few) == 0
    (path,) = Path("runs").glob("*.h5")
    assert path.name == f"{name}-{presets.SCHEMES[name].label}-s0.h5"
    own = presets.PRESETS[name]
    assert own.models and name == f"{dataset}-{neurons.names(own.neuron)}"


@pytest.mark.slow
@pytest.mark.parametrize("name, least", [("yinyang-qif", 0.95), ("digits-izhikevich", 0.96)])
def test_presets_of_models_learn(in_tmp, name, least):
    """On average over three seeds."""
    found = []
    for seed in "012":
        dataset = name.split("-")[0]
        assert run("--preset", name, "--dataset", dataset, "--seed", seed, "--quiet") == 0
        (path,) = Path("runs").glob(f"*-s{seed}.h5")
        with Trace(path) as opened:
            found.append(opened.epochs["test_accuracy"][-1])
    assert np.mean(found) >= least


def test_what_the_initial_weights_are_not_made_for_is_said(in_tmp, capsys):
    few = ["--limit-train", "20", "--limit-test", "5", "--epochs", "0", "--hidden", "4", "--quiet"]
    write_model("m.json", time_unit=None)
    for arguments, said in (
        (["--neuron", "eif"], "initial weights are those of the preset digits, made for lif"),
        (["--neuron", "m.json"], "m.json has no time_unit, which is 1 then"),
    ):
        assert run(*arguments, *few, "--method", "rk4", "--dt", "0.01") == 0
        assert said in capsys.readouterr().err
    assert run("--preset", "yinyang-qif", "--dataset", "yinyang", *few) == 0
    assert "initial weights are those" not in capsys.readouterr().err


def test_a_sweep_over_neurons_names_its_runs_after_them(in_tmp):
    def paths(*arguments):
        found = sweep.jobs_of(*sweep.parser().parse_known_args(arguments))
        return [Path(job.path).name for job in found]

    yinyang = ["--datasets", "yinyang", "--hidden", "4"]
    scheme = presets.SCHEMES["yinyang-qif"]
    assert paths(*yinyang, "--neurons", "lif", "qif", "eif") == [
        "yinyang-exact-s0.h5",
        f"yinyang-qif-{scheme.label}-s0.h5",
        f"yinyang-eif-{presets.MODEL_SCHEME.label}-s0.h5",
    ]
    grid = ["--methods", "rk4", "ps", "--orders", "4", "--dt", "0.001", "--interpolation", "dense"]
    assert paths(*yinyang, *grid, "--preset", "yinyang-qif", "--seeds", "1") == [
        f"yinyang-qif-{method}-dt0.001-s1.h5" for method in ("rk4", "ps4")
    ]


def test_figures_tables_and_reports_tell_models_from_series(in_tmp, trace, capsys):
    """rk4 is the series of order 4 for linear neurons alone."""
    folder = Path("study")
    folder.mkdir()
    for seed in range(2):
        for method in (["rk4"], ["ps", "--order", "4"]):
            output = str(folder / f"{method[0]}-{seed}.h5")
            arguments = ["--epochs", "1", "--seed", str(seed), "--output", output]
            assert run(*IZHIKEVICH, *arguments, "--method", *method) == 0
    capsys.readouterr()
    assert options.run("study", study.main, ["study", "--table"]) == 0
    out, error = capsys.readouterr()
    for name in ("rk4", "ps4"):
        assert re.search(rf"^{name}@0.0005:dense:adjusted +2 ", out, flags=re.M)
    assert "neurons of the networks of digits: izhikevich" in error
    compare = ["study", "--compare", *(f"{name}@0.0005:dense" for name in ("rk4", "ps4"))]
    assert options.run("study", study.main, compare) == 0
    assert "trained on digits: rk4@0.0005" in capsys.readouterr().out
    assert options.run("report", report.main, ["study", "--out", "r.html"]) == 0
    assert "neurons of the networks of digits: izhikevich" in Path("r.html").read_text()
    assert options.run("training", drawing.main, [trace, "--out", "a.pdf"]) == 0
    assert drawing.label(drawing.read([trace])[0]).startswith("izhikevich, rk4-dt0.0005")


# simulation for its own sake


def simulated(capsys, *arguments):
    """(times, errors) that lifnum.simulate prints, NaN for gained spikes, and its last lines."""
    assert options.run("lifnum.simulate", simulate.main, [*arguments, "--out", "a.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if re.match(r" +\d+ +\d", line)]
    numbers = [[float(x.replace("gained", "nan")) for x in row[-2:]] for row in rows]
    return *np.array(numbers).reshape(-1, 2).T, lines[-3:]


def test_simulate_prints_the_spikes_of_a_neuron_and_the_error_of_a_scheme(in_tmp, capsys):
    """Under a constant current LIF spikes at multiples of -tau log(1 - theta / (tau current))."""
    period = -10e-3 * np.log(1.0 - 1.0 / (10.0 * 0.3))
    expected = period * np.arange(1, int(0.1 / period) + 1)
    neuron = ["lif", "--current", "0.3", "--duration", "0.1"]
    times, errors, last = simulated(capsys, *neuron, "--method", "ps", "--tolerance", "1e-14")
    assert len(times) == len(expected) > 20
    # rounding of 100 steps of a few terms each, in a time of 0.1 s: 1e-16 in fact
    np.testing.assert_allclose(times, expected, rtol=0, atol=1e-14)
    assert Path("a.png").stat().st_size > 10_000
    times, errors, last = simulated(capsys, *neuron, "--method", "euler", "--dt", "0.001")
    assert len(times) == len(expected) + 1 and np.isnan(errors[-1])
    wrong, errors = times[:-1] - expected, errors[:-1]
    assert np.abs(wrong).max() > 1e-4
    # printed with two digits
    np.testing.assert_allclose(errors, wrong, rtol=0.05, atol=1e-12)
    assert last[0] == f"lif, euler-dt0.001: {len(times)} spikes, ps of tolerance 1e-14: 24"
    assert last[1].endswith(f"largest {np.abs(wrong).max():.2g} s")


def test_simulate_takes_input_spikes_and_parameters_from_files(in_tmp, capsys):
    """As `Network` does with the same weights, a line of its own for each neuron."""
    Path("in.txt").write_text("# time, weight\n0.001, 40\n0.002\n\n0.012 35.5\n")
    write_model("m.json", parameters=lifnum.models.izhikevich(a=[0.02, 0.1]).parameters)
    arguments = ["--spikes", "in.txt", "--weight", "30", "--method", "rk4", "--dt", "1e-4"]
    times, _, _ = simulated(capsys, "m.json", *arguments, "--duration", "0.03")
    model = lifnum.models.izhikevich(a=[0.02, 0.1], time_unit=1e-3)
    weights = np.repeat([[40.0], [30.0], [35.5]], 2, axis=1)
    net = lifnum.Network([(weights, model)], lifnum.Scheme("rk4", dt=1e-4), 0.03)
    out = net.forward(lifnum.SpikeTrains.from_samples([([1e-3, 2e-3, 0.012], [0, 1, 2])], 3))
    expected = np.concatenate([out.times[out.indices == k] for k in range(2)])
    assert len(set(out.indices)) == 2
    np.testing.assert_allclose(times, expected, rtol=0, atol=1e-15)  # as many digits are printed
    parts = {}
    for part in ("train", "test"):
        parts |= {
            f"{part}_times": np.array([1e-3, 2e-3, 5e-3]),
            f"{part}_labels": np.zeros(2, int),
            f"{part}_indices": np.array([0, 1, 0]),
            f"{part}_offsets": np.array([0, 2, 3]),
        }
    np.savez("in.npz", **parts)
    arguments = ["--spikes", "in.npz", "--weight", "40", "--duration", "0.03"]
    both = [simulated(capsys, "izhikevich", *arguments, "--sample", n)[0] for n in "01"]
    assert len(both[0]) > 0 and (len(both[0]), *both[0]) != (len(both[1]), *both[1])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["izikevich"], "neuron is 'izikevich'; accepted: lif, lif-coba"),
        (["izhikevich", "--parameter", "q=1"], "parameter is 'q=1'; accepted: the parameters a, b"),
        (["lif", "--parameter", "theta=-1"], "accepted: below the threshold -1"),
        (["qif", "--order", "3"], "order is 3; accepted: none for method 'rk4'"),
        (["qif", "--method", "ps"], "order is None; accepted: an integer from 1 to 32"),
        (["qif", "--tolerance", "1e-9"], "tolerance is 1e-09; accepted: None, or from"),
        (["qif", "--duration", "0"], "--duration: 0 is not > 0"),
        (["qif", "--out", "a.txt"], "accepted: a file name that ends in .png or .pdf"),
        (["qif", "--spikes", "none.txt"], "none.txt: no such file"),
        (["qif", "--spikes", "bad.txt"], "bad.txt: line 2 is '0.2 1 2'; accepted: a time >= 0"),
        (["qif", "--spikes", "late.txt"], "late.txt: line 1 is '-0.2'; accepted: a time >= 0"),
        (["qif", "--spikes", "gap.txt"], "gap.txt: line 1 is '0.1,,2'; accepted: a time >= 0"),
        (["qif", "--spikes", "tens.txt"], "tens.txt: line 1 is '1_0'; accepted: a time >= 0"),
        (["qif", "--spikes", "bytes.txt"], "bytes.txt: no text"),
        (["qif", "--spikes", "bad.npz"], "bad.npz: is neither NPZ nor HDF5"),
    ],
)  # fmt: skip
def test_what_simulate_can_not_take_gets_one_line(in_tmp, refusal, arguments, message):
    Path("bad.txt").write_text("0.1\n0.2 1 2\n")
    Path("late.txt").write_text("-0.2\n")
    Path("gap.txt").write_text("0.1,,2\n")
    Path("tens.txt").write_text("1_0\n")
    Path("bytes.txt").write_bytes(b"\xff\xfe")
    Path("bad.npz").write_bytes(b"nothing")
    call = lambda: options.run("lifnum.simulate", simulate.main, arguments)  # noqa: E731
    assert message in refusal(call)
    assert not list(Path().glob("*.png"))
