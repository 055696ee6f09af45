"""The analytical adjoint with slopes of choice: variants of `piggyback` that are no option.

At an output spike the adjoint divides by the slope v of the potential before it and multiplies by
that after it, which `piggyback` takes from the current that the simulation has there. Here both are
arrays, one number a spike, for whole batches of layers of `Neuron`, in float64.
"""

from typing import NamedTuple

import numba
import numpy as np

from lifnum.kernels.lif.dynamics import SPIKES
from lifnum.methods.propagators import exact_propagator, propagator_and_derivative


class Slopes(NamedTuple):
    """du/dt at the spikes of a layer, in the order of its spike trains."""

    analytical: np.ndarray  # right before, from the current there
    numerical: np.ndarray  # that of the method's dense output; NaN where no pieces were kept
    after: np.ndarray  # right after the reset, from the same current


def slopes(layer):
    """`Slopes` of the last forward pass of a layer."""
    _, spikes, output = layer._run
    d, counts, kept = layer.dynamics, output.tallies[SPIKES], output.pieces.shape[2] > 0
    current, numerical = np.empty(len(spikes.times)), np.full(len(spikes.times), np.nan)
    for sample, tile in np.ndindex(counts.shape):
        records = output.spikes[sample, tile, : counts[sample, tile]]
        current[records["rank"]] = records["current"]
        if kept:
            pieces = output.pieces[sample, tile, : len(records)]
            numerical[records["rank"]] = _end_slopes(
                d, pieces["length"], pieces["current"], pieces["potential"]
            )
    return Slopes(current - d.theta / d.tau, numerical, current - d.reset / d.tau)


@numba.njit
def _end_slopes(d, lengths, currents, potentials):
    """du/ds at the ends of pieces that begin at these currents and potentials."""
    found = np.empty(len(lengths))
    for k in range(len(lengths)):
        _, _, _, _, dc, db = propagator_and_derivative(d, lengths[k])
        found[k] = dc * currents[k] + db * potentials[k]
    return found


def layer_gradient(layer, d_times, before, after):
    """(dL/dweights, dL/d input times) of a layer's last forward pass, with slopes of choice.

    Parameters
    ----------
    layer : Layer
    d_times : ndarray (n_spikes,)
        dL/dt of its spikes.
    before, after : ndarray (n_spikes,)
        Slope of the potential right before and right after each; where before is not positive the
        spike passes no gradient.
    """
    inputs, spikes, _ = layer._run
    d_w, d_in = np.zeros(layer.shape), np.zeros(len(inputs.times))
    constants = layer.dynamics.tau_s, layer.dynamics.tau, layer.dynamics.duration
    for sample in range(len(inputs)):
        i, q = (slice(*one.offsets[sample : sample + 2]) for one in (inputs, spikes))
        _sample(constants, (inputs.times[i], inputs.indices[i]), (spikes.times[q],
                spikes.indices[q], d_times[q], before[q], after[q]), layer.weights, d_w,
                d_in[i])  # fmt: skip
    return d_w, d_in


@numba.njit
def _sample(constants, inputs, spikes, w, d_w, d_in):
    """Walk the events of one sample backwards; adds to d_w and writes d_in."""
    tau_s, tau, duration = constants
    in_times, in_neurons = inputs
    times, neurons, d_times, before, after = spikes
    n_post, now = w.shape[1], duration
    lam_i, lam_u = np.zeros(n_post), np.zeros(n_post)
    q, k = len(times) - 1, len(in_times) - 1
    while k >= 0 and in_times[k] >= duration:
        k -= 1
    while q >= 0 or k >= 0:
        is_spike = k < 0 or (q >= 0 and times[q] > in_times[k])
        time = times[q] if is_spike else in_times[k]
        a, c, b = exact_propagator(now - time, tau_s, tau)
        for j in range(n_post):
            lam_i[j] = a * lam_i[j] + c * lam_u[j]
            lam_u[j] = b * lam_u[j]
        now = time
        if is_spike:
            j = neurons[q]
            if before[q] > 0.0:
                lam_u[j] = -(d_times[q] - lam_u[j] * after[q]) / before[q]
            else:
                lam_u[j] = 0.0
            q -= 1
        else:
            row, total = in_neurons[k], 0.0
            for j in range(n_post):
                d_w[row, j] += lam_i[j]
                total += w[row, j] * (lam_i[j] / tau_s - lam_u[j])
            d_in[k] = total
            k -= 1


def gradients(net, d_times, choose):
    """Gradient of every layer's weights; `choose` gives the slope before each of some `Slopes`."""
    found = []
    for layer in reversed(net.layers):
        own = slopes(layer)
        d_w, d_times = layer_gradient(layer, d_times, choose(own, layer.neuron), own.after)
        found.append(d_w)
    return found[::-1]


def analytical(own, neuron):
    """As `piggyback` does."""
    return own.analytical


def numerical(own, neuron):
    """The slope of the method's own dense output."""
    return own.numerical


CLIP = 0.25  # theta / tau


def clipped(own, neuron):
    """The analytical slope, but at least `CLIP` theta / tau where it is positive."""
    least = CLIP * neuron.theta / neuron.tau
    return np.where(own.analytical > 0.0, np.maximum(own.analytical, least), own.analytical)
