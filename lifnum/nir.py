"""Networks to and from NIR, the Neuromorphic Intermediate Representation (Pedersen et al. 2024).

NIR's CubaLIF is tau_syn dI/dt = -I + w_in S, tau_mem dv/dt = v_leak - v + r I, where S are the
weighted input spikes, and v becomes v_reset where it reaches v_threshold. With u = v - v_leak that
is `Neuron`: tau_s = tau_syn, tau = tau_mem, theta = v_threshold - v_leak,
delta_theta = v_threshold - v_reset, and weights times w_in r / (tau_syn tau_mem). A network is
written with w_in = tau_s and r = tau, so that this factor is one and its weights stay as they are.
NIR's LIF is tau dv/dt = v_leak - v + r S: v itself jumps at an input, by the weight times r / tau.
It is the `Model` that `lif` makes, and written with r = tau.

A spike there is an impulse of area one. Frameworks on a grid make it 1 for a step, and its area
that step: the `spike_width` of their files, 1e-4 in those of snnTorch. Extra ``nir``.
"""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

from lifnum.errors import _positive, _spike_cap
from lifnum.network import Network
from lifnum.neurons.lif import Neuron
from lifnum.neurons.model import Model

try:
    import nir
except ImportError as error:
    raise ImportError("lifnum.nir needs NIR: pip install 'lifnum[nir]'") from error

MAX_SPIKES = 1_000_000  # of a neuron that comes without a cap, for NIR knows none


class GraphError(ValueError):
    """A graph, or a node of it, that lifnum cannot represent; the message names it."""


def lif(*, tau=0.02, v_leak=0.0, v_threshold=1.0, v_reset=0.0, max_spikes=MAX_SPIKES):
    """The Model of NIR's LIF neuron, whose v jumps by w at an input (Pedersen et al. 2024).

    tau dv/dt = v_leak - v, from v_leak at time 0; v >= v_threshold: v -> v_reset. Its v falls to
    v_leak between inputs, so that it spikes at inputs only. `exponential-euler` is its solution, at
    any dt.

    Parameters
    ----------
    tau, v_leak, v_threshold, v_reset : float, or ndarray (n_neurons,)
        tau > 0 in seconds, v_threshold above v_leak and v_reset.
    max_spikes : int

    Raises
    ------
    ValueError
        What Model refuses.
    """
    return Model(
        name="nir-lif",
        equations={"v": "(v_leak - v)/tau"},
        parameters={
            "tau": tau, "v_leak": v_leak, "v_threshold": v_threshold, "v_reset": v_reset,
        },
        initial={"v": "v_leak"},
        input="v",
        threshold=("v", "v_threshold"),
        reset={"v": "v_reset"},
        max_spikes=max_spikes,
    )  # fmt: skip


def to_graph(net, spike_width=None):
    """The nir.NIRGraph of a Network: Input, (Linear, CubaLIF or LIF) for each layer, Output.

    For spikes that are 1 for a spike_width, in seconds, potentials are in units of it:
    w_in = tau_s / spike_width, r = tau / spike_width, v_threshold = theta / spike_width. The cap of
    spikes travels as the metadata `max_spikes` of a node, and beside v_reset, which is rounded,
    `delta_theta`. GraphError for a layer of a Model that is
    not one of `lif`, which NIR has no node for.
    """
    width = _accepted_width(spike_width)
    nodes = {"input": nir.Input(np.array([net.weights[0].shape[0]]))}
    for k, layer in enumerate(net.layers):
        neuron, n = layer.neuron, layer.weights.shape[1]
        nodes[f"linear_{k}"] = nir.Linear(np.ascontiguousarray(layer.weights.T))
        if isinstance(neuron, Neuron):
            nodes[f"lif_{k}"] = nir.CubaLIF(
                tau_syn=np.full(n, neuron.tau_s),
                tau_mem=np.full(n, neuron.tau),
                r=np.full(n, neuron.tau / width),
                v_leak=np.zeros(n),
                v_threshold=np.full(n, neuron.theta / width),
                v_reset=np.full(n, (neuron.theta - neuron.delta_theta) / width),
                w_in=np.full(n, neuron.tau_s / width),
                metadata={"max_spikes": neuron.max_spikes, "delta_theta": neuron.delta_theta},
            )
        else:
            nodes[f"lif_{k}"] = _lif_node(k, neuron, n, width)
    nodes["output"] = nir.Output(np.array([net.weights[-1].shape[1]]))
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


def _lif_node(k, model, n, width):
    """The nir.LIF of layer k, of n neurons."""
    plain = lif(max_spikes=model.max_spikes)
    same = model.parameters.keys() == plain.parameters.keys()
    if not same or replace(model, name=plain.name, parameters=plain.parameters) != plain:
        raise GraphError(
            f"layer {k} is of {model.name}; accepted: lifnum.Neuron, or a Model of lifnum.nir.lif"
        )
    values = {name: np.broadcast_to(x, n).astype(float) for name, x in model.parameters.items()}
    return nir.LIF(r=values["tau"] / width, metadata={"max_spikes": model.max_spikes}, **values)


