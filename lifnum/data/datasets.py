"""Labelled spike trains by name: bundled, generated, read from published files, or a user's own."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lifnum.data import cameras, digits, heidelberg, images, synthetic_shd, yinyang
from lifnum.data.encoding import encoder, shares
from lifnum.data.files import load_file
from lifnum.data.tables import is_table, load_table
from lifnum.errors import DataError


class Source(NamedTuple):
    """A data set of the table."""

    load: Callable  # (window, seed, data_dir) -> Dataset; more where `limited`
    help: str
    windowed: bool = True  # whether the window decides about the input spikes
    encoding: str | None = None  # of values, where no other is asked for; None: spike trains
    limited: bool = False  # whether load takes (limit_train, limit_test), and makes no more


DATASETS = {
    "digits": Source(
        digits.load, "8x8 digits that come with scikit-learn, 1,397 and 400", encoding="latency"
    ),
    "yinyang": Source(yinyang.load, "three classes of points, generated from the seed"),
    "mnist": Source(images.mnist, "28x28 digits, 60,000 and 10,000", encoding="latency"),
    "mnist-threshold": Source(
        images.mnist_threshold, "the same, bright pixels spike at 0", False, "threshold"
    ),
    "fashion-mnist": Source(
        images.fashion_mnist, "28x28 clothes, 60,000 and 10,000", encoding="latency"
    ),
    "synthetic-shd": Source(
        synthetic_shd.load,
        "20 classes of 1 s with the statistics of SHD, generated, 8,000 and 2,000",
        False,
        limited=True,
    ),
    "shd": Source(
        heidelberg.shd, "spoken digits, 700 channels, 8,156 and 2,264", False, limited=True
    ),
    "ssc": Source(
        heidelberg.ssc, "spoken words, 700 channels, 75,466 and 20,382", False, limited=True
    ),
    "nmnist": Source(
        cameras.nmnist,
        "digits seen by an event camera of 34x34 pixels, 60,000 and 10,000",
        False,
        limited=True,
    ),
    "dvs-gesture": Source(
        cameras.dvs_gesture,
        "hand gestures seen by an event camera of 128x128, 1,176 and 288",
        False,
        limited=True,
    ),
}

TABLE_ENCODING = "population"  # of a CSV file, where no other is asked for


def default_encoding(name):
    """The encoding of a data set where no other is asked for; None where it has spike trains."""
    if name in DATASETS:
        return DATASETS[name].encoding
    return TABLE_ENCODING if is_table(name) else None


def load(
    name,
    data_dir=None,
    window=0.1,
    seed=0,
    limit_train=None,
    limit_test=None,
    encoding=None,
    label_column=None,
):
    """Load a data set as spike trains.

    Parameters
    ----------
    name : str
        One of `DATASETS`, or the path of an NPZ or HDF5 file of spike trains (see `load_file`) or
        of a CSV file of numbers (see `load_table`).
    data_dir : path, optional
        Folder that holds mnist/, shd/ and so on; else LIFNUM_DATA, else data/. What is not there
        is downloaded into it, where that can be.
    window : float
        Latest input spike, exclusive, in the unit of the time constants.
    seed : int
        Of the generated data and of random encoders.
    limit_train, limit_test : int, optional
        Keep the first samples only.
    encoding : str or callable, optional
        What makes spikes of values: a name of `lifnum.data.encoding.ENCODERS`, or a function of
        values float64 (n, n_values) from 0 to 1, window and seed. By default the data set's own.
    label_column : str, optional
        Of a CSV file: ``label`` where there is one, else the last, by default.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        Missing or damaged files, an unknown name, or an encoding or label_column of a data set
        that takes none.
    ValueError
        An unknown encoding.
    """
    limits = limit_train, limit_test
    default = default_encoding(name)
    if default is None and encoding is not None:
        raise DataError(f"encoding is {encoding!r}; accepted: none for {name}, which has spikes")
    if label_column is not None and (name in DATASETS or not is_table(name)):
        raise DataError(f"label_column is {label_column!r}; accepted: none but for a CSV file")
    if name in DATASETS:
        source = DATASETS[name]
        data = source.load(window, seed, data_dir, *(limits if source.limited else ()))
    elif Path(name).is_file():
        data = load_table(name, label_column) if is_table(name) else load_file(name)
    else:
        known = ", ".join(DATASETS)
        raise DataError(f"dataset is {name!r}; accepted: {known}, or an existing file")
    data = _limited(data, *limits)
    return data if default is None else _encoded(data, window, seed, encoding or default)


def _limited(data, limit_train, limit_test):
    train, test = data.train, data.test
    if limit_train is not None and limit_train < len(train):
        train = _first(train, limit_train)
    if limit_test is not None and limit_test < len(test):
        test = _first(test, limit_test)
    return data._replace(
        train=train,
        train_labels=data.train_labels[: len(train)],
        test=test,
        test_labels=data.test_labels[: len(test)],
    )


def _first(samples, n):
    return samples[:n] if isinstance(samples, np.ndarray) else samples.select(np.arange(n))


def _encoded(data, window, seed, encoding):
    """The data set whose values became spikes; a part is a stream of random numbers of its own."""
    of_values = encoding if callable(encoding) else encoder(encoding)

    def encode(values, part):
        values = shares(values) if callable(encoding) else values
        return of_values(values, window, [seed, 2000, part])

    return data._replace(train=encode(data.train, 0), test=encode(data.test, 1))
