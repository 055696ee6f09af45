"""A user's expressions: parsed by a white list into nodes of a `Graph`, and never evaluated."""

import ast
import math
import warnings

import numpy as np

from lifnum.neurons.equations import FUNCTIONS

MAX_CHARACTERS = 2000
MAX_NODES = 500
MAX_DEPTH = 50
MAX_POWER = 32  # of a literal integer exponent: a product

_ARITHMETIC = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}

ACCEPTED = (
    "numbers, names of variables and parameters, + - * / **, and "
    + ", ".join(f"{name}(x)" for name in FUNCTIONS)
)  # fmt: skip


class EquationError(ValueError):
    """An expression that is not accepted; the message shows where."""


def refuse(where, text, column, what, accepted):
    """Raise an EquationError with the expression and a caret under its fault."""
    shown, caret = text, column
    if column > 60:  # a window of a long expression
        shown, caret = "..." + text[column - 40 :], 43
    shown = shown[:100].replace("\n", " ")
    raise EquationError(f"{where}: {what}; accepted: {accepted}\n  {shown}\n  {' ' * caret}^")


def parse(graph, text, where, variables, parameters):
    """The node of an expression.

    Parameters
    ----------
    text : str or number
    where : str
        What the expression is, for messages: ``equations['v']``.
    variables : sequence of str
        Names of the state variables that may stand in it, ``y`` by their index.
    parameters : collection of str

    Raises
    ------
    EquationError
        Names the expression, marks the fault with a caret and says what is accepted.
    """
    if isinstance(text, (int, float, np.integer, np.floating)) and not isinstance(text, bool):
        if not math.isfinite(text):
            raise EquationError(f"{where} is {text!r}; accepted: a finite number")
        return graph.number(text)
    if not isinstance(text, str):
        raise EquationError(f"{where} is {text!r}; accepted: an expression as text, or a number")
    tree = _tree(text, where)
    _check_size(tree, where)
    return _Reader(graph, text, where, variables, parameters).node(tree)


def _offset(text):
    """Where in a text its tree begins."""
    return len(text) - len(text.lstrip())


def _tree(text, where):
    """The syntax tree of a text."""
    if len(text) > MAX_CHARACTERS:
        raise EquationError(
            f"{where} has {len(text)} characters; accepted: at most {MAX_CHARACTERS}"
        )
    if not text.isascii():
        column = next(k for k, character in enumerate(text) if not character.isascii())
        refuse(where, text, column, "a character that is not ASCII", ACCEPTED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.lstrip(), mode="eval").body
    except SyntaxError as error:
        column = _offset(text) + max(0, (error.offset or 1) - 1)
        refuse(where, text, min(column, len(text)), "not an expression", ACCEPTED)
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise EquationError(f"{where}: not an expression; accepted: {ACCEPTED}") from None


def _check_size(tree, where):
    """By levels, not recursion: what is too deep is refused before anything descends into it."""
    n_nodes, level, depth = 0, [tree], 0
    while level:
        depth += 1
        n_nodes += sum(not isinstance(node, (ast.operator, ast.unaryop, ast.Load))
                       for node in level)  # fmt: skip
        if depth > MAX_DEPTH or n_nodes > MAX_NODES:
            raise EquationError(
                f"{where} has more than {MAX_NODES} nodes or {MAX_DEPTH} levels; accepted: at "
                f"most {MAX_NODES} and {MAX_DEPTH}"
            )
        level = [child for node in level for child in ast.iter_child_nodes(node)]


class _Reader:
    """Makes nodes of a graph of a syntax tree's; the arguments are those of `parse`."""

    def __init__(self, graph, text, where, variables, parameters):
        self.graph, self.text, self.where = graph, text, where
        self.variables, self.parameters = list(variables), parameters

    def fail(self, node, what, accepted=ACCEPTED):
        column = _offset(self.text) + getattr(node, "col_offset", 0)
        refuse(self.where, self.text, column, what, accepted)

    def node(self, node):
        """The node of the graph."""
        if isinstance(node, ast.Constant):
            return self.graph.number(self.number(node))
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = self.node(node.operand)
            return self.graph.neg(inner) if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            name = _ARITHMETIC[type(node.op)]
            left, right = self.node(node.left), self.node(node.right)
            if name == "div" and self.graph.is_number(right, 0.0):
                self.fail(node.right, "a division by zero")
            return self.checked(node, getattr(self.graph, name)(left, right))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            return self.checked(node, self.power(node))
        if isinstance(node, ast.Call):
            return self.call(node)
        return self.fail(node, "this is not arithmetic")

    def checked(self, node, result):
        if self.graph.is_number(result) and not math.isfinite(self.graph.nodes[result][1]):
            self.fail(node, "its value is not finite", "finite numbers")
        return result

    def number(self, node):
        if type(node.value) not in (int, float):
            self.fail(node, f"{ast.unparse(node)} is no real number")
        try:
            value = float(node.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            self.fail(node, "a number that is not finite", "finite numbers")
        return value

    def name(self, node):
        if node.id in self.variables:
            return self.graph.symbol("y", self.variables.index(node.id))
        if node.id in self.parameters:
            return self.graph.symbol("parameter", node.id)
        names = ", ".join([*self.variables, *sorted(self.parameters)]) or "none"
        kind = "a function without its argument" if node.id in FUNCTIONS else "an unknown name"
        return self.fail(node, f"{node.id!r} is {kind}", f"the names {names}")

    def power(self, node):
        graph = self.graph
        base, n = self.node(node.left), self.literal_exponent(node.right)
        if n is not None:
            if n < 0 and graph.is_number(base, 0.0):
                self.fail(node.left, "a division by zero")
            return graph.power(base, n)
        exponent = self.node(node.right)
        if graph.varies[exponent]:
            self.fail(node.right, "an exponent that depends on the state",
                      "numbers and parameters as exponents; exp(y * log(x))")  # fmt: skip
        both = graph._numbers(base, exponent)
        if both:
            with np.errstate(all="ignore"):
                return graph.number(np.power(*both))
        return graph.pow(base, exponent)

    def literal_exponent(self, node):
        """The literal integer that a node is, or None."""
        sign = 1
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            sign *= -1 if isinstance(node.op, ast.USub) else 1
            node = node.operand
        if isinstance(node, ast.Constant):
            value = self.number(node)
            if value == int(value) and abs(value) <= MAX_POWER:
                return sign * int(value)
        return None

    def call(self, node):
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in FUNCTIONS:
            self.fail(node, f"{ast.unparse(node.func)[:32]!r} is no function of these")
        if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
            self.fail(node, f"{name} takes one argument", f"{name}(x)")
        return self.graph.function(name, self.node(node.args[0]))
