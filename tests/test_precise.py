"""Spike times to a tolerance are those of the differential equation in extended precision."""

import numpy as np
import precise_models
import pytest
from cases import SETTINGS

from lifnum import Model, Network, Scheme, SpikeTrains, models

pytestmark = pytest.mark.skipif(
    not precise_models.IS_PRECISE, reason="long doubles have no more digits here"
)

DURATION = 400.0  # ms

N_INPUTS = 100

TOLERANCE = 1e-8  # ms


def test_the_integrator_is_right_where_the_solution_is_known():
    """dv/dt = (v^2 - v + 10 c) / 10 rises from -1 to 10 in a difference of arctangents."""
    model = models.qif(current=0.1)
    found = precise_models.spikes_of(model, [], [], 200.0)
    real = precise_models.REAL
    omega = np.sqrt(10 * real(model.parameters["current"]) - real(0.25))
    first, period = (
        10 / omega * (np.arctan((10 - real(0.5)) / omega) - np.arctan((v - real(0.5)) / omega))
        for v in (0, -1)
    )
    times = np.array([spike.time for spike in found])
    assert len(times) > 3
    # a hundredth of the last place of a double at 200
    np.testing.assert_allclose(times, first + np.arange(len(times)) * period, rtol=0, atol=2.8e-16)


def differences(name, seed=0):
    """(differences of spike times in ms, slopes there) of `ps` to a tolerance of 1e-14."""
    parameters, size, dt, _ = SETTINGS[name]
    rng = np.random.default_rng(seed)
    model = models.BUILT_IN[name](**parameters)
    times = np.sort(rng.uniform(0.0, DURATION, N_INPUTS))
    weights = rng.normal(0.3, 1.0, N_INPUTS) * size
    net = Network([(weights[:, None], model)], Scheme("ps", dt=dt, tolerance=1e-14), DURATION)
    out = net.forward(SpikeTrains.from_samples([(times, np.arange(N_INPUTS))], N_INPUTS))
    expected = precise_models.spikes_of(model, times, weights, DURATION)
    assert len(out.times) == len(expected)
    precise = np.array([spike.time for spike in expected])
    return np.abs(out.times - precise).astype(float), np.array([spike.slope for spike in expected])


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in ("lif", "izhikevich") else [pytest.mark.slow])
     for name in SETTINGS],
)  # fmt: skip
def test_spike_times_over_0_4_s_are_those_of_the_differential_equation(name):
    """Where no spike grazes the threshold: a time moves by a change of the state over the slope."""
    errors, slopes = differences(name)
    steep = slopes > 1e-3 * np.median(slopes)
    largest = errors[steep].max()
    print(f"{name}: {len(errors)} spikes, {np.sum(~steep)} graze, largest error {largest:.1e} ms")
    assert len(errors) > 5
    assert largest <= TOLERANCE


def test_a_parameter_beside_a_greater_number_keeps_its_digits():
    """v' = 1e6 + current - u, u = 1e6: the sum of both constants has no digit of the current's."""
    model = Model(
        "sum", {"v": "1e6 + current - u", "u": "0"}, threshold=("v", 1.0), reset={"v": "0"},
        parameters={"current": 0.1}, initial={"u": "1e6"}, input="v",
    )  # fmt: skip
    net = Network([(np.zeros((1, 1)), model)], Scheme("ps", dt=1.0, tolerance=1e-14), 101.0)
    out = net.forward(SpikeTrains.from_samples([([], [])], 1))
    np.testing.assert_allclose(out.times, 10.0 * np.arange(1, 11), rtol=2e-15)
