"""A model's trajectory in decimal arithmetic: the reference of studies of single neurons.

Power series of 36 digits, terms down to 1e-22 of a variable, Newton's root for a spike: none of the
compiled functions that it judges takes part, only the parsed equations. Without input spikes; an
exprel whose argument is 0 exactly at the start of a step is beyond it.
"""

import decimal
from decimal import Decimal
from operator import mul
from typing import NamedTuple

import numpy as np

DIGITS = 36

SMALL = Decimal("1e-22")  # last term of a series, relative to its variable or to 1

MOST = 60  # terms; where they do not suffice the step is cut in half


class Trajectory(NamedTuple):
    """What a neuron does."""

    spikes: np.ndarray  # times (n,)
    values: np.ndarray  # of the threshold variable at the times asked for


def _cauchy(a, b, k):
    return sum(map(mul, a[: k + 1], b[k::-1]))


def _chain(scaled, g, k):
    """k-th coefficient of what grows by g da; scaled: i times the i-th coefficient of a."""
    return sum(map(mul, scaled[1 : k + 1], g[k - 1 :: -1])) / k


class Series:
    """Taylor coefficients of the nodes of a model's equations, one order after the other."""

    def __init__(self, model):
        self.graph, self.right = model._graph, model._nodes["right"]
        values = {name: Decimal(float(x)) for name, x in model.parameters.items()}
        self.order = self.graph.order(self.right)
        self.constants = {}
        for node in self.order:
            if not self.graph.varies[node]:
                self.constants[node] = self._constant(node, values)

    def _constant(self, node, values):
        operation, *rest = self.graph.nodes[node]
        if operation == "number":
            return Decimal(rest[0])
        if operation == "parameter":
            return values[rest[0]]
        operands = [self._constant(one, values) for one in self.graph.operands(node)]
        if operation == "exp":
            return operands[0].exp()
        names = {"add": "__add__", "sub": "__sub__", "mul": "__mul__", "div": "__truediv__",
                 "neg": "__neg__"}  # fmt: skip
        return getattr(operands[0], names[operation])(*operands[1:])

    def expand(self, y):
        """Coefficients of the state from y, a generator: after each `next` one more of each."""
        terms = {node: [] for node in self.order}
        more = {}  # further series of a node, by name
        states = [[value] for value in y]
        for k in range(MOST):
            for node in self.order:
                if node in self.constants:
                    terms[node].append(self.constants[node] if k == 0 else Decimal(0))
                else:
                    terms[node].append(self._term(node, terms, states, more, k))
            for state, node in zip(states, self.right, strict=True):
                state.append(terms[node][k] / (k + 1))
            yield states

    def _term(self, node, terms, states, more, k):
        operation, *rest = self.graph.nodes[node]
        if operation == "y":
            return states[rest[0]][k]
        a = terms[self.graph.operands(node)[0]]
        if operation in ("add", "sub"):
            b = terms[rest[1]]
            return a[k] + b[k] if operation == "add" else a[k] - b[k]
        if operation == "neg":
            return -a[k]
        if operation == "mul":
            for one, other in (rest, rest[::-1]):
                if one in self.constants:
                    return self.constants[one] * terms[other][k]
            return _cauchy(a, terms[rest[1]], k)
        own = more.setdefault(node, {"scaled": [], "exp": [], "sin": [], "cos": []})
        if operation == "div":
            b = terms[rest[1]]
            return self._quotient(a[k], b, terms[node], k)
        own["scaled"].append(k * a[k])
        if operation in ("sin", "cos"):
            return self._sine(own, a, k)[operation]
        e = own["exp"]
        e.append(a[0].exp() if k == 0 else _chain(own["scaled"], e, k))
        if operation == "exp":
            return e[k]
        if operation == "phi" and rest[0] == 1:  # (e^x - 1) / x
            return self._quotient(e[k] - (1 if k == 0 else 0), a, terms[node], k)
        raise ValueError(f"operation is {operation!r}; accepted: + - * /, exp, exprel, sin, cos")

    @staticmethod
    def _quotient(numerator, b, q, k):
        known = sum(map(mul, b[1 : k + 1], q[k - 1 :: -1])) if k else 0
        return (numerator - known) / b[0]

    @staticmethod
    def _sine(own, a, k):
        sine, cosine = own["sin"], own["cos"]
        if k == 0:
            sine.append(_sine_of(a[0]))
            cosine.append(_sine_of(a[0] + _HALF_PI))
        else:
            new = _chain(own["scaled"], cosine, k)
            cosine.append(-_chain(own["scaled"], sine, k))
            sine.append(new)
        return {"sin": sine[k], "cos": cosine[k]}


