"""Traces: one HDF5 file a run. `TraceWriter` writes it, `Trace` reads it.

Schema 1. Root attributes: ``schema``, ``kind``, ``config`` (JSON: everything that decides the
result), ``seed``, ``run`` (a name that its checkpoints carry), ``data`` (SHA-256 of the data set),
``threads``, ``workers`` (the most runs that went on at once on the machine; 1: times are of a run
alone), ``created``, ``command``, ``cpu``, versions of lifnum, NumPy and Numba.

``epochs/``, ``batches/``   tables: one dataset a column, first axis the row; ``rows`` counts the
    valid ones and is written last, so that a reader never sees half a row. Columns: `EPOCHS`, one
    row an evaluation, and `BATCHES`, one row every few batches.
``weights/{initial,best,last}/<layer>``   (slots, n_pre, n_post), of which ``slot`` names the valid
    one: the other is written first, then the name changes.
``confusion``   (slots, n_classes, n_classes + 1): label, prediction; last column: silent output.
``classes``   (n_classes,): the label in the data that each output neuron stands for. Labels and
    predictions elsewhere in the trace are numbers of output neurons.
``raster/``   spikes of a few test samples: ``time``, ``layer`` (0: input), ``sample``, ``neuron``,
    and ``label``, ``prediction`` of each sample; ``count`` spikes are valid.
``status``   one of `STATUS`.

All datasets are created before single-writer-multiple-reader mode starts, with checksums (HDF5
has its own for the rest, variable-length data aside, of which there is none). A file whose writer
was killed opens only with ``swmr=True``.
"""

import contextlib
import json
import os
import platform
import re
import sys
import time
from pathlib import Path

import h5py
import numba
import numpy as np

from lifnum import hdf5, presets
from lifnum._version import __version__
from lifnum.lock import Lock, TraceError, is_claimed
from lifnum.network import Scheme

SCHEMA = 1

KIND = "lifnum-trace"

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
    "unresolved": True,  # crossings that the interpolation did not resolve, a sample, in training
    "test_unresolved": True,  # NaN, as in training, where they are not counted
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

# columns that traces and checkpoints of earlier versions lack, and that are read as NaN there
ADDED = ("unresolved", "test_unresolved")

_TABLES = {"epochs": EPOCHS, "batches": BATCHES}

# columns that differ between two identical runs
TIMINGS = ("seconds_training", "seconds_evaluation")

RASTER_CAPACITY = 200_000

_CHUNK = 64  # rows

_MAX_JSON = 1 << 20

# what h5py raises where it can not write, and on damaged files
_WRITE_ERRORS = (OSError, RuntimeError, KeyError)
_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError)


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
        "command": " ".join(sys.argv).encode(errors="backslashreplace").decode(),
    }


