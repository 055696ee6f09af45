"""Layers of spiking neurons as PyTorch modules, differentiated by lifnum's exact adjoints.

What travels between layers are spike times: `Spikes`, a ragged batch whose times are a tensor that
gradients flow through. Extra ``torch``; everything runs on the processor.
"""

import copy
import weakref

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

    __slots__ = ("_trains", "indices", "n_neurons", "offsets", "times")

    def __init__(self, times, indices, offsets, n_neurons):
        self.times = torch.as_tensor(times, dtype=torch.float64)
        self.indices = torch.as_tensor(indices, dtype=torch.int64)
        self.offsets = torch.as_tensor(offsets, dtype=torch.int64)
        self._trains = SpikeTrains(
            *(_array(tensor) for tensor in (self.times, self.indices, self.offsets)), n_neurons
        )
        self.n_neurons = self._trains.n_neurons

    @classmethod
    def of(cls, trains):
        """Spikes of lifnum.SpikeTrains."""
        return cls(*(np.array(a) for a in (trains.times, trains.indices, trains.offsets)),
                   trains.n_neurons)  # fmt: skip

    @classmethod
    def _of_layer(cls, times, indices, offsets, trains):
        spikes = cls.__new__(cls)
        spikes.times, spikes.indices, spikes.offsets = times, indices, offsets
        spikes._trains, spikes.n_neurons = trains, trains.n_neurons
        return spikes

    def __len__(self):
        return len(self.offsets) - 1

    def __repr__(self):
        return f"Spikes({len(self)} samples, {self.n_neurons} neurons, {len(self.times)} spikes)"

    def samples(self):
        """The sample of each spike (n,), int64."""
        offsets = self.offsets.numpy()
        return torch.from_numpy(np.repeat(np.arange(len(self)), np.diff(offsets)))

    def counts(self):
        """Spike counts (batch, n_neurons), float64.

        A count does not depend on the times; by the convention of `lifnum.losses.SpikeCount` a
        derivative dL/dn gives each spike of the neuron dL/dt = -dL/dn: to spike more is to spike
        earlier.
        """
        return _Counts.apply(self.times, self.samples(), self.indices, len(self), self.n_neurons)

    def first_times(self, silent):
        """Time of each neuron's first spike (batch, n_neurons), float64; `silent` where none."""
        first = torch.as_tensor(np.array(self._trains.first_spikes()))
        spiked = first >= 0
        times = torch.full(first.shape, float(silent), dtype=torch.float64)
        return times.masked_scatter(spiked, self.times[first[spiked]])


class _Counts(torch.autograd.Function):
    @staticmethod
    def forward(ctx, times, samples, indices, batch, n_neurons):
        cells = samples * n_neurons + indices
        ctx.save_for_backward(cells)
        counts = torch.bincount(cells, minlength=batch * n_neurons)
        return counts.reshape(batch, n_neurons).double()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_counts):
        (cells,) = ctx.saved_tensors
        return -d_counts.reshape(-1)[cells], None, None, None, None


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


class LIFLayer(torch.nn.Module):
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
        tensors = _Simulate.apply(spikes.times, self.weight, self, spikes._trains, results)
        return Spikes._of_layer(*tensors, results[0])

    def _take(self):
        """A Network on the weights as they are, which no graph that may go backward still uses."""
        w = _array(self.weight)
        here = w.ctypes.data, w.dtype, w.shape
        while self._free:
            found, network = self._free.pop()
            if found == here:
                break
        else:
            network = Network([(w, self.neuron)], self.scheme, self.duration)
        lease = _Lease()
        lease.network = network
        weakref.finalize(lease, self._free.append, (here, network))
        return lease

    def __deepcopy__(self, memo):
        return self._copied(lambda value: copy.deepcopy(value, memo), memo)

    def __getstate__(self):
        return self.__dict__ | {"_free": []}  # its networks belong to this object's weights

    def _copied(self, copied, memo):
        other = self.__class__.__new__(self.__class__)
        memo[id(self)] = other
        other.__dict__.update({name: copied(v) for name, v in self.__getstate__().items()})
        return other


class _Lease:
    """Keeps a network from being used again while a graph needs its last forward pass."""

    __slots__ = ("__weakref__", "network")


class _Simulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, times, weight, layer, trains, results):
        lease = layer._take()
        with_gradient = any(ctx.needs_input_grad)
        by_times = ctx.needs_input_grad[0]
        out = lease.network.forward(trains, with_gradient, input_gradient=by_times)
        if with_gradient:
            ctx.lease = lease
            ctx.save_for_backward(weight)  # PyTorch refuses to go back through changed weights
        results.append(out)
        tensors = [
            torch.from_numpy(np.array(array, kind))
            for array, kind in ((out.times, np.float64), (out.indices, np.int64),
                                (out.offsets, np.int64))
        ]  # fmt: skip
        ctx.mark_non_differentiable(*tensors[1:])
        return tuple(tensors)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_times, *_):
        _ = ctx.saved_tensors
        by_times = ctx.needs_input_grad[0]
        result = ctx.lease.network.backward(np.ascontiguousarray(d_times.numpy()), by_times)
        (d_weight,), d_in = result if by_times else (result, None)
        d_weight = torch.from_numpy(d_weight) if ctx.needs_input_grad[1] else None
        return None if d_in is None else torch.from_numpy(d_in), d_weight, None, None, None