_HALF_PI = Decimal("1.57079632679489661923132169163975144209858469968755291048747229615390820")


def _sine_of(x):
    x = x.remainder_near(4 * _HALF_PI)
    total = term = x
    k = 1
    while abs(term) > Decimal(10) ** -DIGITS:
        term *= -x * x / ((k + 1) * (k + 2))
        total += term
        k += 2
    return total


def _at(coefficients, s):
    total = Decimal(0)
    for c in reversed(coefficients):
        total = total * s + c
    return total


def _root(coefficients, h, threshold):
    """Where the polynomial reaches the threshold in (0, h], from below: Newton, kept inside."""
    slopes = [k * c for k, c in enumerate(coefficients)][1:]
    low, high, s = Decimal(0), h, h / 2
    for _ in range(200):
        value = _at(coefficients, s) - threshold
        low, high = (s, high) if value < 0 else (low, s)
        slope = _at(slopes, s)
        new = s - value / slope if slope > 0 else low
        new = new if low < new < high else (low + high) / 2
        if abs(new - s) <= SMALL * h:
            return new
        s = new
    return s


def trajectory(model, duration, dt, times=()):
    """A neuron of a Model without input, from time 0, in steps dt (text or a whole number).

    Parameters
    ----------
    times : sequence of float
        Ascending, when the threshold variable is asked for; spikes up to the duration are found.

    Returns
    -------
    Trajectory
    """
    with decimal.localcontext() as context:
        context.prec = DIGITS
        return _Walk(model, times).to(Decimal(duration), Decimal(dt))


class _Walk:
    def __init__(self, model, times):
        graph, nodes = model._graph, model._nodes
        self.series, self.model, self.v = Series(model), model, model.threshold_index
        *start, bar = graph.evaluate([*nodes["initial"], nodes["threshold"]], model.parameters)
        self.y, self.threshold = [Decimal(float(x)) for x in start], Decimal(float(bar))
        self.now, self.times = Decimal(0), [Decimal(float(time)) for time in times]
        self.spikes, self.values = [], []

    def to(self, duration, dt):
        step = 0
        while self.now < duration:
            step += 1
            self.until(min(step * dt, duration))
        self.values += [self.y[self.v]] * (len(self.times) - len(self.values))
        return Trajectory(np.array(self.spikes, np.float64), np.array(self.values, np.float64))

    def until(self, end):
        """Go on to a time."""
        h = end - self.now
        while self.now < end:
            states = self.converged(h)
            if states is None:
                h /= 2
                continue
            rises = self.y[self.v] < self.threshold <= _at(states[self.v], h)
            s = _root(states[self.v], h, self.threshold) if rises else h
            on = s if self.model.reset else h
            while len(self.values) < len(self.times) and (
                self.times[len(self.values)] < self.now + on
            ):
                at = self.times[len(self.values)] - self.now
                self.values.append(_at(states[self.v], at))
            self.y = [_at(coefficients, on) for coefficients in states]
            if rises:
                self.spikes.append(self.now + s)
                self.reset()
            whole = on == end - self.now
            self.now = end if whole else self.now + on
            h = min(h, end - self.now) if not rises else end - self.now

    def converged(self, h):
        """Coefficients of the state that suffice for a step h; None: there are none."""
        fine, scale = 0, [max(abs(value), Decimal(1)) for value in self.y]
        power = Decimal(1)
        for states in self.series.expand(self.y):
            power *= h
            small = all(abs(state[-1]) * power <= SMALL * size
                        for state, size in zip(states, scale, strict=True))  # fmt: skip
            fine = fine + 1 if small else 0
            if fine == 2:
                return states
        return None

    def reset(self):
        graph, nodes = self.model._graph, self.model._nodes
        if not self.model.reset:
            return
        values = {name: Decimal(float(x)) for name, x in self.model.parameters.items()}
        self.y = [_value(graph, node, values, self.y) for node in nodes["reset"]]


def _value(graph, node, parameters, y):
    """An expression of additions and products."""
    operation, *rest = graph.nodes[node]
    if operation == "number":
        return Decimal(rest[0])
    if operation == "parameter":
        return parameters[rest[0]]
    if operation == "y":
        return y[rest[0]]
    a, b = (_value(graph, one, parameters, y) for one in rest)
    return {"add": a + b, "sub": a - b, "mul": a * b}[operation]
