"""What the kernels of a model's layer know of it: numbers, arrays and addresses of functions."""

from typing import NamedTuple

import numpy as np

from lifnum.methods.interpolation import DENSE, LINEAR, LOSE, NONE, SEVERAL

__all__ = ["DENSE", "LINEAR", "LOSE", "NONE", "SEVERAL"]  # what the written kernels ask for here

MAX_ORDER = 32
SHORTEST = 1e-150  # no state moves in a shorter step, and its coefficients may have lost digits
MAX_CUTS = 60
MOST_CUTS = 10_000_000  # of a neuron's pieces in a sub-interval: some seconds

# rows of `room`, scratch of WIDTH float64
WIDTH = MAX_ORDER + 8
(STATE, END, AT, POINT, RATE, SLOPE, DECAY, LAM, RATE_AT, UNIT, ROW, POLYNOMIAL, TRUE,
 RESULT, RISE, PULLED, AFTER, TAIL) = range(18)  # fmt: skip

# entries of row RESULT of an adjoint: by the interval's start and end, by the hold's end, and by
# the time of a spike that is FIRED at the start, for which row AFTER is the adjoint behind it
BY_START, BY_END, BY_HOLD, BY_FIRED = range(4)


class Engine(NamedTuple):
    """A layer's model and scheme; its class is that of the method's family.

    Flat, since Numba hands no nested tuples to parallel loops.
    """

    n: int  # variables
    v: int  # the threshold variable
    order: int
    tolerance: float  # of an adaptive order, else 0
    a: np.ndarray  # the tableau of stages
    b: np.ndarray
    entries: np.ndarray  # (m, 4), int64: see `source.Source`
    n_rows: int
    interpolation: int
    chords: bool  # a spike is where the chord of a step reaches theta: Euler's dense output is one
    has_reset: bool
    positive: int  # the variable that weights w >= 0 act on, and that of the others
    negative: int
    overshoot: int
    spikes_per_step: int  # the most of a neuron in a step of the grid; 0: no limit
    refractory: float  # how long the threshold variable is held after a spike
    gate: int  # where p has the factor of its derivative: 1, 0 while it is held; -1: never is
    max_spikes: int
    most_cuts: int  # of a neuron's pieces in a sub-interval, together
    dt: float
    n_grid: int
    duration: float
    flow: int  # of stages: the whole step, and its derivatives
    rate: int
    pull: int
    moves: int  # all three
    root: int  # where it reaches the threshold, from a guess
    field: int
    field_transpose: int
    diagonal: int
    diagonal_transpose: int
    reset: int
    reset_transpose: int
    expand: int
    jacobian_term: int
    quiet: int  # vectors over steps in which none may spike, and back; 0: each alone, in tests
    quiet_back: int
    leap: int  # vectors of neurons over spikes on a chord; 0: none can
    walk_interval: int  # see `walk`, `adjoint` and `piggyback`
    interval_back: int
    tabulate: int  # see `passes`
    run: int
    run_back: int


class Stages(Engine):
    """Of a Runge-Kutta method."""

    __slots__ = ()


class Series(Engine):
    """Of power series."""

    __slots__ = ()


class Exponential(Engine):
    """Of exponential Euler."""

    __slots__ = ()


FAMILIES = (Stages, Series, Exponential)


class Cell(NamedTuple):
    """One neuron's numbers, and scratch for it."""

    p: np.ndarray  # (n_p,) what the model's functions take
    theta: float
    room: np.ndarray  # (rows(e), WIDTH)
    r: np.ndarray  # (n_rows, WIDTH) Taylor coefficients
    reach: np.ndarray  # int64 (WIDTH,), scratch of these


class Step(NamedTuple):
    """A step of a cell that was planned for h, at s, of this order."""

    h: float
    s: float
    order: int


ADDRESSES = Engine._fields[Engine._fields.index("flow") :]


def rows(e):
    """How many rows `room` has: those above, and one a variable for a series' transpose."""
    return TAIL + e.n
