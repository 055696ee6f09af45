"""The membrane potential of a neuron of which the spikes are known, by the analytic solution.

Written here once more, on purpose: what is tested should not be tested against itself.
"""

import numpy as np


def analytic_potential(neuron, input_times, input_weights, output_times, t):
    """Exact membrane potential of a neuron with given input and output spikes, from rest.

        u(t) = sum_i w_i c(t - t_i) - delta_theta sum_q exp(-(t - t_q) / tau)

    over the input spikes i and output spikes q up to t. With e(h) = exp(-h / max(tau, tau_s)) the
    response to one input is ``c(h) = h e(h) phi(h |1/tau_s - 1/tau|)``, phi(x) = (1 - exp(-x)) / x,
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
