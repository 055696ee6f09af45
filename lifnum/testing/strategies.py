"""Hypothesis strategies for random neurons, spike trains, schemes and networks.

Only they need Hypothesis (``pip install lifnum[test]``).
"""

import math

import numpy as np

from lifnum.methods import propagators
from lifnum.methods.interpolation import INTERPOLATIONS
from lifnum.network import Network
from lifnum.neurons.lif import Neuron
from lifnum.scheme import ADJOINTS, Scheme
from lifnum.spikes import SpikeTrains

# ratios tau / tau_s that deserve a test of their own: BATS, the confluent case, and either side
TAU_RATIOS = (2.0, 1.0, 6.0, 1.0 / 3.0)


def _strategies():
    try:
        from hypothesis import strategies
    except ImportError:
        raise ImportError(
            "lifnum.testing needs hypothesis for its strategies: pip install lifnum[test]"
        ) from None
    return strategies


def _as_strategy(st, value):
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


def neurons(
    tau_s=(0.05, 1.0),
    tau_ratio=(0.1, 10.0),
    theta=(0.1, 2.0),
    delta_theta=(0.1, 2.0),
    max_spikes=30,
):
    """Hypothesis strategy for `Neuron`.

    Parameters
    ----------
    tau_s : (float, float)
        Range of the synaptic time constant.
    tau_ratio : (float, float)
        Range of tau / tau_s; 2, 1, 6 and 1/3 are drawn often where they lie in it.
    theta : (float, float)
        Range of the threshold.
    delta_theta : (float, float)
        Range of delta_theta / theta; where 1 lies in it, it is drawn often.
    max_spikes : int
        Largest cap on the spikes of one neuron, at least 1.

    Returns
    -------
    hypothesis.strategies.SearchStrategy of Neuron
        Shrinks towards tau = 2 tau_s and delta_theta = theta.

    Raises
    ------
    ImportError
        Hypothesis is not installed.

    Examples
    --------
    >>> @given(lifnum.testing.neurons(tau_ratio=(1.0, 1.0)))
    ... def test_my_claim_about_equal_time_constants(neuron): ...
    """
    st = _strategies()

    def often(values, low, high):
        favoured = [value for value in values if low <= value <= high]
        anything = st.floats(low, high)
        return st.sampled_from(favoured) | anything if favoured else anything

    @st.composite
    def draw_neuron(draw):
        synaptic, threshold = draw(st.floats(*tau_s)), draw(st.floats(*theta))
        return Neuron(
            tau_s=synaptic,
            tau=synaptic * draw(often(TAU_RATIOS, *tau_ratio)),
            theta=threshold,
            delta_theta=threshold * draw(often((1.0,), *delta_theta)),
            max_spikes=draw(st.integers(1, max_spikes)),
        )

    return draw_neuron()


def spike_trains(n_neurons, batch=1, duration=1.0, max_spikes=20, beyond=False):
    """Hypothesis strategy for `SpikeTrains`.

    Half of the times are multiples of duration / 16, so that simultaneous spikes, spikes at time
    zero and spikes on grid points are common.

    Parameters
    ----------
    n_neurons, batch : int or strategy of int
        Number of neurons and of samples; zero is allowed.
    duration : float
        Times lie in [0, duration).
    max_spikes : int
        Largest number of spikes of one sample.
    beyond : bool
        Also draw times from duration to 1.5 duration, which a network ignores.

    Returns
    -------
    hypothesis.strategies.SearchStrategy of SpikeTrains
        Shrinks towards few and early spikes of the first neuron.

    Raises
    ------
    ImportError
        Hypothesis is not installed.
    """
    st = _strategies()
    last, sixteenths = (1.5 * duration, 24) if beyond else (duration, 15)
    times = st.integers(0, sixteenths).map(lambda k: k * duration / 16) | st.floats(
        0.0, last, exclude_max=not beyond, allow_subnormal=False
    )

    @st.composite
    def draw_trains(draw):
        n, n_samples = draw(_as_strategy(st, n_neurons)), draw(_as_strategy(st, batch))
        spike = st.tuples(times, st.integers(0, max(n - 1, 0)))
        sample = st.lists(spike, max_size=max_spikes if n else 0)
        samples = [draw(sample) for _ in range(n_samples)]
        return SpikeTrains.from_samples(
            [([t for t, _ in spikes], [i for _, i in spikes]) for spikes in samples], n
        )

    return draw_trains()


