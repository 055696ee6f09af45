"""lifnum.audit: which spike is which, what a grid costs, which step is safe, and the report."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import lifnum
from lifnum import options
from lifnum.data import datasets
from lifnum.losses import SpikeCount
from lifnum.runs.audit import Audit, Finding, is_safe, safe_steps
from lifnum.runs.matching import match
from lifnum.runs.transfer import by_neuron

nir = pytest.importorskip("nir", reason="NIR is an extra: pip install '.[nir]'")

from lifnum import audit  # noqa: E402
from lifnum.nir import write  # noqa: E402


def lists(trains):
    """Times of each neuron of each sample."""
    found = {}
    for sample in range(len(trains)):
        for t, j in zip(*trains[sample]):
            found.setdefault((sample, j), []).append(t)
    return found


def most_pairs(a, b, window):
    """The definition: the longest common subsequence of spikes at most that far apart."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = max(
                table[i][j + 1], table[i + 1][j], table[i][j] + (abs(x - y) <= window)
            )
    return table[-1][-1]


@pytest.mark.parametrize("seed", range(8))
def test_no_matching_in_order_has_more_pairs(seed):
    rng = np.random.default_rng(seed)

    def trains():
        samples = [(rng.integers(0, 40, n) / 8, rng.integers(0, 4, n)) for n in (50, 0, 9)]
        return lifnum.SpikeTrains.from_samples(samples, n_neurons=5)

    a, b = trains(), trains()
    for window in (0.125, 0.5, 2.0):
        found = match(by_neuron(a), by_neuron(b), window)
        one, two = lists(a), lists(b)
        n = sum(most_pairs(one.get(k, []), two.get(k, []), window) for k in one.keys() | two.keys())
        assert found.matched == n and 0 < n < len(a.times)
        assert found.gained == len(a.times) - n and found.lost == len(b.times) - n
        assert found.distance_max <= window
        assert abs(found.shift_sum) <= found.distance_sum <= n * found.distance_max
    assert tuple(match(by_neuron(a), by_neuron(a), 0.1)) == (len(a.times), 0, 0, 0.0, 0.0, 0.0)


def test_shifts_are_those_of_the_spikes_that_were_moved():
    rng = np.random.default_rng(0)
    reference, moved, shifts = [], [], []
    lost = gained = 0
    for _ in range(6):
        times, neurons = np.meshgrid(np.arange(1.0, 20.0), np.arange(3))
        times, neurons = times.ravel(), neurons.ravel()
        shift = rng.integers(-8, 9, len(times)) / 64  # adds without rounding
        kept = rng.random(len(times)) < 0.8
        extra = rng.integers(1, 18, 4) + 0.5
        reference.append((times, neurons))
        moved.append((np.concatenate([(times + shift)[kept], extra]),
                      np.concatenate([neurons[kept], rng.integers(0, 3, 4)])))  # fmt: skip
        shifts.extend(shift[kept])
        lost, gained = lost + (~kept).sum(), gained + 4
    one, two = (lifnum.SpikeTrains.from_samples(each, 3) for each in (moved, reference))
    found = match(by_neuron(one), by_neuron(two), 0.2)
    expected = np.array(shifts)
    assert tuple(found) == (len(shifts), gained, lost, expected.sum(), np.abs(expected).sum(),
                            np.abs(expected).max())  # fmt: skip


def network(duration=0.3, max_spikes=1000):
    generator = np.random.default_rng(0)
    layers = [
        (generator.uniform(-0.6, 1.0, shape), lifnum.Neuron(*constants, max_spikes=max_spikes))
        for shape, constants in (((64, 20), (0.02, 0.04, 0.02)), ((20, 10), (0.03, 0.05, 0.02)))
    ]
    return lifnum.Network(layers, lifnum.Scheme(), duration)


