"""Spike trains from a user's NPZ or HDF5 file."""

import io
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from itertools import product
from pathlib import Path

import h5py
import numpy as np

from lifnum.data.dataset import Dataset
from lifnum.errors import DataError
from lifnum.files import hdf5
from lifnum.spikes import SpikeTrains

# a confusion matrix has a row and a column for each, of 8 bytes an entry: then 8 MB
MAX_CLASSES = 1000

# a file of spike trains may unpack to this many bytes, and this many times its own size more
MAX_UNPACKED, MAX_RATIO = 64 << 20, 100

# what zipfile, NumPy and h5py raise on damaged files
READ_ERRORS = (OSError, ValueError, KeyError, EOFError, RuntimeError, TypeError, IndexError,
                AttributeError, SyntaxError, NotImplementedError, OverflowError, MemoryError,
                zlib.error, struct.error, tokenize.TokenError, zipfile.BadZipFile)  # fmt: skip


def load_file(path):
    """Labelled spike trains from a user's file.

    NPZ with arrays ``train_times``, ``train_indices``, ``train_offsets``, ``train_labels`` and
    the same for ``test_``; or HDF5 with groups ``train`` and ``test`` that hold ``times``,
    ``indices``, ``offsets``, ``labels``. The number of input neurons is the largest index plus
    one. Labels are any integers: the distinct ones of both parts, rising, are the classes, at most
    `MAX_CLASSES`.

    Raises
    ------
    DataError
        A missing or damaged file or array, or invalid spike trains; never runs code from it.
    """
    path = Path(path)
    arrays = _read(path, _keys(("train", "test")))
    n_neurons = _n_neurons(path, arrays)
    parts = [one for part in ("train", "test") for one in _part(path, part, arrays, n_neurons)]
    return numbered(path, *parts)


def numbered(path, train, train_labels, test, test_labels):
    """The Dataset of a file whose labels are any integers: the distinct ones are the classes.

    Raises
    ------
    DataError
        There are more than `MAX_CLASSES`.
    """
    classes = np.unique(np.concatenate([train_labels, test_labels]))
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"{path}: has {len(classes)} distinct labels, from {classes[0]} to {classes[-1]}; "
            f"accepted: at most {MAX_CLASSES}"
        )
    train_labels, test_labels = (np.searchsorted(classes, x) for x in (train_labels, test_labels))
    plain = (classes == np.arange(len(classes))).all()
    parts = train, train_labels, test, test_labels
    return Dataset(Path(path).stem, *parts, len(classes), None if plain else classes)


def load_spikes(path):
    """(SpikeTrains, labels or None) of the part for test of a file as in `load_file`.

    The part for training need not be there, nor the labels; these are as in the file, int64 (n,).

    Raises
    ------
    DataError
        As `load_file`.
    """
    path = Path(path)
    arrays = _read(path, _keys(("test",)), {("test", "labels")})
    return _part(path, "test", arrays, _n_neurons(path, arrays))


def _keys(parts):
    return list(product(parts, ("times", "indices", "offsets", "labels")))


def _read(path, keys, optional=frozenset()):
    """The arrays of these keys that a file has, all but the optional ones."""
    try:
        if h5py.is_hdf5(path):
            return _read_hdf5(path, keys, optional)
        if zipfile.is_zipfile(path):
            return _read_npz(path, keys, optional)
        raise DataError(f"{path}: is neither NPZ nor HDF5")
    except DataError:
        raise
    except READ_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: damaged or unreadable ({reason})") from None


def _n_neurons(path, arrays):
    """The largest index of any part plus one."""
    largest = [0]
    for (part, key), array in arrays.items():
        if key == "indices" and array.size:
            if array.dtype.kind not in "iu":
                raise DataError(f"{path}: {part}: indices are {array.dtype}; accepted: integers")
            largest.append(int(array.max()))
    return 1 + max(largest)


def _require_numbers(path, name, dtype, shape):
    if dtype.kind not in "fiu" or len(shape) != 1:
        raise DataError(
            f"{path}: {name} is no one-dimensional array of numbers but {dtype} of shape {shape}; "
            "accepted: such an array"
        )


def _part(path, part, arrays, n_neurons):
    """[SpikeTrains, labels or None] of a part, checked."""
    times, index, offsets = (arrays[part, key] for key in ("times", "indices", "offsets"))
    try:
        trains = SpikeTrains(times, index, offsets, n_neurons)
    except ValueError as error:
        raise DataError(f"{path}: {part}: {' '.join(str(error).split())}") from None
    labels = arrays.get((part, "labels"))
    if labels is None:
        return [trains, None]
    if labels.shape != (len(trains),) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: {part}: labels are {labels.dtype} of shape {labels.shape}; "
            f"accepted: integers of shape ({len(trains)},)"
        )
    if labels.size and labels.max() >= 2**63:
        raise DataError(f"{path}: {part}: a label is {labels.max()}; accepted: below 2^63")
    return [trains, labels.astype(np.int64)]


def _read_npz(path, keys, optional):
    """Arrays of an NPZ file, each as large as its own header and the archive say alike."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        infos = {(part, key): infos.get(f"{part}_{key}.npy") for part, key in keys}
        for (part, key), info in infos.items():
            if info is None and (part, key) not in optional:
                raise DataError(f"{path}: has no array {part}_{key}")
        infos = {key: info for key, info in infos.items() if info is not None}
        _check_size(path, sum(info.file_size for info in infos.values()))
        for (part, key), info in infos.items():
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(
                    f"{path}: {part}_{key} is compressed in another way than NumPy does"
                )
            with archive.open(info) as stream:
                content = stream.read(info.file_size + 1)
            stream = io.BytesIO(content)
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            else:
                shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
            count = math.prod(shape)
            _require_numbers(path, f"{part}_{key}", dtype, shape)
            if count * dtype.itemsize != len(content) - stream.tell():
                raise DataError(f"{path}: {part}_{key} claims another size than it has")
            arrays[part, key] = np.frombuffer(content, dtype, count, stream.tell())
    return arrays


def _check_size(path, size):
    """Refuse files that claim to unpack to much more than spike trains can."""
    if size > MAX_UNPACKED + MAX_RATIO * path.stat().st_size:
        raise DataError(f"{path}: claims to hold {size} bytes, more than spike trains would")


def _read_hdf5(path, keys, optional):
    arrays = {}
    with open_hdf5(path) as file:
        items = {key: file.get("/".join(key)) for key in keys}
        items = {
            key: item for key, item in items.items() if item is not None or key not in optional
        }
        for (part, key), item in items.items():
            if not isinstance(item, h5py.Dataset):
                raise DataError(f"{path}: has no array {part}/{key}")
            _require_numbers(path, f"{part}/{key}", item.dtype, item.shape)
            if item.is_virtual or item.external:
                raise DataError(f"{path}: {part}/{key} is kept in another file")
        _check_size(path, sum(item.nbytes for item in items.values()))
        for key, item in items.items():
            arrays[key] = item[()]
        unchecked = not all(item.fletcher32 for item in items.values())
    if unchecked:
        warnings.warn(
            f"{path}: has arrays without checksum (fletcher32): damage to them goes unnoticed",
            stacklevel=2,
        )
    return arrays


def open_hdf5(path):
    """Open a user's file: one of the newest format as safely as a trace."""
    try:
        hdf5.Superblock(path)
    except OSError:
        return h5py.File(path, "r")
    return hdf5.open_file(path, lambda: False)
