"""A penalty on the spike counts of a hidden layer."""

from dataclasses import dataclass

import numpy as np

from lifnum.errors import _positive
from lifnum.fields import finite


@dataclass(frozen=True)
class RatePenalty:
    """L = penalty / 2 sum over neurons (m - target)^2, m the mean spike count over the batch.

    As Nowotny, Turner & Knight (2025) regularise hidden layers: a neuron that spikes for some
    samples only may well do so. It goes into `Network.backward` by `hidden`. By the convention of
    `SpikeCount` each spike gets dL/dt = -dL/dn; a neuron that is silent in a sample has no spike
    there that could get a gradient, but a dL/dn.

    Parameters
    ----------
    penalty : float
        > 0.
    target : float
        Spikes of a neuron in a sample.

    Raises
    ------
    ValueError
        Anything else.
    """

    penalty: float
    target: float = 0.0

    def __post_init__(self):
        _positive("penalty", self.penalty)
        finite("target", self.target)

    def __call__(self, spikes):
        """(value for each sample of the batch, d_times (n_spikes,)) of a layer's SpikeTrains.

        The derivatives are of the sum over the batch, as those of the losses.
        """
        errors = self._errors(spikes)
        d_counts = np.broadcast_to(self.penalty * errors, (len(spikes), len(errors)))
        return 0.5 * self.penalty * float((errors**2).sum()), spikes.spread(-d_counts)

    def d_counts(self, spikes):
        """dL/dn (batch, n_neurons), float64."""
        errors = self._errors(spikes)
        return np.tile(self.penalty * errors, (len(spikes), 1))

    def _errors(self, spikes):
        """How far the mean counts are from the target (n_neurons,)."""
        return spikes.counts().sum(axis=0) / max(1, len(spikes)) - self.target
