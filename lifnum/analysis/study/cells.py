"""Single neurons under a constant current: what a scheme makes of them, and what it costs."""

import statistics
import time
from typing import NamedTuple

import numba
import numpy as np

from lifnum.analysis.study.operations import Compiled
from lifnum.network import Network
from lifnum.spikes import SpikeTrains

REPEATS = 5

MOST_TIMED = 250.0, 50_000  # units of time and steps of a run that is timed

SILENCE = SpikeTrains.from_samples([([], [])], 1)


def network(model, scheme, duration, n_neurons=1):
    """A network of equal neurons without input."""
    return Network([(np.zeros((1, n_neurons)), model)], scheme, duration)


class Found(NamedTuple):
    """What a scheme makes of a neuron."""

    spikes: np.ndarray  # times (n,)
    values: np.ndarray  # of the threshold variable at the times asked for
    layer: object  # after its forward pass


def simulate(model, scheme, duration, times=()):
    """A `Found`, of one neuron without input."""
    net = network(model, scheme, duration)
    spikes = net.forward(SILENCE).times
    layer = net.layers[0]
    values = layer.state(np.array(times, np.float64))[0, 0] if len(times) else np.empty(0)
    return Found(spikes, values, layer)


def seconds(model, scheme, duration, n_neurons):
    """Seconds on one thread for a neuron and a unit of time, the median of `REPEATS`.

    Of the beginning of a run, `MOST_TIMED`.
    """
    longest, steps = MOST_TIMED
    duration = min(duration, longest, steps * scheme.dt)
    net = network(model, scheme, duration, n_neurons)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        net.forward(SILENCE)
        taken = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            net.forward(SILENCE)
            taken.append(time.perf_counter() - start)
    finally:
        numba.set_num_threads(before)
    return statistics.median(taken) / n_neurons / duration


def states(found, times):
    """All variables (times, n) of a neuron that was simulated; just after its spikes."""
    names = found.layer.neuron.variables
    times = np.asarray(times, np.float64)
    return np.stack([found.layer.state(times, name)[0, 0] for name in names], axis=1)


class Cost(NamedTuple):
    """Of a neuron over the whole duration; root finding left out."""

    steps: int
    order: float  # mean over steps
    operations: float


def cost(found, scheme, duration):
    """The `Cost` of a run."""
    compiled = Compiled(found.layer)
    if scheme.tolerance is None:
        grid = int(found.layer.engine.n_grid)
        start = found.layer._starts[0]  # the count is that of any state
        order = scheme.order or {"euler": 1, "rk2": 2, "rk4": 4}[scheme.method]
        return Cost(grid, order, grid * compiled.operations(start, scheme.dt))
    return _of_series(found, compiled, scheme, duration)


def _of_series(found, compiled, scheme, duration):
    """The `Cost` of a series with a tolerance: its orders, asked of the compiled function."""
    grid = scheme.dt * np.arange(found.layer.engine.n_grid + 1)
    grid[-1] = duration
    starts = np.union1d(grid[:-1], found.spikes) if found.layer.neuron.reset else grid[:-1]
    ends = grid[np.searchsorted(grid, starts, side="right")]
    spent, orders = {}, []
    for y, h in zip(states(found, starts), ends - starts, strict=True):
        for order, start, length in compiled.pieces(y, h, scheme.tolerance):
            orders.append(order)
            if order not in spent:
                spent[order] = compiled.operations(start, length)
    return Cost(len(orders), float(np.mean(orders)), float(sum(spent[one] for one in orders)))


def cheapest(rows, error, bound, price):
    """The lowest price of rows whose error is at most the bound; NaN where there is none."""
    prices = [float(row[price]) for row in rows if float(row[error]) <= bound]
    return min(prices, default=np.nan)


def table(head, rows):
    """Lines of a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def number(value, digits=2):
    """A number as text, with so many digits; a dash for NaN."""
    value = float(value)
    if np.isnan(value):
        return "-"
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{float(f'{value:.{digits - 1}e}'):g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
