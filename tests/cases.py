"""Random small networks, run by the kernels and by the oracle."""

import itertools
import warnings

import naive
import naive_models
import naive_pieces
import numpy as np
from hypothesis import HealthCheck, given, seed, settings

from lifnum import Network, Neuron, RungeKutta, Scheme, SpikeTrains
from lifnum.kernels.general.passes import SEGMENT

DURATION = 2.0


def random_tableau(seed, n):
    """A consistent explicit method of n stages, of order 1 as a rule: nobody's series."""
    rng = np.random.default_rng(seed)
    b = rng.uniform(0.0, 1.0, n)
    return RungeKutta(np.tril(rng.uniform(-1.0, 4.0, (n, n)) / n, -1), b / b.sum())


# tableaux whose polynomials are no cut series of the exact solution: of degree 2 and 5
TABLEAUX = {
    "two-stages": RungeKutta([[0, 0], [0.9, 0]], [0.3, 0.7]),
    "five-stages": random_tableau(3, 5),
}

# model: (parameters that make it spike, size of weights, grid step, duration)
SETTINGS = {
    "lif": ({"current": 0.12}, 0.15, 0.5, 40.0),
    "lif-coba": ({"current": 8.0}, 0.5, 0.5, 60.0),
    "qif": ({"current": 0.1}, 0.1, 0.25, 40.0),
    "eif": ({"current": 1.0}, 0.5, 0.2, 60.0),
    "adex": ({"current": 900.0}, 300.0, 0.2, 40.0),
    "izhikevich": ({"current": 10.0}, 5.0, 0.25, 40.0),
    "izhikevich-2007": ({"current": 300.0}, 80.0, 0.25, 40.0),
    "fitzhugh-nagumo": ({"current": 0.5}, 0.2, 0.5, 60.0),
    "hodgkin-huxley": ({"current": 10.0}, 4.0, 0.05, 20.0),
    "traub-miles": ({"current": 150.0}, 100.0, 0.05, 15.0),
}

# every method, with a step that is coarse against the time constants used here
METHODS = [
    ("exact", None, None),
    ("euler", None, 0.1),
    ("rk2", None, 0.15),
    ("rk4", None, 0.15),
    ("ps", 1, 0.1),
    ("ps", 3, 0.2),
    ("ps", 5, 0.3),
    ("ps", 32, 0.4),
    ("backward-euler", None, 0.1),
    ("trapezoidal", None, 0.1),
    ("exponential-euler", None, 0.1),
]

# (tau_s, tau): tau = tau_s, 2 tau_s, 6 tau_s and tau_s / 3
TIME_CONSTANTS = [(0.5, 0.5), (0.5, 1.0), (0.2, 1.2), (0.9, 0.3)]


def schemes(interpolations, gradient=None):
    """Every method with every one of these interpolations."""
    return [
        Scheme(method, order, 0.1 if interpolation == "none" else dt, interpolation, gradient)
        for method, order, dt in METHODS
        for interpolation in interpolations
    ]


def label(scheme):
    names = {tableau: name for name, tableau in TABLEAUX.items()}
    name = names.get(scheme.method, scheme.method)
    return f"{name}{scheme.order or ''}-{scheme.interpolation}"


class Case:
    """A network and its input, as lifnum objects and as the oracle's plain lists."""

    def __init__(self, rng, scheme, time_constants, depth=2, theta=1.0, delta_theta=0.7):
        self.scheme = scheme
        sizes = [4, 3, 3, 2][: depth + 1]
        self.neurons = [Neuron(*time_constants, theta, delta_theta, 12) for _ in range(depth)]
        scale = 1.0 / np.sqrt(min(time_constants))
        self.weights = [
            rng.normal(0.9, 1.2, (n_pre, n_post)) * scale
            for n_pre, n_post in itertools.pairwise(sizes)
        ]
        n = 7
        self.times, self.indices = np.sort(rng.uniform(0, 1.5, n)), rng.integers(0, 4, n)
        self.spikes = SpikeTrains.from_samples([(self.times, self.indices)], 4)

    def network(self):
        return Network(list(zip(self.weights, self.neurons)), self.scheme, DURATION)

    def oracle(self, weights=None, inputs=None, conditioning=None):
        """Spikes of every layer."""
        return naive.simulate(
            inputs or list(zip(*self.spikes[0])), weights or self.weights, self.neurons,
            self.scheme, DURATION, conditioning,
        )  # fmt: skip


def well_conditioned(make, n, most_tries=200):
    """n cases far from grazing that spike at the output, and the share of draws discarded.

    Near grazing the problem itself is ill-conditioned: every spike's slope is at least 0.02
    theta / tau here, and no missed peak is within 1e-6 theta.
    """
    kept, grazing, tried = [], 0, 0
    while len(kept) < n:
        tried += 1
        assert tried <= most_tries
        case = make()
        conditioning = naive.Conditioning()
        layers = case.oracle(conditioning=conditioning)
        if conditioning.slope < 0.02 or conditioning.peak < 1e-6:
            grazing += 1
        elif layers[-1]:
            kept.append(case)
    return kept, grazing / tried


