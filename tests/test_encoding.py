"""Encoders of values and tables: what spikes when, and what is refused."""

import math

import numpy as np
import pytest

from lifnum import SpikeTrains, errors, evaluate, options, train
from lifnum.data import datasets, encoding, tables

ARGUMENTS = ["--preset", "digits", "--hidden", "20", "--epochs", "8", "--validation-share", "0",
             "--quiet"]  # fmt: skip


def values(n=40, n_values=6, seed=0):
    return np.random.default_rng(seed).random((n, n_values))


def test_poisson_counts_and_times_have_the_law_of_their_rates():
    n, rate, window = 2000, 80.0, 0.25
    parts = np.array([0.0, 0.1, 0.5, 1.0])
    trains = encoding.poisson(np.tile(parts, (n, 1)), window, rate, seed=3)
    counts = trains.counts()
    mean = rate * window * parts
    # 5 standard errors of the mean and of the variance of n Poisson numbers
    assert (np.abs(counts.mean(axis=0) - mean) <= 5 * np.sqrt(mean / n)).all()
    spread = np.sqrt((mean + 2 * mean**2) / n)
    assert (np.abs(counts.var(axis=0) - mean) <= 5 * spread).all()
    # neurons do not know of one another
    assert abs(np.corrcoef(counts[:, 2], counts[:, 3])[0, 1]) < 5 / math.sqrt(n)
    for neuron in (1, 3):
        times = np.sort(trains.times[trains.indices == neuron])
        grid = (np.arange(len(times)) + 0.5) / len(times)
        # Kolmogorov-Smirnov: exceeded once in 1e6
        assert np.abs(times / window - grid).max() < 2.7 / math.sqrt(len(times))
    assert trains.times.min() >= 0.0 and trains.times.max() < window
    assert len(np.unique(trains.times)) == len(trains.times)  # on no grid


def test_poisson_spikes_are_a_function_of_the_seed_and_of_no_later_sample():
    a = encoding.poisson(values(), 0.1, 200.0, seed=[1, 2])
    assert a == encoding.poisson(values(), 0.1, 200.0, seed=[1, 2])
    assert a != encoding.poisson(values(), 0.1, 200.0, seed=[1, 3])
    assert a.select(range(7)) == encoding.poisson(values()[:7], 0.1, 200.0, seed=[1, 2])
    # valid, as the constructor checks
    assert a == SpikeTrains(a.times, a.indices, a.offsets, a.n_neurons)


@pytest.mark.parametrize("fields", [3, 8])
def test_population_code_equals_its_formula(fields, monkeypatch):
    monkeypatch.setattr(encoding, "_CHUNK", 100)  # several chunks
    parts = np.concatenate([values(), [[0.0, 1.0, 0.5, 0.25, 1 / 3, 0.9]]])
    trains = encoding.population(parts, 0.2, fields)
    assert trains.n_neurons == 6 * fields
    for k, sample in enumerate(parts):
        found = {}
        for j, value in enumerate(sample):
            for i in range(1, fields + 1):  # Bohte et al. count from 1: (2 i - 3) / 2 / (m - 2)
                centre = (2 * i - 3) / 2 / (fields - 2)
                sigma = 1 / 1.5 / (fields - 2)
                time = 0.2 * (1 - math.exp(-((value - centre) ** 2) / (2 * sigma**2)))
                if time <= 0.9 * 0.2:
                    found[j * fields + i - 1] = time
        times, indices = trains[k]
        assert sorted(indices) == sorted(found)
        # the exponential of two libraries
        np.testing.assert_allclose([found[i] for i in indices], times, rtol=0, atol=1e-15)
    # sorted, as the constructor checks
    assert trains == SpikeTrains(trains.times, trains.indices, trains.offsets, trains.n_neurons)


def test_every_value_is_seen_by_a_population():
    trains = encoding.population(np.linspace(0, 1, 200)[:, None], 1.0, 8)
    assert trains.counts().sum(axis=1).min() >= 2


