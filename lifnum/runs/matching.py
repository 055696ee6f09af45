"""Which spike under one scheme is which under another.

Per sample and neuron, in order: no two pairs cross. Spikes further apart than the window are not
the same spike: the one is lost, the other gained. Of all such matchings this has the most pairs,
for the earlier of two spikes that are too far apart has no later partner either.
"""

from typing import NamedTuple

import numpy as np


class Matching(NamedTuple):
    """Sums over samples and neurons; shifts are times less those of the reference."""

    matched: int
    gained: int
    lost: int
    shift_sum: float
    distance_sum: float  # of |shift|
    distance_max: float  # 0 where none is matched


def match(spikes, reference, window):
    """`Matching` of two `ByNeuron` of the same samples and neurons.

    Parameters
    ----------
    spikes, reference : ByNeuron
    window : float
        Largest distance of a pair, in the unit of the times.
    """
    i, j = spikes.starts[:-1].copy(), reference.starts[:-1].copy()
    ends = spikes.starts[1:], reference.starts[1:]
    shifts = [np.empty(0)]
    open_rows = np.flatnonzero((i < ends[0]) & (j < ends[1]))
    while len(open_rows):  # a turn looks at the next two spikes of every neuron
        shift = spikes.times[i[open_rows]] - reference.times[j[open_rows]]
        near = np.abs(shift) <= window
        shifts.append(shift[near])
        i[open_rows[near | (shift < 0)]] += 1
        j[open_rows[near | (shift > 0)]] += 1
        open_rows = open_rows[(i[open_rows] < ends[0][open_rows])
                              & (j[open_rows] < ends[1][open_rows])]  # fmt: skip
    shifts = np.concatenate(shifts)
    n, distance = len(shifts), np.abs(shifts)
    return Matching(
        n,
        len(spikes.times) - n,
        len(reference.times) - n,
        float(shifts.sum()),
        float(distance.sum()),
        float(distance.max(initial=0.0)),
    )
