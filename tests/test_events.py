"""Recorded and synthetic events: read as published files say, at their own times, sorted."""

import importlib.util
import struct

import h5py
import numpy as np
import pytest

from lifnum import SpikeTrains, errors, options, scheme, train
from lifnum.data import cameras, datasets, heidelberg, synthetic_shd
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.run import trainer_of


def valid(trains):
    """The spike trains, checked by the constructor."""
    return SpikeTrains(trains.times, trains.indices, trains.offsets, trains.n_neurons)


# Spiking Heidelberg Digits: zenkelab.org/resources/spiking-heidelberg-datasets-shd shows the tree
# spikes/times, spikes/units, labels, extra/speaker, extra/keys, lists of times and units a sample


def write_heidelberg(path, samples, labels, times_type=np.float16, units_type=np.uint16):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for k, (name, kind) in enumerate((("times", times_type), ("units", units_type))):
            item = file.create_dataset(f"spikes/{name}", (len(samples),), h5py.vlen_dtype(kind))
            for row, sample in enumerate(samples):
                item[row] = np.asarray(sample[k], kind)
        file["labels"] = np.asarray(labels)
        file["extra/speaker"] = np.zeros(len(samples), np.uint8)


def words(n, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 60, n)
    return [(rng.random(k), rng.integers(0, 700, k)) for k in sizes], rng.integers(0, 20, n)


def test_shd_is_read_at_the_times_that_are_stored(tmp_path):
    train_words, test_words = words(8), words(5, seed=1)
    write_heidelberg(tmp_path / "shd/shd_train.h5", *train_words)
    write_heidelberg(tmp_path / "shd/shd_test.h5", *test_words)
    data = datasets.load("shd", tmp_path)
    assert data.n_classes == 20 and data.train.n_neurons == 700 and valid(data.train) == data.train
    for trains, labels, (samples, expected) in (
        (data.train, data.train_labels, train_words), (data.test, data.test_labels, test_words),
    ):  # fmt: skip
        assert labels.dtype == np.int64 and (labels == expected).all()
        for k, (times, units) in enumerate(samples):
            stored = sorted(zip(times.astype(np.float16).astype(float), units))
            assert list(zip(*trains[k])) == stored
    few = datasets.load("shd", tmp_path, limit_train=3, limit_test=1)
    assert few.train == data.train.select(range(3)) and len(few.test) == 1
    assert (few.train_labels == data.train_labels[:3]).all()


def test_ssc_has_35_classes_and_any_types_of_numbers(tmp_path):
    samples, _ = words(4)
    for part in ("train", "test"):
        path = tmp_path / f"ssc/ssc_{part}.h5"
        write_heidelberg(path, samples, [0, 34, 3, 3], np.float64, np.int32)
    data = datasets.load("ssc", tmp_path)
    assert data.n_classes == 35 and data.test_labels.tolist() == [0, 34, 3, 3]
    assert (np.sort(samples[2][0]) == data.train[2][0]).all()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda file: file.__delitem__("labels"), "has no array labels"),
        (lambda file: file.__delitem__("spikes/units"), "has no array spikes/units"),
        (lambda file: file["labels"].__setitem__(0, 20), "a label is not in 0 to 19"),
        (lambda file: file["spikes/units"].__setitem__(1, np.array([700], np.uint16)),
         "sample 1: has .* times for 1 units"),
        (lambda file: file["spikes/units"].__setitem__(
            1, np.full(len(file["spikes/times"][1]), 700, np.uint16)), "a unit is 700"),
        (lambda file: file["spikes/times"].__setitem__(
            1, np.full(len(file["spikes/units"][1]), -0.5, np.float16)), "a time is -0.5"),
        (lambda file: (file.__delitem__("labels"), file.__setitem__("labels", [0, 1])),
         "times, units and labels; accepted: as many"),
        (lambda file: (file.__delitem__("labels"), file.__setitem__("labels", [0.5] * 8)),
         "labels is float64"),
    ],
)  # fmt: skip
def test_a_damaged_file_of_shd_is_named(tmp_path, damage, message):
    path = tmp_path / "a.h5"
    write_heidelberg(path, *words(8))
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(errors.DataError, match=message) as refused:
        heidelberg.read_heidelberg(path, 20)
    assert "\n" not in str(refused.value) and "a.h5" in str(refused.value)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(errors.DataError, match=r"a.h5: damaged or unreadable"):
        heidelberg.read_heidelberg(path, 20)


