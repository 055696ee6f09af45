"""Whether a one-step method neither jumps nor loses digits, by what its neighbours expect."""

from functools import lru_cache

import numpy as np

from lifnum.testing.values import UNSTABLE, values_of, where

SMOOTHNESS_TOLERANCE = 1e-12


@lru_cache
def _interpolation(n):
    """n Chebyshev nodes in [-1, 1], the n - 1 points between, and the matrix that maps the values
    of a polynomial at the former to those at the latter."""
    angles = np.pi * (np.arange(n) + 0.5) / n
    nodes, between = np.cos(angles), np.cos(np.pi * np.arange(1, n) / n)
    weights = (-1.0) ** np.arange(n) * np.sin(angles)
    matrix = weights / (between[:, None] - nodes)
    return nodes, between, matrix / matrix.sum(axis=1, keepdims=True)


def _rough(values, expected, sizes):
    """(row, entry) of the worst value that its neighbours do not expect, or None.

    Relative to the largest of its entry. values, expected (points, 3), sizes (3,).
    """
    error = abs(values - expected) / np.maximum(abs(expected).max(axis=0), sizes)
    worst = np.unravel_index(np.argmax(error), error.shape)
    return None if error[worst] <= SMOOTHNESS_TOLERANCE else worst


def _smooth_values(function, primed, h, tau_s, tau):
    """(a, c / h, b), or (tau_s a', c', tau b'): all near one for short steps."""
    a, c, b = values_of(function, h, tau_s, tau, "smoothness")
    return (tau_s * a, c, tau * b) if primed else (a, c / h, b)


def sizes_of(propagator, function, h, tau_s, tau):
    """Sizes of the terms that `_smooth_values` may be sums of, at least 1.

    Twice estimated, since each alone would excuse too much. An alternating series is largest where
    the terms add up, on the other side of the circle |h| = const (to the left itself an implicit
    method has its poles): so are exponentials, which do not cancel. And what cancels scatters
    under roundings of h: so does a formula that has no reason to.
    """
    z = h * complex(-0.86, 0.51)
    a, c, b = values_of(propagator, z, tau_s, tau, "smoothness", slice(0))
    around = np.abs([a, c / h, b])
    primed = function is not propagator
    steps = [h * (1.0 - k * 2.0**-50) for k in range(8)]
    scatter = np.ptp([_smooth_values(function, primed, x, tau_s, tau) for x in steps], axis=0)
    return np.fmax(1.0, np.fmin(around, 1e14 * scatter))


def _raise_rough(primed, entry, value, expected, variable, h, tau_s, tau):
    names = ("tau_s a'", "c'", "tau b'") if primed else ("a", "c / h", "b")
    raise AssertionError(
        f"smoothness: {names[entry]} is {value:.17g}, expected {expected:.17g} by its neighbours "
        f"in {variable}: it jumps or loses digits {where(h, tau_s, tau)}"
    )


def check_smoothness_in_h(propagator, function, tau_s, tau):
    """Over stretches of h that overlap by half, so that no jump falls between them.

    40 nodes are exact for polynomials, and resolve exponentials and quotients with poles at h < 0;
    very short steps are nearly linear.
    """
    primed = function is not propagator
    fast, slow = min(tau_s, tau), max(tau_s, tau)
    low, largest = 2.0**-52, 0.0
    while low * fast < 8.0 * slow and largest < UNSTABLE:
        short = low < 1e-4
        high = low * (64.0 if short else 8.0)
        nodes, between, matrix = _interpolation(12 if short else 40)
        points = 0.5 * (low + high) + 0.5 * (high - low) * np.concatenate([nodes, between])
        rows = np.array(
            [_smooth_values(function, primed, float(x * fast), tau_s, tau) for x in points]
        )
        largest = abs(rows).max()
        values, expected = rows[len(nodes) :], matrix @ rows[: len(nodes)]
        worst = _rough(values, expected, sizes_of(propagator, function, high * fast, tau_s, tau))
        if worst is not None:
            h = fast * points[len(nodes) + worst[0]]
            _raise_rough(primed, worst[1], values[worst], expected[worst], "h", h, tau_s, tau)
        low *= 32.0 if short else 4.0


def check_smoothness_in_tau(propagator, function, tau_s):
    """In 1 / tau: over overlapping stretches of ratios, and over ever smaller ones around 1."""
    primed = function is not propagator
    stretches = [(2.0**k, 2.0 ** (k + 3)) for k in range(-10, 9, 2)]
    stretches += [(1.0 - 4.0**-k, 1.0 + 4.0**-k) for k in range(1, 22)]
    for low, high in stretches:
        nodes, between, matrix = _interpolation(40 if high > 1.5 * low else 12)
        middle, half = 0.5 * (1 / low + 1 / high), 0.5 * (1 / low - 1 / high)
        taus = [tau_s / float(middle + half * z) for z in np.concatenate([nodes, between])]
        for x in (0.3, 2.7, 8.0):
            h = x * tau_s * min(low, 1.0)
            rows = np.array([_smooth_values(function, primed, h, tau_s, tau) for tau in taus])
            values, expected = rows[len(nodes) :], matrix @ rows[: len(nodes)]
            ends = [sizes_of(propagator, function, h, tau_s, one) for one in (min(taus), max(taus))]
            sizes = np.maximum(*ends)
            worst = _rough(values, expected, sizes)
            if worst is not None:
                tau = taus[len(nodes) + worst[0]]
                _raise_rough(primed, worst[1], values[worst], expected[worst], "tau", h, tau_s, tau)
