"""Writing a trace, a whole row at a time."""

import contextlib
import json
import os
import time
from pathlib import Path

import h5py
import numpy as np

from lifnum.errors import TraceError
from lifnum.files import hdf5
from lifnum.files.lock import Lock
from lifnum.files.reader import MAX_JSON, Trace
from lifnum.files.trace import (
    _CHUNK,
    _TABLES,
    ADDED,
    KIND,
    RASTER_CAPACITY,
    SCHEMA,
    STATUS,
    _refusal,
)

# what h5py raises where it can not write, and on damaged files
_WRITE_ERRORS = (OSError, RuntimeError, KeyError)


class _Rows:
    """The rows of a table in memory: columns that grow by doubling."""

    def __init__(self, columns, n_layers):
        self.n = self.published = 0
        shapes = {False: _CHUNK, True: (_CHUNK, n_layers)}
        self._columns = {name: np.empty(shapes[layered]) for name, layered in columns.items()}

    def append(self, row):
        for name, value in row.items():
            if self.n == len(self._columns[name]):
                self._columns[name] = np.concatenate([self._columns[name]] * 2)
            self._columns[name][self.n] = value
        self.n += 1

    def columns(self):
        return {name: column[: self.n] for name, column in self._columns.items()}


class TraceWriter:
    """Writes one trace; it appears under its name once it can be read.

    Parameters
    ----------
    path : path
    header : dict
        Root attributes: ``config`` (a dict, stored as JSON), ``seed`` and what `environment` gives.
    weights : list of ndarray
        Initial weights.
    classes : ndarray (n_classes,), or int
        The label in the data of each class, or their number where these are 0, 1, ...
    n_samples : int
        Test samples whose spikes the raster keeps.
    overwrite : bool
    lock : Lock, optional
        The claim on the path, if it is held already; the writer releases its own only.
    state : dict of ndarray, optional
        What `state` of a writer returned: the trace starts with that content.

    Raises
    ------
    TraceError
        The path exists (without overwrite), another process is writing it, or the configuration
        is too large.
    OSError
        The file system refuses: no space, no permission. The trace then ends where it is.
    """

    def __init__(
        self, path, header, weights, classes, n_samples=8, overwrite=False, lock=None, state=None
    ):
        self.path = Path(path)
        self._file = None
        self._own_lock = None if lock else Lock(self.path)
        temporary = Path(f"{path}.new")
        try:
            size = len(json.dumps(header["config"], default=hdf5.plain))
            if size > MAX_JSON:
                raise TraceError(
                    f"{self.path}: the configuration takes {size} bytes; accepted: at most "
                    f"{MAX_JSON}, with shorter arrays of parameters"
                )
            if self.path.exists() and not overwrite:
                raise TraceError(f"{self.path}: exists; accepted: another output, or overwrite")
            self._tables = {name: _Rows(columns, len(weights)) for name, columns in _TABLES.items()}
            self._confusion = self._raster = None
            self._changed = set()  # which of the two are to be written
            with self._writing():
                classes = np.arange(classes) if np.ndim(classes) == 0 else classes
                self._create(temporary, header, weights, classes, n_samples)
                self.set_weights("initial", weights)
                self._restore(state or {})
                os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            self._abandon()
            self._release()
            raise

    def _create(self, path, header, weights, classes, n_samples):
        file = self._file = h5py.File(path, "w", libver="latest")
        handle = file.id.get_vfd_handle()
        self._handle = handle, os.fstat(handle)
        config = json.dumps(header["config"], default=hdf5.plain)
        hdf5.write_attributes(file, header | {"config": config, "schema": SCHEMA, "kind": KIND})

        # held open: a data set that is closed writes, and can only print what goes wrong then
        sets = self._sets = {}

        def make(name, shape, dtype, chunks, **options):
            sets[name] = file.create_dataset(
                name, shape, dtype, chunks=chunks, fletcher32=True, **options
            )

        def number(name, value):
            make(name, (1,), "i8", (1,), data=[value])

        n_layers = len(weights)
        for table, columns in _TABLES.items():
            for name, per_layer in columns.items():
                shape = (n_layers,) if per_layer else ()
                grown = {"chunks": (_CHUNK, *shape), "maxshape": (None, *shape)}
                make(f"{table}/{name}", (0, *shape), "f8", **grown)
            number(f"{table}/rows", 0)
        for which, slots in (("initial", 1), ("best", 2), ("last", 2)):
            number(f"weights/{which}/slot", -1)
            for k, w in enumerate(weights):
                chunks = (1, *(max(1, n) for n in w.shape))
                make(f"weights/{which}/{k}", (slots, *w.shape), w.dtype, chunks)
        n_classes = len(classes)
        confusion = (2, n_classes, n_classes + 1)
        make("confusion", confusion, "i8", confusion)
        make("classes", (n_classes,), "i8", (max(1, n_classes),), data=classes)
        number("confusion_slot", 0)
        number("raster/count", 0)
        for name, dtype in (("time", "f8"), ("layer", "i4"), ("sample", "i4"), ("neuron", "i4")):
            make(f"raster/{name}", (0,), dtype, (4096,), maxshape=(None,))
        for name in ("label", "prediction"):
            make(f"raster/{name}", (n_samples,), "i8", (max(1, n_samples),))
        number("status", 0)
        largest = sum(w.nbytes for w in weights)
        self._reserved = largest + self._sets["confusion"].nbytes + (1 << 20)
        self._flushed = time.monotonic()
        file.swmr_mode = True

    @contextlib.contextmanager
    def _writing(self):
        """Turn what HDF5 raises where the file system refuses into an OSError that says so."""
        try:
            yield
        except _WRITE_ERRORS as error:
            self._abandon()
            raise _refusal(self.path, error) from None

    def _abandon(self):
        """Close the file without another byte written to it.

        HDF5 can not close a file that it fails to write: it crashes when the process ends. So
        what it still has to write goes nowhere; readers take the file for one of a killed writer.
        """
        file, self._file = self._file, None
        if file is None:
            return
        handle, identity = self._handle
        nowhere = os.open(os.devnull, os.O_RDWR)
        try:
            if os.path.samestat(os.fstat(handle), identity):  # not closed, nor used for another
                os.dup2(nowhere, handle)
            file.close()
        except _WRITE_ERRORS:
            pass
        finally:
            os.close(nowhere)

    def _release(self):
        if self._own_lock is not None:
            self._own_lock.release()

    def state(self):
        """The rows, confusion matrix and raster that were recorded, as arrays by name."""
        arrays = {}
        for table, rows in self._tables.items():
            arrays |= {f"{table}.{name}": column for name, column in rows.columns().items()}
        if self._confusion is not None:
            arrays["confusion"] = self._confusion
        return arrays | {f"raster.{name}": value for name, value in (self._raster or {}).items()}

    def _restore(self, state):
        for table, columns in _TABLES.items():
            n_rows = len(state.get(f"{table}.epoch", ()))
            absent = {f"{table}.{name}": np.full(n_rows, np.nan) for name in ADDED}
            known = absent | state
            for k in range(n_rows):
                self._tables[table].append({name: known[f"{table}.{name}"][k] for name in columns})
        of_raster = [name for name in state if name.startswith("raster.")]
        raster = {name.removeprefix("raster."): state[name] for name in of_raster}
        self._confusion, self._raster = state.get("confusion"), raster or None
        self._changed = {"confusion", "raster"} & {name.split(".")[0] for name in state}
        self._publish()

    def _append(self, table, row):
        columns = _TABLES[table]
        if row.keys() != columns.keys():
            raise TraceError(
                f"{self.path}: columns {sorted(row.keys() ^ columns.keys())} do not belong to, "
                f"or lack in, a row of {table}"
            )
        self._tables[table].append(row)

    def record(self, row, confusion=None, raster=None):
        """Add a row of `EPOCHS`, and what belongs to it, to `state` but not yet to the file.

        Parameters
        ----------
        row : dict
            All columns of `EPOCHS`.
        confusion : ndarray, optional
        raster : (trains, labels, predictions), optional
            Spikes of a few samples: one SpikeTrains a layer, the input first.
        """
        self._append("epochs", row)
        if confusion is not None:
            self._confusion = np.array(confusion, np.int64)
            self._changed.add("confusion")
        if raster is not None:
            self._raster = _raster_columns(*raster)
            self._changed.add("raster")

    def publish(self, **weights):
        """Write what was recorded, and weights (best, last), and flush."""
        for which, arrays in weights.items():
            self.set_weights(which, arrays)
        with self._writing():
            self._publish()

    def append_epoch(self, row):
        """Add a row, a dict of all columns of `EPOCHS`, and flush."""
        self.record(row)
        self.flush()

    def append_batch(self, row):
        """Add a row, a dict of all columns of `BATCHES`; flushed every few seconds."""
        self._append("batches", row)
        if time.monotonic() - self._flushed > 2.0:
            self.flush()

    def set_weights(self, which, weights):
        """Keep the weights as initial, best or last."""
        with self._writing():
            self._reserve()
            sets, slot = self._sets, f"weights/{which}/slot"
            chosen = 0 if which == "initial" else (int(sets[slot][0]) + 1) % 2
            for k, w in enumerate(weights):
                sets[f"weights/{which}/{k}"][chosen] = w
            self._file.flush()
            sets[slot][0] = chosen
            self._file.flush()

    def flush(self):
        """Write everything and hand it to the operating system."""
        with self._writing():
            self._publish()

    def _publish(self):
        file, sets = self._file, self._sets
        self._reserve()
        if "confusion" in self._changed:
            slot = 1 - int(sets["confusion_slot"][0])
            sets["confusion"][slot] = self._confusion
            file.flush()
            sets["confusion_slot"][0] = slot
        if "raster" in self._changed:
            sets["raster/count"][0] = 0
            file.flush()
            for name, values in self._raster.items():
                self._write(f"raster/{name}", values, 0)
            file.flush()
            sets["raster/count"][0] = len(self._raster["time"])
        self._changed.clear()
        for table, rows in self._tables.items():
            if rows.published < rows.n:
                for name, column in rows.columns().items():
                    self._write(f"{table}/{name}", column, rows.published)
                file.flush()
                sets[f"{table}/rows"][0] = rows.published = rows.n
        file.flush()
        self._flushed = time.monotonic()

    def _reserve(self):
        """Make the file longer (by a hole) than what the next writes need.

        HDF5 writes the length of the file before what makes it that long. Without the hole a kill
        in between would leave a file that counts as truncated, and so would a limit on its size.
        """
        raster = sum(column.nbytes for column in (self._raster or {}).values())
        size = self._file.id.get_filesize() + raster + self._reserved
        if os.fstat(self._handle[0]).st_size < size:
            os.ftruncate(self._handle[0], size)

    def _write(self, name, values, first):
        """Write values[first:] to a data set, made longer where it is too short for values."""
        data = self._sets[name]
        if len(data) < len(values):
            data.resize(len(values), axis=0)
        data[first : len(values)] = values[first:]

    def close(self, status, publish=True):
        """End the trace with one of `STATUS`, by default after what was recorded."""
        try:
            if self._file:
                with self._writing():
                    if publish:
                        self._publish()
                    self._sets["status"][0] = STATUS.index(status)
                    self._file.flush()
                    self._file.close()
                    self._file = None
                    os.truncate(self.path, hdf5.Superblock(self.path).end)
        finally:
            self._release()


def _raster_columns(trains, labels, predictions):
    """Columns of the raster: one SpikeTrains a layer, the input first."""
    layer = np.repeat(np.arange(len(trains)), [len(t.times) for t in trains])
    sample = [np.repeat(np.arange(len(t)), np.diff(t.offsets)) for t in trains]
    return {
        "time": np.concatenate([t.times for t in trains])[:RASTER_CAPACITY],
        "layer": layer[:RASTER_CAPACITY].astype(np.int32),
        "sample": np.concatenate(sample)[:RASTER_CAPACITY].astype(np.int32),
        "neuron": np.concatenate([t.indices for t in trains])[:RASTER_CAPACITY],
        "label": np.array(labels, np.int64),
        "prediction": np.array(predictions, np.int64),
    }


def check_replaceable(path):
    """Refuse to overwrite what is there, unless that is a trace.

    Raises
    ------
    TraceError
        The path is a folder, or a file whose header is not that of a trace.
    """
    path = Path(path)
    if path.is_dir():
        raise TraceError(f"{path}: is a folder; accepted: the name of a file")
    if path.exists():
        try:
            Trace(path).close()
        except TraceError as error:
            raise TraceError(f"{error}; overwrite replaces traces only") from None
