"""Network: layers in a row, forward and backward."""

import warnings

import numpy as np

from lifnum import derivatives, surrogate
from lifnum.cuda.device import require as require_gpu
from lifnum.cuda.device import to_host
from lifnum.errors import SimulationError, _is_integer, _positive
from lifnum.files import networks
from lifnum.layer import Layer
from lifnum.model_layer import ModelLayer
from lifnum.neurons.model import Model
from lifnum.optimizers import OPTIMIZERS
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains
from lifnum.weights import Weights, accepted, pairs

DEVICES = ("cpu", "cuda")

MAX_STEPS = 1e8

# of the state in a time constant, relative: measured errors of spike times are a tenth of it
MAX_ROUNDING = 1e-3


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
        layers = pairs(layers)
        if scheme.dt is not None and duration / scheme.dt > MAX_STEPS:
            raise ValueError(
                f"dt is {scheme.dt!r}, {duration / scheme.dt:.3g} steps in {duration:g}; "
                f"accepted: at most {MAX_STEPS:g} steps"
            )
        self._scheme, self._duration, self._device = scheme, float(duration), device
        self._ready = False  # whether there is a forward pass for backward
        if device == "cuda" and scheme.only_on_cpu:
            raise ValueError(f"device is {device!r}; accepted: 'cpu' for {scheme.only_on_cpu}")
        if device == "cuda" and any(isinstance(neuron, Model) for _, neuron in layers):
            raise ValueError(f"device is {device!r}; accepted: 'cpu' for a Model")
        kind = self._device_layer(device)
        self.layers = []
        copied = []
        for k, (given, neuron) in enumerate(layers):
            weights, is_copy = accepted(given, self.weights)
            if is_copy:
                copied.append(str(k))
            is_model = isinstance(neuron, Model)  # whose state is float64
            if not is_model:
                _warn_of_step(scheme, neuron, self.duration, weights.dtype, k)
            one = ModelLayer if is_model else kind
            self.layers.append(one(weights, neuron, scheme, self.duration))
        if copied:
            warnings.warn(
                f"weights of layer {', '.join(copied)} are not C-contiguous and writable: the "
                "network has a copy of them, in net.weights, and leaves the array as it is",
                stacklevel=2,
            )

    def __reduce__(self):
        layers = [(one.weights, one.neuron) for one in self.layers]
        return Network, (layers, self.scheme, self.duration, self.device)

    def save(self, path, overwrite=False):
        """Write the network to a file, for `lifnum.load`: weights, neurons, scheme, duration.

        Parameters
        ----------
        path : path
        overwrite : bool
            Replace the file of another network.

        Raises
        ------
        ValueError
            The path is taken.
        OSError
            The file system refuses; what was there is intact.
        """
        networks.save(self, path, overwrite)

    @property
    def scheme(self):
        """The Scheme; its gradient is what `backward` gives where it is asked for none."""
        return self._scheme

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
        from lifnum.cuda.layer import DeviceLayer
        from lifnum.cuda.trains import DeviceTrains

        self._trains, self._to_device = DeviceTrains, DeviceTrains.of
        return DeviceLayer

    @property
    def weights(self):
        """The layers' weight arrays, which an optimiser updates in place.

        ``net.weights[k] = values`` writes into the array, and raises where the shape differs.
        """
        return Weights(layer.weights for layer in self.layers)

    @property
    def dtype(self):
        """Type of weights and state; asking for it moves no weights."""
        return self.layers[0].dtype

    def forward(self, spikes, differentiable=True, count_peaks=False, input_gradient=False):
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
        input_gradient : bool
            Keep what `backward` needs for the input times, which else simulates once more for them.

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
                of_inputs = differentiable and input_gradient
                out = self._forward(
                    self.layers, spikes, differentiable, False, count_peaks, of_inputs
                )
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

    def _forward(
        self, layers, spikes, differentiable, with_states, count_peaks=False, of_inputs=False
    ):
        """Output of these layers; `with_states`: what the last one's potential needs is kept."""
        scheme = self.scheme
        adjusted = scheme.adjoint() == "adjusted"
        for k, one in enumerate(layers):
            stated = with_states and k == len(layers) - 1
            restarts = scheme.interpolation == "linear" or scheme.spikes_per_step is not None
            keep_pieces = (differentiable and adjusted) or (stated and restarts)
            keep_states = (differentiable and adjusted and (k > 0 or of_inputs)) or stated
            try:
                spikes = one.forward(spikes, keep_pieces, keep_states, count_peaks)
            except SimulationError as error:
                raise SimulationError(f"layer {k}, {error}") from None
        return spikes

    def backward(
        self, d_times=None, input_gradient=False, *, counts=None, hidden=None, gradient=None
    ):
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
            Ask for the derivatives by the input spike times too; a surrogate gradient has none.
        counts : array_like (batch, n_post), float64
            Instead of d_times, under the gradient surrogate: dL/dn for each spike count of the
            last layer, finite.
        hidden : dict, optional
            {k: derivatives} by the spikes of layer k itself, besides those through the layers
            above: dL/dt of ``net.layers[k].spikes.times``, or dL/dn under surrogate. On the CPU.
        gradient : {"adjusted", "piggyback"}, optional
            The adjoint to run; that of the scheme by default. `adjusted` under a scheme of
            `piggyback` simulates once more, for what the forward pass did not keep.

        Returns
        -------
        list of ndarray (n_pre, n_post), or (that list, ndarray float64 (n_inputs,))
            Gradient of each layer's weights, in their type; for inputs at or after the duration
            the derivative is zero. A gradient that overflowed shows in its layer's gradient_norm.

        Raises
        ------
        ValueError
            There is no forward pass, or the last one failed; d_times or counts where the other is
            needed, of another length than the output, no numbers, or not finite; the weights were
            changed; a gradient that there is not, or not under this interpolation.
        """
        adjoint = self.scheme.adjoint(gradient)
        if not self._ready:
            raise ValueError("there is no forward pass that succeeded; run forward before backward")
        hidden = derivatives.accepted_hidden(hidden, len(self.layers))
        if hidden and self.device != "cpu":
            raise ValueError(f"device is {self.device!r}; accepted: 'cpu' where hidden is given")
        derivatives.require_one(adjoint, d_times, counts, input_gradient)
        backward = self._backward_counts if adjoint == "surrogate" else self._backward_times
        return backward(d_times if counts is None else counts, hidden, adjoint, input_gradient)

    def _backward_times(self, d_times, hidden, adjoint, input_gradient):
        """`backward` of adjusted and piggyback."""
        last, on_device = self.layers[-1].spikes, self.device != "cpu"
        d_times = derivatives.accepted_d_times(d_times, last, on_device)
        more = {
            k: derivatives.accepted_d_times(d, self.layers[k].spikes, name=f"hidden[{k}]")
            for k, d in hidden.items()
        }
        self._ready = False  # until it is known that nothing happened to the forward pass
        gradients = []
        for k in range(len(self.layers) - 1, -1, -1):
            if k in more:
                d_times = d_times + more[k]
            d_w, d_times = self.layers[k].backward(d_times, adjoint, input_gradient or k > 0)
            gradients.append(d_w)
        gradients.reverse()
        self._ready = True
        if self.device != "cpu" and self._on_host:
            gradients = [to_host(gradient) for gradient in gradients]
            d_times = to_host(d_times) if input_gradient else None
        return (gradients, d_times) if input_gradient else gradients

    def _backward_counts(self, counts, hidden, *_):
        """`backward` of surrogate."""
        d_counts = [np.zeros((len(one.spikes), one.shape[1])) for one in self.layers]
        d_counts[-1] = derivatives.accepted_counts(counts, self.layers[-1].spikes)
        for k, d in hidden.items():
            d_counts[k] += derivatives.accepted_counts(d, self.layers[k].spikes, f"hidden[{k}]")
        self._ready = False
        gradients, above = [], None
        for k in range(len(self.layers) - 1, -1, -1):
            d_w, above = surrogate.backward(self.layers[k], self.scheme, d_counts[k], above, k == 0)
            gradients.append(d_w)
        gradients.reverse()
        self._ready = True
        return gradients

    def place(self, spikes):
        """The SpikeTrains where the network runs: `forward` returns from there what it gets there.

        A training step whose inputs lie on the GPU, with an `optimizer` of the network, moves no
        spikes, gradients or weights.
        """
        return spikes if self.device == "cpu" else self._to_device(spikes)

    def optimizer(self, name, learning_rate, **options):
        """One of OPTIMIZERS, by name, that updates the weights where the network runs."""
        if name not in OPTIMIZERS:
            raise ValueError(f"optimizer is {name!r}; accepted: {', '.join(OPTIMIZERS)}")
        if self.device == "cpu":
            return OPTIMIZERS[name](self.weights, learning_rate, **options)
        from lifnum.cuda import optimizers

        return optimizers.OPTIMIZERS[name](self.layers, learning_rate, **options)

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
        return self._query(spikes, times, layer, lambda one, times: one.potential(times))

    def state(self, spikes, times, variable, layer=0):
        """As `potential`, for any variable of the state of a layer of a Model; "u" of a Neuron.

        Raises
        ------
        ValueError
            A variable that the neurons do not have; and as `potential`.
        """

        def ask(one, times):
            if isinstance(one, ModelLayer):
                return one.state(times, variable)
            if variable != "u":
                raise ValueError(f"variable is {variable!r}; accepted: 'u' for a layer of Neuron")
            return one.potential(times)

        return self._query(spikes, times, layer, ask)

    def _query(self, spikes, times, layer, ask):
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
            (ModelLayer if isinstance(one.neuron, Model) else Layer)(
                one.weights, one.neuron, self.scheme, self.duration
            )
            for one in self.layers[: range(n)[layer] + 1]
        ]
        self._forward(layers, spikes, False, True)
        return ask(layers[-1], times)


def _warn_of_step(scheme, neuron, duration, dtype, k):
    """Warn of a grid step that is too coarse for the method, or too fine for the type."""
    if not scheme.is_stable(neuron, duration):
        name = getattr(scheme.method, "label", scheme.method)
        warnings.warn(
            f"dt {scheme.dt:g} is beyond the stability limit of {name} for "
            f"layer {k} (tau_s {neuron.tau_s:g}, tau {neuron.tau:g})",
            RuntimeWarning,
            stacklevel=3,
        )
    rounding = scheme.rounding(neuron, duration, dtype)
    if rounding > MAX_ROUNDING:
        warnings.warn(
            f"dt {scheme.dt:g} is too fine for {dtype}: rounding may move the spikes of layer {k} "
            f"by {rounding:.1g} time constants; float64 or a larger dt does not",
            RuntimeWarning,
            stacklevel=3,
        )
