"""Presets: each carries every hyper-parameter of a network and its training."""

import math
from dataclasses import dataclass, field, fields, replace
from functools import partial

import numpy as np

from lifnum import losses
from lifnum.data.encoding import encoder, spellings
from lifnum.errors import _is_integer, _is_real, _positive, _spike_cap
from lifnum.fields import option, options_of, positive, whole
from lifnum.neurons.model import Model
from lifnum.neurons.models import BUILT_IN
from lifnum.optimizers import OPTIMIZERS
from lifnum.runs import neurons
from lifnum.runs.model_presets import ENTRIES, SCHEMES
from lifnum.runs.neurons import LIF
from lifnum.scheme import Scheme

GIVEN = "given"  # a distribution of weights: those of a network that there is

network = partial(option, group="network")
training = partial(option, group="training")
data = partial(option, group="data")


def _per_layer(text, *rest):
    return network(f"{text}; one value, or one a layer", *rest, nargs="+", per_layer=True)


def per_layer(name, values, n_layers):
    """A value for each layer, of one for all or of as many as there are layers."""
    if len(values) not in (1, n_layers):
        raise ValueError(f"{name} has {len(values)} values; accepted: 1 or {n_layers}, one a layer")
    return tuple(values) * (n_layers if len(values) == 1 else 1)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Hyper-parameters of a run; times in seconds.

    Per layer, as tuples of one entry for each layer: neuron ("lif", or a Model, whose max_spikes
    give way to those here), theta, delta_theta (None: theta), tau_s, tau, max_spikes, weights
    (distribution "uniform" with low and high, or "normal" with mean and standard deviation).
    loss_options holds the options of all losses, by name. BATS values: Bacho & Chu 2023.
    """

    name: str
    dataset: str
    hidden: tuple = network(
        "neurons of each hidden layer; none for a single layer", "N", positive(int), nargs="*"
    )
    neuron: tuple = _per_layer(
        f"neurons, hidden and output alike: {LIF}, the linear neuron; a model by equations, "
        f"{', '.join(name for name in BUILT_IN if name != LIF)}; or a JSON file with a Model",
        "MODEL",
        str,
        (LIF,),
    )
    theta: tuple = _per_layer("threshold of lif", "U", float, (1.0,))
    delta_theta: tuple = _per_layer("height of the reset (default: theta)", "U", float, (None,))
    tau_s: tuple = _per_layer("synaptic time constant of lif", "S", float, (0.130,))
    tau: tuple = _per_layer("membrane time constant of lif", "S", float, (0.260,))
    max_spikes: tuple = _per_layer("cap on the spikes of a neuron in a sample", "N", positive(int))
    weights: tuple = _per_layer("initial: uniform:LOW:HIGH or normal:MEAN:STD", "DIST:A:B", str)
    duration: float = network("simulated time of a sample", "S", float)
    window: float = network("latest input spike, exclusive", "S", float, 0.1)
    encoding: str | None = data(
        f"what makes spikes of values: {', '.join(spellings())} (default: the data set's own)",
        "NAME",
        default=None,
    )
    label_column: str | None = data(
        "column of the labels of a CSV file (default: label, else the last)", "NAME", default=None
    )
    epochs: int = training(None, "N", whole)
    batch_size: int = training("samples", "N", positive(int))
    optimizer: str = training(", ".join(OPTIMIZERS), "NAME", default="adam")
    momentum: float = training("of sgd, below 1", "X", float, 0.0)
    weight_decay: float = training("of adamw, in a step times the learning rate", "X", float, 0.01)
    learning_rate: float = training(None, "X", float, flags=("--lr",))
    lr_decay: float = training(
        "factor on the learning rate every --lr-decay-every epochs", "X", float, 1.0
    )
    lr_decay_every: int = training("epochs", "N", positive(int), 1)
    lr_floor: float = training("least learning rate", "X", float, 0.0)
    loss: str = training(
        f"{', '.join(losses.LOSSES)} (ttfs: time to first spike)", "NAME", default="spike-count"
    )
    loss_options: dict = field(default_factory=dict)
    rate_penalty: float = training(
        "factor on half the squares of how far the mean spike counts of hidden neurons are from "
        "--rate-target; 0: none", "X", float, 0.0,
    )  # fmt: skip
    rate_target: float = training("spikes of a hidden neuron in a sample", "N", float, 0.0)
    revive: float = training(
        "added to the weights into a neuron that was silent in all samples of a batch; 0: none",
        "W", float, 0.0,
    )  # fmt: skip
    validation_share: float = training(
        "part of the training samples that chooses the best weights", "X", float, 0.05
    )

    def __post_init__(self):
        n_layers = len(self.hidden) + 1
        for name in PER_LAYER:
            object.__setattr__(self, name, per_layer(name, getattr(self, name), n_layers))
        for cap in self.max_spikes:
            _spike_cap("max_spikes", cap)
        for name in ("hidden", "batch_size", "lr_decay_every"):
            values = getattr(self, name)
            for value in values if isinstance(values, tuple) else (values,):
                if not _is_integer(value) or value < 1:
                    raise ValueError(f"{name} is {value!r}; accepted: integers >= 1")
        if not _is_integer(self.epochs) or self.epochs < 0:
            raise ValueError(f"epochs is {self.epochs!r}; accepted: an integer >= 0")
        self._check_neurons()
        for name in ("duration", "learning_rate", "lr_decay", "window"):
            _positive(name, getattr(self, name))
        if not _is_real(self.lr_floor) or not 0.0 <= self.lr_floor < math.inf:
            raise ValueError(f"lr_floor is {self.lr_floor!r}; accepted: a finite number >= 0")
        if not _is_real(self.validation_share) or not 0.0 <= self.validation_share < 1.0:
            raise ValueError(
                f"validation_share is {self.validation_share!r}; accepted: at least 0, below 1"
            )
        if self.encoding is not None:
            encoder(self.encoding)
        for name in ("rate_penalty", "rate_target", "revive", "weight_decay", "momentum"):
            value = getattr(self, name)
            if not _is_real(value) or not 0.0 <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; accepted: a finite number >= 0")
        if self.rate_penalty > 0.0 and not self.hidden:
            raise ValueError(
                f"rate_penalty is {self.rate_penalty:g}; accepted: 0 without hidden layers"
            )
        if self.momentum >= 1.0:
            raise ValueError(f"momentum is {self.momentum:g}; accepted: at least 0, below 1")
        if self.loss not in losses.LOSSES and self.loss != losses.OWN:
            raise ValueError(f"loss is {self.loss!r}; accepted: {', '.join(losses.LOSSES)}")
        options = losses.accepted_options(self.loss_options)
        object.__setattr__(self, "loss_options", options)
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}; accepted: {', '.join(OPTIMIZERS)}")

    def _check_neurons(self):
        """Refuse what is no neuron; the cap of a layer's spikes is that of its model too."""
        for neuron in self.neuron:
            if neuron != LIF and not isinstance(neuron, Model):
                raise ValueError(f"neuron is {neuron!r}; accepted: {LIF!r} or a Model")
        capped = (
            neuron if neuron == LIF else replace(neuron, max_spikes=cap)
            for neuron, cap in zip(self.neuron, self.max_spikes)
        )
        object.__setattr__(self, "neuron", tuple(capped))

    @property
    def models(self):
        """The models of its layers, without the layers of lif."""
        return [neuron for neuron in self.neuron if neuron != LIF]

    def to_json(self):
        """The preset as JSON can hold it: options of losses stand beside the others.

        Without neurons where all are lif, as in traces from before there were others.
        """
        entries = {one.name: getattr(self, one.name) for one in fields(self)}
        found = entries.pop("neuron")
        if self.models:
            entries["neuron"] = tuple(neurons.as_data(neuron) for neuron in found)
        return entries | entries.pop("loss_options")

    @classmethod
    def from_json(cls, entries):
        """The preset that `to_json` gave; ValueError where it is none."""

        def frozen(value):
            if isinstance(value, (list, tuple)):
                return tuple(frozen(item) for item in value)
            return value

        if not isinstance(entries, dict):
            raise ValueError("the configuration of the preset is no dictionary")
        entries = {key: frozen(value) for key, value in entries.items()}
        if "neuron" in entries:
            entries["neuron"] = tuple(neurons.of_data(one) for one in entries["neuron"])
        return _with_losses(cls, entries)


