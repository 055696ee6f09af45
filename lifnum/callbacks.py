"""What `lifnum.fit` calls after every epoch: callback(run, row); True ends the training.

`row` has the columns of the trace's epochs, `run.history()` all rows so far, those from before a
resumption included. So a callback needs no state of its own, and goes on where the run does: a
resumed run calls it for its last epoch once more, which may have been the last of all.
"""

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lifnum.errors import _is_integer
from lifnum.files.trace import EPOCHS


@dataclass(frozen=True)
class EarlyStopping:
    """Ends the training after `patience` epochs without a better value of a column.

    column: one of the trace's epochs; of a loss the least value is the best, else the largest.

    Raises
    ------
    ValueError
        A patience below 1, or a column that has no value, none of the trace's, or one a layer.
    """

    patience: int = 5
    column: str = "validation_accuracy"

    def __post_init__(self):
        if not _is_integer(self.patience) or self.patience < 1:
            raise ValueError(f"patience is {self.patience!r}; accepted: an integer >= 1")
        accepted = [name for name, by_layer in EPOCHS.items() if not by_layer]
        if self.column not in accepted:
            raise ValueError(f"column is {self.column!r}; accepted: {', '.join(accepted)}")

    def __call__(self, run, row):
        values = run.history()[self.column]
        if np.isnan(values).all():
            raise ValueError(f"column is {self.column!r}, which has no values; accepted: another")
        best = np.nanargmin(values) if self.column.endswith("loss") else np.nanargmax(values)
        return len(values) - 1 - best >= self.patience


@dataclass(frozen=True)
class CSVLog:
    """Keeps the columns of the trace's epochs in a CSV file, one column a layer where they differ.

    The file is written anew after every epoch. One that is there is replaced only if it holds
    earlier epochs of the same run.
    """

    path: str

    def __call__(self, run, row):
        columns = {}
        for name, values in run.history().items():
            if values.ndim == 1:
                columns[name] = values
            else:
                columns |= {f"{name}_{k}": layer for k, layer in enumerate(values.T)}
        rows = [list(columns)]
        rows += [[repr(x) for x in one] for one in zip(*(v.tolist() for v in columns.values()))]
        path = Path(self.path)
        if path.exists():
            with open(path, newline="") as stream:
                before = list(csv.reader(stream))
            if before != rows[: len(before)]:
                raise ValueError(f"path {path} exists, and is not of this run; accepted: another")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "w", newline="") as stream:
                csv.writer(stream).writerows(rows)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


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
