"""Studies of single neurons: their reference, distance, operations, runs, and what pages say."""

import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expi

import lifnum
from lifnum.analysis.study import __main__ as program
from lifnum.analysis.study import cells, decimals, designs, runner
from lifnum.analysis.study import de_alteriis_oddo as dao
from lifnum.analysis.study import stewart_bair as sb
from lifnum.analysis.study.distances import victor_purpura
from lifnum.analysis.study.operations import EXPONENTIAL, Compiled

ROOT = Path(__file__).parents[1]

STUDIES = [name for name in designs.DESIGNS if designs.study_of(name).SEEDS is None]


def model(equations, threshold, reset=None, **more):
    names = {"name": "tried", "equations": equations, "input": "v"}
    return lifnum.Model(threshold=threshold, reset=reset or {}, **names, **more)


# the reference


def test_decimal_spikes_of_a_tangent_are_where_it_reaches_one():
    found = decimals.trajectory(model({"v": "1 + v**2"}, ("v", 1.0), {"v": 0.0}), 5, "0.25", [0.5])
    # v = tan t between resets; doubles of decimals are rounded once
    np.testing.assert_allclose(found.spikes, np.pi / 4 * np.arange(1, 7), rtol=2e-16)
    np.testing.assert_allclose(found.values, np.tan(0.5), rtol=2e-16)


def test_decimal_series_of_elementary_functions_are_their_integrals():
    times = np.array([0.3, 1.1, 2.0])
    found = decimals.trajectory(
        model({"v": "sin(w*t) + exprel(t + 0.5)", "t": "1"}, ("v", 50.0), parameters={"w": 3.0}),
        3, "0.125", times,
    )  # fmt: skip
    integral = [expi(x) - np.log(x) for x in (times + 0.5, 0.5)]
    integral = integral[0] - integral[1] + (1 - np.cos(3 * times)) / 3
    # a few roundings of these
    np.testing.assert_allclose(found.values, integral, rtol=1e-14)
    found = decimals.trajectory(
        model({"v": "1/(1 + t) - cos(t)*exp(-t)", "t": "1"}, ("v", 50.0)), 3, "0.125", times
    )
    integral = np.log1p(times) - 0.5 * (1 + np.exp(-times) * (np.sin(times) - np.cos(times)))
    np.testing.assert_allclose(found.values, integral, rtol=1e-14)


def test_decimals_cut_a_step_whose_series_does_not_converge():
    coarse, fine = (decimals.trajectory(model({"v": "1 + v**2"}, ("v", 1e3), {"v": -2.0}), 6, dt)
                    for dt in ("1", "0.01"))  # fmt: skip
    assert len(fine.spikes) == 2
    np.testing.assert_allclose(coarse.spikes, fine.spikes, rtol=2e-16)


@pytest.mark.parametrize("name", sb.CELLS)
def test_series_with_a_tolerance_follow_the_decimals(name):
    cell = sb.CELLS[name]
    tried, times = cell.model(cell.currents[1]), np.arange(50.0)
    true = decimals.trajectory(tried, 50, cell.dt, times)
    scheme = lifnum.Scheme("ps", dt=float(cell.dt), tolerance=1e-15)
    found = cells.simulate(tried, scheme, 50.0, times)
    # rounding of v = 65 mV, over 500 steps, and of spikes of 400 mV/ms
    np.testing.assert_allclose(found.values, true.values, rtol=1e-11)
    np.testing.assert_allclose(found.spikes, true.spikes, rtol=1e-12)
    assert len(true.spikes) == (name == "traub-miles")


# distances


def naive_distance(first, second, q):
    if not len(first) or not len(second):
        return float(len(first) + len(second))
    return min(
        naive_distance(first[:-1], second, q) + 1,
        naive_distance(first, second[:-1], q) + 1,
        naive_distance(first[:-1], second[:-1], q) + q * abs(first[-1] - second[-1]),
    )


def test_victor_purpura_is_the_cheapest_of_all_ways():
    rng = np.random.default_rng(3)
    for _ in range(30):
        first, second = (np.sort(rng.uniform(0, 40, rng.integers(0, 6))) for _ in range(2))
        ends = [10.0, 25.0, 40.0]
        expected = [naive_distance(first[first <= end], second[second <= end], 0.1) for end in ends]
        # sums of the same few terms in another order
        np.testing.assert_allclose(victor_purpura(first, second, 0.1, ends), expected, rtol=1e-13)


