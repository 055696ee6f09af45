"""Losses on output spike trains: loss(out, labels) -> (value per sample, dL/dt per spike)."""

from typing import NamedTuple

import numpy as np

from lifnum.compiler import kernel


@kernel
def _first_spikes(times, indices, offsets, first):
    """Fill first (batch, neurons) with the rank of each neuron's first spike, -1 where silent."""
    first[:] = -1
    for sample in range(len(offsets) - 1):
        for k in range(offsets[sample + 1] - 1, offsets[sample] - 1, -1):
            first[sample, indices[k]] = k


@kernel
def _last_times(times, indices, offsets, last):
    """Fill last (batch, neurons) with the time of each neuron's last spike, inf where silent."""
    last[:] = np.inf
    for sample in range(len(offsets) - 1):
        for k in range(offsets[sample], offsets[sample + 1]):
            last[sample, indices[k]] = times[k]


class SpikeCount(NamedTuple):
    """L = 1/2 sum over neurons (target - n)^2 of the spike counts n (Bacho & Chu 2023).

    The count is piecewise constant: by convention each spike of a neuron gets dL/dt = target - n,
    so that a neuron that should spike more is made to spike earlier.
    """

    target_true: float = 15.0
    target_false: float = 3.0

    def __call__(self, out, labels):
        """Values (batch,) and d_times (n_spikes,), float64, of output `out` for integer labels."""
        counts = out.counts()
        targets = np.full(counts.shape, self.target_false)
        targets[np.arange(len(labels)), labels] = self.target_true
        errors = targets - counts
        sample = np.repeat(np.arange(len(out)), np.diff(out.offsets))
        return 0.5 * (errors**2).sum(axis=1), errors[sample, out.indices]

    def predict(self, out):
        """Class of each sample (batch,), int64: most spikes; -1 where the output is silent.

        Ties go to the earlier last spike, then to the lowest index.
        """
        counts = out.counts()
        last = np.empty(counts.shape)
        _last_times(out.times, out.indices, out.offsets, last)
        most = counts.max(axis=1, keepdims=True, initial=0)
        best = np.where(counts == most, last, np.inf).argmin(axis=1)
        return np.where(most[:, 0] > 0, best, -1)


class TimeToFirstSpike(NamedTuple):
    """Softmax cross-entropy on first-spike times over tau_loss.

    L = -log softmax(-t / tau_loss)[label]; a silent neuron enters at t = duration and gets no
    gradient, later spikes get none either.
    """

    tau_loss: float
    duration: float

    def __call__(self, out, labels):
        """Values (batch,) and d_times (n_spikes,), float64, of output `out` for integer labels."""
        first = np.empty((len(out), out.n_neurons), np.int64)
        _first_spikes(out.times, out.indices, out.offsets, first)
        spiked = first >= 0
        times = np.full(first.shape, self.duration)
        times[spiked] = out.times[first[spiked]]
        scores = -times / self.tau_loss
        scores -= scores.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(scores).sum(axis=1))
        rows = np.arange(len(labels))
        values = log_sum - scores[rows, labels]
        d_first = -np.exp(scores - log_sum[:, None])
        d_first[rows, labels] += 1.0
        d_times = np.zeros(len(out.times))
        d_times[first[spiked]] = d_first[spiked] / self.tau_loss
        return values, d_times

    def predict(self, out):
        """Class of each sample (batch,), int64: first spike; -1 where the output is silent.

        Ties go to the lowest index.
        """
        first = np.full(len(out), -1)
        spiked = np.diff(out.offsets) > 0
        first[spiked] = out.indices[out.offsets[:-1][spiked]]
        return first
