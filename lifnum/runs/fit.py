"""Training from Python: the run of `lifnum.train`, of a network that is there."""

import math
import os
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from lifnum import losses
from lifnum.data import datasets
from lifnum.data.dataset import Dataset
from lifnum.errors import TraceError
from lifnum.fields import options_of
from lifnum.files.lock import Lock
from lifnum.files.reader import Trace
from lifnum.neurons.lif import Neuron
from lifnum.runs.configuration import GIVEN_TO_FIT, Configuration, default_output, is_file
from lifnum.runs.neurons import LIF
from lifnum.runs.presets import GIVEN, Preset
from lifnum.runs.run import Run, saved
from lifnum.runs.signals import Interrupted
from lifnum.runs.trainer import Trainer
from lifnum.spikes import SpikeTrains

_FREE = ("epochs", "name", "preset")  # what may differ where a run is resumed


class Fit(NamedTuple):
    """What `fit` returns."""

    output: Path  # the trace
    history: dict  # columns of its epochs by name, ndarray (epochs,) or (epochs, layers)
    best_weights: list  # of ndarray (n_pre, n_post), chosen on the validation part


def fit(
    net,
    data,
    *,
    epochs=10,
    batch_size=20,
    loss="spike-count",
    optimizer="adam",
    learning_rate=5e-3,
    schedule=None,
    validation_share=0.1,
    seed=0,
    name="network",
    output=None,
    resume=False,
    overwrite=False,
    callbacks=(),
    quiet=False,
    **options,
):
    """Train a network, with the trace, the checkpoints and the bits of `python -m lifnum.train`.

    Parameters
    ----------
    net : Network
        Its weights are updated in place.
    data : str, path, Dataset, or tuple
        Name or file of a data set, see `lifnum.data.datasets.load`; or (train, train_labels, test,
        test_labels): SpikeTrains, and integers (n,) from 0 to the number of outputs - 1. Of a
        Dataset or tuple the trace keeps the digest alone: `lifnum.evaluate` then is to be given the
        data, as a file of spike trains or by the name of a data set.
    epochs, batch_size : int
    loss : str or callable
        A name of `lifnum.losses.LOSSES`; or loss(out, labels) -> values (batch,), dL/dt (n_spikes,)
        of the output's spikes, real numbers, see `lifnum.losses`. Its ``predict(out)`` -> classes
        (batch,), integers from -1, none, to the number of outputs - 1, is that of `SpikeCount`
        where it has none.
    optimizer : str
        A name of `lifnum.optimizers.OPTIMIZERS`.
    learning_rate : float
    schedule : callable, optional
        Learning rate in an epoch, counted from 0; default: learning_rate, with the options
        lr_decay, lr_decay_every and lr_floor.
    validation_share : float
        Part of the training samples that chooses the best weights.
    seed : int
        Of the order of batches and of the validation part.
    name : str
        For the trace.
    output : path, optional
        The trace; default: a new one in ``runs``.
    resume : bool
        Go on from the checkpoint of `output` to the bits that an uninterrupted run would have;
        a finished run with more epochs goes on too.
    overwrite : bool
        Replace an earlier trace.
    callbacks : sequence of callable
        callback(run, row) after every epoch, see `lifnum.callbacks`; True ends the training.
    quiet : bool
        No progress bar, no line an epoch.
    **options
        Any other training option of `python -m lifnum.train`: momentum, weight_decay, rate_penalty,
        tau_loss, and so on.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        An argument out of its range, data that do not fit the network, a loss that returns
        something else, or options of a loss beside one that does not take them.
    TraceError, CheckpointError
        The output exists, or does not belong to this run.
    SimulationError
        A state, the loss or a gradient is not finite.
    KeyboardInterrupt
        After a checkpoint: resume goes on.
    """
    data = _dataset(data, net, seed)
    if isinstance(loss, str) and loss not in losses.LOSSES:
        raise ValueError(f"loss is {loss!r}; accepted: {', '.join(losses.LOSSES)}, or a function")
    _require_options_of(loss, options)
    loss = _by_name(loss, net, options)
    named = loss if isinstance(loss, str) else losses.OWN
    preset = _preset(
        net, data, options, name=name, epochs=epochs, batch_size=batch_size, loss=named,
        optimizer=optimizer, learning_rate=learning_rate, validation_share=validation_share,
    )  # fmt: skip
    config = Configuration(preset, net.scheme, seed=seed, dtype=str(net.dtype), device=net.device)
    loss = None if named == loss else losses.of_callable(loss, config.scheme.gradient)
    if resume and output is None:
        raise ValueError("output is None; accepted: the trace of the run to resume")
    output = Path(output or default_output(config))
    with Lock(output) as lock:
        before = saved(output, epochs) if resume else None
        if before is not None:
            _require_same(config, Configuration.from_json(before.header["config"], output), output)
        elif output.exists() and not overwrite:
            raise TraceError(f"{output}: exists; accepted: another output, overwrite or resume")
        trainer = Trainer(config, data, net, loss, schedule)
        run = Run(config, output, overwrite=overwrite, resume=before, lock=lock, trainer=trainer)
        try:
            run.train(quiet, callbacks=callbacks)
        except Interrupted:
            raise KeyboardInterrupt(f"resume=True and output={str(output)!r} go on") from None
    with Trace(output) as trace:
        return Fit(output, dict(trace.epochs), trainer.best_weights)


