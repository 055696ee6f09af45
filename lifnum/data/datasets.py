"""Labelled spike trains by name: bundled, generated, read from IDX files, or a user's own."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lifnum.data import digits, images, yinyang
from lifnum.data.files import load_file
from lifnum.errors import DataError


class Source(NamedTuple):
    """A data set of the table."""

    load: Callable  # (window, seed, data_dir) -> Dataset
    help: str
    windowed: bool = True  # whether the window decides about the input spikes


DATASETS = {
    "digits": Source(digits.load, "8x8 digits that come with scikit-learn, 1,397 and 400"),
    "yinyang": Source(yinyang.load, "three classes of points, generated from the seed"),
    "mnist": Source(images.mnist, "28x28 digits, 60,000 and 10,000"),
    "mnist-threshold": Source(images.mnist_threshold, "the same, bright pixels spike at 0", False),
    "fashion-mnist": Source(images.fashion_mnist, "28x28 clothes, 60,000 and 10,000"),
}


def load(name, data_dir=None, window=0.1, seed=0, limit_train=None, limit_test=None):
    """Load a data set as spike trains.

    Parameters
    ----------
    name : str
        One of `DATASETS`, or the path of an NPZ or HDF5 file of spike trains (see `load_file`).
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
    if name in DATASETS:
        data = DATASETS[name].load(window, seed, data_dir)
    elif Path(name).is_file():
        data = load_file(name)
    else:
        known = ", ".join(DATASETS)
        raise DataError(f"dataset is {name!r}; accepted: {known}, or an existing file")
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
