"""The table of a batch's sub-intervals: grid and input times merged, and what a step multiplies by.

Symbols as in `lif.forward`.
"""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import inlined_kernel, kernel
from lifnum.methods.interpolation import NONE

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


class Step(NamedTuple):
    """One step of a tile of one sample."""

    low: int  # the tile's first neuron
    step: int
    start: float  # when it starts and ends
    end: float
    decay: float  # its b
    before: int  # where the state, or the adjoint, has the two rows before it, and after
    after: int


@inlined_kernel
def step_at(d, steps, step, last, low, before):
    """The `Step`; `last` as in `step_end`, low and before as there."""
    start, end = steps.start[step], step_end(d, steps, step, last)
    return Step(low, step, start, end, steps.propagators[step, 2], before, 2 - before)
