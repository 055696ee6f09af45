"""Cross-entropy of spike counts."""

from dataclasses import dataclass

from lifnum.losses.labels import accepted_labels
from lifnum.losses.spike_count import most_spikes


@dataclass(frozen=True)
class CrossEntropy:
    """L = -log softmax(n)[label] of the spike counts n, as scores of the classes.

    The count is piecewise constant: by convention each spike of a neuron gets dL/dt = -dL/dn. A
    silent neuron enters with n = 0; it has no spike that could get a gradient, but a dL/dn.
    """

    def __call__(self, out, labels):
        """Values (batch,) and d_times (n_spikes,), float64, of output `out` for integer labels.

        ValueError for labels that are no output neurons, or not one for each sample.
        """
        xp = out.xp
        labels = accepted_labels(labels, len(out), out.n_neurons, xp)
        log_p = _log_softmax(xp, out.counts())
        values = -log_p[xp.arange(len(labels)), labels]
        return values, out.spread(-self.d_counts(out, labels))

    def d_counts(self, out, labels):
        """dL/dn = softmax(n) - [label] (batch, n_neurons), float64; ValueError as above."""
        xp = out.xp
        labels = accepted_labels(labels, len(out), out.n_neurons, xp)
        p = xp.exp(_log_softmax(xp, out.counts()))
        p[xp.arange(len(labels)), labels] -= 1.0
        return p

    def predict(self, out):
        """Class of each sample (batch,), int64, as of `SpikeCount`: most spikes; -1 if silent."""
        return most_spikes(out)


def _log_softmax(xp, counts):
    scores = counts - counts.max(axis=1, keepdims=True).astype(float)
    return scores - xp.log(xp.exp(scores).sum(axis=1, keepdims=True))
