"""The file of a transfer: rows of a table, kept as they come."""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from lifnum.errors import TransferError
from lifnum.files import hdf5
from lifnum.files.lock import Lock
from lifnum.methods import propagators

KIND = "lifnum-transfer"

SCHEMA = 1

# a scheme of a row; order of the power series: 0 for methods without one; dt: NaN for no grid
_SCHEME = {
    "method": ("S20", False),
    "order": ("i4", False),
    "dt": ("f8", False),
    "interpolation": ("S6", False),
}

# column -> (type, whether it has one value a layer)
SCHEMES = _SCHEME | {
    "accuracy": ("f8", False),
    "loss": ("f8", False),
    "agreement": ("f8", False),  # share of the samples predicted as by the trained scheme
    "spikes": ("f8", True),  # a sample
    "steps": ("f8", True),  # sub-intervals a sample
    "step_length": ("f8", True),  # duration over steps, as `EPOCHS` of a trace has it
    "silent": ("f8", True),  # share of neurons that never spiked
    "capped": ("f8", True),  # neurons at the cap of spikes, a sample
    "deviation_mean": ("f8", True),  # |t - t_trained| of matched spikes: the k-th of a neuron in
    "deviation_max": ("f8", True),  # a sample with its k-th under the trained scheme; NaN: none
    "matched": ("f8", True),  # spikes a sample
    "gained": ("f8", True),
    "lost": ("f8", True),
    "seconds": ("f8", False),  # evaluation alone
}

GRADIENTS = _SCHEME | {
    "gradient": ("S9", False),
    "weights": ("S7", False),  # initial or last
    "cosine_exact": ("f8", True),  # with the gradient of `exact`, same samples and weights
    "norm_exact": ("f8", True),  # relative to it
    "cosine_adjusted": ("f8", True),  # with `adjusted` of the same scheme; NaN without
    "norm_adjusted": ("f8", True),
}

_TABLES = {"schemes": SCHEMES, "gradients": GRADIENTS}

# attributes that a file must share with the run that goes on with it; data: SHA-256 of the samples,
# for a name and their number are those of other data too
IDENTITY = ("config", "seed", "trace", "weights", "weights_digest", "dataset", "n_samples", "data")

# the same of the samples of gradients, where there are any
TRAINING = "training_data"

_ADDED = ("data", TRAINING)  # files of earlier versions lack them

_MAX_TEXT = 1 << 20

_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


def scheme_key(scheme):
    """The first columns of a scheme's rows, by name."""
    return {
        "method": scheme.method.encode(),
        "order": propagators.series_order(scheme.method, scheme.order),
        "dt": np.nan if scheme.dt is None else float(scheme.dt),
        "interpolation": scheme.interpolation.encode(),
    }


def weights_digest(weights):
    """SHA-256 of weight arrays: whether a file belongs to them."""
    digest = hashlib.sha256()
    for w in weights:
        digest.update(f"{w.dtype}{w.shape}".encode() + np.ascontiguousarray(w).tobytes())
    return digest.hexdigest()


class Contents(NamedTuple):
    """What a transfer file holds: attributes, and columns by name, first axis the row."""

    header: dict
    schemes: dict
    gradients: dict | None
    n_gradient_samples: int | None


