"""Transfer to other schemes: what is compared, how the deviations shrink, and the file."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import write_user_file

import lifnum
from lifnum import evaluate, options, train
from lifnum.data import datasets
from lifnum.files.reader import Trace
from lifnum.files.transfers import GRADIENTS, SCHEMES, TransferFile, read_transfer
from lifnum.runs.configuration import Configuration
from lifnum.runs.transfer import Transfer, by_neuron, difference


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trace of a small network trained with exact, in float64."""
    path = tmp_path_factory.mktemp("runs") / "exact.h5"
    arguments = ["--hidden", "20", "--limit-train", "400", "--limit-test", "60", "--epochs", "2",
                 "--dtype", "float64", "--quiet", "--output", str(path)]  # fmt: skip
    assert train.main(arguments) == 0
    return path


def transfer(trace, output, *arguments):
    return options.run("lifnum.evaluate", evaluate.main,
                   [str(trace), "--output", str(output), *arguments])  # fmt: skip


def naive_difference(spikes, reference):
    """The definition: lists of times by sample and neuron, matched by rank."""

    def lists(trains):
        found = {}
        for sample in range(len(trains)):
            for t, j in zip(*trains[sample]):
                found.setdefault((sample, j), []).append(t)
        return found

    one, two = lists(spikes), lists(reference)
    apart, gained, lost = [], 0, 0
    for key in one.keys() | two.keys():
        a, b = one.get(key, []), two.get(key, [])
        apart += [abs(x - y) for x, y in zip(a, b)]
        gained += max(0, len(a) - len(b))
        lost += max(0, len(b) - len(a))
    return len(apart), gained, lost, sum(apart), max(apart, default=0.0)


@pytest.mark.parametrize("seed", range(5))
def test_spikes_are_matched_by_their_rank_in_a_neuron_and_sample(seed):
    rng = np.random.default_rng(seed)

    def trains():
        # many ties, spikes at time zero, silent neurons, an empty sample
        samples = [(rng.integers(0, 6, n) / 4, rng.integers(0, 5, n)) for n in (12, 0, 30)]
        return lifnum.SpikeTrains.from_samples(samples, n_neurons=7)

    a, b = trains(), trains()
    found = difference(by_neuron(a), by_neuron(b))
    # quarters add without rounding
    assert tuple(found) == naive_difference(a, b) and found.matched > 0
    same = difference(by_neuron(a), by_neuron(a))
    assert tuple(same) == (len(a.times), 0, 0, 0.0, 0.0)


def test_the_trained_scheme_agrees_with_itself_and_with_the_run(trained, in_tmp):
    assert transfer(trained, "t.h5", "--methods", "exact", "euler", "--dt", "0.01") == 0
    found = read_transfer("t.h5").schemes
    assert found["method"].tolist() == [b"exact", b"euler"] and np.isnan(found["dt"][0])
    assert found["agreement"][0] == 1 and (found["deviation_max"][0] == 0).all()
    assert (found["gained"][0] == 0).all() and (found["lost"][0] == 0).all()
    assert (found["deviation_mean"][1] > 0).all()
    with Trace(trained) as trace:
        epochs = trace.epochs
    assert found["accuracy"][0] == epochs["test_accuracy"][-1]
    assert (found["spikes"][0] == epochs["test_spikes"][-1]).all()
    np.testing.assert_allclose(  # both are T over their number
        found["steps"] * found["step_length"], 0.2, rtol=1e-14
    )
    assert (found["steps"][0] < found["steps"][1]).all()


def test_every_trained_spike_is_matched_or_lost_and_every_other_matched_or_gained(trained, in_tmp):
    grid = ["--methods", "euler", "ps", "backward-euler", "--orders", "2", "--dt", "0.004", "0.05"]
    assert transfer(trained, "t.h5", *grid, "--interpolation", "none", "linear", "dense") == 0
    found = read_transfer("t.h5").schemes
    assert len(found["dt"]) == 1 + 3 * 2 * 3
    spikes = found["spikes"]
    # counts a sample are quotients of integers below 1e5 by 60
    near = {"rtol": 0, "atol": 1e-11}
    np.testing.assert_allclose(found["matched"] + found["lost"], spikes[[0] * 19], **near)
    np.testing.assert_allclose(found["matched"] + found["gained"], spikes, **near)
    assert found["lost"].max() > 1 and found["gained"].max() > 1
    assert (found["agreement"][1:] < 1).any()


