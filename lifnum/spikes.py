"""Spike trains of a batch: the data that travels between data sets, layers and traces."""

import numbers
import operator

import numpy as np

from lifnum.compiler import entry_point, kernel


@kernel
def _gather(times, indices, first, last, new_times, new_indices, new_offsets):
    to = 0
    for k in range(len(first)):
        for source in range(first[k], last[k]):
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


_ENTRY_POINTS = {}  # by kernel: the arrays of SpikeTrains are always of the same types


def _run(function, *arguments):
    """Call a kernel above with arguments of types that it has always."""
    if function not in _ENTRY_POINTS:
        _ENTRY_POINTS[function] = entry_point(function, *arguments)
    return _ENTRY_POINTS[function](*arguments)


def chosen_rows(rows, n):
    """The rows, below n and not negative, that an index means to NumPy: int64 (n_chosen,)."""
    if isinstance(rows, slice):
        return np.arange(n)[rows]
    rows = np.asarray(rows)
    if rows.dtype == np.bool_ and rows.shape == (n,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise IndexError(
            f"rows are {rows.dtype} of shape {rows.shape}; accepted: integers of one dimension, "
            f"a mask of {n} booleans, or a slice"
        )
    least, most = (int(rows.min()), int(rows.max())) if rows.size else (0, -1)
    if least < -n or most >= n:
        k = np.flatnonzero((rows < -n) | (rows >= n))[0]
        raise IndexError(f"rows[{k}] is {rows[k]}; accepted: {-n} to {n - 1}, of {n} samples")
    rows = rows.astype(np.int64, copy=False)
    return np.where(rows < 0, rows + n, rows) if least < 0 else rows


def check_marks(spiked, n_neurons):
    """Refuse what is no array of a boolean for each neuron."""
    sound = isinstance(spiked, np.ndarray) and spiked.shape == (n_neurons,)
    if not sound or spiked.dtype != np.bool_ or not spiked.flags.carray:
        raise ValueError(
            f"spiked is a {type(spiked).__name__} of {getattr(spiked, 'dtype', 'no type')} and "
            f"shape {np.shape(spiked)}; accepted: a C-contiguous, writable array of {n_neurons} "
            "booleans"
        )


def _array(name, values, kinds, dtype):
    """The values as an array of one dimension, of one of these kinds of types."""
    values = np.asarray(values)
    if values.ndim != 1 or (values.size and values.dtype.kind not in kinds):
        raise ValueError(
            f"{name} are {values.dtype} of shape {values.shape}; "
            f"accepted: one dimension, convertible to {np.dtype(dtype)}"
        )
    return values


def _as_float64(values):
    """A copy of the numbers; inf where a longer float is beyond the range of float64."""
    with np.errstate(over="ignore"):  # the caller refuses inf
        return np.array(values, np.float64, order="C")


class SpikeTrains:
    """A ragged batch of spike trains, in compressed rows. It never changes: arrays are copied.

    Two are equal where they hold the same spikes of the same samples and number of neurons.

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
        times = _array("times", times, "fiu", np.float64)
        indices = _array("indices", indices, "iu", np.int32)
        offsets = _array("offsets", offsets, "iu", np.int64)
        whole = isinstance(n_neurons, numbers.Integral) and not isinstance(n_neurons, bool)
        if not whole or not 0 <= n_neurons < 2**31:
            raise ValueError(f"n_neurons is {n_neurons!r}; accepted: an integer from 0 to 2^31 - 1")
        if len(indices) != len(times):
            raise ValueError(
                f"indices have length {len(indices)}; accepted: {len(times)}, as times"
            )
        valid = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(times)
        if not valid or (np.diff(offsets.astype(np.int64)) < 0).any():
            raise ValueError(
                f"offsets are {offsets}; accepted: from 0 to {len(times)}, never falling"
            )
        given, times = times, _as_float64(times)
        bad = np.flatnonzero(~(np.isfinite(times) & (times >= 0)))
        if bad.size:
            raise ValueError(f"times[{bad[0]}] is {given[bad[0]]}; accepted: finite numbers >= 0")
        bad = np.flatnonzero((indices < 0) | (indices >= n_neurons))
        if bad.size:
            raise ValueError(
                f"indices[{bad[0]}] is {indices[bad[0]]}; accepted: 0 to {n_neurons - 1}"
            )
        self._set(
            times,
            np.array(indices, np.int32, order="C"),
            np.array(offsets, np.int64, order="C"),
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
        for array in (times, indices, offsets):
            array.setflags(write=False)
        put = object.__setattr__
        put(self, "times", times)
        put(self, "indices", indices)
        put(self, "offsets", offsets)
        put(self, "n_neurons", n_neurons)
        put(self, "_survey", None)

    def __setattr__(self, name, value):
        raise AttributeError(f"{name} of SpikeTrains can not be set; accepted: new SpikeTrains")

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return SpikeTrains, (self.times, self.indices, self.offsets, self.n_neurons)

    def __eq__(self, other):
        if not isinstance(other, SpikeTrains):
            return NotImplemented
        return self.n_neurons == other.n_neurons and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("offsets", "times", "indices")
        )

    __hash__ = None

    @classmethod
    def _trusted(cls, times, indices, offsets, n_neurons):
        """Wrap arrays of the right types that are known to be valid; they become read-only."""
        trains = cls.__new__(cls)
        trains._set(times, indices, offsets, n_neurons)
        return trains

    @classmethod
    def from_samples(cls, samples, n_neurons):
        """Sort and join a list of (times, indices), one pair a sample.

        Raises
        ------
        ValueError
            Times that are negative or not finite, indices out of range, unequal lengths, or
            anything else that the constructor refuses.
        """
        times, indices, offsets = [], [], [0]
        for k, sample in enumerate(samples):
            if not isinstance(sample, (tuple, list)) or len(sample) != 2:
                raise ValueError(
                    f"sample {k} is a {type(sample).__name__}; accepted: a pair (times, indices)"
                )
            t = _as_float64(_array(f"times of sample {k}", sample[0], "fiu", np.float64))
            i = _array(f"indices of sample {k}", sample[1], "iu", np.int32)
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
        """(times, indices) of one sample, read-only."""
        n = len(self)
        try:
            sample = range(n)[operator.index(sample)]
        except (IndexError, TypeError):
            raise IndexError(
                f"sample is {sample!r}; accepted: an integer from {-n} to {n - 1}"
            ) from None
        part = slice(self.offsets[sample], self.offsets[sample + 1])
        return self.times[part], self.indices[part]

    def __repr__(self):
        return (
            f"SpikeTrains({len(self)} samples, {self.n_neurons} neurons, {len(self.times)} spikes)"
        )

    def select(self, rows):
        """The samples `rows`, in that order, as new SpikeTrains.

        Parameters
        ----------
        rows : array_like of int (n,) or of bool (batch,), or slice
            With the meaning that they have to NumPy: negative ones count from the end.

        Raises
        ------
        IndexError
            Out of range, or something else.
        """
        return self._take(chosen_rows(rows, len(self)))

    def _take(self, rows):
        """`select` of rows, int64 (n,), that are known to be valid."""
        first, last = self.offsets[rows], self.offsets[rows + 1]
        n = int((last - first).sum())
        times, indices = np.empty(n), np.empty(n, np.int32)
        offsets = np.zeros(len(rows) + 1, np.int64)
        _run(_gather, self.times, self.indices, first, last, times, indices, offsets)
        return SpikeTrains._trusted(times, indices, offsets, self.n_neurons)

    def _surveyed(self):
        if self._survey is None:
            shape = (len(self), self.n_neurons)
            survey = np.zeros(shape, np.int64), np.full(shape, -1), np.full(shape, np.inf)
            _run(_survey, self.times, self.indices, self.offsets, *survey)
            for array in survey:
                array.setflags(write=False)
            object.__setattr__(self, "_survey", survey)
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
        values = np.require(values, np.float64, ("C", "A", "W"))
        if values.shape != (len(self), self.n_neurons):
            raise ValueError(
                f"values have shape {values.shape}; accepted: {(len(self), self.n_neurons)}"
            )
        spread = np.empty(len(self.times))
        _run(_spread, values, self.indices, self.offsets, spread)
        return spread

    def mark(self, spiked):
        """Set spiked[j] (n_neurons,), bool, for every neuron j that spikes in any sample."""
        check_marks(spiked, self.n_neurons)
        _run(_mark, self.indices, spiked)
