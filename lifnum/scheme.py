"""Scheme: how neurons are integrated and differentiated. Strings and options end here."""

import math
import numbers
from dataclasses import dataclass, fields, replace

import numpy as np

from lifnum.errors import _is_integer, _positive
from lifnum.fields import number_or_none, option
from lifnum.kernels.lif import dynamics
from lifnum.kernels.steps import grid_steps
from lifnum.methods import propagators
from lifnum.methods.interpolation import DENSE, INTERPOLATIONS, LINEAR, NONE, OVERSHOOTS
from lifnum.methods.surrogates import SURROGATES
from lifnum.methods.tableau import RungeKutta
from lifnum.neurons.model import Model

ADJOINTS = ("adjusted", "piggyback")  # of spike times

GRADIENTS = (*ADJOINTS, "surrogate")

OVERSHOOT_HELP = "again (spikes at the next point), several (at once), lose (silent until below)"

SURROGATE_OPTIONS = {"surrogate": "fast-sigmoid", "slope": None, "reset_gradient": False}

# what a neuron does with its further spikes in a step of the grid, and what is usual
LIMITS = {"overshoot": "again", "spikes_per_step": None}


def needs_grid(method, interpolation, spikes_per_step=None):
    """Whether there is no simulation without a grid."""
    return method != "exact" or interpolation == "none" or spikes_per_step is not None


