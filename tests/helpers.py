"""What tests of several files use: data, small runs, runs in processes of their own."""

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from lifnum import Network, Neuron, Scheme, SpikeTrains, options, train
from lifnum.files.reader import Trace
from lifnum.files.trace import TIMINGS

ROOT = Path(__file__).parents[1]

MNIST = next(
    (folder for folder in (Path(os.environ.get("LIFNUM_DATA", "nowhere")), ROOT / "data",
                           ROOT.parent / "shared" / "data")
     if (folder / "mnist").is_dir()), None,
)  # fmt: skip


SMALL = ["--hidden", "12", "--limit-train", "200", "--limit-test", "50", "--epochs", "2"]

# a few steps of a few neurons; strong weights, so that all of them spike
SMALL_MODELS = ["--hidden", "6", "--limit-train", "60", "--limit-test", "20", "--epochs", "2",
         "--window", "0.02", "--duration", "0.03", "--weights", "uniform:0:8",
         "--batch-size", "20", "--method", "rk4", "--dt", "5e-4", "--interpolation", "dense",
         "--quiet"]  # fmt: skip

IZHIKEVICH = ["--neuron", "izhikevich", *SMALL_MODELS]


def run_training(*arguments):
    """Exit code of `python -m lifnum.train` with these."""
    return options.run("lifnum.train", train.main, arguments)


# spikes of two neurons in three samples
NEURON = Neuron(0.5, 1.0, 1.0)

TRAINS = SpikeTrains.from_samples([([0.1, 0.3], [0, 1]), ([0.2], [1]), ([], [])], 2)


def network(scheme=None):
    """Two layers for `TRAINS`, that spike."""
    weights = np.full((2, 4), 4.0), np.full((4, 3), 4.0)
    return Network([(w, NEURON) for w in weights], scheme or Scheme("ps", 3, 0.1), 2.0)


def refused(match, kind=ValueError):
    """One line of the kind that holds the text."""
    return pytest.raises(kind, match=rf"\A[^\n]*{match}[^\n]*\Z")


def user_arrays():
    trains = SpikeTrains.from_samples([([0.1, 0.2], [0, 2]), ([0.05], [1])], 3)
    arrays = {"times": trains.times, "indices": trains.indices, "offsets": trains.offsets,
              "labels": np.array([0, 1])}  # fmt: skip
    return {(part, key): value for part in ("train", "test") for key, value in arrays.items()}


def write_user_file(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **{f"{part}_{key}": value for (part, key), value in arrays.items()})
    else:
        with h5py.File(path, "w", libver="latest") as file:
            for (part, key), value in arrays.items():
                file.create_dataset(f"{part}/{key}", data=value, fletcher32=True)
    return path


def datasets_of(path):
    """Every dataset of a trace but the timings, as arrays."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and name.split("/")[-1] not in TIMINGS:
            found[name] = item[()]

    with h5py.File(path, "r", swmr=True) as file:
        file.visititems(visit)
    # which slot is valid, and what lies behind the valid spikes, depends on what was there before
    return {k: v for k, v in found.items()
            if not k.startswith(("weights/", "confusion", "raster"))}  # fmt: skip


def assert_equal_runs(a, b):
    one, two = datasets_of(a), datasets_of(b)
    assert one.keys() == two.keys()
    for name in one:
        assert np.array_equal(one[name], two[name], equal_nan=one[name].dtype.kind == "f"), name
    with Trace(a) as x, Trace(b) as y:
        for which in ("initial", "best", "last"):
            for v, w in zip(x.weights(which), y.weights(which)):
                assert (v == w).all()
        assert (x.confusion == y.confusion).all()
        assert x.raster.keys() == y.raster.keys()
        assert all((x.raster[name] == y.raster[name]).all() for name in x.raster)


OPTIONS = ["--method", "euler", "--hidden", "12", "--limit-train", "100", "--limit-test", "50",
           "--epochs", "6", "--evaluations", "2", "--checkpoint-every", "0.02", "--threads", "1",
           ]  # fmt: skip

WAIT = 120  # seconds, for what takes a few on an idle machine

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["lifnum.train", "sklearn.datasets"])


def child_main(argv, folder, output, limit):
    """A command line, with standard output and error to a pipe and a limit on file sizes."""
    os.chdir(folder)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = options.run("lifnum.train", train.main, argv)
    sys.stdout.flush()
    sys.exit(code)


class Child:
    """python -m lifnum.train in a process of its own, in the current folder."""

    def __init__(self, *arguments, limit=None):
        self._reader, writer = CONTEXT.Pipe(duplex=False)
        self.process = CONTEXT.Process(
            target=child_main, args=([*OPTIONS, *arguments], os.getcwd(), writer, limit)
        )
        self.process.start()
        writer.close()

    def end(self):
        """(exit code, what it printed), once it ended."""
        self.process.join(WAIT)
        assert self.process.exitcode is not None, "still running"
        text = b""
        while part := os.read(self._reader.fileno(), 1 << 16):
            text += part
        return self.process.exitcode, text.decode()

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(self.process.pid, number)


def wait_for(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
