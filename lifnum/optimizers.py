"""Optimisers on NumPy arrays, in place."""

import math
from numbers import Real
from typing import NamedTuple

import numpy as np
from numba import prange

from lifnum.compiler import inlined_kernel, parallel_kernel


def _number(name, value, low, high, accepted):
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not low <= value < high:
        raise ValueError(f"{name} is {value!r}; accepted: {accepted}")
    return value


class _Optimizer:
    """What every optimiser has: checked weights and gradients, and a learning rate."""

    def __init__(self, weights, learning_rate):
        self.weights = tuple(weights)
        self.learning_rate = learning_rate
        self._kinds = []
        for k, w in enumerate(self.weights):
            sound = isinstance(w, np.ndarray) and w.ndim == 2 and w.dtype.char in "fd"
            if not sound or not w.flags.carray:
                raise ValueError(
                    f"weights[{k}] is a {type(w).__name__} of {getattr(w, 'dtype', 'no type')} and "
                    f"shape {np.shape(w)}; accepted: a C-contiguous, writable array of float32 or "
                    "float64, (n_pre, n_post)"
                )
            self._kinds.append((w.shape, w.dtype))

    @property
    def learning_rate(self):
        """Finite and not negative."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._learning_rate = _number("learning_rate", value, 0, math.inf, "a finite number >= 0")

    def _accepted(self, gradients):
        """The gradients as they fit the weights; an error before anything is updated."""
        gradients = list(gradients)
        if len(gradients) != len(self._kinds):
            raise ValueError(
                f"gradients are of {len(gradients)} layers; accepted: {len(self._kinds)}"
            )
        for k, (g, (shape, dtype)) in enumerate(zip(gradients, self._kinds)):
            g = gradients[k] = self._array(g)
            if g.shape != shape or g.dtype != dtype:
                raise ValueError(
                    f"gradient of layer {k} is {g.dtype} of shape {g.shape}; "
                    f"accepted: {dtype} of shape {shape}, as its weights"
                )
        return gradients

    @staticmethod
    def _array(gradient):
        """A gradient as the kernels take it."""
        if type(gradient) is np.ndarray and gradient.flags.carray:
            return gradient
        return np.require(gradient, requirements=("C", "A", "W"))


class SGD(_Optimizer):
    """w -= learning_rate v, with v = momentum v + g (Sutskever et al. 2013, as in PyTorch).

    Parameters
    ----------
    weights : list of ndarray (n_pre, n_post), float32 or float64
        C-contiguous; updated in place by `step`.
    learning_rate : float
        Not negative; may be changed between steps.
    momentum : float
        At least 0 and below 1.

    Raises
    ------
    ValueError
        Anything else.
    """

    def __init__(self, weights, learning_rate, momentum=0.0):
        super().__init__(weights, learning_rate)
        self.momentum = _number("momentum", momentum, 0, 1, "at least 0, below 1")
        self.v = [np.zeros_like(w) for w in weights] if momentum else []

    def step(self, gradients):
        """Update the weights by a list of gradients of their shapes and types.

        Raises
        ------
        ValueError
            Other gradients; weights and velocities are then as before.
        """
        for k, (w, g) in enumerate(zip(self.weights, self._accepted(gradients))):
            if self.v:
                self.v[k] *= w.dtype.type(self.momentum)
                self.v[k] += g
                g = self.v[k]
            w -= w.dtype.type(self.learning_rate) * g

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the optimiser's own."""
        return {f"v{k}": v for k, v in enumerate(self.v)}


class AdamNumbers(NamedTuple):
    """What one step of Adam multiplies by, with the bias corrections in rate and epsilon."""

    rate: float
    keep1: float  # beta1, and one minus it
    take1: float
    keep2: float
    take2: float
    epsilon: float
    shrink: float  # of the weights; 1 without decay

    def in_type(self, dtype):
        """The same in the type of the weights."""
        return AdamNumbers(*map(dtype.type, self))