def _cpu_model():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class _Rows:
    """The rows of a table in memory: columns that grow by doubling."""

    def __init__(self, columns, n_layers):
        self.n = self.published = 0
        self._columns = {name: np.empty((_CHUNK, n_layers) if per_layer else _CHUNK)
                         for name, per_layer in columns.items()}  # fmt: skip

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
    n_classes : int
    n_samples : int
        Test samples whose spikes the raster keeps.
    overwrite : bool
    lock : Lock, optional
        The claim on the path, if it is held already; the writer releases its own only.
    state : dict of ndarray, optional
        What `state` of a writer returned: the trace starts with that content.
    classes : ndarray (n_classes,), optional
        The label in the data of each class; 0, 1, ... by default.

    Raises
    ------
    TraceError
        The path exists (without overwrite), or another process is writing it.
    OSError
        The file system refuses: no space, no permission. The trace then ends where it is.
    """

    def __init__(self, path, header, weights, n_classes, n_samples=8, overwrite=False, lock=None,
                 state=None, classes=None):  # fmt: skip
        self.path = Path(path)
        self._file = None
        self._own_lock = None if lock else Lock(self.path)
        temporary = Path(f"{path}.new")
        try:
            if self.path.exists() and not overwrite:
                raise TraceError(f"{self.path}: exists; accepted: another --output, or --overwrite")
            self._tables = {name: _Rows(columns, len(weights)) for name, columns in _TABLES.items()}
            self._confusion = self._raster = None
            self._changed = set()  # which of the two are to be written
            with self._writing():
                classes = np.arange(n_classes) if classes is None else classes
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
        config = json.dumps(header["config"])
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
                make(f"{table}/{name}", (0, *shape), "f8", (_CHUNK, *shape),
                     maxshape=(None, *shape))  # fmt: skip
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
        arrays = {f"{table}.{name}": column for table, rows in self._tables.items()
                  for name, column in rows.columns().items()}  # fmt: skip
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
        raster = {name.removeprefix("raster."): value for name, value in state.items()
                  if name.startswith("raster.")}  # fmt: skip
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


def _refusal(path, error):
    """An OSError of one line that names the file, for what HDF5 says in many."""
    number = re.search(r"errno = (\d+)", str(error))
    number = int(number[1]) if number else getattr(error, "errno", None)
    if number is None:
        return OSError(f"{path}: can not be written ({hdf5.one_line(error)})")
    return OSError(number, f"can not be written: {os.strerror(number)}", str(path))


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
    classes : ndarray (n_classes,)
        The label in the data that each output neuron stands for.
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
        try:
            self._file = self._open()
        except FileNotFoundError:
            raise TraceError(f"{path}: no such file") from None
        try:
            self.header = self._guarded(self._read_header)
        except TraceError:
            self.close()
            raise

    def _open(self, tries=20):
        """Open the file; again where its writer was in the middle of something."""
        for attempt in range(tries):
            before = self.path.stat().st_mtime_ns
            written = is_claimed(self.path)
            try:
                return hdf5.open_file(self.path, lambda: is_claimed(self.path))
            except (OSError, RuntimeError, ValueError) as error:
                time.sleep(0.01)
                settled = not written and self.path.stat().st_mtime_ns == before
                if attempt == tries - 1 or settled:
                    raise TraceError(f"{self.path}: damaged ({hdf5.one_line(error)})") from None
        raise AssertionError

    def _read_header(self):
        attrs = self._file.attrs
        if "schema" not in attrs or "config" not in attrs:
            raise TraceError(f"{self.path}: not a trace of lifnum")
        header = {}
        for name in attrs:
            attribute = attrs.get_id(name)
            if attribute.shape != () or attribute.get_storage_size() > _MAX_JSON:
                raise TraceError(f"{self.path}: attribute {name} is too large")
            value = attrs[name]
            if isinstance(value, bytes):
                value = value.decode()
            if isinstance(value, str) and len(value) > _MAX_JSON:  # of variable length
                raise TraceError(f"{self.path}: attribute {name} is too large")
            header[name] = value.item() if isinstance(value, np.generic) else value
        if header.get("kind", KIND) != KIND:
            raise TraceError(f"{self.path}: is a {header['kind']}, not a {KIND}")
        if header["schema"] != SCHEMA:
            raise TraceError(f"{self.path}: trace of schema {header['schema']}; accepted: {SCHEMA}")
        header["config"] = json.loads(header["config"])
        if not isinstance(header["config"], dict):
            raise TraceError(f"{self.path}: the configuration is no dictionary")
        return header

    @property
    def config(self):
        return check_config(self.path, self.header["config"])

    def _guarded(self, read, tries=20):
        """Read; again where a writer may have been in the middle of replacing what is read."""
        for attempt in range(tries):
            try:
                return read()
            except TraceError:
                raise
            except _READ_ERRORS as error:
                if attempt == tries - 1 or (attempt > 1 and self.status_code() != 0):
                    raise TraceError(f"{self.path}: damaged ({hdf5.one_line(error)})") from None
                time.sleep(0.01)
        raise AssertionError

    def status_code(self):
        """Number of the status, 1 where it can not be read."""
        try:
            return self._number("status")
        except (TraceError, *_READ_ERRORS):
            return 1

    def _dataset(self, name, ndim=None):
        item = self._file[name]
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fi":
            raise TraceError(f"{self.path}: {name} is no array of numbers")
        if item.is_virtual or item.external:
            raise TraceError(f"{self.path}: {name} is kept in another file")
        item.refresh()
        # twice: of two slots one may have been written so far
        if item.nbytes > 2 * self.path.stat().st_size + (1 << 20):
            raise TraceError(f"{self.path}: {name} claims more than the file holds")
        if ndim is not None and item.ndim != ndim:
            raise TraceError(f"{self.path}: {name} has {item.ndim} dimensions, not {ndim}")
        return item

    def _number(self, name):
        return int(np.ravel(self._dataset(name)[()])[0])

    def _table(self, table, columns):
        def read():
            n = self._number(f"{table}/rows")
            values = {}
            for name, per_layer in columns.items():
                if name in ADDED and f"{table}/{name}" not in self._file:
                    values[name] = np.full((n, values["train_spikes"].shape[1]), np.nan)
                    continue
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
        ValueError
            Another name.
        """
        if which not in ("initial", "best", "last"):
            raise ValueError(f"which is {which!r}; accepted: initial, best, last")

        def read():
            slot = self._number(f"weights/{which}/slot")
            if slot not in (0, 1):
                raise TraceError(f"{self.path}: holds no {which} weights yet")
            n = len(self._file[f"weights/{which}"]) - 1
            arrays = [self._dataset(f"weights/{which}/{k}", 3)[slot] for k in range(n)]
            if any(array.dtype.kind != "f" for array in arrays):
                raise TraceError(f"{self.path}: {which} weights are no floating-point numbers")
            if self._number(f"weights/{which}/slot") != slot:
                raise OSError("replaced while it was read")
            return arrays

        return self._guarded(read)

    @property
    def confusion(self):
        def read():
            slot = self._number("confusion_slot")
            return self._dataset("confusion", 3)[slot]

        return self._guarded(read)

    @property
    def classes(self):
        def read():
            n = self._dataset("confusion", 3).shape[1]
            if "classes" not in self._file:  # older traces: labels were outputs
                return np.arange(n)
            classes = self._dataset("classes", 1)[()]
            if classes.dtype.kind != "i" or len(classes) != n or (np.diff(classes) <= 0).any():
                raise TraceError(f"{self.path}: classes are no {n} rising integers")
            return classes

        return self._guarded(read)

    @property
    def raster(self):
        def read():
            n = self._number("raster/count")
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
        code = self._guarded(lambda: self._number("status"))
        if not 0 <= code < len(STATUS):
            raise TraceError(f"{self.path}: damaged (status {code})")
        return STATUS[code]

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


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
            raise TraceError(f"{error}; --overwrite replaces traces only") from None


def check_config(path, config):
    """Return the configuration of a run, if it describes a network; TraceError names the path."""
    try:
        presets.from_config(config["preset"])
        Scheme(**config["scheme"])
        if not isinstance(config["seed"], int):
            raise ValueError(f"seed is {config['seed']!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TraceError(
            f"{path}: the configuration is not one of lifnum.train ({hdf5.one_line(error)})"
        ) from None
    return config
