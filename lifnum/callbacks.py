"""What `lifnum.fit` calls after every epoch: callback(run, row); True ends the training.

`row` has the columns of the trace's epochs, `run.history()` all rows so far, those from before a
resumption included. So a callback needs no state of its own, and goes on where the run does.
"""

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class EarlyStopping:
    """Ends the training after `patience` epochs without a better value of a column.

    column: one of the trace's epochs; of a loss the least value is the best, else the largest.
    """

    patience: int = 5
    column: str = "validation_accuracy"

    def __call__(self, run, row):
        values = run.history()[self.column]
        best = np.argmin(values) if self.column.endswith("loss") else np.argmax(values)
        return len(values) - 1 - best >= self.patience


@dataclass(frozen=True)
class CSVLog:
    """Keeps the columns of the trace's epochs in a CSV file, one column a layer where they differ.

    The file is written anew after every epoch, and replaced only if it was one of ours.
    """

    path: str

    def __call__(self, run, row):
        columns = {}
        for name, values in run.history().items():
            if values.ndim == 1:
                columns[name] = values
            else:
                columns |= {f"{name}_{k}": layer for k, layer in enumerate(values.T)}
        path = Path(self.path)
        if path.exists():
            with open(path, newline="") as stream:
                if next(csv.reader(stream), None) != list(columns):
                    raise ValueError(f"path {path} exists and is another file; accepted: another")
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        with open(temporary, "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*(values.tolist() for values in columns.values())))
        os.replace(temporary, path)


@dataclass(frozen=True)
class TensorBoard:
    """Writes the scalars of every epoch for TensorBoard, through its package ``tensorboard``."""

    folder: str
    _writer: list = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self):
        try:
            from tensorboard.summary import Writer
        except ImportError:
            raise ImportError("TensorBoard needs its package: pip install tensorboard") from None
        self._writer.append(Writer(self.folder))

    def __call__(self, run, row):
        step = round(row["epoch"] * run.trainer.n_batches)
        for name, value in row.items():
            for k, one in enumerate(np.ravel(value)):
                tag = name if np.ndim(value) == 0 else f"{name}/{k}"
                self._writer[0].add_scalar(tag, float(one), step)
        self._writer[0].flush()
