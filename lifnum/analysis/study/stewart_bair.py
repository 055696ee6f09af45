"""Stewart & Bair's comparison of methods on single cells: docs/studies/stewart-bair.md."""

import functools
import statistics
import time
import warnings
from typing import NamedTuple

import numpy as np
from scipy.integrate import DOP853, solve_ivp

from lifnum.analysis.study import cells, decimals
from lifnum.analysis.study.cells import Cost, cheapest, number, table
from lifnum.analysis.study.operations import Compiled
from lifnum.analysis.study.runner import Run
from lifnum.neurons import models
from lifnum.scheme import Scheme

SEEDS = None  # nothing is drawn

MEASURES = ("spikes", "v_error", "spike_error", "order", "steps", "operations", "seconds")

TOLERANCES = tuple(float(f"1e-{k}") for k in range(2, 17))

LEAST = 1e-15  # tolerance in place of those that there are no digits for

LEVELS = (1e-3, 1e-6, 1e-9)  # mV

ROUNDING = 1e-11  # mV, an error below which rounding decides

LONG = 2e-4  # ms, dt of rk4 below which a run takes minutes

PEAK = 10.0  # mV, a term of v beyond which their step is left to another method


class Cell(NamedTuple):
    """A cell of theirs: its model by current (pA), currents, and steps (ms)."""

    model: object
    currents: tuple
    dt: str  # of series, as text
    parts: tuple  # of rk4: steps in a millisecond
    n_neurons: int  # that were timed together


def _izhikevich(current):
    return models.izhikevich_2007(
        C=200.0, k=1.3, v_r=-65.0, v_t=-50.0, v_peak=48.0, a=0.03, b=-9.5, c=-85.0, d=0.0,
        current=current,
    )  # fmt: skip


def _traub_miles(current):
    return models.traub_miles(current=current)


CELLS = {
    "izhikevich": Cell(
        _izhikevich, (21.0, 30.0), "0.25",
        (4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 800, 1000, 2000), 1000,
    ),
    "traub-miles": Cell(
        _traub_miles, (20.0, 52.0), "0.1",
        (100, 200, 400, 600, 800, 1000, 2000, 4000, 6000, 8000, 10_000, 20_000, 40_000, 60_000,
         80_000), 10,
    ),
}  # fmt: skip


class Stored(NamedTuple):
    """A result that they stored, of 10 spikes in one second."""

    cell: str
    method: str
    setting: float  # dt in ms, or the tolerance
    error: float  # mV
    order: float  # 0: not stored
    seconds: float  # of their processor, for 1000 or 10 cells


STORED = (
    Stored("izhikevich", "rk4", 0.25, 1.0e-3, 0.0, 2.31),
    Stored("izhikevich", "rk4", 0.01, 4.3e-9, 0.0, 56.5),
    Stored("izhikevich", "ps-absolute", 1e-6, 4.3e-6, 4.2, 0.93),
    Stored("izhikevich", "ps-absolute", 1e-12, 1.1e-12, 7.2, 1.44),
    Stored("izhikevich", "Bulirsch-Stoer", 1e-6, 3.5e-8, 0.0, 9.7),
    Stored("traub-miles", "rk4", 0.01, 4.4e-5, 0.0, 1.77),
    Stored("traub-miles", "ps-absolute", 1e-7, 2.7e-6, 0.0, 0.25),
)


class Setting(NamedTuple):
    """What is run: a cell, its current, a method with its dt or tolerance, how long (ms)."""

    cell: str
    current: float
    method: str
    setting: float
    duration: int


def runs(seeds=1, small=False):
    """All runs, the longest last; a small design has one current for 60 ms."""
    found = []
    for name, cell in CELLS.items():
        for current in cell.currents[-1:] if small else cell.currents:
            settings = [("rk4", 1.0 / parts) for parts in cell.parts]
            settings += [("ps", one) for one in TOLERANCES]
            settings += [("ps-absolute", one) for one in TOLERANCES]
            settings += [("DOP853", one) for one in TOLERANCES if one > 5e-14]
            duration = 60 if small else 1000
            for method, setting in settings[1::15] if small else settings:
                config = Setting(name, current, method, setting, duration)
                key = {"cell": name, "current": f"{current:g}", "method": method,
                       "setting": f"{setting:.9g}", "duration": f"{duration}"}  # fmt: skip
                found.append(Run(key, config))
    return sorted(found, key=lambda run: run.config.setting < LONG and run.key["method"] == "rk4")


