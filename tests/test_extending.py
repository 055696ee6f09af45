"""What docs/extending.md says: a loss, a data set and a method are a file or a line each."""

import importlib.util

from lifnum import evaluate, options, train
from lifnum.data.datasets import DATASETS, Source
from lifnum.files.reader import Trace
from lifnum.losses import LOSSES
from lifnum.methods import propagators
from lifnum.runs.configuration import Configuration

LOSS = """
from dataclasses import dataclass

from lifnum.fields import finite_positive, option
from lifnum.losses.spike_count import SpikeCount


@dataclass(frozen=True)
class Weighted:
    factor: float = option("factor on the squares", "X", float, initial=1.0, check=finite_positive)
    duration: float

    def __call__(self, out, labels):
        values, d_times = SpikeCount()(out, labels)
        return self.factor * values, self.factor * d_times

    def predict(self, out):
        return SpikeCount().predict(out)
"""

DATA = """
import numpy as np

from lifnum.data import encoding
from lifnum.data.dataset import Dataset


def load(window, seed, data_dir):
    labels = np.arange(40) % 2
    images = np.where(np.arange(8) // 4 == labels[:, None], 1.0, 0.25)
    trains = encoding.latency(images, window)
    return Dataset("halves", trains, labels, trains.select(np.arange(10)), labels[:10], 2)
"""


def module(folder, name, source):
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_a_loss_a_data_set_and_a_method_are_known_once_they_are_in_their_tables(
    in_tmp, monkeypatch, refusal, capsys
):
    arguments = ["--dataset", "halves", "--loss", "weighted", "--factor", "2", "--method", "heun",
                 "--dt", "0.01", "--hidden", "6", "--epochs", "2", "--window", "0.05",
                 "--validation-share", "0", "--output", "a.h5", "--quiet"]  # fmt: skip

    def run(*more):
        return options.run("lifnum.train", train.main, [*arguments, *more])

    assert "unrecognized arguments: --factor 2" in refusal(run)
    monkeypatch.setitem(LOSSES, "weighted", module(in_tmp, "weighted", LOSS).Weighted)
    assert "method is 'heun'; accepted: exact" in refusal(run)
    monkeypatch.setitem(propagators.METHODS, "heun", propagators.Entry(propagators.PS, 2))
    assert "dataset is 'halves'; accepted: digits" in refusal(run)
    load = module(in_tmp, "halves", DATA).load
    monkeypatch.setitem(DATASETS, "halves", Source(load, "which half of an image is bright"))
    assert "factor is -1.0; accepted: a finite number > 0" in refusal(run, "--factor", "-1")
    assert run() == 0
    with Trace("a.h5") as trace:
        config = Configuration.from_json(trace.config, "a.h5")
        loss = trace.batches["loss"][0]
    assert trace.config["preset"]["factor"] == 2.0 and config.preset.loss_options["factor"] == 2.0
    assert config.preset.loss == "weighted" and config.scheme.method == "heun"
    assert config.scheme.convergence_order == 2
    assert "--factor X" in train.parser().format_help()
    assert "halves: which half of an image is bright" in train.parser().format_help()
    # before the first step of training: the network is that of rk2, the loss twice as large
    assert run("--method", "rk2", "--factor", "1", "--output", "b.h5") == 0
    with Trace("b.h5") as trace:
        assert loss == 2 * trace.batches["loss"][0] > 0
    capsys.readouterr()
    assert options.run("lifnum.evaluate", evaluate.main, ["a.h5"]) == 0
    assert "heun-dt0.01 on halves, 10 test samples" in capsys.readouterr().out
