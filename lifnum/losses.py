"""Losses on output spike trains: loss(out, labels) -> (value per sample, dL/dt per spike).

`out` brings its array module `out.xp`: the same lines run on NumPy's arrays and on the GPU's.
`LOSSES` names them: a loss that is added there can be trained with.
"""

from typing import NamedTuple

import numpy as np


def accepted_labels(labels, batch, n_classes, xp=np):
    """The labels as an array of xp.

    Raises
    ------
    ValueError
        Other than an integer from 0 to n_classes - 1 for each sample of the batch.
    """
    if not hasattr(labels, "dtype"):
        labels = np.asarray(labels)
    if labels.shape != (batch,) or (batch and labels.dtype.kind not in "iu"):
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}; "
            f"accepted: integers of shape ({batch},), one for each sample"
        )
    if batch and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        k = int(((labels < 0) | (labels >= n_classes)).argmax())
        raise ValueError(
            f"labels[{k}] is {int(labels[k])}; accepted: 0 to {n_classes - 1}, the output neurons"
        )
    return xp.asarray(labels, dtype=np.int64)


class SpikeCount(NamedTuple):
    """L = 1/2 sum over neurons (target - n)^2 of the spike counts n (Bacho & Chu 2023).

    The count is piecewise constant: by convention each spike of a neuron gets dL/dt = target - n,
    so that a neuron that should spike more is made to spike earlier.
    """

    target_true: float = 15.0
    target_false: float = 3.0

    def __call__(self, out, labels):
        """Values (batch,) and d_times (n_spikes,), float64, of output `out` for integer labels.

        ValueError for labels that are no output neurons, or not one for each sample.
        """
        xp = out.xp
        labels = accepted_labels(labels, len(out), out.n_neurons, xp)
        counts = out.counts()
        targets = xp.full(counts.shape, self.target_false)
        targets[xp.arange(len(labels)), labels] = self.target_true
        errors = targets - counts
        return 0.5 * (errors**2).sum(axis=1), out.spread(errors)

    def predict(self, out):
        """Class of each sample (batch,), int64: most spikes; -1 where the output is silent.

        Ties go to the earlier last spike, then to the lowest index.
        """
        xp = out.xp
        counts = out.counts()
        most = counts.max(axis=1, keepdims=True)
        best = xp.where(counts == most, out.last_times(), np.inf).argmin(axis=1)
        return xp.where(most[:, 0] > 0, best, -1)


class TimeToFirstSpike(NamedTuple):
    """Softmax cross-entropy on first-spike times over tau_loss.

    L = -log softmax(-t / tau_loss)[label]; a silent neuron enters at t = duration and gets no
    gradient, later spikes get none either.
    """

    tau_loss: float
    duration: float

    def __call__(self, out, labels):
        """Values (batch,) and d_times (n_spikes,), float64, of output `out` for integer labels.

        ValueError for labels that are no output neurons, or not one for each sample.
        """
        xp = out.xp
        labels = accepted_labels(labels, len(out), out.n_neurons, xp)
        first = out.first_spikes()
        spiked = first >= 0
        times = xp.full(first.shape, self.duration)
        times[spiked] = out.times[first[spiked]]
        scores = -times / self.tau_loss
        scores -= scores.max(axis=1, keepdims=True)
        log_sum = xp.log(xp.exp(scores).sum(axis=1))
        rows = xp.arange(len(labels))
        values = log_sum - scores[rows, labels]
        d_first = -xp.exp(scores - log_sum[:, None])
        d_first[rows, labels] += 1.0
        d_times = xp.zeros(len(out.times))
        d_times[first[spiked]] = d_first[spiked] / self.tau_loss
        return values, d_times

    def predict(self, out):
        """Class of each sample (batch,), int64: first spike; -1 where the output is silent.

        Ties go to the lowest index.
        """
        xp = out.xp
        first = xp.full(len(out), -1)
        spiked = xp.diff(out.offsets) > 0
        first[spiked] = out.indices[out.offsets[:-1][spiked]]
        return first


# name -> what builds the loss of a preset
LOSSES = {
    "spike-count": lambda preset: SpikeCount(preset.target_true, preset.target_false),
    "ttfs": lambda preset: TimeToFirstSpike(preset.tau_loss, preset.duration),
}