# operations


def compiled(tried, scheme):
    return Compiled(cells.network(tried, scheme, 10.0).layers[0])


LINEAR = model({"v": "k*v - u", "u": "-u"}, ("v", 9.0), parameters={"k": 0.5})


def test_operations_of_euler_are_those_one_counts_by_hand():
    found = compiled(LINEAR, lifnum.Scheme("euler", dt=0.1))
    # k v - u is one fused operation; -u is a sign
    assert found.field_operations([1.0, 2.0]) == 2
    # the field, two fused updates, and the fused bound of v
    assert found.operations([1.0, 2.0], 0.1) == 2 + 4 + 2


def test_an_exponential_is_as_many_operations_as_its_polynomial():
    tried = model({"v": "exp(v)"}, ("v", 9.0))
    assert compiled(tried, lifnum.Scheme("rk4", dt=0.1)).field_operations([0.5]) == EXPONENTIAL


def test_operations_of_series_grow_with_their_order_and_stages_cost_their_fields():
    tried = lifnum.models.izhikevich()
    orders = [compiled(tried, lifnum.Scheme("ps", order, 0.1)).operations([-60.0, -13.0, 0.0], 0.1)
              for order in (2, 4, 8, 16)]  # fmt: skip
    assert all(a < b for a, b in pairwise(orders))
    assert orders[3] < 16 * orders[1]  # squares of the order, of products alone
    four = compiled(tried, lifnum.Scheme("rk4", dt=0.1))
    field = four.field_operations([-60.0, -13.0, 0.0])
    # of three variables the points of three stages, the ends by a mean of four; and the bound
    operations = 4 * field + 3 * 3 * 3 + 3 * 7 + 2
    assert four.operations([-60.0, -13.0, 0.0], 0.1) == operations


def test_the_orders_of_a_run_are_those_of_its_steps():
    tried = sb.CELLS["izhikevich"].model(30.0)
    for tolerance in (1e-3, 1e-9):
        scheme = lifnum.Scheme("ps", dt=0.25, tolerance=tolerance)
        found = cells.simulate(tried, scheme, 300.0)
        cost = cells.cost(found, scheme, 300.0)
        assert cost.steps == 1200 + len(found.spikes) and len(found.spikes) > 0
        # a fixed order that large is at least as near, and takes as many operations
        fixed = lifnum.Scheme("ps", int(np.ceil(cost.order)) + 8, 0.25)
        other = cells.simulate(tried, fixed, 300.0)
        np.testing.assert_allclose(other.spikes, found.spikes, rtol=100 * tolerance)
        assert cells.cost(other, fixed, 300.0).operations > cost.operations


# runs


@pytest.mark.parametrize("name", STUDIES)
def test_runs_are_named_each_by_its_own_key(name):
    runs = designs.study_of(name).runs()
    assert len({tuple(run.key.values()) for run in runs}) == len(runs)


@pytest.mark.parametrize("name", STUDIES)
def test_small_studies_of_cells_run_and_draw_by_their_command(name, in_tmp, capsys):
    assert program.main([name, "--small", "--figure", "figure.png", "--quiet"]) == 0
    n = len(designs.study_of(name).runs(small=True))
    assert f"{n} of " in capsys.readouterr().out and Path("figure.png").stat().st_size > 10_000
    rows = designs.rows_of(designs.study_of(name), f"runs/{name}-small.csv")
    assert len(rows) == n
    again = Path(f"runs/{name}-small.csv").read_text()
    assert program.main([name, "--small", "--quiet"]) == 0
    assert Path(f"runs/{name}-small.csv").read_text() == again


