"""Trained weights under other schemes: spikes moved, gained and lost, gradients."""

from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import numpy as np
from scipy import sparse

from lifnum import losses
from lifnum.errors import SimulationError
from lifnum.files.transfers import SCHEMES, _begins_with, scheme_key
from lifnum.runs.configuration import build_network
from lifnum.runs.evaluation import evaluate
from lifnum.scheme import Scheme

GRADIENT_BATCH = 50  # samples; the adjoint of a fine grid keeps the states of all their steps


class ByNeuron(NamedTuple):
    """Spike times sorted by sample, neuron, time.

    Neuron j of sample b, one of n, holds times[starts[b n + j] : starts[b n + j + 1]].
    """

    starts: np.ndarray
    times: np.ndarray


def by_neuron(trains):
    """`ByNeuron` of SpikeTrains."""
    n = len(trains.times)
    sample = np.repeat(np.arange(len(trains)), np.diff(trains.offsets))
    rows = sample * trains.n_neurons + trains.indices
    # the change to compressed rows is a counting sort, four times as fast as argsort
    shape = (len(trains) * trains.n_neurons, n)
    table = sparse.coo_array((trains.times, (rows, np.arange(n))), shape=shape).tocsr()
    return ByNeuron(table.indptr, table.data)


class Difference(NamedTuple):
    """What sets spikes apart from those they are matched to."""

    matched: int
    gained: int
    lost: int
    deviation_sum: float
    deviation_max: float  # 0 where none is matched


def difference(spikes, reference):
    """`Difference` of two `ByNeuron`: the k-th spike of a neuron in a sample meets its k-th."""
    counts = [np.diff(one.starts) for one in (spikes, reference)]
    common = np.minimum(*counts)

    def matched(one, own):
        rank = np.arange(len(one.times)) - np.repeat(one.starts[:-1], own)
        return one.times[rank < np.repeat(common, own)]

    apart = np.abs(matched(spikes, counts[0]) - matched(reference, counts[1]))
    n = len(apart)
    gained, lost = len(spikes.times) - n, len(reference.times) - n
    return Difference(n, gained, lost, float(apart.sum()), float(apart.max(initial=0.0)))


class Transfer:
    """Evaluates trained weights under one scheme after the other.

    Parameters
    ----------
    preset : Preset
    trained : Scheme
        The one that the weights were trained with: what the others are compared with.
    weights : list of ndarray
    data : Dataset
        Its test part is evaluated.
    """

    def __init__(self, preset, trained, weights, data):
        self.preset, self.trained, self.weights, self.data = preset, trained, weights, data
        self.loss = losses.build(preset)
        self._reference = []  # spikes of each batch and layer under the trained scheme
        self._predictions = self._trained_row = None

    def is_trained(self, scheme):
        """Whether a scheme is the trained one, its gradient apart."""
        return _begins_with(scheme_key(scheme), scheme_key(self.trained))

    def missing(self, file, schemes):
        """The trained scheme, which comes first, and others, as far as a file lacks them."""
        schemes = [self.trained, *(s for s in schemes if not self.is_trained(s))]
        return [s for s in schemes if not file.has("schemes", scheme_key(s))]

    def row(self, scheme, progress=None):
        """Row of `SCHEMES`; NaN from accuracy on where the simulation overflows.

        The first call evaluates under the trained scheme before. `progress` is called with the
        number of samples done.
        """
        if self._trained_row is None:
            self._trained_row = self._evaluate(self.trained, progress)
        return self._trained_row if self.is_trained(scheme) else self._evaluate(scheme, progress)

    def _evaluate(self, scheme, progress):
        net = build_network(self.preset, scheme, self.weights)
        n_layers, n = len(net.layers), len(self.data.test)
        recording = self._predictions is None
        sums, largest = np.zeros((4, n_layers)), np.zeros(n_layers)
        batch, seconds = 0, 0.0

        def compare(n_samples):
            nonlocal batch, seconds
            start = perf_counter()
            spikes = [by_neuron(layer.spikes) for layer in net.layers]
            if recording:
                self._reference.append(spikes)
            for k, one in enumerate(spikes):
                found = difference(one, self._reference[batch][k])
                sums[:, k] += found[:4]
                largest[k] = max(largest[k], found.deviation_max)
            batch += 1
            seconds += perf_counter() - start
            if progress is not None:
                progress(n_samples)

        row = scheme_key(scheme)
        try:
            data = self.data
            result = evaluate(
                net, self.loss, data.test, data.test_labels, data.n_classes, progress=compare
            )
        except SimulationError:
            if recording:
                raise
            nan = {False: np.nan, True: np.full(n_layers, np.nan)}
            return {name: nan[per_layer] for name, (_, per_layer) in SCHEMES.items()} | row
        if recording:
            self._predictions = result.predictions
        matched, gained, lost, deviation = sums
        some = matched > 0
        return row | {
            "accuracy": result.accuracy,
            "loss": result.loss,
            "agreement": float((result.predictions == self._predictions).mean()) if n else np.nan,
            "spikes": result.spikes,
            "steps": result.steps,
            # no mean: see `EPOCHS` of a trace
            "step_length": self.preset.duration / np.maximum(result.steps, 1.0),
            "silent": result.silent,
            "capped": result.capped,
            "deviation_mean": np.where(some, deviation / np.maximum(matched, 1.0), np.nan),
            "deviation_max": np.where(some, largest, np.nan),
            "matched": matched / max(n, 1),
            "gained": gained / max(n, 1),
            "lost": lost / max(n, 1),
            "seconds": result.seconds - seconds,
        }


