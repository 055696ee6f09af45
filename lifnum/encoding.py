"""From images to spike times."""

import numpy as np

from lifnum.compiler import kernel
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
        Pixels outside [0, p_max] or not finite.
    """
    levels, values, p_max = _levels(images, p_max)
    return _sorted_by_level(levels, window * (1.0 - values / p_max), values > 0)


def threshold(images, p_max=None):
    """Pixels brighter than half of p_max spike at t = 0, the others never.

    Parameters, result and errors as in `latency`.
    """
    levels, values, p_max = _levels(images, p_max)
    bright = values > p_max / 2
    return _sorted_by_level(np.where(levels < bright.sum(), 0, 1).astype(levels.dtype),
                            np.zeros(2), np.array([True, False]))  # fmt: skip


def _levels(images, p_max):
    """Rank of each pixel among the distinct values (0: brightest), and these, falling."""
    images = np.asarray(images)
    if p_max is None:
        p_max = 255 if images.dtype == np.uint8 else 1.0
    if images.dtype == np.uint8:
        values = np.arange(255, -1, -1, dtype=np.float64)
        levels = np.arange(255, -1, -1, dtype=np.uint8)[images]
        extremes = (images.min(initial=0), images.max(initial=0))
    else:
        values, levels = np.unique(images, return_inverse=True)
        levels = (len(values) - 1 - levels).reshape(images.shape).astype(np.int64)
        values = values[::-1].astype(np.float64)
        extremes = (images.min(initial=0), images.max(initial=0))
    if not (extremes[0] >= 0 and extremes[1] <= p_max):
        raise ValueError(f"pixels go from {extremes[0]} to {extremes[1]}; accepted: 0 to {p_max}")
    return levels.reshape(len(images), -1), values, float(p_max)


def _sorted_by_level(levels, times, spikes):
    """Spike trains of pixels whose level, sorted by time, has these times or does not spike."""
    n, n_pixels = levels.shape
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(spikes[levels].sum(axis=1), out=offsets[1:])
    new_times, new_indices = np.empty(offsets[-1]), np.empty(offsets[-1], np.int32)
    place = np.empty(len(times) + 1, np.int64)
    _counting_sort(levels, times, spikes, offsets, place, new_times, new_indices)
    return SpikeTrains._trusted(new_times, new_indices, offsets, n_pixels)


@kernel
def _counting_sort(levels, times, spikes, offsets, place, new_times, new_indices):
    for sample in range(len(levels)):
        place[:] = 0
        for pixel in range(levels.shape[1]):
            level = levels[sample, pixel]
            if spikes[level]:
                place[level + 1] += 1
        for level in range(len(times)):
            place[level + 1] += place[level]
        for pixel in range(levels.shape[1]):
            level = levels[sample, pixel]
            if spikes[level]:
                to = offsets[sample] + place[level]
                place[level] += 1
                new_times[to], new_indices[to] = times[level], pixel