def schemes(
    methods=tuple(propagators.METHODS),
    interpolations=("dense", "linear", "none"),
    gradients=ADJOINTS,
    dt=(0.02, 0.2),
    max_order=8,
):
    """Hypothesis strategy for `Scheme`; only combinations that are accepted are drawn.

    Parameters
    ----------
    methods, interpolations, gradients : sequence of str
        What to draw from; interpolation none always has the gradient piggyback.
    dt : (float, float)
        Range of the grid step, in the unit of the time constants; `exact` is drawn with and
        without one.
    max_order : int
        Largest order of ps, 1 to 32.

    Returns
    -------
    hypothesis.strategies.SearchStrategy of Scheme
        Shrinks towards the first of each sequence.

    Raises
    ------
    ImportError
        Hypothesis is not installed.
    ValueError
        A name that `Scheme` does not know, an empty sequence, or max_order outside 1 to 32.
    """
    st = _strategies()
    for name, values, known in (
        ("methods", methods, propagators.METHODS),
        ("interpolations", interpolations, INTERPOLATIONS),
        ("gradients", gradients, ADJOINTS),
    ):
        if isinstance(values, str) or not values or not set(values) <= set(known):
            raise ValueError(f"{name} are {values!r}; accepted: a sequence of {', '.join(known)}")
    if not 1 <= max_order <= propagators.MAX_ORDER:
        raise ValueError(f"max_order is {max_order!r}; accepted: 1 to {propagators.MAX_ORDER}")

    @st.composite
    def draw_scheme(draw):
        method = draw(st.sampled_from(methods))
        interpolation = draw(st.sampled_from(interpolations))
        # drawn in any case: the shortest sequence of choices is what an example shrinks towards
        gradient, grid = draw(st.sampled_from(gradients)), draw(st.booleans())
        grid = grid or method != "exact" or interpolation == "none"
        return Scheme(
            method=method,
            order=draw(st.integers(1, max_order)) if method == "ps" else None,
            dt=draw(st.floats(*dt)) if grid else None,
            interpolation=interpolation,
            gradient="piggyback" if interpolation == "none" else gradient,
        )

    return draw_scheme()


def networks(
    scheme=None,
    neuron=None,
    max_depth=3,
    max_neurons=4,
    max_steps=400,
    dtypes=(np.float64, np.float32),
):
    """Hypothesis strategy for (`Network`, duration) of random depth and sizes.

    A single input spike of a typical weight drives a resting neuron about to its threshold.

    Parameters
    ----------
    scheme : Scheme or strategy of Scheme, optional
        By default any scheme whose step is between 1/20 and 1/2 of the network's smallest time
        constant, where every method is stable. `Network` warns of a given one that is not.
    neuron : Neuron or strategy of Neuron, optional
        One is drawn for each layer; by default `neurons()`.
    max_depth, max_neurons : int
        Largest number of layers and of neurons in one, inputs included.
    max_steps : int
        The duration is at most this many of the smallest default steps, and at most 8 times the
        largest time constant of the network.
    dtypes : sequence of NumPy types
        Of the weights: float64, float32 or both.

    Returns
    -------
    hypothesis.strategies.SearchStrategy of (Network, float)
        The network and its duration. Shrinks towards one layer of one neuron with zero weights.

    Raises
    ------
    ImportError
        Hypothesis is not installed.

    Examples
    --------
    >>> @given(lifnum.testing.networks(scheme=lifnum.Scheme("exact")), st.data())
    ... def test_potential_stays_below_threshold(network, data):
    ...     net, duration = network
    ...     n_inputs = len(net.weights[0])
    ...     spikes = data.draw(lifnum.testing.spike_trains(n_inputs, 2, duration))
    ...     u = net.potential(spikes, np.linspace(0, duration, 100))
    """
    st = _strategies()

    @st.composite
    def draw_network(draw):
        depth = draw(st.integers(1, max_depth))
        each = neurons() if neuron is None else _as_strategy(st, neuron)
        models = [draw(each) for _ in range(depth)]
        sizes = [draw(st.integers(1, max_neurons)) for _ in range(depth + 1)]
        dtype = draw(st.sampled_from(dtypes))
        weights = []
        for model, n_pre, n_post in zip(models, sizes, sizes[1:]):
            count = n_pre * n_post
            size = st.floats(-2.0, 4.0, width=32, allow_subnormal=False)
            unit = draw(st.lists(size, min_size=count, max_size=count))
            # the potential peaks at w max c(h), which is w tau_s / e for tau = tau_s
            drive = model.theta * math.e / min(model.tau_s, model.tau)
            weights.append((drive * np.reshape(unit, (n_pre, n_post))).astype(dtype))
        constants = [tau for model in models for tau in (model.tau_s, model.tau)]
        smallest = min(constants)
        longest = min(8.0 * max(constants), 0.05 * smallest * max_steps)
        duration = longest * draw(st.floats(0.1, 1.0))
        stable = schemes(dt=(0.05 * smallest, 0.5 * smallest))
        used = draw(stable if scheme is None else _as_strategy(st, scheme))
        return Network(list(zip(weights, models)), used, duration), duration

    return draw_network()