@functools.lru_cache(maxsize=8)
def reference(cell, current, duration):
    """The `Trajectory` of a cell, with v at every millisecond."""
    one = CELLS[cell]
    return decimals.trajectory(one.model(current), duration, one.dt, range(duration))


def _scheme(config):
    """The Scheme of a `Setting`, of those methods that have one."""
    if config.method == "rk4":
        return Scheme("rk4", dt=config.setting)
    dt = float(CELLS[config.cell].dt)
    return Scheme("ps", None, dt, tolerance=max(config.setting, LEAST))


def execute(config):
    """`MEASURES` of a `Setting`; the seconds come later."""
    model, duration = CELLS[config.cell].model(config.current), config.duration
    true = reference(config.cell, config.current, duration)
    times = np.arange(float(duration))
    if config.method == "DOP853":
        spikes, values, cost = _dormand_prince(model, config.setting, duration, times)
    elif config.method == "ps-absolute":
        spikes, values, cost = _absolute(model, _scheme(config), config.setting, duration)
    else:
        found = cells.simulate(model, _scheme(config), float(duration), times)
        spikes, values = found.spikes, found.values
        cost = cells.cost(found, _scheme(config), float(duration))
    same = len(spikes) == len(true.spikes)
    late = np.abs(spikes - true.spikes).max(initial=0.0) if same else np.nan
    error = np.abs(values - true.values).mean()
    measures = (len(spikes), error, late, cost.order, cost.steps,
                1e3 * cost.operations / duration, np.nan)  # fmt: skip
    return dict(zip(MEASURES, map(float, measures), strict=True))


def seconds(config):
    """Of a cell and second; NaN of what is no program of its own."""
    cell, duration = CELLS[config.cell], config.duration
    model = cell.model(config.current)
    if config.method == "ps-absolute":
        return np.nan
    if config.method != "DOP853":
        return 1e3 * cells.seconds(model, _scheme(config), float(duration), cell.n_neurons)
    duration, taken = min(duration, round(cells.MOST_TIMED[0])), []
    for _ in range(cells.REPEATS):
        begin = time.perf_counter()
        _dormand_prince(model, config.setting, duration, np.arange(float(duration)))
        taken.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(taken) / duration


def _absolute(model, scheme, tolerance, duration):
    """(spikes, v at every ms, Cost) of their series: a term that changes nothing is the last."""
    compiled = Compiled(cells.network(model, scheme, float(duration)).layers[0])
    v, theta = model.threshold_index, float(_threshold(model))
    y, spikes, values, orders, spent = np.array(_start(model)), [], [], [], {}
    parts = round(1.0 / scheme.dt)

    def go(y, begin, h):
        """The state after h; where a spike resets it, it goes on from there."""
        r, order = _their_terms(compiled, y, h, tolerance, v)
        if order < 0:
            return go(go(y, begin, h / 2), begin + h / 2, h / 2)
        orders.append(order)
        if order not in spent:
            spent[order] = compiled.operations(y, h, order)
        end = r.sum(axis=1)
        if not y[v] < theta <= end[v]:
            return end
        x = _newton(r[v], theta)
        spikes.append(begin + x * h)
        if not model.reset:
            return end
        state = np.array([np.polyval(row[::-1], x) for row in r])
        return go(_reset(model, state), begin + x * h, (1.0 - x) * h)

    for k in range(duration * parts):
        if k % parts == 0:
            values.append(y[v])
        y = go(y, k / parts, scheme.dt)
    operations = float(sum(spent[one] for one in orders))
    return np.array(spikes), np.array(values), Cost(len(orders), np.mean(orders), operations)


def _threshold(model):
    """The threshold of a model whose parameters are numbers."""
    return model._graph.evaluate([model._nodes["threshold"]], model.parameters)[0]


def _start(model):
    return [float(x) for x in model._graph.evaluate(model._nodes["initial"], model.parameters)]