@pytest.mark.parametrize("encode", [encoding.poisson, encoding.population])
def test_bytes_and_shares_are_encoded_alike(encode):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 2), np.uint8)
    assert encode(pixels) == encode(pixels / 255) == encode(pixels.astype(float), p_max=255)
    assert len(encode(pixels[:0])) == 0 and len(encode(np.zeros((2, 0))).times) == 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: encoding.poisson(values(), rate=-1.0), "rate is -1.0"),
        (lambda: encoding.poisson(values(), window=math.inf), "window is inf"),
        (lambda: encoding.poisson(values() + 1), "pixels go from"),
        (lambda: encoding.population(values(), fields=2), "fields is 2"),
        (lambda: encoding.population(values(), fields=8.0), "fields is 8.0"),
        (lambda: encoding.population([[np.nan]]), "pixels go from nan"),
        (lambda: encoding.encoder("gauss"), r"encoding is 'gauss'; accepted: latency.*poisson\[:R"),
        (lambda: encoding.encoder("latency:3"), "encoding is 'latency:3'"),
        (lambda: encoding.encoder("population:x"), "encoding is 'population:x'"),
        (lambda: encoding.encoder("population:2"), "fields is 2"),
        (lambda: encoding.encoder("poisson:nan"), "rate is nan"),
        (lambda: encoding.encoder(None), "encoding is None"),
        (lambda: datasets.load("yinyang", encoding="poisson"), "accepted: none for yinyang"),
        (lambda: datasets.load("digits", label_column="x"), "label_column is 'x'"),
    ],
)
def test_what_no_encoder_takes_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_a_data_set_is_encoded_by_the_name_of_the_encoder():
    images = datasets.digits.load(0.1, 0, None)
    for name, encode in {
        "latency": lambda x, part: encoding.latency(x, 0.05),
        "poisson:300": lambda x, part: encoding.poisson(x, 0.05, 300.0, [4, 2000, part]),
        "population:5": lambda x, part: encoding.population(x, 0.05, 5),
    }.items():
        found = datasets.load("digits", window=0.05, seed=4, encoding=name, limit_train=30)
        assert found.train == encode(images.train[:30], 0)
        assert found.test == encode(images.test, 1)
        assert (found.train_labels == images.train_labels[:30]).all()
    assert datasets.load("digits").train == datasets.load("digits", encoding="latency").train


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def rows(n=50, seed=0):
    """Of two classes, 3 and 7, in two columns of any scale and one that never changes."""
    rng = np.random.default_rng(seed)
    labels = 3 + 4 * rng.integers(0, 2, n)
    first = 1e6 * (rng.random(n) + 2.0 * (labels == 7))
    return np.column_stack([first, rng.random(n) - 5.0, np.full(n, 2.5), labels])


def table(path, numbers, head="a,b,c,label", order=(0, 1, 2, 3)):
    lines = [",".join(repr(float(row[k])) for k in order) for row in numbers]
    return write(path, *([head] if head else []), *lines)


def test_a_table_is_scaled_by_its_rows_for_training(tmp_path):
    numbers = rows()
    data = tables.load_table(table(tmp_path / "a.csv", numbers))
    assert data.name == "a" and data.classes.tolist() == [3, 7] and data.n_classes == 2
    assert (len(data.train), len(data.test)) == (40, 10)
    assert (data.train[:, :2].min(axis=0) == 0).all() and (data.train[:, :2].max(axis=0) == 1).all()
    assert (data.train[:, 2] == 0).all() and (data.test >= 0).all() and (data.test <= 1).all()
    # each row once, with its label
    first = np.concatenate([data.train[:, 0], data.test[:, 0]])
    labels = data.classes[np.concatenate([data.train_labels, data.test_labels])]
    assert (labels[first > 0.6] == 7).all() and (labels[first < 0.4] == 3).all()
    assert (labels == 7).sum() == (numbers[:, 3] == 7).sum() > 10


def test_a_table_says_which_rows_are_for_test_and_which_column_is_the_label(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "part, label ,x,class", "train,1,0,0", 'train,2,"10",0', "test,1,5,1", "",
        "test,2,50,1", "test,2,-3,0",
    )  # fmt: skip
    data = tables.load_table(path)
    assert data.train.tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert data.test.tolist() == [[0.5, 0.0], [1.0, 0.0], [0.0, 0.0]]  # beyond: 1 and 0
    assert data.classes[data.test_labels].tolist() == [1, 2, 2]
    data = tables.load_table(path, "class")
    assert data.classes is None and data.test_labels.tolist() == [1, 1, 0]
    assert data.train.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_a_table_without_names_has_its_labels_in_the_last_column(tmp_path):
    numbers = rows()
    named = tables.load_table(table(tmp_path / "a.csv", numbers))
    bare = tables.load_table(table(tmp_path / "b.csv", numbers, head=None))
    other = tables.load_table(
        table(tmp_path / "c.csv", numbers, head=None, order=(0, 3, 1, 2)), label_column="2"
    )
    for one in (bare, other):
        for name in ("train", "test", "train_labels", "test_labels", "classes"):
            assert np.array_equal(getattr(one, name), getattr(named, name)), name


def test_a_table_of_huge_numbers_stays_finite(tmp_path):
    path = write(tmp_path / "a.csv", "part,x,y", "train,-1e308,0", "train,1.5e308,1",
                 "test,1.7e308,1", "test,0,0")  # fmt: skip
    data = tables.load_table(path)
    assert data.train[:, 0].tolist() == [0.0, 1.0] and data.test[0, 0] == 1.0
    assert data.test[1, 0] == pytest.approx(0.4, rel=1e-15)


