"""The functions of a model that the passes call, written from its equations and compiled.

All have signatures that depend on no model, so that the passes are compiled once and call them by
address: p (n_p,) numbers of one neuron, y (n,) its state. Compiled code is cached in a file that
is named after the digest of its text.
"""

import hashlib
import os
import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np

from lifnum.compiler import CACHE_FOLDER, address_of
from lifnum.kernels.general.recurrences import MAX_PHI

HEADER = """\
from math import cos, exp, log, sin, sqrt, tanh

from lifnum.compiler import kernel
from lifnum.kernels.general.recurrences import (
    chain_term, constant_term, exp_term, log_term, phi, phi_terms, pow_term, product_term,
    quotient_term, sin_cos_term, sqrt_term, square_term, tanh_term,
)


"""

_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


class Source:
    """The text of a model's functions.

    Attributes
    ----------
    text : str
    n : int
        Number of variables.
    slots : list of int
        Nodes of the model's graph that p holds: what depends on parameters alone.
    n_rows : int
        Rows of Taylor coefficients that `term` and `jacobian_term` use; the first n are the state.
    entries : ndarray (m, 4), int64
        (i, j, row, constant) of the entries of the Jacobian that are not zero: where
        `jacobian_term` leaves their coefficients, and whether only the first is not zero.
    """

    def __init__(self, model):
        self.graph, self.slots, self._slot = model._graph, [], {}
        graph, self.n = self.graph, len(model.variables)
        rate = graph.number(1.0 / model.time_unit)
        self.right = [graph.mul(rate, node) for node in model._nodes["right"]]
        self.reset = model._nodes["reset"]
        n = self.n
        directions = [graph.symbol("d", k) for k in range(n)]
        weights = [graph.symbol("w", k) for k in range(n)]
        jacobian = graph.jacobian(self.right, n)
        diagonal = [jacobian[k][k] for k in range(n)]
        parts = [
            self._straight("field", "p, y, out", self.right),
            self._straight("field_along", "p, y, d, out", graph.along(self.right, directions)),
            self._straight("field_transpose", "p, y, w, out",
                           graph.transpose(self.right, weights, n)),
            self._straight("diagonal", "p, y, out", diagonal),
            self._straight("diagonal_transpose", "p, y, w, out",
                           graph.transpose(diagonal, weights, n)),
            self._straight("reset", "p, y, out", self.reset),
            self._straight("reset_transpose", "p, y, w, out",
                           graph.transpose(self.reset, weights, n)),
        ]  # fmt: skip
        present = [(i, j) for i in range(n) for j in range(n)
                   if not graph.is_number(jacobian[i][j], 0.0)]  # fmt: skip
        nodes = [jacobian[i][j] for i, j in present]
        rows, text, _ = self._series("term", [])
        parts.append(text)
        rows_more, text, where = self._series("jacobian_term", nodes)
        parts.append(text)
        self.n_rows = max(rows, rows_more)
        self.entries = np.array(
            [(i, j, row, not graph.varies[node])
             for (i, j), row, node in zip(present, where, nodes)], np.int64,
        ).reshape(len(present), 4)  # fmt: skip
        self.text = "\n\n".join(parts)

    def _operand(self, node, name):
        """The code of a node that is not computed here, or name(node)."""
        if self.graph.is_number(node):
            return repr(self.graph.nodes[node][1])
        if not self.graph.varies[node]:
            if node not in self._slot:
                self._slot[node] = len(self.slots)
                self.slots.append(node)
            return f"p[{self._slot[node]}]"
        return name(node)

    def _straight(self, name, arguments, outputs):
        lines = ["@kernel", f"def {name}({arguments}):"]

        def operand(node):
            return self._operand(node, lambda node: f"x{node}")

        for node in self.graph.order(outputs):
            if not self.graph.varies[node]:
                continue
            operation, *rest = self.graph.nodes[node]
            if operation in ("y", "d", "w"):
                code = f"{operation}[{rest[0]}]"
            elif operation in _BINARY:
                code = f"{operand(rest[0])} {_BINARY[operation]} {operand(rest[1])}"
            elif operation == "neg":
                code = f"-{operand(rest[0])}"
            elif operation == "phi":
                code = f"phi({rest[0]}, {operand(rest[1])})"
            elif operation == "pow":
                code = f"{operand(rest[0])} ** {operand(rest[1])}"
            else:
                code = f"{operation}({operand(rest[0])})"
            lines.append(f"    x{node} = {code}")
        lines += [f"    out[{k}] = {operand(node)}" for k, node in enumerate(outputs)]
        return "\n".join([*lines, "    return len(p)", ""])

    def _series(self, name, more):
        """(number of rows, text, rows of `more`) of a function that adds coefficient k to all rows.

        It ends with coefficient k + 1 of the state, from the field's.
        """
        graph, n = self.graph, self.n
        row, n_rows = {graph.symbol("y", k): k for k in range(n)}, n
        lines = ["@kernel", f"def {name}(p, r, k, h):"]

        def term(node):
            """The k-th coefficient of an operand."""
            if not graph.varies[node]:
                return f"constant_term({self._operand(node, None)}, k)"
            return f"r[{row[node]}, k]"

        ordered = [node for node in graph.order([*self.right, *more]) if graph.varies[node]]
        most = {}  # the highest phi of every argument
        for node in ordered:
            operation, *rest = graph.nodes[node]
            if operation == "phi":
                most[rest[1]] = max(rest[0], most.get(rest[1], 0))
        first = {}  # rows of phi_0, and of sines, by argument
        for node in ordered:
            operation, *rest = graph.nodes[node]
            if operation == "y":
                continue
            if operation == "phi":
                k, x = rest
                if x not in first:
                    first[x] = n_rows
                    n_rows += MAX_PHI
                    lines.append(f"    phi_terms(r, {row[x]}, {first[x]}, {most[x]}, k)")
                row[node] = first[x] + k
                continue
            if operation in ("sin", "cos"):
                x = rest[0]
                if ("sin", x) not in first:
                    first["sin", x] = n_rows
                    n_rows += 2
                    lines.append(f"    sin_cos_term(r, {row[x]}, {first['sin', x]}, k)")
                row[node] = first["sin", x] + (operation == "cos")
                continue
            q = row[node] = n_rows
            n_rows += 2 if operation == "tanh" else 1
            if operation in ("add", "sub"):
                code = f"{term(rest[0])} {_BINARY[operation]} {term(rest[1])}"
            elif operation == "neg":
                code = f"-{term(rest[0])}"
            elif operation == "mul":
                x, y = rest
                if x == y:
                    code = f"square_term(r, {row[x]}, k)"
                elif graph.varies[x] and graph.varies[y]:
                    code = f"product_term(r, {row[x]}, {row[y]}, k)"
                else:
                    x, y = (x, y) if graph.varies[y] else (y, x)
                    code = f"{self._operand(x, None)} * r[{row[y]}, k]"
            elif operation == "div":
                x, y = rest
                if graph.varies[y]:
                    code = f"quotient_term(r, {term(x)}, {row[y]}, {q}, k)"
                else:
                    code = f"r[{row[x]}, k] / {self._operand(y, None)}"
            elif operation == "pow":
                exponent = self._operand(rest[1], None)
                code = f"pow_term(r, {row[rest[0]]}, {exponent}, {q}, k)"
            else:
                code = f"{operation}_term(r, {row[rest[0]]}, {q}, k)"
            lines.append(f"    r[{q}, k] = {code}")
        where = []
        for node in more:
            if graph.varies[node]:
                where.append(row[node])
            else:
                where.append(n_rows)
                lines.append(f"    r[{n_rows}, k] = {term(node)}")
                n_rows += 1
        lines.append("    step = h / (k + 1)")
        lines += [f"    r[{k}, k + 1] = step * {term(node)}" for k, node in enumerate(self.right)]
        return n_rows, "\n".join([*lines, "    return len(p)", ""]), where

    def parameters(self, model, n_neurons):
        """p of every neuron (n_neurons, n_p), float64."""
        values = self.graph.evaluate(self.slots, model.parameters)
        table = np.zeros((n_neurons, max(1, len(values))))
        for k, value in enumerate(values):
            table[:, k] = value
        return table