def audited(n=40, window=0.02, labels=True, encoding=None, **more):
    data = datasets.load("digits", limit_train=1, limit_test=n, encoding=encoding)
    net = network(**more)
    layers = [(one.weights, one.neuron) for one in net.layers]
    known = data.test_labels if labels else None
    return Audit(layers, data.test, known, net.duration, window, SpikeCount().predict), net, data


def test_the_exact_solution_agrees_with_itself():
    found, net, data = audited()
    one = found.finding(lifnum.Scheme("exact", dt=0.01))
    out = net.forward(data.test)
    assert one.agreement == 1.0 and (one.lost == 0).all() and (one.gained == 0).all()
    # sub-intervals add rounding
    assert one.distance_max.max() < 1e-12
    assert found.reference.tolist() == [len(layer.spikes.times) for layer in net.layers]
    assert one.accuracy == found.accuracy
    assert found.accuracy == (SpikeCount().predict(out) == data.test_labels).mean()


def test_every_spike_is_matched_or_lost_and_shifts_of_euler_shrink_with_dt():
    found, *_ = audited()
    largest = []
    for dt in (1e-3, 2.5e-4):
        one = found.finding(lifnum.Scheme("euler", dt=dt))
        np.testing.assert_array_equal(one.matched + one.lost, found.reference)
        assert one.matched.min() > 100
        largest.append(one.distance_mean)
    # order one: a quarter of the step, a quarter of the shift, within what lost spikes change
    assert np.log2(largest[0] / largest[1]) / 2 == pytest.approx([1.0, 1.0], abs=0.25)


def test_spikes_on_a_grid_are_late_by_a_step_on_average():
    # half a step for the inputs, which are on no grid, and half for the spike; first spikes alone,
    # for a late reset makes the next one later still
    found, *_ = audited(window=2e-4, encoding="poisson:50", max_spikes=1)
    one = found.finding(lifnum.Scheme("exact", dt=1e-4, interpolation="none"))
    # layer 0: each half is uniform in a step: of some 700 spikes a standard error below 0.016
    assert one.matched[0] > 600
    assert one.shift_mean[0] / 1e-4 == pytest.approx(1.0, abs=0.05)


def finding(dt, agreement=1.0, changed=0.0, interpolation="none", method="euler"):
    scheme = lifnum.Scheme(method, dt=dt, interpolation=interpolation)
    reference = np.array([1000.0, 100.0])
    lost = np.array([0.0, 100.0 * changed])
    return Finding(scheme, agreement, 0.9, reference, reference - lost, lost, *np.zeros((4, 2)))


def test_a_step_is_safe_where_all_smaller_ones_are():
    several = [
        finding(4e-3, changed=0.005), finding(1e-3), finding(2e-3, agreement=0.98),
        finding(1e-3, interpolation="dense"), finding(1e-2, interpolation="dense", agreement=0.99),
        finding(1e-3, changed=0.01, method="rk2"), finding(1e-3, np.nan, method="rk4"),
    ]  # fmt: skip
    assert is_safe(several[0], 0.99, 0.01) and not is_safe(several[2], 0.99, 0.01)
    assert safe_steps(several, 0.99, 0.01) == {
        ("euler", None, "none"): 1e-3, ("euler", None, "dense"): 1e-2,
        ("rk2", None, "none"): None, ("rk4", None, "none"): None,
    }  # fmt: skip


def run(*arguments):
    return options.run("lifnum.audit", audit.main, list(map(str, arguments)))


GRID = ["--methods", "exact", "euler", "--dt", "1e-4", "5e-3", "--duration", "0.3"]


@pytest.fixture
def net_file(in_tmp):
    write("net.nir", network())
    return "net.nir"


def save(path, trains, **more):
    arrays = {f"test_{name}": getattr(trains, name) for name in ("times", "indices", "offsets")}
    np.savez(path, **arrays, **more)


