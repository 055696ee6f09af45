"""snnTorch or Norse: a network from a NIR file on a grid, and its output spikes.

Argument: JSON with framework, graph (NIR file), data (NPZ of times, indices, offsets, n_neurons),
dt, steps, output (NPZ to write: sample, step and neuron of each output spike); with a seed a
network of snnTorch is written to that file first. An input acts in the first step at or after its
time. Files for snnTorch are for its own step of 1e-4.
"""

import json
import sys

import nir
import numpy as np
import torch


def network(framework, graph, dt):
    if framework == "norse":
        from norse.torch.utils.import_nir import from_nir

        return from_nir(graph, dt=dt)
    from snntorch.import_nir import import_from_nir

    return import_from_nir(graph)


def export(path, seed):
    """Write a network 64-20-10 of snnTorch's own making."""
    import snntorch
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(seed)
    modules = []
    for n_pre, n_post in ((64, 20), (20, 10)):
        linear = torch.nn.Linear(n_pre, n_post, bias=False)
        torch.nn.init.uniform_(linear.weight, -0.6, 1.0)
        full = {"alpha": 0.99, "beta": 0.995, "threshold": 200.0}
        full = {name: torch.full((n_post,), value) for name, value in full.items()}
        modules += [linear, snntorch.Synaptic(**full, init_hidden=True)]
    sample = torch.zeros(1, 64)
    nir.write(path, export_to_nir(torch.nn.Sequential(*modules), sample, ignore_dims=[0]))


def main():
    spec = json.loads(sys.argv[1])
    sys.stdout = sys.stderr  # what the frameworks print is for nobody
    if "seed" in spec:
        export(spec["graph"], spec["seed"])
    net = network(spec["framework"], nir.read(spec["graph"]), spec["dt"])
    with np.load(spec["data"], allow_pickle=False) as data:
        offsets, indices, n = data["offsets"], data["indices"], int(data["n_neurons"])
        # times that are on the grid but for rounding stay there
        step = np.ceil(data["times"] / spec["dt"] - 1e-6).astype(int)
    sample = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    # the spikes of snnTorch are float32, whatever the weights are
    kind = torch.float32 if spec["framework"] == "snntorch" else torch.float64
    net = net.to(kind)
    order = np.argsort(step, kind="stable")
    bounds = np.searchsorted(step[order], np.arange(spec["steps"] + 1))
    found, state = [], None
    with torch.no_grad():
        for k in range(spec["steps"]):
            rows = order[bounds[k] : bounds[k + 1]]
            x = torch.zeros(len(offsets) - 1, n, dtype=kind)
            x.index_put_(
                (torch.from_numpy(sample[rows]), torch.from_numpy(indices[rows]).long()),
                torch.ones(len(rows), dtype=kind),
                accumulate=True,
            )
            out, state = net(x, state)
            spiked = out.nonzero().numpy()
            found.append(np.column_stack([spiked[:, 0], np.full(len(spiked), k), spiked[:, 1]]))
    sample, step, neuron = np.concatenate(found).T
    np.savez(spec["output"], sample=sample, step=step, neuron=neuron)


if __name__ == "__main__":
    main()
