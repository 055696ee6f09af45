"""The spikes of up to sixteen neurons in one step, all at once."""

import math

import numpy as np

from lifnum.compiler import inlined_kernel
from lifnum.kernels.vectors import (
    converted,
    filled,
    larger,
    load,
    log_of_decay,
    not_below,
    series,
    store,
)
from lifnum.methods.propagators import PS, bend_change, significant_order, square_propagator

# Rows of a turn of `fire`: the spike's time, I and decay to the end of the step, (I, u) there, and
# the length and rest of the piece that it ended; behind the rows of (I, u) before and u after.
ROWS = 7
TIME, CURRENT, DECAY, END_CURRENT, END_POTENTIAL, LENGTH, REST = range(3, 3 + ROWS)
I_BEFORE, U_BEFORE, U_AFTER = range(3)
MAX_NEWTON = 8  # a neuron that takes more is followed alone
TURNS = 8  # spikes of a neuron in a step that `fire` finds; one with more is followed alone


@inlined_kernel
def _series_root(d, order, i, u, x, wanted):
    """Newton's method from x for u = theta of the series, and the lanes where it may be wrong.

    Where u is concave tangents lead to the root, from either side of it, unless u falls at x.
    """
    odd = np.uint64(0)
    for _ in range(MAX_NEWTON):
        value, slope = filled(0.0), filled(0.0)
        for p in range(order, -1, -1):
            slope = slope * x + value
            value = value * x + (d.unit * d.series[1, p] * i + d.series[2, p] * u)
        step = (d.theta - value) / slope
        x = x + step
        odd |= not_below(0.0, slope)
        moving = ~not_below(1e-9 * x, abs(step))
        if wanted & ~odd & moving == 0:
            return x, odd
    return x, odd | moving


@inlined_kernel
def _fire(d, theta, start, end, b_whole, n, lanes, firing):
    """The spikes of n neurons in one step, all at once: what `first_spike` finds, turn by turn.

    For dense output of `ps`, and of `exact` with tau = 2 tau_s, where u is a quadratic in 1 - b
    (see `crossing`), in a step that decays to b_whole > NEAR. Rows 0 to 2 of lanes hold (I, u) at
    the start of the step and u at its end. A turn writes the ROWS rows that _forward_sample reads,
    of `exact` all but the last two, and firing[turn], a bit a neuron. Returns the neurons that are
    no simple case, as bits.
    """
    by_series = d.code == PS
    h = end - start
    p, q = 1.0 / d.tau, 1.0 / d.tau_s
    order = significant_order(d, h / d.unit)
    # bounds of the change of u'' within the step, for series that are no quadratics
    quadratic = not by_series or d.order < 3
    bend_i, bend_u = (0.0, 0.0) if quadratic else bend_change(d, h)
    i, u, u1 = load(lanes, 0, 0), load(lanes, 1, 0), load(lanes, 2, 0)
    left_over = filled(h if by_series else b_whole)  # of the step: its length, or its decay
    elapsed = filled(0.0)  # since its start, so that times keep their digits
    odd, left = np.uint64(0), (np.uint64(1) << np.uint64(n)) - np.uint64(1)
    turn = 0
    while True:
        gap = d.theta - u
        if by_series:
            q1 = i - p * u
            q2 = -0.5 * d.bend * (q * i + p * q1) if d.order > 1 else filled(0.0)
            z_end = left_over
        else:
            q1, q2, z_end = d.tau * i - u, -d.tau * i, 1.0 - left_over
        discriminant = q1 * q1 + 4.0 * q2 * gap
        reached = not_below(converted(u1, theta), theta) & left
        if not quadratic:
            change = bend_i * abs(i) + bend_u * abs(u)
            peak = not_below(z_end * (change - 2.0 * q2), q1) & not_below(q1 * z_end, gap)
            odd |= left & not_below(2.0 * q2 + change, 0.0)  # not surely concave
        else:
            peak = not_below(discriminant, 0.0) & not_below(-2.0 * q2 * z_end, q1)
        odd |= peak & left & ~reached & ~not_below(0.0, q1)
        left = reached & ~odd
        firing[turn] = left
        if left == 0 or turn == TURNS:
            firing[turn] = 0
            return odd | left
        z = 2.0 * gap / (q1 + math.sqrt(larger(filled(0.0), discriminant)))
        size = q1 * q1 + abs(q2 * gap)
        simple = not_below(size, 1e-280) & not_below(1e280, size)
        odd |= left & (not_below(0.0, q1) | not_below(0.0, z) | ~simple)
        row = ROWS * turn + 3
        if by_series:
            x = z / d.unit
            if d.order > 2:
                x, failed = _series_root(d, order, i, u, x, left)
                odd |= left & failed
                z = d.unit * x
            odd |= left & (not_below(0.0, z) | not_below(z, z_end))
            elapsed = elapsed + z
            time = start + elapsed
            store(lanes, row, 0, time - larger(filled(0.0), time - end))
            store(lanes, row + 5, 0, z)
            store(lanes, row + 6, 0, z_end)
            i = series(d.series[0], order, x) * i
            left_over = larger(filled(0.0), h - elapsed)
            x = left_over / d.unit
            a, b = series(d.series[0], order, x), series(d.series[2], order, x)
            c = d.unit * series(d.series[1], order, x)
        else:
            b = 1.0 - z
            odd |= left & not_below(left_over, b)
            i, left_over = b * b * i, left_over / b
            a, c, b = square_propagator(d, left_over, 1.0 - left_over)
            store(lanes, row, 0, larger(filled(start), end + d.tau * log_of_decay(left_over)))
        u = filled(d.reset)
        u1 = c * i + b * u
        store(lanes, row + 1, 0, i)
        store(lanes, row + 2, 0, b)
        store(lanes, row + 3, 0, a * i)
        store(lanes, row + 4, 0, u1)
        turn += 1
