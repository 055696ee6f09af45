"""Spike trains, encodings, data sets and presets: what is read is valid, what is not is named."""

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import MNIST, user_arrays, write_user_file
from sklearn.datasets import load_digits

from lifnum import SpikeTrains, errors
from lifnum.data import datasets, digits, encoding, images, yinyang
from lifnum.runs import presets

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0.1, -1.0], [0, 0], [0, 2], 1), r"times\[1\] is -1.0; accepted: finite numbers >= 0"),
        (([0.1, np.nan], [0, 0], [0, 2], 1), r"times\[1\] is nan"),
        (([0.1], [3], [0, 1], 2), r"indices\[0\] is 3; accepted: 0 to 1"),
        (([0.1], [0], [0, 2], 2), "offsets"),
        (([0.1], [0, 0], [0, 1], 2), "indices have length 2; accepted: 1"),
        (([0.2, 0.1], [0, 0], [0, 2], 1), "sorted"),
        (([0.1, 0.1], [1, 0], [0, 2], 2), "sorted"),
        (([[0.1]], [0], [0, 1], 1), "times are"),
    ],
)
def test_invalid_spike_trains_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpikeTrains(*arguments)


def test_select_and_counts_agree_with_plain_python():
    rng = np.random.default_rng(0)
    samples = [(rng.random(n), rng.integers(0, 5, n)) for n in (3, 0, 7, 2)]
    trains = SpikeTrains.from_samples(samples, 5)
    rows = [2, 0, 1, 2]
    chosen = trains.select(rows)
    for k, row in enumerate(rows):
        order = np.lexsort((samples[row][1], samples[row][0]))
        assert (chosen[k][0] == samples[row][0][order]).all()
        assert (chosen.counts()[k] == np.bincount(samples[row][1], minlength=5)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_latency_code_equals_its_formula(dtype):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3, 4, 4)).astype(dtype)
    images[0, 0, 0] = 0
    trains = encoding.latency(images, window=0.1, p_max=255)
    for image, k in zip(images.reshape(3, -1), range(3)):
        times, indices = trains[k]
        assert set(indices) == set(np.flatnonzero(image))
        np.testing.assert_allclose(times, 0.1 * (1 - image[indices] / 255), rtol=1e-15)
        assert (np.lexsort((indices, times)) == np.arange(len(times))).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_threshold_code_spikes_at_zero_above_half(dtype):
    images = np.array([[0, 127, 128, 255]], dtype)
    trains = encoding.threshold(images, p_max=255)
    assert trains.times.tolist() == [0.0, 0.0] and trains.indices.tolist() == [2, 3]


def test_no_images_are_no_spike_trains():
    assert len(encoding.latency(np.zeros((0, 4, 4), np.uint8))) == 0


def test_pixels_out_of_range_are_refused():
    with pytest.raises(ValueError, match="pixels go from"):
        encoding.latency(np.array([[0.5, 2.0]]))


def test_digits_are_those_of_scikit_learn_without_importing_it():
    images, labels = load_digits(return_X_y=True)
    ours = digits.table()
    assert np.array_equal(ours[0], images) and np.array_equal(ours[1], labels)
    script = "import sys; from lifnum.data import datasets; datasets.load('digits')"
    script += "; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


def test_digits_are_the_same_for_every_seed_and_disjoint():
    a, b = datasets.load("digits", seed=0), datasets.load("digits", seed=1)
    assert (a.test_labels == b.test_labels).all()
    assert len(a.train) == 1397 and len(a.test) == 400


def test_yinyang_is_balanced_in_its_disc_and_seeded():
    points, labels = yinyang.yinyang_points(3000, np.random.default_rng(0))
    assert np.hypot(*(points - 0.5).T).max() <= 0.5
    assert np.bincount(labels).min() > 900
    dots = points[labels == 2]
    nearest = np.minimum(np.hypot(*(dots - (0.25, 0.5)).T), np.hypot(*(dots - (0.75, 0.5)).T))
    assert nearest.max() < 0.1
    a, b = (datasets.load("yinyang", window=0.03, seed=3) for _ in range(2))
    assert (a.train.times == b.train.times).all()
    assert not (a.train.times == datasets.load("yinyang", window=0.03, seed=4).train.times).all()
    times, indices = a.test[0]
    by_neuron = dict(zip(indices, times))
    assert by_neuron[4] == 0.0
    assert abs(by_neuron[0] + by_neuron[2] - 0.03) < 1e-15


@pytest.mark.skipif(MNIST is None, reason="MNIST is not at hand")
def test_mnist_is_read_gzipped_or_not(tmp_path):
    a = datasets.load("mnist", MNIST, limit_train=200, limit_test=100)
    assert a.train_labels[:5].tolist() == [5, 0, 4, 1, 9] and len(a.test) == 100
    folder = tmp_path / "mnist"
    folder.mkdir()
    for path in (MNIST / "mnist").iterdir():
        content = path.read_bytes()
        name = path.name.removesuffix(".gz")
        (folder / name).write_bytes(gzip.decompress(content) if path.suffix else content)
    b = datasets.load("mnist", tmp_path, limit_train=200, limit_test=100)
    assert (a.train.times == b.train.times).all() and (a.test_labels == b.test_labels).all()
    c = datasets.load("mnist-threshold", tmp_path, limit_train=10)
    assert (c.train.times == 0).all()


