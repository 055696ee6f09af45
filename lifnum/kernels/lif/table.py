"""What a step of each length multiplies by: the table of a batch's propagators."""

from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.steps import step_end
from lifnum.kernels.vectors import LANES, NEAR, load, lost_by_decay, store
from lifnum.methods.interpolation import DENSE
from lifnum.methods.propagators import (
    PS,
    curvature_bound,
    is_square,
    propagator,
    series_propagator,
    significant_order,
    square_propagator,
)


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
            order = significant_order(d, longest / d.unit)
            by_i, by_c, by_u = series_propagator(d, order, x)
            store(lanes, 1, 0, by_i)
            store(lanes, 2, 0, by_c)
            store(lanes, 3, 0, by_u)
        for lane in range(n):
            h = lanes[0, lane]
            if near:
                a, c, b = square_propagator(d, 1.0 - lanes[1, lane], lanes[1, lane])
            elif d.code == PS:
                a, c, b = lanes[1, lane], lanes[2, lane], lanes[3, lane]
            else:
                a, c, b = propagator(d, h)
            write_row(d, steps.propagators[block + lane], h, a, c, b)
