"""Checkpoints: the state of a run between two steps, in files of their own beside the trace.

A checkpoint is an HDF5 image built in memory, followed by its SHA-256. It is written to a
temporary name, synced and renamed, so that a kill or a full disk leaves the ones before intact;
the newest two are kept.
"""

import hashlib
import io
import json
import os
from pathlib import Path

import h5py
import numpy as np

KEPT = 2

_DIGEST = 32  # bytes of SHA-256


class CheckpointError(ValueError):
    """No usable checkpoint; the message is one line that names the file."""


def _paths(trace):
    """(number, path) of the checkpoints of a trace, newest first."""
    trace = Path(trace)
    found = []
    for path in trace.parent.glob(f"{trace.name}.checkpoint-*"):
        number = path.name.rsplit("-", 1)[1]
        if number.isdigit():
            found.append((int(number), path))
    return sorted(found, reverse=True)


def save(trace, arrays, numbers):
    """Write a checkpoint beside a trace and remove all but the newest `KEPT`.

    Parameters
    ----------
    trace : path
    arrays : dict of ndarray
    numbers : dict
        What JSON can hold.

    Raises
    ------
    OSError
        The file system refuses; the checkpoints before stay as they are.
    """
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        file.attrs["numbers"] = json.dumps(numbers)
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        file.flush()
        image = file.id.get_file_image()
    older = _paths(trace)
    number = older[0][0] + 1 if older else 1
    path = Path(f"{trace}.checkpoint-{number:06d}")
    temporary = Path(f"{trace}.checkpoint.new")
    try:
        with open(temporary, "wb") as stream:
            stream.write(image)
            stream.write(hashlib.sha256(image).digest())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    for _, old in older[KEPT - 1 :]:
        old.unlink(missing_ok=True)


def load(path):
    """(arrays, numbers) of one checkpoint file.

    Raises
    ------
    CheckpointError
        Not a checkpoint, or damaged: its SHA-256 does not match.
    """
    content = Path(path).read_bytes()
    image = content[:-_DIGEST]
    if hashlib.sha256(image).digest() != content[-_DIGEST:]:
        raise CheckpointError(f"{path}: damaged, or no checkpoint")
    try:
        with h5py.File(io.BytesIO(image), "r") as file:
            numbers = json.loads(file.attrs["numbers"])
            arrays = {}
            for name, item in file.items():
                sound = isinstance(item, h5py.Dataset) and item.dtype.kind in "fib"
                if not sound or item.nbytes > len(image):
                    raise CheckpointError(f"{path}: {name} is no array of numbers of its size")
                arrays[name] = item[()]
    except CheckpointError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from None
    if not isinstance(numbers, dict):
        raise CheckpointError(f"{path}: damaged")
    return {name: np.asarray(array) for name, array in arrays.items()}, numbers


def load_latest(trace):
    """(arrays, numbers) of the newest intact checkpoint of a trace.

    Raises
    ------
    CheckpointError
        There is none.
    """
    for _, path in _paths(trace):
        try:
            return load(path)
        except (CheckpointError, OSError):
            continue
    raise CheckpointError(f"{trace}: has no usable checkpoint beside it")


def remove(trace):
    """Remove the checkpoints of a finished run."""
    for _, path in _paths(trace):
        path.unlink(missing_ok=True)
