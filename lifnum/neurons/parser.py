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
    if len(text) > MAX_CHARACTERS:
        raise EquationError(
            f"{where} has {len(text)} characters; accepted: at most {MAX_CHARACTERS}"
        )
    if not text.isascii():
        column = next(k for k, character in enumerate(text) if not character.isascii())
        refuse(where, text, column, "a character that is not ASCII", ACCEPTED)
    stripped = text.lstrip()
    offset = len(text) - len(stripped)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(stripped, mode="eval").body
    except SyntaxError as error:
        column = offset + max(0, (error.offset or 1) - 1)
        refuse(where, text, min(column, len(text)), "not an expression", ACCEPTED)
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise EquationError(f"{where}: not an expression; accepted: {ACCEPTED}") from None

    # levels, not recursion: what is too deep is refused before anything descends into it
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

    def fail(node, what, accepted=ACCEPTED):
        refuse(where, text, offset + getattr(node, "col_offset", 0), what, accepted)

    def number(node):
        if type(node.value) not in (int, float):
            fail(node, f"{ast.unparse(node)} is no real number")
        try:
            value = float(node.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            fail(node, "a number that is not finite", "finite numbers")
        return value

    def exponent_of(node):
        """The literal integer that a node is, or None."""
        sign = 1
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            sign *= -1 if isinstance(node.op, ast.USub) else 1
            node = node.operand
        if isinstance(node, ast.Constant):
            value = number(node)
            if value == int(value) and abs(value) <= MAX_POWER:
                return sign * int(value)
        return None

    def checked(node, result):
        if graph.is_number(result) and not math.isfinite(graph.nodes[result][1]):
            fail(node, "its value is not finite", "finite numbers")
        return result

    def build(node):
        if isinstance(node, ast.Constant):
            return graph.number(number(node))
        if isinstance(node, ast.Name):
            if node.id in variables:
                return graph.symbol("y", list(variables).index(node.id))
            if node.id in parameters:
                return graph.symbol("parameter", node.id)
            names = ", ".join([*variables, *sorted(parameters)]) or "none"
            kind = "a function without its argument" if node.id in FUNCTIONS else "an unknown name"
            fail(node, f"{node.id!r} is {kind}", f"the names {names}")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = build(node.operand)
            return graph.neg(inner) if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            name = _ARITHMETIC[type(node.op)]
            left, right = build(node.left), build(node.right)
            if name == "div" and graph.is_number(right, 0.0):
                fail(node.right, "a division by zero")
            return checked(node, getattr(graph, name)(left, right))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            base, n = build(node.left), exponent_of(node.right)
            if n is not None:
                if n < 0 and graph.is_number(base, 0.0):
                    fail(node.left, "a division by zero")
                return checked(node, graph.power(base, n))
            exponent = build(node.right)
            if graph.varies[exponent]:
                fail(node.right, "an exponent that depends on the state",
                     "numbers and parameters as exponents; exp(y * log(x))")  # fmt: skip
            both = graph._numbers(base, exponent)
            if both:
                with np.errstate(all="ignore"):
                    return checked(node, graph.number(np.power(*both)))
            return graph.pow(base, exponent)
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else None
            if name not in FUNCTIONS:
                fail(node, f"{ast.unparse(node.func)[:32]!r} is no function of these")
            if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
                fail(node, f"{name} takes one argument", f"{name}(x)")
            return graph.function(name, build(node.args[0]))
        fail(node, "this is not arithmetic")

    return build(tree)