def test_what_is_not_there_is_fetched_with_its_checksum_and_unpacked(tmp_path, monkeypatch):
    asked = []

    def retrieve(url, known_hash, fname, path, processor, **options):
        asked.append((url, known_hash))
        assert processor.members == [fname.removesuffix(".zip")]
        write_heidelberg(path / fname.removesuffix(".zip"), *words(3))

    monkeypatch.setattr("pooch.retrieve", retrieve)
    assert len(datasets.load("shd", tmp_path).test) == 3
    assert [url for url, _ in asked] == [
        f"https://zenkelab.org/datasets/shd_{part}.h5.zip" for part in ("train", "test")
    ]
    assert all(digest.startswith("md5:") and len(digest) == 36 for _, digest in asked)

    def fail(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("pooch.retrieve", fail)
    for name, sought in (("ssc", "ssc_train.h5, ssc_test.h5 in"), ("nmnist", "the folder Train")):
        with pytest.raises(errors.DataError, match=f"{name}: sought {sought}") as refused:
            datasets.load(name, tmp_path)
        assert "\n" not in str(refused.value)


# N-MNIST: garrickorchard.com/datasets/n-mnist: 40 bits an event, x in bits 39 to 32, y in 31 to 24,
# polarity in bit 23, microseconds in bits 22 to 0

needs_tonic = pytest.mark.skipif(
    importlib.util.find_spec("tonic") is None,
    reason="tonic is an extra: pip install '.[events]'",
)


def camera_events(n, size, latest, seed=0):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, latest, n))
    return [(int(rng.integers(size)), int(rng.integers(size)), int(rng.integers(2)), int(t))
            for t in times]  # fmt: skip


def write_nmnist(path, events):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as stream:
        for x, y, polarity, t in events:
            stream.write((x << 32 | y << 24 | polarity << 23 | t).to_bytes(5, "big"))


@needs_tonic
def test_nmnist_is_read_event_by_event(tmp_path):
    recordings = {}
    for part in ("Train", "Test"):
        for label in range(10):
            name = f"{part}/{label}/0000{label}.bin"
            recordings[name] = camera_events(
                30 + label, 34, 2**23 if label == 3 else 300_000, label
            )
            write_nmnist(tmp_path / "nmnist" / name, recordings[name])
    data = datasets.load("nmnist", tmp_path)
    assert data.n_classes == 10 and data.train.n_neurons == 2 * 34 * 34
    assert sorted(data.test_labels) == list(range(10)) != data.test_labels.tolist()
    for k, label in enumerate(data.train_labels):
        events = recordings[f"Train/{label}/0000{label}.bin"]
        expected = sorted((t / 1e6, p * 1156 + y * 34 + x) for x, y, p, t in events)
        assert list(zip(*data.train[k])) == expected
    few = datasets.load("nmnist", tmp_path, limit_train=4)
    assert few.train == data.train.select(range(4)) and len(few.test) == 10


@needs_tonic
def test_what_is_no_recording_of_nmnist_is_named(tmp_path):
    path = tmp_path / "nmnist/Train/3/00001.bin"
    write_nmnist(path, camera_events(3, 34, 1000))
    (tmp_path / "nmnist/Test").mkdir()
    with pytest.raises(errors.DataError, match=r"Test has no files LABEL/NUMBER.bin"):
        datasets.load("nmnist", tmp_path)
    write_nmnist(path, [(34, 0, 0, 5)])
    with pytest.raises(errors.DataError, match=r"00001.bin: x of an event is 34; accepted: below"):
        datasets.load("nmnist", tmp_path)
    path.write_bytes(bytes(7))
    with pytest.raises(errors.DataError, match=r"00001.bin: is no recording of N-MNIST"):
        datasets.load("nmnist", tmp_path)


