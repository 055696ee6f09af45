"""Checkpoints: the state of a run between two steps, in files of their own beside the trace.

A checkpoint is a line of JSON (what it holds), the bytes of its arrays one after the other, and
the SHA-256 of both. It is written to a temporary name, synced and renamed, so that a kill or a
full disk leaves the ones before intact; the newest two are kept.
"""

import glob
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np

from lifnum.errors import CheckpointError
from lifnum.files.hdf5 import plain

KEPT = 2

_KIND = "lifnum checkpoint 2"

_DIGEST = hashlib.sha256().digest_size


def _paths(trace):
    """(number, path) of the checkpoints of a trace, newest first."""
    trace = Path(trace)
    found = []
    for path in trace.parent.glob(f"{glob.escape(trace.name)}.checkpoint-*"):
        number = path.name.rsplit("-", 1)[1]
        if number.isdecimal():
            found.append((int(number), path))
    return sorted(found, reverse=True)


def exists(trace):
    """Whether there is any checkpoint beside a trace."""
    return bool(_paths(trace))


def save(trace, arrays, numbers):
    """Write a checkpoint beside a trace and remove all but the newest `KEPT`.

    Parameters
    ----------
    trace : path
    arrays : dict of ndarray
        Of numbers or booleans.
    numbers : dict
        What JSON can hold.

    Raises
    ------
    OSError
        The file system refuses; the checkpoints before stay as they are.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    index = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
    entries = {"kind": _KIND, "numbers": numbers, "arrays": index}
    head = json.dumps(entries, default=plain).encode() + b"\n"
    older = _paths(trace)
    number = older[0][0] + 1 if older else 1
    path = Path(f"{trace}.checkpoint-{number:06d}")
    temporary = Path(f"{trace}.checkpoint.new")
    digest = hashlib.sha256()
    try:
        with open(temporary, "wb") as stream:
            for part in (head, *arrays.values()):
                digest.update(part)
                stream.write(part)
            stream.write(digest.digest())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, f"can not be written: {error.strerror}", str(path)) from None
    sync_folder(path.parent)
    for _, old in older[KEPT - 1 :]:
        old.unlink(missing_ok=True)


def sync_folder(folder):
    """Make the names in a folder as durable as the files' contents."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path):
    """(arrays, numbers) of one checkpoint file.

    Allocates no more than the file holds, and runs nothing from it.

    Raises
    ------
    CheckpointError
        Not a checkpoint, or damaged: its SHA-256 does not match.
    OSError
        The file can not be read.
    """
    content = memoryview(Path(path).read_bytes())
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise CheckpointError(f"{path}: damaged, or no checkpoint")
    try:
        place = bytes(body).index(b"\n") + 1
        head = json.loads(bytes(body[:place]))
        if head["kind"] != _KIND or not isinstance(head["numbers"], dict):
            raise ValueError("of another kind")
        arrays = {}
        for name, (dtype, shape) in head["arrays"].items():
            dtype = np.dtype(dtype)
            count = math.prod(shape)
            if dtype.kind not in "fiub" or min(shape, default=0) < 0:
                raise ValueError(f"{name} is no array of numbers")
            array = np.frombuffer(body, dtype, count, place) if count else np.empty(0, dtype)
            arrays[name] = array.reshape(shape).copy()
            place += array.nbytes
        if place != len(body):
            raise ValueError("another size than it says")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: no checkpoint ({error})") from None
    return arrays, head["numbers"]


def load_latest(trace, run=None):
    """(arrays, numbers) of the newest intact checkpoint of a trace.

    Parameters
    ----------
    trace : path
    run : str, optional
        Only checkpoints whose ``numbers["run"]`` is that.

    Raises
    ------
    CheckpointError
        There is none.
    """
    for _, path in _paths(trace):
        try:
            arrays, numbers = load(path)
        except (CheckpointError, OSError):
            continue
        if run is None or numbers.get("run") == run:
            return arrays, numbers
    raise CheckpointError(f"{trace}: has no usable checkpoint beside it")


def remove_older(trace):
    """Remove the checkpoints of a trace but for the newest."""
    for _, path in _paths(trace)[1:]:
        path.unlink(missing_ok=True)


def remove(trace, but_run=None):
    """Remove the checkpoints of a trace, but for those of one run."""
    for _, path in _paths(trace):
        try:
            if but_run is not None and load(path)[1].get("run") == but_run:
                continue
        except (CheckpointError, OSError):
            pass
        path.unlink(missing_ok=True)