def _require_options_of(loss, options):
    """Refuse options of a loss that the loss does not have: they would do nothing."""
    own = options_of(losses.LOSSES[loss]) if isinstance(loss, str) else {}
    for key in options:
        if key in losses.loss_options() and key not in own:
            where = f"loss {loss!r}" if isinstance(loss, str) else "a loss that is no name"
            accepted = f"beside {where}: {', '.join(own) or 'none'}"
            raise ValueError(f"{key} is {options[key]!r}; accepted {accepted}")


def _by_name(loss, net, options):
    """The name of a loss of ours, its options among the others; anything else as it is."""
    for name, kind in losses.LOSSES.items():
        more = {one.name for one in fields(kind)} - options_of(kind).keys()
        same = all(getattr(loss, key, None) == getattr(net, key, None) for key in more)
        if type(loss) is kind and same:
            options.update((key, getattr(loss, key)) for key in options_of(kind))
            return name
    if isinstance(loss, type):
        raise ValueError(f"loss is the class {loss.__name__}; accepted: one of its objects")
    return loss


def _dataset(data, net, seed):
    """The data as a Dataset that fits the network, named as a trace has it, or a ValueError."""
    n_inputs, n_outputs = net.layers[0].shape[0], net.layers[-1].shape[1]
    if isinstance(data, (str, os.PathLike)):
        name = os.fspath(data)
        name = os.path.abspath(name) if is_file(name) else name
        data = datasets.load(name, seed=seed)._replace(name=name)
    elif isinstance(data, Dataset):
        data = data._replace(name=f"{data.name}, {GIVEN_TO_FIT}")
    else:
        data = Dataset(f"data {GIVEN_TO_FIT}", *_parts(data), n_outputs)
    for what, here, there in (
        ("input neurons", data.train.n_neurons, n_inputs),
        ("classes", data.n_classes, n_outputs),
    ):
        if here != there:
            raise ValueError(f"data have {here} {what}; accepted: {there}, as the network")
    train = losses.accepted_labels(data.train_labels, len(data.train), n_outputs)
    test = losses.accepted_labels(data.test_labels, len(data.test), n_outputs)
    return data._replace(train_labels=train, test_labels=test)


def _parts(data):
    """(train, train_labels, test, test_labels), or a ValueError."""
    kinds = [type(one).__name__ for one in data] if isinstance(data, tuple) else []
    trains = len(kinds) == 4 and all(isinstance(one, SpikeTrains) for one in data[::2])
    if not trains:
        held = f"a tuple of {', '.join(kinds)}" if kinds else f"a {type(data).__name__}"
        raise ValueError(
            f"data are {held}; accepted: a name, a Dataset, or (SpikeTrains, labels, "
            "SpikeTrains, labels) for training and test"
        )
    return data


def _preset(net, data, options, **given):
    """The hyper-parameters of the network and of these options."""
    known = options_of(Preset) | losses.loss_options()
    of_training = {key for key, one in known.items() if one.metadata.get("group") == "training"}
    accepted = (of_training | losses.loss_options().keys()) - given.keys()
    for key in options:
        if key not in accepted:
            raise ValueError(f"option {key!r} is unknown; accepted: {', '.join(sorted(accepted))}")
    for key, name in (("momentum", "sgd"), ("weight_decay", "adamw")):
        if key in options and given["optimizer"] != name:
            accepted = f"none but for optimizer {name!r}"
            raise ValueError(f"{key} is {options[key]!r}; accepted: {accepted}")
    of_loss = {key: options.pop(key) for key in losses.loss_options() if key in options}
    neurons = [layer.neuron for layer in net.layers]
    plain = [one if isinstance(one, Neuron) else Neuron(theta=1.0) for one in neurons]
    return Preset(
        dataset=data.name,
        hidden=tuple(layer.shape[1] for layer in net.layers[:-1]),
        neuron=tuple(LIF if isinstance(one, Neuron) else one for one in neurons),
        max_spikes=tuple(one.max_spikes for one in neurons),
        weights=((GIVEN, -math.inf, math.inf),),
        duration=net.duration,
        loss_options=of_loss,
        **{key: tuple(getattr(one, key) for one in plain)
           for key in ("theta", "delta_theta", "tau_s", "tau")},
        **given, **options,
    )  # fmt: skip


def _require_same(config, before, output):
    """Refuse to resume with other arguments than the run was begun with, but for more epochs."""
    one, other = config.by_option(), before.by_option()
    differing = [key for key in one if one[key] != other.get(key) and key not in _FREE]
    if differing:
        key = differing[0]
        raise ValueError(
            f"{output}: was begun with {key} {other.get(key)!r}, not {one[key]!r}; accepted beside "
            "resume: the same arguments, and more epochs"
        )
    if config.preset.epochs < before.preset.epochs:
        raise ValueError(
            f"epochs is {config.preset.epochs}; accepted: at least {before.preset.epochs}, as the "
            f"run of {output} was begun with"
        )
