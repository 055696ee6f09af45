"""The kernel that sorts pixels by the level of their values."""

import numpy as np
from numba import prange

from lifnum.compiler import parallel_kernel


@parallel_kernel
def counting_sort(levels, times, lowest, offsets, new_times, new_indices):
    for sample in prange(len(levels)):
        place = np.zeros(len(times), np.int64)
        for level in levels[sample]:
            if level >= lowest:
                place[level] += 1
        to = offsets[sample]
        for level in range(len(times) - 1, lowest - 1, -1):
            n = place[level]
            place[level] = to
            to += n
        for pixel in range(levels.shape[1]):
            level = levels[sample, pixel]
            if level >= lowest:
                to = place[level]
                place[level] += 1
                new_times[to], new_indices[to] = times[level], pixel
