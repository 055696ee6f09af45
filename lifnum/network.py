"""Neuron, Scheme and Network: what a user composes. Strings and options end here."""

import math
import numbers
import warnings
from dataclasses import dataclass, replace

import numpy as np

from lifnum import adjoint, integrators, layer
from lifnum.crossing import DENSE, INTERPOLATIONS, LINEAR, NONE
from lifnum.device import require as require_gpu
from lifnum.device import to_device, to_host
from lifnum.optimizers import OPTIMIZERS
from lifnum.spikes import SpikeTrains
from lifnum.steps import Steps, grid_steps

GRADIENTS = ("adjusted", "piggyback")

DEVICES = ("cpu", "cuda")

MAX_STEPS = 1e8

# of the state in a time constant, relative: measured errors of spike times are a tenth of it
MAX_ROUNDING = 1e-3

# the table of steps of one batch may take this much memory
MAX_TABLE_BYTES = 8e9

_ADDRESSES = {}  # of kernels, by function that finds them and type of the weights


class SimulationError(ArithmeticError):
    """A state or gradient overflowed; the message names layer and sample."""


def _positive(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}; accepted: a finite number > 0")


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def write_weights(w, values, name):
    """Write values into the weights w, if they are of their shape."""
    values = np.asarray(values)
    if values.shape != w.shape or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} are {values.dtype} of shape {values.shape}; accepted: numbers of shape "
            f"{w.shape}, which are written into the weights"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{name} hold NaN or inf; accepted: finite numbers")
    w[...] = values


def require_same_spikes(before, after):
    """Refuse a gradient where the layer, simulated once more, has other spikes."""
    same = len(before.times) == len(after.times) and all(
        bool((getattr(before, name) == getattr(after, name)).all())
        for name in ("offsets", "times", "indices")
    )
    if not same:
        raise ValueError(
            "weights were changed after forward, and with them the spikes; accepted: the same "
            "weights, or forward again before backward"
        )


class _Weights(tuple):
    """The layers' weight arrays; assigning to one writes into it."""

    __slots__ = ()

    def __setitem__(self, k, values):
        if not _is_integer(k):
            raise ValueError(f"weights are assigned to layer {k!r}; accepted: an integer")
        write_weights(self[k], values, f"weights of layer {k}")


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


