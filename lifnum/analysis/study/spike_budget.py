"""How many spikes a grid without interpolation affords: docs/studies/spike-budget.md."""

from lifnum.analysis.study.runner import Run, key_of
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

LOSS = 0.05  # of accuracy against exact without a grid, at which a step counts as too long


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


def runs(seeds=SEEDS, small=False):
    """All runs, a seed after the other."""
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
    return found
