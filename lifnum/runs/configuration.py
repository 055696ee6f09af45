"""Everything that decides the result of a run, and the network that it describes."""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from lifnum import losses
from lifnum.data.datasets import DATASETS
from lifnum.data.datasets import load as load_data
from lifnum.errors import TraceError, _is_integer
from lifnum.fields import option, options_of, positive, whole
from lifnum.files.hdf5 import one_line
from lifnum.files.reader import Trace
from lifnum.network import DEVICES, Network
from lifnum.neurons.lif import Neuron
from lifnum.runs import presets
from lifnum.runs.presets import Preset
from lifnum.scheme import SURROGATE_OPTIONS, Scheme, needs_grid

DTYPES = ("float32", "float64")

DEFAULT_DT = 1e-3  # seconds, where a grid is needed and none given


def scheme_of(args):
    """The Scheme of parsed options; `DEFAULT_DT` where a grid is needed and none given.

    Raises
    ------
    ValueError
        A value that `Scheme` refuses, or a grid where it could only add rounding errors.
    """
    dt = args.dt
    if dt is None and needs_grid(args.method, args.interpolation):
        dt = DEFAULT_DT
    surrogate = {name: getattr(args, name) for name in SURROGATE_OPTIONS}
    scheme = Scheme(args.method, args.order, dt, args.interpolation, args.gradient, **surrogate)
    if dt is not None and scheme.gradients_coincide:
        raise ValueError(
            f"dt is {dt!r}; accepted: none where method is 'exact' and interpolation is 'dense', "
            "which need no grid"
        )
    return scheme


def is_file(dataset):
    """Whether a data set is a user's file of spike trains."""
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
        given["dataset"] = args.dataset
        if is_file(args.dataset):
            given["dataset"] = os.path.abspath(args.dataset)
            given["name"] = Path(args.dataset).stem if args.preset is None else None
        preset = presets.resolve(args.preset or presets.default_preset(args.dataset), given)
        return cls(
            preset,
            scheme_of(args),
            **{name: getattr(args, name) for name in options_of(cls)},
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
            parts |= {"scheme": Scheme(**entries["scheme"]), "seed": entries["seed"]}
            return cls(**entries | parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TraceError(
                f"{name}: the configuration is not one of lifnum.train ({one_line(error)})"
            ) from None

    def to_json(self):
        """The configuration as JSON can hold it."""
        rest = {one.name: getattr(self, one.name) for one in fields(self)}
        return rest | {"preset": self.preset.to_json(), "scheme": asdict(self.scheme)}

    def by_option(self):
        """The entries of `to_json` by the names of their options; preset is its name."""
        entries = self.to_json()
        preset = entries.pop("preset")
        return preset | entries.pop("scheme") | entries | {"preset": preset["name"]}

    def data(self, data_dir=None, name=None, **limits):
        """The data set, or another; limits are those of `datasets.load`, else the run's."""
        limits = {"limit_train": self.limit_train, "limit_test": self.limit_test} | limits
        preset = self.preset
        return load_data(name or preset.dataset, data_dir, preset.window, self.seed, **limits)

    def network(self, weights, device="cpu"):
        """The network with these weights."""
        return build_network(self.preset, self.scheme, weights, device)


def build_network(preset, scheme, weights, device="cpu"):
    """The preset's network with these weights, integrated by this scheme on this device."""
    if len(weights) != len(preset.theta):
        raise ValueError(f"weights are of {len(weights)} layers; accepted: {len(preset.theta)}")
    per_layer = (preset.tau_s, preset.tau, preset.theta, preset.delta_theta, preset.max_spikes)
    layers = [(w, Neuron(*values)) for w, *values in zip(weights, *per_layer)]
    return Network(layers, scheme, preset.duration, device)


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
        return Configuration.from_json(trace.config, path).network(trace.weights(which))
