"""Everything that decides the result of a run, and the network that it describes."""

import itertools
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from lifnum import losses, model_layer
from lifnum.data.datasets import DATASETS, default_encoding
from lifnum.data.datasets import load as load_data
from lifnum.data.tables import is_table
from lifnum.errors import DataError, TraceError, _is_integer
from lifnum.fields import option, options_of, positive, whole
from lifnum.files import networks
from lifnum.files.hdf5 import one_line
from lifnum.files.reader import Trace
from lifnum.network import DEVICES, Network
from lifnum.neurons.lif import Neuron
from lifnum.runs import neurons, presets
from lifnum.runs.presets import Preset
from lifnum.scheme import LIMITS, SURROGATE_OPTIONS, Scheme, needs_grid

DTYPES = ("float32", "float64")

GIVEN_TO_FIT = "given to lifnum.fit"  # the end of the name of data that no trace can name

DEFAULT_DT = 1e-3  # seconds, where a grid is needed and none given


def scheme_of(args):
    """The Scheme of parsed options, for neurons of lif; `DEFAULT_DT` where none is given.

    Raises
    ------
    ValueError
        A value that `Scheme` refuses, or a grid where it could only add rounding errors.
    """
    return _accepted_grid(_scheme(args, Scheme()))


def _scheme(args, default):
    """The Scheme of parsed options; what they leave open is as in another."""
    method, order, dt = args.method or default.method, args.order, args.dt
    tolerance = args.tolerance
    if order is None and tolerance is None and method == default.method:
        order, tolerance = default.order, default.tolerance
    interpolation = args.interpolation or default.interpolation
    if dt is None and needs_grid(method, interpolation, args.spikes_per_step):
        dt = default.dt or DEFAULT_DT
    given = {name: getattr(args, name) for name in (*LIMITS, *SURROGATE_OPTIONS)}
    given = {name: value for name, value in given.items() if value is not None}
    return Scheme(method, order, dt, interpolation, args.gradient, tolerance, **given)


def _accepted_grid(scheme):
    """The scheme, if it has a grid only where it needs one."""
    gridless = not needs_grid(scheme.method, scheme.interpolation, scheme.spikes_per_step)
    if scheme.dt is not None and scheme.gradients_coincide and gridless:
        raise ValueError(
            f"dt is {scheme.dt!r}; accepted: none where method is 'exact' and interpolation is "
            "'dense', which need no grid"
        )
    return scheme


def check_scheme(preset, scheme):
    """Refuse a scheme that the preset's models are not simulated with.

    Raises
    ------
    ValueError
        Such as exact, whose solution they do not have; names the model.
    """
    for model in preset.models:
        model_layer.check_scheme(scheme, model)


def is_file(dataset):
    """Whether a data set is a user's file."""
    return dataset not in DATASETS and Path(dataset).is_file()


