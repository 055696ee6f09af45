"""Recordings of event cameras: N-MNIST and DVS-Gesture.

An event of polarity p at (x, y) of a sensor n pixels wide and high is a spike of neuron
n n p + n y + x.
"""

import csv
import struct
from pathlib import Path

import numpy as np

from lifnum.data.dataset import Dataset
from lifnum.data.download import fetch, folder_of
from lifnum.data.events import Recording
from lifnum.errors import DataError

NMNIST_SIZE, GESTURE_SIZE, N_GESTURES = 34, 128, 11

# the checksums are those by which tonic 1.7 knows the archives
_NMNIST_URL = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
_NMNIST = {
    "Train": (
        "train.zip",
        "md5:20959b8e626244a1b502305a9e6e2031",
        [f"{_NMNIST_URL}39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded"],
    ),
    "Test": (
        "test.zip",
        "md5:69ca8762b2fe404d9b9bad1103e97832",
        [f"{_NMNIST_URL}05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded"],
    ),
}

_TRIALS = "trials_to_train.txt", "trials_to_test.txt"

# of a packet: type, source, size of an event, place of its time stamp, overflows of that,
# capacity, events, valid events
_PACKET = struct.Struct("<hhiiiiii")
_POLARITY = 1


def nmnist(window, seed, data_dir, limit_train=None, limit_test=None):
    """N-MNIST (Orchard et al. 2015), 60,000 and 10,000 recordings, in an order drawn once.

    Files as in the published archives: Train/LABEL/NUMBER.bin and Test/LABEL/NUMBER.bin.
    """
    folder = folder_of("nmnist", data_dir)
    missing = [part for part in _NMNIST if not (folder / part).is_dir()]
    if missing:
        import pooch

        for part in missing:
            file, *source = _NMNIST[part]
            sought = f"the folder {part}"
            fetch("nmnist", folder, {file: source}, sought, pooch.Unzip(extract_dir="."))
    arrays = []
    for part, limit in zip(_NMNIST, (limit_train, limit_test)):
        files = sorted((folder / part).glob("[0-9]/*.bin"))
        if not files:
            raise DataError(f"nmnist: {folder / part} has no files LABEL/NUMBER.bin")
        # in the order of the names limits would keep zeros only
        files = [files[k] for k in np.random.default_rng(0).permutation(len(files))[:limit]]
        recording = Recording(2 * NMNIST_SIZE**2)
        for path in files:
            recording.add(f"{path}", *read_nmnist(path))
        arrays += [recording.trains(), np.array([int(path.parent.name) for path in files])]
    return Dataset("nmnist", *arrays, 10)


def read_nmnist(path):
    """Times (n,) in seconds and neurons (n,) of a recording of N-MNIST.

    garrickorchard.com/datasets/n-mnist: 40 bits an event, of x, y, polarity (1 bit) and
    microseconds (23 bits); read by tonic, extra ``events``.

    Raises
    ------
    DataError
        tonic is not installed; a file that is no such recording.
    """
    try:
        from tonic.io import read_mnist_file
    except ImportError:
        raise DataError("nmnist is read by tonic: pip install 'lifnum[events]'") from None
    if Path(path).stat().st_size % 5:
        raise DataError(f"{path}: is no recording of N-MNIST, 5 bytes an event")
    fields = np.dtype([(name, np.int64) for name in "xytp"])
    events = read_mnist_file(str(path), fields)
    return _spikes(path, NMNIST_SIZE, *(events[name] for name in "xypt"))


def _spikes(path, size, x, y, polarity, microseconds):
    for name, values in (("x", x), ("y", y)):
        if len(values) and values.max() >= size:
            raise DataError(f"{path}: {name} of an event is {values.max()}; accepted: below {size}")
    return microseconds / 1e6, (polarity * size + y) * size + x


