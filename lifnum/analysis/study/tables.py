"""The numbers of a study as lines of text: means of every scheme, differences of two."""

import numpy as np

from lifnum.analysis.study.statistics import (
    Key,
    alone,
    hidden,
    interval,
    of_key,
    paired,
    seconds_per_epoch,
    select,
)

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
            own = of_key(rows, key)
            cells = []
            for head, values, scale, form in measures:
                used = of_key(timed, key) if head.startswith("s ") else own
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
        a, b = of_key(rows, first), of_key(rows, second)
        if not (len(a) and len(b)):
            continue
        lines.append(f"{title}: {first.text} - {second.text}")
        for head, values, scale, form in _measures(rows):
            if head.startswith("s "):
                a, b = of_key(timed, first), of_key(timed, second)
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