PER_LAYER = [name for name, one in options_of(Preset).items() if one.metadata.get("per_layer")]


def _with_losses(make, entries):
    """make(...) of entries some of which are options of losses; ValueError for others."""
    of_losses = {name: entries[name] for name in losses.loss_options() if name in entries}
    own = {name: value for name, value in entries.items() if name not in of_losses}
    if not own.keys() <= {one.name for one in fields(Preset)} - {"loss_options"}:
        raise ValueError("the configuration of the preset has unknown entries")
    return make(**own, loss_options=of_losses)


_MNIST = Preset(
    name="mnist",
    dataset="mnist",
    hidden=(800,),
    theta=(0.2, 1.3),
    max_spikes=(30, 30),
    weights=(("uniform", -1.0, 1.0),),
    duration=0.2,
    batch_size=50,
    learning_rate=3e-3,
    epochs=10,
)

_SPOKEN = Preset(
    name="synthetic-shd",
    dataset="synthetic-shd",
    hidden=(256,),
    theta=(0.4, 1.5),
    tau_s=(0.02, 0.1),
    tau=(0.2,),
    max_spikes=(100, 100),
    weights=(("uniform", -1.0, 1.0), ("uniform", -0.6, 1.0)),
    duration=1.0,
    window=1.0,
    batch_size=20,
    learning_rate=4e-3,
    epochs=10,
)

