"""Expressions of a model: differentiated, and written as code for kernels.

A `Graph` holds every expression of a model once: nodes are integers, equal subexpressions are one
node, so that derivatives by accumulation stay as short as the expressions. What it writes are
straight lines of Python in names of ours; `parser` reads a user's text.

Symbols: y state variables, p numbers and what depends on parameters alone, d a direction, w weights
of a transpose, r rows of Taylor coefficients.
"""

import math
import re

import numpy as np

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}\Z")

FUNCTIONS = ("exp", "log", "sqrt", "tanh", "sin", "cos", "exprel")


def phi(k, x):
    """phi_k(x) = (e^x - sum of x^j / j! for j < k) / x^k: phi_1 is exprel. Arrays."""
    x = np.asarray(x, np.float64)
    near = np.abs(x) < 1.0
    inside = np.where(near, x, 0.0)
    series = np.zeros_like(inside)
    for j in range(20, -1, -1):
        series = series * inside + 1.0 / math.factorial(j + k)
    outside = np.where(near, 1.0, x)
    value = np.expm1(outside) / outside
    for j in range(1, k):
        value = (value - 1.0 / math.factorial(j)) / outside
    return np.where(near, series, value)


class Graph:
    """Expressions over symbols, each distinct one once; nodes are indices of `nodes`.

    A node is (operation, operands ...): ("number", x), ("parameter", name), ("y", i), ("d", i),
    ("w", i), or an operation on nodes: add, sub, mul, div, neg, the functions, ("phi", k, x) and
    ("pow", x, exponent) with an exponent without state.
    """

    def __init__(self):
        self.nodes = []
        self.varies = []  # whether the node depends on more than parameters
        self._known = {}

    def _node(self, *node):
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
            operation = node[0]
            if operation in ("number", "parameter"):
                varies = False
            elif operation in ("y", "d", "w"):
                varies = True
            else:
                varies = any(self.varies[k] for k in self.operands(len(self.nodes) - 1))
            self.varies.append(varies)
        return self._known[node]

    def operands(self, node):
        """The nodes that a node is computed from."""
        operation, *rest = self.nodes[node]
        if operation in ("number", "parameter", "y", "d", "w"):
            return ()
        return tuple(rest[1:]) if operation == "phi" else tuple(rest)

    def number(self, value):
        return self._node("number", float(value) + 0.0)

    def symbol(self, kind, which):
        return self._node(kind, which)

    def is_number(self, node, value=None):
        operation, *rest = self.nodes[node]
        return operation == "number" and (value is None or rest[0] == value)

    def _numbers(self, *nodes):
        if all(self.is_number(node) for node in nodes):
            return [self.nodes[node][1] for node in nodes]
        return None

    def add(self, x, y):
        if self.is_number(x, 0.0):
            return y
        if self.is_number(y, 0.0):
            return x
        both = self._numbers(x, y)
        return self.number(both[0] + both[1]) if both else self._node("add", x, y)

    def sub(self, x, y):
        if self.is_number(y, 0.0):
            return x
        if self.is_number(x, 0.0):
            return self.neg(y)
        both = self._numbers(x, y)
        return self.number(both[0] - both[1]) if both else self._node("sub", x, y)

    def neg(self, x):
        if self.is_number(x):
            return self.number(-self.nodes[x][1])
        return self.nodes[x][1] if self.nodes[x][0] == "neg" else self._node("neg", x)

    def mul(self, x, y):
        both = self._numbers(x, y)
        if both:
            return self.number(both[0] * both[1])
        for one, other in ((x, y), (y, x)):
            if self.is_number(one, 0.0):
                return one
            if self.is_number(one, 1.0):
                return other
            if self.is_number(one, -1.0):
                return self.neg(other)
            if self.nodes[other][0] == "neg" and self.varies[other] > self.varies[one]:
                return self.mul(self.nodes[other][1], self.neg(one))
        return self._node("mul", x, y)

    def div(self, x, y):
        both = self._numbers(x, y)
        if both and both[1] != 0.0:
            return self.number(both[0] / both[1])
        if self.is_number(y, 1.0):
            return x
        if self.is_number(x, 0.0) and not self.is_number(y, 0.0):
            return x
        if self.varies[x] and not self.varies[y]:  # a product is a quarter of the time
            return self.mul(x, self.div(self.number(1.0), y))
        return self._node("div", x, y)

    def power(self, x, n):
        """x to a whole power, as products."""
        if n < 0:
            return self.div(self.number(1.0), self.power(x, -n))
        result, square = None, x
        while n:
            if n & 1:
                result = square if result is None else self.mul(result, square)
            n >>= 1
            if n:
                square = self.mul(square, square)
        return self.number(1.0) if result is None else result

    def function(self, name, x):
        if name == "exprel":
            return self.phi(1, x)
        return self._node(name, x)

    def phi(self, k, x):
        return self._node("phi", k, x)

    def pow(self, x, exponent):
        return self._node("pow", x, exponent)

    # derivatives

    def _partials(self, node):
        """(operand, derivative by it) of a node, as nodes."""
        operation, *rest = self.nodes[node]
        one = self.number(1.0)
        if operation in ("number", "parameter", "y", "d", "w"):
            return ()
        if operation == "add":
            return (rest[0], one), (rest[1], one)
        if operation == "sub":
            return (rest[0], one), (rest[1], self.number(-1.0))
        if operation == "neg":
            return ((rest[0], self.number(-1.0)),)
        if operation == "mul":
            return (rest[0], rest[1]), (rest[1], rest[0])
        if operation == "div":
            reciprocal = self.div(one, rest[1])
            return (rest[0], reciprocal), (rest[1], self.neg(self.mul(node, reciprocal)))
        if operation == "phi":
            k, x = rest
            return ((x, self.sub(node, self.mul(self.number(k), self.phi(k + 1, x)))),)
        x = rest[0]
        if operation == "pow":
            exponent = rest[1]  # without a quotient by x, which may be 0
            return ((x, self.mul(exponent, self.pow(x, self.sub(exponent, one)))),)
        if operation == "exp":
            return ((x, node),)
        if operation == "log":
            return ((x, self.div(one, x)),)
        if operation == "sqrt":
            return ((x, self.div(self.number(0.5), node)),)
        if operation == "tanh":
            return ((x, self.sub(one, self.mul(node, node))),)
        if operation == "sin":
            return ((x, self.function("cos", x)),)
        return ((x, self.neg(self.function("sin", x))),)  # cos

    def order(self, outputs):
        """The nodes that these outputs need, operands first."""
        seen, ordered = set(), []

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand in self.operands(node):
                    visit(operand)
                ordered.append(node)

        for node in outputs:
            visit(node)
        return ordered

    def along(self, outputs, directions):
        """Derivatives of the outputs where variable i moves along node directions[i]."""
        derivatives = {}
        for node in self.order(outputs):
            operation, *rest = self.nodes[node]
            total = self.number(0.0)
            if operation == "y":
                total = directions[rest[0]]
            else:
                for operand, partial in self._partials(node):
                    total = self.add(total, self.mul(partial, derivatives[operand]))
            derivatives[node] = total
        return [derivatives[node] for node in outputs]

    def transpose(self, outputs, weights, n):
        """For each of n variables the derivative of the sum of weights[i] * outputs[i]."""
        ordered = self.order(outputs)
        adjoints = dict.fromkeys(ordered, self.number(0.0))
        for node, weight in zip(outputs, weights):
            adjoints[node] = self.add(adjoints[node], weight)
        result = [self.number(0.0)] * n
        for node in reversed(ordered):
            if self.is_number(adjoints[node], 0.0):
                continue
            operation, *rest = self.nodes[node]
            if operation == "y":
                result[rest[0]] = adjoints[node]
                continue
            for operand, partial in self._partials(node):
                if self.varies[operand]:
                    share = self.mul(adjoints[node], partial)
                    adjoints[operand] = self.add(adjoints[operand], share)
        return result

    def jacobian(self, outputs, n):
        """Nodes [[d output i / d y_j]]."""
        zero, one = self.number(0.0), self.number(1.0)
        columns = [
            self.along(outputs, [one if k == j else zero for k in range(n)]) for j in range(n)
        ]
        return [list(row) for row in zip(*columns)]

    def depends_on_state(self, node):
        return self.varies[node]

    def size(self, node):
        return len(self.order([node]))

    def evaluate(self, outputs, parameters, y=()):
        """Values of the outputs, arrays or numbers, for parameters by name and a state."""
        values = {}
        with np.errstate(all="ignore"):
            for node in self.order(outputs):
                operation, *rest = self.nodes[node]
                if operation == "number":
                    value = np.float64(rest[0])
                elif operation == "parameter":
                    value = np.asarray(parameters[rest[0]], np.float64)
                elif operation == "y":
                    value = np.asarray(y[rest[0]], np.float64)
                elif operation == "phi":
                    value = phi(rest[0], values[rest[1]])
                else:
                    value = _NUMPY[operation](*(values[k] for k in rest))
                values[node] = value
        return [values[node] for node in outputs]


_NUMPY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "neg": np.negative, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh,
    "sin": np.sin, "cos": np.cos, "pow": np.power,
}  # fmt: skip
