"""Presets: each carries every hyper-parameter of a network and its training."""

import numbers
from dataclasses import dataclass, fields, replace

import numpy as np

from lifnum.losses import LOSSES

_PER_LAYER = ("theta", "delta_theta", "tau_s", "tau", "max_spikes", "weights")


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


@dataclass(frozen=True)
class Preset:
    """Hyper-parameters of a run; times in seconds.

    Per layer, as tuples of one entry for each layer: theta, delta_theta (None: theta), tau_s,
    tau, max_spikes, weights (distribution "uniform" with low and high, or "normal" with mean and
    standard deviation). BATS values: Bacho & Chu 2023.
    """

    name: str
    dataset: str
    hidden: tuple
    theta: tuple
    max_spikes: tuple
    weights: tuple
    duration: float
    batch_size: int
    learning_rate: float
    epochs: int
    tau_s: tuple = (0.130,)
    tau: tuple = (0.260,)
    delta_theta: tuple = (None,)
    window: float = 0.1
    lr_decay: float = 1.0
    lr_decay_every: int = 1
    lr_floor: float = 0.0
    optimizer: str = "adam"
    loss: str = "spike-count"
    target_true: float = 15.0
    target_false: float = 3.0
    tau_loss: float = 0.005
    validation_share: float = 0.05

    def __post_init__(self):
        n_layers = len(self.hidden) + 1
        for name in _PER_LAYER:
            value = getattr(self, name)
            if len(value) == 1:
                object.__setattr__(self, name, tuple(value) * n_layers)
            elif len(value) != n_layers:
                raise ValueError(
                    f"{name} has {len(value)} values; accepted: 1 or {n_layers}, one a layer"
                )
        for name in ("hidden", "max_spikes", "batch_size", "lr_decay_every"):
            values = getattr(self, name)
            for value in values if isinstance(values, tuple) else (values,):
                if not _is_integer(value) or value < 1:
                    raise ValueError(f"{name} is {value!r}; accepted: integers >= 1")
        if not _is_integer(self.epochs) or self.epochs < 0:
            raise ValueError(f"epochs is {self.epochs!r}; accepted: an integer >= 0")
        for name in ("duration", "learning_rate", "tau_loss", "lr_decay", "window"):
            value = getattr(self, name)
            if not _is_real(value) or not 0.0 < value < np.inf:
                raise ValueError(f"{name} is {value!r}; accepted: a finite number > 0")
        if not _is_real(self.lr_floor) or not 0.0 <= self.lr_floor < np.inf:
            raise ValueError(f"lr_floor is {self.lr_floor!r}; accepted: a finite number >= 0")
        if not _is_real(self.validation_share) or not 0.0 <= self.validation_share < 1.0:
            raise ValueError(
                f"validation_share is {self.validation_share!r}; accepted: at least 0, below 1"
            )
        for name in ("target_true", "target_false"):
            value = getattr(self, name)
            if not _is_real(value) or not -np.inf < value < np.inf:
                raise ValueError(f"{name} is {value!r}; accepted: a finite number")
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}; accepted: {', '.join(LOSSES)}")
        if self.optimizer not in ("adam", "sgd"):
            raise ValueError(f"optimizer is {self.optimizer!r}; accepted: adam, sgd")


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
        tau_loss=0.005,
    ),
    "mnist-threshold": replace(_MNIST, name="mnist-threshold", dataset="mnist-threshold"),
    "fashion-mnist": replace(
        _MNIST,
        name="fashion-mnist",
        dataset="fashion-mnist",
        hidden=(400, 400),
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
    # the last two are tuned here
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
        tau_loss=0.003,
        validation_share=0.1,
    ),
}


def default_preset(dataset):
    """Name of the data set's own preset; digits for a file of spike trains."""
    return dataset if dataset in PRESETS else "digits"


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
    for key in _PER_LAYER:
        value = changes.get(key, getattr(preset, key))
        if key not in changes and len(value) != n_layers:
            # another depth: inner layers as the first, the output layer as the last
            changes[key] = (value[0],) * (n_layers - 1) + (value[-1],)
    return replace(preset, **changes)


def from_config(config):
    """The preset that dataclasses.asdict turned into `config` (lists count as tuples)."""

    def frozen(value):
        return tuple(frozen(item) for item in value) if isinstance(value, (list, tuple)) else value

    names = {field.name for field in fields(Preset)}
    if not isinstance(config, dict) or not config.keys() <= names:
        raise ValueError("the configuration of the preset has unknown entries")
    return Preset(**{key: frozen(value) for key, value in config.items()})


def initial_weights(preset, n_inputs, n_classes, seed, dtype):
    """Initial weights of every layer, a list of arrays (n_pre, n_post): a function of the seed."""
    generator = np.random.default_rng([seed, 0])
    sizes = (n_inputs, *preset.hidden, n_classes)
    weights = []
    for k, (distribution, first, second) in enumerate(preset.weights):
        draw = {"uniform": generator.uniform, "normal": generator.normal}.get(distribution)
        if draw is None:
            raise ValueError(f"weights are {distribution!r}; accepted: uniform, normal")
        weights.append(draw(first, second, (sizes[k], sizes[k + 1])).astype(dtype))
    return weights
