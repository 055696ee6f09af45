"""Statistics of a study's tables: means over seeds with 95 % intervals, and paired differences.

Rows are structured arrays with the columns of `results.TABLES`. Seeds share initial
weights and batch order, so schemes are compared by the differences of equal seeds. NaN, a value
that a run does not have, enters no mean.
"""

import re
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from lifnum.scheme import Scheme

# names of series of some order, where neurons are linear
_NAMES = {"euler": 1, "rk2": 2, "rk4": 4}

BY_TOLERANCE = "ps-tolerance"


class Interval(NamedTuple):
    """Mean of n values and half the width of its 95 % t-interval, NaN for fewer than two."""

    mean: float
    half: float
    n: int

    def text(self, scale=1.0, form=".2f"):
        if self.n == 0:
            return "-"
        half = f" ± {scale * self.half:{form}}" if self.n > 1 else ""
        return f"{scale * self.mean:{form}}{half}"


class Key(NamedTuple):
    """A scheme as analysed: dt in seconds, NaN without a grid; order 0 where it has none."""

    method: str
    order: int
    dt: float
    interpolation: str
    gradient: str

    @property
    def text(self):
        name = name_of(self.method, self.order)
        return ":".join((
            name if np.isnan(self.dt) else f"{name}@{self.dt:g}", self.interpolation, self.gradient
        ))  # fmt: skip


def name_of(method, order):
    """Short name of a method: euler, ps5, exact."""
    return ("euler" if order == 1 else f"ps{order}") if order else method


def name_by_tolerance(tolerance):
    """Name of the series of adaptive order, which have no order."""
    return f"{BY_TOLERANCE}{tolerance:g}"