def test_without_tonic_one_line_says_what_to_install(tmp_path, monkeypatch, refusal):
    monkeypatch.setitem(__import__("sys").modules, "tonic.io", None)
    for part in ("Train", "Test"):
        write_nmnist(tmp_path / f"nmnist/{part}/3/00001.bin", camera_events(3, 34, 1000))
    arguments = ["--dataset", "nmnist", "--data-dir", str(tmp_path), "--quiet"]
    said = refusal(options.run, "lifnum.train", train.main, arguments)
    assert "pip install 'lifnum[events]'" in said


# DVS-Gesture: research.ibm.com/interactive/dvsgesture (headers, bits of an event, columns of the
# table) and docs.inivation.com, AEDAT 3.1 (header lines, valid mark, overflows of time stamps)


def aedat(events, packet=7, overflow_at=None):
    """Content of an AEDAT 3.1 file; between two packets stands one of another type."""
    content = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 0: DVS128\r\n#!END-HEADER\r\n"
    for first in range(0, len(events), packet):
        part = events[first : first + packet]
        overflows = {t >> 31 for *_, t in part}
        assert len(overflows) == 1
        content += struct.pack("<hhiiiiii", 1, 0, 8, 4, overflows.pop(), len(part), len(part),
                               len(part))  # fmt: skip
        for x, y, polarity, valid_mark, t in part:
            data = x << 17 | y << 2 | polarity << 1 | valid_mark
            content += struct.pack("<Ii", data, t & 0x7FFFFFFF)
        content += struct.pack("<hhiiiiii", 0, 0, 12, 4, 0, 2, 1, 1) + bytes(24)
    return content


def gesture_events(seed, start=0, n=60):
    rng = np.random.default_rng(seed)
    times = start + np.sort(rng.integers(0, 10_000, n))
    return [(int(rng.integers(128)), int(rng.integers(128)), int(rng.integers(2)),
             int(rng.random() < 0.9), int(t)) for t in times]  # fmt: skip


def write_gestures(folder, name, events, cuts):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.aedat").write_bytes(aedat(events))
    lines = ["class,startTime_usec,endTime_usec", *(",".join(map(str, cut)) for cut in cuts)]
    (folder / f"{name}_labels.csv").write_text("\n".join(lines) + "\n")


def test_dvs_gesture_is_cut_as_its_table_says(tmp_path):
    folder = tmp_path / "dvs-gesture"
    cuts = [(11, 0, 4000), (1, 4000, 7000), (5, 7500, 10_000)]
    recordings = {f"user0{k}_led": gesture_events(k) for k in range(3)}
    for name, events in recordings.items():
        write_gestures(folder, name, events, cuts)
    (folder / "trials_to_train.txt").write_text("user00_led.aedat\nuser01_led.aedat\n")
    (folder / "trials_to_test.txt").write_text("user02_led.aedat\n")
    data = datasets.load("dvs-gesture", tmp_path)
    assert data.classes.tolist() == list(range(1, 12)) and data.train.n_neurons == 2 * 128 * 128
    assert data.train_labels.tolist() == [10, 0, 4] * 2 and data.test_labels.tolist() == [10, 0, 4]
    k = 0
    for name in ("user00_led", "user01_led"):
        for _, start, end in cuts:
            expected = sorted(
                ((t - start) / 1e6, p * 128 * 128 + y * 128 + x)
                for x, y, p, mark, t in recordings[name] if mark and start <= t < end
            )  # fmt: skip
            assert list(zip(*data.train[k])) == expected and len(expected) > 5
            k += 1
    few = datasets.load("dvs-gesture", tmp_path, limit_train=4, limit_test=1)
    assert few.train == data.train.select(range(4)) and len(few.test) == 1


