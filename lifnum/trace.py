"""Traces: one HDF5 file a run. `TraceWriter` writes it, `Trace` reads it.

Schema 1. Root attributes: ``schema``, ``config`` (JSON: everything that decides the result),
``seed``, ``threads``, ``workers`` (the most runs that went on at once on the machine; 1: times are
of a run alone), ``created``, ``command``, ``cpu``, versions of lifnum, NumPy and Numba.

``epochs/``, ``batches/``   tables: one dataset a column, first axis the row; ``rows`` counts the
    valid ones and is written last, so that a reader never sees half a row. Columns: `EPOCHS`, one
    row an evaluation, and `BATCHES`, one row every few batches.
``weights/{initial,best,last}/<layer>``   (slots, n_pre, n_post), of which ``slot`` names the valid
    one: the other is written first, then the name changes.
``confusion``   (slots, n_classes, n_classes + 1): label, prediction; last column: silent output.
``raster/``   spikes of a few test samples: ``time``, ``layer`` (0: input), ``sample``, ``neuron``,
    and ``label``, ``prediction`` of each sample; ``count`` spikes are valid.
``status``   one of `STATUS`.

All datasets are created before single-writer-multiple-reader mode starts, with checksums. A file
whose writer was killed opens only with ``swmr=True``; the reader always does.
"""

import fcntl
import json
import os
import platform
import sys
import time
from pathlib import Path

import h5py
import numba
import numpy as np

from lifnum._version import __version__

SCHEMA = 1

STATUS = ("running", "finished", "interrupted")

# column -> whether it has one value a layer
EPOCHS = {
    "epoch": False,  # epochs done, fractional where evaluated more often
    "learning_rate": False,
    "train_loss": False,
    "train_accuracy": False,
    "validation_loss": False,
    "validation_accuracy": False,
    "test_loss": False,
    "test_accuracy": False,
    "train_spikes": True,  # a sample
    "test_spikes": True,
    "silent": True,  # share of neurons that never spiked in training since the row before
    "capped": True,  # neurons at the cap of spikes, a sample, in training
    "suppressed": True,  # neurons whose next spike the cap suppressed, a sample
    "steps": True,  # sub-intervals a sample
    "step_length": True,  # their mean, in the unit of the time constants
    "gradient_norm": True,  # mean over the batches since the row before
    "without_gradient": True,  # spikes that passed no gradient, a sample
    "seconds_training": False,  # since the start of the run
    "seconds_evaluation": False,  # of this row
}

BATCHES = {
    "epoch": False,
    "loss": False,
    "accuracy": False,
    "spikes": True,
    "gradient_norm": True,
}

# columns that differ between two identical runs
TIMINGS = ("seconds_training", "seconds_evaluation")

RASTER_CAPACITY = 200_000

_CHUNK = 64  # rows

_MAX_JSON = 1 << 20

# what h5py raises on damaged files
_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


class TraceError(ValueError):
    """A trace that can not be read or written; the message is one line that names the file."""


def environment(threads):
    """Header entries that describe where a run takes place."""
    return {
        "lifnum": __version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
        "cpu": _cpu_model(),
        "threads": threads,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": " ".join(sys.argv),
    }


def _cpu_model():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class Lock:
    """Exclusive claim on an output path, through a file beside it that the system unlocks."""

    def __init__(self, path):
        self.path = Path(f"{path}.lock")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            self._file = open(self.path, "a")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._file.close()
                raise TraceError(f"{path}: another process is writing it") from None
            try:  # the file may have been removed between opening and locking it
                if os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
                    return
            except FileNotFoundError:
                pass
            self._file.close()

    def release(self):
        """Give the claim back."""
        if not self._file.closed:
            self.path.unlink(missing_ok=True)
            self._file.close()


