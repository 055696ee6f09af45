"""Vectors of neurons against NumPy: every lane as a scalar would, to the bit."""

import math

import numpy as np
import pytest

from lifnum.compiler import kernel
from lifnum.kernels.vectors import (
    LANES,
    NEAR,
    converted,
    filled,
    larger,
    load,
    log_of_decay,
    lost_by_decay,
    not_below,
    store,
    total,
)


@kernel
def operate(values, out, scalar):
    """Every operation on rows 0 and 1, at column 1: vectors need no alignment."""
    x, y = load(values, 0, 1), load(values, 1, 1)
    store(out, 0, 1, x + y)
    store(out, 1, 1, x - scalar)
    store(out, 2, 1, scalar * y)
    store(out, 3, 1, x / y)
    store(out, 4, 1, abs(x) + filled(scalar))
    store(out, 5, 1, math.sqrt(y))
    store(out, 6, 1, larger(x, y))


@kernel
def reduce(values, scalar, narrow):
    x, y = load(values, 0, 0), load(values, 1, 0)
    return not_below(x, y), not_below(scalar, x), not_below(converted(x, narrow), narrow), total(x)


@kernel
def series(rows):
    store(rows, 1, 0, lost_by_decay(load(rows, 0, 0)))
    store(rows, 3, 0, log_of_decay(load(rows, 2, 0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_round_as_scalars_do_and_nothing_beside_them_is_touched(dtype):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, LANES + 2)).astype(dtype)
    values[1] = abs(values[1])
    out, scalar = np.full((7, LANES + 2), 7, dtype), dtype(0.3)
    operate(values, out, scalar)
    x, y = values
    expected = [x + y, x - scalar, scalar * y, x / y, abs(x) + scalar, np.sqrt(y), np.maximum(x, y)]
    assert (out[:, 1:-1] == np.array(expected)[:, 1:-1]).all()
    assert (out[:, [0, -1]] == 7).all()


def bits(lanes):
    return sum(1 << k for k in np.flatnonzero(lanes))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_comparisons_are_bits_and_nan_counts_as_not_below(dtype):
    rng = np.random.default_rng(1)
    values = rng.integers(-2, 3, (2, LANES)).astype(dtype)
    values[0, 3] = values[1, 7] = np.nan
    x, y = values
    pair, scalar, _, _ = reduce(values, dtype(0.0), np.float32(1.0))
    assert pair == bits(~(x < y)) and scalar == bits(~(x > 0))


def test_a_vector_is_rounded_as_a_scalar_is():
    """Some numbers below 0.2 in float64 are not so in float32."""
    narrow = np.float32(0.2)
    values = np.float64(narrow) + 1e-9 * np.arange(-LANES, LANES).reshape(2, LANES)
    lanes = reduce(values, 0.0, narrow)[2]
    assert lanes == bits(values[0].astype(np.float32) >= narrow) and 0 < lanes < 2**LANES - 1


def test_the_sum_is_of_halves():
    values = np.random.default_rng(2).normal(size=(2, LANES)).astype(np.float32)
    expected = values[0]
    while len(expected) > 1:
        expected = expected[: len(expected) // 2] + expected[len(expected) // 2 :]
    assert reduce(values, np.float32(0.0), np.float32(0.0))[3] == expected[0]


def test_series_of_short_steps_are_exact_to_rounding():
    rng = np.random.default_rng(3)
    for _ in range(2000):
        rows = np.zeros((4, LANES))
        rows[0] = (1.0 - NEAR) * 10.0 ** rng.uniform(-12, 0, LANES)
        rows[2] = 1.0 - (1.0 - NEAR) * 10.0 ** rng.uniform(-12, 0, LANES)
        rows[0, 0], rows[2, 0], rows[2, 1] = 1.0 - NEAR, NEAR, 1.0
        series(rows)
        # a few roundings
        np.testing.assert_allclose(rows[1], -np.expm1(-rows[0]), rtol=5e-16, atol=0)
        np.testing.assert_allclose(rows[3], np.log(rows[2]), rtol=8e-16, atol=0)
