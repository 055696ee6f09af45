"""From values to spike times: the encoders, and their names on the command line."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lifnum.data.levels import checked, latency, threshold
from lifnum.errors import _is_integer, _positive
from lifnum.spikes import SpikeTrains

__all__ = ["ENCODERS", "encoder", "latency", "poisson", "population", "shares", "threshold"]

# Bohte, Kok & La Poutre 2002: 1 / beta of the width; a neuron that would fire after this part of
# the window does not
_WIDTH, _LATEST = 1.0 / 1.5, 0.9

_CHUNK = 1 << 21  # times at once: 16 MB


def shares(images, p_max=None):
    """The values divided by p_max, which by default is 255 for uint8, else 1: float64 (n, n_values)

    Raises
    ------
    ValueError
        Values outside [0, p_max] or not finite.
    """
    images, p_max = checked(images, p_max)
    return images.reshape(len(images), math.prod(images.shape[1:])) / p_max


def poisson(images, window=0.1, rate=100.0, seed=0, p_max=None):
    """Each value is the rate of a Poisson process from 0 to the window, on no grid.

    Parameters
    ----------
    images : ndarray (n, ...)
        Values p from 0 to p_max.
    window : float
        Latest spike time, exclusive, in the unit of the time constants.
    rate : float
        Mean number of spikes of p_max in a time unit: that of p is rate p / p_max.
    seed : int or sequence of int
        The spikes are a function of it. Those of the first samples do not depend on how many
        follow.
    p_max : float, optional
        Largest value; 255 for uint8, else 1, by default.

    Returns
    -------
    SpikeTrains

    Raises
    ------
    ValueError
        Values outside [0, p_max] or not finite; a window, rate or p_max that is no finite
        number > 0.
    """
    _positive("window", window)
    _positive("rate", rate)
    parts = shares(images, p_max)
    # the processes of a sample together are one, of their summed rate, whose spikes belong to a
    # neuron with a probability that is its part of that
    until = np.cumsum(parts, axis=1)
    totals = until[:, -1] if until.shape[1] else np.zeros(len(parts))
    for_counts, for_times, for_neurons = (
        np.random.default_rng([*np.atleast_1d(seed), k]) for k in range(3)
    )
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(for_counts.poisson(rate * window * totals), out=offsets[1:])
    times, indices = for_times.random(offsets[-1]), np.empty(offsets[-1], np.int32)
    times *= window
    for sample, (first, last) in enumerate(pairwise(offsets)):
        t, i = times[first:last], indices[first:last]
        t.sort()
        drawn = for_neurons.random(last - first) * totals[sample]
        i[:] = np.searchsorted(until[sample], drawn, side="right")
        if (t[1:] == t[:-1]).any():
            order = np.lexsort((i, t))
            t[:], i[:] = t[order], i[order]
    return SpikeTrains._trusted(times, indices, offsets, parts.shape[1])


def population(images, window=0.1, fields=8, p_max=None):
    """Each value makes the neurons spike in whose Gaussian receptive fields it lies.

    Bohte, Kok & La Poutre 2002, Error-backpropagation in temporally encoded networks of spiking
    neurons, Neurocomputing 48: of m fields over the range 0 to 1, field i has the centre
    (i - 1/2) / (m - 2), i from 0 to m - 1, and the width 1 / (1.5 (m - 2)); its neuron spikes at
    window (1 - g), where g is the field at the value, and not at all after 0.9 window. Times are
    not rounded.

    Parameters
    ----------
    images : ndarray (n, ...)
        Values p from 0 to p_max, divided by it.
    window : float
        In the unit of the time constants.
    fields : int
        m, at least 3: neuron m k + i is field i of value k.
    p_max : float, optional
        Largest value; 255 for uint8, else 1, by default.

    Returns
    -------
    SpikeTrains
        Of m neurons a value.

    Raises
    ------
    ValueError
        Values outside [0, p_max] or not finite; a window or p_max that is no finite number > 0;
        fewer fields than 3.
    """
    _positive("window", window)
    if not _is_integer(fields) or not 3 <= fields < 2**15:
        raise ValueError(f"fields is {fields!r}; accepted: an integer from 3 to {2**15 - 1}")
    parts = shares(images, p_max)
    centres = (np.arange(fields) - 0.5) / (fields - 2)
    width = _WIDTH / (fields - 2)
    rows = max(1, _CHUNK // max(1, parts.shape[1] * fields))
    chunks = [_once_each(np.empty((0, parts.shape[1] * fields)))]
    for first in range(0, len(parts), rows):
        apart = (parts[first : first + rows, :, None] - centres) / width
        times = window * (1.0 - np.exp(-0.5 * apart**2))
        times[times > _LATEST * window] = np.inf
        chunks.append(_once_each(times.reshape(len(times), parts.shape[1] * fields)))
    times, indices, counts = (np.concatenate(arrays) for arrays in zip(*chunks))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return SpikeTrains._trusted(times, indices, offsets, parts.shape[1] * fields)


def _once_each(times):
    """(times, indices, counts) of the spikes of neurons at these times (n, n_neurons) or inf."""
    order = np.argsort(times, axis=1, kind="stable")
    times = np.take_along_axis(times, order, axis=1)
    spikes = np.isfinite(times)
    return times[spikes], order[spikes].astype(np.int32), spikes.sum(axis=1)


class Encoder(NamedTuple):
    """An encoder of the table."""

    encode: Callable  # (values, window, seed[, number]) -> SpikeTrains; values uint8, or of 0 to 1
    help: str
    number: tuple | None = None  # type, name and default of the number behind the colon


ENCODERS = {
    "latency": Encoder(
        lambda values, window, seed: latency(values, window),
        "a value spikes once, the larger the earlier; 0 does not",
    ),
    "threshold": Encoder(
        lambda values, window, seed: threshold(values),
        "values above half of the largest spike at 0, the others never",
    ),
    "poisson": Encoder(
        lambda values, window, seed, rate: poisson(values, window, rate, seed),
        "a value is the rate of a Poisson process, RATE spikes a second for the largest",
        (float, "RATE", 100.0),
    ),
    "population": Encoder(
        lambda values, window, seed, fields: population(values, window, fields),
        "a value is N neurons with Gaussian receptive fields, the nearer the earlier",
        (int, "N", 8),
    ),
}


def spellings():
    """The encoders as one types them: latency, poisson[:RATE]."""
    return [name + (f"[:{one.number[1]}]" if one.number else "") for name, one in ENCODERS.items()]


def encoder(text):
    """The function (values, window, seed) that a text such as poisson or poisson:200 names.

    Raises
    ------
    ValueError
        An unknown name, or a number that is none or that the encoder does not take.
    """
    name, colon, typed = text.partition(":") if isinstance(text, str) else ("", "", "")
    found = ENCODERS.get(name)
    accepted = f"encoding is {text!r}; accepted: {', '.join(spellings())}"
    if found is None or (colon and found.number is None):
        raise ValueError(accepted)
    if found.number is None:
        return found.encode
    kind, _, number = found.number
    try:
        number = kind(typed) if colon else number
    except ValueError:
        raise ValueError(accepted) from None

    def encode(values, window, seed):
        return found.encode(values, window, seed, number)

    encode(np.zeros((0, 1)), 1.0, 0)  # refuses a number that is out of range
    return encode
