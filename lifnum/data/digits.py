"""scikit-learn's digits."""

import numpy as np

from lifnum.data import encoding
from lifnum.data.dataset import Dataset


def load(window, seed, data_dir):
    """8x8 images of digits; 1,397 to train and 400 to test, the same for every seed."""
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