def test_the_report_says_the_same_in_print_json_csv_and_hdf5(net_file, capsys):
    data = datasets.load("digits", limit_train=1, limit_test=30)
    save("own.npz", data.test, test_labels=data.test_labels)
    for ending in ("json", "csv", "h5"):
        assert run(net_file, "--data", "own.npz", *GRID, "--output", f"a.{ending}") == 0
    out = capsys.readouterr().out
    with open("a.json") as stream:
        report = json.load(stream)
    assert report["sizes"] == [64, 20, 10] and report["samples"] == 30 and report["match"] == 0.02
    assert len(report["rows"]) == (1 + 2) * 2 * 2  # exact needs a grid for none alone
    with open("a.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    with h5py.File("a.h5") as file:
        assert json.loads(file.attrs["report"])["safe"] == report["safe"]
        for k, row in enumerate(report["rows"]):
            assert file["rows/scheme"][k].decode() == row["scheme"] == table[k]["scheme"]
            for name in ("lost", "gained", "agreement", "dt", "distance_max"):
                assert file[f"rows/{name}"][k] == row[name] == float(table[k][name])
    layers = [(one.weights, one.neuron) for one in network().layers]
    found = Audit(layers, data.test, data.test_labels, 0.3, 0.02, SpikeCount().predict)
    one = found.finding(lifnum.Scheme("euler", dt=5e-3, interpolation="none"))
    row = next(row for row in report["rows"]
               if row["scheme"] == "euler-dt0.005-none" and row["layer"] == 1)  # fmt: skip
    assert row["lost"] == one.lost[1] > 0 and row["gained"] == one.gained[1]
    assert row["agreement"] == one.agreement < 1 and row["accuracy"] == one.accuracy
    assert not row["safe"]
    assert f"{100 * one.lost[1] / found.reference[1]:.2f}" in out
    assert "safe: predictions agree on at least 99 % of the samples, and less than 1 %" in out
    safe = {one["kind"]: one["dt"] for one in report["safe"]}
    assert safe["exact, none"] == 1e-4 and "exact, none: up to 0.0001 s" in out
    assert safe["euler, none"] != 5e-3


@pytest.mark.parametrize("ending", ["json", "csv", "h5"])
def test_a_report_replaces_no_file_but_a_report_that_it_may(net_file, refusal, monkeypatch, ending):
    arguments = net_file, "--data", "digits", "--limit", "3", *GRID
    name = f"new/folder/a.{ending}"
    assert run(*arguments, "--output", name) == 0
    report = Path(name).read_bytes()
    with h5py.File("foreign.h5", "w") as file:
        file["rows"] = 1
    Path("foreign.json").write_text('{"network": 3}\n')
    Path("foreign.csv").write_bytes(b"a,b\n\xff,2\n")
    foreign = Path(f"foreign.{ending}")
    content = foreign.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(audit, "read_network", None)  # not even read
        line = refusal(run, *arguments, "--output", name)
        assert f"{name}: exists; accepted: another --output, or --overwrite" in line
        assert "exists" in refusal(run, *arguments, "--output", str(foreign))
        line = refusal(run, *arguments, "--output", str(foreign), "--overwrite")
        assert f"{foreign}: no report of lifnum.audit; --overwrite replaces these only" in line
    assert foreign.read_bytes() == content and Path(name).read_bytes() == report
    assert run(*arguments, "--output", name, "--overwrite", "--match", "0.001") == 0
    assert Path(name).read_bytes() != report
    assert [path.name for path in Path("new/folder").iterdir()] == [f"a.{ending}"]


def test_inputs_without_labels_or_of_a_named_data_set_are_audited(net_file, capsys):
    data = datasets.load("digits", limit_train=1, limit_test=6)
    save("own.npz", data.test)
    assert run(net_file, "--data", "own.npz", *GRID, "--readout", "first") == 0
    assert "spikes a sample\n" in capsys.readouterr().out  # no accuracy
    assert run(net_file, "--data", "digits", "--limit", "6", *GRID) == 0
    out = capsys.readouterr().out
    assert "6 samples of digits" in out and "accuracy" in out.split("spikes a sample")[1]
    few = lifnum.SpikeTrains.from_samples([([0.01], [3])], 4)  # fewer neurons than the network
    save("few.npz", few)
    assert run(net_file, "--data", "few.npz", *GRID) == 0


def test_a_network_of_spikes_of_a_width_is_the_same_network(net_file, capsys):
    arguments = ["--data", "digits", "--limit", "5", *GRID]
    assert run(net_file, *arguments) == 0
    first = capsys.readouterr().out
    write("wide.nir", network(), spike_width=1e-4)
    assert run("wide.nir", *arguments, "--spike-width", "1e-4") == 0
    again = capsys.readouterr().out.splitlines()
    assert again[1] == first.splitlines()[1] and again[-3:] == first.splitlines()[-3:]


def test_the_duration_reaches_a_time_constant_past_the_inputs(net_file, capsys):
    save("one.npz", lifnum.SpikeTrains.from_samples([([0.25], [3])], 4))
    assert run(net_file, "--data", "one.npz", "--methods", "euler", "--dt", "1e-3") == 0
    assert "1 samples of one, 0.3 s" in capsys.readouterr().out


def test_a_solution_that_overflows_is_not_safe(capsys, in_tmp):
    # unstable: u grows by 1 - h / tau = -2 a step
    w = np.array([[5.0]])
    write("a.nir", lifnum.Network([(w, lifnum.Neuron(0.001, 0.001, 1e3))], lifnum.Scheme(), 3.0))
    save("a.npz", lifnum.SpikeTrains.from_samples([([0.0], [0])], 1))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        code = run("a.nir", "--data", "a.npz", "--methods", "euler", "--dt", "1e-4", "3e-3",
                   "--interpolation", "dense", "--duration", "6", "--output", "a.json")  # fmt: skip
    assert code == 0
    with open("a.json") as stream:
        rows = json.load(stream)["rows"]
    assert rows[1]["agreement"] is None and not rows[1]["safe"]
    assert "nan" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--data", "none.npz"], "dataset is 'none.npz'"),
        (["--data", "yinyang"], "predicts"),
        (["--data", "digits", "--output", "a.txt"], "a.txt; accepted: a file name that ends in"),
        (["--data", "digits", "--methods", "exact", "--interpolation", "dense", "--dt", "0.1",
          "--orders", "2"], "orders are"),
        (["--data", "digits", "--encoding", "poison"], "encoding is 'poison'"),
        (["--data", "digits", "--match", "0"], "--match"),
        (["--data", "wide.npz"], "wide.npz has 65 inputs; accepted by net.nir: 64"),
        (["--data", "wide.npz", "--encoding", "latency"], "no --encoding"),
        (["--data", "label.npz"], "label.npz has the label 12; accepted: 0 to 9"),
        (["--data", "empty.npz"], "empty.npz has no samples"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(net_file, refusal, arguments, message):
    save("wide.npz", lifnum.SpikeTrains.from_samples([([0.1], [64])], 65))
    save("label.npz", lifnum.SpikeTrains.from_samples([([0.1], [6])], 65), test_labels=[12])
    save("empty.npz", lifnum.SpikeTrains.from_samples([], 65))
    if message == "predicts":  # 4 inputs and a bias fit: three classes are among ten neurons
        assert run(net_file, *arguments, "--limit", "2", *GRID) == 0
        return
    assert message in refusal(run, net_file, *arguments)


def test_a_network_that_is_none_or_has_no_package_is_refused_in_one_line(
    net_file, refusal, monkeypatch
):
    assert "other.nir" in refusal(run, "other.nir", "--data", "digits")
    monkeypatch.setitem(__import__("sys").modules, "lifnum.nir", None)
    monkeypatch.delattr(lifnum, "nir", raising=False)
    said = refusal(run, net_file, "--data", "digits")
    assert "nir" in said
