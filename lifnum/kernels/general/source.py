"""The functions of a model that the passes call, written from its equations.

All have signatures that depend on no model, so that the passes are compiled once and call them by
address: p (n_p,) numbers of one neuron, y (n,) its state.
"""

import numpy as np

from lifnum.kernels.general.expansion import ALONE, expansion
from lifnum.kernels.general.recurrences import MAX_PHI
from lifnum.neurons.equations import FUNCTIONS

HEADER = """\
from math import sqrt

from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.elementary import (
    at, at_most, chosen, cos, exp, fma, greater, log, phi, power, put, sin, tanh,
)
from lifnum.kernels.general.engine import MAX_ORDER
from lifnum.kernels.general.recurrences import (
    constant_term, exp_term, log_term, phi_terms, plus_constant, pow_term, product_term,
    quotient_term, sin_cos_term, sqrt_term, square_term, tanh_term,
)


"""

GATE = "1 or held"  # the parameter that is no user's: see `Engine.gate`

SMALL = 60  # operations of a function that is compiled into what calls it

_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


def _linear(graph, factor, node, constants_last):
    """factor times an expression, as constant + coefficient * term + ...: one operation a term.

    A coefficient depends on parameters alone. A parameter that was added to another constant first
    would be off by the same rounding at every step: what limits a precise series.
    """
    zero, unit, constants, terms = graph.number(0.0), graph.number(1.0), [], {}

    def collect(node, coefficient):
        operation, *rest = graph.nodes[node]
        if operation in ("add", "sub"):
            collect(rest[0], coefficient)
            collect(rest[1], coefficient if operation == "add" else graph.neg(coefficient))
        elif not graph.varies[node]:
            constants.append((graph.mul(coefficient, node), unit))
        elif operation == "neg":
            collect(rest[0], graph.neg(coefficient))
        elif operation == "mul" and not all(graph.varies[one] for one in rest):
            fixed, other = sorted(rest, key=lambda one: graph.varies[one])
            collect(other, graph.mul(coefficient, fixed))
        else:
            terms[node] = graph.add(terms.get(node, zero), coefficient)

    collect(node, factor)
    total, terms = zero, list(terms.items())
    for term, coefficient in terms + constants if constants_last else constants + terms:
        minus = graph.is_number(coefficient, -1.0)
        total = graph.sub(total, term) if minus else graph.add(total, graph.mul(coefficient, term))
    return total


