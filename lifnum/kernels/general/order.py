"""What a forward pass of a model's layer found: its spikes by time, then neuron, and how many."""

from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.general.lanes import FAULT_KIND, LET_PASS_SO_FAR, SUPPRESSED_ONE
from lifnum.kernels.general.walk import NO_ROOM
from lifnum.kernels.order import finish

LACKING, FAULTY, CAPPED, SUPPRESSED, LET_PASS, MOST, N_NUMBERS = range(7)

BUCKETS = 2  # of equal length in time, for a spike: few then stand behind a later one


@kernel
def count_all(counts, faults, max_spikes, offsets, numbers):
    """Where each sample's spikes begin, and into `numbers`: neurons that lacked room, that have
    faults, with all spikes that there may be, with spikes that the cap suppressed; crossings let
    pass; the most spikes of a sample."""
    numbers[:] = 0
    for sample in range(len(counts)):
        total = 0
        for j in range(counts.shape[1]):
            total += counts[sample, j]
            kind = faults[sample, j, FAULT_KIND]
            numbers[LACKING] += kind == NO_ROOM
            numbers[FAULTY] += kind != 0
            numbers[CAPPED] += counts[sample, j] == max_spikes
            numbers[SUPPRESSED] += faults[sample, j, SUPPRESSED_ONE]
            numbers[LET_PASS] += faults[sample, j, LET_PASS_SO_FAR]
        offsets[sample + 1] = offsets[sample] + total
        numbers[MOST] = max(numbers[MOST], total)


@kernel
def order_spikes(duration, slots, counts, offsets, times, indices, order, room):
    """Fill times, indices and order: where each spike is in order of (sample, neuron, time).

    slots (batch, n_post, capacity) holds counts (batch, n_post) times; room: of `room_for`.
    """
    for sample in range(len(counts)):
        low, high = offsets[sample], offsets[sample + 1]
        part = times[low:high], indices[low:high], order[low:high]
        if low < high:
            _into_buckets(duration, slots[sample], counts[sample], low, part, room)
            finish(*part)  # places are by neuron, then time


def room_for(most):
    """How many int64 the scratch has for so many spikes of a sample."""
    return BUCKETS * most + 2


@kernel
def _into_buckets(duration, slots, counts, first, part, ends):
    """All spikes of a sample by time into buckets, in each as they come; the first is `first`."""
    times, indices, order = part
    n_buckets = BUCKETS * len(times) + 1
    scale = min(n_buckets / duration, 1e308)
    ends[: n_buckets + 1] = 0
    for j in range(len(counts)):
        for q in range(counts[j]):
            ends[_bucket(slots[j, q], scale, n_buckets) + 1] += 1
    for bucket in range(n_buckets):
        ends[bucket + 1] += ends[bucket]
    k = first
    for j in range(len(counts)):
        for q in range(counts[j]):
            bucket = _bucket(slots[j, q], scale, n_buckets)
            to = ends[bucket]
            ends[bucket] += 1
            times[to], indices[to], order[to] = slots[j, q], j, k
            k += 1


@inlined_kernel
def _bucket(time, scale, n_buckets):
    return min(int(time * scale), n_buckets - 1)