@dataclass(frozen=True)
class Scheme:
    """How the neurons are integrated and differentiated.

    Parameters
    ----------
    method : str
        exact, euler, rk2, rk4, ps (Parker-Sochacki), backward-euler, trapezoidal or
        exponential-euler.
    order : int, optional
        Order of ps, 1 to 32; the other methods have their own.
    dt : float, optional
        Grid step; not needed by exact, unless interpolation is none.
    interpolation : {"dense", "linear", "none"}
        Spike times at the root of the method's dense output, on the chord of the step, or
        rounded to the grid.
    gradient : {"adjusted", "piggyback"}, optional
        The exact adjoint of the computation, or the analytical adjoint on the numerical
        trajectory. Default: adjusted; piggyback where interpolation is none.

    Raises
    ------
    ValueError
        An unknown name, a missing or superfluous order or dt, or adjusted with none.
    """

    method: str = "exact"
    order: int | None = None
    dt: float | None = None
    interpolation: str = "dense"
    gradient: str | None = None

    def __post_init__(self):
        def refuse(name, accepted):
            raise ValueError(f"{name} is {getattr(self, name)!r}; accepted: {accepted}")

        def one_of(name, accepted):
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in accepted:
                refuse(name, ", ".join(accepted))

        one_of("method", integrators.METHODS)
        one_of("interpolation", INTERPOLATIONS)
        if self.gradient is None:
            default = "piggyback" if self.interpolation == "none" else "adjusted"
            object.__setattr__(self, "gradient", default)
        one_of("gradient", GRADIENTS)
        if self.gradient == "adjusted" and self.interpolation == "none":
            refuse("gradient", "piggyback where interpolation is 'none' (grid times are constants)")
        fixed_order = integrators.METHODS[self.method][1]
        if self.method == "ps":
            if not _is_integer(self.order) or not 1 <= self.order <= integrators.MAX_ORDER:
                refuse("order", f"an integer from 1 to {integrators.MAX_ORDER} for method 'ps'")
        elif self.order is not None and not (_is_integer(self.order) and self.order == fixed_order):
            refuse("order", f"none for method {self.method!r}: only 'ps' takes an order")
        if self.dt is not None:
            _positive("dt", self.dt)
        elif self.method != "exact":
            refuse("dt", f"a finite number > 0 for method {self.method!r}")
        elif self.interpolation == "none":
            refuse("dt", "a finite number > 0 where interpolation is 'none'")

    @property
    def label(self):
        """Short name for files and legends, such as ``ps3-dt0.01-linear``."""
        parts = [self.method + (str(self.order) if self.method == "ps" else "")]
        if self.dt is not None:
            parts.append(f"dt{self.dt:g}")
        if self.interpolation != "dense":
            parts.append(self.interpolation)
        elif self.gradient == "piggyback":
            parts.append("piggyback")
        if self.interpolation == "linear" and self.gradient == "piggyback":
            parts.append("piggyback")
        return "-".join(parts)

    @property
    def convergence_order(self):
        """Order at which the end of a step converges; inf for exact."""
        code, order = integrators.METHODS[self.method]
        return (order or self.order) if code == integrators.PS else (
            integrators.CONVERGENCE_ORDER[self.method]
        )  # fmt: skip

    def dynamics(self, neuron, duration, dtype):
        """The numbers that the kernels take for a layer of these neurons."""
        method = integrators.method(self.method, self.order, neuron.tau_s, neuron.tau)
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
        return layer.Dynamics(
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

    def is_stable(self, neuron, duration):
        """Whether no decay of the neuron grows over a full step of the grid."""
        if self.dt is None:
            return True
        method = integrators.method(self.method, self.order, neuron.tau_s, neuron.tau)
        a, _, b = integrators.propagator(method, min(self.dt, duration))
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


class Layer:
    """A dense layer and what its last forward pass left: see `Network.layers`.

    Attributes
    ----------
    weights : ndarray (n_pre, n_post), float32 or float64
        Assigning to it writes into it.
    neuron : Neuron
    spikes : SpikeTrains
        Output of the last forward pass; None where there is none, or it failed.
    n_capped, n_suppressed : int
        Neurons at the cap of spikes, and those whose next spike it suppressed, over the batch.
    n_unresolved : int or None
        Crossings that the interpolation did not resolve, over the batch: under `none`, which gives
        at most one spike a step, spikes after whose reset u was still at or above theta; under
        `linear`, peaks of the method's dense output above theta that no chord saw (only where
        `Network.forward` was asked to count them, on the CPU; None elsewhere); 0 under `dense`.
    n_steps : int
        Sub-intervals of the last forward pass, over the batch.
    n_constant : int
        Spikes that passed no gradient in the last backward pass, because u did not rise at them.
    gradient_norm : float
        Euclidean norm of the gradient of the weights in the last backward pass.
    """

    def __init__(self, weights, neuron, scheme, duration):
        self._weights, self.shape, self.dtype = weights, weights.shape, weights.dtype
        self.neuron = neuron
        self.dynamics = scheme.dynamics(neuron, duration, weights.dtype)
        self.spikes = None
        self.n_capped = self.n_suppressed = self.n_unresolved = self.n_steps = self.n_constant = 0
        self.gradient_norm = 0.0
        n_padded = layer.padded(weights.shape[1])
        self._padded = None  # weights as the kernels see them, where that is not as they are
        if n_padded != weights.shape[1]:
            self._padded = np.zeros((len(weights), n_padded), weights.dtype)
        self.width = layer.tile_width(n_padded)
        self.n_tiles = -(-n_padded // self.width) if self.width else 0
        self._capacity = min(2, neuron.max_spikes) * self.width + 64
        self._table = self._slots = self._pieces = self._chunks = None
        self._run = self._steps = self._states = None

    @property
    def weights(self):
        return self._weights

    @weights.setter
    def weights(self, values):
        write_weights(self._weights, values, "weights of the layer")

    def forget(self):
        """There is no last forward pass any more."""
        self.spikes = self._run = self._steps = self._states = None

    def forward(self, inputs, keep_pieces=False, keep_states=False, count_peaks=False):
        """Simulate the layer on `inputs` (SpikeTrains) and set and return ``spikes``.

        `backward` of the discrete adjoint needs the pieces of steps that spikes end, and the
        states too where it goes on to the inputs.
        """
        d, batch = self.dynamics, len(inputs)
        on_chords = d.interpolation == LINEAR
        if on_chords and count_peaks:  # then the flag of a crossing is that of dense output
            rounding = 8.0 * float(np.finfo(self.dtype).eps)
            d = d._replace(count_peaks=1, bar=d.bar * (1.0 - rounding))
        w = self._kernel_weights()
        steps = self._room_for_steps(inputs)
        shape = (batch, self.n_tiles)
        tallies = np.empty((5, *shape), np.int64)
        states = np.empty((2 * len(steps.start) if keep_states else 0, w.shape[1]), w.dtype)
        address = self._address(layer.sample_address, w, steps)
        while True:
            slots = self._slots
            if slots is None or len(slots) < batch or slots.shape[2] < self._capacity:
                slots = self._slots = np.empty((*shape, self._capacity), layer.SPIKE)
            slots = slots[:batch]
            pieces = self._pieces
            if not keep_pieces:
                pieces = np.empty((*shape, 0), layer.PIECE)
            elif pieces is None or len(pieces) < batch or pieces.shape[2] < slots.shape[2]:
                pieces = self._pieces = np.empty(slots.shape, layer.PIECE)
            pieces = pieces[:batch]
            times, indices, offsets, totals = layer.forward(
                d, inputs.times, inputs.offsets, inputs.indices, w, self.width,
                steps, slots, pieces, tallies, states, address,
            )  # fmt: skip
            most, self.n_capped, self.n_suppressed, bad, self.n_steps, unresolved = totals.tolist()
            self.n_unresolved = None if on_chords and not count_peaks else unresolved
            if most <= slots.shape[2]:
                break
            self._capacity = most + most // 4
        if bad >= 0:
            raise SimulationError(
                f"sample {bad}: the state of a neuron is not finite; largest weight "
                f"{np.abs(self.weights).max():g}"
            )
        self.spikes = SpikeTrains._trusted(times, indices, offsets, self.weights.shape[1])
        self._run = inputs, self.spikes, slots, pieces, tallies[0]
        self._steps = steps
        self._states = states if keep_states else None
        return self.spikes

    def _address(self, find, w, steps):
        if (find, w.dtype) not in _ADDRESSES:
            _ADDRESSES[find, w.dtype] = find(self.dynamics, steps, w.dtype)
        return _ADDRESSES[find, w.dtype]

    def _kernel_weights(self):
        """The weights as they are now, as wide as the kernels see them."""
        w = self._weights
        if w.shape != self.shape or w.dtype != self.dtype:  # an array's own may be assigned to
            raise ValueError(
                f"weights have become {w.dtype} of shape {w.shape}; accepted: {self.dtype} of "
                f"shape {self.shape}, as they were"
            )
        if self._padded is None:
            return w
        self._padded[:, : w.shape[1]] = w
        return self._padded

    def _room_for_steps(self, inputs):
        """An empty table of steps, large enough for these inputs."""
        d, batch = self.dynamics, len(inputs)
        most = int(inputs.offsets[-1]) + batch * (d.n_grid + 1)
        if 80.0 * most > MAX_TABLE_BYTES:
            raise ValueError(
                f"dt {d.dt:g} with a batch of {batch} needs {most} sub-intervals; "
                f"accepted: at most {MAX_TABLE_BYTES / 80:.0f}"
            )
        if self._table is None or len(self._table[0]) < most:
            self._table = (
                np.empty(most),
                np.empty(most, np.int64),
                np.empty(most, np.uint8),
                np.empty((most, 5)),
            )
        return Steps(np.empty(batch, np.int64), np.zeros(batch, np.int64), *self._table)

    def backward(self, d_times, gradient, input_gradient):
        """(dL/dweights, dL/d input times or None) from dL/dt of the last forward pass's spikes."""
        d = self.dynamics
        exact = d.code == integrators.EXACT
        # on an exact trajectory both gradients coincide, and piggyback needs no states
        adjusted = gradient == "adjusted" and not (
            exact and d.interpolation == INTERPOLATIONS["dense"]
        )
        no_pieces = self._run[3].shape[2] == 0
        missing = no_pieces or (input_gradient and self._states is None)
        if adjusted and missing:
            run, kept, n_unresolved = self._run, self._states, self.n_unresolved
            self.forward(run[0], keep_pieces=True, keep_states=input_gradient)
            self.n_unresolved = n_unresolved
            require_same_spikes(run[1], self.spikes)
        inputs, _, slots, pieces, counts = self._run
        n_chunks = adjoint.chunks(len(inputs), self.n_tiles)
        w = self._kernel_weights()
        total = np.empty(self.weights.shape, w.dtype)
        if n_chunks == 1 and self._padded is None:
            d_w = total[None]
        else:
            if self._chunks is None or len(self._chunks) != n_chunks:
                self._chunks = np.empty((n_chunks, *w.shape), w.dtype)
            d_w = self._chunks
        d_in = np.empty((self.n_tiles, len(inputs.times) if input_gradient else 0))
        common = (d, inputs.offsets, inputs.indices, w, self.width, self._steps)
        fresh = np.ones((n_chunks, self.n_tiles, len(w)), np.bool_)
        after = d_times, d_w, fresh, total, d_in
        if adjusted:
            states = self._states
            if states is None:
                states = np.empty((0, 0), self.weights.dtype)
            address = self._address(adjoint.adjusted_address, w, self._steps)
            results = adjoint.backward_adjusted(
                *common, slots, pieces, counts, states, *after, address
            )
        else:
            address = self._address(adjoint.piggyback_address, w, self._steps)
            results = adjoint.backward_piggyback(*common, slots, counts, *after, address)
        self.gradient_norm, self.n_constant = results
        if adjusted and missing:  # what backward gives must not depend on an earlier one
            self._run, self._states = (*self._run[:3], run[3], counts), kept
        if not input_gradient:
            return total, None
        return total, d_in[0] if len(d_in) == 1 else d_in.sum(axis=0)

    def potential(self, times):
        """Membrane potential (batch, n_post, times) of the last forward pass; needs its states."""
        _, _, slots, pieces, counts = self._run
        u = np.empty((len(counts), self.weights.shape[1], len(times)))
        layer.membrane_potential(
            self.dynamics, self._steps, slots, pieces, counts, self._states, times, u
        )
        return u


class Network:
    """A feed-forward network of dense layers, its scheme and the simulated duration.

    Parameters
    ----------
    layers : list of (weights, Neuron)
        weights (n_pre, n_post), float32 or float64, one type for all: the type of the state.
        C-contiguous, writable arrays are used as they are, so that an optimiser can update them in
        place; networks may share them.
    scheme : Scheme
    duration : float
        End of the simulation T, in the unit of the time constants.
    device : {"cpu", "cuda"}
        Where forward and backward passes run: on the processor, or on an NVIDIA GPU. Arguments
        and results are the same; `potential` is computed on the processor.

    Raises
    ------
    ValueError
        Weights whose shapes do not follow each other, of another type, or not finite; a duration
        that is not positive; more than 1e8 grid steps; an unknown device, or no GPU (DeviceError).

    Warns
    -----
    RuntimeWarning
        dt beyond the stability limit of the method, or so fine that the rounding of float32 moves
        spikes by 1e-3 time constants.
    UserWarning
        Weights that had to be copied: the caller's array then stays as it is.

    Notes
    -----
    `copy.copy` of a network shares its weights, `copy.deepcopy` and pickles have their own; none
    has a forward pass behind it.
    """

    def __init__(self, layers, scheme, duration, device="cpu"):
        _positive("duration", duration)
        if not isinstance(scheme, Scheme):
            raise ValueError(
                f"scheme is {scheme!r}; accepted: a Scheme, such as Scheme('euler', dt=0.1)"
            )
        layers = _pairs(layers)
        if scheme.dt is not None and duration / scheme.dt > MAX_STEPS:
            raise ValueError(
                f"dt is {scheme.dt!r}, {duration / scheme.dt:.3g} steps in {duration:g}; "
                f"accepted: at most {MAX_STEPS:g} steps"
            )
        self._scheme, self._duration, self._device = scheme, float(duration), device
        self._ready = False  # whether there is a forward pass for backward
        kind = self._device_layer(device)
        self.layers = []
        copied = []
        for k, (given, neuron) in enumerate(layers):
            weights = np.require(given, requirements=("C", "A", "W"))
            if isinstance(given, np.ndarray) and given.size:
                if not np.may_share_memory(weights, given):
                    copied.append(str(k))
            if weights.ndim != 2 or weights.dtype not in (np.float32, np.float64):
                raise ValueError(
                    f"weights of layer {k} are {weights.dtype} of shape {weights.shape}; "
                    "accepted: float32 or float64 of shape (n_pre, n_post)"
                )
            if k > 0 and weights.shape[0] != self.layers[-1].weights.shape[1]:
                raise ValueError(
                    f"weights of layer {k} have shape {weights.shape}; "
                    f"accepted: ({self.layers[-1].weights.shape[1]}, n_post)"
                )
            if k > 0 and weights.dtype != self.layers[0].weights.dtype:
                raise ValueError(
                    f"weights of layer {k} are {weights.dtype}; "
                    f"accepted: {self.layers[0].weights.dtype}, as in layer 0"
                )
            if not np.isfinite(weights).all():
                raise ValueError(f"weights of layer {k} hold NaN or inf; accepted: finite numbers")
            if not scheme.is_stable(neuron, self.duration):
                warnings.warn(
                    f"dt {scheme.dt:g} is beyond the stability limit of {scheme.method} for "
                    f"layer {k} (tau_s {neuron.tau_s:g}, tau {neuron.tau:g})",
                    RuntimeWarning,
                    stacklevel=2,
                )
            rounding = scheme.rounding(neuron, self.duration, weights.dtype)
            if rounding > MAX_ROUNDING:
                warnings.warn(
                    f"dt {scheme.dt:g} is too fine for {weights.dtype}: rounding may move the "
                    f"spikes of layer {k} by {rounding:.1g} time constants; float64 or a larger dt "
                    "does not",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self.layers.append(kind(weights, neuron, scheme, self.duration))
        if copied:
            warnings.warn(
                f"weights of layer {', '.join(copied)} are not C-contiguous and writable: the "
                "network has a copy of them, in net.weights, and leaves the array as it is",
                stacklevel=2,
            )

    def __reduce__(self):
        layers = [(one.weights, one.neuron) for one in self.layers]
        return Network, (layers, self.scheme, self.duration, self.device)

    @property
    def scheme(self):
        """The Scheme; one that differs in the gradient alone may take its place."""
        return self._scheme

    @scheme.setter
    def scheme(self, scheme):
        old = self._scheme
        if not isinstance(scheme, Scheme) or replace(scheme, gradient=old.gradient) != old:
            raise ValueError(
                f"scheme is {scheme!r}; accepted: the network's own with another gradient, or a "
                "new Network"
            )
        self._scheme = scheme

    @property
    def duration(self):
        """End of the simulation."""
        return self._duration

    @property
    def device(self):
        """Where the network runs."""
        return self._device

    def _device_layer(self, device):
        """The class of the layers; what a GPU needs is imported only where one is asked for."""
        if device not in DEVICES:
            raise ValueError(f"device is {device!r}; accepted: {', '.join(DEVICES)}")
        if device == "cpu":
            return Layer
        require_gpu()
        from lifnum import network_cuda

        self._trains, self._to_device = network_cuda.DeviceTrains, network_cuda.DeviceTrains.of
        return network_cuda.DeviceLayer

    @property
    def weights(self):
        """The layers' weight arrays, which an optimiser updates in place.

        ``net.weights[k] = values`` writes into the array, and raises where the shape differs.
        """
        return _Weights(layer.weights for layer in self.layers)

    @property
    def dtype(self):
        """Type of weights and state; asking for it moves no weights."""
        return self.layers[0].dtype

    def forward(self, spikes, differentiable=True, count_peaks=False):
        """Simulate a batch.

        Parameters
        ----------
        spikes : SpikeTrains
            Input, of as many neurons as the first weights have rows. Inputs after the duration
            are ignored, inputs at it have no effect.
        differentiable : bool
            Keep what `backward` needs; False saves memory where no backward pass follows.
        count_peaks : bool
            Under `linear`, look for peaks that chords miss: see ``n_unresolved`` of the layers.
            It takes about the time of `dense`, and changes no spike.

        Returns
        -------
        SpikeTrains
            Output of the last layer; every layer's is in ``net.layers[k].spikes``.

        Raises
        ------
        ValueError
            No SpikeTrains, or a wrong number of input neurons; the forward pass before stands.
        SimulationError
            The state of a neuron overflowed; names layer and sample. No layer has spikes then.
        """
        self._accept(spikes)
        self._ready = False
        try:
            if self.device == "cpu":
                out = self._forward(self.layers, spikes, differentiable, False, count_peaks)
            else:
                # what comes from the device stays there: a training step moves no spikes
                self._on_host = isinstance(spikes, SpikeTrains)
                out = self._forward(self.layers, self._to_device(spikes), differentiable, False)
                if self._on_host:
                    for one in self.layers:
                        one.spikes = one.spikes.host()
                    out = self.layers[-1].spikes
            self._ready = True
        finally:
            if not self._ready:
                for one in self.layers:
                    one.forget()
        return out

    def _accept(self, spikes):
        """Refuse what is no input of the network."""
        kinds = (SpikeTrains,) if self.device == "cpu" else (SpikeTrains, self._trains)
        if not isinstance(spikes, kinds):
            raise ValueError(f"spikes are a {type(spikes).__name__}; accepted: SpikeTrains")
        n_pre = self.layers[0].shape[0]
        if spikes.n_neurons != n_pre:
            raise ValueError(f"spikes have {spikes.n_neurons} neurons; accepted: {n_pre}")

    def _forward(self, layers, spikes, differentiable, with_states, count_peaks=False):
        """Output of these layers; `with_states`: what the last one's potential needs is kept."""
        scheme = self.scheme
        coincide = scheme.method == "exact" and scheme.interpolation == "dense"
        adjusted = scheme.gradient == "adjusted" and not coincide
        for k, one in enumerate(layers):
            stated = with_states and k == len(layers) - 1
            keep_pieces = (differentiable and adjusted) or (
                stated and scheme.interpolation == "linear"
            )
            keep_states = (differentiable and adjusted and k > 0) or stated
            try:
                spikes = one.forward(spikes, keep_pieces, keep_states, count_peaks)
            except SimulationError as error:
                raise SimulationError(f"layer {k}, {error}") from None
        return spikes

    def backward(self, d_times, input_gradient=False):
        """Gradients of a loss after `forward`, summed over the batch; may be asked for again.

        Spikes and currents are those of the last forward pass, weights those of now: it is the
        gradient of that pass only where no weights were changed in between. Where states were not
        kept, and changed weights give other spikes, that is an error.

        Parameters
        ----------
        d_times : array_like (n,), float64
            dL/dt for each of the times of the last layer's spikes, finite. (Of what lies on a GPU
            that is not checked, and shows in the gradient_norm.)
        input_gradient : bool
            Ask for the derivatives by the input spike times too.

        Returns
        -------
        list of ndarray (n_pre, n_post), or (that list, ndarray float64 (n_inputs,))
            Gradient of each layer's weights, in their type; for inputs at or after the duration
            the derivative is zero. A gradient that overflowed shows in its layer's gradient_norm.

        Raises
        ------
        ValueError
            There is no forward pass, or the last one failed; d_times of another length than the
            output, no numbers, or not finite; the weights were changed.
        """
        if not self._ready:
            raise ValueError("there is no forward pass that succeeded; run forward before backward")
        last = self.layers[-1]
        on_host = last.spikes.xp is np
        d_times = np.asarray(d_times) if on_host else to_device(d_times)
        n = len(last.spikes.times)
        if d_times.shape != (n,) or (n and d_times.dtype.kind not in "fiu"):
            raise ValueError(
                f"d_times are {d_times.dtype} of shape {d_times.shape}; "
                f"accepted: numbers of shape ({n},), one for each spike of the output"
            )
        if on_host:
            d_times = np.require(d_times, np.float64, ("C", "A", "W"))
            bad = np.flatnonzero(~np.isfinite(d_times))
            if len(bad):
                raise ValueError(
                    f"d_times[{bad[0]}] is {d_times[bad[0]]}; accepted: finite numbers"
                )
        if self.device != "cpu":
            d_times = to_device(d_times).astype(np.float64, copy=False)
        self._ready = False  # until it is known that nothing happened to the forward pass
        gradients = []
        for k in range(len(self.layers) - 1, -1, -1):
            gradient, d_times = self.layers[k].backward(
                d_times, self.scheme.gradient, input_gradient or k > 0
            )
            gradients.append(gradient)
        gradients.reverse()
        self._ready = True
        if self.device != "cpu" and self._on_host:
            gradients = [to_host(gradient) for gradient in gradients]
            d_times = to_host(d_times) if input_gradient else None
        return (gradients, d_times) if input_gradient else gradients

    def place(self, spikes):
        """The SpikeTrains where the network runs: `forward` returns from there what it gets there.

        A training step whose inputs lie on the GPU, with an `optimizer` of the network, moves no
        spikes, gradients or weights.
        """
        return spikes if self.device == "cpu" else self._to_device(spikes)

    def optimizer(self, name, learning_rate):
        """Adam or SGD (names in OPTIMIZERS) that updates the weights where the network runs."""
        if name not in OPTIMIZERS:
            raise ValueError(f"optimizer is {name!r}; accepted: {', '.join(OPTIMIZERS)}")
        if self.device == "cpu":
            return OPTIMIZERS[name](self.weights, learning_rate)
        from lifnum import network_cuda

        return network_cuda.OPTIMIZERS[name](self.layers, learning_rate)

    def potential(self, spikes, times, layer=0):
        """Membrane potential of one layer at any times, under the network's scheme.

        Chords between integration points for linear interpolation, dense output otherwise;
        right-continuous at spikes.

        Parameters
        ----------
        spikes : SpikeTrains
            Input of the network.
        times : array_like (n_times,)
            In [0, duration].
        layer : int
            Index of the layer.

        Returns
        -------
        ndarray (batch, n_post, n_times), float64

        Raises
        ------
        ValueError, SimulationError
            As `forward`; times outside [0, duration].
        IndexError
            No such layer.
        """
        self._accept(spikes)
        times = np.array(times)
        if times.ndim > 1 or (times.size and times.dtype.kind not in "fiu"):
            raise ValueError(
                f"times are {times.dtype} of shape {times.shape}; accepted: numbers, (n_times,)"
            )
        times = np.atleast_1d(times).astype(np.float64)
        bad = np.flatnonzero(~((times >= 0) & (times <= self.duration)))
        if len(bad):
            raise ValueError(
                f"times[{bad[0]}] is {times[bad[0]]}; accepted: numbers from 0 to {self.duration:g}"
            )
        n = len(self.layers)
        if not _is_integer(layer) or not -n <= layer < n:
            raise IndexError(f"layer is {layer!r}; accepted: an integer from {-n} to {n - 1}")
        if self.device != "cpu" and not isinstance(spikes, SpikeTrains):
            spikes = spikes.host()
        # layers of its own: a query leaves the last forward pass as it is
        layers = [
            Layer(one.weights, one.neuron, self.scheme, self.duration)
            for one in self.layers[: range(n)[layer] + 1]
        ]
        self._forward(layers, spikes, False, True)
        return layers[-1].potential(times)


def _pairs(layers):
    """The list of (weights, Neuron), or a ValueError that says what it is instead."""
    accepted = "accepted: a list of one (weights, Neuron) a layer"
    try:
        layers = [tuple(one) for one in layers]
    except TypeError:
        raise ValueError(f"layers are a {type(layers).__name__}; {accepted}") from None
    if not layers:
        raise ValueError(f"layers is empty; {accepted}, at least one")
    for k, one in enumerate(layers):
        if len(one) != 2 or not isinstance(one[1], Neuron):
            held = ", ".join(type(part).__name__ for part in one[:3])
            raise ValueError(f"layers[{k}] holds {held or 'nothing'}; {accepted}")
    return layers
