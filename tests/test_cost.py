"""The study of costs: errors of spike times, how a cost grows with the order, the fastest."""

import numpy as np
import precise_models
import pytest

from lifnum import SpikeTrains, models
from lifnum.analysis.study import cost
from lifnum.testing.expressions import Expressions


def test_errors_are_of_the_spikes_of_a_neuron_in_their_order():
    truth = SpikeTrains.from_samples([([1.0, 2.0, 3.0], [0, 1, 0]), ([4.0], [1])], 2)
    # 0.25 and 0.5 late, none of neuron 1 in the first sample, one too many in the second
    out = SpikeTrains.from_samples([([1.25, 3.5], [0, 0]), ([4.0, 5.0], [1, 1])], 2)
    found = cost.errors(out, truth)
    assert (found["median_error"], found["mean_error"]) == (0.25, 0.25)
    assert found["unmatched"] == 2 / 4
    assert cost.errors(truth, truth)["median_error"] == 0.0


def rows_of(seconds, error=lambda method, dt: 0.0, repetitions=3):
    """Rows of a model's part as `runner.read` gives them, with made-up times and errors."""
    load = cost.MODELS["izhikevich"]
    rows = []
    for k in range(repetitions):
        for scheme in cost.model_schemes(load, False):
            method, dt = cost.name_of(scheme), 1e-3 * scheme.dt
            numbers = {"seconds": seconds(method, dt) * (1.0 + 0.1 * k), "unmatched": 0.0,
                       "median_error": error(method, dt)}  # fmt: skip
            numbers = dict.fromkeys(cost.MEASURES, np.nan) | numbers
            named = {"part": "izhikevich", "repetition": f"{k}", "method": method, "dt": f"{dt}"}
            rows.append({name: f"{value}" for name, value in numbers.items()} | named)
    return rows


def order_of(method):
    return int(method[2:]) if method.startswith("ps") else 1


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_the_exponent_of_an_order_is_found_within_turns(exponent):
    found = cost.cells(rows_of(lambda method, dt: order_of(method) ** exponent / dt), "izhikevich")
    # the machine was a tenth slower from turn to turn: ratios know nothing of it
    np.testing.assert_allclose(cost.growth(found, 1e-3), exponent, atol=1e-9)
    ratios = cost.over_turns(found, ("ps32", 1e-3), other=("ps1", 1e-3))
    np.testing.assert_allclose(ratios, 32.0**exponent, rtol=1e-9)


def test_the_fastest_is_of_those_that_reach_the_error():
    def seconds(method, dt):
        return order_of(method) ** 2 / dt

    def error(method, dt):
        return (1e3 * dt) ** order_of(method) if method.startswith("ps") else 1.0

    found = cost.cells(rows_of(seconds, error), "izhikevich")
    # within 0.05: order 1 at 0.05 ms takes 20000, order 3 at 0.25 ms 36000, order 2 at 0.1 40000
    assert cost.fastest(found, 0.05 + 1e-12) == [("ps1", 5e-5)] * 3
    # within 1e-3: order 3 at 0.1 ms 90000, order 10 at 0.5 ms 200000, order 5 at 0.25 100000
    assert cost.fastest(found, 1e-3 + 1e-12) == [("ps3", 1e-4)] * 3
    assert cost.fastest(found, 1e-90) == []
    for own in found["ps1", 5e-5].values():
        own["unmatched"] = 0.01  # lost or gained spikes do not count as reached
    assert cost.fastest(found, 0.05 + 1e-12) == [("ps3", 2.5e-4)] * 3


def test_a_repetition_measures_every_scheme_in_an_order_of_its_own():
    first, second = (cost.execute(cost.Piece("step", k, True)) for k in range(2))
    keys = [[(row["method"], row["dt"]) for row in rows] for rows in (first, second)]
    assert keys[0] != keys[1] and sorted(keys[0]) == sorted(keys[1])
    assert set(keys[0]) == {("exact", 0.0), *((f"ps{n}", dt) for n in (1, 2) for dt in cost.STEPS)}
    assert all(row["seconds"] > 0.0 and np.isnan(row["accuracy"]) for row in first + second)


@pytest.mark.skipif(not precise_models.IS_PRECISE, reason="long doubles have no more digits here")
def test_hodgkin_huxleys_steps_lie_where_series_of_these_orders_fail_and_hold():
    model, generator = models.hodgkin_huxley(), np.random.default_rng(0)
    load = cost.MODELS["hodgkin-huxley"]
    inputs = cost.poisson(load.samples, generator)
    weights = generator.uniform(*cost.WEIGHTS, (cost.INPUTS, load.neurons))[:, 0]
    cell, field = precise_models.Cell(model), Expressions(model).field
    y, now, radii, rates = cell.start, 0.0, [], []
    for time, source in zip(inputs.times, inputs.indices):
        if time > 6.0:  # the first spike is at 4.4 ms
            break
        while now < time:
            c = cell.expand(y)
            # by the root test
            radii.append(np.min(np.abs(c[:4, -1]) ** (-1.0 / precise_models.ORDER)))
            columns = [np.imag(field(list(np.asarray(y, float) + 1e-30j * one)))
                       for one in np.eye(len(y))]  # fmt: skip
            rates.append(-np.linalg.eigvals(np.transpose(columns) / 1e-30).real.min())
            h = min(precise_models.step_of(c), time - now, 0.05)
            y, now = precise_models.at(c, h), time if now + h >= time else now + h
        y = cell.jumped(y, weights[source])
    # order 4 is stable to 2.785 over the fastest rate, order 8 to 4.31, order 16 to 7.32
    *_, short, long = load.steps
    assert 2.79 < short * max(rates) < 4.31 < long * max(rates) < 7.32
    assert short < min(radii) < long  # so that no order holds at the longer step
