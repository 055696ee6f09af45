"""The distance of van Rossum between spike trains and their targets."""

from dataclasses import dataclass

import numpy as np

from lifnum.fields import finite_positive, option
from lifnum.losses.labels import accepted_labels
from lifnum.losses.spike_count import wanted_false, wanted_true
from lifnum.spikes import SpikeTrains


@dataclass(frozen=True)
class VanRossum:
    """L = sum over neurons of (1/tau) int (f - g)^2 dt (van Rossum 2001).

    f and g are a neuron's spikes and its target spikes, each as e^(-(t - t_k) / tau) from t_k on: a
    spike too many, or too few, adds 1/2. Spikes and targets at the same time cancel, and pass no
    gradient to each other. A silent neuron costs what its target spikes are apart from none, and
    has no spike that could get a gradient. Spikes further apart than tau hardly see each other: a
    short tau tells times, a long one counts. The loss is no function of spike counts.

    For classes the targets are regular trains over the duration: of target_true spikes for the
    label's neuron, of target_false for the others, rounded.
    """

    tau_rossum: float = option(
        "time constant of the filter of van-rossum", "S", float, initial=0.2, check=finite_positive
    )
    duration: float
    target_true: float = wanted_true()
    target_false: float = wanted_false()

    def __call__(self, out, labels):
        """Values (batch,) and d_times (n_spikes,), float64, of output `out`.

        labels: integers, or the target trains themselves, SpikeTrains of as many samples and
        neurons as `out`. ValueError for others.
        """
        trains = out if out.xp is np else out.host()
        targets = labels if isinstance(labels, SpikeTrains) else self.targets(trains, labels)
        values, d_times = distances(trains, targets, self.tau_rossum)
        return out.xp.asarray(values.sum(axis=1)), out.xp.asarray(d_times)

    def targets(self, out, labels):
        """Target trains of classes, SpikeTrains of the shape of `out`."""
        labels = accepted_labels(labels, len(out), out.n_neurons)
        wanted = np.arange(out.n_neurons) == labels[:, None]
        return self._regular(wanted)

    def _regular(self, wanted):
        """Regular trains: of target_true spikes where wanted (batch, n), else of target_false."""
        counts = np.where(wanted, round(self.target_true), round(self.target_false))
        counts = np.maximum(counts, 0)
        owner = np.repeat(np.arange(counts.size), counts.ravel())
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts.ravel(), counts.ravel())
        times = (rank + 0.5) * self.duration / counts.ravel()[owner]
        samples, indices = np.divmod(owner, max(1, counts.shape[1]))
        order = np.lexsort((indices, times, samples))
        offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
        return SpikeTrains(times[order], indices[order], offsets, counts.shape[1])

    def predict(self, out):
        """Class of each sample (batch,), int64: the nearest targets; -1 where the output is silent.

        Ties go to the lowest index.
        """
        trains = out if out.xp is np else out.host()
        shape = len(trains), trains.n_neurons
        near, far = (
            distances(trains, self._regular(np.full(shape, wanted)), self.tau_rossum)[0]
            for wanted in (True, False)
        )
        silent = trains.counts().max(axis=1) == 0
        return out.xp.asarray(np.where(silent, -1, (near - far).argmin(axis=1)))


def distances(out, targets, tau):
    """Squared distances (batch, n_neurons) of spike trains, and dD^2/dt (n_spikes,) of the first.

    Raises
    ------
    ValueError
        Other samples or neurons.
    """
    shape = len(out), out.n_neurons
    if (len(targets), targets.n_neurons) != shape:
        raise ValueError(
            f"targets have {len(targets)} samples of {targets.n_neurons} neurons; "
            f"accepted: {shape[0]} of {shape[1]}"
        )
    cells = np.concatenate([_cells(out), _cells(targets)])
    times = np.concatenate([out.times, targets.times])
    signs = np.concatenate([np.ones(len(out.times)), -np.ones(len(targets.times))])
    order = np.lexsort((times, cells))
    cells, times, signs = cells[order], times[order], signs[order]
    before, with_ties = _decayed(cells, times, signs, tau)
    after = _decayed(cells[::-1], -times[::-1], signs[::-1], tau)[0][::-1]
    terms = signs * with_ties - 0.5  # half of the sum over pairs: each once, and itself by half
    values = np.bincount(cells, terms, minlength=shape[0] * shape[1]).reshape(shape)
    slopes = np.empty(len(times))
    slopes[order] = signs * (after - before) / tau
    return values, slopes[: len(out.times)]


def _cells(trains):
    """Number of the sample and neuron of each spike."""
    samples = np.repeat(np.arange(len(trains)), np.diff(trains.offsets))
    return samples * trains.n_neurons + trains.indices


def _decayed(cells, times, signs, tau):
    """For each spike the sum of sign e^(-(t - t_l) / tau) over the spikes l of its cell before it:
    without those at its own time, and with these and itself."""
    n = len(times)
    starts = np.flatnonzero(np.diff(cells, prepend=-1 if n else 0)) if n else np.empty(0, int)
    lengths = np.diff(np.append(starts, n))
    strict, inclusive = np.zeros(n), signs.copy()
    for k in range(1, int(lengths.max(initial=0))):
        at = starts[lengths > k] + k
        gap = times[at] - times[at - 1]
        decayed = inclusive[at - 1] * np.exp(-gap / tau)
        strict[at] = np.where(gap > 0.0, decayed, strict[at - 1])
        inclusive[at] += decayed
    return strict, inclusive