class Adam(_Optimizer):
    """Adam with bias correction (Kingma & Ba 2015), one pass over memory a step.

    Parameters
    ----------
    weights : list of ndarray (n_pre, n_post), float32 or float64
        C-contiguous; updated in place by `step`.
    learning_rate : float
        Not negative; may be changed between steps.
    beta1, beta2, epsilon : float
        Decay rates of the moments, at least 0 and below 1, and the addend of the denominator, > 0.

    Raises
    ------
    ValueError
        Anything else.
    """

    weight_decay = 0.0

    def __init__(self, weights, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        super().__init__(weights, learning_rate)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            _number(name, beta, 0, 1, "at least 0, below 1")
        _number("epsilon", epsilon, 5e-324, math.inf, "a finite number > 0")
        self.beta1, self.beta2, self.epsilon = float(beta1), float(beta2), float(epsilon)
        self.m = [np.zeros_like(w) for w in weights]
        self.v = [np.zeros_like(w) for w in weights]
        self.n_steps = np.zeros((), np.int64)

    def step(self, gradients):
        """Update the weights by a list of gradients of their shapes and types.

        Raises
        ------
        ValueError
            Other gradients; weights and moments are then as before.
        """
        gradients = self._accepted(gradients)
        numbers = self.numbers_of_step()
        for w, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            if w.dtype not in _UPDATES:
                _UPDATES[w.dtype] = _adam.for_types_of(w, g, m, v, numbers)
            _UPDATES[w.dtype](w, g, m, v, numbers)

    def numbers_of_step(self):
        """Count a step; its `AdamNumbers`."""
        self.n_steps += 1
        n = int(self.n_steps)
        correction1, correction2 = 1.0 - self.beta1**n, 1.0 - self.beta2**n
        rate = float(self.learning_rate) * math.sqrt(correction2) / correction1
        epsilon = self.epsilon * math.sqrt(correction2)
        shrink = 1.0 - float(self.learning_rate) * self.weight_decay
        return AdamNumbers(
            rate, self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, epsilon, shrink
        )

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the optimiser's own."""
        named = {"n_steps": self.n_steps}
        for k, (m, v) in enumerate(zip(self.m, self.v, strict=True)):
            named[f"m{k}"], named[f"v{k}"] = m, v
        return named


class AdamW(Adam):
    """`Adam` with decoupled weight decay: ``w *= 1 - learning_rate weight_decay`` first.

    Loshchilov & Hutter (2019). Parameters as `Adam`, and weight_decay, not negative.
    """

    def __init__(self, weights, learning_rate, weight_decay=1e-2, **others):
        super().__init__(weights, learning_rate, **others)
        accepted = "a finite number >= 0"
        self.weight_decay = _number("weight_decay", weight_decay, 0, math.inf, accepted)


@inlined_kernel
def adam_update(w, g, m, v, numbers):
    """(w, m, v) after one step; `AdamNumbers` in the type of the weights."""
    m = numbers.keep1 * m + numbers.take1 * g
    v = numbers.keep2 * v + numbers.take2 * g * g
    return numbers.shrink * w - numbers.rate * m / (np.sqrt(v) + numbers.epsilon), m, v


@parallel_kernel
def _adam(w, g, m, v, numbers):
    real = w.dtype.type
    typed = AdamNumbers(
        real(numbers.rate), real(numbers.keep1), real(numbers.take1), real(numbers.keep2),
        real(numbers.take2), real(numbers.epsilon), real(numbers.shrink),
    )  # fmt: skip
    for row in prange(w.shape[0]):
        w_row, g_row, m_row, v_row = w[row], g[row], m[row], v[row]
        for j in range(w.shape[1]):
            w_row[j], m_row[j], v_row[j] = adam_update(
                w_row[j], g_row[j], m_row[j], v_row[j], typed
            )


_UPDATES = {}  # `_adam` by the type of the weights

OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "sgd": SGD}
