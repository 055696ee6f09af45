"""Labels and values of a batch, as a loss takes them."""

import numpy as np

from lifnum.derivatives import accepted_table


def accepted_labels(labels, batch, n_classes, xp=np):
    """The labels as an array of xp.

    Raises
    ------
    ValueError
        Other than an integer from 0 to n_classes - 1 for each sample of the batch.
    """
    if not hasattr(labels, "dtype"):
        labels = np.asarray(labels)
    if labels.shape != (batch,) or (batch and labels.dtype.kind not in "iu"):
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}; "
            f"accepted: integers of shape ({batch},), one for each sample"
        )
    if batch and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        k = int(((labels < 0) | (labels >= n_classes)).argmax())
        raise ValueError(
            f"labels[{k}] is {int(labels[k])}; accepted: 0 to {n_classes - 1}, the output neurons"
        )
    return xp.asarray(labels, dtype=np.int64)


def accepted_values(values, out):
    """The values (batch, n_neurons), float64, as an array of out.xp.

    Raises
    ------
    ValueError
        Another shape than that of the output, no numbers, or not finite.
    """
    values = accepted_table(values, out, "values")
    if not bool(out.xp.isfinite(values).all()):
        raise ValueError("values are not finite; accepted: finite numbers")
    return values
