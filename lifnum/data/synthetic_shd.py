"""Spikes with the statistics of the Spiking Heidelberg Digits, generated.

Those are 700 channels of an artificial cochlea, 20 classes of spoken digits, about 1 s and 8,000
spikes a sample (Cramer, Stradmann, Schemmel & Zenke 2020). Here each class is a handful of ridges
in the plane of time and channel, as the formants of a word are, and class 10 + k is class k
backwards, so that channels alone do not tell them apart; a sample is a Poisson process with
their intensity, spoken somewhat slower, later, higher and louder or less, in noise.
"""

from typing import NamedTuple

import numpy as np

from lifnum.data.dataset import Dataset
from lifnum.errors import _is_integer, _positive
from lifnum.spikes import SpikeTrains

N_CHANNELS, N_CLASSES, DURATION, MEAN_SPIKES = 700, 20, 1.0, 8000.0
N_TRAIN, N_TEST = 8000, 2000

_RIDGES = 6  # a class
_LAST = 0.85  # no ridge ends after it, before a sample's tempo and delay
_MARGIN = 100.0  # channels at either end that no ridge enters
_NOISE = 0.25  # part of the spikes that is uniform in time and channel
_CLASS_SEED = 700  # the classes are the same for every seed of the samples


class Ridges(NamedTuple):
    """Of every class, arrays (n_classes, n_ridges); times in parts of the duration."""

    onset: np.ndarray
    length: np.ndarray
    channel: np.ndarray  # at the onset
    glide: np.ndarray  # channels from onset to end
    width: np.ndarray  # standard deviation in channels
    loudness: np.ndarray  # parts of the spikes, of sum 1 a class


def ridges():
    """The `Ridges` of the classes."""
    generator = np.random.default_rng(_CLASS_SEED)
    shape = N_CLASSES // 2, _RIDGES
    loudness = generator.uniform(0.5, 1.5, shape)
    start = generator.uniform(_MARGIN, N_CHANNELS - _MARGIN, shape)
    end = np.clip(start + generator.uniform(-120.0, 120.0, shape), _MARGIN, N_CHANNELS - _MARGIN)
    onset, length = generator.uniform(0.02, 0.55, shape), generator.uniform(0.1, 0.28, shape)
    width = generator.uniform(8.0, 30.0, shape)
    loudness /= loudness.sum(axis=1, keepdims=True)
    forwards = Ridges(onset, length, start, end - start, width, loudness)
    backwards = forwards._replace(onset=_LAST - onset - length, channel=end, glide=-forwards.glide)
    return Ridges(*(np.concatenate(pair) for pair in zip(forwards, backwards)))


def generate(n, seed=0, mean_spikes=MEAN_SPIKES):
    """n labelled samples: a function of the seed, the first ones whatever n is.

    Parameters
    ----------
    n : int
    seed : int or sequence of int
    mean_spikes : float
        A sample.

    Returns
    -------
    SpikeTrains
        Of 700 neurons, times in [0, 1) s. 64 million spikes of 8,000 samples are 0.8 GB, and no
        more is held at once.
    ndarray int64 (n,)
        Labels, from 0 to 19.

    Raises
    ------
    ValueError
        A number of samples that is none, or mean_spikes that are no finite number > 0.
    """
    if not _is_integer(n) or n < 0:
        raise ValueError(f"n is {n!r}; accepted: an integer >= 0")
    _positive("mean_spikes", mean_spikes)
    of_samples, of_spikes = (np.random.default_rng([*np.atleast_1d(seed), k]) for k in range(2))
    # a row a sample, so that the first rows are the same whatever n is
    drawn = of_samples.random((n, 5))
    labels = (drawn[:, 0] * N_CLASSES).astype(np.int64)
    loudness = 0.7 + 0.6 * drawn[:, 1]
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(of_spikes.poisson(mean_spikes * loudness), out=offsets[1:])
    times, indices = np.empty(offsets[-1]), np.empty(offsets[-1], np.int32)
    of_class = ridges()
    for k in range(n):
        part = slice(offsets[k], offsets[k + 1])
        generator = np.random.default_rng([*np.atleast_1d(seed), 2, k])
        _fill(generator, of_class, labels[k], drawn[k, 2:], times[part], indices[part])
    return SpikeTrains._trusted(times, indices, offsets, N_CHANNELS), labels


def _fill(generator, of_class, label, drawn, times, indices):
    """Draw the spikes of a sample of this class, sorted, into its part of the arrays."""
    onset, length, channel, glide, width, loudness = (table[label] for table in of_class)
    tempo, delay, pitch = 0.85 + 0.3 * drawn[0], 0.04 * drawn[1], 40.0 * drawn[2] - 20.0
    n, noise = len(times), int(_NOISE * len(times))
    ridge = np.searchsorted(np.cumsum(loudness)[:-1], generator.random(n - noise))
    along = generator.random(n - noise)
    times[noise:] = delay + tempo * (onset[ridge] + length[ridge] * along)
    where = channel[ridge] + pitch + glide[ridge] * along
    where += width[ridge] * generator.standard_normal(n - noise)
    indices[noise:] = np.clip(where, 0, N_CHANNELS - 1)
    times[:noise] = generator.random(noise)
    indices[:noise] = generator.integers(0, N_CHANNELS, noise)
    order = np.argsort(times)
    times[:], indices[:] = DURATION * times[order], indices[order]
    if (times[1:] == times[:-1]).any():
        order = np.lexsort((indices, times))
        times[:], indices[:] = times[order], indices[order]


def load(window, seed, data_dir, limit_train=None, limit_test=None):
    """8,000 samples for training and 2,000 for test, of the seed; limits: fewer are generated."""
    parts = []
    for k, (n, limit) in enumerate(((N_TRAIN, limit_train), (N_TEST, limit_test))):
        parts += generate(n if limit is None else min(n, limit), [seed, 3000, k])
    return Dataset("synthetic-shd", *parts, N_CLASSES)
