"""For users' own property tests: random networks, the analytic potential, a check of integrators.

Nothing in the library imports this file. The formulas of the analytic solution are written here
again, on purpose: what is tested should not be tested against itself. Only the strategies need
Hypothesis (``pip install lifnum[test]``).
"""

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lifnum.methods import propagators
from lifnum.methods.interpolation import INTERPOLATIONS
from lifnum.network import Network
from lifnum.neurons.lif import Neuron
from lifnum.scheme import GRADIENTS, Scheme
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
    gradients=GRADIENTS,
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
        ("gradients", gradients, GRADIENTS),
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


def analytic_potential(neuron, input_times, input_weights, output_times, t):
    """Exact membrane potential of a neuron with given input and output spikes, from rest.

        u(t) = sum_i w_i c(t - t_i) - delta_theta sum_q exp(-(t - t_q) / tau)

    over the input spikes i and output spikes q up to t. With e(h) = exp(-h / max(tau, tau_s)) the
    response to one input is c(h) = h e(h) phi(h |1/tau_s - 1/tau|), phi(x) = (1 - exp(-x)) / x,
    which does not cancel as tau -> tau_s.

    Parameters
    ----------
    neuron : Neuron
        Anything with tau_s, tau and delta_theta.
    input_times, input_weights : array_like (n_inputs,)
        Times, in the unit of the time constants, and weights of the input spikes, in any order.
    output_times : array_like (n_outputs,)
        Each lowers u by delta_theta; after an exact crossing that is the reset to theta -
        delta_theta. Whether u reaches theta there is not checked.
    t : array_like, any shape
        Where to evaluate; right-continuous: at a spike, its effect is included.

    Returns
    -------
    ndarray of the shape of t, float64

    Raises
    ------
    ValueError
        Other numbers of weights than of input times, or arrays that are not one-dimensional.

    Examples
    --------
    >>> neuron = lifnum.Neuron(tau_s=1.0, tau=1.0)
    >>> float(lifnum.testing.analytic_potential(neuron, [0.0], [2.0], [], 0.0))
    0.0
    """
    input_times, input_weights, output_times = (
        np.asarray(values, np.float64) for values in (input_times, input_weights, output_times)
    )
    if input_times.ndim != 1 or input_weights.shape != input_times.shape:
        raise ValueError(
            f"input_weights have shape {input_weights.shape}; accepted: (n_inputs,), as "
            f"input_times, which have shape {input_times.shape}"
        )
    if output_times.ndim != 1:
        raise ValueError(f"output_times have shape {output_times.shape}; accepted: (n_outputs,)")
    t = np.asarray(t, np.float64)
    difference = abs(1.0 / neuron.tau_s - 1.0 / neuron.tau)
    slow = max(neuron.tau_s, neuron.tau)
    u = np.zeros(t.shape)
    for time, weight in zip(input_times, input_weights):
        h = np.maximum(t - time, 0.0)
        lost = -np.expm1(-h * difference) / difference if difference > 0.0 else h
        u += weight * np.exp(-h / slow) * lost
    for time in output_times:
        h = np.maximum(t - time, 0.0)
        u -= neuron.delta_theta * np.where(t >= time, np.exp(-h / neuron.tau), 0.0)
    return u


class IntegratorReport(NamedTuple):
    """What `check_integrator` measured, over all pairs of time constants that it tried."""

    order: float  # smallest convergence order; inf where every error is at rounding
    derivative_error: float  # largest relative error of the derivative; NaN where none was given
    limit_error: float  # largest f(tau_s + d) - 2 f(tau_s) + f(tau_s - d) in tau, d = 1e-10 tau_s


# the numerators of relative errors below are a few dozen roundings at most
ROUNDING = 1e-13

DERIVATIVE_TOLERANCE = 1e-12

ORDER_TOLERANCE = 0.2  # of a fitted slope

# above this order the errors of steps that are small enough to show the slope drown in rounding
MAX_SLOPE_ORDER = 8

NAMES = ("a", "c", "b")


