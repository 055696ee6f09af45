"""The current-based leaky integrate-and-fire neuron."""

from dataclasses import dataclass

from lifnum.errors import _positive, _spike_cap
from lifnum.neurons.model import Model


@dataclass(frozen=True)
class Neuron:
    """Current-based leaky integrate-and-fire neuron (Bacho & Chu 2023).

    dI/dt = -I / tau_s, I jumps by w at each input spike; du/dt = -u / tau + I, u jumps by
    -delta_theta when it reaches theta from below, which is an output spike.

    Parameters
    ----------
    tau_s, tau : float
        Synaptic and membrane time constants, in the unit of all times (seconds in the presets).
    theta : float
        Threshold.
    delta_theta : float, optional
        Height of the reset; theta by default.
    max_spikes : int
        Cap on the spikes of one neuron in one sample, from 1 to 2^62.

    Raises
    ------
    ValueError
        A parameter out of its range.
    """

    tau_s: float = 0.130
    tau: float = 0.260
    theta: float = 0.2
    delta_theta: float | None = None
    max_spikes: int = 30

    def __post_init__(self):
        if self.delta_theta is None:
            object.__setattr__(self, "delta_theta", self.theta)
        for name in ("tau_s", "tau", "theta", "delta_theta"):
            _positive(name, getattr(self, name))
        object.__setattr__(self, "max_spikes", _spike_cap("max_spikes", self.max_spikes))


def lif(*, time_unit=1.0, max_spikes=1000, **parameters):
    """Current-based leaky integrate-and-fire neuron (Bacho & Chu 2023).

    dI/dt = -I / tau_s;  du/dt = -u / tau + I + current;  u >= theta: u -> u - delta_theta.

    Parameters (times in ms): tau_s 5, tau 10; theta 1, delta_theta 1; current 0 (1/ms). It is
    what `lifnum.Neuron` is, by the general engine.
    """
    return Model(
        name="lif",
        equations={"u": "-u/tau + I + current", "I": "-I/tau_s"},
        parameters={"tau_s": 5.0, "tau": 10.0, "theta": 1.0, "delta_theta": 1.0, "current": 0.0},
        input="I",
        threshold=("u", "theta"),
        reset={"u": "u - delta_theta"},
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)
