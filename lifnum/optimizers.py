"""Optimisers on NumPy arrays, in place."""

import numpy as np
from numba import prange

from lifnum.compiler import inlined_kernel, parallel_kernel


class SGD:
    """w -= learning_rate g.

    Parameters
    ----------
    weights : list of ndarray
        Updated in place by `step`.
    learning_rate : float
        May be changed between steps.
    """

    def __init__(self, weights, learning_rate):
        self.weights = weights
        self.learning_rate = learning_rate

    def step(self, gradients):
        """Update the weights by a list of gradients of their shapes."""
        for w, g in zip(self.weights, gradients, strict=True):
            w -= w.dtype.type(self.learning_rate) * g

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the optimiser's own."""
        return {}


class Adam:
    """Adam with bias correction (Kingma & Ba 2015), one pass over memory a step.

    Parameters
    ----------
    weights : list of ndarray
        Updated in place by `step`.
    learning_rate : float
        May be changed between steps.
    beta1, beta2, epsilon : float
        Decay rates of the moments, and the addend of the denominator.
    """

    def __init__(self, weights, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.weights = weights
        self.learning_rate = learning_rate
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.m = [np.zeros_like(w) for w in weights]
        self.v = [np.zeros_like(w) for w in weights]
        self.n_steps = np.zeros((), np.int64)

    def step(self, gradients):
        """Update the weights by a list of gradients of their shapes."""
        numbers = self.numbers_of_step()
        for w, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            _adam(w, g, m, v, *numbers)

    def numbers_of_step(self):
        """Count a step; (rate, keep1, take1, keep2, take2, epsilon) of its `adam_update`."""
        self.n_steps += 1
        correction1 = 1.0 - self.beta1 ** int(self.n_steps)
        correction2 = 1.0 - self.beta2 ** int(self.n_steps)
        rate = float(self.learning_rate) * float(np.sqrt(correction2)) / correction1
        epsilon = self.epsilon * float(np.sqrt(correction2))
        return rate, self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, epsilon

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the optimiser's own."""
        named = {"n_steps": self.n_steps}
        for k, (m, v) in enumerate(zip(self.m, self.v, strict=True)):
            named[f"m{k}"], named[f"v{k}"] = m, v
        return named


@inlined_kernel
def adam_update(w, g, m, v, rate, keep1, take1, keep2, take2, epsilon):
    """(w, m, v) after one step, with the bias corrections in rate and epsilon."""
    m = keep1 * m + take1 * g
    v = keep2 * v + take2 * g * g
    return w - rate * m / (np.sqrt(v) + epsilon), m, v


@parallel_kernel
def _adam(w, g, m, v, rate, keep1, take1, keep2, take2, epsilon):
    real = w.dtype.type
    rate, epsilon = real(rate), real(epsilon)
    keep1, take1, keep2, take2 = real(keep1), real(take1), real(keep2), real(take2)
    for row in prange(w.shape[0]):
        w_row, g_row, m_row, v_row = w[row], g[row], m[row], v[row]
        for j in range(w.shape[1]):
            w_row[j], m_row[j], v_row[j] = adam_update(
                w_row[j], g_row[j], m_row[j], v_row[j], rate, keep1, take1, keep2, take2, epsilon
            )


OPTIMIZERS = {"adam": Adam, "sgd": SGD}