def check_integrator(propagator, derivative=None, order=None, tau_s=0.130, tau=0.260):
    """Check that a one-step method for the neuron is consistent, differentiable and of its order.

    A method is a propagator: I(h) = a(h) I0 and u(h) = c(h) I0 + b(h) u0 after a step h. Checked,
    for (tau_s, tau), for the two exchanged, and for both equal to tau_s:

    - consistency at h = 0: a = b = 1, c = 0 and a' = -1 / tau_s, c' = 1, b' = -1 / tau;
    - the derivative, against a complex step of the propagator: 1e-12 relative;
    - tau -> tau_s from both sides: no jump, and no cancellation;
    - the convergence order: the slope of log(error) over log(h) of one step, less one, up to
      order 8 (to 0.2); above, the Taylor coefficients at h = 0 up to the order; for order inf
      equality with the exact solution to rounding.

    Parameters
    ----------
    propagator : callable or str
        ``propagator(h, tau_s, tau) -> (a, c, b)`` of Python numbers, h real or complex (so NumPy's
        functions, not those of math); or the name of a method of this library.
    derivative : callable, optional
        ``derivative(h, tau_s, tau) -> (a', c', b')``, by h. Known for a method of this library.
    order : int or math.inf, optional
        The order claimed: a method of a higher one passes. None for a propagator of yours: it is
        measured only. For "ps" it is the order of the series; the other methods know theirs.
    tau_s, tau : float
        Time constants, any unit.

    Returns
    -------
    IntegratorReport
        (order, derivative_error, limit_error) as measured.

    Raises
    ------
    AssertionError
        A property does not hold; the message names it, the step h, the time constants, the value
        found and the value expected.
    ValueError
        An unknown name, ps without an order, an order that is not a whole number >= 0 or inf, or
        time constants that are not positive.

    Examples
    --------
    >>> round(lifnum.testing.check_integrator("ps", order=3).order, 1)
    3.0
    """
    for name, value in (("tau_s", tau_s), ("tau", tau)):
        if not 0.0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}; accepted: a finite number > 0")
    if isinstance(propagator, str):
        propagator, derivative, order = _named(propagator, derivative, order)
    if order is not None and not (order >= 0 and (order == math.inf or order == int(order))):
        raise ValueError(
            f"order is {order!r}; accepted: a whole number >= 0, math.inf, or None to measure only"
        )
    report = IntegratorReport(math.inf, math.nan if derivative is None else 0.0, 0.0)
    pairs = dict.fromkeys([(tau_s, tau), (tau, tau_s), (tau_s, tau_s)])
    for taus in pairs:
        _check_consistency(propagator, derivative, *taus)
        if derivative is not None:
            error = _check_derivative(propagator, derivative, *taus)
            report = report._replace(derivative_error=max(report.derivative_error, error))
    for function in (propagator, derivative):
        if function is not None:
            error = _check_limit(function, tau_s, primed=function is derivative)
            report = report._replace(limit_error=max(report.limit_error, error))
    for taus in pairs:
        measured = _check_order(propagator, order, *taus)
        report = report._replace(order=min(report.order, measured))
    return report


def _named(name, derivative, order):
    """(propagator, derivative, claimed order) of a method of this library."""
    if name not in propagators.METHODS:
        raise ValueError(f"propagator is {name!r}; accepted: {', '.join(propagators.METHODS)}")
    if name == "ps" and order not in range(1, propagators.MAX_ORDER + 1):
        raise ValueError(
            f"order is {order!r}; accepted: 1 to {propagators.MAX_ORDER} for method 'ps'"
        )
    known = propagators.METHODS[name].order

    @lru_cache
    def method(tau_s, tau):
        return propagators.method(name, order, tau_s, tau)

    def propagator(h, tau_s, tau):
        m = method(tau_s, tau)
        if not isinstance(h, complex):
            return propagators.propagator(m, h)
        if m.code == propagators.EXACT:  # plain Python: Numba's expm1 cancels for complex numbers
            return propagators.exact_propagator.py_func(h, tau_s, tau)
        return propagators.propagator.py_func(m, h)

    def own_derivative(h, tau_s, tau):
        return propagators.propagator_derivative(method(tau_s, tau), h)

    return propagator, derivative or own_derivative, known if order is None else order


def _where(h, tau_s, tau):
    return f"at h = {abs(h):.6g}, tau_s = {tau_s!r}, tau = {tau!r}"


def _values(function, h, tau_s, tau, check):
    """Three numbers of a user's function; `check` names the property under test."""
    try:
        with np.errstate(all="ignore"):
            values = function(h, tau_s, tau)
        values = [complex(value) if isinstance(h, complex) else float(value) for value in values]
    except (ArithmeticError, TypeError) as error:
        advice = " (use NumPy's functions, which take complex h)" if isinstance(h, complex) else ""
        raise AssertionError(
            f"{check}: {type(error).__name__}: {error}{advice} {_where(h, tau_s, tau)}"
        ) from error
    if len(values) != 3 or not np.isfinite(values).all():
        raise AssertionError(
            f"{check}: found {values}, expected three finite numbers {_where(h, tau_s, tau)}"
        )
    return values