class TraceWriter:
    """Writes one trace.

    Parameters
    ----------
    path : path
    header : dict
        Root attributes: ``config`` (a dict, stored as JSON), ``seed`` and what `environment` gives.
    weights : list of ndarray
        Initial weights.
    n_classes : int
    n_samples : int
        Test samples whose spikes the raster keeps.
    overwrite : bool

    Raises
    ------
    TraceError
        The path exists (without overwrite), or another process is writing it.
    OSError
        The file system refuses: no space, no permission.
    """

    def __init__(self, path, header, weights, n_classes, n_samples=8, overwrite=False):
        self.path = Path(path)
        self._lock = Lock(self.path)
        try:
            if self.path.exists() and not overwrite:
                raise TraceError(f"{self.path}: exists; accepted: another --output, or --overwrite")
            self._create(self.path, header, weights, n_classes, n_samples)
            self.set_weights("initial", weights)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def resume(cls, path, epoch_rows, batch_rows, workers=1):
        """Continue a trace: copy its first rows into a new file that takes its place.

        The header keeps the most workers that any part of the run had.

        Raises
        ------
        TraceError
            Not a trace, fewer rows than that, or another process is writing it.
        """
        self = cls.__new__(cls)
        self.path = Path(path)
        self._lock = Lock(self.path)
        try:
            with Trace(path) as old:
                weights = old.weights("initial")
                n_classes = old.confusion.shape[0]
                n_samples = len(old.raster["label"])
                temporary = Path(f"{path}.new")
                header = old.header | {"workers": max(workers, old.header.get("workers", 1))}
                self._create(temporary, header, weights, n_classes, n_samples)
                self.set_weights("initial", weights)
                for name, rows in (("epochs", epoch_rows), ("batches", batch_rows)):
                    columns = getattr(old, name)
                    if len(columns["epoch"]) < rows:
                        raise TraceError(f"{path}: has fewer rows than its checkpoint")
                    for k in range(rows):
                        self._append(name, {key: value[k] for key, value in columns.items()})
            self._file.flush()
            os.replace(temporary, path)
        except BaseException:
            self._lock.release()
            raise
        return self

    def _create(self, path, header, weights, n_classes, n_samples):
        file = self._file = h5py.File(path, "w", libver="latest")
        file.attrs["schema"] = SCHEMA
        for name, value in header.items():
            file.attrs[name] = json.dumps(value) if isinstance(value, dict) else value
        n_layers = len(weights)
        for table, columns in (("epochs", EPOCHS), ("batches", BATCHES)):
            group = file.create_group(table)
            for name, per_layer in columns.items():
                shape = (n_layers,) if per_layer else ()
                group.create_dataset(name, (0, *shape), "f8", maxshape=(None, *shape),
                                     chunks=(_CHUNK, *shape), fletcher32=True)  # fmt: skip
            group.create_dataset("rows", (), "i8")
        for which, slots in (("initial", 1), ("best", 2), ("last", 2)):
            group = file.create_group(f"weights/{which}")
            group.create_dataset("slot", data=np.int64(-1))
            for k, w in enumerate(weights):
                shape = (slots, *w.shape)
                chunks = (1, *(max(1, n) for n in w.shape))
                group.create_dataset(str(k), shape, w.dtype, chunks=chunks, fletcher32=True)
        confusion = (2, n_classes, n_classes + 1)
        file.create_dataset("confusion", confusion, "i8", chunks=confusion, fletcher32=True)
        file.create_dataset("confusion_slot", data=np.int64(0))
        raster = file.create_group("raster")
        raster.create_dataset("count", (), "i8")
        for name, dtype in (("time", "f8"), ("layer", "i4"), ("sample", "i4"), ("neuron", "i4")):
            raster.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(4096,),
                                  fletcher32=True)  # fmt: skip
        for name in ("label", "prediction"):
            raster.create_dataset(name, (n_samples,), "i8", chunks=(max(1, n_samples),),
                                  fletcher32=True)  # fmt: skip
        file.create_dataset("status", data=np.int64(0))
        self._flushed = time.monotonic()
        file.swmr_mode = True

    def _append(self, table, row):
        columns = EPOCHS if table == "epochs" else BATCHES
        if row.keys() != columns.keys():
            raise TraceError(
                f"{self.path}: columns {sorted(row.keys() ^ columns.keys())} do not belong to, "
                f"or lack in, a row of {table}"
            )
        group = self._file[table]
        n = int(group["rows"][()])
        for name, value in row.items():
            if len(group[name]) < n + 1:
                group[name].resize(n + 1, axis=0)
            group[name][n] = value
        self._file.flush()
        group["rows"][()] = n + 1

    def append_epoch(self, row):
        """Add a row, a dict of all columns of `EPOCHS`, and flush."""
        self._append("epochs", row)
        self.flush()

    def append_batch(self, row):
        """Add a row, a dict of all columns of `BATCHES`; flushed every few seconds."""
        self._append("batches", row)
        if time.monotonic() - self._flushed > 2.0:
            self.flush()

    def rows(self):
        """Number of rows of the two tables: (epochs, batches)."""
        return tuple(int(self._file[f"{table}/rows"][()]) for table in ("epochs", "batches"))

    def set_weights(self, which, weights):
        """Keep the weights as initial, best or last."""
        group = self._file[f"weights/{which}"]
        slot = 0 if which == "initial" else (int(group["slot"][()]) + 1) % 2
        for k, w in enumerate(weights):
            group[str(k)][slot] = w
        self._file.flush()
        group["slot"][()] = slot
        self.flush()

    def set_confusion(self, confusion):
        """Keep the confusion matrix of an evaluation."""
        slot = 1 - int(self._file["confusion_slot"][()])
        self._file["confusion"][slot] = confusion
        self._file.flush()
        self._file["confusion_slot"][()] = slot

    def set_raster(self, trains, labels, predictions):
        """Keep the spikes of a few samples: one SpikeTrains a layer, the input first."""
        group = self._file["raster"]
        group["count"][()] = 0
        self._file.flush()
        layer = np.repeat(np.arange(len(trains)), [len(t.times) for t in trains])
        sample = [np.repeat(np.arange(len(t)), np.diff(t.offsets)) for t in trains]
        columns = {
            "time": np.concatenate([t.times for t in trains])[:RASTER_CAPACITY],
            "layer": layer[:RASTER_CAPACITY],
            "sample": np.concatenate(sample)[:RASTER_CAPACITY],
            "neuron": np.concatenate([t.indices for t in trains])[:RASTER_CAPACITY],
        }
        n = len(columns["time"])
        for name, values in columns.items():
            if len(group[name]) < n:
                group[name].resize(n, axis=0)
            group[name][:n] = values
        group["label"][: len(labels)] = labels
        group["prediction"][: len(predictions)] = predictions
        self._file.flush()
        group["count"][()] = n

    def flush(self):
        """Hand everything to the operating system."""
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self, status):
        """End the trace with one of `STATUS`."""
        try:
            if self._file:
                self._file["status"][()] = STATUS.index(status)
                self._file.close()
        finally:
            self._lock.release()


