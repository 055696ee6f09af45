"""Encoders by which neurons spike once at most, at the time of their value's level."""

import math

import numpy as np

from lifnum.data.sorting import counting_sort
from lifnum.errors import _positive
from lifnum.spikes import SpikeTrains


def latency(images, window=0.1, p_max=None):
    """Each pixel spikes once, the brighter the earlier: t = window (1 - p / p_max) (BATS).

    Parameters
    ----------
    images : ndarray (n, ...)
        Pixels from 0 to p_max; a pixel of 0 does not spike.
    window : float
        Latest spike time, exclusive, in the unit of the time constants.
    p_max : float, optional
        Brightest pixel; 255 for uint8, else 1, by default.

    Returns
    -------
    SpikeTrains

    Raises
    ------
    ValueError
        Pixels outside [0, p_max] or not finite; a window or p_max that is no finite number > 0.
    """
    _positive("window", window)
    levels, values, p_max = _levels(images, p_max)
    return _sorted_by_level(levels, window * (1.0 - values / p_max), int(values[:1].sum() <= 0))


def threshold(images, p_max=None):
    """Pixels brighter than half of p_max spike at t = 0, the others never.

    Parameters, result and errors as in `latency`.
    """
    levels, values, p_max = _levels(images, p_max)
    return _sorted_by_level((values > p_max / 2).astype(np.uint8)[levels], np.zeros(2), 1)


def checked(images, p_max):
    """(array, p_max): numbers from 0 to p_max, which by default is 255 for uint8, else 1."""
    images = np.asarray(images)
    if images.ndim == 0 or images.dtype.kind not in "fiu":
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}; accepted: numbers, (n, ...)"
        )
    if p_max is None:
        p_max = 255 if images.dtype == np.uint8 else 1.0
    _positive("p_max", p_max)
    extremes = images.min(initial=0), images.max(initial=0)
    if not (extremes[0] >= 0 and extremes[1] <= p_max):
        raise ValueError(f"pixels go from {extremes[0]} to {extremes[1]}; accepted: 0 to {p_max}")
    return images, float(p_max)


def _levels(images, p_max):
    """Rank of each pixel (n, n_pixels) among the values it may have, and these, rising."""
    images, p_max = checked(images, p_max)
    if images.dtype == np.uint8:
        levels, values = images, np.arange(256.0)
    else:
        values, levels = np.unique(images, return_inverse=True)
        levels, values = levels.astype(np.int64), values.astype(np.float64)
    shape = len(images), math.prod(images.shape[1:])
    return np.ascontiguousarray(levels).reshape(shape), values, p_max


def _sorted_by_level(levels, times, lowest):
    """Spike trains of pixels that spike at the times of their levels, the highest first.

    Pixels of levels below `lowest` do not spike.
    """
    offsets = np.zeros(len(levels) + 1, np.int64)
    np.cumsum(np.count_nonzero(levels >= lowest, axis=1), out=offsets[1:])
    new_times, new_indices = np.empty(offsets[-1]), np.empty(offsets[-1], np.int32)
    counting_sort(levels, times, lowest, offsets, new_times, new_indices)
    return SpikeTrains._trusted(new_times, new_indices, offsets, levels.shape[1])