def write(path, net, spike_width=None, overwrite=False):
    """Write a Network to a NIR file (HDF5); spike_width as in `to_graph`.

    Raises
    ------
    GraphError
        What `to_graph` refuses.
    ValueError
        The path is taken, unless by a NIR file and `overwrite`.
    OSError
        The file system refuses; what was there is intact.
    """
    path, graph = Path(path), to_graph(net, spike_width)
    if path.exists() and not (overwrite and _is_graph(path)):
        other = "" if overwrite else ", or overwrite for a NIR file"
        raise ValueError(f"path {path} exists; accepted: another name{other}")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        nir.write(temporary, graph)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_graph(path):
    """Whether a file is one that NIR wrote."""
    try:
        with h5py.File(path, "r") as file:
            return {"version", "node"} <= file.keys()
    except OSError:
        return False


def read(path, scheme, duration, dtype=None, spike_width=None):
    """The Network of a NIR file, under a scheme and for a duration that NIR does not know.

    Parameters and errors as in `from_graph`; a file that is no NIR file raises GraphError too.
    """
    try:
        graph = nir.read(path)
    except (OSError, KeyError, TypeError, AttributeError, AssertionError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # no such file, or no permission to read it
        raise GraphError(f"{path}: not a graph that NIR reads: {error}") from None
    return from_graph(graph, scheme, duration, dtype, spike_width)


def from_graph(graph, scheme, duration, dtype=None, spike_width=None):
    """The Network of a feed-forward NIR graph of Linear or Affine and CubaLIF or LIF nodes.

    Parameters
    ----------
    graph : nir.NIRGraph
        Input, then Linear or Affine without bias and CubaLIF or LIF in turn, then Output. The
        neurons of a CubaLIF node share time constants; other parameters may differ, weights and
        thresholds then are scaled to one threshold a layer. All parameters of a LIF node may.
    scheme : Scheme
        Of a method for models where there is a LIF node, such as `exponential-euler`.
    duration : float
        In the unit of the graph's time constants, seconds.
    dtype : float32 or float64, optional
        Of the weights; default: that of the first ones.
    spike_width : float, optional
        How long a spike is 1, in seconds, in the framework that wrote the graph; by default it is
        an impulse of area one.

    Raises
    ------
    GraphError
        What a Network cannot represent, by the name of its node.
    ValueError
        What Network refuses, such as `exact` for LIF nodes; another dtype.
    """
    layers, weights, width = [], None, _accepted_width(spike_width)
    for name, node in _chain(graph):
        if isinstance(node, (nir.Linear, nir.Affine)):
            weights = _weights(name, node, weights)
        elif isinstance(node, (nir.CubaLIF, nir.LIF)):
            if weights is None:
                raise GraphError(f"node {name!r} has no weights; accepted: a Linear node before it")
            of_node = _cubalif_layer if isinstance(node, nir.CubaLIF) else _lif_layer
            layers.append(of_node(name, node, weights, width))
            weights = None
        else:
            raise GraphError(
                f"node {name!r} is {type(node).__name__}; accepted: Linear, Affine, CubaLIF, LIF"
            )
    if weights is not None or not layers:
        raise GraphError(
            "the graph does not end with a CubaLIF or LIF node; accepted: one before Output"
        )
    dtype = _accepted_dtype(layers[0][0].dtype if dtype is None else dtype)
    return Network([(w.astype(dtype, "C"), neuron) for w, neuron in layers], scheme, duration)


def _chain(graph):
    """(name, node) of the nodes between Input and Output, which must follow one another."""
    following = {}
    for before, after in graph.edges:
        if before in following:
            raise GraphError(f"node {before!r} has several successors; accepted: one")
        following[before] = after
    entries = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(entries) != 1:
        raise GraphError(f"the graph has {len(entries)} Input nodes; accepted: one")
    chain, name, seen = [], entries[0], set()
    while not isinstance(graph.nodes[name], nir.Output):
        seen.add(name)
        if name not in following:
            raise GraphError(f"node {name!r} leads nowhere; accepted: a chain to an Output node")
        name = following[name]
        if name in seen:
            raise GraphError(f"node {name!r} is in a circle; accepted: feed-forward graphs")
        chain.append((name, graph.nodes[name]))
    left = graph.nodes.keys() - seen - {name}
    if left:
        raise GraphError(
            f"node {min(left)!r} is not on the way from Input to Output; accepted: none"
        )
    return chain[:-1]


def _height(node, number, width, rounded):
    """delta_theta of a CubaLIF node: as `to_graph` noted it, where v_reset is what that gives."""
    noted = _metadata(node, "delta_theta", None)
    if not isinstance(noted, float) or number["v_leak"].any():
        return rounded
    # with a width thresholds are in another unit, which the note is not
    same = width == 1.0 and (number["v_threshold"] - noted == number["v_reset"]).all()
    return noted if same and 0.0 < noted < np.inf else rounded


def _accepted_dtype(dtype):
    """The type of weights, or a ValueError."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise ValueError(f"dtype is {dtype!r}; accepted: float32, float64")
    return found


def _weights(name, node, before):
    weights = np.asarray(node.weight).T
    if weights.ndim != 2 or weights.dtype.kind != "f" or not np.isfinite(weights).all():
        raise GraphError(
            f"weight of node {name!r} is {weights.dtype} of shape {weights.T.shape}; accepted: "
            "finite real numbers of shape (n_post, n_pre)"
        )
    if isinstance(node, nir.Affine) and np.any(node.bias):
        raise GraphError(f"node {name!r} has a bias, a constant current; accepted: a bias of zero")
    if before is not None and before.shape[1] != weights.shape[0]:
        raise GraphError(
            f"weight of node {name!r} has shape {weights.T.shape}; accepted: (n_post, "
            f"{before.shape[1]}), as the node before it has outputs"
        )
    return weights if before is None else before @ weights


def _accepted_width(spike_width):
    """Area of a spike: its width, or one."""
    if spike_width is None:
        return 1.0
    _positive("spike_width", spike_width)
    return spike_width


def _numbers(name, node, n, *fields):
    """Parameters of a node, (n,) float64 each, by name."""
    number = {}
    for field in fields:
        values = np.asarray(getattr(node, field))
        if values.dtype.kind not in "fiu" or values.shape not in ((), (1,), (n,)):
            raise GraphError(
                f"{field} of node {name!r} is {values.dtype} of shape {values.shape}; accepted: "
                f"real numbers of shape ({n},), one for each neuron"
            )
        number[field] = np.broadcast_to(values.astype(np.float64), n)
    return number


def _metadata(node, key, default):
    """An entry of a node's metadata, which a file may hold as an array without dimensions."""
    known = node.metadata if isinstance(node.metadata, dict) else {}
    value = known.get(key, default)
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _cap(name, node):
    """The cap of spikes of a node's metadata."""
    try:
        return _spike_cap(f"max_spikes of node {name!r}", _metadata(node, "max_spikes", MAX_SPIKES))
    except ValueError as error:
        raise GraphError(f"{error}") from None


def _require_heights(name, number):
    """Above v_leak (n,) and above v_reset (n,), how far v_threshold is; or a GraphError."""
    theta = number["v_threshold"] - number["v_leak"]
    height = number["v_threshold"] - number["v_reset"]
    if not ((theta > 0) & (theta < np.inf) & (height > 0) & (height < np.inf)).all():
        raise GraphError(
            f"v_threshold of node {name!r} is not above v_leak and v_reset; accepted: above both"
        )
    return theta, height


def _lif_layer(name, node, weights, width):
    """(weights, Model) of a LIF node and the weights before it."""
    names = "tau", "v_leak", "v_threshold", "v_reset"
    number = _numbers(name, node, weights.shape[1], *names, "r")
    _require_heights(name, number)
    for field, sound in (("tau", number["tau"] > 0.0), ("r", np.isfinite(number["r"]))):
        if not (sound & (number[field] < np.inf)).all():
            wrong = number[field][~(sound & (number[field] < np.inf))][0]
            accepted = "finite numbers > 0" if field == "tau" else "finite numbers"
            raise GraphError(f"{field} of node {name!r} is {wrong:g}; accepted: {accepted}")
    factor = number["r"] * width / number["tau"]
    parameters = {field: _number_of_all(number[field]) for field in names}
    return (weights * factor).astype(weights.dtype), lif(**parameters, max_spikes=_cap(name, node))


def _number_of_all(values):
    """The number, where it is the same for all neurons, else the array."""
    same = len(values) > 0 and (values == values[0]).all()
    return float(values[0]) if same else np.array(values)


def _cubalif_layer(name, node, weights, width):
    """(weights, Neuron) of a CubaLIF node and the weights before it."""
    number = _numbers(
        name, node, weights.shape[1],
        "tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in",
    )  # fmt: skip
    for field in ("tau_syn", "tau_mem"):
        values = np.unique(number[field])
        if len(values) != 1 or not 0.0 < values[0] < np.inf:
            raise GraphError(
                f"{field} of node {name!r} is from {values.min():g} to {values.max():g}; accepted: "
                "one number > 0 for all neurons"
            )
    for field in ("r", "w_in"):
        wrong = number[field][~np.isfinite(number[field])]
        if wrong.size:
            raise GraphError(f"{field} of node {name!r} is {wrong[0]:g}; accepted: finite numbers")
    theta, height = _require_heights(name, number)
    scale = theta[0] / theta  # of u, so that all neurons have one threshold
    if not np.allclose(scale * height, height[0], rtol=1e-12, atol=0.0):
        raise GraphError(
            f"v_reset of node {name!r}, in thresholds above v_leak, differs between neurons; "
            "accepted: one number"
        )
    tau_s, tau = number["tau_syn"][0], number["tau_mem"][0]
    factor = scale * (number["w_in"] * number["r"] * width) / (tau_s * tau)
    heights = float(theta[0]), _height(node, number, width, float(height[0]))
    neuron = Neuron(float(tau_s), float(tau), *heights, _cap(name, node))
    return (weights * factor).astype(weights.dtype), neuron
