"""The current-based leaky integrate-and-fire neuron."""

from dataclasses import dataclass

from lifnum.errors import _is_integer, _positive


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
        Cap on the spikes of one neuron in one sample, at least 1.

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
        if not _is_integer(self.max_spikes) or self.max_spikes < 1:
            raise ValueError(f"max_spikes is {self.max_spikes!r}; accepted: an integer >= 1")
