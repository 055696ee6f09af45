"""Pieces of a neuron's solution by every method in plain Python, and the first crossing of each.

Part of the oracle in `naive_models`; imports nothing from lifnum.
"""

from math import factorial, inf

import numpy as np

MAX_ORDER = 32
MAX_CUTS = 60

TABLEAUS = {
    "euler": ([[0.0]], [1.0]),
    "rk2": ([[0.0, 0.0], [0.5, 0.0]], [0.0, 1.0]),
    "rk4": (
        [[0, 0, 0, 0], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1.0, 0]],
        [1 / 6, 1 / 3, 1 / 3, 1 / 6],
    ),
}


class TooWild(ArithmeticError):
    """No piece of a step is finite."""


class Conditioning:
    """How near to grazing a simulation came."""

    def __init__(self, counts_several=False):
        self.counts_several = counts_several
        self.slopes = []
        self.peak = inf  # smallest distance of a missed peak to the threshold
        self.cuts = 0
        self.several = 0  # steps in which a stage method's own polynomial crosses several times
        self.let_pass = 0  # crossings beyond `spikes_per_step`


def real(x):
    return float(np.real(x))


def phi(k, x):
    """phi_k(x) = sum of x^j / (j + k)!."""
    if abs(x) < 1.0:
        return sum(x**j / factorial(j + k) for j in range(24))
    if real(x) > 700.0:  # what divides by it is 0
        return 1e300
    value = np.expm1(x) / x
    for j in range(1, k):
        value = (value - 1 / factorial(j)) / x
    return value


class Series:
    """A power series; operators and functions by the textbook's recurrences.

    Its coefficients are found one after the other, as they are asked for: rule(k) gives the k-th.
    """

    def __init__(self, c, rule=None):
        self.c, self.rule = list(c), rule

    def __getitem__(self, k):
        while len(self.c) <= k:
            self.c.append(self.rule(len(self.c)))
        return self.c[k]

    @classmethod
    def recurrent(cls, rule):
        """A series of which rule(k, c) gives the k-th coefficient from those before."""
        series = cls([])
        series.rule = lambda k: rule(k, series.c)
        return series

    def of(self, other):
        return other if isinstance(other, Series) else Series([other], lambda k: 0.0)

    def __add__(self, other):
        b = self.of(other)
        return Series([], lambda k: self[k] + b[k])

    __radd__ = __add__

    def __neg__(self):
        return Series([], lambda k: -self[k])

    def __pos__(self):
        return self

    def __sub__(self, other):
        return self + -self.of(other)

    def __rsub__(self, other):
        return self.of(other) + -self

    def __mul__(self, other):
        b = self.of(other)
        return Series([], lambda k: sum(self[i] * b[k - i] for i in range(k + 1)))

    __rmul__ = __mul__

    def __truediv__(self, other):
        a, b = self, self.of(other)
        return Series.recurrent(
            lambda k, q: (a[k] - sum(b[i] * q[k - i] for i in range(1, k + 1))) / b[0]
        )

    def __rtruediv__(self, other):
        return self.of(other) / self

    def __pow__(self, n):
        if float(n) == int(n):
            result = self.of(1.0)
            for _ in range(abs(int(n))):
                result = result * self
            return result if n >= 0 else 1.0 / result
        return (n * self.log()).exp()

    def along(self, k, g):
        """The k-th coefficient, k > 0, of what grows by g times the growth of this series."""
        return sum(i * self[i] * g[k - i] for i in range(1, k + 1)) / k

    def exp(self):
        return Series.recurrent(lambda k, e: self.along(k, e) if k else np.exp(self[0]))

    def log(self):
        a = self
        return Series.recurrent(
            lambda k, q: (a[k] - sum(i * q[i] * a[k - i] for i in range(1, k)) / k) / a[0]
            if k else np.log(a[0])
        )  # fmt: skip

    def sqrt(self):
        a = self
        return Series.recurrent(
            lambda k, q: (a[k] - sum(q[i] * q[k - i] for i in range(1, k))) / (2 * q[0])
            if k else np.sqrt(a[0])
        )  # fmt: skip

    def tanh(self):
        t = Series([])
        slope = 1.0 - t * t
        t.rule = lambda k: self.along(k, slope) if k else np.tanh(self[0])
        return t

    def sin_cos(self):
        s, c = Series([]), Series([])
        s.rule = lambda k: self.along(k, c) if k else np.sin(self[0])
        c.rule = lambda k: -self.along(k, s) if k else np.cos(self[0])
        return s, c

    def exprel(self):
        if real(self[0]) > 700.0:  # as `phi`
            return self.of(1e300)
        if abs(self[0]) >= 2.0:
            return (self.exp() - 1.0) / self
        total = self.of(0.0)
        for j in range(44, -1, -1):  # composition: sum of x^j / (j + 1)!
            total = total * self + 1 / factorial(j + 1)
        return total


def _function(name, plain):
    def apply(x):
        if not isinstance(x, Series):
            return plain(x)
        if name in ("sin", "cos"):
            return x.sin_cos()[name == "cos"]
        return getattr(x, name)()

    return apply


FUNCTIONS = {name: _function(name, getattr(np, name))
             for name in ("exp", "log", "sqrt", "tanh", "sin", "cos")}  # fmt: skip
FUNCTIONS["exprel"] = _function("exprel", lambda x: phi(1, x))


