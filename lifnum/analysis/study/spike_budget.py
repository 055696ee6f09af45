"""How many spikes a grid without interpolation affords: docs/studies/spike-budget.md."""

from typing import NamedTuple

import numpy as np

from lifnum.analysis.study import paired
from lifnum.analysis.study.runner import Run, key_of
from lifnum.analysis.study.statistics import interval
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.scheme import Scheme

SEEDS = 5

TARGETS = ((5, 1), (8, 2), (15, 3), (25, 5))  # of the label's neuron, of the others

# duration (s) -> threshold of the hidden layer, and of the output layer for each target, at which
# untrained networks spike in the same proportion to the target
THRESHOLDS = {
    0.1: (0.032, (0.33, 0.22, 0.12, 0.071)),
    0.2: (0.05, (0.58, 0.38, 0.2, 0.12)),
    0.4: (0.061, (0.86, 0.58, 0.32, 0.2)),
}

MAX_SPIKES = (30, 60)  # of a neuron: no target is near it

STEPS = (1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 8e-3, 10e-3, 12e-3, 15e-3, 20e-3, 25e-3,
         30e-3, 40e-3, 50e-3, 70e-3, 100e-3)  # fmt: skip

SPIKES_A_STEP = (0.2, 2.0)  # least and largest dt of a design, as dt target / duration

# the second part, of one target and duration: what stands in the column `interpolation`, and what
# that adds to a scheme of the grid
LIMITED_CELL = (15, 3, 0.2)
LIMITED = {
    "none several": ("none", {"overshoot": "several"}),
    "none lose": ("none", {"overshoot": "lose"}),
    "dense 1": ("dense", {"spikes_per_step": 1}),
}

MARGIN = 1.0  # points within which two accuracies are equivalent

LOSS = 5.0  # points of accuracy against exact without a grid, at which a step counts as too long


def steps(target, duration):
    """Grid steps (s) for a target and duration."""
    low, high = SPIKES_A_STEP
    return [dt for dt in STEPS if low - 1e-9 <= dt * target / duration <= high + 1e-9]


def preset(target, other, duration, epochs=10):
    """`digits` for a target of the label's neuron, one of the others, and a duration (s)."""
    hidden, output = THRESHOLDS[duration]
    theta = hidden, output[TARGETS.index((target, other))]
    times = {"duration": duration, "window": duration / 2, "epochs": epochs}
    counts = {"target_true": target, "target_false": other, "max_spikes": MAX_SPIKES}
    return presets.resolve("digits", {"theta": theta} | times | counts)


def limited_runs(seed, options, limits):
    """The runs of one seed of the second part, of a preset and limits of samples."""
    target, _, duration = LIMITED_CELL
    found = []
    for name, (interpolation, more) in LIMITED.items():
        for dt in steps(target, duration):
            config = Configuration(options, Scheme("exact", None, dt, interpolation, **more),
                                   seed, **limits)  # fmt: skip
            key = key_of(config, target=target, duration=duration) | {"interpolation": name}
            found.append(Run(key, config))
    return found


def runs(seeds=SEEDS, small=False):
    """All runs, a seed after the other; those of the second part come last."""
    found = []
    cells = [(*counts, duration) for counts in TARGETS for duration in THRESHOLDS]
    limits = {"limit_train": 60, "limit_test": 40} if small else {}
    for seed in range(seeds):
        for target, other, duration in cells[:1] if small else cells:
            options = preset(target, other, duration, 1 if small else 10)
            grid = steps(target, duration)
            for scheme in [Scheme()] + [Scheme("exact", None, dt, "none") for dt in grid]:
                config = Configuration(options, scheme, seed, **limits)
                found.append(Run(key_of(config, target=target, duration=duration), config))
    for seed in range(seeds):
        options = preset(*LIMITED_CELL, 1 if small else 10)
        found += limited_runs(seed, options, limits)
    return found


class Series(NamedTuple):
    """Loss of accuracy over dt, of one target, duration and seed; and the longest step (s).

    `longest` is NaN where it is censored: below the first step or above the last.
    """

    target: int
    duration: float
    seed: int
    dt: np.ndarray
    loss: np.ndarray  # points
    longest: float


def longest_step(dt, loss):
    """Where the loss first reaches `LOSS`, linear in log dt between two steps; NaN if censored."""
    over = np.flatnonzero(loss >= LOSS)
    if not len(over) or over[0] == 0:
        return np.nan
    k = over[0]
    return float(np.exp(np.interp(LOSS, loss[k - 1 : k + 1], np.log(dt[k - 1 : k + 1]))))


