"""Time to first spike."""

from dataclasses import dataclass

from lifnum.fields import finite_positive, option
from lifnum.losses.labels import accepted_labels


@dataclass(frozen=True)
class TimeToFirstSpike:
    """Softmax cross-entropy on first-spike times over tau_loss.

    L = -log softmax(-t / tau_loss)[label]; a silent neuron enters at t = duration and gets no
    gradient, later spikes get none either.
    """

    tau_loss: float = option("time scale of ttfs", "S", float, initial=0.005, check=finite_positive)
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
