"""The neurons of a run's layers: as the command line names them, and as a trace keeps them.

An entry is `LIF`, the fast linear neuron, whose numbers are those of the preset, or a Model.
"""

import json
from pathlib import Path

from lifnum.neurons.model import Model
from lifnum.neurons.models import BUILT_IN
from lifnum.neurons.parser import EquationError

LIF = "lif"

TIME_UNIT = 1e-3  # of the built-in models, in seconds

MAX_BYTES = 1 << 20  # of a file

ACCEPTED = f"{', '.join(BUILT_IN)}, izhikevich:CELL, or a file with a model as JSON"


def neuron_of(text):
    """The entry of a name, of a name with a cell, or of a file; an entry stays as it is.

    Parameters
    ----------
    text : str
        ``lif``, a built-in model, ``izhikevich:CELL``, or the path of a file that holds
        ``Model.to_json()``.

    Raises
    ------
    ValueError
        Neither of them, or a file that holds no model; the message is one line.
    """
    return text if isinstance(text, Model) or text == LIF else model_of(text)


def model_of(text):
    """The Model of a name or of a file, as `neuron_of`; ``lif`` is that by equations."""
    name, _, cell = text.partition(":")
    if name in BUILT_IN and not (cell and name != "izhikevich"):
        return BUILT_IN[name](*filter(None, [cell]), time_unit=TIME_UNIT)
    if not Path(text).is_file():
        raise ValueError(f"neuron is {text!r}; accepted: {ACCEPTED}")
    try:
        return Model.from_json(_read(text))
    except EquationError as error:
        raise ValueError(f"{text}: {_in_one_line(error)}") from None
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from None


def _read(path):
    with open(path, "rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"holds more than {MAX_BYTES} bytes, more than a model would")
    return content.decode()


def _in_one_line(error):
    """What a caret points to, in words."""
    message, *shown = str(error).splitlines()
    if not shown:
        return message
    expression, caret = shown[0][2:], len(shown[1]) - 3
    return f"{message} (in {expression!r}, at {expression[caret : caret + 20]!r})"


def says_no_time_unit(text):
    """Whether a file with a model leaves open what a unit of time is."""
    return Path(text).is_file() and "time_unit" not in json.loads(_read(text))


def with_parameters(neurons, texts):
    """The entries with parameters of texts NAME=VALUE, or LAYER:NAME=VALUE for one layer alone.

    Raises
    ------
    ValueError
        Another text, no such layer, or no layer whose model has such a parameter.
    """
    changed = list(neurons)
    for text in texts:
        place, name, value = _parsed(text)
        if place is not None and not 0 <= place < len(neurons):
            raise ValueError(f"parameter is {text!r}; accepted: layers 0 to {len(neurons) - 1}")
        layers = range(len(neurons)) if place is None else [place]
        models = [k for k in layers if isinstance(neurons[k], Model)]
        having = [k for k in models if name in neurons[k].parameters]
        if not having:
            known = dict.fromkeys(one for k in models for one in neurons[k].parameters)
            why = f"the parameters {', '.join(known)}" if known else "none without --neuron MODEL"
            raise ValueError(f"parameter is {text!r}; accepted: {why}")
        for k in having:
            changed[k] = changed[k].with_parameters(**{name: value})
    return tuple(changed)


def _parsed(text):
    """(layer or None, name, value) of [LAYER:]NAME=VALUE."""
    left, _, right = text.partition("=")
    place, _, name = left.rpartition(":")
    try:
        return int(place) if place else None, name.strip(), float(right)
    except ValueError:
        raise ValueError(
            f"parameter is {text!r}; accepted: NAME=VALUE with a number, or LAYER:NAME=VALUE"
        ) from None


def as_data(neuron):
    """An entry as JSON can hold it."""
    return neuron if neuron == LIF else neuron.as_data()


def of_data(entry):
    """The entry that `as_data` gave; ValueError where it is none."""
    if isinstance(entry, Model) or entry == LIF:
        return entry
    return Model.from_data(entry)


def structure(neuron):
    """An entry without its parameters, and without its cap, which is the layer's."""
    if neuron == LIF:
        return neuron
    return {key: value for key, value in neuron.as_data().items()
            if key not in ("parameters", "max_spikes")}  # fmt: skip


def parameters(neurons):
    """The parameters of all models, by their names in `with_parameters`."""
    return {
        f"{k}:{name}": value
        for k, neuron in enumerate(neurons)
        if neuron != LIF
        for name, value in neuron.as_data()["parameters"].items()
    }


def changes(neurons):
    """Those `parameters` that differ from the ones of the built-in models of the same names."""
    plain = [neuron_of(name_of(one)) if name_of(one) in BUILT_IN else one for one in neurons]
    usual = parameters(plain)
    return {key: value for key, value in parameters(neurons).items() if usual.get(key) != value}


def name_of(neuron):
    """Name of an entry."""
    return neuron if neuron == LIF else neuron.name


def names(neurons):
    """The entries' names in one: a single one where all are the same."""
    found = [name_of(neuron) for neuron in neurons]
    return found[0] if len(set(found)) == 1 else "-".join(found)