@dataclass(frozen=True)
class Configuration:
    """Everything that decides the result of a run: preset, scheme and these options.

    Raises
    ------
    ValueError
        A value out of its range.
    """

    preset: Preset
    scheme: Scheme
    seed: int = option(
        "of weights, batch order and validation part: the same under every scheme", "N", whole, 0
    )
    dtype: str = option("type of weights and state", default="float32", choices=DTYPES)
    limit_train: int | None = option(
        "use the first N training samples only", "N", positive(int), None
    )
    limit_test: int | None = option("use the first N test samples only", "N", positive(int), None)
    evaluations: int = option(
        "validations an epoch; the test set is evaluated once an epoch", "N", positive(int), 1
    )
    weights_from: str | None = option(
        "begin with the last weights of this trace or saved network", "FILE", default=None
    )
    device: str = "cpu"

    def __post_init__(self):
        def refuse(name, accepted):
            raise ValueError(f"{name} is {getattr(self, name)!r}; accepted: {accepted}")

        if not _is_integer(self.seed) or self.seed < 0:
            refuse("seed", "an integer >= 0")
        for name in ("limit_train", "limit_test", "evaluations"):
            value = getattr(self, name)
            if not (_is_integer(value) and value > 0) and (value, name[:5]) != (None, "limit"):
                refuse(name, "an integer > 0")
        for name, accepted in (("dtype", DTYPES), ("device", DEVICES)):
            if getattr(self, name) not in accepted:
                refuse(name, ", ".join(accepted))
        check_scheme(self.preset, self.scheme)
        if self.device == "cuda" and self.preset.models:
            refuse("device", f"cpu for {neurons.names(self.preset.models)}, a model by equations")
        if self.device == "cuda" and self.scheme.only_on_cpu:
            refuse("device", f"cpu for {self.scheme.only_on_cpu}")
        losses.check_gradient(self.preset.loss, self.scheme.gradient)
        for name in ("rate_penalty", "revive"):
            if self.device != "cpu" and getattr(self.preset, name) > 0.0:
                refuse("device", f"cpu where {name} is not 0")

    @classmethod
    def from_options(cls, args, device="cpu"):
        """Configuration of parsed options of lifnum.train.

        A file of spike trains is kept as an absolute path, and without --preset names the run.
        """
        given = {name: getattr(args, name) for name in options_of(Preset) | losses.loss_options()}
        for name in (*presets.PER_LAYER, "hidden"):
            given[name] = None if given[name] is None else tuple(given[name])
        if given["weights"] is not None:
            given["weights"] = presets.parse_weights(given["weights"])
        if given["loss"] == losses.OWN:
            raise ValueError(f"loss is 'own'; accepted: {', '.join(losses.LOSSES)}")
        chosen = tuple(map(neurons.neuron_of, given["neuron"] or ()))
        given["dataset"] = args.dataset
        if is_file(args.dataset):
            given["dataset"] = os.path.abspath(args.dataset)
            given["name"] = Path(args.dataset).stem if args.preset is None else None
        name = args.preset or presets.default_preset(args.dataset, chosen)
        # names alone are those of the preset's own neurons, if it has such, with their parameters
        plain = all(one in neurons.BUILT_IN for one in given["neuron"] or ())
        if plain and name in presets.PRESETS and presets.has_neurons(name, chosen):
            chosen = ()
        preset = presets.resolve(name, given | {"neuron": chosen or None})
        if args.parameter:
            changed = neurons.with_parameters(preset.neuron, args.parameter)
            preset = replace(preset, neuron=changed)
        scheme = _scheme(args, presets.default_scheme(name, preset.neuron))
        check_scheme(preset, scheme)
        return cls(
            preset,
            _accepted_grid(scheme),
            **{name: getattr(args, name) for name in options_of(cls)}
            | {"weights_from": args.weights_from and os.path.abspath(args.weights_from)},
            device=device,
        )

    @classmethod
    def from_json(cls, entries, name):
        """The configuration that `to_json` gave, or an earlier version.

        Raises
        ------
        TraceError
            It is none; says so of `name`, the file that it is from.
        """
        try:
            if not entries.keys() <= {one.name for one in fields(cls)}:
                raise ValueError("it has unknown entries")
            parts = {"preset": Preset.from_json(entries["preset"])}
            parts |= {"scheme": Scheme.from_json(entries["scheme"]), "seed": entries["seed"]}
            return cls(**entries | parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TraceError(
                f"{name}: the configuration is not one of lifnum.train ({one_line(error)})"
            ) from None

    def to_json(self):
        """The configuration as JSON can hold it."""
        rest = {one.name: getattr(self, one.name) for one in fields(self)}
        return rest | {"preset": self.preset.to_json(), "scheme": self.scheme.to_json()}

    def by_option(self):
        """The entries of `to_json` by the names of their options.

        preset is its name; the parameters of neurons stand apart from what else they are.
        """
        entries = self.to_json()
        preset = entries.pop("preset")
        found = self.preset.neuron
        own = {"preset": preset["name"], "neuron": [neurons.structure(one) for one in found]}
        own["parameter"] = neurons.parameters(found)
        return preset | entries.pop("scheme") | entries | own

    @property
    def label(self):
        """Short name for files: preset, neurons where it has others, scheme, seed."""
        name, given = self.preset.name, neurons.names(self.preset.neuron)
        own = name in presets.PRESETS and neurons.names(presets.PRESETS[name].neuron) == given
        if not own and given != neurons.LIF:
            name = f"{name}-{given}"
        return f"{name}-{self.scheme.label}-s{self.seed}"

    @property
    def label_with_data(self):
        """The label, with the data set where the preset is that of another."""
        name, dataset = self.preset.name, self.preset.dataset
        stem = Path(dataset).stem
        own = dataset if dataset in presets.PRESETS else stem
        if name in (own, f"{own}-{neurons.names(self.preset.neuron)}"):
            return self.label
        return f"{name}-{stem}{self.label.removeprefix(name)}"

    def data(self, data_dir=None, name=None, **limits):
        """The data set, or another; limits are those of `datasets.load`, else the run's.

        Raises
        ------
        DataError
            What `datasets.load` refuses; or the run's are data that were given to `lifnum.fit`.
        """
        limits = {"limit_train": self.limit_train, "limit_test": self.limit_test} | limits
        preset, other = self.preset, name is not None
        name = name or preset.dataset
        if name.endswith(GIVEN_TO_FIT):
            raise DataError(
                f"dataset is {name!r}, of which a trace keeps no spikes; accepted: dataset with "
                "the name of a data set or the path of a file that has them, or in Python the "
                "forward of lifnum.load(trace)"
            )
        # of another data set only what it takes
        encoding = preset.encoding if not other or default_encoding(name) else None
        column = preset.label_column if not other or is_table(name) else None
        return load_data(
            name, data_dir, preset.window, self.seed, **limits, encoding=encoding,
            label_column=column,
        )  # fmt: skip

    def initial_weights(self, n_inputs, n_classes):
        """Weights of every layer at the start, a list of arrays (n_pre, n_post).

        Raises
        ------
        TraceError
            There is no network in the file that they are to come from.
        ValueError
            It has another shape.
        """
        dtype = np.dtype(self.dtype)
        if self.weights_from is None:
            return presets.initial_weights(self.preset, n_inputs, n_classes, self.seed, dtype)
        weights = _weights_of(self.weights_from)
        sizes = n_inputs, *self.preset.hidden, n_classes
        shapes, wanted = [w.shape for w in weights], list(itertools.pairwise(sizes))
        if shapes != wanted:
            raise ValueError(
                f"weights_from is {self.weights_from}, whose layers have shapes {shapes}; "
                f"accepted: {wanted}"
            )
        return [w.astype(dtype) for w in weights]

    def network(self, weights, device="cpu"):
        """The network with these weights."""
        return build_network(self.preset, self.scheme, weights, device)


def build_network(preset, scheme, weights, device="cpu"):
    """The preset's network with these weights, integrated by this scheme on this device."""
    if len(weights) != len(preset.theta):
        raise ValueError(f"weights are of {len(weights)} layers; accepted: {len(preset.theta)}")
    per_layer = (preset.tau_s, preset.tau, preset.theta, preset.delta_theta, preset.max_spikes)
    layers = [
        (w, Neuron(*values) if neuron == neurons.LIF else neuron)
        for w, neuron, *values in zip(weights, preset.neuron, *per_layer)
    ]
    return Network(layers, scheme, preset.duration, device)


def _weights_of(path):
    """The last weights of a trace or of a saved network, without the network."""
    if networks.is_network(path):
        return [w for w, _ in networks.read(path)[0]]
    with Trace(path) as trace:
        return trace.weights("last")


def default_output(config):
    """runs/<label>.h5, numbered where that is taken."""
    stem = config.label
    path = Path("runs") / f"{stem}.h5"
    number = 2
    while path.exists() or Path(f"{path}.lock").exists():
        path = Path("runs") / f"{stem}-{number}.h5"
        number += 1
    return path


def load(path, which="last"):
    """The network of a trace, or of a file that `Network.save` wrote.

    Parameters
    ----------
    path : path
    which : {"last", "best", "initial"}
        The weights of a trace; a saved network has its last ones.

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
    if networks.is_network(path):
        if which != "last":
            raise ValueError(f"which is {which!r}; accepted: 'last' for {path}, a saved network")
        try:
            return Network(*networks.read(path))
        except ValueError as error:
            raise TraceError(f"{path}: damaged network ({error})") from None
    with Trace(path) as trace:
        return Configuration.from_json(trace.config, path).network(trace.weights(which))
