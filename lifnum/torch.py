"""Layers of spiking neurons as PyTorch modules, differentiated by lifnum's exact adjoints.

What travels between layers are spike times: `Spikes`, a ragged batch whose times are a tensor that
gradients flow through. Extra ``torch``; everything runs on the processor.
"""

import copy

import numpy as np

from lifnum.network import Network
from lifnum.neurons.lif import Neuron
from lifnum.neurons.model import Model
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains

try:
    import torch
except ImportError as error:
    raise ImportError("lifnum.torch needs PyTorch: pip install 'lifnum[torch]'") from error


DTYPES = (torch.float32, torch.float64)  # of weights


class Spikes:
    """A ragged batch of spike trains as tensors, in compressed rows.

    Parameters
    ----------
    times : tensor (n,), float64
        Spike times, sorted by (time, index) in each sample; may require a gradient.
    indices : tensor (n,), integers
        The neuron of each spike.
    offsets : tensor (batch + 1,), integers
        Sample b holds the spikes offsets[b] to offsets[b + 1] - 1.
    n_neurons : int

    Raises
    ------
    ValueError
        What SpikeTrains refuses.
    """

    __slots__ = ("_indices", "_offsets", "_times", "_trains", "_version")

    def __init__(self, times, indices, offsets, n_neurons):
        if isinstance(times, torch.Tensor) and times.is_floating_point():
            times = times.to(torch.float64)
        arrays = [
            _array(one) if isinstance(one, torch.Tensor) else one
            for one in (times, indices, offsets)
        ]
        trains = SpikeTrains(*arrays, n_neurons)  # refuses what it refuses of arrays
        if isinstance(times, torch.Tensor):
            times = times.to(torch.float64)
        else:
            times = torch.from_numpy(np.array(trains.times))
        self._put(times, trains)

    def _put(self, times, trains):
        self._times, self._trains, self._version = times, trains, _version(times)
        self._indices = self._offsets = None  # most are never asked for

    def __reduce__(self):
        self._require_unchanged()  # for a copy would count anew
        return Spikes._of, (self._times, self._trains)

    @classmethod
    def of(cls, trains):
        """Spikes of lifnum.SpikeTrains.

        Raises
        ------
        ValueError
            Anything else.
        """
        if not isinstance(trains, SpikeTrains):
            raise ValueError(f"trains are a {type(trains).__name__}; accepted: lifnum.SpikeTrains")
        return cls._of(torch.from_numpy(np.array(trains.times)), trains)

    @classmethod
    def _of(cls, times, trains):
        """Spikes of trains that are known to be valid, and their times as a tensor."""
        spikes = cls.__new__(cls)
        spikes._put(times, trains)
        return spikes

    def _require_unchanged(self):
        """Refuse times that were changed in place: what is simulated are those of before."""
        if _version(self._times) != self._version:
            raise ValueError(
                "times were changed in place after Spikes were made of them; accepted: new Spikes"
            )

    @property
    def times(self):
        """Spike times (n,), float64; ones that are changed in place are to be new Spikes."""
        return self._times

    @property
    def indices(self):
        """The neuron of each spike (n,), int64."""
        if self._indices is None:
            self._indices = torch.from_numpy(self._trains.indices.astype(np.int64))
        return self._indices

    @property
    def offsets(self):
        """Where samples begin and end (batch + 1,), int64."""
        if self._offsets is None:
            self._offsets = torch.from_numpy(self._trains.offsets.copy())
        return self._offsets

    @property
    def n_neurons(self):
        """Number of neurons."""
        return self._trains.n_neurons

    def __len__(self):
        return len(self._trains)

    def __repr__(self):
        return f"Spikes({len(self)} samples, {self.n_neurons} neurons, {len(self.times)} spikes)"

    def samples(self):
        """The sample of each spike (n,), int64."""
        return torch.from_numpy(np.repeat(np.arange(len(self)), np.diff(self._trains.offsets)))

    def counts(self):
        """Spike counts (batch, n_neurons), float64.

        A count does not depend on the times; by the convention of `lifnum.losses.SpikeCount` a
        derivative dL/dn gives each spike of the neuron dL/dt = -dL/dn: to spike more is to spike
        earlier.

        Raises
        ------
        ValueError
            The times were changed in place.
        """
        self._require_unchanged()
        return _Counts.apply(self.times, self._trains)

    def first_times(self, silent):
        """Time of each neuron's first spike (batch, n_neurons), float64; `silent` where none.

        Raises
        ------
        ValueError
            The times were changed in place.
        """
        self._require_unchanged()
        first = torch.as_tensor(np.array(self._trains.first_spikes()))
        spiked = first >= 0
        times = torch.full(first.shape, float(silent), dtype=torch.float64)
        return times.masked_scatter(spiked, self.times[first[spiked]])


