"""Every kind of file, truncated and with flipped bytes: a clear error or a correct read.

Files are read in children under a limit of time and memory, since HDF5 itself can crash or hang.
"""

import hashlib
import json
import os
import resource
import shutil
import signal

import h5py
import numpy as np
import pytest
import studies
from helpers import CONTEXT, MNIST

from lifnum import SpikeTrains, errors
from lifnum.data import files, images
from lifnum.errors import TraceError, TransferError
from lifnum.files import checkpoint
from lifnum.files.reader import Trace
from lifnum.files.trace import BATCHES, EPOCHS
from lifnum.files.transfers import read_transfer
from lifnum.files.writer import TraceWriter

SECONDS, MEMORY = 10, 2 << 30  # for one file; on top of what the process has

ERRORS = (TraceError, errors.CheckpointError, errors.DataError, TransferError)


def fingerprint(*parts):
    """A hash of arrays and what JSON can hold."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode() + part.tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()


def read_trace(path):
    with Trace(path) as trace:
        parts = [trace.header, trace.status, trace.confusion]
        for columns in (trace.epochs, trace.batches, trace.raster):
            parts += columns.values()
        for which in ("initial", "best", "last"):
            parts += trace.weights(which)
    return fingerprint(*parts)


def read_checkpoint(path):
    arrays, numbers = checkpoint.load(path)
    return fingerprint(numbers, list(arrays), *arrays.values())


def read_contents(path):
    header, schemes, gradients, n_samples = read_transfer(path)
    return fingerprint(header, n_samples, *schemes.values(), *gradients.values())


def read_trains(path):
    data = files.load_file(path)
    for trains in (data.train, data.test):
        SpikeTrains(trains.times, trains.indices, trains.offsets, trains.n_neurons)  # valid
    return fingerprint(data.train.times, data.train.indices, data.train.offsets, data.train_labels,
                       data.test.times, data.test.indices, data.test.offsets, data.test_labels,
                       data.n_classes)  # fmt: skip


def read_idx(path):
    name = path.name.removesuffix(".gz")
    return fingerprint(images._read_idx("mnist", path, name))


def make_trace(folder, status="finished"):
    rng = np.random.default_rng(0)
    path = folder / "trace.h5"
    weights = [rng.random((20, 30)).astype(np.float32), rng.random((30, 3)).astype(np.float32)]
    header = {"config": {"preset": list(range(50))}, "seed": 3, "command": "x", "run": "abc"}
    writer = TraceWriter(path, header, weights, 3)
    for k in range(70):
        row = {name: rng.random(2) if per_layer else rng.random()
               for name, per_layer in EPOCHS.items()}  # fmt: skip
        sample = SpikeTrains.from_samples([(rng.random(9), rng.integers(0, 3, 9))] * 8, 3)
        spikes = [sample] * 3, np.arange(8) % 3, np.arange(8) % 2
        writer.record(row, rng.integers(0, 9, (3, 4)), spikes)
        writer.publish(best=weights, last=[w + np.float32(k) for w in weights])
        writer.append_batch({name: rng.random(2) if per_layer else rng.random()
                             for name, per_layer in BATCHES.items()})  # fmt: skip
    if status == "killed":
        writer.flush()
        shutil.copy(path, folder / "copy.h5")
        writer.close("interrupted")
        os.replace(folder / "copy.h5", path)
    else:
        writer.close(status)
    return path


def make_killed_trace(folder):
    return make_trace(folder, "killed")


def make_checkpoint(folder):
    rng = np.random.default_rng(1)
    arrays = {"weights0": rng.random((20, 30)), "n": np.array(3), "flags": rng.random(20) > 0.5}
    checkpoint.save(folder / "a.h5", arrays, {"epoch": 3, "run": "abc", "seconds": 0.1})
    return next(folder.glob("a.h5.checkpoint-*"))


def make_transfer(folder):
    return studies.write_transfer(folder, 0, orders=(1, 2), steps=(0.01,))


def random_arrays():
    rng = np.random.default_rng(2)
    arrays = {}
    for part in ("train", "test"):
        samples = [(rng.random(20), rng.integers(0, 5, 20)) for _ in range(30)]
        trains = SpikeTrains.from_samples(samples, 5)
        arrays |= {(part, "times"): trains.times, (part, "indices"): trains.indices,
                   (part, "offsets"): trains.offsets,
                   (part, "labels"): rng.integers(0, 3, 30)}  # fmt: skip
    return arrays


def make_npz(folder, save=np.savez):
    path = folder / "mine.npz"
    save(path, **{f"{part}_{key}": value for (part, key), value in random_arrays().items()})
    return path


def make_compressed_npz(folder):
    return make_npz(folder, np.savez_compressed)


def make_hdf5(folder):
    """As the README tells to: the newest format, whose every part has a checksum."""
    path = folder / "mine.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for (part, key), value in random_arrays().items():
            file.create_dataset(f"{part}/{key}", data=value, fletcher32=True)
    return path


def make_plain_hdf5(folder):
    """Without checksums: all that can be asked is that what is read are valid spike trains."""
    path = folder / "mine.h5"
    with h5py.File(path, "w") as file:
        for (part, key), value in random_arrays().items():
            file[f"{part}/{key}"] = value
    return path


def make_idx(folder, compressed=True, file="t10k-labels-idx1-ubyte"):
    import gzip

    content = gzip.decompress((MNIST / "mnist" / f"{file}.gz").read_bytes())
    path = folder / (f"{file}.gz" if compressed else file)
    path.write_bytes(gzip.compress(content, 6) if compressed else content)
    return path


def make_raw_idx(folder):
    return make_idx(folder, False)


KINDS = {
    "trace": (make_trace, read_trace),
    "trace of a killed writer": (make_killed_trace, read_trace),
    "transfer": (make_transfer, read_contents),
    "checkpoint": (make_checkpoint, read_checkpoint),
    "NPZ": (make_npz, read_trains),
    "compressed NPZ": (make_compressed_npz, read_trains),
    "HDF5": (make_hdf5, read_trains),
    "HDF5 without checksums": (make_plain_hdf5, read_trains),
    "IDX": (make_raw_idx, read_idx),
    "compressed IDX": (make_idx, read_idx),
}


def damaged(content, seed, truncations, flips):
    """(description, content) of that many truncated copies and copies with one byte changed."""
    rng = np.random.default_rng(seed)
    size = len(content)
    for k in range(truncations):
        yield f"truncated to {size * k // truncations}", content[: size * k // truncations]
    for _ in range(flips):
        place, change = int(rng.integers(size)), int(rng.integers(1, 256))
        copy = bytearray(content)
        copy[place] ^= change
        yield f"byte {place} ^ {change}", bytes(copy)


def read_damaged(kind, path, content, amounts, first, results):
    """Read the damaged copies from number `first` on; sends one outcome each."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even inside HDF5
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    read = KINDS[kind][1]
    path.write_bytes(content)
    good = read(path)
    for k, (what, copy) in enumerate(damaged(content, 0, *amounts)):
        if k < first:
            continue
        path.write_bytes(copy)
        signal.alarm(SECONDS)
        try:
            outcome = "read" if read(path) == good else "another content"
        except ERRORS as error:
            named = path.name in str(error) and "\n" not in str(error)
            outcome = "refused" if named else f"unclear: {error}"
        except Exception as error:  # what no caller expects
            outcome = f"{type(error).__name__}: {error}"
        signal.alarm(0)
        results.send((k, what, outcome))
    results.send(None)


