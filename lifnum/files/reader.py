"""Reading a trace, live or after a kill."""

import json
import time
from pathlib import Path

import h5py
import numpy as np

from lifnum.errors import TraceError
from lifnum.files import hdf5
from lifnum.files.lock import is_claimed
from lifnum.files.trace import ADDED, BATCHES, EPOCHS, KIND, SCHEMA, STATUS

MAX_JSON = 1 << 20
_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError)


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
            if attribute.shape != () or attribute.get_storage_size() > MAX_JSON:
                raise TraceError(f"{self.path}: attribute {name} is too large")
            value = attrs[name]
            if isinstance(value, bytes):
                value = value.decode()
            if isinstance(value, str) and len(value) > MAX_JSON:  # of variable length
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
        """The configuration of the run, as JSON holds it."""
        return self.header["config"]

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
            for name in ("label", "prediction"):
                values[name] = self._dataset(f"raster/{name}", 1)[()]
            return values

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
