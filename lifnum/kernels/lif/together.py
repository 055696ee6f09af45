"""The spikes of up to sixteen neurons in one step, all at once."""

import math
from typing import NamedTuple

import numpy as np

from lifnum.compiler import inlined_kernel
from lifnum.kernels.lif.crossing import (
    LARGE,
    SMALL,
    rising_root,
    series_and_slope,
    series_coefficients,
    square_coefficients,
    squares,
)
from lifnum.kernels.vectors import (
    VectorType,
    converted,
    filled,
    larger,
    load,
    log_of_decay,
    not_below,
    store,
)
from lifnum.methods.propagators import (
    PS,
    bend_change,
    series_propagator,
    significant_order,
    square_propagator,
)

# Rows of a turn of `fire`: the spike's time, I and decay to the end of the step, (I, u) there, and
# the length and rest of the piece that it ended; behind the rows of (I, u) before and u after.
ROWS = 7
TIME, CURRENT, DECAY, END_CURRENT, END_POTENTIAL, LENGTH, REST = range(3, 3 + ROWS)
I_BEFORE, U_BEFORE, U_AFTER = range(3)
MAX_NEWTON = 8  # a neuron that takes more is followed alone
TURNS = 8  # spikes of a neuron in a step that `fire` finds; one with more is followed alone


class Turn(NamedTuple):
    """Neurons at the start of a step, or at their latest spike in it, a lane each."""

    i: VectorType  # (I, u)
    u: VectorType
    u1: VectorType  # u at the end of the step, should no spike follow
    rest: VectorType  # of the step: its length by series, else its decay
    elapsed: VectorType  # since the start of the step, so that times keep their digits; by series


@inlined_kernel
def _series_root(d, order, i, u, x, wanted):
    """Newton's method from x for u = theta of the series, and the lanes where it may be wrong.

    Where u is concave tangents lead to the root, from either side of it, unless u falls at x.
    """
    odd = np.uint64(0)
    for _ in range(MAX_NEWTON):
        value, slope = series_and_slope(d, order, i, u, x)
        step = (d.theta - value) / slope
        x = x + step
        odd |= not_below(0.0, slope)
        moving = ~not_below(1e-9 * x, abs(step))
        if wanted & ~odd & moving == 0:
            return x, odd
    return x, odd | moving


@inlined_kernel
def _behind_spike(d, lanes, row, i, rest, elapsed, propagator):
    """The `Turn` behind a spike with current i; propagator: of the rest of the step."""
    a, c, b = propagator
    u = filled(d.reset)
    u1 = c * i + b * u
    store(lanes, row + CURRENT, 0, i)
    store(lanes, row + DECAY, 0, b)
    store(lanes, row + END_CURRENT, 0, a * i)
    store(lanes, row + END_POTENTIAL, 0, u1)
    return Turn(i, u, u1, rest, elapsed)


@inlined_kernel
def _turn_by_series(d, at, order, lanes, row, turn, z, left):
    """(the next `Turn`, lanes where it is wrong), for spikes after about z."""
    x, odd = z / d.unit, np.uint64(0)
    if d.order > 2:
        x, odd = _series_root(d, order, turn.i, turn.u, x, left)
        z = d.unit * x
    odd |= not_below(0.0, z) | not_below(z, turn.rest)
    elapsed = turn.elapsed + z
    time = at.start + elapsed
    store(lanes, row + TIME, 0, time - larger(filled(0.0), time - at.end))
    store(lanes, row + LENGTH, 0, z)
    store(lanes, row + REST, 0, turn.rest)
    i = series_propagator(d, order, x)[0] * turn.i
    rest = larger(filled(0.0), (at.end - at.start) - elapsed)
    behind = series_propagator(d, order, rest / d.unit)
    return _behind_spike(d, lanes, row, i, rest, elapsed, behind), odd


@inlined_kernel
def _turn_by_decay(d, at, lanes, row, turn, z):
    """As `_turn_by_series`, for spikes at the decay 1 - z."""
    b = 1.0 - z
    odd = not_below(turn.rest, b)
    i, rest = b * b * turn.i, turn.rest / b
    time = at.end + d.tau * log_of_decay(rest)
    store(lanes, row + TIME, 0, larger(filled(at.start), time))
    behind = square_propagator(d, rest, 1.0 - rest)
    return _behind_spike(d, lanes, row, i, rest, turn.elapsed, behind), odd


@inlined_kernel
def fire(d, theta, at, n, lanes, firing):
    """The spikes of n neurons in one step, all at once: what `next_spike` finds, turn by turn.

    For dense output of `ps`, and of `exact` with tau = 2 tau_s, where u is a quadratic in 1 - b
    (see `crossing`), in a step that decays to more than NEAR. The first rows of lanes hold (I, u)
    at the start of the step and u at its end. A turn writes ROWS rows, of `exact` all but the last
    two, and firing[turn], a bit a neuron. Returns the neurons that are no simple case, as bits.
    """
    by_series, h = d.code == PS, at.end - at.start
    quadratic = not by_series or d.order < 3
    order = significant_order(d, h / d.unit)
    bend_i, bend_u = (0.0, 0.0) if quadratic else bend_change(d, h)
    turn = Turn(
        load(lanes, I_BEFORE, 0), load(lanes, U_BEFORE, 0), load(lanes, U_AFTER, 0),
        filled(h if by_series else at.decay), filled(0.0),
    )  # fmt: skip
    odd, left = np.uint64(0), (np.uint64(1) << np.uint64(n)) - np.uint64(1)
    k = 0
    while True:
        gap = d.theta - turn.u
        if by_series:
            q1, q2 = series_coefficients(d, turn.i, turn.u)
            z_end = turn.rest
        else:
            q1, q2 = square_coefficients(d, turn.i, turn.u)
            z_end = 1.0 - turn.rest
        discriminant, size = squares(gap, q1, q2)
        reached = not_below(converted(turn.u1, theta), theta) & left
        if quadratic:
            peak = not_below(discriminant, 0.0) & not_below(-2.0 * q2 * z_end, q1)
        else:
            change = bend_i * abs(turn.i) + bend_u * abs(turn.u)
            peak = not_below(z_end * (change - 2.0 * q2), q1) & not_below(q1 * z_end, gap)
            odd |= left & not_below(2.0 * q2 + change, 0.0)  # not surely concave
        odd |= peak & left & ~reached & ~not_below(0.0, q1)
        left = reached & ~odd
        firing[k] = left
        if left == 0 or k == TURNS:
            firing[k] = 0
            return odd | left
        z = rising_root(gap, q1, math.sqrt(larger(filled(0.0), discriminant)))
        simple = not_below(size, SMALL) & not_below(LARGE, size)
        odd |= left & (not_below(0.0, q1) | not_below(0.0, z) | ~simple)
        if by_series:
            turn, wrong = _turn_by_series(d, at, order, lanes, ROWS * k, turn, z, left)
        else:
            turn, wrong = _turn_by_decay(d, at, lanes, ROWS * k, turn, z)
        odd |= left & wrong
        k += 1
