"""Statistics of a study's tables: means over seeds with 95 % intervals, and paired differences.

Rows are structured arrays with the columns of `analysis.results.TABLES`. Seeds share initial
weights and batch order, so schemes are compared by the differences of equal seeds. NaN, a value
that a run does not have, enters no mean.
"""

import re
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from lifnum.scheme import Scheme

# names of series of some order
_NAMES = {"euler": 1, "rk2": 2, "rk4": 4}


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


def parse_scheme(text):
    """A `Key` of METHOD@DT[:INTERPOLATION[:GRADIENT]].

    Raises
    ------
    ValueError
        Not of that form, or no scheme of lifnum.
    """
    match = re.fullmatch(r"(ps(?=\d)|[a-z][a-z0-9-]*?)(\d+(?=@))?(?:@([^:]+))?(?::([^:]+))?"
                         r"(?::([^:]+))?", text)  # fmt: skip
    try:
        name, digits, dt, interpolation, gradient = match.groups()
        if name + (digits or "") in _NAMES:
            name, digits = name + (digits or ""), None
        scheme = Scheme(name, digits and int(digits), dt and float(dt), interpolation or "dense",
                        gradient)  # fmt: skip
    except (AttributeError, ValueError) as error:
        why = "" if match is None else f" ({error})"
        raise ValueError(
            f"scheme is {text!r}{why}; accepted: METHOD@DT[:INTERPOLATION[:GRADIENT]], such as "
            "euler@0.01 or ps5@0.05:linear"
        ) from None
    method, order = scheme.method, scheme.order or _NAMES.get(scheme.method, 0)
    return Key("ps" if order else method, order, np.nan if scheme.dt is None else scheme.dt,
               scheme.interpolation, scheme.gradient)  # fmt: skip


_MEASURES = (
    # heading, values of rows, scale, format
    ("accuracy (%)", lambda rows: rows["accuracy"], 100.0, ".2f"),
    ("hidden spikes", hidden, 1.0, ".1f"),
    ("s an epoch", seconds_per_epoch, 1.0, ".3g"),
    ("s to evaluate", lambda rows: rows["seconds"], 1.0, ".3g"),
)


def _measures(rows):
    """The measures that a table has, as (heading, values, scale, format)."""
    training = "test_accuracy" in rows.dtype.names
    accuracy, spikes, epoch, evaluation = _MEASURES
    if training:
        accuracy = (accuracy[0], lambda rows: rows["test_accuracy"], *accuracy[2:])
        spikes = (spikes[0], lambda rows: hidden(rows, "test_spikes"), *spikes[2:])
        return accuracy, spikes, epoch
    return accuracy, spikes, evaluation


def _groups(results):
    """(title, rows, rows whose times count) of each data set, after training and transfer."""
    runs, transfer = select(results.runs, study=0), select(results.transfer, study=0)
    for dataset in np.unique(runs["dataset"]):
        timed = alone(results.runs, dataset.decode())
        yield f"trained on {dataset.decode()}", select(runs, dataset=dataset), timed
    for trained, dataset in np.unique(transfer[["trained", "dataset"]]):
        rows = select(transfer, trained=trained, dataset=dataset)
        yield f"transfer of {trained.decode()} to {dataset.decode()}", rows, rows


def _of_key(rows, key):
    fields = {name: getattr(key, name) for name in ("method", "order", "dt", "interpolation")}
    if "gradient" in rows.dtype.names:
        fields["gradient"] = key.gradient
    return select(rows, **fields)


def _keys(rows):
    names = ["method", "order", "dt", "interpolation", "gradient"]
    has = [name for name in names if name in rows.dtype.names]
    found = {}
    for row in rows:
        values = [row[name].decode() if isinstance(row[name], bytes) else row[name].item()
                  for name in has]  # fmt: skip
        found.setdefault(tuple(map(str, values)), Key(*values, *[""] * (5 - len(has))))
    order = ("exact", "ps")
    return sorted(found.values(), key=lambda k: (k.gradient, k.interpolation, k.method not in order,
                                                 k.method, k.order, k.dt))  # fmt: skip


def table_lines(results):
    """Means over seeds with 95 % intervals of all schemes, as lines of text."""
    lines = []
    for title, rows, timed in _groups(results):
        measures = _measures(rows)
        heads = [f"{head:>20}" for head, *_ in measures]
        lines += [f"{title}:", f"{'scheme':<32}{'seeds':>6}{''.join(heads)}"]
        for key in _keys(rows):
            own = _of_key(rows, key)
            cells = []
            for head, values, scale, form in measures:
                used = _of_key(timed, key) if head.startswith("s ") else own
                cells.append(f"{interval(values(used)).text(scale, form):>20}")
            lines.append(f"{key.text.rstrip(':'):<32}{len(own):>6}{''.join(cells)}")
    return lines


def comparison_lines(results, first, second):
    """Paired differences first - second over seeds with 95 % intervals, as lines of text.

    Raises
    ------
    ValueError
        No data set holds both schemes.
    """
    lines = []
    for title, rows, timed in _groups(results):
        a, b = _of_key(rows, first), _of_key(rows, second)
        if not (len(a) and len(b)):
            continue
        lines.append(f"{title}: {first.text} - {second.text}")
        for head, values, scale, form in _measures(rows):
            if head.startswith("s "):
                a, b = _of_key(timed, first), _of_key(timed, second)
            difference = paired(a, values(a), b, values(b))
            verdict = "no seed has both"
            if difference.n:
                within = abs(difference.mean) <= difference.half
                verdict = f"{difference.n} seeds"
                if difference.n > 1:
                    verdict += ", within the interval" if within else ", beyond the interval"
            text = difference.text(scale, f"+{form}").replace("± +", "± ")
            lines.append(f"  {head.replace('(%)', '(points)'):<20}{text:>22}  ({verdict})")
    if not lines:
        raise ValueError(f"no data set holds both {first.text} and {second.text}")
    return lines
