"""A network under other schemes against its exact solution: what happens to its spikes."""

from typing import NamedTuple

import numpy as np

from lifnum.errors import SimulationError
from lifnum.network import Network
from lifnum.runs.evaluation import EVALUATION_BATCH
from lifnum.runs.matching import match
from lifnum.runs.transfer import by_neuron
from lifnum.scheme import Scheme


class Finding(NamedTuple):
    """Of one scheme; arrays have an entry a layer, times are in the unit of the time constants.

    NaN where the simulation overflowed, and accuracy without labels.
    """

    scheme: Scheme
    agreement: float  # share of the samples predicted as by the exact solution
    accuracy: float
    reference: np.ndarray  # spikes of the exact solution
    matched: np.ndarray
    lost: np.ndarray
    gained: np.ndarray
    shift_mean: np.ndarray  # of matched spikes; NaN where there are none, as the next two
    distance_mean: np.ndarray  # of |shift|
    distance_max: np.ndarray

    @property
    def changed(self):
        """(lost + gained) / reference of each layer."""
        return (self.lost + self.gained) / np.maximum(self.reference, 1.0)


class Audit:
    """Runs a network under one scheme after the other.

    Parameters
    ----------
    layers : list of (ndarray, Neuron)
    trains : SpikeTrains
        Input.
    labels : ndarray int64 (n,), optional
    duration : float
    window : float
        Of `match`.
    predict : callable
        The class of each sample of an output, as `lifnum.losses` have it.

    Raises
    ------
    SimulationError
        The exact solution overflows.
    """

    def __init__(self, layers, trains, labels, duration, window, predict):
        self.layers, self.trains, self.labels = layers, trains, labels
        self.duration, self.window, self._predict = duration, window, predict
        self._spikes, self._predictions = [], []
        for _, _, spikes, predictions in self._batches(Scheme()):
            self._spikes.append(spikes)
            self._predictions.append(predictions)
        counts = [[len(one.times) for one in spikes] for spikes in self._spikes]
        self.reference = np.sum(counts, axis=0).astype(np.float64)
        self.accuracy = self._accuracy(self._predictions)

    def _batches(self, scheme):
        """(rank, samples, spikes of each layer, predictions) of each batch under a scheme."""
        net = Network(self.layers, scheme, self.duration)
        for rank, first in enumerate(range(0, len(self.trains), EVALUATION_BATCH)):
            rows = np.arange(first, min(len(self.trains), first + EVALUATION_BATCH))
            out = net.forward(self.trains.select(rows), differentiable=False)
            spikes = [by_neuron(layer.spikes) for layer in net.layers]
            yield rank, len(rows), spikes, self._predict(out)

    def _accuracy(self, predictions):
        if self.labels is None:
            return np.nan
        return float((np.concatenate(predictions) == self.labels).mean())

    def finding(self, scheme, progress=None):
        """The `Finding` of a scheme; progress is called with the number of samples done."""
        n_layers = len(self.layers)
        sums, furthest = np.zeros((5, n_layers)), np.zeros(n_layers)
        predictions = []
        try:
            for rank, n, spikes, predicted in self._batches(scheme):
                predictions.append(predicted)
                for k, one in enumerate(spikes):
                    found = match(one, self._spikes[rank][k], self.window)
                    sums[:, k] += found[:5]
                    furthest[k] = max(furthest[k], found.distance_max)
                if progress is not None:
                    progress(n)
        except SimulationError:
            nan = [np.full(n_layers, np.nan)] * 6
            return Finding(scheme, np.nan, np.nan, self.reference, *nan)
        matched, gained, lost, shift, distance = sums
        agree = np.concatenate(predictions) == np.concatenate(self._predictions)
        pairs = np.where(matched > 0, matched, np.nan)
        return Finding(
            scheme,
            float(agree.mean()),
            self._accuracy(predictions),
            self.reference,
            matched,
            lost,
            gained,
            shift / pairs,
            distance / pairs,
            np.where(matched > 0, furthest, np.nan),
        )


def is_safe(finding, agreement, changed):
    """Whether predictions agree on that share, and less than that share of each layer's spikes
    is lost or gained."""
    return bool(finding.agreement >= agreement and (finding.changed < changed).all())


def safe_steps(findings, agreement, changed):
    """Largest safe dt of each kind of scheme: (method, order, interpolation) to dt or None.

    Largest of which all smaller ones among the findings are safe too: one that is so by chance
    does not count.
    """
    largest, stopped = {}, set()
    for one in sorted(findings, key=lambda one: one.scheme.dt):
        scheme = one.scheme
        kind = scheme.method, scheme.order, scheme.interpolation
        largest.setdefault(kind, None)
        if not is_safe(one, agreement, changed):
            stopped.add(kind)
        elif kind not in stopped:
            largest[kind] = scheme.dt
    return largest
