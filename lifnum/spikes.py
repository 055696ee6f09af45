"""Spike trains of a batch: the data that travels between data sets, layers and traces."""

import numpy as np

from lifnum.compiler import kernel


@kernel
def _gather(times, indices, offsets, rows, new_times, new_indices, new_offsets):
    to = 0
    for k in range(len(rows)):
        for source in range(offsets[rows[k]], offsets[rows[k] + 1]):
            new_times[to], new_indices[to] = times[source], indices[source]
            to += 1
        new_offsets[k + 1] = to


@kernel
def _survey(times, indices, offsets, counts, first, last):
    """counts, first, last (batch, n_neurons) come filled with 0, -1, inf."""
    for sample in range(len(offsets) - 1):
        for k in range(offsets[sample], offsets[sample + 1]):
            j = indices[k]
            if counts[sample, j] == 0:
                first[sample, j] = k
            counts[sample, j] += 1
            last[sample, j] = times[k]


@kernel
def _spread(values, indices, offsets, spread):
    for sample in range(len(offsets) - 1):
        for k in range(offsets[sample], offsets[sample + 1]):
            spread[k] = values[sample, indices[k]]


@kernel
def _mark(indices, spiked):
    for j in indices:
        spiked[j] = True


@kernel
def _first_disorder(times, indices, offsets):
    """First spike that does not follow the one before in (time, index), or -1."""
    for sample in range(len(offsets) - 1):
        for k in range(offsets[sample] + 1, offsets[sample + 1]):
            before, now = times[k - 1], times[k]
            if now < before or (now == before and indices[k] < indices[k - 1]):
                return k
    return -1


