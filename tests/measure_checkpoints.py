"""Prints what checkpoints cost: their share of the time of a run, from the seconds spent in them.

    python tests/measure_checkpoints.py

Two epochs of MNIST (where it is at hand) and ten of digits, as the presets have them.
"""

import tempfile
import time
from pathlib import Path

from helpers import MNIST

from lifnum import train
from lifnum.runs.run import Run


def measure(dataset, epochs):
    options = ["--dataset", dataset, "--epochs", str(epochs), "--data-dir", str(MNIST)]
    args = train.parser().parse_args(options)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(train.config_of(args), Path(folder) / "a.h5", args.data_dir)
        start, before = time.monotonic(), run.seconds_checkpoints
        run.train(quiet=True)
        total = time.monotonic() - start
    spent = run.seconds_checkpoints - before
    print(f"{dataset}: {spent:.3f} s in checkpoints of {total:.1f} s: {100 * spent / total:.2f} %")


if __name__ == "__main__":
    measure("digits", 10)
    if MNIST is not None:
        measure("mnist", 2)
