"""What stands in for the derivative of a spike by the potential: names, codes, and the formulas."""

import math

from lifnum.compiler import inlined_kernel

FAST_SIGMOID, ARCTAN = range(2)

# code, and the slope k where none is given
SURROGATES = {"fast-sigmoid": (FAST_SIGMOID, 25.0), "arctan": (ARCTAN, 2.0)}


@inlined_kernel
def surrogate_derivative(real, code, k, x):
    """phi(x) at a vector of x = (u - theta) / theta, and the slope k, of the type real.

    Fast sigmoid (Zenke & Ganguli 2018): 1 / (1 + k |x|)^2; arctan (Fang et al. 2021):
    (k / 2) / (1 + (pi x k / 2)^2).
    """
    if code == FAST_SIGMOID:
        y = real(1.0) + k * abs(x)
        return real(1.0) / (y * y)
    y = real(0.5 * math.pi) * k * x
    return real(0.5) * k / (real(1.0) + y * y)