@pytest.mark.parametrize("method, order", [("euler", 1), ("ps", 2), ("ps", 3), ("trapezoidal", 2)])
def test_deviations_shrink_with_dt_at_the_order_of_the_method(trained, method, order):
    with Trace(trained) as trace:
        preset = Configuration.from_json(trace.config, trained).preset
        weights = trace.weights()
    data = datasets.load("digits", limit_test=20)
    experiment = Transfer(preset, lifnum.Scheme(), weights, data)
    means = []
    for dt in (1.25e-4, 6.25e-5):
        row = experiment.row(lifnum.Scheme(method, order if method == "ps" else None, dt))
        assert (row["lost"] == 0).all()  # else later spikes would meet their neighbours
        means.append(row["deviation_mean"])
    slopes = np.log2(means[0] / means[1])
    # inputs cut some steps short of dt: by experiment, slopes are within 0.007 here and approach
    # the order as dt falls
    assert (np.abs(slopes - order) < 0.02).all()


def columns_of(path):
    contents = read_transfer(path)
    return {f"{name}/{key}": column
            for name in ("schemes", "gradients") if (table := getattr(contents, name)) is not None
            for key, column in table.items() if key != "seconds"}  # fmt: skip


GRID = ["--methods", "euler", "ps", "--orders", "3", "--dt", "0.01", "--interpolation", "none",
        "dense", "--gradients", "30"]  # fmt: skip


def test_a_stopped_transfer_keeps_its_rows_and_ends_as_an_undisturbed_one(
    trained, in_tmp, capsys, monkeypatch
):
    assert transfer(trained, "whole.h5", *GRID) == 0
    evaluated = []
    original = Transfer._evaluate

    def stopping(self, scheme, progress):
        if len(evaluated) == 3:
            raise KeyboardInterrupt
        evaluated.append(scheme.label)
        return original(self, scheme, progress)

    monkeypatch.setattr(Transfer, "_evaluate", stopping)
    assert transfer(trained, "cut.h5", *GRID) == 130
    assert "the same command goes on" in capsys.readouterr().out
    before = read_transfer("cut.h5").schemes
    assert before["method"].tolist() == [b"exact", b"euler", b"euler"]
    evaluated.clear()
    assert transfer(trained, "cut.h5", *GRID) == 0
    assert evaluated == ["exact", "ps3-dt0.01-none", "ps3-dt0.01"]  # the first for its spikes
    kept = read_transfer("cut.h5").schemes["seconds"][:3]
    assert (kept == before["seconds"]).all()
    one, two = columns_of("whole.h5"), columns_of("cut.h5")
    assert one.keys() == two.keys() and len(one) == len(SCHEMES) - 1 + len(GRADIENTS)
    for key in one:
        floats = one[key].dtype.kind == "f"
        assert np.array_equal(one[key], two[key], equal_nan=floats), key
    evaluated.clear()
    assert transfer(trained, "cut.h5", *GRID) == 0 and evaluated == []
    assert sorted(p.name for p in Path().iterdir()) == ["cut.h5", "whole.h5"]  # no leftovers


def test_gradients_are_compared_with_those_of_exact(trained, in_tmp):
    assert transfer(trained, "t.h5", "--methods", "exact", *GRID[1:]) == 0
    found = read_transfer("t.h5").gradients
    names = [f"{m.decode()}-{i.decode()}" for m, i in zip(found["method"], found["interpolation"])]
    rows = {}
    for k, name in enumerate(names):
        key = name, found["gradient"][k].decode(), found["weights"][k].decode()
        rows[key] = {column: values[k] for column, values in found.items()}
    assert len(rows) == len(names) == 2 * 3 * (1 + 2)  # none has no adjusted gradient
    for which in ("initial", "last"):
        for kind in ("adjusted", "piggyback"):  # where they coincide with exact
            for column in ("cosine_exact", "norm_exact", "cosine_adjusted", "norm_adjusted"):
                # sums over 20 x 64 weights in another order
                values = rows["exact-dense", kind, which][column]
                np.testing.assert_allclose(values, 1, rtol=0, atol=1e-12)
        assert np.isnan(rows["ps-none", "piggyback", which]["cosine_adjusted"]).all()
        for kind in ("adjusted", "piggyback"):
            high, low = (rows[f"{m}-dense", kind, which]["cosine_exact"] for m in ("ps", "euler"))
            assert (high > low).all() and (high > 0.999).all()
        noise = rows["euler-dense", "piggyback", which]["cosine_adjusted"]
        assert (noise < 1 - 1e-6).any() and (noise > 0).all()