class Trace:
    """Reads one trace, finished or not, while it is written or after its writer was killed.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    header, config : dict
    epochs, batches : dict of ndarray
        Columns by name, first axis the row.
    confusion : ndarray (n_classes, n_classes + 1)
    raster : dict of ndarray
    status : str

    Raises
    ------
    TraceError
        No such file, not a trace, another schema, or damaged.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.is_file():
            raise TraceError(f"{path}: no such file")
        self._size = self.path.stat().st_size
        try:
            self._file = h5py.File(self.path, "r", libver="latest", swmr=self._is_open())
        except TraceError:
            raise
        except (OSError, RuntimeError, ValueError) as error:
            raise TraceError(f"{path}: no readable HDF5 file ({_line(error)})") from None
        try:
            self.header = self._read_header()
        except TraceError:
            self.close()
            raise

    def _is_open(self):
        """Whether a writer has the file open, or was killed: then only SWMR mode reads it.

        A closed file is opened without: HDF5 then refuses one that is truncated, while SWMR mode
        may wait for the missing part for ever. The flags stand in byte 11 of the superblock.
        """
        with open(self.path, "rb") as stream:
            superblock = stream.read(48)
        if len(superblock) < 48 or superblock[:8] != b"\x89HDF\r\n\x1a\n" or superblock[8] != 3:
            raise TraceError(f"{self.path}: no trace, or truncated")
        return superblock[11] != 0

    def _read_header(self):
        def read():
            attrs = self._file.attrs
            if "schema" not in attrs or "config" not in attrs:
                raise TraceError(f"{self.path}: not a trace of lifnum")
            if attrs["schema"] != SCHEMA:
                raise TraceError(
                    f"{self.path}: trace of schema {attrs['schema']}; accepted: {SCHEMA}"
                )
            header = {}
            for name in attrs:
                value = attrs[name]
                if isinstance(value, str) and len(value) > _MAX_JSON:
                    raise TraceError(f"{self.path}: attribute {name} is too long")
                header[name] = value.item() if isinstance(value, np.generic) else value
            header["config"] = json.loads(header["config"])
            if not isinstance(header["config"], dict):
                raise TraceError(f"{self.path}: the configuration is damaged")
            return header

        return self._guarded(read)

    @property
    def config(self):
        return self.header["config"]

    def _guarded(self, read, tries=20):
        """Read; again where a writer may have been in the middle of replacing what is read."""
        for attempt in range(tries):
            try:
                return read()
            except TraceError:
                raise
            except _READ_ERRORS as error:
                if attempt == tries - 1 or self.status_code() != 0:
                    raise TraceError(f"{self.path}: damaged ({_line(error)})") from None
                time.sleep(0.01)
        raise AssertionError

    def status_code(self):
        """Number of the status, 1 where it can not be read."""
        try:
            status = self._file["status"]
            status.refresh()
            return int(status[()])
        except _READ_ERRORS:
            return 1

    def _dataset(self, name, ndim=None):
        item = self._file[name]
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fi":
            raise TraceError(f"{self.path}: {name} is no array of numbers")
        item.refresh()
        if item.nbytes > 2 * max(self._size, self.path.stat().st_size) + (1 << 20):
            raise TraceError(f"{self.path}: {name} claims more than the file holds")
        if ndim is not None and item.ndim != ndim:
            raise TraceError(f"{self.path}: {name} has {item.ndim} dimensions, not {ndim}")
        return item

    def _table(self, table, columns):
        def read():
            n = int(self._dataset(f"{table}/rows", 0)[()])
            values = {}
            for name, per_layer in columns.items():
                column = self._dataset(f"{table}/{name}", 2 if per_layer else 1)
                if not 0 <= n <= len(column):
                    raise OSError(f"{table}/{name} has fewer than {n} rows")
                values[name] = column[:n]
            return values

        return self._guarded(read)

    @property
    def epochs(self):
        return self._table("epochs", EPOCHS)

    @property
    def batches(self):
        return self._table("batches", BATCHES)

    def weights(self, which="last"):
        """List of weight arrays: initial, best or last.

        Raises
        ------
        TraceError
            None were written, or damaged.
        """

        def read():
            slot = int(self._dataset(f"weights/{which}/slot", 0)[()])
            if slot not in (0, 1):
                raise TraceError(f"{self.path}: holds no {which} weights yet")
            n = len(self._file[f"weights/{which}"]) - 1
            arrays = [self._dataset(f"weights/{which}/{k}", 3)[slot] for k in range(n)]
            if int(self._dataset(f"weights/{which}/slot", 0)[()]) != slot:
                raise OSError("replaced while it was read")
            return arrays

        return self._guarded(read)

    @property
    def confusion(self):
        def read():
            slot = int(self._dataset("confusion_slot", 0)[()])
            return self._dataset("confusion", 3)[slot]

        return self._guarded(read)

    @property
    def raster(self):
        def read():
            n = int(self._dataset("raster/count", 0)[()])
            values = {}
            for name in ("time", "layer", "sample", "neuron"):
                column = self._dataset(f"raster/{name}", 1)
                if not 0 <= n <= len(column):
                    raise OSError("raster is shorter than its count")
                values[name] = column[:n]
            return values | {name: self._dataset(f"raster/{name}", 1)[()]
                             for name in ("label", "prediction")}  # fmt: skip

        return self._guarded(read)

    @property
    def status(self):
        code = self._guarded(lambda: int(self._dataset("status", 0)[()]))
        if not 0 <= code < len(STATUS):
            raise TraceError(f"{self.path}: damaged (status {code})")
        return STATUS[code]

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _line(error):
    text = str(error).splitlines()
    return text[0] if text else type(error).__name__