def _reset(model, y):
    """The state after a spike."""
    return np.array(model._graph.evaluate(model._nodes["reset"], model.parameters, y), np.float64)


def _their_terms(compiled, y, h, tolerance, v):
    """(coefficients (n, order + 1), order) with the powers of h inside; order -1: a term of v is
    beyond `PEAK`, or there are too many."""
    r = np.zeros((compiled.n_rows, 40))
    r[: compiled.n, 0] = y
    compiled.term(compiled.p, r, 0, h)
    for k in range(1, 32):
        compiled.term(compiled.p, r, k, h)
        new = np.abs(r[: compiled.n, k + 1])
        if new[v] > PEAK:
            return r, -1
        if (new <= tolerance).all():
            return r[: compiled.n, : k + 2], k + 1
    return r, -1


def _newton(coefficients, theta):
    """Where the polynomial is theta, from the left; kept in (0, 1]."""
    slopes = np.polyder(coefficients[::-1])
    low, high, x = 0.0, 1.0, 0.5
    for _ in range(60):
        value = np.polyval(coefficients[::-1], x) - theta
        low, high = (x, high) if value < 0 else (low, x)
        new = x - value / np.polyval(slopes, x)
        new = new if low <= new <= high else 0.5 * (low + high)
        if new == x:
            break
        x = new
    return x


def _dormand_prince(model, tolerance, duration, times):
    """(spikes, v at the times, Cost) of SciPy's DOP853."""
    layer = cells.network(model, Scheme("rk4", dt=1.0), float(duration)).layers[0]
    compiled, out = Compiled(layer), np.empty(len(model.variables))
    v, theta = model.threshold_index, float(_threshold(model))

    def field(t, y):
        compiled.field(compiled.p, y, out)
        return out.copy()

    def event(t, y):
        return y[v] - theta

    event.direction, event.terminal = 1.0, bool(model.reset)
    y, begin, spikes, values, evaluations, steps = _start(model), 0.0, [], [], 0, 0
    while begin < duration:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rtol at its least
            found = solve_ivp(field, (begin, float(duration)), y, "DOP853", events=event,
                              rtol=tolerance, atol=tolerance, dense_output=True)  # fmt: skip
        evaluations, steps = evaluations + found.nfev, steps + len(found.t) - 1
        here = times[(times >= begin) & (times < found.t[-1])]
        values += list(found.sol(here)[v]) if len(here) else []
        spikes += list(found.t_events[0])
        begin, y = found.t[-1], found.y[:, -1]
        if found.status == 1:
            y = _reset(model, y)
        elif found.status != 0:
            raise RuntimeError(found.message)
    filled = sum(np.count_nonzero(one) for one in (DOP853.A, DOP853.B, DOP853.E3, DOP853.E5))
    operations = evaluations * compiled.field_operations(_start(model))
    operations += steps * 2 * compiled.n * filled
    return np.array(spikes), np.array(values), Cost(steps, 8.0, operations)


# the answer


def select(rows, **equal):
    """Rows whose columns are these texts."""
    return [row for row in rows if all(row[name] == value for name, value in equal.items())]


def stored_lines(rows):
    """Their stored numbers beside ours."""
    lines = []
    for one in STORED:
        current = f"{CELLS[one.cell].currents[1]:g}"
        own = select(rows, cell=one.cell, current=current, method=one.method,
                     setting=f"{one.setting:.9g}")  # fmt: skip
        ours = own[0] if own else dict.fromkeys(MEASURES, "nan")
        ps = select(rows, cell=one.cell, current=current, method="ps",
                    setting=f"{one.setting:.9g}")[:1]  # fmt: skip
        beside = number(ps[0]["v_error"]) if ps and one.method == "ps-absolute" else "-"
        per_cell = 1e6 * one.seconds / CELLS[one.cell].n_neurons
        timed = ps[0] if one.method == "ps-absolute" and ps else ours
        lines.append([
            one.cell, one.method, number(one.setting), number(one.error),
            number(ours["v_error"]), beside, f"{one.order:g}" if one.order else "-",
            number(ours["order"]) if one.order else "-", number(per_cell),
            number(1e6 * float(timed["seconds"])),
        ])  # fmt: skip
    head = ["cell", "method", "setting", "stored error (mV)", "ours (mV)", "ours, relative rule",
            "stored order", "ours", "stored us a cell and s",
            "ours (us; of `ps` for `ps-absolute`)"]  # fmt: skip
    return table(head, lines)