def interval(values):
    """Mean of the values that are not NaN, with its 95 % t-interval, as an `Interval`."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return Interval(float(values[0]) if n else np.nan, np.nan, n)
    half = stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n)
    return Interval(float(values.mean()), float(half), n)


def select(rows, **equal):
    """Rows whose columns equal these values; NaN equals NaN."""
    keep = np.ones(len(rows), np.bool_)
    for name, value in equal.items():
        if isinstance(value, float) and np.isnan(value):
            keep &= np.isnan(rows[name])
        else:
            keep &= rows[name] == (value.encode() if isinstance(value, str) else value)
    return rows[keep]


def of_key(rows, key):
    """Rows of a `Key`; rk2 and rk4 of linear neurons go by their other name there."""
    fields = {name: getattr(key, name) for name in ("method", "order", "dt", "interpolation")}
    if "gradient" in rows.dtype.names:
        fields["gradient"] = key.gradient
    if key.method in _NAMES and not (rows["method"] == key.method.encode()).any():
        fields |= {"method": "ps", "order": _NAMES[key.method]}
    return select(rows, **fields)


def interpolated(rows, interpolation):
    """Rows with a grid and that interpolation, and those of the exact solution without a grid."""
    exact = np.isnan(rows["dt"]) & (rows["interpolation"] == b"dense")
    return rows[exact | np.isfinite(rows["dt"]) & (rows["interpolation"] == interpolation.encode())]


def methods(rows):
    """Distinct (method, order) of the rows: exact, then series by order, then the others."""
    found = {(m.decode(), int(n)) for m, n in zip(rows["method"], rows["order"])}
    return sorted(found, key=lambda key: (key[0] != "exact", key[0] != "ps", key[1], key[0]))


def steps(rows):
    """Distinct grid steps, ascending."""
    return np.unique(rows["dt"][np.isfinite(rows["dt"])])


def over_dt(rows, values, merge=False):
    """[(dt, Interval)] of values, one a row, over the grid steps of the rows.

    With `merge` several rows of a seed count as one, their mean.
    """
    points = []
    for dt in steps(rows):
        at = rows["dt"] == dt
        own = values[at]
        if merge:
            seeds = rows["seed"][at]
            own = [own[seeds == seed].mean() for seed in np.unique(seeds)]
        points.append((float(dt), interval(own)))
    return points


def hidden(rows, column="spikes"):
    """Sum of a column over the hidden layers, one value a row."""
    inner = np.arange(rows[column].shape[1]) < rows["layers"][:, None] - 1
    return np.where(inner, rows[column], 0.0).sum(axis=1)


def output(rows, column):
    """A column in the output layer, one value a row."""
    return rows[column][np.arange(len(rows)), rows["layers"] - 1]


def seconds_per_epoch(rows):
    """Training time by the number of epochs, one value a row."""
    return rows["seconds_training"] / rows["epoch"]


def alone(runs, dataset):
    """Runs of a data set whose times can be compared: alone on one kind of machine, equally long.

    Of several such groups (study, processor, number of threads) the largest.
    """
    runs = select(runs, dataset=dataset, workers=1)
    if not len(runs):
        return runs
    groups, which, counts = np.unique(
        runs[["study", "cpu", "threads"]], return_inverse=True, return_counts=True
    )
    return runs[which == np.argmax(counts)]


def reached(results, rows, threshold):
    """Epochs until the validation accuracy is at least the threshold (a share), one value a row.

    Returns
    -------
    epochs : ndarray
        The first row of the trace that reaches it; the last one where none does.
    censored : ndarray of bool
        Whether none does. NaN and False where the run was never validated.
    """
    epochs, censored = np.full(len(rows), np.nan), np.zeros(len(rows), np.bool_)
    for k, run in enumerate(rows["id"]):
        curve = results.curves[results.curves["run"] == run]
        curve = curve[np.isfinite(curve["validation_accuracy"])]
        if len(curve):
            good = curve["validation_accuracy"] >= threshold
            censored[k] = not good.any()
            epochs[k] = curve["epoch"][-1] if censored[k] else curve["epoch"][np.argmax(good)]
    return epochs, censored


def paired(rows, values, others, other_values):
    """`Interval` of the differences values - other_values over the seeds that both have."""
    first, second = (dict(zip(r["seed"], v)) for r, v in ((rows, values), (others, other_values)))
    return interval([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])


def of_gradient(rows, gradient):
    """Rows of a gradient; exact, whose gradients coincide, under either name."""
    exact = (rows["method"] == b"exact") & (rows["interpolation"] == b"dense")
    own = rows["gradient"] == gradient.encode()
    return rows[own | exact & ~np.isin(rows["seed"], rows["seed"][own & exact])]


def against_exact(rows, values, name):
    """Values less that of exact without a grid of the same seed, and the name that says so.

    NaN where a seed has no such value; the values as they are where none has.
    """
    base = np.isnan(rows["dt"]) & (rows["interpolation"] == b"dense")
    if not base.any():
        return values, name
    known = dict(zip(rows["seed"][base], values[base]))
    less = np.array([known.get(seed, np.nan) for seed in rows["seed"]])
    return values - less, f"{name.replace('(%)', '(points)')} less exact's"


def epochs(runs):
    """How long runs trained, in words."""
    numbers = " or ".join(f"{epoch:g}" for epoch in np.unique(runs["epoch"]))
    return f"{numbers} epoch{'' if numbers == '1' else 's'}"


def parse_scheme(text):
    """A `Key` of METHOD@DT[:INTERPOLATION[:GRADIENT]].

    Raises
    ------
    ValueError
        Not of that form, or no scheme of lifnum.
    """
    match = re.fullmatch(r"(ps-tolerance[^@:]+|ps(?=\d)|[a-z][a-z0-9-]*?)(\d+(?=@))?(?:@([^:]+))?"
                         r"(?::([^:]+))?(?::([^:]+))?", text)  # fmt: skip
    try:
        name, digits, dt, interpolation, gradient = match.groups()
        if name + (digits or "") in _NAMES:
            name, digits = name + (digits or ""), None
        _, adaptive, tolerance = name.rpartition(BY_TOLERANCE)
        if adaptive:
            name, tolerance = "ps", float(tolerance)
        scheme = Scheme(name, digits and int(digits), dt and float(dt), interpolation or "dense",
                        gradient, tolerance if adaptive else None)  # fmt: skip
    except (AttributeError, ValueError) as error:
        why = "" if match is None else f" ({error})"
        raise ValueError(
            f"scheme is {text!r}{why}; accepted: METHOD@DT[:INTERPOLATION[:GRADIENT]], such as "
            "euler@0.01 or ps5@0.05:linear"
        ) from None
    method, order = scheme.method, scheme.order or 0
    if method == "euler":  # ps of order 1 whatever the neurons; rk2 and rk4 are so where linear
        method, order = "ps", 1
    if adaptive:
        method = name_by_tolerance(scheme.tolerance)
    return Key(method, order, np.nan if scheme.dt is None else scheme.dt,
               scheme.interpolation, scheme.gradient)  # fmt: skip
