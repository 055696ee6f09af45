"""Paired differences over seeds and what they show: tests, corrected by Holm, and equivalence."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from lifnum.analysis.study.statistics import Interval, interval


class Comparison(NamedTuple):
    """What the differences of one pair of a family show."""

    difference: Interval
    p: float  # that the mean is zero, corrected; NaN without variance
    p_equivalent: float  # that it is as large as the margin, corrected; NaN likewise
    verdict: str  # differs, equivalent or undecided


def _standard(values):
    """(mean, standard error, degrees of freedom); NaN where the error is 0 or unknown."""
    n = len(values)
    if n < 2:
        return np.nan, np.nan, 1
    spread = values.std(ddof=1)
    if spread <= 1e-9 * np.abs(values).max():  # equal but for rounding
        spread = np.nan
    return values.mean(), spread / np.sqrt(n), n - 1


def p_different(values):
    """p of the two-sided t-test that the mean is zero; NaN without variance."""
    mean, error, freedom = _standard(values)
    return float(2.0 * stdtr(freedom, -abs(mean / error)))


def p_equivalent(values, margin):
    """p of two one-sided t-tests that the mean is at least that far from zero, the larger one."""
    mean, error, freedom = _standard(values)
    return float(stdtr(freedom, (abs(mean) - margin) / error))


def holm(values):
    """p-values corrected for their number by Holm's method; NaN counts, and stays NaN."""
    values = np.asarray(values, np.float64)
    order = np.argsort(np.where(np.isnan(values), np.inf, values))
    scaled = np.minimum(values[order] * (len(values) - np.arange(len(values))), 1.0)
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(scaled)
    return corrected


def family(differences, margin, alpha=0.05):
    """`Comparison` of each of several arrays of differences, corrected over all of them."""
    different = holm([p_different(values) for values in differences])
    equivalent = holm([p_equivalent(values, margin) for values in differences])
    found = []
    for values, p, q in zip(differences, different, equivalent, strict=True):
        verdict = "differs" if p < alpha else "equivalent" if q < alpha else "undecided"
        found.append(Comparison(interval(values), float(p), float(q), verdict))
    return found


def fit(x, y):
    """Coefficients of the least squares of y on a constant and the columns of x."""
    columns = np.column_stack([np.ones(len(y)), *x])
    return np.linalg.lstsq(columns, y, rcond=None)[0]
