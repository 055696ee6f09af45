"""Victor and Purpura's distance of two spike trains."""

import numpy as np


def victor_purpura(first, second, q, ends):
    """Cost of turning one train into the other, of the spikes up to each of several times.

    Adding or deleting a spike costs 1, moving it by s costs q s (Victor & Purpura 1996).

    Parameters
    ----------
    first, second : ndarray (n,), (m,)
        Spike times, ascending.
    q : float
        In the inverse of their unit.
    ends : sequence of float
        Spikes at or before the end are compared.

    Returns
    -------
    ndarray (len(ends),)
    """
    wanted = {}
    for k, end in enumerate(ends):
        place = tuple(int(np.searchsorted(train, end, side="right")) for train in (first, second))
        wanted.setdefault(place[0], []).append((k, place[1]))
    costs = np.empty(len(ends))
    count = np.arange(len(second) + 1.0)
    row = count.copy()
    for i in range(len(first) + 1):
        if i > 0:
            moved = row[:-1] + q * np.abs(second - first[i - 1])
            best = row + 1.0
            best[1:] = np.minimum(best[1:], moved)
            row = np.minimum.accumulate(best - count) + count  # or add spikes of the second
        for k, j in wanted.get(i, ()):
            costs[k] = row[j]
    return costs