def test_a_file_of_another_run_is_refused_and_left_as_it_is(trained, in_tmp, capsys):
    assert transfer(trained, "t.h5", "--dt", "0.01") == 0
    before = Path("t.h5").read_bytes()
    assert transfer(trained, "t.h5", "--limit-test", "50") == 2
    assert "another n_samples (60, not 50)" in capsys.readouterr().err
    assert transfer(trained, "t.h5", "--weights", "initial") == 2
    assert "another weights" in capsys.readouterr().err
    assert Path("t.h5").read_bytes() == before
    assert transfer(trained, "t.h5", "--limit-test", "50", "--overwrite") == 0
    assert read_transfer("t.h5").header["n_samples"] == 50
    content = trained.read_bytes()
    assert transfer(trained, trained, "--dt", "0.01") == 2
    assert "no transfer file" in capsys.readouterr().err and trained.read_bytes() == content


def write_data(path, edit=lambda part, labels: labels):
    """A file of some digits; edit(part, labels) gives other labels."""
    data = datasets.load("digits", limit_train=10, limit_test=15)
    arrays = {}
    for part in ("train", "test"):
        labels = edit(part, getattr(data, f"{part}_labels"))
        trains = getattr(data, part)
        arrays |= {(part, "times"): trains.times, (part, "indices"): trains.indices,
                   (part, "offsets"): trains.offsets, (part, "labels"): labels}  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    return str(write_user_file(path, arrays))


def of_part(one):
    """What turns the labels of a part around."""
    return lambda part, labels: labels[::-1] if part == one else labels


@pytest.mark.parametrize("edited", ["two/data.npz", "one/data.npz"])
def test_other_data_of_the_same_name_and_size_are_not_taken_for_those_of_a_file(
    trained, in_tmp, refusal, edited
):
    grid = ["--methods", "euler", "--dt", "0.01"]
    one = write_data(Path("one/data.npz"))
    assert transfer(trained, "t.h5", *grid, "--dataset", one) == 0
    assert transfer(trained, "g.h5", *grid, "--dataset", one, "--gradients", "10") == 0
    both = Path("t.h5").read_bytes(), Path("g.h5").read_bytes()
    samples, training = read_transfer("g.h5").header["data"], ["--gradients", "10"]
    write_data(Path(edited), of_part("test"))
    line = refusal(transfer, trained, "t.h5", *grid, "--dataset", edited)
    assert "t.h5: holds a transfer with other samples (another SHA-256); accepted" in line
    assert "other samples" in refusal(transfer, trained, "g.h5", *grid, "--dataset", edited)
    write_data(Path(edited), of_part("train"))
    line = refusal(transfer, trained, "g.h5", *grid, *training, "--dataset", edited)
    assert "g.h5: holds a transfer with other training samples" in line
    assert (Path("t.h5").read_bytes(), Path("g.h5").read_bytes()) == both
    # to the schemes no training sample matters, and those of the gradients stay known
    more = ["--methods", "euler", "--dt", "0.02", "--dataset", edited]
    assert transfer(trained, "g.h5", *more) == 0
    refusal(transfer, trained, "g.h5", *more, *training)
    assert transfer(trained, "g.h5", *more, *training, "--overwrite") == 0
    assert read_transfer("g.h5").header["data"] == samples


def test_a_file_that_does_not_say_of_what_data_is_read_but_not_gone_on_with(
    trained, in_tmp, refusal
):
    assert transfer(trained, "t.h5", "--dt", "0.01", "--limit-test", "9") == 0
    header = read_transfer("t.h5").header
    old = {key: value for key, value in header.items() if key not in ("data", "digest")}
    with TransferFile("t.h5", old, 2, overwrite=True) as file:
        file.append("schemes")
    assert "data" not in read_transfer("t.h5").header
    line = refusal(transfer, trained, "t.h5", "--dt", "0.01", "--limit-test", "9")
    assert "t.h5: holds a transfer with samples without a SHA-256; accepted: another" in line


