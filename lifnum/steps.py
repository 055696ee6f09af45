"""The table of a batch's sub-intervals: grid and input times merged, and what a step multiplies by.

Symbols as in `layer`.
"""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import inlined_kernel, kernel
from lifnum.crossing import DENSE, NONE
from lifnum.integrators import (
    PS,
    curvature_bound,
    is_square,
    propagator,
    significant_order,
    square_propagator,
)
from lifnum.vectors import LANES, NEAR, load, lost_by_decay, series, store

# A time this little behind a grid point counts as on it, in steps: t and dt may both have been
# rounded to single precision, whose unit roundoff is 2^-24, and a caller's arithmetic adds to it.
MOST_TOLERANCE = 1e-3
TOLERANCE = 2.0**-23


class Steps(NamedTuple):
    """The sub-intervals of a batch: those of sample k are first[k] .. first[k] + count[k] - 1.

    The table of a sample starts at its first input: before it the state is zero.
    """

    first: np.ndarray  # int64 (batch,)
    count: np.ndarray  # int64 (batch,)
    start: np.ndarray  # float64 time; the end is the next one's start, or the duration
    stop: np.ndarray  # int64: input spikes before this one have acted when the step begins
    tied: np.ndarray  # uint8: inputs act at the start, and a grid point coincides with them
    propagators: np.ndarray  # (a, c, b) and the two coefficients of the crossing flag


@inlined_kernel
def grid_index(time, dt):
    """Index of the first point of the grid 0, dt, 2 dt, ... at or after a time."""
    steps = time / dt
    return int(np.ceil(steps - min(MOST_TOLERANCE, TOLERANCE * (steps + 8.0))))


def grid_steps(dt, duration):
    """Number of steps of the grid 0, dt, 2 dt, ..., duration; dt at most the duration."""
    return grid_index.py_func(duration, dt)


@kernel
def merge(d, times, i, last, sample, steps):
    """Merge the grid with input times i .. last - 1 of a sample: all but the propagators."""
    k = first = i + sample * (d.n_grid + 1)
    steps.first[sample] = first
    while last > i and times[last - 1] > d.duration:  # ignored; t / dt may exceed all integers
        last -= 1
    g = d.n_grid  # the next grid point; point n_grid is the duration
    if i < last:
        if d.interpolation == NONE:
            g = grid_index(times[i], d.dt)
        elif d.n_grid > 0:
            g = int(times[i] / d.dt)
            while g < d.n_grid and g * d.dt < times[i]:
                g += 1
    while d.n_grid == 0 and i < last and times[i] < d.duration:  # no grid
        steps.start[k], steps.tied[k] = times[i], 0
        i += 1
        while i < last and times[i] == times[i - 1]:
            i += 1
        steps.stop[k] = i
        k += 1
    while d.n_grid > 0:  # each turn writes the sub-interval that begins at the next point
        grid_time = g * d.dt if g < d.n_grid else d.duration
        if d.interpolation == NONE:
            if (i >= last and k == first) or g >= d.n_grid:
                break
            steps.start[k] = grid_time
            steps.tied[k] = 0
            while i < last and grid_index(times[i], d.dt) <= g:
                i += 1
            g += 1
        elif i < last and times[i] <= grid_time and times[i] < d.duration:
            time = times[i]
            steps.start[k] = time
            steps.tied[k] = g < d.n_grid and grid_time == time
            g += steps.tied[k]
            while i < last and times[i] == time:
                i += 1
        elif k > first and g < d.n_grid:
            steps.start[k] = grid_time
            steps.tied[k] = 0
            g += 1
        else:
            break
        steps.stop[k] = i
        k += 1
    steps.count[sample] = k - first


@inlined_kernel
def step_end(d, steps, step, last):
    """When a step ends; `last` is the one behind the last step of the sample."""
    return steps.start[step + 1] if step + 1 < last else d.duration


@inlined_kernel
def write_row(d, row, h, a, c, b):
    """A row of the table of propagators, for a step of length h."""
    row[0], row[1], row[2], row[3], row[4] = a, c, b, 0.0, 0.0
    if d.interpolation == DENSE or d.count_peaks != 0:
        # a chord is exceeded by at most h^2 / 8 max |u''|; the last factor covers rounding
        c_bound, b_bound = curvature_bound(d, h)
        row[3] = c_bound * h * h * (0.125 * (1.0 + 1e-6))
        row[4] = b_bound * h * h * (0.125 * (1.0 + 1e-6))


@kernel
def tabulate(d, steps, sample, lanes):
    """The propagators of a sample's steps; lanes (4 or more, LANES), float64, is scratch."""
    first = steps.first[sample]
    last = first + steps.count[sample]
    for block in range(first, last, LANES):
        n = min(LANES, last - block)
        lanes[0] = 0.0
        longest = 0.0
        for lane in range(n):
            step = block + lane
            lanes[0, lane] = step_end(d, steps, step, last) - steps.start[step]
            longest = max(longest, lanes[0, lane])
        near = is_square(d) and longest < d.tau * (1.0 - NEAR)  # then exp(-h / tau) > NEAR
        if near:
            store(lanes, 1, 0, lost_by_decay(load(lanes, 0, 0) / d.tau))
        elif d.code == PS:
            x = load(lanes, 0, 0) / d.unit
            order = significant_order(d.order, longest / d.unit)
            for k in range(3):
                store(lanes, k + 1, 0, series(d.series[k], order, x))
        for lane in range(n):
            h = lanes[0, lane]
            if near:
                a, c, b = square_propagator(d, 1.0 - lanes[1, lane], lanes[1, lane])
            elif d.code == PS:
                a, c, b = lanes[1, lane], d.unit * lanes[2, lane], lanes[3, lane]
            else:
                a, c, b = propagator(d, h)
            write_row(d, steps.propagators[block + lane], h, a, c, b)
