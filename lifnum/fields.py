"""Fields of dataclasses that are options of a command line too: help, unit and type beside them."""

import argparse
import math
from dataclasses import MISSING, field, fields

from lifnum.errors import _is_real, _positive


def option(text, metavar=None, type=str, default=MISSING, **more):
    """A field that `add` makes an option of.

    Parameters
    ----------
    text, metavar, type
        help, metavar and type of the option; text may be "", a flag that its name explains.
    default : optional
        Of the field. (Options default to None: not given.)
    more : dict
        `shown`: what the help says of the default; `flags`: further names; `initial`: the value
        where neither a preset nor the user says one, if it is not the default; `check`: what
        raises ValueError for (name, value); `switch`: True where the flag itself means True;
        other arguments of add_argument.
    """
    return field(default=default, metadata={"help": text, "metavar": metavar, "type": type, **more})


def options_of(cls):
    """Fields of a class that are options, by name."""
    return {one.name: one for one in fields(cls) if "help" in one.metadata}


def initial(one):
    """Value of an option of a loss where nobody says one."""
    return one.metadata.get("initial", one.default)


def finite(name, value):
    """Refuse what is no finite number."""
    if not _is_real(value) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; accepted: a finite number")


finite_positive = _positive

_ARGUMENTS = ("help", "metavar", "type", "nargs", "choices", "default")


def add(group, one, name=None, **changes):
    """Add the option of a field; `changes` are arguments of add_argument, or `shown`."""
    found = {**one.metadata, **changes}
    if found.get("shown") is not None:
        found["help"] += f" (default: {found['shown']})"
    flags = [f"--{(name or one.name).replace('_', '-')}", *found.get("flags", ())]
    if found.get("switch"):
        group.add_argument(*flags, action="store_true", default=found.get("default"),
                           help=found["help"])  # fmt: skip
        return
    group.add_argument(*flags, **{key: found[key] for key in _ARGUMENTS if key in found})


def positive(kind):
    """An argparse type: a number > 0."""

    def parse(text):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not > 0")
        return _storable(value)

    parse.__name__ = f"positive {kind.__name__}"
    return parse


def number_or_none(text):
    """An argparse type: an integer > 0, or none."""
    return None if text == "none" else positive(int)(text)


def whole(text):
    """An argparse type: an integer >= 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not >= 0")
    return _storable(value)


def _storable(value):
    """The number, if a trace can hold it."""
    if isinstance(value, int) and value >= 2**63:
        raise argparse.ArgumentTypeError(f"{value} is not below 2^63, {2**63}")
    return value


whole.__name__ = "integer"

number_or_none.__name__ = "positive integer"
