"""Operations that kernels write once for numbers and for vectors of LANES neurons.

Each lane of a vector is rounded as the number would be, to the bit. Numbers are float64.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.typing import signature as signature_of
from numba.extending import intrinsic

from lifnum.compiler import inlined_kernel
from lifnum.kernels.vectors import LANES, VectorType, _spread

_I32, _I64, _F64 = ir.IntType(32), ir.IntType(64), ir.DoubleType()


def _common(*kinds):
    """The type of an operation on these: a vector where one of them is."""
    return next((kind for kind in kinds if isinstance(kind, VectorType)), types.float64)


def _spread_to(builder, kind, values):
    return [_spread(builder, value) for value in values] if isinstance(kind, VectorType) else values


def _llvm(builder, name, *values):
    """Call an intrinsic of LLVM on values of one type."""
    kind = values[0].type
    suffix = f"v{LANES}f64" if isinstance(kind, ir.VectorType) else "f64"
    called = ir.FunctionType(kind, [kind] * len(values))
    function = cgutils.get_or_insert_function(builder.module, called, f"llvm.{name}.{suffix}")
    return builder.call(function, values)


@intrinsic
def fma(typing_context, x, y, z):
    """x y + z, rounded once."""
    kind = _common(x, y, z)

    def generate(context, builder, signature, arguments):
        return _llvm(builder, "fma", *_spread_to(builder, kind, arguments))

    return kind(x, y, z), generate


@intrinsic
def at(typing_context, r, row, k):
    """r[row, k]: a number of a matrix, a vector of (rows, terms, LANES) numbers."""
    kind = types.float64 if r.ndim == 2 else VectorType(types.float64)

    def generate(context, builder, signature, arguments):
        return builder.load(_pointer(context, builder, signature.args[0], arguments), align=8)

    return kind(r, types.intp, types.intp), generate


@intrinsic
def put(typing_context, r, row, k, value):
    """r[row, k] = value, as `at`."""
    kind = types.float64 if r.ndim == 2 else VectorType(types.float64)

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], arguments[:3])
        (value,) = _spread_to(builder, kind, arguments[3:])
        builder.store(value, pointer, align=8)
        return context.get_dummy_value()

    return types.void(r, types.intp, types.intp, value), generate


def _pointer(context, builder, array_type, arguments):
    struct = context.make_array(array_type)(context, builder, arguments[0])
    indices = list(arguments[1:])
    if config.BOUNDSCHECK:
        for axis, index in enumerate(indices):
            length = builder.extract_value(struct.shape, axis)
            cgutils.do_boundscheck(context, builder, index, length, axis)
    if array_type.ndim == 3:
        indices.append(ir.Constant(indices[0].type, 0))
    pointer = cgutils.get_item_pointer(
        context, builder, array_type, struct, indices, wraparound=False
    )
    if array_type.ndim == 3:
        return builder.bitcast(pointer, ir.VectorType(_F64, LANES).as_pointer())
    return pointer


def _mask(builder, bits, kind):
    """Bits as what `select` takes."""
    if isinstance(kind, VectorType):
        narrow = builder.trunc(bits, ir.IntType(LANES))
        return builder.bitcast(narrow, ir.VectorType(ir.IntType(1), LANES))
    return builder.trunc(bits, ir.IntType(1))


@intrinsic
def chosen(typing_context, bits, x, y):
    """Lane by lane x where the bit of the lane is set, else y; of numbers by the lowest bit."""
    kind = _common(x, y)

    def generate(context, builder, signature, arguments):
        x, y = _spread_to(builder, kind, arguments[1:])
        return builder.select(_mask(builder, arguments[0], kind), x, y)

    return kind(types.int64, x, y), generate


def _comparison(x, y, compare, predicate):
    """Signature and code of a comparison lane by lane, whose results are the bits of an int64."""
    kind = _common(x, y)

    def generate(context, builder, signature, arguments):
        lanes = getattr(builder, compare)(predicate, *_spread_to(builder, kind, arguments))
        if isinstance(kind, VectorType):
            lanes = builder.bitcast(lanes, ir.IntType(LANES))
        return builder.zext(lanes, _I64)

    return types.int64(x, y), generate


@intrinsic
def reaches(typing_context, x, y):
    """Bit k (int64) says that x >= y in lane k, or that one of them is NaN; of numbers bit 0."""
    return _comparison(x, y, "fcmp_unordered", ">=")


@intrinsic
def at_most(typing_context, x, y):
    """Bit k (int64) says that x <= y in lane k, and that none of them is NaN; of numbers bit 0."""
    return _comparison(x, y, "fcmp_ordered", "<=")


@intrinsic
def greater(typing_context, x, y):
    """The larger of two; x where one of them is NaN."""
    kind = _common(x, y)

    def generate(context, builder, signature, arguments):
        x, y = _spread_to(builder, kind, arguments)
        return builder.select(builder.fcmp_ordered(">", y, x), y, x)

    return kind(x, y), generate


def _lane_by_lane(function, n_arguments):
    """A function of numbers, on vectors one lane after the other."""

    def generate(context, builder, kind, arguments):
        numbers = signature_of(types.float64, *[types.float64] * n_arguments)
        typed = context.typing_context.resolve_value_type(function)
        typed.get_call_type(context.typing_context, numbers.args, {})
        call = context.get_function(typed, numbers)
        if not isinstance(kind, VectorType):
            return call(builder, arguments)
        result = ir.Constant(ir.VectorType(_F64, LANES), ir.Undefined)
        arguments = _spread_to(builder, kind, arguments)
        for lane in range(LANES):
            ones = [builder.extract_element(value, _I32(lane)) for value in arguments]
            result = builder.insert_element(result, call(builder, ones), _I32(lane))
        return result

    return generate


def _function(function):
    generate = _lane_by_lane(function, 1)

    @intrinsic
    def operation(typing_context, x):
        kind = _common(x)
        return kind(x), lambda context, builder, _, values: generate(context, builder, kind, values)

    return operation


log, tanh, sin, cos = (_function(one) for one in (math.log, math.tanh, math.sin, math.cos))

_power = _lane_by_lane(math.pow, 2)


@intrinsic
def power(typing_context, x, y):
    """x to the power y."""
    kind = _common(x, y)
    return kind(x, y), lambda context, builder, _, values: _power(context, builder, kind, values)


sqrt = math.sqrt

LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # their sum is ln 2; as in fdlibm
ROUND = 1.5 * 2.0**52  # added to a number it leaves the nearest integer in the lowest bits
_ROUND_BITS = int(np.float64(ROUND).view(np.int64))


@intrinsic
def exp(typing_context, x):
    """e^x to an ulp: 2^k times the Taylor polynomial of |x - k ln 2| <= ln(2) / 2."""
    kind = _common(x)

    def generate(context, builder, signature, arguments):
        (x,) = arguments
        vector = isinstance(kind, VectorType)
        integer = ir.VectorType(_I64, LANES) if vector else _I64

        def number(value):
            return ir.Constant(x.type, [value] * LANES if vector else value)

        def whole(value):
            return ir.Constant(integer, [value] * LANES if vector else value)

        def fused(*values):
            return _llvm(builder, "fma", *values)

        # beyond these the result is infinite or zero as well; NaN stays
        x = builder.select(builder.fcmp_ordered(">", x, number(720.0)), number(720.0), x)
        x = builder.select(builder.fcmp_ordered("<", x, number(-760.0)), number(-760.0), x)
        shifted = fused(x, number(1.0 / math.log(2.0)), number(ROUND))
        k = builder.sub(builder.bitcast(shifted, integer), whole(_ROUND_BITS))
        minus_k = builder.fsub(number(ROUND), shifted)
        rest = fused(minus_k, number(LN2_HIGH), x)
        rest = fused(minus_k, number(LN2_LOW), rest)
        square = builder.fmul(rest, rest)
        halves = []
        for first in (13, 12):  # odd and even powers
            total = number(1.0 / math.factorial(first))
            for power in range(first - 2, 0, -2):
                total = fused(total, square, number(1.0 / math.factorial(power)))
            halves.append(total)
        # e^r = 1 + (odd r + even r^2): the one last, to lose nothing
        value = fused(halves[1], square, builder.fmul(halves[0], rest))
        value = builder.fadd(value, number(1.0))
        low = builder.ashr(k, whole(1))
        for part in (low, builder.sub(k, low)):  # in two: 2^k alone may overflow
            bits = builder.shl(builder.add(part, whole(1023)), whole(52))
            value = builder.fmul(value, builder.bitcast(bits, x.type))
        return value

    return kind(x), generate


FACTORS = np.array([1.0 / math.factorial(k) for k in range(64)])

PHI_TERMS = 18  # beyond them the series of phi_n is below rounding where |x| < 1


@inlined_kernel
def phi(n, x):
    """phi_n(x) = (e^x - sum of x^j / j! for j < n) / x^n; phi_0 is exp, phi_1 exprel."""
    value = exp(x)
    if n == 0:
        return value
    value = (value - 1.0) / x
    for j in range(1, n):
        value = (value - FACTORS[j]) / x
    series = x * 0.0 + FACTORS[n + PHI_TERMS]
    for j in range(PHI_TERMS - 1, -1, -1):
        series = fma(series, x, FACTORS[n + j])
    return chosen(reaches(abs(x), 1.0), value, series)