@pytest.mark.skipif(MNIST is None, reason="MNIST is not at hand")
@pytest.mark.parametrize("damage", ["truncated", "flipped", "raw flipped", "not gzip"])
def test_a_damaged_idx_file_is_named(tmp_path, damage):
    shutil.copytree(MNIST / "mnist", tmp_path / "mnist", copy_function=shutil.copy)
    (tmp_path / "mnist").chmod(0o755)
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "truncated":
        content = content[:2000]
    elif damage == "flipped":
        content[3000] ^= 16
    elif damage == "not gzip":
        content = bytearray(b"hello")
    else:
        content = bytearray(gzip.decompress(bytes(content)))
        content[100] ^= 1
        path = path.with_suffix("")
    path.write_bytes(content)
    with pytest.raises(errors.DataError, match="t10k-labels-idx1-ubyte"):
        datasets.load("mnist", tmp_path)


def test_missing_files_are_fetched_from_the_mirrors_in_turn(tmp_path, monkeypatch):
    """Two mirrors: the first lacks the files, the second has another content."""
    wrong = tmp_path / "mirror"
    wrong.mkdir()
    for name in images._IDX_SIZES:
        (wrong / f"{name}.gz").write_bytes(gzip.compress(b"not the data"))
    tried = []

    def retrieve(url, known_hash, fname, path, **options):
        tried.append(url)
        raise OSError("no network")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    with pytest.raises(errors.DataError, match=r"sought train-images.*fashion-mnist") as error:
        datasets.load("fashion-mnist", tmp_path)
    assert "\n" not in str(error.value)
    assert [url.split("/")[2] for url in tried] == [
        "fashion-mnist.s3-website.eu-central-1.amazonaws.com", "raw.githubusercontent.com",
    ]  # fmt: skip


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_a_users_spike_trains_are_read_and_checked(tmp_path, ending):
    path = write_user_file(tmp_path / f"mine{ending}", user_arrays())
    data = datasets.load(str(path))
    assert (
        data.train.n_neurons == 3 and data.n_classes == 2 and data.test[0][0].tolist() == [0.1, 0.2]
    )
    wrong = {
        "times": (np.array([-0.1, 0.2, 0.05]), r"times\[0\]"),
        "labels": (np.array([0, 1, 2]), "labels"),
        "offsets": (np.array([0, 2, 9]), "offsets"),
    }
    for key, (value, message) in wrong.items():
        path = write_user_file(tmp_path / f"wrong{ending}", user_arrays() | {("test", key): value})
        with pytest.raises(errors.DataError, match=message):
            datasets.load(str(path))
    arrays = user_arrays()
    del arrays["test", "labels"]
    path = write_user_file(tmp_path / f"less{ending}", arrays)
    with pytest.raises(errors.DataError, match=r"has no array test.labels"):
        datasets.load(str(path))


def test_a_file_with_objects_runs_no_code(tmp_path):
    path = tmp_path / "evil.npz"
    arrays = {f"{p}_{k}": v for (p, k), v in user_arrays().items()}
    np.savez(path, **(arrays | {"train_labels": np.array([{}, {}], object)}))
    with pytest.raises(errors.DataError, match="train_labels is no one-dim"):
        datasets.load(str(path))


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_a_file_that_unpacks_to_too_much_is_refused_unread(tmp_path, ending):
    zeros = np.zeros(10**7)  # 80 MB in a file of 80 kB
    path = tmp_path / f"bomb{ending}"
    arrays = user_arrays() | {("train", "times"): zeros}
    if ending == ".npz":
        named = {f"{part}_{key}": value for (part, key), value in arrays.items()}
        np.savez_compressed(path, **named)
    else:
        with h5py.File(path, "w") as file:
            for (part, key), value in arrays.items():
                chunks = (min(len(value), 10**6),)
                file.create_dataset(f"{part}/{key}", data=value, compression="gzip", chunks=chunks)
    with pytest.raises(errors.DataError, match="more than spike trains would"):
        datasets.load(str(path))


def test_hdf5_that_refers_to_another_file_or_claims_a_huge_array_is_refused(tmp_path):
    path, secret = tmp_path / "a.h5", tmp_path / "secret"
    secret.write_bytes(bytes(80))
    for claim in ({"external": [(str(secret), 0, 80)]}, {"chunks": (1000,), "maxshape": (None,)}):
        arrays = user_arrays()
        del arrays["test", "times"]
        write_user_file(path, arrays)
        with h5py.File(path, "a") as file:
            size = 10 if "external" in claim else 10**15
            file.create_dataset("test/times", (size,), "f8", **claim)
        with pytest.raises(errors.DataError, match=r"another file|more than spike trains"):
            datasets.load(str(path))


def test_presets_carry_the_published_values():
    mnist, fashion = presets.PRESETS["mnist"], presets.PRESETS["fashion-mnist"]
    assert mnist.theta == (0.2, 1.3) and mnist.max_spikes == (30, 30) and mnist.tau == (0.26, 0.26)
    assert fashion.hidden == (400, 400) and fashion.max_spikes == (5, 5, 20)
    assert presets.PRESETS["mnist-ttfs"].loss_options["tau_loss"] == 0.005


def test_per_layer_values_of_a_wrong_number_are_refused():
    with pytest.raises(ValueError, match="theta has 3 values; accepted: 1 or 2"):
        presets.resolve("mnist", {"theta": (1.0, 1.0, 1.0)})


def test_another_depth_takes_the_first_and_last_layers_values():
    deep = presets.resolve("mnist", {"hidden": (20, 20, 20)})
    assert deep.theta == (0.2, 0.2, 0.2, 1.3)


def test_initial_weights_are_a_function_of_the_seed():
    preset = presets.PRESETS["digits"]
    a, b, c = (presets.initial_weights(preset, 64, 10, s, np.float32) for s in (0, 0, 1))
    assert all((x == y).all() for x, y in zip(a, b)) and (a[0] != c[0]).any()
    assert [w.shape for w in a] == [(64, *preset.hidden), (*preset.hidden, 10)]