class _Counts(torch.autograd.Function):
    @staticmethod
    def forward(ctx, times, trains):
        ctx.trains = trains
        return torch.from_numpy(trains.counts().astype(np.float64))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_counts):
        return torch.from_numpy(ctx.trains.spread(-d_counts.numpy())), None


def _array(tensor):
    """The tensor's numbers, where they are if that can be."""
    if tensor.device.type != "cpu":
        raise ValueError(f"a tensor is on {tensor.device}; accepted: cpu")
    try:
        return tensor.detach().resolve_neg().numpy()
    except (TypeError, RuntimeError):  # a type that NumPy does not have, or a sparse tensor
        raise ValueError(
            f"a tensor is {tensor.dtype}, {tensor.layout}; accepted: torch.strided, of a type "
            "that NumPy has"
        ) from None


def _version(tensor):
    """How often the tensor was changed in place; those of inference do not count it."""
    return None if tensor.is_inference() else tensor._version


def _dense(k, weight):
    """The weight of the k-th of the layers, as rows in a row: a step of autograd if it is none.

    What a parametrization computes, or a transposed parameter, then gets its gradient.
    """
    if not isinstance(weight, torch.Tensor) or weight.dtype not in DTYPES:
        kind = getattr(weight, "dtype", type(weight).__name__)
        accepted = ", ".join(map(str, DTYPES))
        raise ValueError(f"weight of layer {k} is {kind}; accepted: {accepted}")
    return weight.contiguous()


def collate(samples, n_neurons):
    """(Spikes, labels) of a list of ((times, indices), label): what a DataLoader's collate_fn does.

    Raises
    ------
    ValueError
        What SpikeTrains.from_samples refuses.
    """
    trains = SpikeTrains.from_samples([spikes for spikes, _ in samples], n_neurons)
    return Spikes.of(trains), torch.as_tensor([int(label) for _, label in samples])


class _Simulated:
    """What the modules share: networks on their weights, each used again when no graph needs it."""

    def _rows(self):
        """The LIFLayers, in a row."""
        raise NotImplementedError

    def forward(self, spikes):
        """Output `Spikes` of input `Spikes`.

        Raises
        ------
        ValueError
            Another number of neurons than n_in, times that were changed in place, weights of
            another type than float32 and float64, or tensors that are not on the processor.
        lifnum.SimulationError
            The state of a neuron overflowed.
        """
        if not isinstance(spikes, Spikes):
            raise ValueError(f"spikes are {type(spikes).__name__}; accepted: lifnum.torch.Spikes")
        spikes._require_unchanged()
        results = []
        times = _Simulate.apply(spikes.times, self, spikes._trains, results, *self._weights())
        return Spikes._of(times, results[0])

    def _weights(self):
        """The weights as attributes give them, by which parametrizations and pruning work."""
        return [_dense(k, layer.weight) for k, layer in enumerate(self._rows())]

    def _take(self, weights):
        """A Network on these weights, which no graph that may go backward still uses."""
        arrays = [_array(w) for w in weights]
        rows = self._rows()
        common = rows[0].scheme, rows[0].duration  # attributes, which may have been set since
        here = [
            (array.ctypes.data, array.dtype, array.shape, layer.neuron, *common)
            for layer, array in zip(rows, arrays, strict=True)
        ]
        while self._free:
            found, network = self._free.pop()
            if found == here:
                break
        else:
            arrays = [np.require(array, requirements=("C", "A", "W")) for array in arrays]
            layers = [(array, layer.neuron) for layer, array in zip(rows, arrays, strict=True)]
            network = Network(layers, *common)
        # a network keeps the memory of its weights, so that what lies there are these weights; one
        # on a copy of them does not see how they change, and is not to be found again
        copied = any(w.ctypes.data != place for w, (place, *_) in zip(network.weights, here))
        return _Lease([] if copied else self._free, here, network)

    def __deepcopy__(self, memo):
        other = self.__class__.__new__(self.__class__)
        memo[id(self)] = other
        state = self._own_state().items()
        other.__dict__.update({name: copy.deepcopy(value, memo) for name, value in state})
        return other

    def _own_state(self):
        return self.__dict__ | {"_free": []}  # its networks belong to this object's weights

    def __getstate__(self):  # which PyTorch replaces where there are parametrizations
        return self._own_state()


