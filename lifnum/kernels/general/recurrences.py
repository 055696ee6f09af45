"""Taylor coefficients of products and elementary functions, by their recurrences.

Rows of r hold the coefficients of one quantity each, with the power of the step inside: the k-th
is that of h^k, times h^k. A function returns the k-th coefficient of its row q, whose earlier ones
are there, from those of its operands (Knuth; Stewart & Bair 2009). Of one neuron, where r is a
matrix, or of a vector of them, see `lifnum.kernels.elementary`.

Sums end with what was computed last, so that the processor need not wait for it before.
"""

from math import sqrt

from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.elementary import (
    FACTORS,
    at,
    at_most,
    chosen,
    cos,
    exp,
    fma,
    log,
    phi,
    power,
    put,
    reaches,
    sin,
    tanh,
)

BELOW_ONE = 1.0 - 2.0**-53

MAX_PHI = 40  # rows of phi_0, phi_1, ... that an exprel has


@inlined_kernel
def product_term(r, a, b, k):
    if k == 0:
        return at(r, a, 0) * at(r, b, 0)
    total = at(r, a, 0) * 0.0
    for i in range(1, k):
        total = fma(at(r, a, i), at(r, b, k - i), total)
    return fma(at(r, a, 0), at(r, b, k), fma(at(r, a, k), at(r, b, 0), total))


@inlined_kernel
def square_term(r, a, k):
    if k == 0:
        return at(r, a, 0) * at(r, a, 0)
    total = at(r, a, 0) * 0.0
    for i in range((k - 1) // 2, 0, -1):
        total = fma(at(r, a, i), at(r, a, k - i), total)
    total = 2.0 * total
    if k % 2 == 0:
        half = at(r, a, k // 2)
        total = fma(half, half, total)
    return fma(2.0 * at(r, a, 0), at(r, a, k), total)


@inlined_kernel
def quotient_term(r, numerator, b, q, k):
    """numerator: its k-th coefficient."""
    if k == 0:
        return numerator / at(r, b, 0)
    total = at(r, b, k) * at(r, q, 0)
    for i in range(k - 1, 0, -1):
        total = fma(at(r, b, i), at(r, q, k - i), total)
    return (numerator - total) / at(r, b, 0)


@inlined_kernel
def chain_term(r, a, g, k):
    """k-th coefficient, k > 0, of what grows by g da."""
    total = at(r, a, 0) * 0.0
    for i in range(k - 1, 0, -1):
        total = fma(float(i) * at(r, a, i), at(r, g, k - i), total)
    return fma(float(k) * at(r, a, k), at(r, g, 0), total) / float(k)


@kernel
def exp_term(r, a, q, k):
    return exp(at(r, a, 0)) if k == 0 else chain_term(r, a, q, k)


@kernel
def log_term(r, a, q, k):
    if k == 0:
        return log(at(r, a, 0))
    total = 0.0 * at(r, a, 0)
    for i in range(1, k):
        total = fma(float(i) * at(r, q, i), at(r, a, k - i), total)
    return (at(r, a, k) - total / float(k)) / at(r, a, 0)


@kernel
def sqrt_term(r, a, q, k):
    if k == 0:
        return sqrt(at(r, a, 0))
    total = at(r, a, k)
    for i in range(1, k):
        total = fma(-at(r, q, i), at(r, q, k - i), total)
    return total / (2.0 * at(r, q, 0))


@kernel
def pow_term(r, a, exponent, q, k):
    if k == 0:
        return power(at(r, a, 0), exponent)
    total = moved = 0.0 * at(r, a, 0)
    for i in range(1, k + 1):
        factor = float(i) * (exponent + 1.0) - float(k)
        total = fma(factor * at(r, a, i), at(r, q, k - i), total)
        moved = moved + abs(at(r, a, i))
    # a base that rests, at 0 too, has a power that rests
    return chosen(at_most(moved, 0.0), 0.0, total / (float(k) * at(r, a, 0)))


@kernel
def tanh_term(r, a, q, k):
    """Row q + 1 is 1 - tanh^2."""
    value = tanh(at(r, a, 0)) if k == 0 else chain_term(r, a, q + 1, k)
    put(r, q, k, value)
    put(r, q + 1, k, (1.0 if k == 0 else 0.0) - square_term(r, q, k))
    return value


@kernel
def sin_cos_term(r, a, q, k):
    """Rows q and q + 1 are sine and cosine; returns the sine's."""
    if k == 0:
        put(r, q, 0, sin(at(r, a, 0)))
        put(r, q + 1, 0, cos(at(r, a, 0)))
    else:
        put(r, q, k, chain_term(r, a, q + 1, k))
        put(r, q + 1, k, -chain_term(r, a, q, k))
    return at(r, q, k)


@kernel
def phi_terms(r, a, q, n, k):
    """Rows q + 1 .. q + n receive the k-th coefficients of phi_1 .. phi_n of row a.

    Near zero by the chain phi_m' = x' (phi_m - m phi_{m+1}): rows up to q + n + k are used.
    A division there would lose all digits. Each lane takes its own way.
    """
    x = at(r, a, 0)
    near, far = at_most(abs(x), BELOW_ONE), reaches(abs(x), 1.0)
    if near != 0:
        if k == 0:
            chain_start(r, q, x)
        else:
            chain_terms(r, a, q, n, k)
    if far != 0:
        before = exp(x) if k == 0 else chain_term(r, a, q, k)
        put(r, q, k, before)
        for m in range(1, n + 1):
            before = phi(m, x) if k == 0 else quotient_term(r, before, a, q + m, k)
            put(r, q + m, k, chosen(far, before, at(r, q + m, k)))
    return 0


@inlined_kernel
def chain_start(r, q, x):
    """The first coefficients of all rows of `phi_terms`, near zero."""
    value = phi(MAX_PHI - 1, x)
    put(r, q + MAX_PHI - 1, 0, value)
    for m in range(MAX_PHI - 2, 0, -1):
        value = FACTORS[m] + x * value
        put(r, q + m, 0, value)


@inlined_kernel
def chain_terms(r, a, q, n, k):
    """The coefficients that the k-th ones of rows q + 1 .. q + n need, near zero."""
    for m in range(n + k - 1, 0, -1):
        order = k if m <= n else n + k - m
        total = at(r, a, 0) * 0.0
        for i in range(1, order + 1):
            rest = fma(-float(m), at(r, q + m + 1, order - i), at(r, q + m, order - i))
            total = fma(float(i) * at(r, a, i), rest, total)
        put(r, q + m, order, total / float(order))


@inlined_kernel
def constant_term(value, k):
    return value if k == 0 else value * 0.0


@inlined_kernel
def plus_constant(x, value, k):
    """x + value, of which only the first coefficient is not zero."""
    return x + value if k == 0 else x
