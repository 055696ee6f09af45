"""MNIST and Fashion-MNIST: found, downloaded and checked, as images."""

import gzip
import hashlib
import zlib

import numpy as np

from lifnum.data.dataset import Dataset
from lifnum.data.download import fetch, folder_of
from lifnum.errors import DataError

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


def mnist(window, seed, data_dir):
    """MNIST, as images."""
    return Dataset("mnist", *read_images("mnist", data_dir), 10)


def mnist_threshold(window, seed, data_dir):
    """MNIST, as images of which bright pixels spike at 0."""
    return Dataset("mnist-threshold", *read_images("mnist", data_dir), 10)


def fashion_mnist(window, seed, data_dir):
    """Fashion-MNIST, as images."""
    return Dataset("fashion-mnist", *read_images("fashion-mnist", data_dir), 10)


def read_images(name, data_dir=None):
    """Images uint8 (n, 28, 28) and labels int64 (n,) of mnist or fashion-mnist: train, test.

    Raises
    ------
    DataError
        Files missing and not to be downloaded, or damaged.
    """
    folder = folder_of(name, data_dir)
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
    """Download files that are not there."""
    digests = dict(zip(_IDX_SIZES, _ARCHIVE_SHA256[name]))
    archives = {
        f"{file}.gz": (f"sha256:{digests[file]}", [f"{one}{file}.gz" for one in MIRRORS[name]])
        for file in missing
    }
    fetch(name, folder, archives, f"{', '.join(missing)} (or .gz)")


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