@dataclass(frozen=True)
class Scheme:
    """How the neurons are integrated and differentiated.

    Parameters
    ----------
    method : str or RungeKutta
        exact, euler, rk2, rk4, ps (Parker-Sochacki), backward-euler, trapezoidal or
        exponential-euler; or a tableau of yours.
    order : int, optional
        Order of ps, 1 to 32; the other methods have their own.
    dt : float, optional
        Grid step; not needed by exact, unless interpolation is none or spikes_per_step is given.
    interpolation : {"dense", "linear", "none"}
        Spike times at the root of the method's dense output, on the chord of the step, or
        rounded to the grid.
    gradient : {"adjusted", "piggyback", "surrogate"}, optional
        The exact adjoint of the computation; the analytical adjoint on the numerical trajectory;
        or, where interpolation is none, backpropagation through the grid with a smooth derivative
        in place of a spike's, for layers of Neuron. Default: adjusted; piggyback where
        interpolation is none.
    tolerance : float, optional
        Instead of an order of ps, for models: each step of each neuron takes as many terms as
        this relative size of the last two needs. At least 4 eps.
    overshoot : {"again", "several", "lose"}
        What a neuron does under interpolation none that is still at or above its threshold after
        a spike: spike at the next grid point; at once as often as resets fit; or be silent until
        it has been below.
    spikes_per_step : int, optional
        Under interpolation dense or linear, the most spikes of a neuron in a step of the grid; no
        limit by default. After the last one the neuron goes on without spikes to the end of that
        step; if it is at or above its threshold as the next one begins, it spikes at once.
    surrogate : {"fast-sigmoid", "arctan"}
        What stands in for dS/du under the surrogate gradient: (1/theta) phi((u - theta)/theta)
        with phi(x) = 1/(1 + k abs(x))^2, or (k/2)/(1 + (pi x k/2)^2).
    slope : float, optional
        k, by default 25 for fast-sigmoid and 2 for arctan.
    reset_gradient : bool
        Whether the reset after a spike passes a surrogate gradient.

    Raises
    ------
    ValueError
        An unknown name, a missing or superfluous order or dt, adjusted with none, surrogate with
        another interpolation, or what only surrogate takes without it.
    """

    method: str | RungeKutta = option(  # noqa: RUF009
        ", ".join(propagators.METHODS), "NAME", default="exact"
    )
    order: int | None = option(
        f"order of ps (Parker-Sochacki), 1 to {propagators.MAX_ORDER}", "N", int, None
    )
    dt: float | None = option("grid step in seconds", "S", float, None)
    interpolation: str = option(
        f"spike times inside a step: {', '.join(INTERPOLATIONS)}", "NAME", default="dense"
    )
    gradient: str | None = option(", ".join(GRADIENTS), "NAME", default=None)
    tolerance: float | None = option(
        "of ps for models, in place of an order: terms of each step until two in turn are below "
        "this share of the state", "X", float, None,
    )  # fmt: skip
    overshoot: str = option(
        f"under none, a neuron still at or above its threshold after a spike: {OVERSHOOT_HELP}",
        "NAME", default="again",
    )  # fmt: skip
    spikes_per_step: int | None = option(
        "most spikes of a neuron in a step of the grid, with an interpolation", "N",
        number_or_none, None, shown="none, no limit",
    )  # fmt: skip
    surrogate: str = option(
        f"derivative of a spike in the gradient surrogate: {', '.join(SURROGATES)}", "NAME",
        default="fast-sigmoid",
    )  # fmt: skip
    slope: float | None = option(
        "of the surrogate", "K", float, None,
        shown=", ".join(f"{name} {slope:g}" for name, (_, slope) in SURROGATES.items()),
    )  # fmt: skip
    reset_gradient: bool = option(
        "the reset after a spike passes a surrogate gradient", type=None, default=False, switch=True
    )

    def __post_init__(self):
        def refuse(name, accepted):
            raise ValueError(f"{name} is {getattr(self, name)!r}; accepted: {accepted}")

        def one_of(name, accepted, more=""):
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in accepted:
                refuse(name, ", ".join(accepted) + more)

        tableau = isinstance(self.method, RungeKutta)
        if not tableau:
            one_of("method", propagators.METHODS, " or a lifnum.RungeKutta")
        one_of("interpolation", INTERPOLATIONS)
        if self.gradient is None:
            default = "piggyback" if self.interpolation == "none" else "adjusted"
            object.__setattr__(self, "gradient", default)
        one_of("gradient", GRADIENTS)
        if self.gradient == "adjusted" and self.interpolation == "none":
            why = "where interpolation is 'none' (grid times are constants), or surrogate"
            refuse("gradient", f"piggyback {why}")
        if self.gradient == "surrogate" and self.interpolation != "none":
            why = f"where interpolation is {self.interpolation!r}"
            refuse("gradient", f"adjusted or piggyback {why}")
        self._check_surrogate(refuse, one_of)
        own_series = None if tableau else propagators.series_order(self.method, 0) or None
        self._check_limits(refuse, one_of)
        if self.tolerance is not None:
            least = 4.0 * np.finfo(np.float64).eps
            real = isinstance(self.tolerance, numbers.Real)
            if self.method != "ps" or not real or not least <= self.tolerance < 1.0:
                refuse("tolerance", f"None, or from {least:.2g} to 1 for method 'ps'")
            if self.order is not None:
                refuse("order", "none beside a tolerance")
        elif self.method == "ps":
            if not _is_integer(self.order) or not 1 <= self.order <= propagators.MAX_ORDER:
                refuse("order", f"an integer from 1 to {propagators.MAX_ORDER} for method 'ps'")
        elif self.order is not None and not (_is_integer(self.order) and self.order == own_series):
            refuse("order", f"none for method {self.method!r}: only 'ps' takes an order")
        if self.dt is not None:
            _positive("dt", self.dt)
        elif needs_grid(self.method, self.interpolation, self.spikes_per_step):
            why = f"for method {self.method!r}"
            if self.method == "exact":
                clocked = self.interpolation == "none"
                why = "where interpolation is 'none'" if clocked else "beside spikes_per_step"
            refuse("dt", f"a finite number > 0 {why}")

    def _check_limits(self, refuse, one_of):
        """Refuse what is no `LIMITS`, or has no effect."""
        one_of("overshoot", OVERSHOOTS)
        if self.overshoot != "again" and self.interpolation != "none":
            refuse("overshoot", f"'again' where interpolation is {self.interpolation!r}")
        if self.overshoot != "again" and self.gradient == "surrogate":
            refuse("overshoot", "'again' beside gradient 'surrogate'")
        if self.spikes_per_step is not None:
            if self.interpolation == "none":
                why = "where interpolation is 'none': overshoot says what more spikes do there"
                refuse("spikes_per_step", f"None {why}")
            if not _is_integer(self.spikes_per_step) or self.spikes_per_step < 1:
                refuse("spikes_per_step", "an integer >= 1, or None for no limit")

    def _check_surrogate(self, refuse, one_of):
        """Refuse what is no surrogate, and options of one where there is none."""
        one_of("surrogate", SURROGATES)
        if self.slope is not None:
            _positive("slope", self.slope)
        if not isinstance(self.reset_gradient, bool):
            refuse("reset_gradient", "True or False")
        for name, default in SURROGATE_OPTIONS.items():
            if self.gradient != "surrogate" and getattr(self, name) != default:
                refuse(name, f"{default!r} beside gradient {self.gradient!r}")

    @property
    def surrogate_slope(self):
        """The slope k of the surrogate: the one given, or its default."""
        return float(SURROGATES[self.surrogate][1] if self.slope is None else self.slope)

    def adjoint(self, gradient=None):
        """The adjoint that computes a gradient, by default the scheme's own.

        On an exact trajectory with exact spike times both are the same, and it is piggyback, which
        needs no states. ValueError for a gradient that `Scheme` refuses, and for surrogate beside
        another.
        """
        if gradient not in (None, self.gradient) and "surrogate" in (gradient, self.gradient):
            raise ValueError(
                f"gradient is {gradient!r}; accepted: {self.gradient!r}, that of the forward pass"
            )
        chosen = self if gradient is None else replace(self, gradient=gradient)
        return "piggyback" if self.gradients_coincide else chosen.gradient

    @property
    def gradients_coincide(self):
        """Whether both gradients are the same."""
        return self.method == "exact" and self.interpolation == "dense"

    @property
    def only_on_cpu(self):
        """What of the scheme has no kernels for a GPU, as text, or None."""
        if self.gradient == "surrogate":
            return "gradient 'surrogate'"
        for name, usual in LIMITS.items():
            if getattr(self, name) != usual:
                return f"{name} {getattr(self, name)!r}"
        return None

    def to_json(self):
        """The scheme as JSON can hold it."""
        entries = {one.name: getattr(self, one.name) for one in fields(self)}
        if isinstance(self.method, RungeKutta):
            entries["method"] = {"a": self.method.a, "b": self.method.b}
        return entries

    @classmethod
    def from_json(cls, entries):
        """The scheme that `to_json` gave, or an earlier version. TypeError, ValueError: no such."""
        method = entries.get("method", "exact")
        if isinstance(method, dict):
            method = RungeKutta(**method)
        return cls(**entries | {"method": method})

    @property
    def label(self):
        """Short name for files and legends, such as ``ps3-dt0.01-linear``."""
        name = self.method.label if isinstance(self.method, RungeKutta) else self.method
        parts = [name + (str(self.order or "") if self.method == "ps" else "")]
        if self.tolerance is not None:
            parts.append(f"tolerance{self.tolerance:g}")
        if self.dt is not None:
            parts.append(f"dt{self.dt:g}")
        if self.interpolation != "dense":
            parts.append(self.interpolation)
        elif self.gradient == "piggyback":
            parts.append("piggyback")
        if self.interpolation == "linear" and self.gradient == "piggyback":
            parts.append("piggyback")
        if self.overshoot != "again":
            parts.append(self.overshoot)
        if self.spikes_per_step is not None:
            parts.append(f"spikes{self.spikes_per_step}")
        if self.gradient == "surrogate":
            parts.append("surrogate")
            parts += [self.surrogate] if self.surrogate != "fast-sigmoid" else []
            parts += [f"slope{self.slope:g}"] if self.slope is not None else []
            parts += ["reset"] if self.reset_gradient else []
        return "-".join(parts)

    @property
    def convergence_order(self):
        """Order at which the end of a step converges; inf for exact."""
        return propagators.convergence_order(self.method, self.order)

    def _require_for_neuron(self):
        """Refuse what only a Model is simulated with."""
        if self.tolerance is not None:
            raise ValueError(
                f"tolerance is {self.tolerance!r}; accepted: None for a layer of Neuron, as only "
                "a Model takes another"
            )

    def dynamics(self, neuron, duration, dtype):
        """The numbers that the kernels take for a layer of these neurons."""
        self._require_for_neuron()
        method = propagators.method(self.method, self.order, neuron.tau_s, neuron.tau)
        interpolation = INTERPOLATIONS.get(self.interpolation)
        if interpolation not in (NONE, LINEAR, DENSE):
            raise ValueError(
                f"interpolation is {self.interpolation!r}, code {interpolation}; "
                "accepted: none, linear, dense"
            )
        theta, reset = dtype.type(neuron.theta), dtype.type(neuron.theta - neuron.delta_theta)
        if not (0 < theta < math.inf and math.isfinite(reset) and reset < theta):
            raise ValueError(
                f"theta {neuron.theta!r} with delta_theta {neuron.delta_theta!r} has no reset "
                f"below theta in {dtype}; accepted: both within the range of {dtype}"
            )
        dt = min(float(self.dt or 0.0), float(duration))
        n_grid = grid_steps(dt, float(duration)) if self.dt is not None else 0
        # no crossing may go unflagged for the rounding of the flag's own terms
        rounding = 8.0 * np.finfo(dtype).eps if self.interpolation == "dense" else 0.0
        usual = dynamics.Dynamics(
            *method,
            interpolation,
            float(theta),
            float(reset),
            float(theta) * (1.0 - float(rounding)),
            int(neuron.max_spikes),
            dt,
            n_grid,
            float(duration),
            0,
        )
        if all(getattr(self, name) == value for name, value in LIMITS.items()):
            return usual
        return dynamics.Limited(*usual, self.spikes_per_step or 0, OVERSHOOTS[self.overshoot])

    def is_stable(self, neuron, duration):
        """Whether no decay of the neuron grows over a full step of the grid."""
        if self.dt is None or isinstance(neuron, Model):
            return True
        self._require_for_neuron()
        method = propagators.method(self.method, self.order, neuron.tau_s, neuron.tau)
        a, _, b = propagators.propagator(method, min(self.dt, duration))
        return abs(a) <= 1.0 and abs(b) <= 1.0

    def rounding(self, neuron, duration, dtype):
        """Bound of what a state of this type loses by rounding in a time constant, relative.

        The decay of a step of length dt is 1 - dt / tau, rounded: over the tau / dt steps of a
        time constant, or those of the duration, half a unit in the last place each.
        """
        if self.dt is None:
            return 0.0
        steps = min(duration, max(neuron.tau_s, neuron.tau)) / self.dt
        return 0.5 * float(np.finfo(dtype).eps) * steps
