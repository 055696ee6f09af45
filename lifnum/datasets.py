"""Labelled spike trains: bundled, generated, read from IDX files, or a user's own."""

import gzip
import hashlib
import io
import math
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from lifnum import encoding, hdf5
from lifnum.spikes import SpikeTrains

NAMES = ("digits", "yinyang", "mnist", "mnist-threshold", "fashion-mnist")

# IDX file -> dimensions; the SHA-256 of its content is below, and that of the distributed .gz
_IDX_SIZES = {
    "train-images-idx3-ubyte": (60000, 28, 28),
    "train-labels-idx1-ubyte": (60000,),
    "t10k-images-idx3-ubyte": (10000, 28, 28),
    "t10k-labels-idx1-ubyte": (10000,),
}

_CONTENT_SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}

_ARCHIVE_SHA256 = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion-mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}

MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
}


# a confusion matrix has a row and a column for each, of 8 bytes an entry: then 8 MB
MAX_CLASSES = 1000

# a file of spike trains may unpack to this many bytes, and this many times its own size more
MAX_UNPACKED, MAX_RATIO = 64 << 20, 100

# what zipfile, NumPy and h5py raise on damaged files
_READ_ERRORS = (OSError, ValueError, KeyError, EOFError, RuntimeError, TypeError, IndexError,
                AttributeError, SyntaxError, NotImplementedError, OverflowError, MemoryError,
                zlib.error, struct.error, tokenize.TokenError, zipfile.BadZipFile)  # fmt: skip


class DataError(ValueError):
    """A data set that is missing or damaged; the message is one line."""


class Dataset(NamedTuple):
    """Labelled spike trains for training and for test.

    Labels are int64 (n,), from 0 to n_classes - 1: label k stands for classes[k] where a user's
    labels are others, classes int64 (n_classes,), rising.
    """

    name: str
    train: SpikeTrains
    train_labels: np.ndarray
    test: SpikeTrains
    test_labels: np.ndarray
    n_classes: int
    classes: np.ndarray | None = None


def load(name, data_dir=None, window=0.1, seed=0, limit_train=None, limit_test=None):
    """Load a data set as spike trains.

    Parameters
    ----------
    name : str
        digits, yinyang, mnist, mnist-threshold, fashion-mnist, or the path of an NPZ or HDF5
        file of spike trains (see `load_file`).
    data_dir : path, optional
        Folder that holds mnist/ and fashion-mnist/; else LIFNUM_DATA, else data/. What is not
        there is downloaded into it.
    window : float
        Latest input spike, exclusive, in the unit of the time constants.
    seed : int
        Of the generated data (yinyang).
    limit_train, limit_test : int, optional
        Keep the first samples only.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        Missing or damaged files, or an unknown name.
    """
    if name == "digits":
        data = _digits(window)
    elif name == "yinyang":
        data = _yinyang(window, seed)
    elif name in NAMES:
        data = _images(name, data_dir, window)
    elif Path(name).is_file():
        data = load_file(name)
    else:
        raise DataError(f"dataset is {name!r}; accepted: {', '.join(NAMES)}, or an existing file")
    return _limited(data, limit_train, limit_test)


def _limited(data, limit_train, limit_test):
    train, test = data.train, data.test
    if limit_train is not None and limit_train < len(train):
        train = train.select(np.arange(limit_train))
    if limit_test is not None and limit_test < len(test):
        test = test.select(np.arange(limit_test))
    return data._replace(
        train=train,
        train_labels=data.train_labels[: len(train)],
        test=test,
        test_labels=data.test_labels[: len(test)],
    )


