"""python -m lifnum.analysis.benchmark.cuda: seconds an epoch on a GPU, and its bandwidth used.

One row a network and batch size, as a Markdown table under the name of the card. Time is that of
whole training steps, data already on the device. The bytes counted are those that no
implementation can do without: Adam reads gradient, weight and two moments and writes three of
them, the gradient is written once, and every input spike reads one row of weights. They are
compared with the bandwidth that copying a large array reaches. Launches of kernels are counted by
the profiler: ``nsys profile --stats=true python -m lifnum.analysis.benchmark.cuda --steps 100``.
"""

import sys
from time import perf_counter

import numpy as np

from lifnum import options
from lifnum.cuda import device
from lifnum.data import datasets
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.trainer import Trainer

NETWORKS = ((800,), (4000, 4000))

BATCHES = (50, 500)

COPY_BYTES = 2**20 if device.SIMULATED else 2**30


def parser():
    p = options.Parser(
        prog=f"python -m {__package__}.cuda",
        description="Measure training on an NVIDIA GPU: seconds an epoch and share of the "
        "bandwidth that a copy reaches.",
    )
    p.add_argument("--dataset", default="mnist", metavar="NAME",
                   help="data set, with its own preset (default: mnist)")  # fmt: skip
    p.add_argument("--data-dir", metavar="DIR",
                   help="folder of the data sets (default: $LIFNUM_DATA, else data)")  # fmt: skip
    p.add_argument("--hidden", type=options.positive(int), nargs="+", metavar="N",
                   help="one network instead of 784-800-10 and 784-4000-4000-10")  # fmt: skip
    p.add_argument("--batch-sizes", type=options.positive(int), nargs="+", default=BATCHES,
                   metavar="N", help="default: 50 500")  # fmt: skip
    p.add_argument("--steps", type=options.positive(int), metavar="N",
                   help="steps to measure and to scale to an epoch (default: an epoch, of at "
                   "most 400)")  # fmt: skip
    p.add_argument("--devices", nargs="+", choices=("cuda", "cpu"), default=("cuda",),
                   help="cpu: the same on the processor (default: cuda)")  # fmt: skip
    options.add_scheme(p)
    return p


def copy_bandwidth():
    """Bytes a second, read and written, of copying a large array on the device."""
    xp = device.array_module()
    source = xp.ones(COPY_BYTES, np.uint8)
    target = xp.empty_like(source)
    best = np.inf
    for _ in range(5):
        start = perf_counter()
        target[...] = source
        device.to_host(target[:1])  # waits for the copy
        best = min(best, perf_counter() - start)
    return 2 * COPY_BYTES / best


def card():
    """Name of the GPU."""
    if device.SIMULATED:
        return "Numba's simulator (its times mean nothing)"
    from numba import cuda

    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else name


def measure(trainer, n_steps):
    """(seconds, bytes that must move) of a training step, averaged over some after a warm-up."""
    for _ in range(3):
        trainer.step()
    trainer.reset_totals()
    before = trainer.seconds
    for _ in range(n_steps):
        trainer.step()
    seconds = (trainer.seconds - before) / n_steps
    train = trainer.data.train
    batch = int(trainer.activity.samples) / n_steps
    rows = [batch * len(train.times) / len(train), *trainer.activity.spikes[:-1] / n_steps]
    items = sum((8 * len(w) + n) * w.shape[1] for n, w in zip(rows, trainer.net.weights))
    return seconds, items * trainer.net.weights[0].itemsize


def main(argv=None):
    args = parser().parse_args(argv)
    scheme = options.scheme_of(args)
    bandwidth = None
    if "cuda" in args.devices:
        device.require()
        bandwidth = copy_bandwidth()
        print(f"{card()}: a copy moves {bandwidth / 1e9:.0f} GB/s\n")
    name = presets.default_preset(args.dataset)
    window = presets.PRESETS[name].window
    data = datasets.load(args.dataset, args.data_dir, window)
    print("| network | scheme | batch | device | seconds an epoch | ms a step | of the bandwidth |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for hidden in [tuple(args.hidden)] if args.hidden else NETWORKS:
        for batch in args.batch_sizes:
            preset = presets.resolve(
                name, {"dataset": args.dataset, "hidden": hidden, "batch_size": batch}
            )
            for where in args.devices:
                trainer = Trainer(Configuration(preset, scheme, device=where), data)
                n = args.steps or min(400, trainer.n_batches)
                seconds, n_bytes = measure(trainer, n)
                sizes = [data.train.n_neurons, *hidden, data.n_classes]
                share = f"{100 * n_bytes / seconds / bandwidth:.2g} %" if where == "cuda" else "-"
                print(f"| {'-'.join(map(str, sizes))} | {scheme.label} | {batch} | {where} "
                      f"| {seconds * trainer.n_batches:.3g} | {1e3 * seconds:.3g} | {share} |",
                      flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(options.run(f"{__package__}.cuda", main))
