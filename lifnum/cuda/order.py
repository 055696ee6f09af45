"""Spikes on a GPU: in order, by sample, and their counts."""

from numba import cuda

from lifnum.cuda import device


@device.kernel
def compact(records, ends, times, indices, samples, offsets):
    """The spikes of each neuron of each sample, together; a thread a neuron.

    ends (batch n_post,): running sums of the counts, where the next neuron's spikes begin.
    """
    cell, counts = cuda.grid(1), records.counts
    batch, n = counts.shape
    if cell >= batch * n:
        return
    sample, j = cell // n, cell % n
    place = ends[cell] - counts[sample, j]
    for k in range(counts[sample, j]):
        times[place + k] = records.time[sample, k, j]
        indices[place + k] = j
        samples[place + k] = sample
    if j == 0:
        offsets[sample] = place
    if cell == batch * n - 1:
        offsets[batch] = ends[cell]


@device.kernel
def arrange(samples, offsets, times, indices, sorted_times, sorted_indices, ranks):
    """The spikes that `compact` left, in order, and the rank of each; a thread a spike.

    It counts the spikes of its sample that come before: up to some 10,000 no sort is faster.
    """
    k = cuda.grid(1)
    if k >= times.shape[0]:
        return
    time, first, last = times[k], offsets[samples[k]], offsets[samples[k] + 1]
    rank = first
    for other in range(first, k):  # of neurons before this one, or earlier of its own
        rank += times[other] <= time
    for other in range(k + 1, last):
        rank += times[other] < time
    sorted_times[rank], sorted_indices[rank], ranks[k] = time, indices[k], rank


@device.kernel
def gather(times, indices, offsets, rows, new_times, new_indices, new_offsets):
    """Copy the spikes of sample rows[b] to sample b; a block a sample."""
    b = cuda.blockIdx.x
    source, to = offsets[rows[b]], new_offsets[b]
    for k in range(cuda.threadIdx.x, new_offsets[b + 1] - to, cuda.blockDim.x):
        new_times[to + k], new_indices[to + k] = times[source + k], indices[source + k]


@device.kernel
def survey(times, indices, offsets, counts, first, last):
    """Per sample and neuron: number of spikes, rank of the first (-1), time of the last (inf).

    counts, first, last (batch, neurons) come filled with 0, -1, inf; a thread a sample.
    """
    sample = cuda.grid(1)
    if sample < offsets.shape[0] - 1:
        for k in range(offsets[sample], offsets[sample + 1]):
            j = indices[k]
            if counts[sample, j] == 0:
                first[sample, j] = k
            counts[sample, j] += 1
            last[sample, j] = times[k]
