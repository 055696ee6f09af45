"""Studies of models by equations: populations against closed forms, and what their rules find."""

import re
from pathlib import Path

import numpy as np
import pytest

from lifnum.analysis.study import designs, nonlinear, populations, regression, runner
from lifnum.scheme import Scheme

DOCS = Path(__file__).parents[1] / "docs"


def numbers(text):
    """Intervals of a text."""
    return re.findall(r"[-+]?[\d.]+ ± [\d.]*\d", text)


def test_a_population_of_lif_responds_as_its_solution_says():
    population = populations.POPULATIONS["lif"]
    current = np.array([[0.05, 0.12, 0.2], [0.101, 0.39, 0.25]])
    net = populations.network(population, current, population.reference)
    found, spikes = populations.responses(net, current.shape)
    expected, count = np.zeros(current.shape), 0
    for place, own in np.ndenumerate(current):
        if own * 10.0 > 1.0:  # u = 10 I (1 - exp(-t / 10)) rises to 1, and again from 0
            period = -10.0 * np.log(1.0 - 1.0 / (10.0 * own))
            times = np.arange(period, population.duration, period)
            expected[place] = (2.0 * np.sin(np.pi * times / population.duration) ** 2).sum()
            count += len(times)
    # a series of order 16 with steps of 0.005 tau, and up to 70 spikes that add up
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    assert spikes == count / current.size


@pytest.mark.parametrize("name", populations.POPULATIONS)
def test_neurons_begin_to_spike_about_the_lower_current(name):
    """Between 0.8 and 1.2 of it, and more at the upper one."""
    population = populations.POPULATIONS[name]
    current = np.array([[0.8 * population.low, 1.2 * population.low, population.high]])
    scheme = Scheme("rk4", dt=population.reference.dt)
    found, _ = populations.responses(populations.network(population, current, scheme), (1, 3))
    silent, some, many = found[0]
    assert silent < 1.0 < some < many


def test_currents_rise_from_the_intercept_to_the_preferred_end():
    population = populations.POPULATIONS["lif"]
    x = np.linspace(-1.0, 1.0, 201)
    for current in populations.currents(population, 40, x, np.random.default_rng(3)).T:
        rising = current if current[-1] > current[0] else current[::-1]
        assert 0.25 <= rising[-1] <= 0.4
        # linear in x, until as far below 0.1 as the largest current is above
        slopes = np.diff(rising[rising > 0.2 - rising[-1] + 1e-9])
        np.testing.assert_allclose(slopes, slopes[0], rtol=1e-8)
        assert rising.min() >= 0.2 - rising[-1] - 1e-12 and rising[0] < 0.1


def test_a_read_out_is_the_least_squares_of_its_penalty():
    rng = np.random.default_rng(4)
    response, targets = rng.uniform(0, 9, (30, 5)), rng.normal(size=(30, 2))
    # the same as a system with rows of the penalty's root
    root = np.sqrt(populations.RIDGE * 30 * np.mean(response**2)) * np.eye(6)[1:]
    columns = np.vstack([np.column_stack([np.ones(30), response]), root])
    expected = np.linalg.lstsq(columns, np.vstack([targets, np.zeros((5, 2))]), rcond=None)[0]
    found = populations.read_out(response, targets)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(populations.predict(response, found), columns[:30] @ expected,
                               rtol=1e-9, atol=1e-12)  # fmt: skip


def test_the_reference_deviates_from_itself_by_nothing():
    base, *_ = regression.runs(1, small=True)
    row = regression.execute(base.config)
    assert row["deviation"] == 0.0 and row["failed"] == 0.0
    assert row["own_smooth"] == row["transfer_smooth"] != row["noisy_smooth"]


def table(study, measures):
    """Rows of all runs of a study as `runner.read` gives them, with made-up measures."""
    zeros = dict.fromkeys(study.MEASURES, "0")
    return [run.key | zeros | {name: f"{value:.9g}" for name, value in measures(run).items()}
            for run in study.runs()]  # fmt: skip


def test_the_integrator_decides_where_one_method_works_and_another_fails():
    def measures(run):
        method, dt, seed = run.key["method"], float(run.key["dt"]), run.config.seed
        stopped = method == "ps8" and dt == 4e-3
        lost = 0.2 if (method, dt) == ("euler", 2e-3) and seed else 0.0
        return {"accuracy": 0.9 - lost + 1e-3 * seed, "failed": stopped}

    found = nonlinear.cells(table(nonlinear, measures))
    sizes = {name: len(pairs) for name, pairs in nonlinear.families(found).items()}
    assert sizes == {
        "adjusted less reference": 57, "piggyback less adjusted": 15, "order 8 less Euler": 12,
    }  # fmt: skip
    for network in nonlinear.NETWORKS:
        assert nonlinear.state(found, nonlinear.Cell(network, "ps8", 4e-3)) == "fails"
        assert nonlinear.state(found, nonlinear.Cell(network, "euler", 2e-3)) == "varies"
        assert nonlinear.state(found, nonlinear.Cell(network, "rk4", 4e-3)) == "works"


def test_the_longest_step_ends_where_a_shorter_one_is_not_equivalent():
    def measures(run):
        method, dt = run.key["method"], float(run.key["dt"])
        off = {"euler": 0.1, "rk4": 0.1 if dt == 0.5 else 0.0}.get(method, 0.0)
        jitter = 1e-3 * ((3 * run.config.seed + len(method)) % 5 - 2)
        errors = dict.fromkeys([name for name in regression.MEASURES if "_" in name],
                               0.2 + off + jitter)  # fmt: skip
        return errors | {"seconds": 1.0 / dt}

    found = regression.cells(table(regression, measures))
    made = regression.comparisons(found)
    assert {len(tests) for tests in made.values()} == {45} and len(made) == 9
    best = regression.cheapest(found, "lif", "own_smooth", made["own_smooth"])
    assert best == {"rk4": (0.2, 5.0), "ps4": (1.0, 1.0)}


def answer(name):
    study = designs.study_of(name)
    return study.answer(runner.read(DOCS / f"results/{name}.csv", study.MEASURES))


@pytest.mark.parametrize("page", ["findings", "choose"])
def test_what_other_pages_say_of_these_studies_is_in_their_answers(page):
    checked = set()
    for part in re.split(r"\n\n", (DOCS / f"{page}.md").read_text()):
        named = {name for name in ("nonlinear", "regression") if f"studies/{name}.md" in part}
        known = {one.lstrip("+-") for name in named for one in numbers("\n".join(answer(name)))}
        said = numbers(" ".join(part.split())) if named else []
        assert [one for one in said if one.lstrip("+-") not in known] == []
        checked |= named if said else set()
    assert checked == {"nonlinear", "regression"}
