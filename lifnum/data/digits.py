"""scikit-learn's digits."""

import importlib.util
from pathlib import Path

import numpy as np

from lifnum.data.dataset import Dataset


def table():
    """Images (1797, 64) of 0 to 16, and labels.

    The file is read directly: to import scikit-learn takes longer than an epoch of training.
    """
    package = importlib.util.find_spec("sklearn").submodule_search_locations[0]
    path = Path(package) / "datasets" / "data" / "digits.csv.gz"
    if not path.exists():  # moved in another version
        from sklearn.datasets import load_digits

        return load_digits(return_X_y=True)
    numbers = np.loadtxt(path, delimiter=",")
    return numbers[:, :-1], numbers[:, -1]


def load(window, seed, data_dir):
    """8x8 images of digits; 1,397 to train and 400 to test, the same for every seed."""
    images, labels = table()
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order] / 16, labels[order].astype(np.int64)
    n = len(images) - 400
    return Dataset("digits", images[:n], labels[:n], images[n:], labels[n:], 10)
