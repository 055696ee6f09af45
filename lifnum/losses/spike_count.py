"""Spikes counted against targets."""

from dataclasses import dataclass

import numpy as np

from lifnum.fields import finite, option
from lifnum.losses.labels import accepted_labels


def wanted_true():
    """Option of losses with target spikes."""
    return option(
        "spikes wanted of the label's neuron (spike-count, van-rossum)", "N", float, 15.0,
        check=finite,
    )  # fmt: skip


def wanted_false():
    """As `wanted_true`."""
    return option(
        "spikes wanted of the others (spike-count, van-rossum)", "N", float, 3.0, check=finite
    )


@dataclass(frozen=True)
class SpikeCount:
    """L = 1/2 sum over neurons (target - n)^2 of the spike counts n (Bacho & Chu 2023).

    The count is piecewise constant: by convention each spike of a neuron gets dL/dt = target - n,
    so that a neuron that should spike more is made to spike earlier.
    """

    target_true: float = wanted_true()
    target_false: float = wanted_false()

    def __call__(self, out, labels):
        """Values (batch,) and d_times (n_spikes,), float64, of output `out` for integer labels.

        ValueError for labels that are no output neurons, or not one for each sample.
        """
        wanted = -self.d_counts(out, labels)
        return 0.5 * (wanted * wanted).sum(axis=1), out.spread(wanted)

    def d_counts(self, out, labels):
        """dL/dn = n - target (batch, n_neurons), float64; ValueError as above."""
        xp = out.xp
        labels = accepted_labels(labels, len(out), out.n_neurons, xp)
        counts = out.counts()
        targets = xp.full(counts.shape, self.target_false)
        targets[xp.arange(len(labels)), labels] = self.target_true
        return counts - targets

    def predict(self, out):
        """Class of each sample (batch,), int64: most spikes; -1 where the output is silent.

        Ties go to the earlier last spike, then to the lowest index.
        """
        return most_spikes(out)


def most_spikes(out):
    """Neuron of most spikes of each sample (batch,), int64; -1 where the output is silent."""
    xp = out.xp
    counts = out.counts()
    most = counts.max(axis=1, keepdims=True)
    best = xp.where(counts == most, out.last_times(), np.inf).argmin(axis=1)
    return xp.where(most[:, 0] > 0, best, -1)
