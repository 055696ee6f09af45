"""Populations of neurons that say a value by how often they spike, and linear read-outs of them."""

from typing import NamedTuple

import numpy as np

from lifnum.network import Network
from lifnum.neurons import models
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains

RIDGE = 1e-4  # of the read-out, in units of a response's mean square


class Population(NamedTuple):
    """Neurons of one model under constant currents.

    Currents lie between `low`, where the model begins to spike, and `high`; time in the unit of the
    model's equations, milliseconds but for fitzhugh-nagumo.
    """

    build: object  # from parameters to a Model
    low: float
    high: float
    duration: float
    reference: Scheme


POPULATIONS = {
    "lif": Population(models.lif, 0.1, 0.4, 200.0, Scheme("ps", 16, 0.05)),
    "fitzhugh-nagumo": Population(models.fitzhugh_nagumo, 0.35, 1.2, 600.0,
                                  Scheme("ps", 16, 0.05)),
    "izhikevich": Population(models.izhikevich, 4.0, 20.0, 400.0, Scheme("ps", 16, 0.05)),
    "hodgkin-huxley": Population(models.hodgkin_huxley, 7.0, 30.0, 100.0, Scheme("ps", 8, 0.05)),
}  # fmt: skip


def currents(population, n_neurons, x, generator):
    """Currents (values, neurons) of the values x in [-1, 1].

    Tuning of the neural engineering framework (Eliasmith & Anderson 2003): neuron i begins to
    spike at its intercept xi_i and reaches its largest current where e_i x = 1, with e_i = +-1,
    xi_i from U(-0.9, 0.9) and largest currents from the upper half of the range. Far from there it
    is held as far below `low` as its largest current is above: silent, and not driven away.
    """
    low, high = population.low, population.high
    sign = generator.choice([-1.0, 1.0], n_neurons)
    intercept = generator.uniform(-0.9, 0.9, n_neurons)
    top = low + (high - low) * generator.uniform(0.5, 1.0, n_neurons)
    drive = (sign * np.asarray(x)[:, None] - intercept) / (1.0 - intercept)
    return low + (top - low) * np.maximum(drive, -1.0)


def network(population, current, scheme):
    """A network of one neuron for each current, without input."""
    model = population.build(current=current.ravel())
    return Network([(np.zeros((1, current.size)), model)], scheme, population.duration)


def responses(net, shape):
    """(responses, spikes a neuron) of a network of `network`, with currents of this shape.

    The response is the sum over spikes of 2 sin^2(pi t / duration), a spike count in a window
    without edges: it is as smooth in the spike times as these are in the current.
    """
    out = net.forward(SpikeTrains.from_samples([([], [])], 1), differentiable=False)
    window = 2.0 * np.sin(np.pi * out.times / net.duration) ** 2
    counted = np.bincount(out.indices, window, int(np.prod(shape)))
    return counted.reshape(shape), len(out.times) / counted.size


def read_out(response, targets):
    """Weights (1 + neurons, functions) of ridge regression from responses (values, neurons)."""
    columns = _with_constant(response)
    penalty = RIDGE * len(columns) * np.mean(response**2) * np.eye(columns.shape[1])
    penalty[0, 0] = 0.0
    return np.linalg.solve(columns.T @ columns + penalty, columns.T @ targets)


def predict(response, weights):
    """What a read-out says (values, functions)."""
    return _with_constant(response) @ weights


def _with_constant(response):
    return np.column_stack([np.ones(len(response)), response])
