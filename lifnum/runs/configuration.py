"""Everything that decides the result of a run, and the network that it describes."""

from dataclasses import asdict

from lifnum.files.reader import Trace
from lifnum.losses import LOSSES
from lifnum.network import Network
from lifnum.neurons.lif import Neuron
from lifnum.runs import presets
from lifnum.scheme import Scheme


def build_network(preset, scheme, weights, device="cpu"):
    """The preset's network with these weights, integrated by this scheme on this device."""
    if len(weights) != len(preset.theta):
        raise ValueError(f"weights are of {len(weights)} layers; accepted: {len(preset.theta)}")
    layers = [
        (w, Neuron(preset.tau_s[k], preset.tau[k], preset.theta[k], preset.delta_theta[k],
                   preset.max_spikes[k]))
        for k, w in enumerate(weights)
    ]  # fmt: skip
    return Network(layers, scheme, preset.duration, device)


def build_loss(preset):
    """The preset's loss."""
    return LOSSES[preset.loss](preset)


def configuration(preset, scheme, **options):
    """Everything that decides the result of a run, as JSON can hold it."""
    return {
        "preset": asdict(preset),
        "scheme": {name: getattr(scheme, name)
                   for name in ("method", "order", "dt", "interpolation", "gradient")},
        **options,
    }  # fmt: skip


def network_of(config, weights, device="cpu"):
    """(Network, loss, Preset) of a configuration that `configuration` made, with these weights."""
    preset = presets.from_config(config["preset"])
    scheme = Scheme(**config["scheme"])
    return build_network(preset, scheme, weights, device), build_loss(preset), preset


def load(path, which="last"):
    """The network of a trace.

    Parameters
    ----------
    path : path
    which : {"last", "best", "initial"}
        Its weights.

    Returns
    -------
    Network

    Raises
    ------
    TraceError
        No such file, not a trace, or damaged.
    ValueError
        Other weights asked for.
    """
    with Trace(path) as trace:
        return network_of(trace.config, trace.weights(which))[0]