@pytest.mark.parametrize(
    "lines, message",
    [
        (["a,label", "1,0", ",1"], "line 3, column 'a' is missing; accepted: a finite number"),
        (["a,label", "1,0", "red,1"], "line 3, column 'a' is 'red'"),
        (["a,label", "1,0", "nan,1"], "line 3, column 'a' is 'nan'"),
        (["1,0", "1e999,1"], "line 2, column '1' is '1e999'"),
        (["a,label", "1,0", "2,"], "line 3, column 'label' is missing"),
        (["a,b,label", "1,2,0", "", "  ", ",,"], "line 5, column 'a' is missing"),
        (["a,b,label", "1,2,0", " , ,"], "line 3, column 'a' is missing"),
        (["a,label", "1,0", "1_000,1"], "line 3, column 'a' is '1_000'; accepted: a finite number"),
        (["a,label", "1,0", "1,1_0"], "line 3, column 'label' is '1_0'"),
        (["1_000,0", "1,1"], "line 1, column '1' is '1_000'"),
        (["a,label", "1,0.5"], "column 'label' is '0.5'; accepted: a label, an integer"),
        (["a,label", "1,setosa"], "column 'label' is 'setosa'"),
        (["a,label", "1,0", "2"], "line 3 has 1 cells; accepted: 2"),
        (["a,a,label", "1,2,0"], "two columns have the same name"),
        (["a,part,label", "1,train,0", "2,valid,0"], "column 'part' is 'valid'"),
        (["a,part,label", "1,train,0"], "no rows for test"),
        (["a,part,label", "1,test,0"], "no rows for train"),
        (["label", "1", "0", "1", "0", "1"], "no column of values"),
        (["a,label", "1,0"], "no rows for test"),
        (["a,label"], "no rows for train"),
        ([], "has no rows"),
        (['a,label\n"1,0'], "is no CSV file that can be read"),
    ],
)
def test_a_cell_that_is_no_number_is_named_in_one_line(tmp_path, refusal, lines, message):
    path = write(tmp_path / "a.csv", *lines)
    with pytest.raises(errors.DataError, match=message):
        datasets.load(path)
    said = refusal(options.run, "lifnum.train", train.main, ["--dataset", path, *ARGUMENTS])
    assert said.startswith("lifnum.train: ") and "a.csv" in said


def test_columns_that_are_not_there_and_bytes_that_are_no_text_are_refused(tmp_path):
    path = table(tmp_path / "a.csv", rows())
    with pytest.raises(errors.DataError, match="label_column is 'x'; accepted: a, b, c, label"):
        datasets.load(path, label_column="x")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe,1\n")
    with pytest.raises(errors.DataError, match="no CSV file"):
        datasets.load(str(tmp_path / "b.csv"))


def test_a_table_is_learnt_and_evaluated_as_what_it_was(in_tmp, refusal, capsys):
    path = table(in_tmp / "a.csv", rows(200))
    arguments = ["--dataset", path, "--output", "a.h5", *ARGUMENTS, "--epochs", "30"]
    assert options.run("lifnum.train", train.main, arguments) == 0
    assert float(capsys.readouterr().out.split("accuracy ")[1].split()[0]) >= 90
    assert options.run("lifnum.evaluate", evaluate.main, ["a.h5"]) == 0
    matrix = capsys.readouterr().out
    assert "3" in matrix.split("predicted")[1].split()[:2]
    table(in_tmp / "a.csv", rows(200, seed=1))
    assert "another SHA-256" in refusal(options.run, "lifnum.evaluate", evaluate.main, ["a.h5"])


def test_the_encoding_of_a_run_is_kept_and_another_data_set_takes_its_own(in_tmp, capsys):
    arguments = ["--dataset", "digits", "--encoding", "poisson:40", "--limit-train", "600",
                 "--limit-test", "50", "--seed", "2", "--theta", "0.1", "0.3", "--output", "a.h5",
                 *ARGUMENTS]  # fmt: skip
    assert options.run("lifnum.train", train.main, arguments) == 0
    accuracy = capsys.readouterr().out.split("accuracy ")[1].split()[0]
    assert options.run("lifnum.evaluate", evaluate.main, ["a.h5"]) == 0
    assert f"accuracy {accuracy} %" in capsys.readouterr().out
    assert float(accuracy) > 60
    trains = datasets.load("digits", limit_train=200, limit_test=3)
    arrays = {
        f"{part}_{name}": getattr(one, name)
        for part, one in (("train", trains.train), ("test", trains.test))
        for name in ("times", "indices", "offsets")
    }
    np.savez("own.npz", train_labels=trains.train_labels, test_labels=trains.test_labels, **arrays)
    assert options.run("lifnum.evaluate", evaluate.main, ["a.h5", "--dataset", "own.npz"]) == 0


def test_an_encoding_where_there_are_spikes_is_refused_in_one_line(refusal):
    def run(*arguments):
        return options.run("lifnum.train", train.main, [*arguments, "--quiet"])

    assert "encoding is 'poisson'" in refusal(run, "--dataset", "yinyang", "--encoding", "poisson")
    assert "encoding is 'gauss'" in refusal(run, "--encoding", "gauss")
    assert "label_column is 'x'" in refusal(run, "--label-column", "x")
