"""Derivatives of a loss as `Network.backward` takes them: by spike times, or by spike counts."""

import numpy as np

from lifnum.cuda.device import to_device
from lifnum.errors import _is_integer


def require_one(adjoint, d_times, counts, input_gradient):
    """Refuse derivatives that an adjoint does not start from, and an answer that it does not have.

    Raises
    ------
    ValueError
        Not exactly one of d_times and counts, or not the one that the adjoint takes.
    """
    if (d_times is None) == (counts is None):
        given = "neither d_times nor counts is" if counts is None else "d_times and counts are"
        raise ValueError(f"{given} given; accepted: one of them")
    needed, other = ("counts", d_times) if adjoint == "surrogate" else ("d_times", counts)
    if other is not None:
        which = "d_times, dL/dt" if needed == "counts" else "counts, dL/dn"
        raise ValueError(f"{which}, are given; accepted: {needed} for gradient {adjoint!r}")
    if input_gradient and adjoint == "surrogate":
        raise ValueError(
            "input_gradient is True; accepted: False for gradient 'surrogate', which has no "
            "derivatives by spike times"
        )


def accepted_d_times(d_times, spikes, on_device=False, name="d_times"):
    """dL/dt of every spike (n,), float64, where the network runs.

    Raises
    ------
    ValueError
        Another length than that of the spikes, no numbers, or (on the host) not finite.
    """
    on_host = spikes.xp is np
    d_times = np.asarray(d_times) if on_host else to_device(d_times)
    n = len(spikes.times)
    if d_times.shape != (n,) or (n and d_times.dtype.kind not in "fiu"):
        raise ValueError(
            f"{name} are {d_times.dtype} of shape {d_times.shape}; "
            f"accepted: numbers of shape ({n},), one for each spike of the "
            f"{'output' if name == 'd_times' else 'layer'}"
        )
    if on_host:
        d_times = np.require(d_times, np.float64, ("C", "A", "W"))
        _require_finite(d_times, name)
    if on_device:
        d_times = to_device(d_times).astype(np.float64, copy=False)
    return d_times


def accepted_table(values, spikes, name):
    """The values (batch, n_neurons), float64, finite or not, as an array of spikes.xp.

    Raises
    ------
    ValueError
        Another shape than that of the spike counts, or no numbers.
    """
    values = spikes.xp.asarray(values)
    shape = len(spikes), spikes.n_neurons
    if values.shape != shape or (values.size and values.dtype.kind not in "fiu"):
        raise ValueError(
            f"{name} are {values.dtype} of shape {values.shape}; "
            f"accepted: numbers of shape {shape}, one for each sample and neuron"
        )
    return values.astype(np.float64)


def accepted_counts(counts, spikes, name="counts"):
    """dL/dn (batch, n_neurons), float64, of the spike counts of SpikeTrains.

    Raises
    ------
    ValueError
        Another shape, no numbers, or not finite.
    """
    counts = accepted_table(counts, spikes, name)
    _require_finite(counts, name)
    return counts


def _require_finite(values, name):
    finite = np.isfinite(values)
    if not finite.all():
        bad = np.argwhere(~finite)[0]
        place = ", ".join(map(str, bad))
        raise ValueError(f"{name}[{place}] is {values[tuple(bad)]}; accepted: finite numbers")


def accepted_hidden(hidden, n_layers):
    """{layer: derivatives} with layers that there are; no derivatives are looked at.

    Raises
    ------
    ValueError
        No dictionary, or another key than an integer from 0 to n_layers - 1.
    """
    if hidden is None:
        return {}
    if not isinstance(hidden, dict):
        raise ValueError(
            f"hidden is a {type(hidden).__name__}; accepted: a dictionary of derivatives by layer"
        )
    for k in hidden:
        if not _is_integer(k) or not 0 <= k < n_layers:
            raise ValueError(
                f"hidden has the key {k!r}; accepted: layers, integers from 0 to {n_layers - 1}"
            )
    return hidden
