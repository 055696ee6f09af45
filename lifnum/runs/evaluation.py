"""A network over labelled spike trains, without gradients."""

from time import perf_counter
from typing import NamedTuple

import numpy as np

from lifnum.cuda.device import to_host
from lifnum.losses import accepted_labels
from lifnum.runs.activity import Activity

EVALUATION_BATCH = 250


class Evaluation(NamedTuple):
    """Result of a network on a labelled set of spike trains."""

    loss: float
    accuracy: float
    confusion: np.ndarray  # (n_classes, n_classes + 1): label, prediction; last column: silent
    predictions: np.ndarray  # (n_samples,), -1 where the output was silent
    spikes: np.ndarray  # per layer: spikes per sample
    silent: np.ndarray  # per layer: share of the neurons that never spiked
    capped: np.ndarray  # per layer: neurons at the cap, per sample
    suppressed: np.ndarray  # per layer: neurons whose next spike the cap suppressed, per sample
    unresolved: np.ndarray  # per layer: Layer.n_unresolved, per sample; NaN where not counted
    steps: np.ndarray  # per layer: Layer.n_steps, per sample
    seconds: float


def evaluate(net, loss, trains, labels, n_classes, progress=None, count_peaks=False):
    """Run a network over labelled spike trains, without gradients.

    Parameters
    ----------
    net : Network
    loss : callable
        One of lifnum.losses.
    trains, labels : SpikeTrains, ndarray (n,)
    n_classes : int
    progress : callable, optional
        Called with the number of samples done after each batch.
    count_peaks : bool
        As in `Network.forward`.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        Labels other than one from 0 to n_classes - 1 for each sample.
    """
    start = perf_counter()
    n = len(trains)
    labels = accepted_labels(labels, n, n_classes)
    activity = Activity(net)
    predictions = np.empty(n, np.int64)
    total = 0.0
    for first in range(0, n, EVALUATION_BATCH):
        rows = np.arange(first, min(n, first + EVALUATION_BATCH))
        out = net.forward(trains.select(rows), differentiable=False, count_peaks=count_peaks)
        total += float(loss(out, labels[rows])[0].sum())
        predictions[rows] = to_host(loss.predict(out))
        activity.add(net, len(rows))
        if progress is not None:
            progress(len(rows))
    confusion = np.zeros((n_classes, n_classes + 1), np.int64)
    np.add.at(confusion, (labels, predictions), 1)  # -1 is the last column
    return Evaluation(
        total / n if n else np.nan,
        float((predictions == labels).mean()) if n else np.nan,
        confusion,
        predictions,
        activity.per_sample(activity.spikes),
        activity.silent(),
        activity.per_sample(activity.capped),
        activity.per_sample(activity.suppressed),
        activity.per_sample(activity.unresolved),
        activity.per_sample(activity.steps),
        perf_counter() - start,
    )