def series(rows, interpolation="none"):
    """A `Series` of each target, duration and seed whose reference is in the table."""
    found = {}
    for row in rows:
        if float(row["dt"]) > 0.0 and row["interpolation"] != interpolation:
            continue
        key = int(row["target"]), float(row["duration"]), int(row["seed"])
        found.setdefault(key, {})[float(row["dt"])] = 100.0 * float(row["accuracy"])
    made = []
    for key, accuracy in sorted(found.items()):
        dt = np.array(sorted(accuracy.keys() - {0.0}))
        if 0.0 in accuracy and len(dt) > 1:
            loss = accuracy[0.0] - np.array([accuracy[step] for step in dt])
            made.append(Series(*key, dt, loss, longest_step(dt, loss)))
    return made


class Law(NamedTuple):
    """Coefficients of the two fits, an `Interval` over seeds each."""

    exponent: tuple  # b of duration / target
    steps: tuple  # a spike of the target, exp(-a): meant where b is 1
    of_duration: tuple  # p
    of_target: tuple  # q


def law(made):
    """The `Law` of several `Series`, fitted seed by seed."""
    fitted = []
    for seed in sorted({one.seed for one in made}):
        own = [one for one in made if one.seed == seed and np.isfinite(one.longest)]
        if len(own) < 4:
            continue
        y = np.log([one.longest for one in own])
        duration = np.log([one.duration for one in own])
        target = np.log([one.target for one in own])
        _, b = paired.fit([duration - target], y)
        _, p, q = paired.fit([duration, target], y)
        steps = np.exp(np.mean(duration - target - y))
        fitted.append((b, steps, p, -q))
    return Law(*map(interval, np.array(fitted).reshape(-1, 4).T))


def limited_lines(rows):
    """The numbers of the second part, as lines of text."""
    target, _, duration = LIMITED_CELL
    found = {
        name: {one.seed: one for one in series(rows, name)
               if (one.target, one.duration) == (target, duration)}
        for name in ("none", *LIMITED)
    }  # fmt: skip
    lines = [f"target {target}, {duration:g} s; longest step (ms), censored:"]
    for name, own in found.items():
        longest = np.array([one.longest for one in own.values()])
        text = interval(1e3 * longest).text(form=".1f")
        lines.append(f"{name:<14} {text:<16} {np.isnan(longest).sum()} of {len(longest)}")
    pairs, values = [], []
    for name in LIMITED:
        other = "none" if name.startswith("none") else "reference"
        for dt in steps(target, duration):
            difference = []
            for seed, one in found[name].items():
                less = found["none"].get(seed)
                if dt in one.dt and (other == "reference" or (less is not None and dt in less.dt)):
                    loss = float(one.loss[one.dt == dt][0])
                    base = 0.0 if other == "reference" else float(less.loss[less.dt == dt][0])
                    difference.append(base - loss)
            if difference:
                pairs.append(f"{name} less {other} at {1e3 * dt:g} ms")
                values.append(np.array(difference))
    lines.append(f"{len(pairs)} pairs (points; p after Holm):")
    for pair, one in zip(pairs, paired.family(values, MARGIN), strict=True):
        text = one.difference.text(form="+.2f").replace("± +", "± ")
        lines.append(f"{pair:<36} {text:>16}  p {one.p:.2g}  {one.verdict}")
    return lines


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    made = series(rows)
    failed = sum(float(row["failed"]) for row in rows)
    seeds = sorted({one.seed for one in made})
    lines = [f"{len(rows)} runs, seeds {', '.join(map(str, seeds))}; {failed:g} not finite",
             "duration target  exact (%)        longest step (ms)   steps a spike   "
             "censored"]  # fmt: skip
    for duration in THRESHOLDS:
        for target, _ in TARGETS:
            own = [one for one in made if (one.duration, one.target) == (duration, target)]
            exact = [100.0 * float(row["accuracy"]) for row in rows
                     if float(row["dt"]) == 0.0 and int(row["target"]) == target
                     and float(row["duration"]) == duration]  # fmt: skip
            steps = np.array([one.longest for one in own])
            each = interval(duration / target / steps)
            lines.append(f"{duration:8g} {target:6}  {interval(exact).text():<16} "
                         f"{interval(1e3 * steps).text(form='.1f'):<19} {each.text():<15} "
                         f"{np.isnan(steps).sum()} of {len(steps)}")  # fmt: skip
    fits = law(made)
    lines += [
        f"exponent of duration / target: {fits.exponent.text()}",
        f"steps a spike of the target, on geometric average: {fits.steps.text()}",
        f"exponent of duration: {fits.of_duration.text()}, of 1 / target: {fits.of_target.text()}",
    ]
    return lines + limited_lines(rows)
