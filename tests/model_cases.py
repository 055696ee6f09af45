"""Random small networks of models by equations, run by the kernels and by the oracle."""

import itertools

import naive_models
import naive_pieces
import numpy as np
from cases import SETTINGS

from lifnum import Network, RungeKutta, Scheme, SpikeTrains, models

SCHEMES = {
    "euler": ("euler", None, None),
    "rk2": ("rk2", None, None),
    "rk4": ("rk4", None, None),
    "heun": (RungeKutta(a=[[0, 0], [1, 0]], b=[1 / 2, 1 / 2]), None, None),
    "ps3": ("ps", 3, None),
    "ps7": ("ps", 7, None),
    "ps-1e-6": ("ps", None, 1e-6),
    "ps-1e-13": ("ps", None, 1e-13),
    "exponential-euler": ("exponential-euler", None, None),
}

N_PRE, N_POST = 3, 2


def model_and_weights(rng, name, n_pre, n_post):
    parameters, size, _, _ = SETTINGS[name]
    return models.BUILT_IN[name](**parameters), rng.normal(0.3, 1.0, (n_pre, n_post)) * size


class Case:
    """A network of models and its input, for lifnum and for the oracle."""

    def __init__(self, seed, names, scheme, interpolation="dense", gradient=None):
        rng = np.random.default_rng(seed)
        method, order, tolerance = SCHEMES[scheme]
        _, _, dt, self.duration = SETTINGS[names[-1]]
        self.scheme = Scheme(method, order, dt, interpolation, gradient, tolerance)
        sizes = [N_PRE, *[N_POST] * len(names)]
        pairs = [model_and_weights(rng, name, *shape)
                 for name, shape in zip(names, itertools.pairwise(sizes))]  # fmt: skip
        self.models, self.weights = (list(x) for x in zip(*pairs))
        n = 6
        self.times = np.sort(rng.uniform(0.0, 0.8, n)) * self.duration
        self.indices = rng.integers(0, N_PRE, n)
        self.conditioning = naive_pieces.Conditioning()

    def network(self):
        return Network(list(zip(self.weights, self.models)), self.scheme, self.duration)

    def inputs(self):
        return SpikeTrains.from_samples([(self.times, self.indices)], N_PRE)

    def oracle(self, weights=None, times=None):
        times = self.times if times is None else times
        return naive_models.simulate(
            list(zip(times, self.indices)), weights or self.weights, self.models, self.scheme,
            self.duration, self.conditioning,
        )  # fmt: skip

    def is_well_conditioned(self):
        """Whether no spike grazes the threshold: nothing then amplifies rounding."""
        slopes = np.array(self.conditioning.slopes)
        return (
            len(slopes) > 0
            and slopes.min() > 1e-3 * np.median(slopes)
            and self.conditioning.peak > 1e-6
        )


def well_conditioned(*arguments, most=20, **options):
    for seed in range(most):
        case = Case(seed, *arguments, **options)
        spikes = case.oracle()
        if spikes[-1] and (case.scheme.interpolation == "none" or case.is_well_conditioned()):
            return case, spikes
    raise AssertionError("no well-conditioned case")
