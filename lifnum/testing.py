"""For property tests of integrators and networks: strategies, an analytic solution, a checker."""

import itertools
import warnings
from math import factorial
from typing import NamedTuple

import numpy as np

from lifnum import integrators
from lifnum.crossing import INTERPOLATIONS
from lifnum.network import Network, Neuron, Scheme
from lifnum.spikes import SpikeTrains

STEP = 1e-30  # of the complex-step derivative: too small to be seen in the real part


def _strategies():
    try:
        from hypothesis import strategies
    except ImportError:
        raise ImportError("lifnum.testing needs hypothesis: pip install 'lifnum[test]'") from None
    return strategies


def neurons(min_ratio=0.1, max_ratio=10.0):
    """Strategy for `Neuron`: tau_s from 0.1 to 1, tau / tau_s in [min_ratio, max_ratio]."""
    st = _strategies()
    return st.builds(
        lambda tau_s, ratio, theta, delta, cap: Neuron(
            tau_s, tau_s * ratio, theta, theta * delta, cap
        ),
        st.floats(0.1, 1.0),
        st.just(2.0) | st.just(1.0) | st.floats(min_ratio, max_ratio),
        st.floats(0.1, 2.0),
        st.just(1.0) | st.floats(0.1, 2.0),
        st.integers(1, 30),
    )


def spike_trains(n_neurons, duration=2.0, max_batch=3, max_spikes=8):
    """Strategy for `SpikeTrains` of n_neurons, times in [0, duration], ties included."""
    st = _strategies()
    time = st.floats(0.0, duration) | st.sampled_from([0.0, duration / 2, duration])
    spike = st.tuples(time, st.integers(0, n_neurons - 1))
    sample = st.lists(spike, max_size=max_spikes)
    return st.lists(sample, max_size=max_batch).map(
        lambda samples: SpikeTrains.from_samples(
            [([t for t, _ in s], [i for _, i in s]) for s in samples], n_neurons
        )
    )


def schemes(duration=2.0, interpolations=tuple(INTERPOLATIONS)):
    """Strategy for `Scheme`: every method, dt from duration / 100 to duration."""
    st = _strategies()

    def build(method, order, dt, interpolation):
        gridless = method == "exact" and interpolation != "none"
        return Scheme(
            method, order if method == "ps" else None, None if gridless else dt, interpolation
        )

    return st.builds(
        build,
        st.sampled_from(list(integrators.METHODS)),
        st.integers(1, integrators.MAX_ORDER),
        st.floats(duration / 100, duration),
        st.sampled_from(interpolations),
    )


def networks(duration=2.0, max_depth=3, max_width=4, n_inputs=None):
    """Strategy for `Network` of float64 layers with weights from -10 to 10."""
    st = _strategies()

    @st.composite
    def build(draw):
        depth = draw(st.integers(1, max_depth))
        sizes = [n_inputs or draw(st.integers(1, max_width))]
        sizes += [draw(st.integers(1, max_width)) for _ in range(depth)]
        layers = []
        for n_pre, n_post in itertools.pairwise(sizes):
            row = st.lists(st.floats(-10, 10), min_size=n_post, max_size=n_post)
            w = draw(st.lists(row, min_size=n_pre, max_size=n_pre))
            layers.append((np.array(w, np.float64).reshape(n_pre, n_post), draw(neurons())))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # unstable steps are ordinary here
            return Network(layers, draw(schemes(duration)), duration)

    return build()


def analytic_potential(neuron, input_times, input_weights, output_times, times):
    """Membrane potential of one neuron whose input and output spikes are given.

    u(t) = sum of w K(t - t_i) - delta_theta exp(-(t - t_o) / tau) over past inputs and outputs,
    K(s) = c(s) of the exact propagator (the solution of the model between its jumps).

    Parameters
    ----------
    neuron : Neuron
    input_times, input_weights, output_times, times : array_like, 1-D

    Returns
    -------
    ndarray (len(times),), right-continuous at the output spikes.
    """
    times = np.asarray(times, np.float64)
    u = np.zeros(len(times))
    for start, weight in zip(input_times, input_weights):
        past = times >= start
        s = times[past] - start
        kernel = [integrators.exact_propagator(x, neuron.tau_s, neuron.tau)[1] for x in s]
        u[past] += weight * np.array(kernel)
    for start in output_times:
        past = times >= start
        u[past] -= neuron.delta_theta * np.exp(-(times[past] - start) / neuron.tau)
    return u


class IntegratorReport(NamedTuple):
    """What `check_integrator` measured."""

    order: float  # measured convergence order; inf where equal to the exact solution
    derivative_error: float  # largest relative error of the derivative


