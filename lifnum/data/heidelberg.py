"""Spiking Heidelberg Digits and Spiking Speech Commands (Cramer et al. 2020).

As zenkelab.org/resources/spiking-heidelberg-datasets-shd describes the files: HDF5 with
``spikes/times`` (seconds) and ``spikes/units`` (0 to 699), a list for each sample, and ``labels``.
The checksums are those by which tonic 1.7 knows the archives of zenkelab.org/datasets.
"""

from typing import NamedTuple

import h5py

from lifnum.data.dataset import Dataset
from lifnum.data.download import fetch, folder_of
from lifnum.data.events import Recording
from lifnum.data.files import READ_ERRORS, open_hdf5
from lifnum.errors import DataError
from lifnum.files.hdf5 import one_line

N_CHANNELS = 700

_URL = "https://zenkelab.org/datasets/"


class Corpus(NamedTuple):
    """One of the two."""

    n_classes: int
    md5: dict  # of the archives of its files


CORPORA = {
    "shd": Corpus(
        20,
        {
            "shd_train.h5": "f3252aeb598ac776c1b526422d90eecb",
            "shd_test.h5": "1503a5064faa34311c398fb0a1ed0a6f",
        },
    ),
    "ssc": Corpus(
        35,
        {
            "ssc_train.h5": "d102be95e7144fcc0553d1f45ba94170",
            "ssc_test.h5": "a35ff1e9cffdd02a20eb850c17c37748",
        },
    ),
}


def shd(window, seed, data_dir, limit_train=None, limit_test=None):
    """Spoken digits, 8,156 and 2,264 samples."""
    return _load("shd", data_dir, limit_train, limit_test)


def ssc(window, seed, data_dir, limit_train=None, limit_test=None):
    """Spoken words, 75,466 and 20,382 samples; those for validation are left out."""
    return _load("ssc", data_dir, limit_train, limit_test)


def _load(name, data_dir, *limits):
    folder, corpus = folder_of(name, data_dir), CORPORA[name]
    missing = [file for file in corpus.md5 if not (folder / file).is_file()]
    if missing:
        import pooch

        for file in missing:
            archive = {f"{file}.zip": (f"md5:{corpus.md5[file]}", [f"{_URL}{file}.zip"])}
            unpack = pooch.Unzip(members=[file], extract_dir=".")
            fetch(name, folder, archive, ", ".join(missing), unpack)
    parts = []
    for file, limit in zip(corpus.md5, limits):
        parts += read_heidelberg(folder / file, corpus.n_classes, limit)
    return Dataset(name, *parts, corpus.n_classes)


def read_heidelberg(path, n_classes, limit=None):
    """Spike trains of 700 neurons and labels int64 (n,) of a file of SHD or SSC.

    Times are used as they are stored, float16 in the published files.

    Parameters
    ----------
    path : Path
    n_classes : int
    limit : int, optional
        Read the first samples only.

    Raises
    ------
    DataError
        A missing or damaged file or array, or spikes or labels out of range.
    """
    try:
        with open_hdf5(path) as file:
            return _read(path, file, n_classes, limit)
    except DataError:
        raise
    except READ_ERRORS as error:
        raise DataError(f"{path}: damaged or unreadable ({one_line(error)})") from None


def _read(path, file, n_classes, limit):
    arrays = []
    for name, kinds in (("spikes/times", "f"), ("spikes/units", "iu"), ("labels", "iu")):
        item = file.get(name)
        if not isinstance(item, h5py.Dataset):
            raise DataError(f"{path}: has no array {name}")
        kind = item.dtype if name == "labels" else h5py.check_vlen_dtype(item.dtype)
        if item.ndim != 1 or kind is None or kind.kind not in kinds:
            raise DataError(f"{path}: {name} is {item.dtype} of shape {item.shape}")
        if item.is_virtual or item.external:
            raise DataError(f"{path}: {name} is kept in another file")
        arrays.append(item)
    lengths = [len(item) for item in arrays]
    if len(set(lengths)) > 1:
        raise DataError(f"{path}: has {lengths} times, units and labels; accepted: as many")
    times, units, labels = arrays
    n = lengths[0] if limit is None else min(limit, lengths[0])
    labels = labels[:n].astype("int64")
    if n and not (labels.min() >= 0 and labels.max() < n_classes):
        raise DataError(f"{path}: a label is not in 0 to {n_classes - 1}")
    recording = Recording(N_CHANNELS)
    for k in range(n):
        recording.add(f"{path}: sample {k}", times[k], units[k])
    return recording.trains(), labels