def test_time_stamps_go_on_after_an_overflow(tmp_path):
    path = tmp_path / "a.aedat"
    early, late = gesture_events(0, n=14), gesture_events(1, start=1 << 31, n=14)
    path.write_bytes(aedat(early + late))
    x, y, polarity, times = cameras.read_aedat(path)
    kept = [event for event in early + late if event[3]]
    assert list(zip(x, y, polarity, times)) == [(a, b, c, t) for a, b, c, _, t in kept]


@pytest.mark.parametrize("damage", ["version", "header", "packet", "event", "size", "count"])
def test_a_damaged_aedat_file_is_named(tmp_path, damage):
    path = tmp_path / "a.aedat"
    content = aedat(gesture_events(0))
    begin = content.index(b"END-HEADER") + len(b"END-HEADER\r\n")
    changed = {
        "version": content.replace(b"DAT3.1", b"DAT2.0"),
        "header": content[:20],
        "packet": content[: begin + 20],
        "event": content[: begin + 30],
        "size": content[: begin + 4] + struct.pack("<i", 0) + content[begin + 8 :],
        "count": content[: begin + 20] + struct.pack("<i", 99) + content[begin + 24 :],
    }[damage]
    path.write_bytes(changed)
    with pytest.raises(errors.DataError, match=r"a\.aedat: (is no AEDAT|ends in)"):
        cameras.read_aedat(path)


def test_gestures_that_are_not_there_or_not_described_are_named_in_one_line(tmp_path, refusal):
    arguments = ["--dataset", "dvs-gesture", "--data-dir", str(tmp_path), "--quiet"]

    def run():
        return options.run("lifnum.train", train.main, arguments)

    said = refusal(run)
    assert "trials_to_train.txt" in said and "research.ibm.com" in said and "data_dir" in said
    folder = tmp_path / "dvs-gesture"
    write_gestures(folder, "user00_led", gesture_events(0), [(12, 0, 4000)])
    for part in ("train", "test"):
        (folder / f"trials_to_{part}.txt").write_text("user00_led.aedat\n")
    assert "a class is 12; accepted: 1 to 11" in refusal(run)
    (folder / "user00_led_labels.csv").write_text("class,start\n1,0\n")
    assert "user00_led_labels.csv: is no table of class" in refusal(run)
    (folder / "trials_to_train.txt").write_text("../other.aedat\n")
    assert "lists ../other.aedat, which is not there" in refusal(run)


# synthetic SHD


def spikes_of_preset(name, folder, n_events, seconds):
    """Spikes a neuron of each layer of the preset's untrained network, on the files of a folder."""
    config = Configuration(presets.PRESETS[name], scheme.Scheme("euler", dt=1e-3))
    job = trainer_of(config, folder)
    inputs = job.data.train
    assert len(inputs.times) == len(inputs) * n_events  # of the length of a published recording
    assert 0.9 * seconds < inputs.times.max() < seconds
    job.net.forward(inputs, differentiable=False)
    assert all(layer.n_suppressed == 0 for layer in job.net.layers)
    return [len(one.spikes.times) / one.spikes.counts().size for one in job.net.layers]


@needs_tonic
def test_an_untrained_network_of_the_preset_spikes_on_recordings_like_those_of_nmnist(tmp_path):
    """Of about 4,000 events in 0.3 s (Orchard et al. 2015)."""
    for k, part in enumerate(("Train", "Test")):
        write_nmnist(tmp_path / f"nmnist/{part}/3/00001.bin", camera_events(4000, 34, 300_000, k))
    for rate in spikes_of_preset("nmnist", tmp_path, 4000, 0.3):
        assert 0.5 < rate < 10


