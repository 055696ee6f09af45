"""Taylor coefficients of products and elementary functions, by their recurrences.

Rows of r hold the coefficients of one quantity each, with the power of the step inside: the k-th
is that of h^k, times h^k. A function returns the k-th coefficient of its row q, whose earlier ones
are there, from those of its operands (Knuth; Stewart & Bair 2009).
"""

import math

from lifnum.compiler import inlined_kernel, kernel

MAX_PHI = 40  # rows of phi_0, phi_1, ... that an exprel has


@kernel
def product_term(r, a, b, k):
    total = 0.0
    for i in range(k + 1):
        total += r[a, i] * r[b, k - i]
    return total


@kernel
def square_term(r, a, k):
    total = 0.0
    for i in range((k + 1) // 2):
        total += r[a, i] * r[a, k - i]
    total *= 2.0
    if k % 2 == 0:
        total += r[a, k // 2] * r[a, k // 2]
    return total


@kernel
def quotient_term(r, numerator, b, q, k):
    """numerator: its k-th coefficient."""
    for i in range(1, k + 1):
        numerator -= r[b, i] * r[q, k - i]
    return numerator / r[b, 0]


@kernel
def chain_term(r, a, g, k):
    """k-th coefficient, k > 0, of what grows by g da."""
    total = 0.0
    for i in range(1, k + 1):
        total += i * r[a, i] * r[g, k - i]
    return total / k


@kernel
def exp_term(r, a, q, k):
    return math.exp(r[a, 0]) if k == 0 else chain_term(r, a, q, k)


@kernel
def log_term(r, a, q, k):
    if k == 0:
        return math.log(r[a, 0])
    total = 0.0
    for i in range(1, k):
        total += i * r[q, i] * r[a, k - i]
    return (r[a, k] - total / k) / r[a, 0]


@kernel
def sqrt_term(r, a, q, k):
    if k == 0:
        return math.sqrt(r[a, 0])
    total = r[a, k]
    for i in range(1, k):
        total -= r[q, i] * r[q, k - i]
    return total / (2.0 * r[q, 0])


@kernel
def pow_term(r, a, exponent, q, k):
    if k == 0:
        return r[a, 0] ** exponent
    total = 0.0
    for i in range(1, k + 1):
        total += (i * (exponent + 1.0) - k) * r[a, i] * r[q, k - i]
    return total / (k * r[a, 0])


@kernel
def tanh_term(r, a, q, k):
    """Row q + 1 is 1 - tanh^2."""
    value = math.tanh(r[a, 0]) if k == 0 else chain_term(r, a, q + 1, k)
    r[q, k] = value
    r[q + 1, k] = (1.0 if k == 0 else 0.0) - square_term(r, q, k)
    return value


@kernel
def sin_cos_term(r, a, q, k):
    """Rows q and q + 1 are sine and cosine; returns the sine's."""
    if k == 0:
        r[q, 0], r[q + 1, 0] = math.sin(r[a, 0]), math.cos(r[a, 0])
    else:
        r[q, k], r[q + 1, k] = chain_term(r, a, q + 1, k), -chain_term(r, a, q, k)
    return r[q, k]


@kernel
def phi(n, x):
    """phi_n(x) = (e^x - sum of x^j / j! for j < n) / x^n; phi_0 is exp, phi_1 exprel."""
    if n == 0:
        return math.exp(x)
    if abs(x) < 1.0:
        return _small_phi(n, x)
    value = math.expm1(x) / x
    if math.isinf(value):
        return value
    factor = 1.0
    for j in range(1, n):
        factor /= j
        value = (value - factor) / x
    return value


@kernel
def _small_phi(n, x):
    term = 1.0
    for j in range(2, n + 1):
        term /= j
    total = 0.0
    j = n + 1
    while total + term != total:
        total += term
        term *= x / j
        j += 1
    return total


@kernel
def phi_terms(r, a, q, n, k):
    """Rows q + 1 .. q + n receive the k-th coefficients of phi_1 .. phi_n of row a.

    Near zero by the chain phi_m' = x' (phi_m - m phi_{m+1}): rows up to q + n + k are used.
    A division there would lose all digits.
    """
    if k == 0:
        r[q, 0] = math.exp(r[a, 0])
        if abs(r[a, 0]) < 1.0:
            last = MAX_PHI - 1
            r[q + last, 0] = _small_phi(last, r[a, 0])
            factor = 1.0
            for m in range(1, last):
                factor /= m
                r[q + m, 0] = factor
            for m in range(last - 1, 0, -1):
                r[q + m, 0] += r[a, 0] * r[q + m + 1, 0]
        else:
            for m in range(1, n + 1):
                r[q + m, 0] = phi(m, r[a, 0])
        return 0
    if abs(r[a, 0]) < 1.0:
        for m in range(n + k - 1, 0, -1):
            order = k if m <= n else n + k - m
            total = 0.0
            for i in range(1, order + 1):
                total += i * r[a, i] * (r[q + m, order - i] - m * r[q + m + 1, order - i])
            r[q + m, order] = total / order
    else:
        r[q, k] = chain_term(r, a, q, k)
        before = r[q, k]
        for m in range(1, n + 1):
            before = quotient_term(r, before, a, q + m, k)
            r[q + m, k] = before
    return 0


@inlined_kernel
def constant_term(value, k):
    return value if k == 0 else 0.0