def reproduced(rows):
    """(errors reproduced, errors, mean orders reproduced, mean orders) of those they stored."""
    found = []
    for one in STORED:
        own = select(rows, cell=one.cell, current=f"{CELLS[one.cell].currents[1]:g}",
                     method=one.method, setting=f"{one.setting:.9g}")  # fmt: skip
        for row in own:
            ratio = float(row["v_error"]) / one.error
            near = 0.2 < ratio < 5.0 if one.error < ROUNDING else abs(ratio - 1.0) <= 0.1
            order = abs(float(row["order"]) - one.order) <= 0.1 if one.order else None
            found.append((near, order))
    orders = [order for _, order in found if order is not None]
    return sum(near for near, _ in found), len(found), sum(orders), len(orders)


PRICES = {"operations": 1.0, "seconds": 1e6}  # in thousands of operations, us


def price_lines(rows, price):
    """The cheapest cost of each method at each error, a cell and current."""
    lines = []
    for name, cell in CELLS.items():
        for current in cell.currents:
            for level in LEVELS:
                own = select(rows, cell=name, current=f"{current:g}")
                found = [cheapest(select(own, method=method), "v_error", level, price)
                         for method in ("rk4", "ps", "DOP853")]  # fmt: skip
                lines.append([name, f"{current:g}", number(level, 1),
                              *(number(PRICES[price] * one) for one in found)])  # fmt: skip
    return table(["cell", "pA", "error (mV)", "rk4", "ps", "DOP853"], lines)


def verdict(rows, other, price):
    """(wins of ps, comparisons) against another method."""
    wins = total = 0
    for name, cell in CELLS.items():
        for current in cell.currents:
            own = select(rows, cell=name, current=f"{current:g}")
            for level in LEVELS:
                mine, others = (cheapest(select(own, method=method), "v_error", level, price)
                                for method in ("ps", other))  # fmt: skip
                if np.isfinite([mine, others]).all():
                    total += 1
                    wins += mine < others
    return wins, total


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    lines = [f"{len(rows)} of {len(runs())} runs", *stored_lines(rows), ""]
    for price, unit in (("operations", "operations a cell and second"),
                        ("seconds", "us a cell and second")):  # fmt: skip
        lines += [unit, *price_lines(rows, price), ""]
    errors, n, orders, m = reproduced(rows)
    lines.append(f"reproduced: {errors} of {n} errors, {orders} of {m} mean orders")
    for other, price in (("rk4", "operations"), ("rk4", "seconds"), ("DOP853", "operations")):
        wins, total = verdict(rows, other, price)
        lines.append(f"ps is cheaper than {other} in {price}: {wins} of {total}")
    for name, cell in CELLS.items():
        for current in cell.currents:
            own = select(rows, cell=name, current=f"{current:g}")
            lines += [f"{name} at {current:g} pA: {text}" for text in spread_lines(own)]
    ratios = [float(row["spike_error"]) / float(row["v_error"]) for row in rows]
    low, high = np.nanmin(ratios), np.nanmax(ratios)
    lines.append(
        f"errors of spike times (ms) over those of v (mV): {number(low)} to {number(high)}"
    )
    return lines


def spread_lines(rows):
    """The least error of v and of spike times of each method; orders of series."""
    lines = []
    for method in ("rk4", "ps", "ps-absolute", "DOP853"):
        own = select(rows, method=method)
        if own:
            spikes = sorted({int(float(row["spikes"])) for row in own})
            lines.append(f"{method}: spikes {', '.join(map(str, spikes))}")
            least = min(own, key=lambda row: float(row["v_error"]))
            orders = [float(row["order"]) for row in own]
            lines.append(
                f"{method}: least error of v {number(least['v_error'])} mV at {least['setting']}, "
                f"of its spike times {number(least['spike_error'])} ms; mean orders "
                f"{number(min(orders), 3)} to {number(max(orders), 3)}"
            )
    return lines