def _complex_step(propagator, h, tau_s, tau):
    """(a', c', b') to rounding: the imaginary part of a step too small to matter otherwise."""
    tiny = 1e-30 * min(tau_s, tau)
    values = _values(propagator, complex(h, tiny), tau_s, tau, "derivative")
    return [value.imag / tiny for value in values]


def _check_consistency(propagator, derivative, tau_s, tau):
    found = _values(propagator, 0.0, tau_s, tau, "consistency")
    unit = min(tau_s, tau)
    for name, value, expected, scale in zip(NAMES, found, (1.0, 0.0, 1.0), (1.0, unit, 1.0)):
        if not abs(value - expected) <= ROUNDING * scale:
            raise AssertionError(
                f"consistency: {name} is {value!r}, expected {expected} {_where(0.0, tau_s, tau)}"
            )
    if derivative is not None:
        found = _values(derivative, 0.0, tau_s, tau, "consistency")
    else:
        found = _complex_step(propagator, 0.0, tau_s, tau)
    for name, value, expected in zip(NAMES, found, (-1.0 / tau_s, 1.0, -1.0 / tau)):
        if not abs(value - expected) <= DERIVATIVE_TOLERANCE * abs(expected):
            raise AssertionError(
                f"consistency: {name}' is {value!r}, expected {expected!r} "
                f"{_where(0.0, tau_s, tau)}"
            )


def _check_derivative(propagator, derivative, tau_s, tau):
    """Largest error, relative to |f'| + |f| / (time constants): f' alone may vanish."""
    worst = 0.0
    rates = (1.0 / tau_s, 1.0 / tau_s + 1.0 / tau, 1.0 / tau)
    for h in min(tau_s, tau) * np.array([0.0, 1e-6, 1e-3, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0]):
        h = float(h)
        values = _values(propagator, h, tau_s, tau, "derivative")
        found = _values(derivative, h, tau_s, tau, "derivative")
        expected = _complex_step(propagator, h, tau_s, tau)
        for name, f, df, true, rate in zip(NAMES, values, found, expected, rates):
            error = abs(df - true) / (abs(true) + abs(f) * rate)
            if not error <= DERIVATIVE_TOLERANCE:
                raise AssertionError(
                    f"derivative: {name}' is {df!r}, expected {true!r} by complex step, relative "
                    f"error {error:.1e} {_where(h, tau_s, tau)}"
                )
            worst = max(worst, error)
    return worst


def _check_limit(function, tau_s, primed):
    """Compare tau = tau_s (1 + delta) with tau = tau_s; the change must be of the size of delta.

    Returned: the largest relative second difference at delta = 1e-10, which is rounding alone.
    """
    worst = 0.0
    prime = "'" if primed else ""
    for h in tau_s * np.array([1e-3, 0.1, 0.7, 1.5]):
        h = float(h)
        at_limit = _values(function, h, tau_s, tau_s, "limit tau -> tau_s")
        scales = (1.0 / tau_s, 1.0, 1.0 / tau_s) if primed else (1.0, h, 1.0)
        for size in (1e-3, 1e-5, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-14):
            changes = np.zeros(3)
            for near in (tau_s * (1.0 + size), tau_s * (1.0 - size)):
                found = _values(function, h, tau_s, near, "limit tau -> tau_s")
                for k, name in enumerate(NAMES):
                    change = (found[k] - at_limit[k]) / scales[k]
                    changes[k] += change
                    # at such steps the derivative by tau is at most a few of the scale over tau
                    if not abs(change) <= 10.0 * size + 10.0 * ROUNDING:
                        raise AssertionError(
                            f"limit tau -> tau_s: {name}{prime} is {found[k]!r}, expected "
                            f"{at_limit[k]!r} to {size:g} {_where(h, tau_s, near)}"
                        )
            if size == 1e-10:
                worst = max(worst, float(abs(changes).max()))
    return worst


