"""What the kernels of a model's layer know of it: numbers, arrays and addresses of functions."""

from typing import NamedTuple

import numpy as np

MAX_ORDER = 32
MAX_CUTS = 40

STAGES, SERIES, EXPONENTIAL = range(3)  # families of methods

NONE, LINEAR, DENSE = range(3)

AGAIN, SEVERAL, LOSE = range(3)

OVERSHOOTS = {"again": AGAIN, "several": SEVERAL, "lose": LOSE}

# rows of `room`, scratch of WIDTH float64
WIDTH = MAX_ORDER + 8
(STATE, END, AT, POINT, RATE, SLOPE, DECAY, SCALE, LAM, RATE_AT, UNIT, ROW, POLYNOMIAL, TRUE,
 FIRST_STAGE) = range(15)  # fmt: skip


class Engine(NamedTuple):
    """A layer's model and scheme.

    Flat, since Numba hands no nested tuples to parallel loops.
    """

    n: int  # variables
    v: int  # the threshold variable
    family: int
    order: int
    tolerance: float  # of an adaptive order, else 0
    a: np.ndarray  # the tableau of stages
    b: np.ndarray
    entries: np.ndarray  # (m, 4), int64: see `source.Source`
    n_rows: int
    interpolation: int
    has_reset: bool
    positive: int  # the variable that weights w >= 0 act on, and that of the others
    negative: int
    overshoot: int
    max_spikes: int
    dt: float
    n_grid: int
    duration: float
    field: int
    field_along: int
    field_transpose: int
    diagonal: int
    diagonal_transpose: int
    reset: int
    reset_transpose: int
    term: int
    jacobian_term: int


def rows(e):
    """How many rows `room` has: three a stage, and one a variable for a series' transpose."""
    return FIRST_STAGE + 2 * max(len(e.b), 1) + e.n
