"""Time to first spike, with a regulariser that asks for early spikes."""

from dataclasses import dataclass

import numpy as np

from lifnum.fields import finite, finite_positive, option
from lifnum.losses.labels import accepted_labels
from lifnum.losses.ttfs import TimeToFirstSpike


def _scale(name, value):
    """Refuse what is neither None nor a finite number > 0."""
    if value is not None:
        finite_positive(name, value)


@dataclass(frozen=True)
class FirstSpike:
    """L = -log softmax(-t / tau_softmax)[label] + late_weight (e^(t_label / tau_late) - 1).

    The loss of EventProp (Wunderlich & Pehle 2021), of first-spike times t. A silent neuron enters
    at t = duration and gets no gradient, later spikes get none either. Time scales that are not
    given are those published, in synaptic time constants of the output: 0.5 and 6.4 ms for 5 ms.
    """

    tau_softmax: float | None = option(
        "time scale of the softmax of first-spike", "S", float, initial=None, check=_scale,
        shown="tau-s of the output / 10",
    )  # fmt: skip
    tau_late: float | None = option(
        "growth of the cost of late first spikes (first-spike)", "S", float, initial=None,
        check=_scale, shown="1.28 tau-s of the output",
    )  # fmt: skip
    late_weight: float = option(
        "factor on that cost (first-spike)", "X", float, initial=3e-3, check=finite
    )
    tau_s: float | tuple | None  # of the output; None: it has none
    duration: float

    def __post_init__(self):
        for name in ("tau_softmax", "tau_late"):
            if self.tau_s is None and getattr(self, name) is None:
                raise ValueError(
                    f"{name} is None; accepted: a time > 0 where the output neurons are a model "
                    "by equations"
                )

    @property
    def scales(self):
        """(tau_softmax, tau_late), those given or the published ones."""
        tau_s = self.tau_s[-1] if isinstance(self.tau_s, tuple) else self.tau_s
        return (
            0.1 * tau_s if self.tau_softmax is None else self.tau_softmax,
            1.28 * tau_s if self.tau_late is None else self.tau_late,
        )

    def __call__(self, out, labels):
        """Values (batch,) and d_times (n_spikes,), float64, of output `out` for integer labels.

        ValueError for labels that are no output neurons, or not one for each sample.
        """
        xp, (tau_softmax, tau_late) = out.xp, self.scales
        labels = accepted_labels(labels, len(out), out.n_neurons, xp)
        values, d_times = TimeToFirstSpike(tau_softmax, self.duration)(out, labels)
        if self.late_weight == 0.0:
            return values, d_times
        first = out.first_spikes()[xp.arange(len(labels)), labels]
        spiked = first >= 0
        times = xp.full(len(labels), float(self.duration))
        times[spiked] = out.times[first[spiked]]
        with np.errstate(over="ignore"):  # an infinite loss is for the caller to see
            growth = xp.exp(times / tau_late)
        d_times[first[spiked]] += self.late_weight / tau_late * growth[spiked]
        return values + self.late_weight * (growth - 1.0), d_times

    def predict(self, out):
        """Class of each sample (batch,), int64, as of `TimeToFirstSpike`; -1 where silent."""
        return TimeToFirstSpike(1.0, self.duration).predict(out)