def test_an_untrained_network_of_the_preset_spikes_on_recordings_like_those_of_dvs_gesture(
    tmp_path,
):
    """Of some 60,000 events a second."""
    folder, rng = tmp_path / "dvs-gesture", np.random.default_rng(0)
    times = np.sort(rng.integers(0, 1_500_000, 90_000)).tolist()
    rows = zip(*rng.integers(0, [[128], [128], [2]], (3, 90_000)).tolist(), times)
    write_gestures(folder, "user00_led", [(x, y, p, 1, t) for x, y, p, t in rows],
                   [(2, 0, 1_500_000)])  # fmt: skip
    for part in ("train", "test"):
        (folder / f"trials_to_{part}.txt").write_text("user00_led.aedat\n")
    for rate in spikes_of_preset("dvs-gesture", tmp_path, 90_000, 1.5):
        assert 0.5 < rate < 10


def test_synthetic_shd_has_the_statistics_of_shd():
    trains, labels = synthetic_shd.generate(300, seed=5)
    assert trains.n_neurons == 700 and valid(trains) == trains
    counts = np.diff(trains.offsets)
    # the loudness, uniform within 30 %, has a standard error of 1 % of the mean of 300
    assert abs(counts.mean() / 8000 - 1) < 0.05 and 0.6 < counts.min() / 8000 < 0.8
    assert 0.99 < trains.times.max() < 1.0
    assert set(labels) == set(range(20))
    assert np.bincount(trains.indices, minlength=700).min() > 0


def test_synthetic_shd_is_a_function_of_the_seed_and_of_no_later_sample():
    trains, labels = synthetic_shd.generate(6, seed=[1, 2], mean_spikes=500)
    again, same = synthetic_shd.generate(9, seed=[1, 2], mean_spikes=500)
    assert again.select(range(6)) == trains and (same[:6] == labels).all()
    other, _ = synthetic_shd.generate(6, seed=[1, 3], mean_spikes=500)
    assert other != trains
    data = datasets.load("synthetic-shd", seed=3, limit_train=4, limit_test=2)
    assert len(data.train) == 4 and len(data.test) == 2
    more = datasets.load("synthetic-shd", seed=3, limit_train=5, limit_test=1)
    assert more.train.select(range(4)) == data.train and data.test.select([0]) == more.test
    assert data.train.select([0]) != data.test.select([0])


def test_the_classes_of_synthetic_shd_are_told_apart_by_time_and_channel():
    """By the nearest mean of spike counts in 10 groups of channels and 10 parts of the time."""

    def counted(trains):
        found = np.zeros((len(trains), 10, 10))
        for k, (times, channels) in enumerate(trains):
            np.add.at(found[k], (channels // 70, (10 * times).astype(int)), 1)
        return found.reshape(len(trains), -1) / np.diff(trains.offsets)[:, None]

    trains, labels = synthetic_shd.generate(400, seed=0, mean_spikes=2000)
    test, test_labels = synthetic_shd.generate(100, seed=1, mean_spikes=2000)
    inputs = counted(trains)
    means = np.array([inputs[labels == label].mean(axis=0) for label in range(20)])
    apart = ((counted(test)[:, None] - means) ** 2).sum(axis=2)
    assert (apart.argmin(axis=1) == test_labels).mean() > 0.9
    # channels alone tell pairs of classes, of which one is the other backwards
    by_channel = [one.reshape(len(one), 10, 10).sum(axis=2) for one in (means, counted(test))]
    apart = ((by_channel[1][:, None] - by_channel[0]) ** 2).sum(axis=2)
    assert (apart.argmin(axis=1) == test_labels).mean() < 0.7


@pytest.mark.parametrize(
    "arguments, message",
    [((-1,), "n is -1"), ((2.0,), "n is 2.0"), ((2, 0, 0.0), "mean_spikes is 0.0")],
)
def test_what_is_no_number_of_samples_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic_shd.generate(*arguments)