# the reference of models by equations, in seconds: its spikes of Izhikevich's neurons are right to
# 1e-12 s, where delays grow errors a thousandfold
FINE = Scheme("ps", order=24, dt=1.25e-4)


class GradientComparison:
    """Compares the gradients of schemes with that of `exact` on the same samples and weights.

    In float64, so that rounding does not blur what the schemes do. Models by equations have no
    exact solution: with them it is that of `FINE`.

    Parameters
    ----------
    preset : Preset
    weights : dict of list of ndarray
        By name: initial, last.
    trains, labels : SpikeTrains, ndarray (n,)
        Training samples; gradients are sums over them.
    """

    def __init__(self, preset, weights, trains, labels):
        self.preset, self.trains, self.labels = preset, trains, labels
        self.weights = {
            which: [w.astype(np.float64) for w in arrays] for which, arrays in weights.items()
        }
        self.loss = losses.build(preset)
        self._exact = {}

    @staticmethod
    def keys(scheme, which):
        """First columns of the rows of a scheme, one for each gradient that it has."""
        kinds = ("piggyback",) if scheme.interpolation == "none" else ("adjusted", "piggyback")
        key = scheme_key(scheme) | {"weights": which.encode()}
        return [key | {"gradient": kind.encode()} for kind in kinds]

    def missing(self, file, schemes):
        """(scheme, which weights) of those schemes that a file lacks."""
        pairs = [(scheme, which) for scheme in schemes for which in self.weights]
        return [
            pair
            for pair in pairs
            if not all(file.has("gradients", key) for key in self.keys(*pair))
        ]

    def rows(self, scheme, which, progress=None):
        """Rows of `GRADIENTS`, one for each of `keys`; NaN where the simulation overflows."""
        keys = self.keys(scheme, which)
        if which not in self._exact:
            reference = FINE if self.preset.models else Scheme()
            self._exact[which] = self._gradients(reference, which, ["adjusted"])[0]
        exact = self._exact[which]
        kinds = [key["gradient"].decode() for key in keys]
        try:
            found = self._gradients(scheme, which, kinds, progress)
        except SimulationError:
            found = [[np.full_like(g, np.nan) for g in exact] for _ in kinds]
        adjusted = found[0] if kinds[0] == "adjusted" else [np.full_like(g, np.nan) for g in exact]
        rows = []
        for key, gradient in zip(keys, found):
            row = dict(key)
            for name, other in (("exact", exact), ("adjusted", adjusted)):
                pairs = [_cosine_and_norm(g, h) for g, h in zip(gradient, other)]
                row[f"cosine_{name}"], row[f"norm_{name}"] = np.array(pairs).T
            rows.append(row)
        return rows

    def _gradients(self, scheme, which, kinds, progress=None):
        """Gradient of each layer's weights, for each kind; one forward pass serves them all."""
        net = build_network(self.preset, replace(scheme, gradient=kinds[0]), self.weights[which])
        sums = [[np.zeros_like(w) for w in net.weights] for _ in kinds]
        for first in range(0, len(self.trains), GRADIENT_BATCH):
            rows = np.arange(first, min(len(self.trains), first + GRADIENT_BATCH))
            out = net.forward(self.trains.select(rows))
            d_times = self.loss(out, self.labels[rows])[1]
            for kind, total in zip(kinds, sums):
                for whole, part in zip(total, net.backward(d_times, gradient=kind)):
                    whole += part
            if progress is not None:
                progress(len(rows))
        return sums


def _cosine_and_norm(gradient, other):
    """Cosine of two arrays and norm of the first relative to the second; NaN where one is zero."""
    a, b = np.linalg.norm(gradient), np.linalg.norm(other)
    cosine = np.vdot(gradient / a, other / b) if a > 0 and b > 0 else np.nan
    return cosine, a / b if b > 0 else np.nan
