"""A network in a file of its own, without the run that made it.

HDF5: the attribute ``network`` is JSON (neurons, scheme, duration), ``weights/k`` those of layer k.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

import h5py

from lifnum.errors import TraceError
from lifnum.files.hdf5 import one_line, plain, write_attributes
from lifnum.neurons.lif import Neuron
from lifnum.neurons.model import Model
from lifnum.scheme import Scheme

KIND = "lifnum.network"  # the attribute that says what the file is

MAX_LAYERS = 1000


def is_network(path):
    """Whether a file is one that `save` wrote."""
    try:
        with h5py.File(path, "r") as file:
            return KIND in file.attrs
    except OSError:
        return False


def save(net, path, overwrite=False):
    """Write a network: weights, neurons, scheme, duration.

    Raises
    ------
    ValueError
        The path is taken, unless by a network and `overwrite`.
    OSError
        The file system refuses; what was there is intact.
    """
    path = Path(path)
    if path.exists() and not (overwrite and is_network(path)):
        other = "" if overwrite else ", or overwrite for the file of a network"
        raise ValueError(f"path {path} exists; accepted: another name{other}")
    scheme = net.scheme.to_json()
    layers = [_as_data(layer.neuron) for layer in net.layers]
    entries = {"layers": layers, "scheme": scheme, "duration": net.duration}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w", libver="latest") as file:
            write_attributes(file, {KIND: 1, "network": json.dumps(entries, default=plain)})
            for k, w in enumerate(net.weights):
                filled = {"fletcher32": True} if w.size else {}
                file.create_dataset(f"weights/{k}", data=w, **filled)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path):
    """What `save` wrote: list of (weights, neuron), Scheme, duration.

    Raises
    ------
    TraceError
        It is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            entries = json.loads(file.attrs["network"])
            if len(entries["layers"]) > MAX_LAYERS:
                raise ValueError(f"{len(entries['layers'])} layers")
            neurons = [_of_data(one) for one in entries["layers"]]
            weights = [file[f"weights/{k}"][()] for k in range(len(neurons))]
        scheme = Scheme.from_json(entries["scheme"])
        return list(zip(weights, neurons)), scheme, entries["duration"]
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise TraceError(f"{path}: damaged network ({one_line(error)})") from None


def _as_data(neuron):
    return neuron.as_data() if isinstance(neuron, Model) else {"lif": asdict(neuron)}


def _of_data(data):
    return Neuron(**data["lif"]) if "lif" in data else Model.from_data(data)
