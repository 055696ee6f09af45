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

    __slots__ = ("_indices", "_offsets", "_trains", "times")

    def __init__(self, times, indices, offsets, n_neurons):
        self.times = torch.as_tensor(times, dtype=torch.float64)
        self._indices = torch.as_tensor(indices, dtype=torch.int64)
        self._offsets = torch.as_tensor(offsets, dtype=torch.int64)
        self._trains = SpikeTrains(
            *(_array(tensor) for tensor in (self.times, self._indices, self._offsets)), n_neurons
        )

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
        spikes.times, spikes._trains = times, trains
        spikes._indices = spikes._offsets = None  # most are never asked for
        return spikes

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
        """
        return _Counts.apply(self.times, self._trains)

    def first_times(self, silent):
        """Time of each neuron's first spike (batch, n_neurons), float64; `silent` where none."""
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
    if tensor.device.type != "cpu":
        raise ValueError(f"a tensor is on {tensor.device}; accepted: cpu")
    return tensor.detach().numpy()


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
            Another number of neurons than n_in, or tensors that are not on the processor.
        lifnum.SimulationError
            The state of a neuron overflowed.
        """
        if not isinstance(spikes, Spikes):
            raise ValueError(f"spikes are {type(spikes).__name__}; accepted: lifnum.torch.Spikes")
        results = []
        weights = [layer._parameters["weight"] for layer in self._rows()]
        times = _Simulate.apply(spikes.times, self, spikes._trains, results, *weights)
        return Spikes._of(times, results[0])

    def _take(self):
        """A Network on the weights as they are, which no graph that may go backward still uses."""
        rows = self._rows()
        weights = [layer._parameters["weight"] for layer in rows]
        here = [(w.data_ptr(), w.dtype, w.shape) for w in weights]
        while self._free:
            found, network = self._free.pop()
            if found == here:
                break
        else:
            layers = [(_array(w), layer.neuron) for layer, w in zip(rows, weights)]
            network = Network(layers, rows[0].scheme, rows[0].duration)
        return _Lease(self._free, here, network)

    def __deepcopy__(self, memo):
        other = self.__class__.__new__(self.__class__)
        memo[id(self)] = other
        state = self.__getstate__().items()
        other.__dict__.update({name: copy.deepcopy(value, memo) for name, value in state})
        return other

    def __getstate__(self):
        return self.__dict__ | {"_free": []}  # its networks belong to this object's weights


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
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype is {dtype}; accepted: torch.float32, torch.float64")
        if scheme is not None and scheme.gradient == "surrogate":
            raise ValueError("gradient is 'surrogate'; accepted: adjusted, piggyback")
        self.neuron, self.scheme, self.duration = neuron, scheme or Scheme(), duration
        self.weight = torch.nn.Parameter(torch.empty(n_in, n_out, dtype=dtype).uniform_(-1, 1))
        self._free = []
        self._take()  # refuses what Network refuses

    def extra_repr(self):
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}, {self.scheme.label}"

    def _rows(self):
        return [self]


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
        self._take()

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
        lease = module._take()
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
