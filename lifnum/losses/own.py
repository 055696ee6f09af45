"""A user's function as a loss: what it returns is looked at before a run counts it."""

from dataclasses import dataclass

import numpy as np

from lifnum.cuda.device import to_host
from lifnum.derivatives import accepted_table
from lifnum.losses.spike_count import SpikeCount

_ACCEPTED = "accepted: a pair (values (batch,), dL/dt (n_spikes,)) of real numbers"


@dataclass(frozen=True)
class Own:
    """A loss by a user's function, and what else it has.

    Raises
    ------
    ValueError
        It returns something else than a loss does: no pair of a value for each sample and dL/dt for
        each spike, predictions that are no classes, dL/dn of another shape.
    """

    function: object
    by_counts: bool  # whether it is differentiated by counts: dL/dt then is not looked at

    def __call__(self, out, labels):
        found = self.function(out, labels)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            held = f"{len(found)} of them" if isinstance(found, (tuple, list)) else "no pair"
            raise ValueError(f"loss returns a {type(found).__name__}, {held}; {_ACCEPTED}")
        values, d_times = found
        values = _numbers("values", values, (len(out),), "one for each sample")
        if not self.by_counts:
            d_times = _numbers("dL/dt", d_times, (len(out.times),), "one for each spike")
        return out.xp.asarray(values), d_times

    def __getattr__(self, name):
        if name == "d_counts" and hasattr(self.function, name):
            return self._d_counts
        raise AttributeError(name)

    def _d_counts(self, out, labels):
        found = self.function.d_counts(out, labels)
        return accepted_table(_array(found), out, "d_counts of the loss")

    def predict(self, out):
        """Classes (batch,), int64, on the host: by the function, or else as `SpikeCount`."""
        if not hasattr(self.function, "predict"):
            return to_host(SpikeCount().predict(out))
        shape = (len(out),)
        found = self.function.predict(out)
        classes = to_host(_numbers("predictions", found, shape, "one for each sample", "iu"))
        wrong = (classes < -1) | (classes >= out.n_neurons)
        if wrong.any():
            k = int(wrong.argmax())
            raise ValueError(
                f"predictions[{k}] of the loss is {classes[k]}; accepted: -1, none, or 0 to "
                f"{out.n_neurons - 1}, the output neurons"
            )
        return classes.astype(np.int64)


def _array(found):
    """What a user returns as an array, where it lies; of objects where it can not be one."""
    if hasattr(found, "get") and hasattr(found, "dtype"):
        return found  # of a GPU
    try:
        return np.asarray(found)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors with a graph
        return np.asarray(None)


def _numbers(name, found, shape, each, kinds="fiu"):
    """The array of this shape and of one of these kinds of types."""
    array = _array(found)
    if array.shape != shape or (array.size and array.dtype.kind not in kinds):
        held = f"{array.dtype} of shape {array.shape}"
        held = held if array.dtype.kind != "O" else f"a {type(found).__name__}"
        kind = "integers" if kinds == "iu" else "real numbers"
        raise ValueError(
            f"{name} of the loss are {held}; accepted: {kind} of shape {shape}, {each}"
        )
    return array