def check_integrator(
    propagator, derivative=None, order=None, *, series_order=None, tau_s=0.7, tau=1.3
):
    """Verify a propagator: consistency, order, derivative, and the limit tau -> tau_s.

    Parameters
    ----------
    propagator : str or callable
        A method's name, or ``propagator(h, tau_s, tau) -> (a, c, b)`` of one step:
        I(h) = a I0, u(h) = c I0 + b u0. It must take a complex h (NumPy functions do).
    derivative : callable, optional
        ``derivative(h, tau_s, tau) -> (a', c', b')`` with respect to h.
    order : float, optional
        Claimed convergence order, inf for an exact solution; a named method knows its own.
    series_order : int, optional
        Order of the named method ps.
    tau_s, tau : float
        Time constants at which to test, unequal.

    Returns
    -------
    IntegratorReport

    Raises
    ------
    AssertionError
        Says which property fails, where, and the values.
    """
    if isinstance(propagator, str):
        name = propagator
        scheme = Scheme(name, series_order, None if name == "exact" else 1.0)
        order = scheme.convergence_order if order is None else order

        def propagator(h, tau_s, tau):
            return integrators.propagator(integrators.method(name, series_order, tau_s, tau), h)

        def derivative(h, tau_s, tau):
            return integrators.propagator_derivative(
                integrators.method(name, series_order, tau_s, tau), h
            )

    def exact(h, tau_s, tau):
        return np.array(integrators.exact_propagator(h, tau_s, tau))

    pairs = [(tau_s, tau), (tau, tau_s), (tau, tau)]
    for pair in pairs:
        values = np.array(propagator(0.0, *pair))
        assert np.allclose(values, (1.0, 0.0, 1.0), rtol=0, atol=1e-15), (
            f"consistency: (a, c, b)(0) is {values} at tau_s, tau = {pair}, not (1, 0, 1)"
        )
    measured = np.inf
    if order is not None:
        measured = min(_measured_order(propagator, exact, pair, order) for pair in pairs)
    worst = 0.0
    for pair in pairs if derivative is not None else []:
        slopes = np.array(derivative(0.0, *pair))
        expected = (-1.0 / pair[0], 1.0, -1.0 / pair[1])
        assert np.allclose(slopes, expected, rtol=1e-13), (
            f"consistency: (a', c', b')(0) is {slopes} at tau_s, tau = {pair}, not {expected}"
        )
        for h in min(pair) * np.array([1e-3, 0.1, 0.5, 1.0, 3.0]):
            step = STEP * h
            stepped = np.array(propagator(h + 1j * step, *pair)).imag / step
            slopes = np.array(derivative(h, *pair))
            size = np.maximum(np.abs(stepped), np.abs(expected) * 1e-3)
            error = np.max(np.abs(slopes - stepped) / size)
            worst = max(worst, error)
            assert error <= 1e-11, (
                f"derivative: {slopes} at h = {h:g}, tau_s, tau = {pair}; by complex step {stepped}"
            )
    for h in (0.1 * tau, tau):
        limit = np.array(propagator(h, tau, tau))
        for distance in (1e-13, -1e-13, 1e-9, -1e-9):
            near = np.array(propagator(h, tau * (1.0 + distance), tau))
            error = np.max(np.abs(near - limit) / (1.0, h, 1.0))
            assert error <= 1e-12 + 100 * abs(distance), (
                f"limit tau -> tau_s: (a, c, b)({h:g}) is {near} at tau_s = tau (1 + {distance}), "
                f"{limit} at tau_s = tau"
            )
    return IntegratorReport(float(measured), float(worst))


def _measured_order(propagator, exact, pair, order):
    """Convergence order: one less than the slope of the log local error over log h."""
    scale = np.array([1.0, min(pair), 1.0])

    def error(h):
        return np.max(np.abs(np.array(propagator(h, *pair)) - exact(h, *pair)) / scale)

    if np.isinf(order):
        for h in min(pair) * np.array([1e-6, 0.01, 1.0, 10.0]):
            assert error(h) <= 1e-14, f"order: differs from the exact solution by {error(h)} at {h}"
        return np.inf
    # steps whose expected local error is between 1e-4 and 1e-13
    at = [(1e-13 * 10.0**k * factorial(int(order) + 1)) ** (1 / (order + 1)) for k in range(8)]
    steps = np.array([min(pair) * x for x in at if x < 1.0])
    errors = np.array([error(h) for h in steps])
    kept = errors > 3e-15
    if kept.sum() < 3:  # an order too high to be measured: equal to rounding
        return float(order)
    measured = np.polyfit(np.log(steps[kept]), np.log(errors[kept]), 1)[0] - 1.0
    assert measured >= order - 0.3, (
        f"order: measured {measured:.2f} at tau_s, tau = {pair}, claimed {order:g}"
    )
    return measured