def test_their_rule_stops_after_the_first_term_that_changes_nothing():
    cell = sb.CELLS["izhikevich"]
    tried = cell.model(30.0)
    scheme = lifnum.Scheme("ps", dt=0.25, tolerance=1e-15)
    spikes, values, cost = sb._absolute(tried, scheme, 1e-10, 200)
    found = cells.simulate(tried, scheme, 200.0, np.arange(200.0))
    # terms below 1e-10 mV are left out, in 800 steps
    np.testing.assert_allclose(values, found.values, atol=1e-7)
    np.testing.assert_allclose(spikes, found.spikes, atol=1e-7)
    assert cost.steps == 800 + len(spikes)
    # term k is at most tolerance first at the order, for every variable
    own = Compiled(cells.network(tried, scheme, 200.0).layers[0])
    r, order = sb._their_terms(own, [-60.0, 5.0, 0.0], 0.25, 1e-6, 0)
    assert (np.abs(r[:, order]) <= 1e-6).all() and (np.abs(r[:, order - 1]) > 1e-6).any()


def test_delays_of_a_line_are_linear():
    count = np.arange(1.0, 31.0)
    np.testing.assert_allclose(dao.line(0.2 + 0.5 * count), (0.5, 1.0), rtol=1e-12)
    assert dao.line((count % 2) - 0.5)[1] < 0.1
    assert np.isnan(dao.line(count[:9])).all()


def test_the_longest_step_is_the_last_before_the_first_bad_one():
    rows = [{"dt": f"{dt}", "distance_500": f"{distance}"}
            for dt, distance in ((1.0, 0.01), (0.5, 0.3), (0.25, 0.1), (0.125, 0.0))]  # fmt: skip
    assert dao.longest(rows, 500) == 0.25
    assert dao.longest(rows[:2], 500) == 0.0
    assert dao.falls([1, 1, 0.5]) and not dao.falls([1, 0.5, 1]) and not dao.falls([1, 1, 1])


# pages


@lru_cache
def rows_of(name):
    return designs.rows_of(designs.study_of(name), ROOT / f"docs/results/{name}.csv")


def page(name):
    return (ROOT / f"docs/studies/{name}.md").read_text()


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_shows_the_tables_of_its_answer(name):
    study, rows = designs.study_of(name), rows_of(name)
    runs, text = study.runs(), page(name)
    assert len(runner.missing(runs, rows)) == len(runs) - len(rows)  # every row is of the design
    assert f"{len(rows)} of {len(runs)} runs" in text
    said = study.answer(rows)
    shown = [line for line in text.partition("## Answer")[2].splitlines() if line[:1] == "|"]
    assert shown and set(shown) <= set(said)


@pytest.mark.parametrize("name", STUDIES)
def test_numbers_in_the_words_of_an_answer_are_of_its_table_or_design(name):
    design, _, words = page(name).partition("## Answer")
    words = "\n".join(line for line in words.splitlines() if line[:1] != "|")
    words = re.sub(r"\(\.\./[^)]*\)|`[^`]*`", "", words)  # links and code

    def numbers(text):
        return set(re.findall(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?(?!\w)", text))

    known = numbers("\n".join(designs.study_of(name).answer(rows_of(name)))) | numbers(design)
    assert numbers(words) - known == set()


def test_the_cells_spike_as_often_as_the_page_of_stewart_and_bair_says():
    rows = rows_of("stewart-bair")
    for cell, current, n in (("izhikevich", "21", 1), ("izhikevich", "30", 10),
                             ("traub-miles", "20", 3), ("traub-miles", "52", 14)):  # fmt: skip
        own = sb.select(rows, cell=cell, current=current, method="rk4")
        assert own and {float(row["spikes"]) for row in own} == {n}
    assert "3 and 14 times" in page("stewart-bair")


def test_findings_on_single_cells_are_those_of_their_studies():
    text = " ".join((ROOT / "docs/findings.md").read_text().split())
    rows = rows_of("stewart-bair")
    wins = [sb.verdict(rows, *pair) for pair in
            (("rk4", "operations"), ("rk4", "seconds"), ("DOP853", "operations"))]  # fmt: skip
    for n, total in wins:
        assert f"{n} of {total}" in text
    assert "{} of {} stored errors and {} of {} mean orders".format(*sb.reproduced(rows)) in text
    rows = rows_of("de-alteriis-oddo")
    for interpolation in dao.INTERPOLATIONS:
        for method in ("euler", "rk2"):
            wins, losses, _ = dao.contest(rows, method, interpolation, "operations")
            assert f"{wins} : {losses}" in text