def dvs_gesture(window, seed, data_dir, limit_train=None, limit_test=None):
    """DVS-Gesture (Amir et al. 2017), 1,176 and 288 gestures.

    Files as in the published archive: ``trials_to_train.txt`` and ``trials_to_test.txt`` list the
    recordings NAME.aedat, each with its NAME_labels.csv. The label of class 1 is 0, and so on.
    """
    folder = folder_of("dvs-gesture", data_dir)
    missing = [file for file in _TRIALS if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"dvs-gesture: sought {', '.join(missing)} in {folder}; DvsGesture.tar.gz comes from "
            "https://research.ibm.com/interactive/dvsgesture and is to be unpacked there, or in "
            "the folder dvs-gesture below data_dir or LIFNUM_DATA"
        )
    arrays = []
    for file, limit in zip(_TRIALS, (limit_train, limit_test)):
        recording, labels = Recording(2 * GESTURE_SIZE**2), []
        for name in (folder / file).read_text(encoding="utf-8", errors="replace").split():
            if limit is not None and len(labels) >= limit:
                break
            path = folder / name
            if path.parent != folder or not path.is_file():
                raise DataError(f"dvs-gesture: {folder / file} lists {name}, which is not there")
            for label, times, neurons in gestures(path):
                if limit is None or len(labels) < limit:
                    recording.add(f"{path}", times, neurons)
                    labels.append(label)
        arrays += [recording.trains(), np.array(labels, np.int64)]
    return Dataset("dvs-gesture", *arrays, N_GESTURES, np.arange(1, N_GESTURES + 1))


def gestures(path):
    """(label, times, neurons) of each gesture of a recording, times from its start in seconds.

    research.ibm.com/interactive/dvsgesture: the CSV file has the columns class (1 to 11),
    startTime_usec and endTime_usec.

    Raises
    ------
    DataError
        A missing or damaged file.
    """
    table = path.with_name(f"{path.stem}_labels.csv")
    try:
        with open(table, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        columns = "class", "startTime_usec", "endTime_usec"
        cuts = [[int(row[name]) for name in columns] for row in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(
            f"{table}: is no table of class, startTime_usec, endTime_usec ({error})"
        ) from None
    x, y, polarity, microseconds = read_aedat(path)
    found = []
    for label, start, end in cuts:
        if not 1 <= label <= N_GESTURES:
            raise DataError(f"{table}: a class is {label}; accepted: 1 to {N_GESTURES}")
        part = (microseconds >= start) & (microseconds < end)
        event = x[part], y[part], polarity[part], microseconds[part] - start
        found.append((label - 1, *_spikes(path, GESTURE_SIZE, *event)))
    return found


def read_aedat(path):
    """x, y, polarity, microseconds (n,), int64, of the valid polarity events of an AEDAT 3.1 file.

    docs.inivation.com, AEDAT 3.1: header lines that begin with #, then packets of 28 bytes and
    their events of 8 bytes: x in bits 17 to 31, y in bits 2 to 16, polarity in bit 1, whether it is
    valid in bit 0, and the time stamp, whose overflows the packet counts.

    Raises
    ------
    DataError
        Another or a damaged file.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can not be read ({error})") from None
    if not content.startswith(b"#!AER-DAT3."):
        raise DataError(f"{path}: is no AEDAT 3 file")
    at = 0
    while content[at : at + 1] == b"#":
        line = content.find(b"\n", at)
        if line < 0:
            raise DataError(f"{path}: ends in its header")
        ended = content[at:line].strip() == b"#!END-HEADER"
        at = line + 1
        if ended:
            break
    data, stamps = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    while at < len(content):
        if at + _PACKET.size > len(content):
            raise DataError(f"{path}: ends in a packet")
        kind, _, size, _, overflows, capacity, n, _ = _PACKET.unpack_from(content, at)
        at += _PACKET.size
        if size <= 0 or not 0 <= n <= capacity or at + capacity * size > len(content):
            raise DataError(f"{path}: ends in a packet, or is damaged")
        if kind == _POLARITY:
            if size != 8:
                raise DataError(f"{path}: polarity events have {size} bytes; accepted: 8")
            events = np.frombuffer(content, "<u4", 2 * n, at).reshape(n, 2).astype(np.int64)
            events = events[events[:, 0] & 1 == 1]
            data.append(events[:, 0])
            stamps.append(events[:, 1] + (overflows << 31))
        at += capacity * size
    data = np.concatenate(data)
    return data >> 17, data >> 2 & 0x7FFF, data >> 1 & 1, np.concatenate(stamps)