PRESETS = {
    "mnist": _MNIST,
    "mnist-ttfs": replace(
        _MNIST,
        name="mnist-ttfs",
        theta=(0.7, 2.0),
        max_spikes=(1, 1),
        weights=(("uniform", 0.0, 1.0),),
        duration=1.0,
        learning_rate=2e-3,
        loss="ttfs",
    ),
    "mnist-threshold": replace(_MNIST, name="mnist-threshold", dataset="mnist-threshold"),
    "fashion-mnist": replace(
        _MNIST,
        name="fashion-mnist",
        dataset="fashion-mnist",
        hidden=(400, 400),
        neuron=(LIF,),
        theta=(0.13, 0.45, 0.7),
        max_spikes=(5, 5, 20),
        weights=(("uniform", -1.0, 1.0),),
        tau_s=(0.130,),
        tau=(0.260,),
        delta_theta=(None,),
        batch_size=5,
        learning_rate=5e-4,
        lr_decay=0.5,
        lr_decay_every=10,
        lr_floor=1e-4,
    ),
    # what follows is tuned here
    "digits": replace(
        _MNIST,
        name="digits",
        dataset="digits",
        hidden=(128,),
        theta=(0.05, 0.2),
        weights=(("uniform", -1.0, 1.0), ("uniform", -0.6, 1.0)),
        batch_size=20,
        learning_rate=5e-3,
        epochs=30,
        validation_share=0.1,
    ),
    "yinyang": Preset(
        name="yinyang",
        dataset="yinyang",
        hidden=(120,),
        # the high output threshold puts the weights of both layers on one scale, for one rate
        theta=(1.0, 15.0),
        max_spikes=(1, 1),
        weights=(("normal", 8.0, 6.0), ("normal", 7.5, 7.5)),
        duration=1.0,
        batch_size=32,
        learning_rate=0.05,
        lr_decay=0.96,
        epochs=60,
        loss="ttfs",
        loss_options={"tau_loss": 0.003},
        validation_share=0.1,
    ),
    "synthetic-shd": _SPOKEN,
    # as that, scaled by their rates of events and not tuned: their files were not at hand
    "shd": replace(_SPOKEN, name="shd", dataset="shd", duration=1.4),
    "ssc": replace(_SPOKEN, name="ssc", dataset="ssc", duration=1.4),
    "nmnist": replace(
        _SPOKEN, name="nmnist", dataset="nmnist", hidden=(500,), theta=(0.3, 2.0), duration=0.35
    ),
    # the first 1.5 s of a gesture, as Shrestha & Orchard 2018
    "dvs-gesture": replace(
        _SPOKEN, name="dvs-gesture", dataset="dvs-gesture", theta=(0.8, 1.5), duration=1.5
    ),
}
PRESETS |= {name: Preset(name=name, **entries) for name, entries in ENTRIES.items()}

