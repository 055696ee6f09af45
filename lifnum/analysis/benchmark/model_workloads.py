"""What the benchmark measures of models by equations, each as a process that answers on request.

    python -m lifnum.analysis.benchmark.model_workloads TASK JSON

as `workloads`. Models are in milliseconds, but for those of `epoch`, which are in seconds.
"""

import itertools
import json
import sys
from time import perf_counter, process_time

import numpy as np

from lifnum import options
from lifnum.analysis.benchmark.peers.protocol import serve
from lifnum.analysis.benchmark.workloads import balanced_weights, peak_memory, random_trains
from lifnum.data import datasets
from lifnum.losses import SpikeCount, TimeToFirstSpike
from lifnum.network import Network
from lifnum.neurons import models
from lifnum.optimizers import Adam
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains


def _model(name, **options):
    return models.BUILT_IN[name](**options)


def cells(model, scheme, currents, duration):
    """Neurons under constant currents; ready with the spike times of each."""
    n = len(currents)
    neuron = _model(model, current=np.asarray(currents))
    net = Network([(np.zeros((1, n)), neuron)], Scheme(**scheme), duration)
    nothing = SpikeTrains.from_samples([([], [])], 1)
    out = net.forward(nothing, differentiable=False)

    def measure():
        start = perf_counter()
        out = net.forward(nothing, differentiable=False)
        return {"seconds": perf_counter() - start, "spikes": len(out.times)}

    serve(measure, times=[out.times[out.indices == k].tolist() for k in range(n)])


def learn(model, scheme, n, batch):
    """Forward and backward of two layers of n neurons, gradients of input times included."""
    generator = np.random.default_rng(0)
    neuron, scheme, duration = _model(model), Scheme(**scheme), 50.0
    inputs = random_trains(batch, 100, 100, duration, generator)
    layers, trains = [], inputs
    for n_pre in (100, n):
        w, trains = balanced_weights(
            trains, generator.uniform(-1.0, 3.0, (n_pre, n)), neuron, scheme, duration
        )
        layers.append((w, neuron))
    net = Network(layers, scheme, duration)

    def measure():
        start = perf_counter()
        out = net.forward(inputs)
        between = perf_counter()
        net.backward(np.ones(len(out.times)), input_gradient=True)
        return {"forward": between - start, "backward": perf_counter() - between}

    measure()
    serve(measure)


def first(model, method):
    """Seconds of processor until the first gradient of a network of this model, then of another."""
    scheme = Scheme("ps", order=6, dt=0.05) if method == "ps" else Scheme(method, dt=0.05)
    inputs = SpikeTrains.from_samples([([1.0, 2.0], [0, 1])], 2)

    def seconds():
        start = process_time()
        neuron = _model(model)
        layers = [(np.full((2, 3), 0.5), neuron), (np.full((3, 2), 0.5), neuron)]
        net = Network(layers, scheme, 5.0)
        out = net.forward(inputs)
        net.backward(np.zeros(len(out.times)))
        return process_time() - start

    serve(dict, first=seconds(), again=seconds())


def yinyang(model, options, data, batch, count, step, duration, window):
    """Training steps on Yin-Yang, Euler steps, of the weights and samples in an NPZ."""
    with np.load(data, allow_pickle=False) as found:
        points, labels = found["points"], found["labels"]
        weights = [found["hidden"], found["out"]]
    trains = SpikeTrains.from_samples([(window * x, np.arange(5)) for x in points], 5)
    neuron = _model(model, **options)
    net = Network([(w.astype(np.float32), neuron) for w in weights],
                  Scheme("euler", dt=step), duration)  # fmt: skip
    loss, optimizer, position = (
        TimeToFirstSpike(tau_loss=1.0, duration=duration),
        Adam(net.weights, 5e-3),
        0,
    )

    def train():
        nonlocal position
        rows = np.arange(position, position + batch)
        inputs = trains.select(rows)
        out = net.forward(inputs)
        value, d_times = loss(out, labels[rows])
        optimizer.step(net.backward(d_times / batch))
        position = position + batch if position + 2 * batch <= len(labels) else 0
        return float(np.mean(value))

    def measure():
        start = perf_counter()
        for _ in range(count):
            train()
        return {"seconds_a_sample": (perf_counter() - start) / (count * batch)}

    serve(measure, loss=train(), spikes=[len(one.spikes.times) / batch for one in net.layers])


def epoch(data_dir, count, dataset="mnist", hidden=800):
    """Training steps of MNIST by Izhikevich neurons, 200 steps of rk4, about a spike a neuron."""
    batch, duration, generator = 50, 0.1, np.random.default_rng(0)
    data = datasets.load(dataset, data_dir, window=0.05, limit_train=count * batch, limit_test=1)
    neuron = models.izhikevich(time_unit=1e-3)
    scheme = Scheme("rk4", dt=5e-4, interpolation="linear")
    layers, trains = [], data.train.select(np.arange(batch))
    for n_pre, n_post in itertools.pairwise((trains.n_neurons, hidden, 10)):
        w = generator.normal(1.0, 2.0, (n_pre, n_post)).astype(np.float32)
        w, trains = balanced_weights(trains, w, neuron, scheme, duration)
        layers.append((w, neuron))
    net = Network(layers, scheme, duration)
    loss, optimizer = SpikeCount(), Adam(net.weights, 0.0)

    def train():
        spikes = np.zeros(2)
        for k in range(count):
            rows = np.arange(k * batch, (k + 1) * batch)
            out = net.forward(data.train.select(rows))
            _, d_times = loss(out, data.train_labels[rows])
            optimizer.step(net.backward(d_times / batch))
            spikes += [len(one.spikes.times) for one in net.layers]
        return spikes / (count * batch * np.array([hidden, 10]))

    def measure():
        start = perf_counter()
        spikes = train()
        taken = perf_counter() - start
        return {"seconds_a_sample": taken / (count * batch), "peak": peak_memory(),
                "hidden_spikes": spikes[0], "output_spikes": spikes[1]}  # fmt: skip

    train()
    serve(measure)


TASKS = {task.__name__: task for task in (cells, learn, first, yinyang, epoch)}


def main(argv=None):
    task, arguments = sys.argv[1:] if argv is None else argv
    TASKS[task](**json.loads(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(options.run(f"{__package__}.model_workloads", main))
