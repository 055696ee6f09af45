"""A check of a neuron by equations: what is compiled from them, and every method on it."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from lifnum.errors import SimulationError, _positive
from lifnum.model_layer import functions
from lifnum.network import Network
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains
from lifnum.testing.expressions import Expressions

# rounding of a few dozen operations, relative to the terms of an equation
DERIVATIVE_TOLERANCE = 1e-11

ORDER_TOLERANCE = 0.3  # of a slope over two halvings of the step

ROUNDING = 1e-11  # of one step, relative to the state: smaller errors have no slope

LARGEST = 1e-3  # errors of steps that are too long have none either

SERIES_TOLERANCE = 1e-12  # of the terms of an adaptive order

METHODS = (
    ("euler", None), ("rk2", None), ("rk4", None), ("exponential-euler", None),
    ("ps", 1), ("ps", 2), ("ps", 4), ("ps", 6),
)  # fmt: skip

N_INPUTS, N_STATES, N_STARTS = 20, 24, 8

HALVINGS = range(-4, 10)  # of dt: the longest step is 16 dt

ABOVE_ALL = 1e100  # a threshold that nothing reaches in a step


class ModelReport(NamedTuple):
    """What `check_model` measured."""

    derivative_error: float  # largest error of a derivative, relative to its equation's terms
    orders: dict  # {label of a method: convergence order}; inf where every error is at rounding
    n_spikes: int  # of the trajectories whose states were tried; 0 says that drive was lacking


def check_model(model, dt, duration, weight=0.0, seed=0):
    """Check what is compiled from a model's equations, every method on it, and its reset.

    In states along a trajectory under random input spikes, and in those with the threshold
    variable at the threshold:

    - the equations, the reset and their derivatives, compiled, against the expressions evaluated
      with complex numbers, a complex step for derivatives; forwards and transposed, 1e-11 of
      the terms of an equation;
    - one step of euler, rk2, rk4, exponential-euler and power series of order 1, 2, 4 and 8
      against an independent integrator (scipy's DOP853), so series against stages too, for steps
      from 16 dt to dt / 512: the slope of log(error) over log(h), less one, is the order (to 0.3);
      a series of adaptive order reaches its tolerance in a step dt;
    - the state after a spike is finite and below the threshold.

    Parameters
    ----------
    model : Model
    dt : float
        A step that resolves the model, in the network's unit of time.
    duration : float
        Of the trajectory, in the same unit.
    weight : float
        Size of the input's random weights; with 0 the trajectory has no input.
    seed : int

    Returns
    -------
    ModelReport
        (derivative_error, orders, n_spikes) as measured.

    Raises
    ------
    AssertionError
        A property does not hold; the message names it, the state, the value found and the value
        expected.
    ValueError
        dt or duration not a finite number > 0, or what `Network` refuses.

    Examples
    --------
    >>> report = lifnum.testing.check_model(lifnum.models.qif(current=0.1), 0.25, 50.0, 0.1)
    >>> round(report.orders["rk4"], 1)
    4.0
    """
    _positive("dt", dt)
    _positive("duration", duration)
    states, neurons, n_spikes = _trajectory(model, dt, duration, weight, seed)
    each = [Expressions(model, neuron) for neuron in range(model.n_neurons or 1)]
    at_threshold = states.copy()
    at_threshold[:, model.threshold_index] = [each[k].threshold for k in neurons]
    with np.errstate(all="ignore"):
        _check_reset(model, each, at_threshold, neurons)
        error = max(_check_derivatives(model, each, found, neurons)
                    for found in (states, at_threshold))  # fmt: skip
        starts = np.linspace(0, len(states) - 1, N_STARTS).astype(int)
        orders = _check_steps(model, each, states[starts], neurons[starts], dt)
    return ModelReport(error, orders, n_spikes)


def _shown(model, y):
    return "at " + ", ".join(f"{name} = {one:.9g}" for name, one in zip(model.variables, y))


def _sizes(states):
    """Of every variable; 1 of one that is always 0."""
    sizes = np.abs(states).max(axis=0)
    return np.where(sizes > 0.0, sizes, 1.0)


def _trajectory(model, dt, duration, weight, seed):
    """(states (n_states, variables), neuron of each, number of spikes) of a simulation."""
    rng, n = np.random.default_rng(seed), model.n_neurons or 1
    weights = rng.normal(0.3, 1.0, (N_INPUTS, n)) * weight
    inputs = np.sort(rng.uniform(0.0, duration, N_INPUTS)), np.arange(N_INPUTS)
    scheme = Scheme("ps", dt=dt, tolerance=SERIES_TOLERANCE)
    net = Network([(weights, model)], scheme, duration)
    trains = SpikeTrains.from_samples([inputs], N_INPUTS)
    times = np.sort(rng.uniform(0.0, duration, N_STATES))
    try:
        n_spikes = len(net.forward(trains).times)
        found = [net.state(trains, times, name, layer=0)[0] for name in model.variables]
    except SimulationError as error:
        raise AssertionError(f"trajectory: {error}") from error
    states = np.transpose(found, (1, 2, 0)).reshape(-1, len(model.variables))
    return states, np.repeat(np.arange(n), N_STATES), n_spikes


def _check_reset(model, each, states, neurons):
    v, name = model.threshold_index, model.variables[model.threshold_index]
    if not model.reset:
        return
    for y, neuron in zip(states, neurons):
        after = np.array(each[neuron].reset(y), np.float64)
        if not np.isfinite(after).all() or not after[v] < each[neuron].threshold:
            raise AssertionError(
                f"reset: {name} is {after[v]:.9g} and the state {after} after a spike, expected "
                f"finite and {name} below the threshold {each[neuron].threshold:.9g} "
                f"{_shown(model, y)}"
            )


def _check_derivatives(model, each, states, neurons):
    """Largest error of the compiled functions of equations and reset, relative to their terms."""
    module, p = functions(model)
    sizes = _sizes(states)
    n, worst = len(sizes), 0.0
    ones, out = np.eye(n), np.empty(n)

    def rows(function, *arguments):
        for one in ones:
            function(*arguments, one, out)
            yield out.copy()

    for y, neuron in zip(states, neurons):
        plain, numbers = each[neuron], p[neuron]
        compiled = {"equation": (module.field, plain.field), "reset": (module.reset, plain.reset)}
        jacobians, terms = {}, {}
        for kind, (function, expected) in compiled.items():
            steps = [expected(y + 1e-30j * size * one) for size, one in zip(sizes, ones)]
            scaled = np.imag(steps).T / 1e-30  # by variables in units of their sizes
            value, jacobians[kind] = np.real(expected(y)), scaled / sizes
            terms[kind] = np.abs(scaled).sum(axis=1) + np.abs(value)
            function(numbers, y, out)
            worst = max(worst, _compared(model, kind, y, out, value, terms[kind]))
        jacobian = jacobians["equation"]
        within = terms["equation"][:, None] / sizes
        own = np.empty(n)
        module.diagonal(numbers, y, own)
        found = {
            "derivative": np.transpose(list(rows(module.field_along, numbers, y))),
            "transposed derivative": list(rows(module.field_transpose, numbers, y)),
            "diagonal of the derivative": np.where(ones == 1.0, own[:, None], jacobian),
        }
        for kind, values in found.items():
            worst = max(worst, _compared(model, kind, y, values, jacobian, within))
        values = list(rows(module.reset_transpose, numbers, y))
        within = terms["reset"][:, None] / sizes
        kind = "transposed derivative of the reset"
        worst = max(worst, _compared(model, kind, y, values, jacobians["reset"], within))
    return float(worst)


def _compared(model, kind, y, found, expected, within):
    """Largest error, relative to `within`; AssertionError where it is not small."""
    found, expected = np.array(found), np.array(expected)
    if not np.isfinite(found).all():
        raise AssertionError(f"{kind}: found {found}, expected finite numbers {_shown(model, y)}")
    error = np.abs(found - expected) / np.where(within > 0.0, within, 1.0)
    place = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
    if not error[place] <= DERIVATIVE_TOLERANCE:
        names = [model.variables[k] for k in place]
        where = f"of {names[0]}" + (f" by {names[1]}" if len(names) == 2 else "")
        raise AssertionError(
            f"{kind} {where} is {float(found[place])!r}, expected {float(expected[place])!r}, "
            f"relative error {error[place]:.1e} {_shown(model, y)}"
        )
    return error[place]


def _one_step(model, states, neurons, scheme):
    """States (n, variables) after one step of the scheme's dt from these, without spikes."""
    prefix = "start"
    while any(name.startswith(prefix) for name in (*model.variables, *model.parameters)):
        prefix += "_"
    start = {name: f"{prefix}{k}" for k, name in enumerate(model.variables)}
    parameters = {name: x[neurons] if isinstance(x, np.ndarray) else x
                  for name, x in model.parameters.items()}  # fmt: skip
    parameters |= dict(zip(start.values(), states.T))
    threshold = model.variables[model.threshold_index], ABOVE_ALL
    one = replace(model, parameters=parameters, initial=start, threshold=threshold)
    net = Network([(np.zeros((1, len(states))), one)], scheme, scheme.dt)
    trains = SpikeTrains.from_samples([([], [])], 1)
    try:
        return np.stack([net.state(trains, [scheme.dt], name, layer=0)[0, :, 0]
                         for name in model.variables], axis=1)  # fmt: skip
    except SimulationError:
        return np.full(states.shape, np.inf)


def _true_step(plain, y, h, sizes):
    """The state after h of the differential equation; NaN where it is not finite."""
    found = solve_ivp(
        lambda _, y: plain.field(y), (0.0, h), y, "DOP853", rtol=1e-13, atol=1e-15 * sizes
    )
    return found.y[:, -1] if found.success else np.full(len(y), np.nan)


def _check_steps(model, each, states, neurons, dt):
    """{label: order measured} of one step of every method from these states."""
    sizes = _sizes(states)
    steps = [dt * 2.0**-k for k in HALVINGS]
    true = {
        h: np.array([_true_step(each[k], y, h, sizes) for y, k in zip(states, neurons)])
        for h in steps
    }

    def errors(scheme):
        found = np.abs(_one_step(model, states, neurons, scheme) - true[scheme.dt]) / sizes
        return np.nan_to_num(found, nan=np.inf)

    orders = {}
    for method, order in METHODS:
        schemes = [Scheme(method, order, h) for h in steps]
        worst = np.array([errors(scheme).max() for scheme in schemes])
        label, claimed = f"{method}{order or ''}", schemes[0].convergence_order
        orders[label] = _order(worst)
        if not orders[label] >= claimed - ORDER_TOLERANCE:
            listed = ", ".join(f"{h:.3g}: {error:.1e}" for h, error in zip(steps, worst))
            raise AssertionError(
                f"order of {label} is {orders[label]:.2f}, expected {claimed}; relative errors of "
                f"one step by its length are {listed}"
            )
    found = errors(Scheme("ps", dt=dt, tolerance=SERIES_TOLERANCE))
    finite = np.isfinite(true[dt]).all(axis=1)
    within = 100.0 * SERIES_TOLERANCE
    if not (found[finite] <= within).all():
        k = np.argmax(np.where(finite, found.max(axis=1), 0.0))
        raise AssertionError(
            f"series: relative error {found[k].max():.1e} of a step {dt:g} to a tolerance of "
            f"{SERIES_TOLERANCE:g}, expected at most {within:g} {_shown(model, states[k])}"
        )
    return orders


def _order(errors):
    """Slope over the last halvings whose errors are no rounding, less one; inf without such."""
    kept = errors[(errors > ROUNDING) & (errors < LARGEST)]
    if len(kept) < 2:
        return math.inf if errors[-1] <= ROUNDING else math.nan
    last = kept[-3:]
    return float(np.log2(last[0] / last[-1]) / (len(last) - 1)) - 1.0