def coefficients(plain, y, unit, order, tolerance=None, twice=None):
    """(state's series with unit^k inside, order used or None); of `order`, or by tolerance.

    twice: those up to MAX_ORDER of a unit twice as long, which differ by 2^k and no rounding as
    long as no number is beyond the range of floats.
    """
    states = [Series([a]) for a in y]
    c, rates = [one.c for one in states], plain.field(states)
    largest = [abs(real(a)) for a in y]
    small = 0
    for k in range(MAX_ORDER if tolerance is not None else order):
        if twice is not None:
            new = [row[k + 1] * 0.5 ** (k + 1) for row in twice]
            if not all(a == 0.0 or 1e-200 < abs(a) < 1e200
                       for z in new for a in (np.real(z), np.imag(z))):  # fmt: skip
                return coefficients(plain, y, unit, order, tolerance)
        else:
            new = [rate[k] if isinstance(rate, Series) else (rate if k == 0 else 0.0)
                   for rate in rates]  # fmt: skip
            new = [rate * unit / (k + 1) for rate in new]
        for row, one in zip(c, new):
            row.append(one)
        if tolerance is not None:
            fine = all(abs(real(a)) <= tolerance * b for a, b in zip(new, largest))
            largest = [max(b, abs(real(a))) for a, b in zip(new, largest)]
            small = small + 1 if fine else 0
            if small == 2:
                return c, k + 1
    return c, None if tolerance is not None else order


class Piece:
    """The numerical trajectory from a state y, planned for a length h.

    twice: that of a length 2 h, if it is known.
    """

    def __init__(self, plain, scheme, y, h, twice=None):
        self.plain, self.scheme, self.y, self.h = plain, scheme, np.array(y, complex), h
        self.unit = real(h)
        self.converged = True
        if scheme.method == "ps":
            known = None if twice is None or twice.converged else twice.series
            c, order = coefficients(plain, self.y, self.unit, scheme.order, scheme.tolerance, known)
            self.converged, self.series = order is not None, c
            self.c = np.array(c)[:, : (order or MAX_ORDER) + 1]
        elif scheme.method == "exponential-euler":
            self.f, self.d = plain.field(self.y), plain.diagonal(self.y)
        else:
            method = scheme.method
            self.a, self.b = TABLEAUS.get(method) or (method.a, method.b)

    def at(self, s):
        if self.unit == 0.0 and real(s) == 0.0:  # all methods agree there
            return self.y + s * self.plain.field(self.y)
        if self.scheme.method == "ps":
            x, total = s / self.unit, 0.0
            for k in range(self.c.shape[1] - 1, -1, -1):
                total = total * x + self.c[:, k]
            return total
        if self.scheme.method == "exponential-euler":
            x = s * self.d
            grown = [phi(1, a) if real(a) <= 700.0 else np.expm1(a) / a for a in x]
            return self.y + s * self.f * np.array(grown)
        k = []
        for row in self.a:
            y = self.y + s * sum((a * one for a, one in zip(row, k)), np.zeros(len(self.y)))
            k.append(self.plain.field(y))
        return self.y + s * sum(b * one for b, one in zip(self.b, k))

    def real(self):
        return Piece(self.plain, self.scheme, np.real(self.y), real(self.h))

    def slope(self, s):
        """d/ds of the threshold variable at real s, of the real trajectory."""
        return self.real().at(s + 1e-30j)[self.plain.v].imag / 1e-30


def bisect(f, low, high):
    """Where f turns from below to at or above zero."""
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high
        if f(middle) >= 0.0:
            high = middle
        else:
            low = middle


def peaks(piece):
    """Where a peak inside the piece is looked for, sorted."""
    h, v, method = piece.unit, piece.plain.v, piece.scheme.method
    if method == "exponential-euler":
        return []
    if method == "ps":
        c = np.real(piece.c[v])
        roots = np.polynomial.Polynomial(c).deriv().roots() if len(c) > 2 else []
        near = [r.real for r in roots if abs(r.imag) <= 1e-6 * (abs(r) + 1e-300)]
        return sorted(r * h for r in near if 0.0 < r < 1.0)
    twin = piece.real()
    rise = real(twin.at(h)[v] - twin.y[v])
    begin, end = h * piece.slope(0.0), h * piece.slope(h)
    cubic = np.polynomial.Polynomial([0.0, begin, 3 * rise - 2 * begin - end,
                                      begin + end - 2 * rise])  # fmt: skip
    return [
        r.real * h
        for r in cubic.deriv().roots()
        if abs(np.imag(r)) < 1e-9 and 0.0 < np.real(r) < 1.0 and cubic.deriv(2)(np.real(r)) < 0.0
    ]


def first_crossing(piece, interpolation, conditioning):
    """The first s in (0, h] where the threshold variable reaches the threshold, or None."""
    plain, h = piece.plain, piece.unit
    v, theta = plain.v, plain.threshold
    end = piece.at(piece.h)[v]
    if interpolation == "linear":
        if real(end) < theta:
            return None
        rise = end - piece.y[v]
        conditioning.slopes.append(real(rise) / h if h > 0 else inf)
        return piece.h * (theta - piece.y[v]) / rise
    if h <= 0.0:
        return None
    twin = piece.real()

    def gap(s):
        return real(twin.at(s)[v]) - theta

    left = 0.0
    for right in [*peaks(piece), h]:
        reached = real(end) >= theta if right == h else gap(right) >= 0.0
        if reached:
            s = bisect(gap, left, right)
            if conditioning.counts_several and piece.scheme.method in TABLEAUS:
                above = [gap(x) >= 0.0 for x in np.linspace(left, right, 65)[1:]]
                conditioning.several += int(np.abs(np.diff(above)).sum() + (not above[0]) > 1)
            slope = piece.slope(s)
            conditioning.slopes.append(slope)
            for _ in range(2):  # carries the imaginary parts into the root
                s = s - (piece.at(s)[v] - theta) / slope
            return s
        if right < h and gap(right) < 0.0:
            conditioning.peak = min(conditioning.peak, -gap(right))
        if piece.scheme.method == "ps":
            left = right
    return None
