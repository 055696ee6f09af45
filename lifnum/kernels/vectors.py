"""Vectors of LANES neurons in kernels: values that the compiler keeps in registers.

A loop over neurons that LLVM is left to vectorise tests every time whether its arrays overlap,
and finishes odd lengths one by one: in a layer of ten that is most of its time. A vector is loaded
from and stored to a C-contiguous array; +, -, *, /, abs, math.sqrt and `larger` work lane by lane,
the operators with scalars of the same type too. Every lane rounds as a scalar would.
"""

import math
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.imputils import lower_builtin
from numba.extending import intrinsic, models, register_model, type_callable

from lifnum.compiler import inlined_kernel

LANES = 16  # kernels see layers padded to a multiple of this many neurons


class VectorType(types.Type):
    """The type of a vector of float32 or float64 numbers."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype} x {LANES})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        number = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(number, LANES))


def _pointer(context, builder, array_type, array, row, column):
    """Pointer to the vector array[row, column : column + LANES]."""
    struct = context.make_array(array_type)(context, builder, array)
    if config.BOUNDSCHECK:
        last = builder.add(column, ir.Constant(column.type, LANES - 1))
        for index, axis in ((row, 0), (column, 1), (last, 1)):
            length = builder.extract_value(struct.shape, axis)
            cgutils.do_boundscheck(context, builder, index, length, axis)
    pointer = cgutils.get_item_pointer(
        context, builder, array_type, struct, [row, column], wraparound=False
    )
    vector = context.get_value_type(VectorType(array_type.dtype))
    return builder.bitcast(pointer, vector.as_pointer())


@intrinsic
def load(typing_context, array, row, column):
    """The vector array[row, column : column + LANES]."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return VectorType(array.dtype)(array, types.intp, types.intp), generate


@intrinsic
def store(typing_context, array, row, column, vector):
    """array[row, column : column + LANES] = vector."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:3])
        builder.store(arguments[3], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, vector), generate


@intrinsic
def filled(typing_context, value):
    """The vector of LANES equal values."""

    def generate(context, builder, signature, arguments):
        return _spread(builder, arguments[0])

    return VectorType(value)(value), generate


def _spread(builder, value):
    """value itself where it is a vector, else a vector of it."""
    if isinstance(value.type, ir.VectorType):
        return value
    one = ir.VectorType(value.type, LANES)
    first = builder.insert_element(ir.Constant(one, ir.Undefined), value, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(one, ir.Undefined), lanes)


def _register_operation(function, name):
    @type_callable(function)
    def type_operation(context):
        def typer(x, y):
            if isinstance(x, VectorType) and y in (x, x.dtype):
                return x
            return y if isinstance(y, VectorType) and x is y.dtype else None

        return typer

    def generate(context, builder, signature, arguments):
        return getattr(builder, name)(*(_spread(builder, value) for value in arguments))

    for pair in ((VectorType, VectorType), (VectorType, types.Float), (types.Float, VectorType)):
        lower_builtin(function, *pair)(generate)


_register_operation(operator.add, "fadd")
_register_operation(operator.sub, "fsub")
_register_operation(operator.mul, "fmul")
_register_operation(operator.truediv, "fdiv")


@type_callable(operator.neg)
def _type_negative(context):
    return lambda x: x if isinstance(x, VectorType) else None


@lower_builtin(operator.neg, VectorType)
def _negative(context, builder, signature, arguments):
    return builder.fneg(arguments[0])


def _register_function(function, name):
    @type_callable(function)
    def type_function(context):
        return lambda x: x if isinstance(x, VectorType) else None

    @lower_builtin(function, VectorType)
    def generate(context, builder, signature, arguments):
        vector = arguments[0].type
        full_name = f"llvm.{name}.v{LANES}f{signature.args[0].dtype.bitwidth}"
        called = ir.FunctionType(vector, [vector])
        return builder.call(
            cgutils.get_or_insert_function(builder.module, called, full_name), arguments
        )


_register_function(abs, "fabs")
_register_function(math.sqrt, "sqrt")


@intrinsic
def larger(typing_context, x, y):
    """The larger of two vectors, lane by lane; x where either is NaN."""

    def generate(context, builder, signature, arguments):
        x, y = arguments
        return builder.select(builder.fcmp_ordered(">", y, x), y, x)

    return x(x, y), generate


@intrinsic
def not_below(typing_context, x, y):
    """Bit k of the result (uint64) says that x >= y in lane k, or that one of them is NaN."""

    def generate(context, builder, signature, arguments):
        lanes = builder.fcmp_unordered(">=", *(_spread(builder, value) for value in arguments))
        return builder.zext(builder.bitcast(lanes, ir.IntType(LANES)), ir.IntType(64))

    return types.uint64(x, y), generate


@intrinsic
def chosen(typing_context, bits, x, y):
    """Lane k of x where bit k (uint64) is set, else that of y."""

    def generate(context, builder, signature, arguments):
        bits, x, y = arguments
        lanes = builder.trunc(bits, ir.IntType(LANES))
        return builder.select(builder.bitcast(lanes, ir.VectorType(ir.IntType(1), LANES)), x, y)

    return x(types.uint64, x, y), generate


@intrinsic
def ones(typing_context, bits):
    """How many bits of an integer are set, int64."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(bits), generate


@intrinsic
def converted(typing_context, vector, like):
    """The vector in the type of the number `like`."""

    def generate(context, builder, signature, arguments):
        new = context.get_value_type(signature.return_type)
        wider = like.bitwidth - vector.dtype.bitwidth
        if wider == 0:
            return arguments[0]
        return (builder.fpext if wider > 0 else builder.fptrunc)(arguments[0], new)

    return VectorType(like)(vector, like), generate


@intrinsic
def total(typing_context, vector):
    """Sum over the lanes: of halves, lane by lane, until one is left."""

    def generate(context, builder, signature, arguments):
        value, n = arguments[0], LANES
        while n > 1:
            n //= 2
            low, high = (
                ir.Constant(ir.VectorType(ir.IntType(32), n), list(range(first, first + n)))
                for first in (0, n)
            )
            value = builder.fadd(
                builder.shuffle_vector(value, value, low),
                builder.shuffle_vector(value, value, high),
            )
        return builder.extract_element(value, ir.IntType(32)(0))

    return vector.dtype(vector), generate


@inlined_kernel
def add(target, row, column, vector):
    """target[row, column : column + LANES] += vector."""
    store(target, row, column, load(target, row, column) + vector)


NEAR = 0.6  # for decays above it, of short steps, the two series below reach rounding


@inlined_kernel
def lost_by_decay(x):
    """1 - exp(-x), lane by lane, for float64 x in [0, 1 - NEAR], to rounding."""
    series = filled(1.0)
    for k in range(15, 1, -1):
        series = 1.0 - x * (1.0 / k) * series
    return x * series


@inlined_kernel
def log_of_decay(b):
    """log(b), lane by lane, for float64 b in [NEAR, 1]: 2 artanh((b - 1) / (b + 1))."""
    y = (b - 1.0) / (b + 1.0)
    square = y * y
    series = filled(0.0)
    for k in range(25, 0, -2):
        series = series * square + 1.0 / k
    return 2.0 * y * series
