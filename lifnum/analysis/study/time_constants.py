"""Whether the method matters, over dt / tau_s: docs/studies/time-constants.md."""

from lifnum.analysis.study.runner import Run, key_of
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.scheme import Scheme

SEEDS = 10

# tau_s (s) -> thresholds of digits at which untrained networks spike as often as at 130 ms
THRESHOLDS = {
    0.005: (0.003, 0.012),
    0.010: (0.006, 0.026),
    0.020: (0.011, 0.056),
    0.130: (0.05, 0.2),
}

RATIOS = (0.1, 0.3, 1.0, 1.5)  # dt / tau_s

METHODS = {
    "adjusted": (("euler", None), ("ps", 2), ("ps", 3), ("ps", 5), ("backward-euler", None),
                 ("exponential-euler", None)),
    "piggyback": (("euler", None), ("ps", 2), ("ps", 5)),
    "none": (("exact", None), ("euler", None), ("ps", 5)),
}  # fmt: skip

FLOOR = 0.3  # dt / tau_s at which chords of Euler, equal but for rounding, show the noise


def schemes(tau_s, ratios=RATIOS):
    """The schemes of one time constant, exact first."""
    found = [Scheme()]
    for ratio in ratios:
        dt = round(ratio * tau_s, 9)
        for gradient in ("adjusted", "piggyback"):
            found += [Scheme(method, order, dt, "dense", gradient)
                      for method, order in METHODS[gradient]]  # fmt: skip
        found += [Scheme(method, order, dt, "none") for method, order in METHODS["none"]]
        if ratio == FLOOR:
            found.append(Scheme("euler", None, dt, "linear"))
    return found


def runs(seeds=SEEDS, small=False):
    """All runs, a seed after the other."""
    found = []
    taus, ratios = (((0.005,), (FLOOR,)) if small else (THRESHOLDS, RATIOS))
    limits = {"limit_train": 60, "limit_test": 40} if small else {}
    for seed in range(seeds):
        for tau_s in taus:
            options = {"tau_s": (tau_s,), "tau": (2 * tau_s,), "theta": THRESHOLDS[tau_s]}
            preset = presets.resolve("digits", options | {"epochs": 1 if small else 20})
            for scheme in schemes(tau_s, ratios):
                config = Configuration(preset, scheme, seed, **limits)
                found.append(Run(key_of(config, tau_s=tau_s), config))
    return found
