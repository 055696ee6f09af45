"""Optimisers on NumPy arrays, in place."""

import numpy as np
from numba import prange

from lifnum.compiler import parallel_kernel


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
        self.n_steps += 1
        correction1 = 1.0 - self.beta1 ** int(self.n_steps)
        correction2 = 1.0 - self.beta2 ** int(self.n_steps)
        rate = self.learning_rate * np.sqrt(correction2) / correction1
        epsilon = self.epsilon * np.sqrt(correction2)
        for w, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            _adam(w, g, m, v, rate, self.beta1, self.beta2, epsilon)

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the optimiser's own."""
        named = {"n_steps": self.n_steps}
        for k, (m, v) in enumerate(zip(self.m, self.v, strict=True)):
            named[f"m{k}"], named[f"v{k}"] = m, v
        return named


@parallel_kernel
def _adam(w, g, m, v, rate, beta1, beta2, epsilon):
    real = w.dtype.type
    rate, epsilon = real(rate), real(epsilon)
    keep1, take1 = real(beta1), real(1.0 - beta1)
    keep2, take2 = real(beta2), real(1.0 - beta2)
    for row in prange(w.shape[0]):
        w_row, g_row, m_row, v_row = w[row], g[row], m[row], v[row]
        for j in range(w.shape[1]):
            m_row[j] = keep1 * m_row[j] + take1 * g_row[j]
            v_row[j] = keep2 * v_row[j] + take2 * g_row[j] * g_row[j]
            w_row[j] -= rate * m_row[j] / (np.sqrt(v_row[j]) + epsilon)


OPTIMIZERS = {"adam": Adam, "sgd": SGD}
