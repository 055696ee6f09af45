"""Errors of more than one room, and the checks of numbers that raise them."""

import math
import numbers


class CheckpointError(ValueError):
    """No usable checkpoint; the message is one line that names the file."""


class DataError(ValueError):
    """A data set that is missing or damaged; the message is one line."""


class DeviceError(ValueError):
    """No GPU can be used; the message says whether GPU, driver or package is what is wrong."""


class SimulationError(ArithmeticError):
    """A state or gradient overflowed; the message names layer and sample."""


class TraceError(ValueError):
    """A trace that can not be read or written; the message is one line that names the file."""


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _positive(name, value):
    if not _is_real(value) or not 0 < _as_float(value) < math.inf:
        raise ValueError(f"{name} is {value!r}; accepted: a finite number > 0")


def _as_float(value):
    """The number as float64 holds it: inf or 0 for ones beyond its range, of a longer type."""
    try:
        return float(value)
    except OverflowError:  # an integer
        return math.inf if value > 0 else -math.inf


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


MAX_CAP = 2**62  # the kernels count in int64, and to one more


def _spike_cap(name, value):
    """The cap on spikes as an int, or a ValueError."""
    if not _is_integer(value) or not 1 <= value <= MAX_CAP:
        raise ValueError(f"{name} is {value!r}; accepted: an integer >= 1, at most 2^62")
    return int(value)


class TransferError(ValueError):
    """A transfer file that can not be read or written; the message is one line that names it."""
