"""Studies run by one command: their statistics, runs, tables and the numbers that pages quote."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from lifnum.analysis.study import __main__ as program
from lifnum.analysis.study import (
    designs,
    other_data,
    paired,
    runner,
    spike_budget,
    surrogate,
    time_constants,
)

ROOT = Path(__file__).parents[1]

TRAINED = [name for name in designs.DESIGNS if designs.study_of(name).SEEDS is not None]


def test_p_values_are_those_of_students_t():
    values = np.random.default_rng(5).normal(0.03, 0.1, size=9)
    # two formulas of the same distribution
    expected = scipy.stats.ttest_1samp(values, 0.0).pvalue
    np.testing.assert_allclose(paired.p_different(values), expected, rtol=1e-10)
    below = scipy.stats.ttest_1samp(values, 0.1, alternative="less").pvalue
    above = scipy.stats.ttest_1samp(values, -0.1, alternative="greater").pvalue
    np.testing.assert_allclose(paired.p_equivalent(values, 0.1), max(below, above), rtol=1e-10)


def test_holm_multiplies_by_what_is_left_and_never_falls():
    # 0.01 * 4, 0.02 * 3, max with 0.03 * 2, and 0.5
    corrected = paired.holm([0.03, 0.5, 0.01, 0.02])
    np.testing.assert_allclose(corrected, [0.06, 0.5, 0.04, 0.06], rtol=1e-14)
    corrected = paired.holm([0.01, np.nan, 0.9])  # a pair without variance is one of the three
    np.testing.assert_allclose(corrected, [0.03, np.nan, 1.0], rtol=1e-14)


def test_a_family_tells_differences_from_equivalence_and_from_ignorance():
    base = np.array([-1.0, 0.0, 1.0, 0.5, -0.5])
    differences = [2.0 + 0.01 * base, 0.01 * base, 0.3 * base, 96.1 - np.full(5, 95.9)]
    found = paired.family(differences, margin=0.1)
    assert [one.verdict for one in found] == ["differs", "equivalent", "undecided", "undecided"]
    # what is equal but for rounding has no variance
    assert np.isnan(paired.p_different(np.array([0.1 + 0.2, 0.3, 0.3])))


@pytest.mark.parametrize("name", TRAINED)
def test_runs_of_a_design_are_named_each_by_its_own_key(name):
    study = designs.study_of(name)
    runs = study.runs(2)
    keys = {tuple(run.key.values()) for run in runs}
    configurations = {repr(run.config) for run in runs}
    assert len(keys) == len(configurations) == len(runs)
    first = getattr(study, "FIRST_SEED", 0)  # of a seed, or repetition
    assert {list(run.key.values())[-1] for run in runs} == {f"{first}", f"{first + 1}"}
    assert all(Path(ROOT / f"docs/studies/{name}.md").is_file() for name in designs.DESIGNS)


def test_a_study_runs_what_its_table_lacks(in_tmp, capsys):
    runs = spike_budget.runs(1, small=True)[:3]
    path = Path("runs/table.csv")
    runner.run_all(runs[:2], path, quiet=True)
    first = path.read_text()
    path.write_text(first + "digits,5,0.1,exa")  # of a process that was killed
    assert len(runner.read(path)) == 2
    runner.run_all(runs, path, quiet=True)
    assert path.read_text().startswith(first) and len(runner.read(path)) == 3
    again = path.read_text()
    runner.run_all(runs, path, quiet=True)
    assert path.read_text() == again
    with pytest.raises(ValueError, match=r"table\.csv: columns dataset, target.*accepted: dataset"):
        runner.run_all(time_constants.runs(1, small=True), path)
    Path("other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"other\.csv: line 2"):
        runner.read("other.csv")


def test_a_study_stops_after_the_runs_that_it_may_do_and_may_have_rows_of_its_own(in_tmp):
    runs = [runner.Run({"seed": f"{k}"}, k) for k in range(3)]

    def execute(k):
        return [{"name": "one", "value": k / 3}, {"name": "two", "value": 2.0 * k}]

    for most, n in ((2, 4), (2, 6), (None, 6)):
        runner.run_all(runs, "own.csv", quiet=True, most=most, execute=execute,
                       measures=("name", "value"))  # fmt: skip
        assert len(runner.read("own.csv", ("name", "value"))) == n
    lines = Path("own.csv").read_text().splitlines()
    assert lines[:4] == ["seed,name,value", "0,one,0", "0,two,0", "1,one,0.333333"]


def test_a_row_says_what_its_run_ended_with():
    run = time_constants.runs(1, small=True)[0]
    row = runner.execute(run.config)
    trainer = runner.Trainer(run.config, run.config.data())
    while trainer.epoch < 1:
        trainer.step()
    test = trainer.test()
    assert row["accuracy"] == test.accuracy and row["failed"] == 0.0
    assert (row["hidden_spikes"], row["output_spikes"]) == tuple(test.spikes)
    assert row["hidden_step"] == 0.2 / test.steps[0]


@pytest.mark.parametrize("name", TRAINED)
def test_small_studies_run_and_draw_by_their_command(name, in_tmp, capsys):
    assert program.main([name, "--small", "--seeds", "1", "--figure", "figure.png", "--quiet"]) == 0
    said = capsys.readouterr().out
    study = designs.study_of(name)
    runs = study.runs(1, small=True)
    first = getattr(study, "FIRST_SEED", 0)
    assert re.search(rf"^{len(runs)} runs, (seeds|repetitions) {first}\b", said)
    assert Path("figure.png").stat().st_size > 10_000
    rows = runner.read(f"runs/{name}-small.csv", getattr(study, "MEASURES", runner.MEASURES))
    assert runner.missing(runs, rows) == [] and len(rows) >= len(runs)
    with pytest.raises(ValueError, match=r"none\.csv: has no runs"):
        program.main([name, "--no-runs", "--results", "none.csv"])


def test_what_the_question_needs_most_runs_first():
    runs = time_constants.runs(2)
    first = runs[: 2 * 4 * 3]  # seeds, time constants, methods
    assert {run.key["method"] for run in first} == {"exact", "euler", "ps5"}
    assert {run.config.scheme.dt in (None, run.config.preset.tau_s[0]) for run in first} == {True}
    assert {run.key["gradient"] for run in first} == {"adjusted"}
    assert [run.key["seed"] for run in first] == ["0"] * 12 + ["1"] * 12


# the laws on tables with known numbers


def table(runs, accuracy):
    """Rows as `runner.read` gives them, with made-up accuracies."""
    zeros = dict.fromkeys(runner.MEASURES, "1")
    return [run.key | zeros | {"accuracy": f"{accuracy(run):.6g}", "failed": "0"} for run in runs]


def test_the_longest_step_is_where_the_loss_reaches_five_points():
    dt = np.array([1.0, 2.0, 4.0, 8.0])
    # a quarter of the way from 1 to 17 points, in log dt
    np.testing.assert_allclose(spike_budget.longest_step(dt, np.array([0.0, 1.0, 17.0, 2.0])),
                               2.0 * 2.0**0.25, rtol=1e-12)  # fmt: skip
    assert np.isnan(spike_budget.longest_step(dt, np.array([6.0, 1.0, 17.0, 2.0])))
    assert np.isnan(spike_budget.longest_step(dt, np.array([0.0, 1.0, 2.0, 2.0])))


def test_the_law_is_found_in_a_table_that_obeys_it():
    def accuracy(run):
        target, duration = float(run.key["target"]), float(run.key["duration"])
        cliff = 0.8 * duration / target * 1.01**run.config.seed
        over = np.log(run.config.scheme.dt / cliff) if run.config.scheme.dt else -9.0
        return 0.95 - 0.05 - 0.05 * over if over > -1.0 else 0.95

    fits = spike_budget.law(spike_budget.series(table(spike_budget.runs(), accuracy)))
    # losses are linear in log dt, but for the foot of the ramp
    exponents = [fits.exponent.mean, fits.of_duration.mean, fits.of_target.mean]
    np.testing.assert_allclose(exponents, 1.0, atol=1e-3)
    np.testing.assert_allclose(fits.steps.mean, 1.25 / 1.01**2, rtol=1e-3)
    assert fits.exponent.n == 5


def test_families_are_as_large_as_the_design_says_and_find_what_differs():
    def accuracy(run):
        scheme, tau_s = run.config.scheme, run.config.preset.tau_s[0]
        bad = scheme.method == "euler" and tau_s < 0.02 and scheme.dt > 0.5 * tau_s
        return 0.9 - 0.1 * bad + 0.001 * ((run.config.seed * 7 + len(scheme.label)) % 10 - 4.5)

    found = time_constants.cells(table(time_constants.runs(), accuracy))
    made = time_constants.families(found)
    assert {name: len(pairs) for name, pairs in made.items()} == {
        "adjusted less exact": 96, "piggyback less exact": 48, "on the grid": 48,
        "piggyback less adjusted": 48, "order 5 less Euler": 32,
        "surrogate less piggyback": 48, "surrogate less exact": 32,
    }  # fmt: skip
    pairs = made["adjusted less exact"]
    values = [time_constants.differences(found, *pair) for pair in pairs]
    differing = {pair[0] for pair, one in zip(pairs, paired.family(values, 0.1))
                 if one.verdict == "differs"}  # fmt: skip
    assert differing == {time_constants.Cell(tau_s, "euler", ratio)
                         for tau_s in (0.005, 0.01) for ratio in (1.0, 1.5)}  # fmt: skip


def test_families_on_other_data_are_those_of_the_design():
    found = other_data.cells(table(other_data.runs(), lambda run: 0.9 - 0.01 * run.config.seed))
    made = other_data.families(found)
    assert {name: len(pairs) for name, pairs in made.items()} == {
        "yinyang, adjusted less exact": 24, "yinyang, order 5 less Euler": 8,
        "yinyang, piggyback less adjusted": 16, "yinyang, on the grid": 24,
        "yinyang, added methods less exact": 24,
        "fashion-mnist, adjusted less exact": 12, "fashion-mnist, order 5 less Euler": 6,
        "fashion-mnist, on the grid": 3, "fashion-mnist, surrogate": 6,
    }  # fmt: skip
    for name, pairs in made.items():
        for cell, other in pairs:
            assert cell.place == other.place and cell != other
            assert other.ratio in (0.0, cell.ratio)
            assert (other.gradient == "surrogate") <= (cell.gradient == "surrogate")
            seeds = 10 if name.startswith("yinyang") else 3
            assert found[cell].keys() == found[other].keys() == set(range(seeds))
    # the grid is compared with none, another method on it with the exact solution there
    grid = made["yinyang, on the grid"]
    assert [(cell.method, other.method, other.ratio > 0) for cell, other in grid[:3]] == [
        ("exact", "exact", False), ("euler", "exact", True), ("ps5", "exact", True)
    ]  # fmt: skip


def test_a_mixed_run_takes_each_layers_gradient_from_its_own_forward_pass():
    tau_s, found = 0.005, {}
    for arm in (surrogate.exact(tau_s), surrogate.surrogate(tau_s), *surrogate.mixed(tau_s)):
        trainer = surrogate.trainer_of(surrogate.Setting(arm, 10, small=True))
        rows = trainer.rows_of_batch()
        out = trainer.net.forward(trainer.data.train.select(rows))
        gradients = trainer._differentiate(out, trainer.data.train_labels[rows])[1]
        found[arm.hidden, arm.output] = [one.copy() for one in gradients]
    pure = {name: found[name, name] for name in ("exact", "surrogate")}
    for names, gradients in found.items():
        for layer, name in enumerate(names):
            assert np.array_equal(gradients[layer], pure[name][layer])
    assert not any(map(np.array_equal, *pure.values()))


def test_families_of_the_surrogates_study_are_those_of_the_design():
    rows = [run.key | dict.fromkeys(surrogate.MEASURES, "0.5") | {"failed": "0"}
            for run in surrogate.runs()]  # fmt: skip
    found = surrogate.cells(rows)
    assert {len(own) for own in found.values()} == {20} and len(found) == 4 * 19
    made = surrogate.families(found)
    assert {name: len(pairs) for name, pairs in made.items()} == {
        "rates and epochs": 24, "grid": 12, "layers": 16, "remedies": 24, "steps": 24,
        "signals": 24,
    }  # fmt: skip
    for pairs in made.values():
        assert all(one[0].tau_s == other[0].tau_s and one != other for one, other in pairs)


# pages


def numbers(text):
    """Means with their intervals, and medians with the least and the greatest."""
    text = " ".join(text.replace("\N{MINUS SIGN}", "-").split())
    return re.findall(r"[-+]?[\d.]+ ± [\d.]*\d|[\d.]+ \([\d.]+ to [\d.]*\d\)", text)


@pytest.mark.parametrize("name", TRAINED)
def test_numbers_of_a_page_are_those_of_its_table(name):
    study = designs.study_of(name)
    rows = runner.read(ROOT / f"docs/results/{name}.csv",
                       getattr(study, "MEASURES", runner.MEASURES))  # fmt: skip
    runs = study.runs()
    done = {tuple(row[name] for name in runs[0].key) for row in rows}
    assert len(runner.missing(runs, rows)) == len(runs) - len(done)  # every row is of the design
    page = (ROOT / f"docs/studies/{name}.md").read_text()
    assert f"{len(done)} of {len(runs)} runs" in " ".join(page.split())
    answer = study.answer(rows)
    assert [line for line in answer if line.startswith("|") and line not in page] == []
    answered = {one.lstrip("+") for one in numbers("\n".join(answer))}
    assert [one for one in numbers(page) if one.lstrip("+") not in answered] == []


def test_numbers_of_other_pages_are_those_of_the_study_that_they_name():
    """In paragraphs of the findings' own section, and of the page on gradients."""
    findings = (ROOT / "docs/findings.md").read_text()
    section = findings.split("## Studies written down before their runs")[1].split("\n## ")[0]
    paragraphs = (section + "\n\n" + (ROOT / "docs/gradients.md").read_text()).split("\n\n")
    checked = set()
    for paragraph in paragraphs:
        named = {name for name in designs.DESIGNS if f"studies/{name}.md" in paragraph}
        if len(named) == 1 and (said := numbers(paragraph)):
            page = (ROOT / f"docs/studies/{named.pop()}.md").read_text()
            known = {one.lstrip("+-") for one in numbers(page)}
            assert [one for one in said if one.lstrip("+-") not in known] == []
            checked.add(paragraph)
    assert len(checked) >= 5
