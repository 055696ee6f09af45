"""Spikes of models in extended precision, by power series with 64 bits of mantissa and more.

Imports nothing from lifnum. Each operation of the equations is a node that gives its Taylor
coefficients one by one; steps are as long as the last terms are below 1e-20 of the state. What
`naive_models` says of methods, this says of the differential equation itself.
"""

from typing import NamedTuple

import numpy as np

REAL, COMPLEX = np.longdouble, np.clongdouble

ORDER = 32

SMALL = REAL(1e-20)  # of the last two terms, relative to the state

POINTS = 64  # of a step, between which a crossing is looked for

IS_PRECISE = np.finfo(REAL).eps < 1e-18


class Node:
    """An operation; c holds its coefficients of h^k, each computed by `extend`."""

    def __init__(self, *operands, kind=REAL):
        kind = np.result_type(kind, *(one.c for one in operands))
        self.operands, self.c = operands, np.zeros(ORDER + 1, kind)

    def __add__(self, other):
        return Sum(self, node_of(other))

    def __sub__(self, other):
        return Sum(self, Scaled(node_of(other), -1))

    def __mul__(self, other):
        return Product(self, other) if isinstance(other, Node) else Scaled(self, other)

    def __truediv__(self, other):
        return Quotient(self, other) if isinstance(other, Node) else Scaled(self, 1 / REAL(other))

    def __rsub__(self, other):
        return node_of(other) - self

    def __rtruediv__(self, other):
        return Quotient(node_of(other), self)

    def __neg__(self):
        return Scaled(self, -1)

    def __pos__(self):
        return self

    def __pow__(self, n):
        if n != int(n):
            return Exponential(Function("log", self) * n)
        result = self
        for _ in range(abs(int(n)) - 1):
            result = result * self
        return result if n > 0 else (1 / result if n < 0 else node_of(1))

    __radd__, __rmul__ = __add__, __mul__


def node_of(x):
    if isinstance(x, Node):
        return x
    constant = Node()
    constant.c[0] = x
    return constant


def convolved(a, b, k):
    """The sum of a_i b_{k-i} over i from 0 to k."""
    return np.dot(a[: k + 1], b[k::-1])


class Sum(Node):
    def extend(self, k):
        self.c[k] = self.operands[0].c[k] + self.operands[1].c[k]


class Scaled(Node):
    def __init__(self, x, factor):
        super().__init__(x)
        self.factor = REAL(factor)

    def extend(self, k):
        self.c[k] = self.factor * self.operands[0].c[k]


class Product(Node):
    def extend(self, k):
        self.c[k] = convolved(self.operands[0].c, self.operands[1].c, k)


class Quotient(Node):
    def extend(self, k):
        a, b = (one.c for one in self.operands)
        self.c[k] = 0.0
        self.c[k] = (a[k] - convolved(self.c, b, k)) / b[0]


class Exponential(Node):
    """By its differential equation: k e_k is the sum of j x_j e_{k-j}."""

    def extend(self, k):
        x = self.operands[0].c
        self.c[k] = np.exp(x[0]) if k == 0 else np.dot(J[1 : k + 1] * x[1 : k + 1],
                                                       self.c[k - 1 :: -1]) / k  # fmt: skip


class Function(Node):
    """f(x): its own Taylor coefficients at x_0, composed with those of x - x_0."""

    def __init__(self, name, x):
        super().__init__(x)
        self.taylor = TAYLOR[name]
        self.powers = np.zeros((ORDER + 1, ORDER + 1), self.c.dtype)  # (x - x_0)^j

    def extend(self, k):
        x = self.operands[0].c
        if k == 0:
            self.f = self.taylor(x[0])
            self.powers[0, 0] = 1.0
            self.c[0] = self.f[0]
            return
        self.powers[1, k] = x[k]
        for j in range(2, k + 1):
            self.powers[j, k] = np.dot(x[1 : k - j + 2], self.powers[j - 1, k - 1 : j - 2 : -1])
        self.c[k] = np.dot(self.f[1 : k + 1], self.powers[1 : k + 1, k])


J = np.arange(ORDER + 1)
FACTORIALS = np.cumprod(np.maximum(np.arange(400), 1).astype(REAL))


def exp_taylor(x):
    return np.exp(x) / FACTORIALS[J]


def log_taylor(x):
    return np.concatenate([[np.log(x)], -((-1 / x) ** J[1:]) / J[1:]])


def sqrt_taylor(x):
    return np.sqrt(x) * np.concatenate([[1], np.cumprod((REAL(1.5) - J[1:]) / J[1:] / x)])


def sin_taylor(x):
    return np.array([np.sin(x), np.cos(x), -np.sin(x), -np.cos(x)])[J % 4] / FACTORIALS[J]


def cos_taylor(x):
    return np.array([np.cos(x), -np.sin(x), -np.cos(x), np.sin(x)])[J % 4] / FACTORIALS[J]


def tanh_taylor(x):
    t = np.zeros(ORDER + 1, x.dtype)
    t[0] = np.tanh(x)
    for k in range(ORDER):  # t' = 1 - t^2
        t[k + 1] = ((k == 0) - convolved(t, t, k)) / (k + 1)
    return t


def exprel_taylor(x):
    """Integrals of s^j exp(s x) / j! over s from 0 to 1, as sums of positive terms."""
    i = np.arange(60 + 4 * int(abs(x)))[:, None]
    if len(i) + ORDER + 1 >= len(FACTORIALS):
        raise OverflowError(f"exprel of {x}")
    if np.real(x) < 0:
        return np.exp(x) * ((-x) ** i / FACTORIALS[i + J + 1]).sum(axis=0)
    return (x**i / FACTORIALS[i] / (i + J + 1)).sum(axis=0) / FACTORIALS[J]


