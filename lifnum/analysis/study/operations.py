"""Floating-point operations of a step: the text that is compiled, run with numbers that count.

+, -, *, / are one operation, a fused multiply-add two, an exponential those of its polynomial.
Comparisons, signs, moves, and the elementary functions' special cases are none.
"""

from types import FunctionType, SimpleNamespace

import numpy as np

from lifnum.kernels import elementary
from lifnum.kernels.general import quiet, recurrences
from lifnum.kernels.general.engine import MAX_ORDER, WIDTH, Series
from lifnum.kernels.general.modules import module_of
from lifnum.kernels.general.source import HEADER
from lifnum.kernels.general.stages import stages

# of exp in kernels.elementary: reduction 7, square 1, polynomials 22, their sum 4, scaling 2
EXPONENTIAL = 36

SINE = 36  # of a library's sine or cosine, taken to be as long

_RECURRENCES = ("product_term", "square_term", "quotient_term", "chain_term", "exp_term",
                "sin_cos_term", "phi_terms", "chain_start", "chain_terms", "constant_term",
                "plus_constant")  # fmt: skip


class Count(float):
    """A number whose arithmetic is counted, in `Count.total`."""

    total = 0

    def _counted(name):
        plain = getattr(float, name)

        def operation(self, other):
            Count.total += 1
            return Count(plain(self, float(other)))

        return operation

    __add__, __radd__ = _counted("__add__"), _counted("__radd__")
    __sub__, __rsub__ = _counted("__sub__"), _counted("__rsub__")
    __mul__, __rmul__ = _counted("__mul__"), _counted("__rmul__")
    __truediv__, __rtruediv__ = _counted("__truediv__"), _counted("__rtruediv__")

    def __neg__(self):
        return Count(-float(self))

    def __abs__(self):
        return Count(abs(float(self)))


def _spent(operations, value):
    Count.total += operations
    return Count(value)


def _put(r, row, k, value):
    r[row, k] = value


def _namespace():
    """What the text imports, in plain Python."""
    names = {
        "kernel": lambda f: f,
        "inlined_kernel": lambda f: f,
        "at": lambda r, row, k: r[row, k],
        "put": _put,
        "fma": lambda x, y, z: _spent(2, float(x) * float(y) + float(z)),
        "exp": lambda x: _spent(EXPONENTIAL, np.exp(float(x))),
        "sin": lambda x: _spent(SINE, np.sin(float(x))),
        "cos": lambda x: _spent(SINE, np.cos(float(x))),
        "chosen": lambda bits, x, y: x if bits & 1 else y,
        "at_most": lambda x, y: int(x <= y),
        "reaches": lambda x, y: int(not x < y),
        "greater": lambda x, y: y if y > x else x,
        "FACTORS": elementary.FACTORS.tolist(),
        "PHI_TERMS": elementary.PHI_TERMS,
        "MAX_PHI": recurrences.MAX_PHI,
        "BELOW_ONE": recurrences.BELOW_ONE,
        "MAX_ORDER": MAX_ORDER,
        "EPS": 2.0**-52,
    }
    for module, found in ((recurrences, _RECURRENCES), (elementary, ("phi",))):
        for name in found:
            names[name] = FunctionType(getattr(module, name).py_func.__code__, names)
    return names


class Compiled:
    """A layer's model and method: its compiled functions, and the operations of a step."""

    def __init__(self, layer):
        source, self.engine = layer._source, layer.engine
        self.p, self.n = layer._p[0], layer._source.n
        module = module_of(HEADER + source.text)
        self.field, self.expand, self.term = module.field, module.expand, module.term
        self.n_rows = max(source.n_rows, 1)
        self._names = _namespace()
        e = self.engine
        step = (quiet.series(e.n, e.v, e.entries) if isinstance(e, Series)
                else stages(e.n, e.v, e.a, e.b))  # fmt: skip
        body = source.text + "\n\n" + step
        exec(compile(body, "<operations>", "exec"), self._names)

    def operations(self, y, h, order=None):
        """Of a step h from the state y: the state after it, its bound, and the series' order.

        order: of a series, in place of the tolerance.
        """
        e = self.engine
        e = e if order is None else e._replace(order=order, tolerance=0.0)
        r = np.full((self.n_rows, WIDTH), 0.0, dtype=object)
        g = SimpleNamespace(series=r, reach=np.zeros(WIDTH, np.int64))
        p, y = tuple(self.p.tolist()), tuple(Count(value) for value in y)
        Count.total = 0
        self._names["flow"](e, g, p, y, Count(h), 1)
        return Count.total

    def field_operations(self, y):
        """Of one evaluation of the field."""
        Count.total = 0
        self._names["field_of"](tuple(self.p.tolist()), tuple(Count(value) for value in y))
        return Count.total

    def series(self, y, h, tolerance, order=0):
        """(order, coefficients (n, order + 1) with the powers of h inside); order -1: none."""
        r, reach = np.zeros((self.n_rows, WIDTH)), np.zeros(WIDTH, np.int64)
        order = self.expand(self.p, np.asarray(y, np.float64), h, order, tolerance, r, reach)
        return order, r[: self.n, : order + 1]

    def pieces(self, y, h, tolerance):
        """Orders of a step, of its halves where it is cut, each with its start and length."""
        order, r = self.series(y, h, tolerance)
        if order >= 0:
            return [(order, y, h)]
        low = self.pieces(y, h / 2, tolerance)
        _, start, length = low[-1]
        _, r = self.series(start, length, tolerance)
        return low + self.pieces(r.sum(axis=1), h / 2, tolerance)
