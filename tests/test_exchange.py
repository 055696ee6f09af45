"""Networks exported here run in snnTorch and in Norse: their spikes become ours as dt goes to 0.

Each framework is installed into an environment of its own, as for the benchmark.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import lifnum
from lifnum.analysis.benchmark import workers
from lifnum.data import datasets
from lifnum.runs.matching import match
from lifnum.runs.transfer import by_neuron

nir = pytest.importorskip("nir", reason="NIR is an extra: pip install '.[nir]'")

import lifnum.nir  # noqa: E402

ROOT = Path(__file__).parents[1]
SCRIPT = Path(workers.__file__).parent / "peers" / "nir_grid.py"

SNNTORCH_STEP = 1e-4  # it knows no other
DURATION, N_SAMPLES = 0.1, 20


def network(scale=1.0):
    """Of time constants times a scale: with inputs at times times it, the same in other units."""
    generator = np.random.default_rng(0)
    layers = []
    for shape, constants in (((64, 20), (0.01, 0.02, 0.02)), ((20, 10), (0.012, 0.025, 0.05))):
        neuron = lifnum.Neuron(*(scale * value for value in constants), max_spikes=1000)
        layers.append((generator.uniform(-0.6, 1.0, shape), neuron))
    return lifnum.Network(layers, lifnum.Scheme(), scale * DURATION)


def python_of(framework):
    try:
        return workers.install(framework, ROOT / "build" / "peers")
    except workers.WorkerError as error:
        pytest.skip(f"{error}")


def grid_spikes(framework, inputs, folder, dt, steps, **more):
    """Output of the network in net.nir in that framework."""
    np.savez(folder / "in.npz", times=inputs.times, indices=inputs.indices,
             offsets=inputs.offsets, n_neurons=inputs.n_neurons)  # fmt: skip
    spec = {"framework": framework, "graph": f"{folder}/net.nir", "data": f"{folder}/in.npz",
            "dt": dt, "steps": steps + 1, "output": f"{folder}/out.npz"} | more  # fmt: skip
    command = [python_of(framework), SCRIPT, json.dumps(spec)]
    subprocess.run(command, check=True, env={"OMP_NUM_THREADS": "1"})
    with np.load(folder / "out.npz") as found:
        sample, step, neuron = (found[name] for name in ("sample", "step", "neuron"))
    parts = [(dt * step[sample == k], neuron[sample == k]) for k in range(len(inputs))]
    return lifnum.SpikeTrains.from_samples(parts, 10)


def digits(scale=1.0):
    """Inputs on no grid, at times times a scale."""
    found = datasets.load("digits", window=0.05, encoding="poisson:100", limit_train=1,
                          limit_test=N_SAMPLES).test  # fmt: skip
    return lifnum.SpikeTrains(scale * found.times, found.indices, found.offsets, 64)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["norse", "snntorch"])
def test_spikes_of_a_framework_become_ours_at_rate_one(framework, tmp_path):
    shifts = []
    for steps in (2000, 8000):
        dt = DURATION / steps
        scale = SNNTORCH_STEP / dt if framework == "snntorch" else 1.0
        net, inputs = network(scale), digits(scale)
        lifnum.nir.write(tmp_path / "net.nir", net, spike_width=scale * dt, overwrite=True)
        exact = by_neuron(net.forward(inputs))
        spikes = grid_spikes(framework, inputs, tmp_path, scale * dt, steps)
        found = match(by_neuron(spikes), exact, scale * 0.005)
        changed = (found.lost + found.gained) / len(exact.times)
        shifts.append(found.distance_sum / found.matched / scale)
        print(f"{framework}, dt {dt:g}: {found}, mean distance {shifts[-1]:g}")
    assert found.matched > 1000 and changed < 0.02
    # a quarter of the step, a quarter of the shift, within what spikes lost and gained change
    assert np.log2(shifts[0] / shifts[1]) / 2 == pytest.approx(1.0, abs=0.2)


@pytest.mark.slow
def test_a_network_that_snntorch_wrote_runs_here(tmp_path):
    inputs = digits()
    spikes = grid_spikes("snntorch", inputs, tmp_path, SNNTORCH_STEP, 1000, seed=0)
    net = lifnum.nir.read(tmp_path / "net.nir", lifnum.Scheme(), DURATION, np.float64,
                          spike_width=SNNTORCH_STEP)  # fmt: skip
    # its alpha and beta are float32, of which 1 - alpha keeps 5 digits
    assert net.layers[0].neuron.tau_s == pytest.approx(0.01, rel=1e-4)
    assert net.layers[1].neuron.tau == pytest.approx(0.02, rel=1e-4)
    exact = net.forward(inputs)
    found = match(by_neuron(spikes), by_neuron(exact), 0.005)
    assert found.matched > 1000
    # its grid is one of 1e-4
    assert (found.lost + found.gained) / len(exact.times) < 0.05
    assert found.distance_sum / found.matched < 5e-4