MODEL_SCHEME = Scheme("rk4", dt=2.5e-4, interpolation="linear")  # of models without a preset


def has_neurons(name, given):
    """Whether a preset by name has neurons of these kinds (entries), their parameters apart."""

    def kinds(entries):
        found = [neurons.structure(one) for one in entries]
        return found[:1] if all(one == found[0] for one in found) else found

    return kinds(PRESETS[name].neuron) == kinds(given)


def default_preset(dataset, given=()):
    """Name of the preset of a data set and neurons (entries): that of both, if there is one.

    Else the data set's own; digits for a file of spike trains.
    """
    name = dataset if dataset in PRESETS else "digits"
    both = f"{name}-{neurons.names(given)}" if given else name
    return both if both in PRESETS and has_neurons(both, given) else name


def default_scheme(name, given):
    """The scheme of a preset by name where its neurons, or others like them, are given."""
    if all(neuron == LIF for neuron in given):
        return Scheme()
    return SCHEMES.get(name, MODEL_SCHEME)


def resolve(name, overrides):
    """The preset of that name with some hyper-parameters replaced.

    Parameters
    ----------
    name : str
    overrides : dict
        Field name to value; None keeps the preset's. Per-layer values are tuples of one entry
        (for all layers) or one for each layer.

    Raises
    ------
    ValueError
        An unknown preset, or a value out of its range.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}; accepted: {', '.join(PRESETS)}")
    preset = PRESETS[name]
    changes = {key: value for key, value in overrides.items() if value is not None}
    n_layers = len(changes.get("hidden", preset.hidden)) + 1
    for key in PER_LAYER:
        value = changes.get(key, getattr(preset, key))
        if key not in changes and len(value) != n_layers:
            # another depth: inner layers as the first, the output layer as the last
            changes[key] = (value[0],) * (n_layers - 1) + (value[-1],)
    return _with_losses(partial(replace, preset), preset.loss_options | changes)


def parse_weights(texts):
    """Entries of `Preset.weights` of texts such as uniform:-1:1."""
    parsed = []
    for text in texts:
        try:
            distribution, *values = text.split(":")
            first, second = map(float, values)
            if not math.isfinite(first) or not math.isfinite(second):
                raise ValueError
            if second < {"uniform": first, "normal": 0.0}[distribution]:
                raise ValueError
        except (ValueError, KeyError):
            raise ValueError(
                f"weights is {text!r}; accepted: uniform:LOW:HIGH with LOW <= HIGH, or "
                "normal:MEAN:STD with STD >= 0, finite numbers"
            ) from None
        parsed.append((distribution, first, second))
    return tuple(parsed)


def initial_weights(preset, n_inputs, n_classes, seed, dtype):
    """Initial weights of every layer, a list of arrays (n_pre, n_post): a function of the seed."""
    generator = np.random.default_rng([seed, 0])
    sizes = (n_inputs, *preset.hidden, n_classes)
    weights = []
    for k, (distribution, first, second) in enumerate(preset.weights):
        if distribution == GIVEN:
            raise ValueError(
                f"initial weights of layer {k} were given to lifnum.fit; accepted: lifnum.fit with "
                "resume, for a run that it began"
            )
        draw = {"uniform": generator.uniform, "normal": generator.normal}.get(distribution)
        if draw is None:
            raise ValueError(f"weights are {distribution!r}; accepted: uniform, normal")
        weights.append(draw(first, second, (sizes[k], sizes[k + 1])).astype(dtype))
    return weights
