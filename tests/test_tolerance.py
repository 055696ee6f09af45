"""Series of adaptive order in the programs: runs, resumption, tables, sweeps, refusals."""

import re
from pathlib import Path

import pytest
from helpers import IZHIKEVICH, assert_equal_runs
from helpers import run_training as run

import lifnum
from lifnum import evaluate, options, sweep
from lifnum.analysis import report
from lifnum.analysis import training as drawing
from lifnum.analysis.study import __main__ as study

TOLERANT = [*IZHIKEVICH, "--method", "ps", "--tolerance", "1e-6"]


def test_runs_to_a_tolerance_resume_and_stand_in_tables_by_it(in_tmp, refusal, capsys):
    """Series of adaptive order have no order: tables and file names say the tolerance."""
    Path("study").mkdir()
    for seed in "01":
        output = f"study/{seed}.h5"
        assert run(*TOLERANT, "--seed", seed, "--epochs", "1", "--output", output) == 0
        assert run("--resume", output, "--epochs", "2", "--tolerance", "1e-6", "--quiet") == 0
    assert run(*TOLERANT, "--seed", "1", "--output", "whole.h5") == 0
    assert_equal_runs("study/1.h5", "whole.h5")
    scheme = lifnum.Scheme("ps", dt=5e-4, tolerance=1e-6)
    assert lifnum.load("whole.h5").scheme == scheme
    assert drawing.label(drawing.read(["whole.h5"])[0]).startswith(f"izhikevich, {scheme.label}")
    message = "other options than --tolerance 1e-07 (there 1e-06)"
    assert message in refusal(run, "--resume", "whole.h5", "--epochs", "3", "--tolerance", "1e-7")
    assert run(*IZHIKEVICH, "--method", "ps", "--order", "7", "--output", "study/7.h5") == 0
    capsys.readouterr()
    assert options.run("study", study.main, ["study", "--table"]) == 0
    out = capsys.readouterr().out
    name = "ps-tolerance1e-06@0.0005:dense"
    assert re.search(rf"^{name}:adjusted +2 ", out, flags=re.M)
    assert re.search(r"^ps7@0.0005:dense:adjusted +1 ", out, flags=re.M)
    assert options.run("study", study.main, ["study", "--compare", name, "ps7@0.0005"]) == 0
    assert options.run("report", report.main, ["study", "--out", "r.html"]) == 0
    assert "ps-tolerance1e-06" in Path("r.html").read_text()
    assert options.run("evaluate", evaluate.main, ["whole.h5"]) == 0  # under its own scheme
    assert scheme.label in capsys.readouterr().out
    transfer = lambda: options.run("evaluate", evaluate.main, ["whole.h5", "--dt", "1e-3"])  # noqa: E731
    assert "tolerance1e-06-dt0.0005, has no place in a transfer file" in refusal(transfer)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "tolerance is 1e-06; accepted: None for a layer of Neuron"),
        ([*IZHIKEVICH], "tolerance is 1e-06; accepted: None, or from 8.9e-16 to 1 for method 'ps'"),
        ([*TOLERANT, "--order", "3"], "order is 3; accepted: none beside a tolerance"),
        ([*TOLERANT, "--tolerance", "1e-17"], "tolerance is 1e-17; accepted: None, or from"),
        ([*TOLERANT, "--tolerance", "nan"], "tolerance is nan; accepted: None, or from"),
        ([*TOLERANT, "--tolerance", "small"], "--tolerance: invalid float value: 'small'"),
    ],
)  # fmt: skip
def test_a_tolerance_that_can_not_be_is_refused_in_one_line(in_tmp, refusal, arguments, message):
    if not arguments:
        arguments = ["--method", "ps", "--tolerance", "1e-6", "--dt", "1e-3"]
    elif "--tolerance" not in arguments:
        arguments += ["--tolerance", "1e-6"]
    assert message in refusal(run, *arguments, "--output", "a.h5")
    assert not list(Path().iterdir())


def test_a_sweep_runs_over_orders_and_tolerances(in_tmp):
    def labels(*arguments):
        found = sweep.jobs_of(
            *sweep.parser().parse_known_args(["--datasets", "yinyang", *arguments])
        )
        return [job.config.scheme.label for job in found]

    models = ["--preset", "yinyang-qif", "--dt", "0.001", "--interpolation", "dense"]
    grid = [*models, "--methods", "rk4", "ps", "--tolerance", "1e-6", "1e-9"]
    adaptive = ["ps-tolerance1e-06-dt0.001", "ps-tolerance1e-09-dt0.001"]
    assert labels(*grid) == ["rk4-dt0.001", *adaptive]
    assert labels(*grid, "--orders", "5") == ["rk4-dt0.001", "ps5-dt0.001", *adaptive]
    with pytest.raises(
        ValueError, match=r"tolerances are \[1e-06\]; accepted: none where ps is not"
    ):
        labels(*models, "--methods", "rk4", "--tolerance", "1e-6")
