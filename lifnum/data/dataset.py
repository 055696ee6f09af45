"""What a data set is."""

from typing import NamedTuple

import numpy as np

from lifnum.errors import DataError
from lifnum.spikes import SpikeTrains


class Dataset(NamedTuple):
    """Labelled spike trains for training and for test.

    Before they are encoded they are values, arrays (n, ...): uint8, or float64 from 0 to 1.

    Labels are int64 (n,), from 0 to n_classes - 1: label k stands for classes[k] where a user's
    labels are others, classes int64 (n_classes,), rising.
    """

    name: str
    train: SpikeTrains | np.ndarray
    train_labels: np.ndarray
    test: SpikeTrains | np.ndarray
    test_labels: np.ndarray
    n_classes: int
    classes: np.ndarray | None = None

    def label_of_class(self):
        """What label k stands for: int64 (n_classes,)."""
        return np.arange(self.n_classes) if self.classes is None else self.classes


def with_classes(data, classes):
    """The data set with labels that count in `classes`, int64 (n_classes,), rising.

    Raises
    ------
    DataError
        A sample has a label that is not among them.
    """
    old = data.label_of_class()
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
    train_labels, test_labels = parts
    data = data._replace(train_labels=train_labels, test_labels=test_labels)
    return data._replace(n_classes=len(classes), classes=None if plain else classes)