def _check_order(propagator, order, tau_s, tau):
    """The order measured for one pair of time constants; inf where errors are at rounding."""
    if order == math.inf:
        return _check_exact(propagator, tau_s, tau)
    if order is not None and order > MAX_SLOPE_ORDER:
        return _check_taylor(propagator, int(order), tau_s, tau)
    measured, low, high, error = _slope(propagator, tau_s, tau)
    if order is not None and not measured >= order - ORDER_TOLERANCE:
        raise AssertionError(
            f"order: measured {measured:.2f} for h from {low:.3g}, claimed {order}; error "
            f"{error:.1e} {_where(high, tau_s, tau)}"
        )
    return measured


def _exact(h, tau_s, tau):
    """(a, c, b) of the exact solution, rounded once: computed in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        h, tau_s, tau = Decimal(h), Decimal(tau_s), Decimal(tau)
        a, b = (-h / tau_s).exp(), (-h / tau).exp()
        c = h * a if tau == tau_s else (a - b) / (1 / tau - 1 / tau_s)
        return float(a), float(c), float(b)


def _check_exact(propagator, tau_s, tau):
    fast = min(tau_s, tau)
    for h in fast * np.array([1e-12, 1e-6, 1e-3, 0.03, 0.3, 1.0, 2.0, 5.0, 10.0, 30.0]):
        h = float(h)
        found = _values(propagator, h, tau_s, tau, "order")
        for name, value, expected in zip(NAMES, found, _exact(h, tau_s, tau)):
            # the argument of an exponential is rounded too
            if not abs(value - expected) <= ROUNDING * (1.0 + h / fast) * expected:
                raise AssertionError(
                    f"order: {name} is {value!r}, {expected!r} in the exact solution, claimed inf "
                    f"{_where(h, tau_s, tau)}"
                )
    return math.inf


def _slope(propagator, tau_s, tau):
    """(order, smallest h, largest h, error at the largest): slope of log error over log h, - 1.

    Fitted, with its linear change by h, to the smallest steps whose error is clear of rounding.
    Without such, order is inf.
    """
    unit = min(tau_s, tau)
    steps, errors = [], []
    for h in 2.0 * unit * 2.0 ** (-0.5 * np.arange(80)):
        h = float(h)
        found, exact = _values(propagator, h, tau_s, tau, "order"), _exact(h, tau_s, tau)
        error = max(abs(f - e) / s for f, e, s in zip(found, exact, (1.0, unit, 1.0)))
        if error > ROUNDING:
            steps.append(h)
            errors.append(error)
    steps, errors = steps[-8:], errors[-8:]
    if len(steps) < 4:
        return math.inf, 0.0, 0.0, 0.0
    columns = [np.log(steps), np.divide(steps, unit), np.ones(len(steps))]
    slope = np.linalg.lstsq(np.transpose(columns), np.log(errors))[0][0]
    return float(slope) - 1.0, steps[-1], steps[0], errors[0]


def _check_taylor(propagator, order, tau_s, tau):
    """Compare the Taylor coefficients at h = 0, by Cauchy's integral, up to the order claimed.

    On circles of radius p / 3 small time constants coefficient p stands clear of rounding, that of
    a slower exponential (the fast one of the exchanged pair) excepted, and the poles of implicit
    methods of that order lie outside.
    """
    unit = min(tau_s, tau)
    for p in range(order + 1):
        n = max(64, 4 * p)
        radius = unit * max(p, 1) / 3.0
        turns = np.exp(2j * np.pi * (np.arange(n // 2) + 0.5) / n)  # f(conj h) = conj f(h)
        values = [_values(propagator, complex(radius * z), tau_s, tau, "order") for z in turns]
        values = np.array(values).T
        found = (values @ turns**-p).real / (n // 2) / radius**p
        rounding = 0.1 * ROUNDING * abs(values).max(axis=1) / radius**p
        for name, value, expected, noise in zip(NAMES, found, _taylor(p, tau_s, tau), rounding):
            if not abs(value - expected) <= 1e-6 * abs(expected) + noise:
                raise AssertionError(
                    f"order: the coefficient of h^{p} in {name} is {value:.9g}, expected "
                    f"{expected:.9g} for the claimed {order} {_where(radius, tau_s, tau)}"
                )
    return float(order)


def _taylor(p, tau_s, tau):
    """Coefficients of h^p in the exact (a, c, b)."""
    x, y = -1 / Fraction(tau_s), -1 / Fraction(tau)
    c = sum(x**j * y ** (p - 1 - j) for j in range(p))
    return [float(value / math.factorial(p)) for value in (x**p, c, y**p)]