def _digest(header, tables):
    """SHA-256 of a header and of the columns of tables, whatever container they travel in."""
    plain = {key: value for key, value in header.items() if key != "digest"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name, (columns, samples) in tables.items():
        digest.update(f"{name} {samples}".encode())
        for key in _TABLES[name]:
            digest.update(f"{key} {columns[key].shape}".encode() + columns[key].tobytes())
    return digest.hexdigest()


def read_transfer(path):
    """Read a transfer file.

    Parameters
    ----------
    path : path

    Returns
    -------
    Contents

    Raises
    ------
    TransferError
        No such file, not a transfer file, another schema, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise TransferError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            header = _read_header(path, file)
            there = [name for name in _TABLES if name in file]
            tables = {name: _read_table(path, file[name], name) for name in there}
    except TransferError:
        raise
    except _READ_ERRORS as error:
        raise TransferError(f"{path}: damaged, or no HDF5 file ({hdf5.one_line(error)})") from None
    if "schemes" not in tables or _digest(header, tables) != header.get("digest"):
        raise TransferError(f"{path}: damaged (its digest does not match)")
    header["config"] = json.loads(header["config"])
    gradients, samples = tables.get("gradients", (None, None))
    return Contents(header, tables["schemes"][0], gradients, samples)


def _read_header(path, file):
    if _plain(file.attrs.get("kind")) != KIND:
        raise TransferError(f"{path}: no transfer file of lifnum")
    if file.attrs.get("schema") != SCHEMA:
        raise TransferError(
            f"{path}: transfer file of schema {file.attrs.get('schema')}; accepted: {SCHEMA}"
        )
    header = {}
    for name in file.attrs:
        if file.attrs.get_id(name).shape != ():
            raise TransferError(f"{path}: attribute {name} is no single value")
        value = file.attrs[name]
        header[name] = _plain(value)
        sound = isinstance(name, str) and isinstance(header[name], (str, int, float))  # UTF-8
        if not sound or len(str(value)) > _MAX_TEXT:
            raise TransferError(f"{path}: attribute {name} is damaged")
    missing = [name for name in IDENTITY if name not in header and name not in _ADDED]
    if missing:
        raise TransferError(f"{path}: lacks the attribute {missing[0]}")
    return header


def _plain(value):
    """An attribute as JSON can hold it."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def _read_table(path, group, table):
    """(columns, attribute n_samples or None) of one group, its sizes checked before it is read."""
    n = int(group["rows"][()])
    layers = None
    columns = {}
    for name, (dtype, per_layer) in _TABLES[table].items():
        item = group[name]
        sound = isinstance(item, h5py.Dataset) and item.dtype == dtype
        if not sound or item.ndim != 1 + per_layer or len(item) != n or item.chunks is not None:
            raise TransferError(f"{path}: {table}/{name} is no column of {n} rows")
        if item.nbytes > path.stat().st_size:
            raise TransferError(f"{path}: {table}/{name} claims more than the file holds")
        if per_layer and item.shape[1] != (layers := layers or item.shape[1]):
            raise TransferError(f"{path}: the columns of {table} differ in their layers")
        columns[name] = item[()]
    samples = group.attrs.get("n_samples")
    return columns, None if samples is None else int(samples)


class TransferFile:
    """Writes a transfer file, or goes on with one of the same trained run.

    Parameters
    ----------
    path : path
    header : dict
        Root attributes, `IDENTITY` among them; config is a dict. `TRAINING` too where there are
        gradients.
    n_layers : int
    n_gradient_samples : int, optional
        Training samples of the group ``gradients``, which is there from then on.
    overwrite : bool
        Begin anew where the path exists.

    Raises
    ------
    TransferError
        The path holds something else, or the transfer of another run or to other data.
    lifnum.trace.TraceError
        Another process is writing it.
    """

    def __init__(self, path, header, n_layers, n_gradient_samples=None, overwrite=False):
        self.path = Path(path)
        # as it is read back
        self._header = {"kind": KIND, "schema": SCHEMA, **header}
        self._header["config"] = json.dumps(header["config"])
        self._rows = {"schemes": []}
        self._samples = {"schemes": None, "gradients": n_gradient_samples}
        self._n_layers = n_layers
        self._lock = Lock(self.path)
        try:
            if self.path.exists():
                if overwrite:
                    self._check_replaceable()
                else:
                    self._go_on(header)
            if n_gradient_samples is not None:
                self._rows.setdefault("gradients", [])
        except BaseException:
            self._lock.release()
            raise

    def _check_replaceable(self):
        """Refuse to overwrite anything but a transfer file, damaged or not."""
        try:
            with h5py.File(self.path, "r") as file:
                ours = _plain(file.attrs.get("kind")) == KIND
        except _READ_ERRORS:
            ours = False
        if not ours:
            only = "--overwrite replaces these only"
            raise TransferError(f"{self.path}: no transfer file of lifnum; {only}")

    def _go_on(self, header):
        """Take over the rows of the file that is there."""
        before = read_transfer(self.path)
        for name in IDENTITY:
            there, here = before.header.get(name), json.loads(json.dumps(header.get(name)))
            if name == "data":
                self._check_data("samples", there, here)
            elif there != here:
                values = "" if name == "config" else f" ({there}, not {here})"
                raise TransferError(
                    f"{self.path}: holds a transfer with another {name}{values}; accepted: "
                    "another --output, or --overwrite"
                )
        kept, asked = before.n_gradient_samples, self._samples["gradients"]
        if before.gradients is not None and asked not in (None, kept):
            raise TransferError(
                f"{self.path}: its gradients are of {kept} samples; accepted: --gradients {kept}, "
                "another --output, or --overwrite"
            )
        if before.gradients is not None:
            if asked is not None:
                there, here = before.header.get(TRAINING), header.get(TRAINING)
                self._check_data("training samples", there, here)
            elif TRAINING in before.header:
                self._header[TRAINING] = before.header[TRAINING]
        for name in _TABLES:
            columns = getattr(before, name)
            if columns is not None:
                n = len(columns["method"])
                self._rows[name] = [{k: c[row] for k, c in columns.items()} for row in range(n)]
        self._samples["gradients"] = kept if asked is None else asked

    def _check_data(self, what, there, here):
        """Refuse rows of other samples, or of some that the file does not tell from others."""
        if there != here:
            holds = f"other {what} (another SHA-256)" if there else f"{what} without a SHA-256"
            raise TransferError(
                f"{self.path}: holds a transfer with {holds}; accepted: another --output, or "
                "--overwrite"
            )

    def has(self, table, key):
        """Whether a row that begins with `key`, a dict of its first columns, is there."""
        return any(_begins_with(row, key) for row in self._rows.get(table, ()))

    def append(self, table, *rows):
        """Add rows, dicts of all columns of the table, and replace the file."""
        for row in rows:
            if row.keys() != _TABLES[table].keys():
                raise TransferError(f"{self.path}: a row of {table} has other columns")
        self._rows[table] += rows
        self._write()

    def rows(self, table):
        """The rows of a table, a list of dicts."""
        return list(self._rows.get(table, ()))

    def _write(self):
        tables = {}
        for name, rows in self._rows.items():
            columns = {}
            for key, (dtype, per_layer) in _TABLES[name].items():
                shape = (len(rows), self._n_layers) if per_layer else (len(rows),)
                values = [row[key] for row in rows]
                columns[key] = np.array(values, dtype).reshape(shape)
            tables[name] = columns, self._samples[name]
        header = self._header | {"digest": _digest(self._header, tables)}
        temporary = Path(f"{self.path}.new")
        with h5py.File(temporary, "w", libver="latest") as file:
            hdf5.write_attributes(file, header)
            for name, (columns, samples) in tables.items():
                group = file.create_group(name)
                if samples is not None:
                    group.attrs["n_samples"] = samples
                for key, values in columns.items():
                    group.create_dataset(key, data=values)
                group.create_dataset("rows", data=np.int64(len(columns["method"])))
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, self.path)

    def close(self):
        """Give the claim on the path back."""
        self._lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _begins_with(row, key):
    """Whether the entries of key are those of the row."""
    # what differs from itself is NaN: no grid
    return all(row[k] == v or (row[k] != row[k] and v != v) for k, v in key.items())
