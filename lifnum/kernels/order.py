"""The spikes of a sample in order of time, then neuron, by counting in buckets."""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.vectors import LANES, load, not_below, ones

BUCKET = 8  # spikes that are sorted by counting; of up to MANY that is faster than by insertion
MANY = 128


class SortingRoom(NamedTuple):
    """Scratch for the spikes of one sample."""

    place: np.ndarray  # where the next spike of each bucket goes; zeros
    source: np.ndarray  # tile and slot of each spike
    keys: np.ndarray  # (1, n + LANES): their times


@register_jitable
def sorting_room(n):
    """A `SortingRoom` for n spikes."""
    return SortingRoom(
        np.zeros(n // BUCKET + 2, np.int64), np.empty(n, np.int64), np.empty((1, n + LANES))
    )


@kernel
def collect_sample(duration, spikes, counts, offset, times, indices, room):
    """The spikes of one sample: fills times and indices, and numbers the records from offset on.

    spikes (tiles, capacity): of each tile the first counts[tile] are there.
    """
    n = len(times)
    if n == 0:
        return
    place, source, keys = room
    # by time into buckets of BUCKET spikes on average
    n_buckets = -(-n // BUCKET)
    scale = min(n_buckets / duration, 1e308)
    for tile in range(len(counts)):
        for slot in range(counts[tile]):
            place[min(int(spikes[tile, slot].time * scale), n_buckets - 1) + 1] += 1
    for bucket in range(n_buckets):
        place[bucket + 1] += place[bucket]
    for tile in range(len(counts)):
        for slot in range(counts[tile]):
            time = spikes[tile, slot].time
            bucket = min(int(time * scale), n_buckets - 1)
            to = place[bucket]
            place[bucket] += 1
            keys[0, to], source[to] = time, tile << 32 | slot
    keys[0, n:] = np.inf
    if _rank_in_buckets(spikes, offset, times, indices, place[:n_buckets], source, keys):
        return
    for k in range(n):
        q = spikes[source[k] >> 32, source[k] & 0xFFFFFFFF]
        times[k], indices[k] = q.time, q.neuron
    finish(times, indices, source)
    for k in range(n):
        spikes[source[k] >> 32, source[k] & 0xFFFFFFFF].rank = offset + k


@kernel
def _rank_in_buckets(spikes, offset, times, indices, ends, source, keys):
    """Finish the sort: the place of a spike in its bucket is the number of those before it.

    ends: of the buckets, in keys and source. Returns False, the sort unfinished, where a bucket
    has more than MANY spikes or two of its times are equal.
    """
    first = 0
    for last in ends:
        if last - first > MANY:
            return False
        n_lanes = -(-(last - first) // LANES) * LANES  # what follows the bucket is later
        for k in range(first, last):
            time = keys[0, k]
            not_before, not_after = 0, 0
            for block in range(first, last, LANES):
                not_before += ones(not_below(load(keys, 0, block), time))
                not_after += ones(not_below(time, load(keys, 0, block)))
            if not_before + not_after != n_lanes + 1:
                return False
            to = first + n_lanes - not_before
            q = spikes[source[k] >> 32, source[k] & 0xFFFFFFFF]
            times[to], indices[to], q.rank = time, q.neuron, offset + to
        first = last
    return True


@kernel
def finish(times, indices, source):
    """Sort spikes that are nearly in order of (time, index, source), by insertion.

    Should times be too clustered for buckets, wider gaps come first.
    """
    n = len(times)
    gap = 1 if _inversions_are_few(times) else n // 2
    while gap > 0:
        for k in range(gap, n):
            time, index, origin = times[k], indices[k], source[k]
            to = k
            while to >= gap and _later(times, indices, source, to - gap, time, index, origin):
                times[to], indices[to] = times[to - gap], indices[to - gap]
                source[to] = source[to - gap]
                to -= gap
            times[to], indices[to], source[to] = time, index, origin
        gap = int(gap / 2.2) if gap > 4 else gap // 2


@inlined_kernel
def _later(times, indices, source, k, time, index, origin):
    """Whether spike k comes after (time, index, origin)."""
    if times[k] != time:
        return times[k] > time
    return indices[k] > index or (indices[k] == index and source[k] > origin)


@kernel
def _inversions_are_few(times):
    """Whether no spike stands behind one that is later, further back than insertion can afford."""
    latest = 0
    for k in range(1, len(times)):
        if times[k] >= times[latest]:
            latest = k
        elif k - latest > 64:
            return False
    return True
