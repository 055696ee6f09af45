"""Recorded events as spike trains, at their own times: what the readers of recordings share."""

import numpy as np

from lifnum.errors import DataError
from lifnum.spikes import SpikeTrains


class Recording:
    """Spike trains that grow by a sample at a time and are joined once.

    Parameters
    ----------
    n_neurons : int
    """

    def __init__(self, n_neurons):
        self.n_neurons = n_neurons
        self._times, self._indices, self._counts = [], [], []

    def add(self, where, times, indices):
        """Sort the events of a sample into spikes.

        Parameters
        ----------
        where : str
            File and sample, for the error.
        times, indices : ndarray (n,)
            Any order; times in seconds.

        Raises
        ------
        DataError
            Unequal lengths, a time that is negative or not finite, an index out of range.
        """
        times = np.asarray(times, np.float64)
        if times.shape != indices.shape:
            raise DataError(f"{where}: has {len(times)} times for {len(indices)} units")
        bad = times[~(np.isfinite(times) & (times >= 0))]
        if len(bad):
            raise DataError(f"{where}: a time is {bad[0]}; accepted: finite numbers >= 0")
        if len(indices) and not (indices.min() >= 0 and indices.max() < self.n_neurons):
            bad = indices[(indices < 0) | (indices >= self.n_neurons)][0]
            raise DataError(f"{where}: a unit is {bad}; accepted: 0 to {self.n_neurons - 1}")
        order = np.lexsort((indices, times))
        self._times.append(times[order])
        self._indices.append(indices[order].astype(np.int32))
        self._counts.append(len(times))

    def trains(self):
        """The SpikeTrains; the recording is empty then."""
        offsets = np.concatenate([[0], np.cumsum(self._counts, dtype=np.int64)])
        arrays = []
        for parts, kind in ((self._times, np.float64), (self._indices, np.int32)):
            arrays.append(np.concatenate([np.empty(0, kind), *parts]))
            parts.clear()  # of large recordings one copy is enough
        self._counts = []
        return SpikeTrains._trusted(*arrays, offsets, self.n_neurons)
