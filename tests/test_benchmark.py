"""The benchmark: its small form from end to end, and its counts against direct ones."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from lifnum import options, scheme, train
from lifnum.analysis.benchmark import __main__ as benchmark
from lifnum.analysis.benchmark import model_report, models, roofline, workers
from lifnum.neurons import lif
from lifnum.runs.run import trainer_of


def run(*arguments):
    return options.run("benchmark", benchmark.main, list(arguments))


def test_the_quick_form_measures_all_sections_and_keeps_every_repetition(in_tmp, capsys):
    sizes = {"epoch": 3, "schemes": 1, "scaling": 1, "start": 1, "memory": 1, "threads": 2}
    sections = ("--only", ",".join(sizes))
    assert run("--quick", "--repeat", "1", "--out", "b.h5", "--markdown", *sections) == 0
    out = capsys.readouterr().out
    assert "| one epoch of digits, `exact` |" in out and "identical to the bit" in out
    with h5py.File("b.h5") as file:
        assert {name: len(file[name]) for name in file} == sizes
        assert file.attrs["quick"] and file.attrs["cpu"] and file.attrs["repeat"] == 1
        assert file["epoch/exact/seconds"].shape == (1,) and file["epoch/exact/seconds"][0] > 0
        events, flops = (file[f"epoch/exact/{name}"][0] for name in ("synaptic_events", "flops"))
    for ending in ("png", "pdf"):
        assert Path(f"b.{ending}").stat().st_size > 10_000
    assert (events, flops) == counted_directly(["--dataset", "digits"])
    before = Path("b.h5").read_bytes()
    assert run("--quick", "--out", "b.h5") == 2
    assert "b.h5: exists" in capsys.readouterr().err and Path("b.h5").read_bytes() == before


def test_the_quick_form_measures_models_on_their_own_and_in_networks(in_tmp, capsys):
    sections = ("--only", "cells,learning,compilation")
    assert run("--quick", "--repeat", "1", "--out", "b.h5", *sections) == 0
    out = capsys.readouterr().out
    for row in ("Izhikevich, rk4, dt 0.1 ms, interpolation dense", "backward against forward, rk4",
                "one epoch of MNIST", "from what models share and lif, rk4 to"):  # fmt: skip
        assert row in out
    with h5py.File("b.h5") as file:
        assert set(file["cells"]) == {"grid", "series", "exponential", "precise"}
        errors = [one["error"][0] for one in file["cells/precise"].values()]
        assert 0 < max(errors) < 1e-4  # ms: a step of 0.045 ms of order 6
        spikes = [one["spikes"][0] for one in file["cells/exponential"].values()]
        assert spikes[1:] == spikes[:-1] and spikes[0] > 0


def test_the_fastest_that_reach_the_error_are_compared():
    def one(seconds, error):
        return {"seconds": [seconds], "error": [error]}

    precise = {"ps, a": one(1e-6, 2e-6), "ps, b": one(2e-6, 9e-7), "ps, c": one(3e-6, 1e-9),
               "brian2, a": one(8e-6, 1e-6), "brian2, b": one(9e-6, 1e-7)}  # fmt: skip
    rows = dict(model_report.rows({"cells": {"precise": precise}}))
    assert rows["Hodgkin-Huxley to 1e-06 ms, brian2, a against ps, b"] == "4 times"
    del precise["brian2, a"], precise["brian2, b"]
    assert len(model_report.rows({"cells": {"precise": precise}})) == 3


def test_the_error_of_other_spikes_is_infinite():
    assert models.spike_error([[1.0, 2.0], []], [[1.0, 2.5], []]) == 0.5
    assert models.spike_error([[1.0], []], [[1.0, 2.5], []]) == np.inf


def counted_directly(options):
    """Synaptic events and flops of a first epoch, one batch and one layer after another."""
    config = train.config_of(train.parser().parse_args(options))
    job = trainer_of(config)
    events = moved = 0
    while job.epoch == 0:
        inputs = job.data.train.select(job.rows_of_batch())
        job.step()
        for layer in job.net.layers:
            for index in inputs.indices:
                events += layer.weights[index].size
            moved += layer.n_steps * layer.weights.shape[1]
            inputs = layer.spikes
    return events, 12 * moved + 2 * events


def test_the_counts_are_those_of_the_design():
    """784-800-10 on MNIST: "54 GFLOP", to its two digits, and "about 21 GB" of 1,200 batches."""
    flops = roofline.training_flops([68, 0], [147, 0], [784, 800, 10])
    assert flops == 12 * 68 * 800 + 2 * 147 * 800
    assert 60_000 * flops == pytest.approx(54e9, abs=1e9)
    assert 1200 * roofline.adam_bytes([784, 800, 10]) == pytest.approx(21e9, abs=0.5e9)


def test_a_process_that_fails_is_named_in_one_line():
    with pytest.raises(workers.WorkerError, match=r"^broken: no such thing$"):
        workers.Worker("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_an_optional_process_that_fails_later_is_left_out_and_the_others_go_on(capsys):
    script = "print('{\"ready\": {}}', flush=True)\nfor k, _ in zip(range(%d), open(0)):\n"
    script += "    print('{\"k\": %%d}' %% k, flush=True)"
    command = [sys.executable, "-c"]
    lasting = workers.Worker("lasting", [*command, script % 9])
    short = workers.Worker("short", [*command, script % 1], optional=True)
    with lasting, short:
        results = workers.in_turn({"lasting": lasting, "short": short}, 3)
    assert results == {"lasting": {"k": [0, 1, 2]}}
    assert capsys.readouterr().err == "left out: short: no message\n"


def test_a_framework_that_can_not_be_installed_is_left_out_in_one_line(in_tmp, capsys, monkeypatch):
    def fails(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "warning\nERROR: no such release\n")

    monkeypatch.setattr(workers.subprocess, "run", fails)
    args = benchmark.parser().parse_args(["--quick", "--peers", "norse"])
    assert benchmark.installed(benchmark.Plan(args)) == {}
    assert capsys.readouterr().err == (
        "left out: norse: can not be installed: ERROR: no such release\n"
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--only", "speed"], "only has 'speed'; accepted: epoch, schemes"),
        (["--peers", "brian"], "peers has 'brian'; accepted: snntorch, snntorch-spoken, norse"),
        (["--only", "none"], "only and peers name nothing to measure"),
        (["--out", "speed.png"], "--out: speed.png; accepted: a file name that ends in .h5"),
        (["--repeat", "0"], "--repeat: 0 is not > 0"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(in_tmp, refusal, arguments, message):
    assert message in refusal(run, "--quick", *arguments)
    assert not list(Path().iterdir())


def test_random_networks_of_any_size_are_equally_active():
    """Cost against work is measured at one spike a neuron and sample, to 10 %."""
    from lifnum.analysis.benchmark.workloads import balanced_weights, random_trains

    generator = np.random.default_rng(0)
    neuron, exact = lif.Neuron(theta=0.2), scheme.Scheme()
    for n, spikes in ((40, 75), (80, 300)):
        inputs = random_trains(20, 784, spikes, 0.1, generator)
        w = generator.uniform(-1, 1, (784, n)).astype(np.float32)
        _, out = balanced_weights(inputs, w, neuron, exact, 0.2)
        assert len(out.times) == pytest.approx(20 * n, rel=0.1)
