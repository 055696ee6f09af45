"""Losses on output spike trains: loss(out, labels) -> (value per sample, dL/dt per spike).

`out` brings its array module `out.xp`: the same lines run on NumPy's arrays and on the GPU's.
A loss is a file here, with a frozen dataclass that has `__call__` and `predict`, and a line of
`LOSSES`; one that is a function of spike counts n has `d_counts(out, labels)` too, dL/dn (batch,
n_neurons), which the surrogate gradient needs. Its fields are options of the command line
(`fields.option`), or fields of the preset of the same name, such as the duration.
"""

from dataclasses import fields

from lifnum.fields import initial, options_of
from lifnum.losses.cross_entropy import CrossEntropy
from lifnum.losses.first_spike import FirstSpike
from lifnum.losses.labels import accepted_labels
from lifnum.losses.own import Own
from lifnum.losses.rates import RatePenalty
from lifnum.losses.regression import CountValue, TimeValue
from lifnum.losses.spike_count import SpikeCount
from lifnum.losses.ttfs import TimeToFirstSpike
from lifnum.losses.van_rossum import VanRossum

__all__ = ["LOSSES", "CountValue", "CrossEntropy", "FirstSpike", "RatePenalty", "SpikeCount",
           "TimeToFirstSpike", "TimeValue", "VanRossum", "accepted_labels"]  # fmt: skip

LOSSES = {
    "spike-count": SpikeCount,
    "ttfs": TimeToFirstSpike,
    "cross-entropy": CrossEntropy,
    "first-spike": FirstSpike,
    "van-rossum": VanRossum,
}


OWN = "own"  # the name of a loss that is a function of a user's


def loss_options():
    """Fields of the losses that are options of the command line, by name.

    Losses that share a name share the option: the help and the check are those of the last.
    """
    return {name: one for loss in LOSSES.values() for name, one in options_of(loss).items()}


def accepted_options(given):
    """Values of all options of the losses: the initial ones where none are given.

    Raises
    ------
    ValueError
        A name or a value that no loss has.
    """
    known = loss_options()
    for name in given:
        if name not in known:
            raise ValueError(f"loss option is {name!r}; accepted: {', '.join(known)}")
    values = {name: initial(one) for name, one in known.items()} | given
    for name, one in known.items():
        if "check" in one.metadata:
            one.metadata["check"](name, values[name])
    return values


def check_gradient(name, gradient):
    """Refuse the surrogate gradient for a loss that has no `d_counts`; ValueError."""
    if name != OWN and gradient == "surrogate" and not hasattr(LOSSES[name], "d_counts"):
        able = ", ".join(key for key, loss in LOSSES.items() if hasattr(loss, "d_counts"))
        raise ValueError(
            f"loss is {name!r}; accepted for gradient 'surrogate', which needs dL/dn: {able}"
        )


def build(preset):
    """The preset's loss; ValueError for one that is a user's."""
    if preset.loss == OWN:
        raise ValueError("loss is a function of the program that trained; accepted: that program")
    loss = LOSSES[preset.loss]
    values = vars(preset) | preset.loss_options
    if preset.neuron[-1] in preset.models:  # to which tau_s says nothing
        values = values | {"tau_s": None}
    return loss(**{one.name: values[one.name] for one in fields(loss)})


def of_callable(function, gradient):
    """A loss that is a user's function.

    Raises
    ------
    ValueError
        It is none, or has no `d_counts` for the surrogate gradient.
    """
    if not callable(function):
        raise ValueError(f"loss is {function!r}; accepted: {', '.join(LOSSES)}, or a function")
    if gradient == "surrogate" and not hasattr(function, "d_counts"):
        raise ValueError("loss has no d_counts; accepted for gradient 'surrogate': one that has")
    return Own(function, gradient == "surrogate")