_MODULES = {}


def _write(text):
    """The file that holds a text, in the cache's folder or else in a new one."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    for folder in (Path(CACHE_FOLDER) / "models", None):
        folder = folder or Path(tempfile.mkdtemp(prefix="lifnum-models-"))
        path = folder / f"model_{digest}.py"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != text:
                part = path.with_suffix(f".{os.getpid()}.part")
                part.write_text(text)
                os.replace(part, path)
            return path
        except OSError:
            continue
    raise OSError(f"no folder for compiled models: neither {CACHE_FOLDER} nor a temporary one")


def module_of(source):
    """The module of a Source: its functions, not compiled yet."""
    text = HEADER + source.text
    if text not in _MODULES:
        path = _write(text)
        name = f"lifnum._compiled.{path.stem}"
        spec = spec_from_file_location(name, path)
        module = module_from_spec(spec)
        sys.modules[name] = module
        # the text that was just made, whatever lies in the file by now
        exec(compile(text, str(path), "exec"), module.__dict__)
        _MODULES[text] = module
    return _MODULES[text]


_VECTOR, _MATRIX = np.empty(1), np.empty((1, 1))

EXAMPLES = {
    "field": (_VECTOR, _VECTOR, _VECTOR),
    "field_along": (_VECTOR, _VECTOR, _VECTOR, _VECTOR),
    "field_transpose": (_VECTOR, _VECTOR, _VECTOR, _VECTOR),
    "diagonal": (_VECTOR, _VECTOR, _VECTOR),
    "diagonal_transpose": (_VECTOR, _VECTOR, _VECTOR, _VECTOR),
    "reset": (_VECTOR, _VECTOR, _VECTOR),
    "reset_transpose": (_VECTOR, _VECTOR, _VECTOR, _VECTOR),
    "term": (_VECTOR, _MATRIX, 1, 1.0),
    "jacobian_term": (_VECTOR, _MATRIX, 1, 1.0),
}


def address(source, name):
    """Address of one of a model's functions, compiled."""
    return address_of(getattr(module_of(source), name), *EXAMPLES[name])
