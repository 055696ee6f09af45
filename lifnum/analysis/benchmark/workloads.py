"""What the benchmark measures of lifnum, each as a process of its own that answers on request.

    python -m lifnum.analysis.benchmark.workloads TASK JSON

where JSON holds the arguments of the task's function below. The process answers as
`peers.protocol` says. NUMBA_NUM_THREADS sets its threads.
"""

import contextlib
import gc
import hashlib
import itertools
import json
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numba
import numpy as np

from lifnum import options, train
from lifnum.analysis.benchmark import roofline
from lifnum.analysis.benchmark.peers.protocol import serve
from lifnum.data import encoding, images
from lifnum.losses import SpikeCount
from lifnum.network import Network
from lifnum.neurons.lif import Neuron
from lifnum.optimizers import Adam
from lifnum.runs import configuration
from lifnum.runs.run import Run, trainer_of
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains

IMAGES = ("mnist", "fashion-mnist")


def peak_memory():
    """Bytes of memory that this process held at most."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak():
    """Let `peak_memory` count from what is held now on, where the system can do that."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def _config(options):
    """Configuration of a list of options of lifnum.train, and the folder of the data."""
    args = train.parser().parse_args(options)
    return train.config_of(args), args.data_dir


def _run(config, data_dir, folder):
    """A run of lifnum.train with its trace in a folder, at its start."""
    return Run(config, Path(folder) / "trace.h5", data_dir, overwrite=True)


def _encoding_seconds(dataset, data_dir, window):
    """Seconds from images to spike trains: (training set, test set); none for other data."""
    if dataset not in IMAGES:
        return 0.0, 0.0
    found = images.read_images(dataset, data_dir)
    seconds = []
    for part in (found[0], found[2]):
        start = perf_counter()
        encoding.latency(part, window)
        seconds.append(perf_counter() - start)
    return seconds


def epoch(options):
    """Whole first epochs of lifnum.train under its options, then an evaluation of the test set."""
    config, data_dir = _config(["--epochs", "1", *options])

    def measure():
        preset = config.preset
        encode_train, encode_test = _encoding_seconds(preset.dataset, data_dir, preset.window)
        with tempfile.TemporaryDirectory() as folder:
            run = _run(config, data_dir, folder)
            start = perf_counter()
            row = run.train(quiet=True)
            wall = perf_counter() - start - row["seconds_evaluation"]
        job = run.trainer
        start = perf_counter()
        result = job.test()
        evaluation = perf_counter() - start
        inputs = job.data.train.select(job.train_rows)
        samples = len(inputs)
        spikes = [len(inputs.times), *(samples * np.asarray(row["train_spikes"]))]
        sizes = [inputs.n_neurons, *(w.shape[1] for w in job.net.weights)]
        steps = samples * np.asarray(row["steps"])
        return {
            "seconds": encode_train + wall,  # the epoch: encoding, training steps, logging
            "encoding": encode_train,
            "training_steps": job.seconds,
            "logging": wall - job.seconds,
            "evaluation": encode_test + evaluation,
            "accuracy": result.accuracy,
            "samples": samples,
            "batches": job.n_batches,
            "synaptic_events": float(roofline.synaptic_events(spikes[:-1], sizes)),
            "flops": float(roofline.training_flops(steps, spikes[:-1], sizes)),
            "adam_bytes": job.n_batches * roofline.adam_bytes(sizes),
            "weights": hashlib.sha256(b"".join(w.tobytes() for w in job.net.weights)).hexdigest(),
        }

    warm_up(options)
    serve(measure, threads=numba.get_num_threads())


def warm_up(options):
    """Compile or load every kernel of a run: one step, one evaluation, one reading of the trace."""
    config, data_dir = _config([*options, "--epochs", "1"])
    few = 2 * config.preset.batch_size
    config = replace(config, limit_train=few, limit_test=few)
    with tempfile.TemporaryDirectory() as folder:
        _run(config, data_dir, folder).train(quiet=True)


def start(options):
    """Ready when lifnum.train would have its first batch behind it; who waits measures."""
    config, data_dir = _config(options)
    with tempfile.TemporaryDirectory() as folder:
        run = _run(config, data_dir, folder)
        run.trainer.step()
    serve(dict)


def memory(options):
    """Peak memory of lifnum.train itself, data included."""

    def measure():
        with tempfile.TemporaryDirectory() as folder:
            forget_peak()
            train.main([*options, "--quiet", "--output", str(Path(folder) / "trace.h5")])
            return {"peak": peak_memory()}

    serve(measure)


def schemes(options, named, count, warm=100):
    """Seconds a training step of several schemes on the same weights and batches, in turn."""
    measure = turn_of_schemes(options, named, count, warm)
    measure()
    serve(measure)