def test_several_traces_and_other_data_go_to_files_named_after_them(trained, in_tmp):
    write_data(Path("mine.npz"))
    other = Path("other.h5")
    other.write_bytes(trained.read_bytes())
    arguments = [str(trained), "other.h5", "--dataset", "mine.npz", "--output", "folder"]
    assert options.run("lifnum.evaluate", evaluate.main, arguments) == 0
    names = ["exact-transfer-mine.h5", "other-transfer-mine.h5"]
    assert sorted(p.name for p in Path("folder").iterdir()) == names
    for name in names:
        header = read_transfer(f"folder/{name}").header
        assert header["n_samples"] == 15 and Path(header["dataset"]).stem == "mine"
        assert header["config"]["scheme"]["method"] == "exact"


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_two_traces_of_one_file_are_refused_before_any_is_evaluated(trained, in_tmp, refusal, more):
    for name in ("a/x.h5", "b/x.h5"):
        Path(name).parent.mkdir()
        Path(name).write_bytes(trained.read_bytes())

    def run(*arguments):
        arguments = [*arguments, "--dt", "0.01", "--limit-test", "9", *more]
        return options.run("lifnum.evaluate", evaluate.main, arguments)

    line = refusal(run, "a/x.h5", "b/x.h5", "--output", "out/")
    assert "trace is a/x.h5 and b/x.h5, whose transfers both go to out/x-transfer.h5" in line
    assert "accepted: one of them at a time" in line
    assert "both go to b/../a/x-transfer.h5" in refusal(run, "a/x.h5", "b/../a/x.h5")
    assert not Path("out").exists() and [p.name for p in Path("a").iterdir()] == ["x.h5"]
    assert run("a/x.h5", "b/x.h5") == 0  # a file each
    assert read_transfer("a/x-transfer.h5") and read_transfer("b/x-transfer.h5")


def test_only_the_name_of_other_data_than_those_of_the_run_stands_in_that_of_a_file(in_tmp):
    own, other = write_data(Path("one/data.npz")), write_data(Path("two/data.npz"))
    arguments = ["--hidden", "5", "--epochs", "0", "--quiet", "--output", "x.h5"]
    assert train.main(["--dataset", own, *arguments]) == 0

    def written(*arguments):
        before = set(Path().glob("*.h5"))
        arguments = ["x.h5", "--methods", "exact", *arguments]
        assert options.run("lifnum.evaluate", evaluate.main, arguments) == 0
        return {path.name for path in set(Path().glob("*.h5")) - before}

    assert written() == {"x-transfer.h5"}
    assert written("--dataset", "two/../one/data.npz") == set()  # gone on with
    assert written("--dataset", other) == {"x-transfer-data.h5"}


@pytest.mark.parametrize(
    "lists, labels",
    [
        ((["euler"], None, [0.1, 0.2], ["dense"]), ["euler-dt0.1", "euler-dt0.2"]),
        ((["ps"], [1, 2], [0.1], ["none"]), ["ps1-dt0.1-none", "ps2-dt0.1-none"]),
        ((["exact"], None, [0.1, 0.2], ["dense", "linear"]), ["exact", "exact-linear"]),
        ((["exact"], None, [0.1], ["none"]), ["exact-dt0.1-none"]),
        (
            (["euler", "exact"], None, [0.1], ["none", "dense"],
             [{"gradient": "adjusted"}, {"gradient": "piggyback"}]),
            ["euler-dt0.1-none", "euler-dt0.1", "euler-dt0.1-piggyback", "exact-dt0.1-none",
             "exact"],
        ),
        ((["exact"], None, [0.1], ["dense"], [{"gradient": "piggyback"}]), ["exact-piggyback"]),
    ],
)  # fmt: skip
def test_a_grid_holds_every_scheme_that_there_is_once(lists, labels):
    assert [scheme.label for scheme in options.grid(*lists)] == labels


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--methods", "eular"], "method is 'eular'; accepted: exact, euler"),
        (["--methods", "ps"], "order is None; accepted: an integer from 1 to 32"),
        (["--orders", "3"], "orders are [3]; accepted: none where ps is not among"),
        (["--methods", "euler", "--dt", "0.1", "-1"], "dt is -1.0; accepted"),
        (["--interpolation", "cubic"], "interpolation is 'cubic'; accepted: none, linear"),
        (["--gradients", "0"], "--gradients: 0 is not > 0"),
        (["--dataset", "yinyang"], "has 5 inputs and 3 classes; accepted by the network: 64"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(trained, in_tmp, refusal, arguments, message):
    assert message in refusal(transfer, trained, "t.h5", *arguments)
    assert not list(Path().iterdir())


def test_the_header_names_run_and_machine_as_json_can_hold_them(trained, in_tmp):
    assert transfer(trained, "t.h5") == 0
    header = read_transfer("t.h5").header
    with Trace(trained) as trace:
        assert header["config"] == json.loads(json.dumps(trace.config))
    assert header["kind"] == "lifnum-transfer" and header["trace"] == "exact.h5"
    assert {"lifnum", "numpy", "numba", "cpu", "threads", "created", "command"} <= header.keys()
