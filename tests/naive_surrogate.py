"""The oracle of the surrogate gradient: the network step by step on its grid, in plain Python.

Dense, a number a step, backwards by the chain rule of what was done forwards; imports nothing from
lifnum. Slow and obviously right.
"""

from math import inf, pi
from types import SimpleNamespace

import naive
import numpy as np


def phi(name, k, x):
    """What stands in for the derivative of a spike by (u - theta) / theta."""
    if name == "fast-sigmoid":
        return 1 / (1 + k * abs(x)) ** 2
    return k / 2 / (1 + (pi * x * k / 2) ** 2)


def simulate(inputs, weights, neurons, scheme, duration):
    """Of one sample (list of (time, index)): a list of what each layer did on the grid."""
    n_grid = naive.grid_index(duration, scheme.dt)
    arriving = np.zeros((n_grid + 1, len(weights[0])))  # spikes at every point of the grid
    for time, index in inputs:
        if time <= duration:
            arriving[min(naive.grid_index(time, scheme.dt), n_grid), index] += 1
    layers = []
    for w, neuron in zip(weights, neurons):
        delta = neuron.theta if neuron.delta_theta is None else neuron.delta_theta
        current, u, counts = np.zeros(w.shape[1]), np.zeros(w.shape[1]), np.zeros(w.shape[1])
        did = SimpleNamespace(arriving=arriving, matrices=[], potentials=[], free=[], delta=delta)
        spikes = np.zeros((n_grid + 1, w.shape[1]))
        for g in range(1, n_grid + 1):
            h = (duration if g == n_grid else g * scheme.dt) - (g - 1) * scheme.dt
            a, c, b = naive.propagator(scheme.method, scheme.order, h, neuron.tau_s, neuron.tau)
            current = current + arriving[g - 1] @ w
            current, u = a * current, c * current + b * u
            free = counts < (inf if neuron.max_spikes is None else neuron.max_spikes)
            spikes[g] = (u >= neuron.theta) & free
            did.matrices.append((a, c, b))
            did.potentials.append(u)
            did.free.append(free)
            counts, u = counts + spikes[g], u - delta * spikes[g]
        did.spikes = arriving = spikes
        layers.append(did)
    return layers


def gradients(layers, weights, neurons, scheme, slope, d_counts):
    """dL/dw of every layer, from dL/dn of every layer's spike counts (a list of (n_post,))."""
    results, from_above = [], None
    for k in range(len(layers) - 1, -1, -1):
        did, w, theta = layers[k], weights[k], neurons[k].theta
        n_grid = len(did.potentials)
        d_w, d_arriving = np.zeros(w.shape), np.zeros((n_grid + 1, len(w)))
        d_current = d_u = np.zeros(w.shape[1])
        for g in range(n_grid, 0, -1):
            a, c, b = did.matrices[g - 1]
            d_spike = d_counts[k] + (0 if from_above is None else from_above[g])
            if scheme.reset_gradient:
                d_spike = d_spike - did.delta * d_u
            x = (did.potentials[g - 1] - theta) / theta
            d_u = d_u + d_spike * did.free[g - 1] * phi(scheme.surrogate, slope, x) / theta
            d_current, d_u = a * d_current + c * d_u, b * d_u
            d_w += np.outer(did.arriving[g - 1], d_current)
            d_arriving[g - 1] = w @ d_current
        results.append(d_w)
        from_above = d_arriving
    return results[::-1]