class SpikeTrains:
    """A ragged batch of spike trains, in compressed rows.

    Parameters
    ----------
    times : array_like (n,), float64
        Spike times, finite and not negative, in the unit of the time constants.
    indices : array_like (n,), int32
        The neuron of each spike.
    offsets : array_like (batch + 1,), int64
        Sample b holds the spikes offsets[b] to offsets[b + 1] - 1, sorted by (time, index).
    n_neurons : int

    Raises
    ------
    ValueError
        Anything else; names the argument, its value and what is accepted.
    """

    __slots__ = ("_survey", "indices", "n_neurons", "offsets", "times")

    xp = np  # the module of its arrays

    def __init__(self, times, indices, offsets, n_neurons):
        def array(name, values, kind, dtype):
            values = np.asarray(values)
            if values.ndim != 1 or (values.size and values.dtype.kind not in kind):
                raise ValueError(
                    f"{name} are {values.dtype} of shape {values.shape}; "
                    f"accepted: one dimension, convertible to {np.dtype(dtype)}"
                )
            return values

        times = array("times", times, "fiu", np.float64)
        indices = array("indices", indices, "iu", np.int32)
        offsets = array("offsets", offsets, "iu", np.int64)
        if not 0 <= int(n_neurons) < 2**31:
            raise ValueError(f"n_neurons is {n_neurons!r}; accepted: an integer >= 0")
        if len(indices) != len(times):
            raise ValueError(
                f"indices have length {len(indices)}; accepted: {len(times)}, as times"
            )
        valid = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(times)
        if not valid or (np.diff(offsets.astype(np.int64)) < 0).any():
            raise ValueError(
                f"offsets are {offsets}; accepted: from 0 to {len(times)}, never falling"
            )
        bad = np.flatnonzero(~(np.isfinite(times) & (times >= 0)))
        if bad.size:
            raise ValueError(f"times[{bad[0]}] is {times[bad[0]]}; accepted: finite numbers >= 0")
        bad = np.flatnonzero((indices < 0) | (indices >= n_neurons))
        if bad.size:
            raise ValueError(
                f"indices[{bad[0]}] is {indices[bad[0]]}; accepted: 0 to {n_neurons - 1}"
            )
        self._set(
            np.ascontiguousarray(times, np.float64),
            np.ascontiguousarray(indices, np.int32),
            np.ascontiguousarray(offsets, np.int64),
            int(n_neurons),
        )
        k = _first_disorder(self.times, self.indices, self.offsets)
        if k >= 0:
            raise ValueError(
                f"times[{k}] is {self.times[k]} (index {self.indices[k]}) after "
                f"{self.times[k - 1]} (index {self.indices[k - 1]}); "
                "accepted: each sample sorted by (time, index)"
            )

    def _set(self, times, indices, offsets, n_neurons):
        self.times, self.indices = times, indices
        self.offsets, self.n_neurons = offsets, n_neurons
        self._survey = None

    @classmethod
    def _trusted(cls, times, indices, offsets, n_neurons):
        """Wrap arrays of the right types that are known to be valid."""
        trains = cls.__new__(cls)
        trains._set(times, indices, offsets, n_neurons)
        return trains

    @classmethod
    def from_samples(cls, samples, n_neurons):
        """Sort and join a list of (times, indices), one pair a sample.

        Raises
        ------
        ValueError
            Times that are negative or not finite, indices out of range, unequal lengths.
        """
        times, indices, offsets = [], [], [0]
        for k, (t, i) in enumerate(samples):
            t, i = np.asarray(t, np.float64).ravel(), np.asarray(i).ravel()
            if len(t) != len(i):
                raise ValueError(
                    f"sample {k} has {len(t)} times and {len(i)} indices; accepted: as many"
                )
            order = np.lexsort((i, t))
            times.append(t[order])
            indices.append(i[order].astype(np.int64))
            offsets.append(offsets[-1] + len(t))
        empty = [np.empty(0)]
        return cls(
            np.concatenate(times or empty),
            np.concatenate(indices or [np.empty(0, np.int64)]),
            offsets,
            n_neurons,
        )

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, sample):
        """(times, indices) of one sample."""
        sample = range(len(self))[sample]
        part = slice(self.offsets[sample], self.offsets[sample + 1])
        return self.times[part], self.indices[part]

    def __repr__(self):
        return (
            f"SpikeTrains({len(self)} samples, {self.n_neurons} neurons, {len(self.times)} spikes)"
        )

    def select(self, rows):
        """The samples `rows` (array of integers), in that order, as new SpikeTrains."""
        rows = np.asarray(rows, np.int64)
        n = int((self.offsets[rows + 1] - self.offsets[rows]).sum()) if len(rows) else 0
        times, indices = np.empty(n), np.empty(n, np.int32)
        offsets = np.zeros(len(rows) + 1, np.int64)
        _gather(self.times, self.indices, self.offsets, rows, times, indices, offsets)
        return SpikeTrains._trusted(times, indices, offsets, self.n_neurons)

    def _surveyed(self):
        if self._survey is None:
            shape = (len(self), self.n_neurons)
            self._survey = np.zeros(shape, np.int64), np.full(shape, -1), np.full(shape, np.inf)
            _survey(self.times, self.indices, self.offsets, *self._survey)
            for array in self._survey:
                array.setflags(write=False)
        return self._survey

    def counts(self):
        """Spike counts (batch, n_neurons), int64."""
        return self._surveyed()[0]

    def first_spikes(self):
        """Rank of each neuron's first spike (batch, n_neurons), int64, -1 where silent."""
        return self._surveyed()[1]

    def last_times(self):
        """Time of each neuron's last spike (batch, n_neurons), float64, inf where silent."""
        return self._surveyed()[2]

    def spread(self, values):
        """The element of values (batch, n_neurons), float64, that belongs to each spike (n,)."""
        spread = np.empty(len(self.times))
        _spread(values, self.indices, self.offsets, spread)
        return spread

    def mark(self, spiked):
        """Set spiked[j] (n_neurons,), bool, for every neuron j that spikes in any sample."""
        _mark(self.indices, spiked)
