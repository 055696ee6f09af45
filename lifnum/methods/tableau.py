"""Explicit Runge-Kutta methods that a user writes down as a tableau.

The neuron's equations are linear, so that a step of such a method is a polynomial in h: the tableau
is needed once, for the polynomial's coefficients, which the kernels take.
"""

import hashlib
import math
from dataclasses import dataclass, field
from fractions import Fraction

MAX_STAGES = 16

# conditions hold to the rounding of a tableau's entries, of which each is a sum
ROUNDING = 64 * 2.0**-53


@dataclass(frozen=True)
class RungeKutta:
    """An explicit Runge-Kutta method by its tableau, a `method` of `Scheme`.

    For dy/dt = f(y), a step of length h from y0 with stages k_i (Hairer, Norsett & Wanner, Solving
    Ordinary Differential Equations I, section II.1):

        k_i = f(y0 + h sum_j a_ij k_j)        y(h) = y0 + h sum_i b_i k_i

    A shorter step of the same method is its dense output.

    Parameters
    ----------
    a : (stages, stages) numbers
        Strictly lower triangular; 1 to 16 stages.
    b : (stages,) numbers
        Weights; their sum is 1.

    Attributes
    ----------
    c : tuple of float
        Sums of the rows of a.
    order : int
        Order for any equation, by the order conditions up to 4: 1 to 4.
    linear_order : int
        Order for linear equations, as the neuron's are: at most the number of stages, and at
        least `order`.
    factors : tuple of float
        k! b . a^(k-1) . 1 for k = 0, 1, ...: the coefficients of the stability function, relative
        to those of the exponential; the last is not zero. Equal to 1 up to linear_order.

    Raises
    ------
    ValueError
        Another shape, entries that are not finite, entries on or above the diagonal, weights whose
        sum is not 1, or coefficients beyond the range of floating-point numbers.

    Examples
    --------
    >>> heun = lifnum.RungeKutta(a=[[0, 0], [1, 0]], b=[1 / 2, 1 / 2])
    >>> heun.order
    2
    >>> scheme = lifnum.Scheme(method=heun, dt=0.01)
    """

    a: tuple
    b: tuple
    c: tuple = field(init=False, repr=False, compare=False)
    order: int = field(init=False, repr=False, compare=False)
    linear_order: int = field(init=False, repr=False, compare=False)
    factors: tuple = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        b = _numbers("b", self.b)
        n = len(b)
        if not 1 <= n <= MAX_STAGES:
            raise ValueError(f"b has {n} entries; accepted: 1 to {MAX_STAGES}, one a stage")
        try:
            rows = list(self.a)
        except TypeError:
            raise ValueError(f"a is {self.a!r}; accepted: {n} rows of {n} finite numbers") from None
        if len(rows) != n:
            raise ValueError(f"a has {len(rows)} rows; accepted: {n}, as many as entries of b")
        a = tuple(_numbers(f"a[{i}]", row) for i, row in enumerate(rows))
        for i, row in enumerate(a):
            if len(row) != n:
                raise ValueError(f"a[{i}] has {len(row)} entries; accepted: {n}, as b has")
            for j in range(i, n):
                if row[j] != 0.0:
                    raise ValueError(
                        f"a[{i}][{j}] is {row[j]!r}; accepted: 0 on and above the diagonal, "
                        "of an explicit method"
                    )
        exact = [[Fraction(x) for x in row] for row in a], [Fraction(x) for x in b]
        sizes = [[abs(x) for x in row] for row in exact[0]], [abs(x) for x in exact[1]]
        order = _order(exact, sizes)
        if order == 0:
            raise ValueError(f"b has the sum {math.fsum(b)!r}; accepted: 1, to rounding")
        try:
            factors = _factors(exact, sizes)
        except OverflowError:
            raise ValueError(
                f"a has entries up to {float(max(map(max, sizes[0]))):g}, whose products overflow; "
                "accepted: a stability function with finite coefficients"
            ) from None
        linear_order = 0
        while linear_order + 1 < len(factors) and factors[linear_order + 1] == 1.0:
            linear_order += 1
        for name, value in (
            ("a", a),
            ("b", b),
            ("c", tuple(math.fsum(row) for row in a)),
            ("order", order),
            ("linear_order", linear_order),
            ("factors", factors),
        ):
            object.__setattr__(self, name, value)

    @property
    def label(self):
        """Short name for files and legends; another tableau has another."""
        digest = hashlib.sha256(repr((self.a, self.b)).encode()).hexdigest()
        return f"rk{len(self.b)}-{digest[:8]}"


def _numbers(name, values):
    """A tuple of floats; refuses what is no sequence of finite numbers."""
    try:
        found = tuple(values)
        numbers = tuple(float(value) for value in found if not isinstance(value, str))
    except (TypeError, ValueError, OverflowError):
        found, numbers = (), (math.nan,)
    if len(found) != len(numbers) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name} is {values!r}; accepted: a sequence of finite numbers")
    return numbers


def _dot(x, y):
    return sum((p * q for p, q in zip(x, y)), Fraction(0))


def _times(a, x):
    return [_dot(row, x) for row in a]


def _rounded(value, target, size):
    """Whether a sum of terms of this size is the target but for the rounding of a tableau."""
    return abs(value - target) <= min(Fraction(ROUNDING) * size, Fraction(1, 10**8))


def _conditions(a, b):
    """The left-hand sides of the order conditions, order by order; the right are in `_order`."""
    c = _times(a, [Fraction(1)] * len(b))
    square = [x * x for x in c]
    ac = _times(a, c)
    return (
        (sum(b),),
        (_dot(b, c),),
        (_dot(b, square), _dot(b, ac)),
        (
            _dot(b, [x * y for x, y in zip(square, c)]),
            _dot(b, [x * y for x, y in zip(c, ac)]),
            _dot(b, _times(a, square)),
            _dot(b, _times(a, ac)),
        ),
    )


def _order(exact, sizes):
    denominators = (1,), (2,), (3, 6), (4, 8, 12, 24)
    order = 0
    for values, scales, below in zip(_conditions(*exact), _conditions(*sizes), denominators):
        if not all(_rounded(v, Fraction(1, k), s) for v, k, s in zip(values, below, scales)):
            break
        order += 1
    return order


def _factors(exact, sizes):
    """k! b . a^(k-1) . 1: what is 1 or 0 but for rounding is 1 or 0."""
    factors = [1.0]
    powers = [[Fraction(1)] * len(exact[1])] * 2
    for k in range(1, len(exact[1]) + 1):
        value, size = (math.factorial(k) * _dot(b, x) for (_, b), x in zip((exact, sizes), powers))
        near = [target for target in (1, 0) if _rounded(value, target, size)]
        factors.append(float(near[0] if near else value))
        powers = [_times(a, x) for (a, _), x in zip((exact, sizes), powers)]
    while factors[-1] == 0.0:
        factors.pop()
    return tuple(factors)