def turn_of_schemes(options, named, count, warm=100):
    """A function that measures `count` steps of each scheme, in turn: {name: seconds a step}.

    named: list of pairs of a name and the arguments of Scheme. The weights are those after `warm`
    steps of exact; Adam then runs with a rate of zero, so that they stay the same.
    """
    config, data_dir = _config(options)
    job = trainer_of(replace(config, scheme=Scheme()), data_dir)
    for _ in range(warm):
        job.step()
    batches = []
    for _ in range(count):
        rows = job.rows_of_batch()
        batches.append((job.data.train.select(rows), job.data.train_labels[rows]))
        job.batch = (job.batch + 1) % job.n_batches
    nets = {}
    for name, scheme in named:
        weights = [w.copy() for w in job.net.weights]
        nets[name] = configuration.build_network(job.preset, Scheme(**scheme), weights)
    optimizers = {name: Adam(net.weights, 0.0) for name, net in nets.items()}

    def measure():
        seconds = {}
        for name, net in nets.items():
            start = perf_counter()
            for inputs, labels in batches:
                _train(net, job.loss, optimizers[name], inputs, labels)
            seconds[name] = (perf_counter() - start) / count
        return seconds

    return measure


def _train(net, loss, optimizer, inputs, labels):
    out = net.forward(inputs)
    _, d_times = loss(out, labels)
    optimizer.step(net.backward(d_times / len(inputs)))


def random_trains(n_samples, n_inputs, n_spikes, window, generator):
    """Samples of n_spikes spikes each, of random inputs at random ones of 256 times, as images."""
    samples = []
    for _ in range(n_samples):
        times = window * generator.integers(0, 256, n_spikes) / 256.0
        samples.append((times, generator.integers(0, n_inputs, n_spikes)))
    return SpikeTrains.from_samples(samples, n_inputs)


def balanced_weights(inputs, w, neuron, scheme, duration):
    """w, scaled so that the neurons of one layer spike about once a sample; and their spikes."""
    # from below, for the memory of a network that spikes too much would count as the peak
    scale, factor = 1 / 64, 2.0
    for _ in range(16):
        tried = w * w.dtype.type(scale * factor)
        out = Network([(tried, neuron)], scheme, duration).forward(inputs, differentiable=False)
        if len(out.times) <= len(inputs) * w.shape[1]:
            scale *= factor
        else:
            factor = math.sqrt(factor)
    w = w * w.dtype.type(scale)
    return w, Network([(w, neuron)], scheme, duration).forward(inputs, differentiable=False)


def point(hidden, inputs, spikes, batch, batches, scheme, seconds):
    """Training steps of a random network whose activity is the same whatever its size.

    Every neuron spikes about once a sample, so that work grows with one number at a time.
    hidden: neurons of each hidden layer; inputs, spikes: input neurons, spikes of a sample;
    batches: of `batch` samples, one after another; scheme: arguments of Scheme; seconds: the
    least duration of a repetition. Memory is what the process grew by, without its program.
    """
    generator = np.random.default_rng(0)
    scheme, duration, n_classes = Scheme(**scheme), 0.2, 10
    neuron = Neuron(theta=0.2)
    tiny = random_trains(2, inputs, spikes, 0.1, generator)
    for differentiable in (True, False):  # load the kernels
        net = Network([(np.ones((inputs, 4), np.float32), neuron),
                       (np.ones((4, 4), np.float32), neuron)], scheme, duration)  # fmt: skip
        out = net.forward(tiny, differentiable)
        if differentiable:
            Adam(net.weights, 0.0).step(net.backward(np.zeros(len(out.times))))
    before = forget_peak()
    data = [random_trains(batch, inputs, spikes, 0.1, generator) for _ in range(batches)]
    labels = generator.integers(0, n_classes, batch)
    sizes, weights, trains = [inputs, *hidden, n_classes], [], data[0]
    for n_pre, n_post in itertools.pairwise(sizes):
        w = generator.uniform(-1.0, 1.0, (n_pre, n_post)).astype(np.float32)
        w, trains = balanced_weights(trains, w, neuron, scheme, duration)
        weights.append(w)
    net = Network([(w, neuron) for w in weights], scheme, duration)
    loss, optimizer = SpikeCount(), Adam(net.weights, 0.0)
    forget_peak()

    def train_all():
        for trains in data:
            _train(net, loss, optimizer, trains, labels)

    train_all()
    start = perf_counter()
    train_all()
    turns = max(1, math.ceil(seconds / (perf_counter() - start)))
    spikes_in = [len(data[-1].times), *(len(one.spikes.times) for one in net.layers[:-1])]
    steps = [one.n_steps for one in net.layers]
    flops = batches * roofline.training_flops(steps, spikes_in, sizes)

    def measure():
        start = perf_counter()
        for _ in range(turns):
            train_all()
        taken = (perf_counter() - start) / turns
        return {"seconds": taken, "memory": peak_memory() - before, "flops": float(flops)}

    serve(measure)


def machine(megabytes):
    """The roofline of this machine."""
    serve(roofline.Machine(megabytes).measure)


TASKS = {task.__name__: task for task in (epoch, start, memory, schemes, point, machine)}


def main(argv=None):
    task, arguments = sys.argv[1:] if argv is None else argv
    TASKS[task](**json.loads(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(options.run(f"{__package__}.workloads", main))