TAYLOR = {
    "exp": exp_taylor, "log": log_taylor, "sqrt": sqrt_taylor, "sin": sin_taylor,
    "cos": cos_taylor, "tanh": tanh_taylor, "exprel": exprel_taylor,
}  # fmt: skip


def function(name):
    def apply(x):
        if isinstance(x, Node):
            return Exponential(x) if name == "exp" else Function(name, x)
        return TAYLOR[name](REAL(x))[0]

    return apply


class Spike(NamedTuple):
    time: np.longdouble
    slope: float  # of the threshold variable there


class Cell:
    """One neuron of a model, its texts evaluated with nodes; of complex states, if it is to be.

    held: after a spike, while its threshold variable stays where it is.
    """

    def __init__(self, model, neuron=0, kind=REAL, held=False):
        self.variables = list(model.equations)
        self.names = {
            name: REAL(x[neuron] if isinstance(x, np.ndarray) else x)
            for name, x in model.parameters.items()
        } | {name: function(name) for name in TAYLOR}
        self.state = [Node(kind=kind) for _ in self.variables]
        named = dict(zip(self.variables, self.state))
        rate = 1 / REAL(model.time_unit)
        self.rates = [node_of(self.value(model.equations[name], named)) * rate
                      for name in self.variables]  # fmt: skip
        self.reset = model.reset
        self.v = self.variables.index(model.threshold[0])
        if held:
            self.rates[self.v] = node_of(0.0)
        self.theta = self.value(model.threshold[1])
        names = [model.input] * 2 if isinstance(model.input, str) else model.input
        self.inputs = [self.variables.index(name) for name in names]
        self.start = np.array([self.value(model.initial.get(name, 0.0))
                               for name in self.variables], REAL)  # fmt: skip
        self.ordered = []
        for node in self.rates:
            self._order(node)

    def value(self, text, names=()):
        """Of an expression, of which the literals are numbers of the model in double precision."""
        return eval(str(text).strip(), {"__builtins__": {}}, {**self.names, **dict(names)})

    def _order(self, node):
        """Operands first."""
        for one in node.operands:
            self._order(one)
        if hasattr(node, "extend") and node not in self.ordered:
            self.ordered.append(node)

    def after_spike(self, y):
        state = dict(zip(self.variables, y))
        return np.array([self.value(self.reset[name], state) if name in self.reset else x
                         for name, x in state.items()], REAL)  # fmt: skip

    def jumped(self, y, weight):
        y, (first, second) = y.copy(), self.inputs
        if first == second or weight >= 0:
            y[first] += REAL(weight)
        else:
            y[second] -= REAL(weight)
        return y

    def expand(self, y):
        """Coefficients (variables, ORDER + 1) of the state's powers of h."""
        for node, x in zip(self.state, y):
            node.c[0] = x
        for k in range(ORDER):
            for node in self.ordered:
                node.extend(k)
            for node, rate in zip(self.state, self.rates):
                node.c[k + 1] = rate.c[k] / (k + 1)
        return np.array([node.c for node in self.state])


def step_of(c):
    """How long the last two terms are small."""
    scale = np.abs(c[:, :3]).max(axis=1)
    longest = REAL(np.inf)
    for k in (ORDER - 1, ORDER):
        for size, last in zip(scale, np.abs(c[:, k])):
            if last > 0:
                longest = min(longest, (SMALL * max(size, REAL(1e-6)) / last) ** (REAL(1) / k))
    return longest


class Unbounded(ArithmeticError):
    """The solution leaves all bounds: its steps become too short."""


@np.errstate(all="ignore")
def flow(cell, y, length):
    """The solution after a length from y, of a cell of complex states."""
    y, rest = np.array(y, COMPLEX), REAL(length)
    while rest > 0:
        c = cell.expand(y)
        h = step_of(c)
        if not h > 1e-17 * length:
            raise Unbounded
        y, rest = at(c, min(h, rest)), rest - h
    return y


def at(c, s):
    total = np.zeros(len(c), c.dtype)
    for k in range(ORDER, -1, -1):
        total = total * s + c[:, k]
    return total


def crossing(c, theta, h):
    """The first s in (0, h] where the polynomial comes from below theta to it, or None."""
    s = np.linspace(REAL(0), h, POINTS + 1)
    total = np.zeros(len(s), REAL)
    for k in range(ORDER, -1, -1):
        total = total * s + c[k]
    above = np.flatnonzero((total[:-1] < theta) & (total[1:] >= theta))
    if not len(above):
        return None
    low, high = s[above[0]], s[above[0] + 1]
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return high
        low, high = (low, middle) if at(c[None], middle)[0] >= theta else (middle, high)


def spikes_of(model, times, weights, duration, neuron=0, most=10_000):
    """[Spike] of a neuron of the model with inputs at these sorted times."""
    cell = Cell(model, neuron)
    y, now, found = cell.start.copy(), REAL(0), []
    for time, weight in [*zip(times, weights), (duration, None)]:
        while now < REAL(time):
            if cell.reset and y[cell.v] >= cell.theta:
                raise ValueError("an input lifted the neuron above its threshold")
            c = cell.expand(y)
            h = min(step_of(c), REAL(time) - now)
            s = crossing(c[cell.v], cell.theta, h)
            if s is None:
                y, now = at(c, h), (REAL(time) if now + h >= REAL(time) else now + h)
                continue
            slope = (np.arange(1, ORDER + 1) * c[cell.v, 1:] * s ** np.arange(ORDER)).sum()
            found.append(Spike(now + s, float(slope)))
            if len(found) == most:
                return found
            now = now + s
            y = at(c, s)
            y[cell.v] = cell.theta
            y = cell.after_spike(y)
        if weight is not None:
            y = cell.jumped(y, weight)
    return found
