"""Labelled spike trains by name: bundled, generated, read from IDX files, or a user's own."""

import importlib.util
from pathlib import Path

import numpy as np

from lifnum.data import encoding
from lifnum.data.dataset import Dataset
from lifnum.data.files import load_file
from lifnum.data.images import _images
from lifnum.data.yinyang import _yinyang
from lifnum.errors import DataError

NAMES = ("digits", "yinyang", "mnist", "mnist-threshold", "fashion-mnist")


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


def _digits_table():
    """scikit-learn's 8x8 digits: images (1797, 64) of 0 to 16, labels.

    Its file is read directly: to import scikit-learn takes longer than an epoch of training.
    """
    package = importlib.util.find_spec("sklearn").submodule_search_locations[0]
    path = Path(package) / "datasets" / "data" / "digits.csv.gz"
    if not path.exists():  # moved in another version
        from sklearn.datasets import load_digits

        return load_digits(return_X_y=True)
    table = np.loadtxt(path, delimiter=",")
    return table[:, :-1], table[:, -1]


def _digits(window):
    """1,397 digits to train and 400 to test, the same for every seed."""
    images, labels = _digits_table()
    order = np.random.default_rng(0).permutation(len(images))
    trains = encoding.latency(images[order], window, p_max=16)
    labels = labels[order].astype(np.int64)
    n = len(images) - 400
    rows = np.arange(len(images))
    return Dataset(
        "digits", trains.select(rows[:n]), labels[:n], trains.select(rows[n:]), labels[n:], 10
    )
