"""Layers as a network takes them: weight arrays and neurons, and values written into weights."""

import numpy as np

from lifnum.errors import _is_integer
from lifnum.neurons.lif import Neuron
from lifnum.neurons.model import Model


class Weights(tuple):
    """The layers' weight arrays; assigning to one writes into it."""

    __slots__ = ()

    def __setitem__(self, k, values):
        if not _is_integer(k):
            raise ValueError(f"weights are assigned to layer {k!r}; accepted: an integer")
        write(self[k], values, f"weights of layer {k}")


def _require_finite(values, name):
    if not np.isfinite(values).all():
        raise ValueError(f"{name} hold NaN or inf; accepted: finite numbers")


def write(w, values, name):
    """Write values into the weights w, if they are of their shape."""
    values = np.asarray(values)
    if values.shape != w.shape or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} are {values.dtype} of shape {values.shape}; accepted: numbers of shape "
            f"{w.shape}, which are written into the weights"
        )
    _require_finite(values, name)
    w[...] = values


def accepted(given, before):
    """(weights, whether they are a copy) of what is given for the layer after those of `before`."""
    weights = np.require(given, requirements=("C", "A", "W"))
    name, kind = f"weights of layer {len(before)}", weights.dtype
    if weights.ndim != 2 or kind not in (np.float32, np.float64):
        raise ValueError(
            f"{name} are {kind} of shape {weights.shape}; "
            "accepted: float32 or float64 of shape (n_pre, n_post)"
        )
    if before and weights.shape[0] != before[-1].shape[1]:
        raise ValueError(
            f"{name} have shape {weights.shape}; accepted: ({before[-1].shape[1]}, n_post)"
        )
    if before and kind != before[0].dtype:
        raise ValueError(f"{name} are {kind}; accepted: {before[0].dtype}, as in layer 0")
    _require_finite(weights, name)
    is_array = isinstance(given, np.ndarray) and given.size > 0
    return weights, is_array and not np.may_share_memory(weights, given)


def require_unchanged(w, shape, dtype):
    """Refuse an array whose shape or type was assigned to."""
    if w.shape != shape or w.dtype != dtype:
        raise ValueError(
            f"weights have become {w.dtype} of shape {w.shape}; accepted: {dtype} of "
            f"shape {shape}, as they were"
        )


def pairs(layers):
    """The list of (weights, neuron), or a ValueError that says what it is instead."""
    accepted = "accepted: a list of one (weights, Neuron or Model) a layer"
    try:
        layers = [tuple(one) for one in layers]
    except TypeError:
        raise ValueError(f"layers are a {type(layers).__name__}; {accepted}") from None
    if not layers:
        raise ValueError(f"layers is empty; {accepted}, at least one")
    for k, one in enumerate(layers):
        if len(one) != 2 or not isinstance(one[1], (Neuron, Model)):
            held = ", ".join(type(part).__name__ for part in one[:3])
            raise ValueError(f"layers[{k}] holds {held or 'nothing'}; {accepted}")
    return layers