class LIFLayer(_Simulated, torch.nn.Module):
    """A dense layer of LIF neurons, integrated and differentiated as a scheme says.

    Parameters
    ----------
    n_in, n_out : int
    neuron : lifnum.Neuron or lifnum.Model
    scheme : lifnum.Scheme
        Default: exact. Its gradient, `adjusted` or `piggyback`, is what autograd uses, for the
        weights and for the input times.
    duration : float
        End of the simulation, in the unit of the neuron's time constants.
    dtype : torch.float32 or torch.float64
        Of weights and state; times are always float64.

    Attributes
    ----------
    weight : Parameter (n_in, n_out)
        Initially uniform in [-1, 1).

    Examples
    --------
    >>> import lifnum
    >>> neuron = lifnum.Neuron(theta=0.2)
    >>> layer = LIFLayer(64, 10, neuron, lifnum.Scheme("ps", 3, 5e-3), duration=0.2)
    >>> out = layer(Spikes([0.01, 0.02], [3, 1], [0, 2], n_neurons=64))
    >>> out.times.sum().backward()
    >>> layer.weight.grad.shape
    torch.Size([64, 10])
    """

    def __init__(self, n_in, n_out, neuron, scheme=None, duration=0.2, dtype=torch.float32):
        super().__init__()
        if not isinstance(neuron, (Neuron, Model)):
            raise ValueError(f"neuron is {neuron!r}; accepted: a lifnum.Neuron or lifnum.Model")
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype}; accepted: {', '.join(map(str, DTYPES))}")
        if scheme is not None and scheme.gradient == "surrogate":
            raise ValueError("gradient is 'surrogate'; accepted: adjusted, piggyback")
        self.neuron, self.scheme, self.duration = neuron, scheme or Scheme(), duration
        self.weight = torch.nn.Parameter(torch.empty(n_in, n_out, dtype=dtype).uniform_(-1, 1))
        self._free = []
        self._take(self._weights())  # refuses what Network refuses

    def extra_repr(self):
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}, {self.scheme.label}"

    def _rows(self):
        return [self]


# where a module keeps what runs when it is called
_HOOKS = "_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks"


class LIFSequential(_Simulated, torch.nn.Sequential):
    """LIFLayers in a row as one step of autograd: `torch.nn.Sequential` of them, but faster.

    Parameters
    ----------
    *layers : LIFLayer
        Of one scheme, duration and dtype, each with as many inputs as the one before has outputs.

    Raises
    ------
    ValueError
        Something else.
    """

    def __init__(self, *layers):
        super().__init__(*layers)
        self._free = []
        self._take(self._weights())

    def forward(self, spikes):
        """As of `LIFLayer`."""
        hooked = any(getattr(one, name) for one in self._rows() for name in _HOOKS)
        if hooked:  # pruning makes its weights in one: only a call of each layer runs them
            return torch.nn.Sequential.forward(self, spikes)
        return super().forward(spikes)

    def _rows(self):
        rows = list(self._modules.values())
        for k, one in enumerate(rows):
            if not isinstance(one, LIFLayer):
                raise ValueError(f"layer {k} is a {type(one).__name__}; accepted: LIFLayer")
            for name in ("scheme", "duration"):
                own, first = getattr(one, name), getattr(rows[0], name)
                if own is not first and own != first:
                    raise ValueError(f"{name} of layer {k} is {own}; accepted: {first}, as before")
        if not rows:
            raise ValueError("layers are none; accepted: LIFLayers, one at least")
        return rows


class _Lease:
    """Keeps a network from being used again while a graph needs its last forward pass."""

    __slots__ = ("free", "here", "network")

    def __init__(self, free, here, network):
        self.free, self.here, self.network = free, here, network

    def __del__(self):
        self.free.append((self.here, self.network))


class _Simulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, times, module, trains, results, *weights):
        lease = module._take(weights)
        with_gradient = any(ctx.needs_input_grad)
        by_times = ctx.needs_input_grad[0]
        out = lease.network.forward(trains, with_gradient, input_gradient=by_times)
        if with_gradient:
            ctx.lease = lease
            ctx.save_for_backward(*weights)  # PyTorch refuses to go back through changed weights
        results.append(out)
        return torch.from_numpy(np.array(out.times))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_times):
        _ = ctx.saved_tensors
        by_times = ctx.needs_input_grad[0]
        found = ctx.lease.network.backward(np.ascontiguousarray(d_times.numpy()), by_times)
        d_weights, d_in = found if by_times else (found, None)
        d_weights = [
            torch.from_numpy(d) if needed else None
            for d, needed in zip(d_weights, ctx.needs_input_grad[4:], strict=True)
        ]
        return None if d_in is None else torch.from_numpy(d_in), None, None, None, *d_weights
