"""Spike trains that stay on the GPU."""

import numpy as np

from lifnum.cuda import device, order
from lifnum.cuda.layout import THREADS, blocks
from lifnum.spikes import SpikeTrains, check_marks, chosen_rows

xp = device.array_module()


class DeviceTrains:
    """SpikeTrains on the device.

    Attributes
    ----------
    times, indices, offsets : device arrays
        As in SpikeTrains.
    n_neurons : int
    """

    xp = xp

    def __init__(self, times, indices, offsets, n_neurons, host_offsets=None, counts=None):
        self.times, self.indices, self.offsets = times, indices, offsets
        self.n_neurons = n_neurons
        self._host_offsets = host_offsets
        self._counts = counts
        self._survey = None

    @classmethod
    def of(cls, trains):
        """The device's copy of SpikeTrains; what is on the device already as it is."""
        if isinstance(trains, cls):
            return trains
        arrays = (xp.array(a) for a in (trains.times, trains.indices, trains.offsets))
        return cls(*arrays, trains.n_neurons, trains.offsets)

    def host(self):
        """SpikeTrains."""
        arrays = (device.to_host(a) for a in (self.times, self.indices, self.offsets))
        return SpikeTrains._trusted(*arrays, self.n_neurons)

    def __len__(self):
        return len(self.offsets) - 1

    def select(self, rows):
        """The samples `rows`, on the host, in that order; see SpikeTrains."""
        return self._take(chosen_rows(rows, len(self)))

    def _take(self, rows):
        """`select` of rows, int64 (n,), that are known to be valid."""
        if self._host_offsets is None:
            self._host_offsets = device.to_host(self.offsets)
        old = self._host_offsets
        new = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(old[rows + 1] - old[rows], out=new[1:])
        times, indices = xp.empty(new[-1]), xp.empty(new[-1], np.int32)
        offsets = xp.asarray(new)
        if new[-1]:
            order.gather[len(rows), THREADS](
                self.times, self.indices, self.offsets, xp.asarray(rows), times, indices, offsets
            )
        return DeviceTrains(times, indices, offsets, self.n_neurons, new)

    def spread(self, values):
        """The element of values (batch, n_neurons) that belongs to each spike (n,)."""
        if values.shape != (len(self), self.n_neurons):
            raise ValueError(
                f"values have shape {values.shape}; accepted: {(len(self), self.n_neurons)}"
            )
        positions = xp.arange(len(self.times), dtype=np.int64)
        return values[xp.searchsorted(self.offsets, positions, side="right") - 1, self.indices]

    def _surveyed(self):
        if self._survey is None:
            shape = (len(self), self.n_neurons)
            self._survey = xp.zeros(shape, np.int64), xp.full(shape, -1), xp.full(shape, np.inf)
            if len(self):
                order.survey[blocks(len(self)), THREADS](
                    self.times, self.indices, self.offsets, *self._survey
                )
        return self._survey

    def counts(self):
        """Spike counts (batch, n_neurons), int64."""
        return self._surveyed()[0]

    def first_spikes(self):
        """Rank of each neuron's first spike (batch, n_neurons), -1 where silent."""
        return self._surveyed()[1]

    def last_times(self):
        """Time of each neuron's last spike (batch, n_neurons), inf where silent."""
        return self._surveyed()[2]

    def mark(self, spiked):
        """Set spiked[j] (n_neurons,), bool on the host, for every neuron j that spikes."""
        check_marks(spiked, self.n_neurons)
        counts = self.counts() if self._counts is None else self._counts
        spiked |= device.to_host(counts.any(axis=0))
