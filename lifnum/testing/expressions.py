"""A model's expressions, evaluated node by node with NumPy: real, or complex for derivatives.

Written here once more, on purpose: what is tested should not be tested against itself.
"""

import ast
import math
import operator

import numpy as np

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

_TERMS = 24  # of exprel within the unit circle: the last is below 1e-24


def _exprel(x):
    near = np.abs(x) < 1.0
    inside, outside = np.where(near, x, 0.0), np.where(near, 1.0, x)
    series = sum(inside**j / math.factorial(j + 1) for j in range(_TERMS))
    return np.where(near, series, np.expm1(outside) / outside)


_FUNCTIONS = {name: getattr(np, name) for name in ("exp", "log", "sqrt", "tanh", "sin", "cos")}
_FUNCTIONS["exprel"] = _exprel


def _value(node, names):
    if isinstance(node, ast.Constant):
        return float(node.value)
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_value(node.operand, names))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, names), _value(node.right, names)
        return _OPERATORS[type(node.op)](left, right)
    return _FUNCTIONS[node.func.id](_value(node.args[0], names))


class Expressions:
    """The expressions of one neuron of a model.

    States are tuples of an entry a variable, numbers or arrays, real or complex.
    """

    def __init__(self, model, neuron=0):
        self._parameters = {
            name: float(x[neuron] if isinstance(x, np.ndarray) else x)
            for name, x in model.parameters.items()
        }
        self._variables, self._rate = model.variables, 1.0 / model.time_unit
        self._trees = {
            kind: {name: self._parsed(text) for name, text in getattr(model, kind).items()}
            for kind in ("equations", "reset")
        }
        self.threshold = float(_value(self._parsed(model.threshold[1]), self._parameters))

    @staticmethod
    def _parsed(text):
        return ast.parse(str(text).strip(), mode="eval").body

    def _evaluated(self, kind, y):
        names = self._parameters | dict(zip(self._variables, y))
        return {name: _value(tree, names) for name, tree in self._trees[kind].items()}

    def field(self, y):
        """dy/dt, in the network's unit of time."""
        rates = self._evaluated("equations", y)
        return [rates[name] * self._rate for name in self._variables]

    def reset(self, y):
        """The state after a spike in state y."""
        after = self._evaluated("reset", y)
        return [after.get(name, one) for name, one in zip(self._variables, y)]