STEP = 1e-30

# conditioning at the smallest slope allowed (0.02) and a few dozen spikes, in units of rounding
GRADIENT_TOLERANCE = 1e-10


def relative_error(g, reference):
    return np.max(np.abs(g - reference)) / np.max(np.abs(reference))


def loss_of(layers, d_times):
    return sum(e * q.time for e, q in zip(d_times, layers[-1], strict=True))


def derivative(case, d_times, directions, input_direction):
    """Derivative of the oracle's loss in one direction, by complex step."""
    weights = [w + 1j * STEP * d for w, d in zip(case.weights, directions)]
    inputs = [(t + 1j * STEP * d, i)
              for (t, i), d in zip(zip(*case.spikes[0]), input_direction)]  # fmt: skip
    return loss_of(case.oracle(weights, inputs), d_times).imag / STEP


def check_adjusted(case, spikes, n_directions=2):
    """Derivatives along random directions of all weights and input times, by complex steps."""
    rng = np.random.default_rng(7)
    d_times = rng.normal(size=len(spikes[-1]))
    net = case.network()
    net.forward(case.inputs())
    gradients, d_inputs = net.backward(d_times, input_gradient=True)
    assert all(layer.n_without_gradient == 0 for layer in net.layers)
    for _ in range(n_directions):
        along_w = [w * rng.normal(size=w.shape) for w in case.weights]
        along_t = 0.1 * case.duration * rng.normal(size=len(case.times))
        layers = case.oracle(
            [w + 1e-30j * a for w, a in zip(case.weights, along_w)], case.times + 1e-30j * along_t
        )
        expected = np.dot(d_times, [np.imag(q.time) for q in layers[-1]]) / 1e-30
        terms = np.concatenate(
            [(g * a).ravel() for g, a in zip(gradients, along_w)] + [d_inputs * along_t]
        )
        assert abs(terms.sum() - expected) <= 1e-9 * np.abs(terms).sum()


def tie(case):
    """Two inputs of a case at a time, in the order in which lifnum has them."""
    case.times[1::2] = case.times[::2]
    case.indices = case.indices[np.lexsort((case.indices, case.times))]


def on_their_own(layer):
    """From here on the neurons of a layer, which has been forward and back, walk in no vector."""
    layer._vectors = None
    layer.engine = layer.engine._replace(quiet=0, quiet_back=0, leap=0)


class ModelCase:
    """A layer of two neurons of a model, and its input, for lifnum and for the oracle."""

    def __init__(self, model, scheme, seed=0, size=0.4, duration=40.0):
        rng = np.random.default_rng(seed)
        self.models, self.scheme, self.duration = [model], scheme, duration
        self.weights = [size * (0.5 + rng.uniform(size=(3, 2)))]
        self.times = np.sort(rng.uniform(0.0, 0.8, 8)) * duration
        self.indices = rng.integers(0, 3, 8)
        self.conditioning = naive_pieces.Conditioning()

    def network(self):
        return Network(list(zip(self.weights, self.models)), self.scheme, self.duration)

    def inputs(self):
        return SpikeTrains.from_samples([(self.times, self.indices)], 3)

    def oracle(self, weights=None, times=None):
        times = self.times if times is None else times
        return naive_models.simulate(
            list(zip(times, self.indices)), weights or self.weights, self.models, self.scheme,
            self.duration, self.conditioning,
        )  # fmt: skip


def check_drawn(strategy, check, n, part, verdicts):
    """check(example, verdicts) of n examples of a strategy, the same ones for a part."""

    @seed(part)
    @settings(max_examples=n, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def run(example):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # unstable steps are meant here
            check(example, verdicts)

    run()
    print(n, "examples:", dict(verdicts))


def check_checkpoints(model, scheme, duration):
    """One neuron in one and in three segments of sub-intervals; returns its spikes.

    Inputs of weight 0 cut them. All spikes have derivatives: the adjoint passes the segments' ends.
    """
    grid, results = round(duration / scheme.dt), []
    assert grid + 2 < SEGMENT
    for n_more in (0, 5 * SEGMENT // 2 - grid):
        times = np.append([0.1, 0.6], np.arange(n_more) / max(n_more, 1)) * duration
        inputs = SpikeTrains.from_samples([(times, np.append([0, 0], np.ones(n_more, int)))], 2)
        net = Network([(np.array([[3.0], [0.0]]), model)], scheme, duration)
        out = net.forward(inputs)
        (d_w,), d_times = net.backward(np.cos(out.times), input_gradient=True)
        results.append((out.times, d_w[0], d_times[inputs.indices == 0]))
    for one, three in zip(*results, strict=True):
        np.testing.assert_allclose(three, one, rtol=1e-10)
    return out.times
