"""snnTorch, Norse and SpikingJelly: steps of training of one hidden layer on a grid of times.

Argument: JSON with framework, data (NPZ of spike trains), hidden, steps (of the grid), batch,
count (batches a repetition), and of a preset of lifnum: duration, rate (of Adam), and of each
layer neurons (tau_s, tau, theta) and weights (low, high). The loss is on spike counts, 15 and 3;
the gradient is the framework's surrogate. Batches are binned beforehand, outside the timing, which
favours these frameworks.
"""

import itertools
import json
import math
import sys
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from protocol import serve


class SnnTorch(torch.nn.Module):
    """Linear and Synaptic (exponential current and potential), twice."""

    def __init__(self, layers, dt):
        import snntorch
        from snntorch import surrogate

        super().__init__()
        # one step adds the current to the potential, without a factor
        self.scales = [dt for _ in layers]
        self.linear, self.neurons = _linear(layers, self.scales), torch.nn.ModuleList()
        for tau_s, tau, theta in (layer.neuron for layer in layers):
            self.neurons.append(
                snntorch.Synaptic(math.exp(-dt / tau_s), math.exp(-dt / tau), threshold=theta,
                                  spike_grad=surrogate.fast_sigmoid())
            )  # fmt: skip

    def forward(self, inputs):
        states = [neuron.reset_mem() for neuron in self.neurons]
        total = 0.0
        for x in inputs:
            for k, (linear, neuron) in enumerate(zip(self.linear, self.neurons)):
                x, *states[k] = neuron(linear(x), *states[k])
            total = total + x
        return total


class Norse(torch.nn.Module):
    """Linear and LIFCell (Euler steps of current and potential), twice."""

    def __init__(self, layers, dt):
        from norse.torch import LIFCell, LIFParameters

        super().__init__()
        self.scales = [layer.neuron[1] for layer in layers]  # tau dv/dt = -v + i
        self.linear, self.neurons = _linear(layers, self.scales), torch.nn.ModuleList()
        for tau_s, tau, theta in (layer.neuron for layer in layers):
            p = LIFParameters(
                tau_syn_inv=torch.tensor(1 / tau_s), tau_mem_inv=torch.tensor(1 / tau),
                v_th=torch.tensor(theta),
            )  # fmt: skip
            self.neurons.append(LIFCell(p=p, dt=dt))

    def forward(self, inputs):
        states = [None] * len(self.neurons)
        total = 0.0
        for x in inputs:
            for k, (linear, neuron) in enumerate(zip(self.linear, self.neurons)):
                x, states[k] = neuron(linear(x), states[k])
            total = total + x
        return total


class SpikingJelly(torch.nn.Module):
    """Linear and LIFNode over all steps at once, twice; it has no synaptic current."""

    def __init__(self, layers, dt):
        from spikingjelly.activation_based import functional, neuron

        super().__init__()
        self.forget = functional.reset_net
        # what an input adds to the potential, all of it at once
        self.scales = [layer.neuron[0] for layer in layers]
        self.linear, self.neurons = _linear(layers, self.scales), torch.nn.ModuleList()
        for _, tau, theta in (layer.neuron for layer in layers):
            self.neurons.append(
                neuron.LIFNode(tau=tau / dt, decay_input=False, v_threshold=theta, v_reset=None,
                               step_mode="m")
            )  # fmt: skip

    def forward(self, inputs):
        self.forget(self)
        for linear, neuron in zip(self.linear, self.neurons):
            inputs = neuron(linear(inputs))
        return inputs.sum(0)


class Layer(NamedTuple):
    """A layer of lifnum's preset."""

    shape: tuple  # (n_pre, n_post)
    neuron: tuple  # (tau_s, tau, theta)
    weights: tuple  # (low, high) of uniform ones


def _linear(layers, scales):
    """Layers without bias; the preset's weights in the unit of the framework."""
    modules = torch.nn.ModuleList()
    for layer, scale in zip(layers, scales):
        linear = torch.nn.Linear(*layer.shape, bias=False)
        torch.nn.init.uniform_(linear.weight, *(scale * edge for edge in layer.weights))
        modules.append(linear)
    return modules


def binned(data, batch, steps, duration):
    """Batches as pairs of counts (steps, batch, n_inputs) and labels (batch,)."""
    offsets, labels = data["offsets"], data["labels"]
    batches = []
    for first in range(0, len(labels) - batch + 1, batch):
        low, high = offsets[first], offsets[first + batch]
        rows = np.repeat(np.arange(batch), np.diff(offsets[first : first + batch + 1]))
        dense = np.zeros((steps, batch, int(data["n_neurons"])), np.float32)
        step = np.minimum((data["times"][low:high] / duration * steps).astype(int), steps - 1)
        np.add.at(dense, (step, rows, data["indices"][low:high]), 1.0)
        batches.append((torch.from_numpy(dense), torch.from_numpy(labels[first : first + batch])))
    return batches


def main():
    spec = json.loads(sys.argv[1])
    torch.manual_seed(0)
    with np.load(spec["data"], allow_pickle=False) as data:
        batches = binned(data, spec["batch"], spec["steps"], spec["duration"])
        sizes = (int(data["n_neurons"]), spec["hidden"], int(data["n_classes"]))
    kind = {"snntorch": SnnTorch, "norse": Norse, "spikingjelly": SpikingJelly}[spec["framework"]]
    layers = itertools.starmap(
        Layer, zip(itertools.pairwise(sizes), spec["neurons"], spec["weights"], strict=True)
    )
    net = kind(list(layers), spec["duration"] / spec["steps"])
    groups = [
        {"params": linear.parameters(), "lr": spec["rate"] * scale}
        for linear, scale in zip(net.linear, net.scales)
    ]
    optimizer = torch.optim.Adam(groups)

    def train(k):
        inputs, labels = batches[k % len(batches)]
        targets = torch.full((len(labels), sizes[-1]), 3.0)
        targets[torch.arange(len(labels)), labels] = 15.0
        loss = 0.5 * ((net(inputs) - targets) ** 2).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def measure():
        start = perf_counter()
        for k in range(spec["count"]):
            loss = train(k)
        taken = perf_counter() - start
        return {"seconds_a_sample": taken / (spec["count"] * spec["batch"]), "loss": loss}

    train(0)
    train(1)
    serve(measure, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
