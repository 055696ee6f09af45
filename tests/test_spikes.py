"""Spike trains hold copies that nobody can change, and refuse in one line what is none."""

import copy
import pickle

import numpy as np
import pytest
from helpers import TRAINS, network, refused

from lifnum import Neuron, Scheme, SpikeTrains
from lifnum.data import encoding


def test_spike_trains_are_copies_that_nobody_can_change():
    times, ids, offsets = np.array([0.1, 0.2]), np.array([0, 1], np.int32), np.array([0, 2])
    trains = SpikeTrains(times, ids, offsets, 2)
    ids += 100
    times[:], offsets[:] = -1.0, 7
    assert trains[0][0].tolist() == [0.1, 0.2] and trains[0][1].tolist() == [0, 1]
    out = network().forward(trains)
    made = [trains, trains.select([0]), out, encoding.latency(np.ones((1, 2)))]
    made += [pickle.loads(pickle.dumps(trains)), copy.copy(trains), copy.deepcopy(trains)]
    for one in made:
        for array in (one.times, one.indices, one.offsets, *one[0], one.counts()):
            with pytest.raises(ValueError, match="read-only"):
                array[:] = 0
        with refused("times of SpikeTrains can not be set", AttributeError):
            one.times = times
        with refused("n_neurons", AttributeError):
            one.n_neurons = 100
    assert made[4] == made[5] == made[6] == trains != trains.select([0, 0])


@pytest.mark.parametrize(
    "times, ids, n, name",
    [
        ([0.1], [0], 3.7, "n_neurons is 3.7; accepted: an integer"),
        ([0.1], [0], "2", "n_neurons is '2'"),
        ([0.1], [0], True, "n_neurons is True"),
        ([0.1], [0], 2**31, "n_neurons"),
        ([0.1], [0], -1, "n_neurons"),
        ([0.1], [0], np.nan, "n_neurons"),
        ([0.1], [0.7], 2, "indices .*are float64"),
        ([0.1], ["0"], 2, "indices .*are <U1"),
        ([0.1], [True], 2, "indices .*are bool"),
        ([0.1], [2_000_000], 2, r"indices\[0\] is 2000000; accepted: 0 to 1"),
        ([0.1], np.array([2**32]), 2, r"indices\[0\] is 4294967296"),
        ([0.1], np.array([2**64 - 1], np.uint64), 2, r"indices\[0\]"),
        ([0.1], [[0]], 2, "indices .*shape"),
        (["0.1"], [0], 2, "times .*are <U3"),
        ([True], [0], 2, "times .*are bool"),
        ([0.1j], [0], 2, "times .*are complex"),
        ([[0.1]], [0], 2, "times .*shape"),
        ([np.inf], [0], 2, r"times\[0\] is inf"),
    ],
)
def test_constructor_and_from_samples_refuse_alike(times, ids, n, name):
    with refused(name):
        SpikeTrains(times, ids, [0, 1], n)
    with refused(name):
        SpikeTrains.from_samples([(times, ids)], n)


def test_a_sample_that_is_no_pair_is_refused():
    for sample in (np.ones((2, 3)), ([0.1],), 3, "ab"):
        with refused("sample 0 is a .*accepted: a pair"):
            SpikeTrains.from_samples([sample], 2)


def test_select_understands_what_numpy_does():
    samples = [([0.1 * k], [0]) for k in range(5)]
    trains = SpikeTrains.from_samples(samples, 1)
    numbers = np.arange(5)
    mask = numbers == 3
    for rows in (mask, ~mask, mask.tolist(), [-1, 0, -5], slice(None), slice(-2, None),
                 slice(None, None, -2), [], np.array([4, 4], np.uint8), (1, 2)):  # fmt: skip
        expected = numbers[list(rows) if isinstance(rows, tuple) else rows]
        chosen = trains.select(rows)
        assert [round(10 * chosen[k][0][0]) for k in range(len(chosen))] == expected.tolist()
    for rows, name in [
        ([0, 5], r"rows\[1\] is 5; accepted: -5 to 4"),
        ([-6], r"rows\[0\] is -6"),
        (np.array([2**64 - 1], np.uint64), "rows"),
        (mask[:4], "a mask of 5 booleans"),
        (np.ones((5, 1), bool), "mask"),
        ([0.0, 1.0], "rows are float64"),
        (["1"], "rows"),
        (2, "accepted: integers of one dimension"),
        ([[1]], "one dimension"),
    ]:
        with refused(name, IndexError):
            trains.select(rows)
    for sample in (5, -6, "a", 1.0):
        with refused("sample is .*accepted: an integer from -5 to 4", IndexError):
            trains[sample]


def test_spread_and_mark_refuse_other_shapes():
    for wrong in (np.ones((3, 1)), np.ones((1, 2)), np.ones(2)):
        with refused(r"values have shape .*accepted: \(3, 2\)"):
            TRAINS.spread(wrong)
    assert TRAINS.spread(np.arange(6).reshape(3, 2)).tolist() == [0.0, 1.0, 3.0]
    frozen = np.zeros(2, bool)
    frozen.setflags(write=False)
    for wrong in (np.zeros(1, bool), np.zeros(2), [False, False], frozen):
        with refused("spiked is .*accepted: a C-contiguous, writable array of 2 booleans"):
            TRAINS.mark(wrong)


def test_times_beyond_the_range_of_float64_are_not_finite():
    long = np.longdouble("1e4000")
    if not np.isfinite(long):
        pytest.skip("long double is float64 here")
    times = np.array([0.1, long], np.longdouble)
    for call in (
        lambda: SpikeTrains(times, [0, 0], [0, 2], 1),
        lambda: SpikeTrains.from_samples([(times, [0, 0])], 1),
    ):
        with refused(r"times\[1\] is .*; accepted: finite numbers >= 0"):
            call()
    trains = SpikeTrains(times[:1], [0], [0, 1], 1)
    assert trains.times.dtype == np.float64 and trains.times[0] == float(times[0])


@pytest.mark.parametrize(
    "value",
    [np.longdouble("1e4000"), np.longdouble("1e-4000"), 10**400],
    ids=["long", "small", "integer"],
)
def test_numbers_that_float64_can_not_hold_are_refused(value):
    for call in (lambda: Neuron(tau=value), lambda: Scheme("euler", dt=value)):
        with refused("accepted: a finite number > 0"):
            call()
