"""How many spikes a grid without interpolation affords: docs/studies/spike-budget.md."""

from lifnum.analysis.study.runner import Run, key_of
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.scheme import Scheme

SEEDS = 5

TARGETS = ((5, 1), (8, 2), (15, 3), (25, 5))  # of the label's neuron, of the others

DURATIONS = (0.1, 0.2, 0.4)  # s

STEPS = (1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 8e-3, 10e-3, 12e-3, 15e-3, 20e-3, 25e-3,
         30e-3, 40e-3, 50e-3, 70e-3, 100e-3)  # fmt: skip

SPIKES_A_STEP = (0.2, 2.0)  # least and largest dt of a design, as dt target / duration

LOSS = 0.05  # of accuracy against exact without a grid, at which a step counts as too long


def steps(target, duration):
    """Grid steps (s) for a target and duration."""
    low, high = SPIKES_A_STEP
    return [dt for dt in STEPS if low - 1e-9 <= dt * target / duration <= high + 1e-9]


def runs(seeds=SEEDS, small=False):
    """All runs, a seed after the other."""
    found = []
    targets, durations = ((TARGETS[:1], DURATIONS[:1]) if small else (TARGETS, DURATIONS))
    limits = {"limit_train": 60, "limit_test": 40} if small else {}
    for seed in range(seeds):
        for (target, other) in targets:
            for duration in durations:
                options = {"duration": duration, "window": duration / 2, "target_true": target,
                           "target_false": other, "epochs": 1 if small else 10}  # fmt: skip
                preset = presets.resolve("digits", options)
                grid = steps(target, duration)
                used = [Scheme()] + [Scheme("exact", None, dt, "none") for dt in grid]
                for scheme in used:
                    config = Configuration(preset, scheme, seed, **limits)
                    key = key_of(config, target=target, duration=duration)
                    found.append(Run(key, config))
    return found