class Source:
    """The text of a model's functions.

    Attributes
    ----------
    text : str
    n : int
        Number of variables.
    gate : int
        Where p has the factor of the threshold variable's derivative; -1: there is none.
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
        nodes = model._nodes["right"]
        self.right = [_linear(graph, rate, node, False) for node in nodes]
        self.precise = [_linear(graph, rate, node, True) for node in nodes]
        self.reset, self.gate, self._moves = model._nodes["reset"], -1, {}
        if model.refractory > 0.0:
            v, gate = model.threshold_index, graph.symbol("parameter", GATE)
            self._operand(gate, None)
            self.gate, self._moves = self._slot[gate], {gate: False}
            for right in (self.right, self.precise):
                right[v] = graph.mul(gate, right[v])
        n = self.n
        directions = [graph.symbol("d", k) for k in range(n)]
        weights = [graph.symbol("w", k) for k in range(n)]
        jacobian = graph.jacobian(self.right, n)
        diagonal = [jacobian[k][k] for k in range(n)]
        parts = [
            self._straight("field", "p, y", self.right),
            self._straight("field_along", "p, y, d", graph.along(self.right, directions)),
            self._straight("field_transpose", "p, y, w",
                           graph.transpose(self.right, weights, n)),
            self._straight("diagonal", "p, y", diagonal),
            self._straight("diagonal_transpose", "p, y, w",
                           graph.transpose(diagonal, weights, n)),
            self._straight("reset", "p, y", self.reset),
            self._straight("reset_transpose", "p, y, w",
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
        parts += [expansion("expansion", "term", n).rstrip() + "\n", ALONE]
        self.text = "\n\n".join(parts)

    def _operand(self, node, name):
        """The code of a node that is not computed here, or name(node)."""
        if self.graph.is_number(node):
            return repr(self.graph.nodes[node][1])
        if not self.graph.varies[node]:
            if self._is_gated(node):
                return self._inline(node)
            if node not in self._slot:
                self._slot[node] = len(self.slots)
                self.slots.append(node)
            return f"p[{self._slot[node]}]"
        return name(node)

    def _is_gated(self, node):
        """Whether a node of parameters depends on the gate, without being it: no number of p."""
        if not self._moves:
            return False
        if node not in self._moves:
            self._moves[node] = any(
                self._is_gated(one) or self._slot.get(one) == self.gate
                for one in self.graph.operands(node)
            )
        return self._moves[node]

    def _inline(self, node):
        """The code of a node of parameters, written out."""
        operation, *rest = self.graph.nodes[node]
        if operation == "phi":
            return f"phi({rest[0]}, {self._operand(rest[1], None)})"
        operands = [self._operand(one, None) for one in rest]
        if operation in _BINARY:
            return f"({f' {_BINARY[operation]} '.join(operands)})"
        if operation == "neg":
            return f"(-{operands[0]})"
        return f"{'power' if operation == 'pow' else operation}({', '.join(operands)})"

    def _straight(self, name, arguments, outputs):
        """A function of tuples, of numbers or of vectors, and the same that fills `out`."""
        lines = []

        def operand(node):
            return self._operand(node, lambda node: f"x{node}")

        ordered = [node for node in self.graph.order(outputs) if self.graph.varies[node]]
        fused = self._fused(ordered, outputs)
        for node in ordered:
            operation, *rest = self.graph.nodes[node]
            if node in fused.values():
                continue
            if node in fused:
                code = self._multiply_add(node, fused[node], operand)
            elif operation in ("y", "d", "w"):
                code = f"{operation}[{rest[0]}]"
            elif operation in _BINARY:
                code = f"{operand(rest[0])} {_BINARY[operation]} {operand(rest[1])}"
            elif operation == "neg":
                code = f"-{operand(rest[0])}"
            elif operation == "phi":
                code = f"phi({rest[0]}, {operand(rest[1])})"
            elif operation == "pow":
                code = f"power({operand(rest[0])}, {operand(rest[1])})"
            else:
                code = f"{operation}({operand(rest[0])})"
            lines.append(f"    x{node} = {code}")
        decorator = "inlined_kernel" if len(lines) <= SMALL else "kernel"
        listed = ", ".join(operand(node) for node in outputs)
        targets = ", ".join(f"out[{k}]" for k in range(len(outputs)))
        return "\n".join([
            f"@{decorator}", f"def {name}_of({arguments}):", *lines, f"    return ({listed},)", "",
            "", "@kernel", f"def {name}({arguments}, out):",
            f"    {targets}, = {name}_of({arguments})", "    return len(p)", "",
        ])  # fmt: skip

    def _multiply_add(self, node, product, code_of):
        """The code of a sum or difference with a product in it; code_of: of other operands."""
        operation, *rest = self.graph.nodes[node]
        x, y = (
            code_of(one) if self.graph.varies[one] else self._operand(one, None)
            for one in self.graph.nodes[product][1:]
        )
        other = rest[1] if rest[0] == product else rest[0]
        if operation == "sub" and other == rest[1]:
            return f"fma({x}, {y}, -{code_of(other)})"
        return f"fma({'-' if operation == 'sub' else ''}{x}, {y}, {code_of(other)})"

    def _fused(self, ordered, outputs):
        """{sum or difference: the product in it that nothing else needs}."""
        uses = dict.fromkeys(ordered, 0)
        for one in [*outputs, *(x for node in ordered for x in self.graph.operands(node))]:
            if one in uses:
                uses[one] += 1
        fused = {}
        for node in ordered:
            if self.graph.nodes[node][0] in ("add", "sub"):
                for one in self.graph.operands(node):
                    if uses.get(one) == 1 and self.graph.nodes[one][0] == "mul":
                        fused[node] = one
                        break
        return fused

    def _series(self, name, more):
        """(number of rows, text, rows of `more`) of a function that adds coefficient k to all rows.

        It ends with coefficient k + 1 of the state, from the field's.
        """
        graph, n = self.graph, self.n
        row, n_rows = {graph.symbol("y", k): k for k in range(n)}, n
        lines = ["@kernel", f"def {name}(p, r, k, h):"]
        outputs = [*self.precise, *more]
        ordered = [node for node in graph.order(outputs) if graph.varies[node]]
        kept = self._kept(ordered) | {node for node in more if graph.varies[node]}

        def term(node):
            """The k-th coefficient of an operand."""
            if not graph.varies[node]:
                return f"constant_term({self._operand(node, None)}, k)"
            return f"x{node}"

        most, first = self._highest_phi(ordered), {}  # first: rows of phi_0, and of sines
        fused = self._fused_terms(ordered, outputs, kept)
        for node in ordered:
            operation, *rest = graph.nodes[node]
            if node in fused.values():
                continue
            if operation == "phi":
                k, x = rest
                if x not in first:
                    first[x] = n_rows
                    n_rows += MAX_PHI
                    lines.append(f"    phi_terms(r, {row[x]}, {first[x]}, {most[x]}, k)")
                row[node] = first[x] + k
            elif operation in ("sin", "cos"):
                x = rest[0]
                if ("sin", x) not in first:
                    first["sin", x] = n_rows
                    n_rows += 2
                    lines.append(f"    sin_cos_term(r, {row[x]}, {first['sin', x]}, k)")
                row[node] = first["sin", x] + (operation == "cos")
            if operation in ("y", "phi", "sin", "cos"):
                lines.append(f"    x{node} = at(r, {row[node]}, k)")
                continue
            row[node] = n_rows  # of those that are kept
            code = self._term(node, term, row)
            if node in fused:
                code = self._multiply_add(node, fused[node], term)
            lines.append(f"    x{node} = {code}")
            if node in kept:
                n_rows += 2 if operation == "tanh" else 1
                lines.append(f"    put(r, {row[node]}, k, x{node})")
        where = []
        for node in more:
            if graph.varies[node]:
                where.append(row[node])
            else:
                where.append(n_rows)
                lines.append(f"    put(r, {n_rows}, k, {term(node)})")
                n_rows += 1
        lines.append("    step = h / (k + 1)")
        lines += [
            f"    put(r, {k}, k + 1, step * {term(node)})" for k, node in enumerate(self.precise)
        ]
        return n_rows, "\n".join([*lines, "    return len(p)", ""]), where

    def _highest_phi(self, ordered):
        """The highest phi of every argument."""
        found = sorted(rest[::-1] for kind, *rest in (self.graph.nodes[one] for one in ordered)
                       if kind == "phi")  # fmt: skip
        return dict(found)

    def _fused_terms(self, ordered, outputs, kept):
        """As `_fused`, where a coefficient of the sum and none of the product is needed."""
        varies, nodes = self.graph.varies, self.graph.nodes
        return {node: product for node, product in self._fused(ordered, outputs).items()
                if product not in kept and not all(varies[one] for one in nodes[product][1:])
                and all(varies[one] for one in nodes[node][1:])}  # fmt: skip

    def _kept(self, ordered):
        """The nodes whose earlier coefficients a recurrence needs."""
        kept, graph = set(), self.graph
        for node in ordered:
            operation, *rest = graph.nodes[node]
            if operation == "mul" and all(graph.varies[one] for one in rest):
                kept.update(rest)
            elif operation == "div":  # by what varies
                kept.update([rest[1], node])
            elif operation == "phi":
                kept.add(rest[1])
            elif operation in FUNCTIONS or operation == "pow":
                kept.update([rest[0], node])
        return kept

    def _term(self, node, term, row):
        """The code of a node's k-th coefficient."""
        graph = self.graph
        operation, *rest = graph.nodes[node]
        if operation in ("add", "sub"):
            x, y = rest
            if not graph.varies[y]:
                sign = "" if operation == "add" else "-"
                return f"plus_constant({term(x)}, {sign}{self._operand(y, None)}, k)"
            if not graph.varies[x]:
                sign = "" if operation == "add" else "-"
                return f"plus_constant({sign}{term(y)}, {self._operand(x, None)}, k)"
            return f"{term(x)} {_BINARY[operation]} {term(y)}"
        if operation == "neg":
            return f"-{term(rest[0])}"
        if operation == "mul":
            x, y = rest
            if x == y:
                return f"square_term(r, {row[x]}, k)"
            if graph.varies[x] and graph.varies[y]:
                return f"product_term(r, {row[x]}, {row[y]}, k)"
            x, y = (x, y) if graph.varies[y] else (y, x)
            return f"{self._operand(x, None)} * x{y}"
        if operation == "div":
            return f"quotient_term(r, {term(rest[0])}, {row[rest[1]]}, {row[node]}, k)"
        if operation == "pow":
            exponent = self._operand(rest[1], None)
            return f"pow_term(r, {row[rest[0]]}, {exponent}, {row[node]}, k)"
        return f"{operation}_term(r, {row[rest[0]]}, {row[node]}, k)"

    def parameters(self, model, n_neurons):
        """p of every neuron (n_neurons, n_p), float64."""
        values = self.graph.evaluate(self.slots, {**model.parameters, GATE: 1.0})
        table = np.zeros((n_neurons, max(1, len(values))))
        for k, value in enumerate(values):
            table[:, k] = value
        return table
