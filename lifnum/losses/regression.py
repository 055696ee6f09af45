"""Values read from spikes: from how many there are, or from when the first one is."""

from dataclasses import dataclass

from lifnum.errors import _positive
from lifnum.losses.labels import accepted_values


@dataclass(frozen=True)
class CountValue:
    """L = 1/2 sum over neurons (unit n - value)^2 of the spike counts n.

    The count is piecewise constant: by convention each spike of a neuron gets dL/dt = -dL/dn. A
    silent neuron says 0; it has no spike that could get a gradient, but a dL/dn.

    Parameters
    ----------
    unit : float
        What a spike adds to the value, > 0.

    Raises
    ------
    ValueError
        Another unit.
    """

    unit: float = 1.0

    def __post_init__(self):
        _positive("unit", self.unit)

    def __call__(self, out, values):
        """Values of the loss (batch,) and d_times (n_spikes,) for values (batch, n_neurons).

        ValueError for values of another shape, or not finite.
        """
        errors = self._errors(out, values)
        return 0.5 * (errors**2).sum(axis=1), out.spread(-self.unit * errors)

    def d_counts(self, out, values):
        """dL/dn (batch, n_neurons), float64; ValueError as above."""
        return self.unit * self._errors(out, values)

    def _errors(self, out, values):
        return self.predict(out) - accepted_values(values, out)

    def predict(self, out):
        """The values that the spike counts say (batch, n_neurons), float64."""
        return self.unit * out.counts()


@dataclass(frozen=True)
class TimeValue:
    """L = 1/2 sum over neurons ((t - value) / tau)^2 of the times t of first spikes.

    A silent neuron says t = duration and gets no gradient; later spikes get none either.

    Parameters
    ----------
    tau : float
        Unit of the error, > 0, as the times.
    duration : float
        Of the simulation.

    Raises
    ------
    ValueError
        Another tau or duration.
    """

    tau: float
    duration: float

    def __post_init__(self):
        _positive("tau", self.tau)
        _positive("duration", self.duration)

    def __call__(self, out, values):
        """Values of the loss (batch,) and d_times (n_spikes,) for times (batch, n_neurons).

        ValueError for values of another shape, or not finite.
        """
        errors = (self.predict(out) - accepted_values(values, out)) / self.tau
        first = out.first_spikes()
        spiked = first >= 0
        d_times = out.xp.zeros(len(out.times))
        d_times[first[spiked]] = errors[spiked] / self.tau
        return 0.5 * (errors**2).sum(axis=1), d_times

    def predict(self, out):
        """The times of first spikes (batch, n_neurons), float64; the duration where silent."""
        first = out.first_spikes()
        spiked = first >= 0
        times = out.xp.full(first.shape, float(self.duration))
        times[spiked] = out.times[first[spiked]]
        return times