def outcomes_of(kind, folder, truncations, flips):
    """{outcome: descriptions of the copies that had it}."""
    path = KINDS[kind][0](folder)
    content = path.read_bytes()
    found, first = {}, 0
    while True:
        reader, writer = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(
            target=read_damaged, args=(kind, path, content, (truncations, flips), first, writer)
        )
        process.start()
        writer.close()
        try:
            while (result := reader.recv()) is not None:
                k, what, outcome = result
                found.setdefault(outcome, []).append(what)
                first = k + 1
        except EOFError:
            process.join()
            deaths = found.setdefault(f"died of {process.exitcode}", [])
            deaths.append(f"copy {first}")
            assert len(deaths) < 20, found
            first += 1
            continue
        process.join()
        return found


def assert_no_harm(kind, folder, truncations, flips):
    if kind.endswith("IDX") and MNIST is None:
        pytest.skip("MNIST is not at hand")
    found = outcomes_of(kind, folder, truncations, flips)
    print(kind, {outcome: len(copies) for outcome, copies in found.items()})
    allowed = {"read", "refused"}
    if kind == "HDF5 without checksums":
        allowed.add("another content")
    assert found.keys() <= allowed, {o: c[:5] for o, c in found.items() if o not in allowed}
    assert sum(map(len, found.values())) == truncations + flips
    assert len(found["refused"]) >= truncations - 1  # an empty tail may be missing


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read_correctly(tmp_path, kind):
    assert_no_harm(kind, tmp_path, 10, 40)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_files_damaged_in_1100_ways_are_refused_or_read_correctly(tmp_path, kind):
    assert_no_harm(kind, tmp_path, 100, 1000)