def _digits(window):
    """scikit-learn's 8x8 digits; 1,397 to train and 400 to test, the same for every seed."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    trains = encoding.latency(images[order], window, p_max=16)
    labels = labels[order].astype(np.int64)
    n = len(images) - 400
    rows = np.arange(len(images))
    return Dataset(
        "digits", trains.select(rows[:n]), labels[:n], trains.select(rows[n:]), labels[n:], 10
    )


def yinyang_points(n, generator):
    """n points (x, y) in [0, 1]^2 and their classes: 0 yin, 1 yang, 2 dot, drawn balanced.

    Kriener, Goeltz & Petrovici 2022: a disc of radius 0.5 with two dots of radius 0.1.
    """
    wanted = generator.integers(0, 3, n)
    points = np.empty((n, 2))
    open_rows = np.arange(n)
    while len(open_rows):
        x, y = generator.random((2, len(open_rows)))
        right, left = np.hypot(x - 0.75, y - 0.5), np.hypot(x - 0.25, y - 0.5)
        dot = (right < 0.1) | (left < 0.1)
        yin = (left > 0.1) & (left <= 0.25) | (y > 0.5) & (right > 0.25)
        classes = np.where(dot, 2, np.where(yin, 0, 1))
        inside = np.hypot(x - 0.5, y - 0.5) <= 0.5
        hit = inside & (classes == wanted[open_rows])
        points[open_rows[hit]] = np.stack([x[hit], y[hit]], axis=1)
        open_rows = open_rows[~hit]
    return points, wanted


def _yinyang(window, seed, n_train=5000, n_test=1000):
    """Inputs (x, y, 1 - x, 1 - y) as spike times in the window, and a bias spike at 0."""
    generator = np.random.default_rng([seed, 1000])
    parts = []
    for n in (n_train, n_test):
        points, labels = yinyang_points(n, generator)
        times = np.column_stack([points, 1.0 - points, np.zeros(n)]) * window
        samples = [(t, np.arange(5)) for t in times]
        parts += [SpikeTrains.from_samples(samples, 5), labels]
    return Dataset("yinyang", *parts, 3)


def _images(name, data_dir, window):
    source = "mnist" if name == "mnist-threshold" else name
    train, train_labels, test, test_labels = read_images(source, data_dir)

    def encode(images):
        if name == "mnist-threshold":
            return encoding.threshold(images)
        return encoding.latency(images, window)

    return Dataset(name, encode(train), train_labels, encode(test), test_labels, 10)


def read_images(name, data_dir=None):
    """Images uint8 (n, 28, 28) and labels int64 (n,) of mnist or fashion-mnist: train, test.

    Raises
    ------
    DataError
        Files missing and not to be downloaded, or damaged.
    """
    root = Path(data_dir or os.environ.get("LIFNUM_DATA") or "data")
    folder = root / name
    missing = [file for file in _IDX_SIZES if _find(folder, file) is None]
    if missing:
        _fetch(name, folder, missing)
    arrays = [_read_idx(name, _find(folder, file), file) for file in _IDX_SIZES]
    for k in (1, 3):
        arrays[k] = arrays[k].astype(np.int64)
        if arrays[k].max(initial=0) > 9:
            raise DataError(f"{_find(folder, list(_IDX_SIZES)[k])}: a label is above 9")
    return arrays


def _find(folder, file):
    for path in (folder / file, folder / f"{file}.gz"):
        if path.is_file():
            return path
    return None


def _fetch(name, folder, missing):
    """Download files that are not there, trying the mirrors in turn."""
    import pooch

    for file in missing:
        digest = _ARCHIVE_SHA256[name][list(_IDX_SIZES).index(file)]
        for mirror in MIRRORS[name]:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                pooch.retrieve(
                    f"{mirror}{file}.gz",
                    known_hash=f"sha256:{digest}",
                    fname=f"{file}.gz",
                    path=folder,
                    progressbar=True,
                    downloader=None,
                )
                break
            except (OSError, ValueError):  # no network, no such file, or another content
                continue
        else:
            raise DataError(
                f"{name}: sought {', '.join(missing)} (or .gz) in {folder}, and found no mirror "
                "to download them from; give the folder above it by --data-dir or LIFNUM_DATA"
            )


def _read_idx(name, path, file):
    """Read one IDX file: no more bytes than the data set has, content checked by SHA-256."""
    shape = _IDX_SIZES[file]
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    size = len(header) + int(np.prod(shape))
    k = list(_IDX_SIZES).index(file)
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                content = stream.read(size + 1)
        else:
            with open(path, "rb") as stream:
                content = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or unreadable ({error})") from None
    if len(content) != size or content[: len(header)] != header:
        raise DataError(
            f"{path}: is not the IDX file {file} of {name} ({size} bytes, shape {shape})"
        )
    if hashlib.sha256(content).hexdigest() != _CONTENT_SHA256[name][k]:
        raise DataError(f"{path}: damaged, its content has another SHA-256 than {name}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


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
    try:
        if h5py.is_hdf5(path):
            arrays = _read_hdf5(path)
        elif zipfile.is_zipfile(path):
            arrays = _read_npz(path)
        else:
            raise DataError(f"{path}: is neither NPZ nor HDF5")
    except DataError:
        raise
    except _READ_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: damaged or unreadable ({reason})") from None
    parts = []
    indices = [arrays[part, "indices"] for part in ("train", "test")]
    n_neurons = 1 + max((int(i.max()) for i in indices if i.size), default=0)
    for part in ("train", "test"):
        times, index, offsets, labels = (
            arrays[part, key] for key in ("times", "indices", "offsets", "labels")
        )
        try:
            trains = SpikeTrains(times, index, offsets, n_neurons)
        except ValueError as error:
            raise DataError(f"{path}: {part}: {' '.join(str(error).split())}") from None
        if labels.shape != (len(trains),) or labels.dtype.kind not in "iu":
            raise DataError(
                f"{path}: {part}: labels are {labels.dtype} of shape {labels.shape}; "
                f"accepted: integers of shape ({len(trains)},)"
            )
        if labels.size and labels.max() >= 2**63:
            raise DataError(f"{path}: {part}: a label is {labels.max()}; accepted: below 2^63")
        parts += [trains, labels.astype(np.int64)]
    classes = np.unique(np.concatenate(parts[1::2]))
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"{path}: has {len(classes)} distinct labels, from {classes[0]} to {classes[-1]}; "
            f"accepted: at most {MAX_CLASSES}"
        )
    parts[1], parts[3] = (np.searchsorted(classes, labels) for labels in parts[1::2])
    plain = (classes == np.arange(len(classes))).all()
    return Dataset(path.stem, *parts, len(classes), None if plain else classes)


def with_classes(data, classes):
    """The data set with labels that count in `classes`, int64 (n_classes,), rising.

    Raises
    ------
    DataError
        A sample has a label that is not among them.
    """
    old = np.arange(data.n_classes) if data.classes is None else data.classes
    parts = []
    for labels in (data.train_labels, data.test_labels):
        labels = old[labels]
        places = np.searchsorted(classes, labels)
        unknown = ~np.isin(labels, classes)
        if unknown.any():
            some = ", ".join(map(str, classes[:10])) + (", ..." if len(classes) > 10 else "")
            raise DataError(
                f"dataset {data.name} has the label {labels[unknown][0]}; accepted: {some}"
            )
        parts.append(places)
    plain = (classes == np.arange(len(classes))).all()
    return data._replace(train_labels=parts[0], test_labels=parts[1], n_classes=len(classes),
                         classes=None if plain else classes)  # fmt: skip


def _keys():
    return [(part, key) for part in ("train", "test")
            for key in ("times", "indices", "offsets", "labels")]  # fmt: skip


def _read_npz(path):
    """Arrays of an NPZ file, each as large as its own header and the archive say alike."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        missing = [f"{part}_{key}" for part, key in _keys() if f"{part}_{key}.npy" not in infos]
        if missing:
            raise DataError(f"{path}: has no array {missing[0]}")
        infos = {(part, key): infos[f"{part}_{key}.npy"] for part, key in _keys()}
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
            if dtype.hasobject or len(shape) != 1:
                raise DataError(f"{path}: {part}_{key} is no one-dimensional array of numbers")
            if count * dtype.itemsize != len(content) - stream.tell():
                raise DataError(f"{path}: {part}_{key} claims another size than it has")
            arrays[part, key] = np.frombuffer(content, dtype, count, stream.tell())
    return arrays


def _check_size(path, size):
    """Refuse files that claim to unpack to much more than spike trains can."""
    if size > MAX_UNPACKED + MAX_RATIO * path.stat().st_size:
        raise DataError(f"{path}: claims to hold {size} bytes, more than spike trains would")


def _read_hdf5(path):
    arrays = {}
    with _open_hdf5(path) as file:
        items = {key: file.get("/".join(key)) for key in _keys()}
        for (part, key), item in items.items():
            if not isinstance(item, h5py.Dataset):
                raise DataError(f"{path}: has no array {part}/{key}")
            if item.dtype.kind not in "fiu" or item.ndim != 1:
                raise DataError(f"{path}: {part}/{key} is no one-dimensional array of numbers")
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


def _open_hdf5(path):
    """Open a user's file: one of the newest format as safely as a trace."""
    try:
        hdf5.Superblock(path)
    except OSError:
        return h5py.File(path, "r")
    return hdf5.open_file(path, lambda: False)
