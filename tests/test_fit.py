"""Training from Python is the run of the command line; networks are kept in files of their own."""

import concurrent.futures
import csv

import cases
import numpy as np
import pytest

import lifnum
from lifnum import callbacks, errors, evaluate, models, train
from lifnum.data import datasets
from lifnum.files.reader import Trace
from lifnum.losses import SpikeCount
from lifnum.runs import presets


def network(scheme=None, dtype="f4"):
    """The network of the preset digits, at its start."""
    weights = presets.initial_weights(presets.PRESETS["digits"], 64, 10, 0, np.dtype(dtype))
    neurons = [lifnum.Neuron(theta=0.05), lifnum.Neuron(theta=0.2)]
    return lifnum.Network(list(zip(weights, neurons)), scheme or lifnum.Scheme("exact"), 0.2)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", limit_train=200, limit_test=50)


def fit(net, data, output, **options):
    return lifnum.fit(net, data, **{"epochs": 2, "quiet": True, "output": output} | options)


def assert_equal_weights(one, other):
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """(network, its Fit) after two epochs."""
    net = network()
    return net, fit(net, digits, tmp_path_factory.mktemp("fit") / "run.h5")


def test_it_has_the_bits_of_the_command_line(trained, tmp_path):
    output = str(tmp_path / "run.h5")
    limits = ["--limit-train", "200", "--limit-test", "50"]
    assert train.main(["--method", "exact", "--epochs", "2", "--quiet", "--output", output,
                       *limits]) == 0  # fmt: skip
    assert_equal_weights(lifnum.load(output), trained[0])
    with Trace(output) as trace:
        for name, values in trace.epochs.items():
            if not name.startswith("seconds"):
                np.testing.assert_array_equal(values, trained[1].history[name], err_msg=name)


def test_its_trace_has_the_network(trained):
    net, result = trained
    found = lifnum.load(result.output)
    assert_equal_weights(found, net)
    assert found.scheme == net.scheme
    assert [layer.neuron for layer in found.layers] == [layer.neuron for layer in net.layers]
    best = lifnum.load(result.output, "best").weights
    for a, b in zip(best, result.best_weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_resumed_run_has_the_bits_of_one_that_was_not(trained, digits, tmp_path):
    fit(network(), digits, tmp_path / "a.h5", epochs=1)
    net = network()
    fit(net, digits, tmp_path / "a.h5", epochs=2, resume=True)
    assert_equal_weights(net, trained[0])


def test_resumption_keeps_the_weights_at_the_start(digits, tmp_path):
    net = network()
    before = [w.copy() for w in net.weights]
    for epochs in (1, 2):  # the second time with a network that is trained already
        fit(net, digits, tmp_path / "a.h5", epochs=epochs, resume=epochs > 1)
    for a, b in zip(lifnum.load(tmp_path / "a.h5", "initial").weights, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_function_is_a_loss(trained, digits, tmp_path):
    def loss(out, labels):
        return SpikeCount()(out, labels)

    net = network()
    fit(net, digits, tmp_path / "a.h5", loss=loss)
    assert_equal_weights(net, trained[0])


def test_a_loss_of_ours_is_in_the_trace_by_its_name(digits, tmp_path):
    net, other = network(), network()
    fit(net, digits, tmp_path / "a.h5", loss=SpikeCount(target_true=9.0, target_false=2.0))
    fit(other, digits, tmp_path / "b.h5", target_true=9.0, target_false=2.0)
    assert_equal_weights(net, other)
    with Trace(tmp_path / "a.h5") as trace:
        preset = trace.config["preset"]
    assert (preset["loss"], preset["target_true"], preset["target_false"]) == ("spike-count", 9, 2)


def test_arrays_are_data(trained, digits, tmp_path):
    net = network()
    data = digits.train, digits.train_labels.tolist(), digits.test, digits.test_labels
    fit(net, data, tmp_path / "a.h5")
    assert_equal_weights(net, trained[0])


def test_a_model_under_a_tableau_of_ones_own_is_trained_and_loaded(digits, tmp_path):
    rng = np.random.default_rng(0)
    heun = lifnum.RungeKutta(a=[[0, 0], [1, 0]], b=[1 / 2, 1 / 2])
    neuron = models.qif(time_unit=1e-3)
    net = lifnum.Network(
        [(rng.uniform(-0.5, 1.0, (64, 10)), neuron)], lifnum.Scheme(heun, dt=1e-3), 0.05
    )
    before = net.weights[0].copy()
    data = datasets.load("digits", limit_train=40, limit_test=10, window=0.02)
    fit(net, data, tmp_path / "a.h5", epochs=1, optimizer="sgd", momentum=0.9, learning_rate=1e-3)
    assert not np.array_equal(net.weights[0], before)
    found = lifnum.load(tmp_path / "a.h5")
    assert_equal_weights(found, net)
    assert found.scheme == net.scheme and found.layers[0].neuron == net.layers[0].neuron


def test_callbacks_see_every_epoch_and_may_end_the_run(digits, tmp_path):
    seen = []

    def third(run, row):
        seen.append(row["epoch"])
        return len(run.history()["epoch"]) == 3

    result = fit(network(), digits, tmp_path / "a.h5", epochs=9,
                 callbacks=[third, callbacks.CSVLog(tmp_path / "new/a.csv")])  # fmt: skip
    assert seen == [1.0, 2.0, 3.0]
    with open(tmp_path / "new/a.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["test_loss"]) for row in rows] == result.history["test_loss"].tolist()
    with Trace(tmp_path / "a.h5") as trace:
        assert trace.status == "finished"


def test_early_stopping_waits_for_its_patience(digits, tmp_path):
    """At a learning rate of zero the first epoch is the best of all."""
    stopping = callbacks.EarlyStopping(patience=2)
    result = fit(network(), digits, tmp_path / "a.h5", epochs=9, learning_rate=5e-324,
                 callbacks=[stopping])  # fmt: skip
    assert len(result.history["epoch"]) == 3


@pytest.mark.parametrize(
    "options, text",
    [({"patience": 0}, "patience is 0"), ({"column": "accuracy"}, "column is 'accuracy'"),
     ({"column": "silent"}, "column is 'silent'")],
)  # fmt: skip
def test_early_stopping_refuses_what_never_ends_well(options, text):
    with pytest.raises(ValueError, match=text):
        callbacks.EarlyStopping(**options)


def test_early_stopping_says_that_there_is_no_validation(digits, tmp_path):
    with pytest.raises(ValueError, match="has no values"):
        fit(network(), digits, tmp_path / "a.h5", validation_share=0.0,
            callbacks=[callbacks.EarlyStopping()])  # fmt: skip


def test_a_run_that_ended_early_ends_there_again(digits, tmp_path):
    def first(run, row):
        return row["epoch"] == 1.0

    fit(network(), digits, tmp_path / "a.h5", epochs=3, callbacks=[first])
    with pytest.raises(errors.TraceError, match="finished after 1 epochs"):
        fit(network(), digits, tmp_path / "a.h5", epochs=3, resume=True)
    result = fit(network(), digits, tmp_path / "a.h5", epochs=4, resume=True, callbacks=[first])
    assert len(result.history["epoch"]) == 1


def test_a_callback_that_raised_is_asked_again(digits, tmp_path):
    def fails(run, row):
        raise KeyError("of the callback")

    with pytest.raises(KeyError, match="of the callback"):
        fit(network(), digits, tmp_path / "a.h5", epochs=2, callbacks=[fails])
    seen = []
    fit(network(), digits, tmp_path / "a.h5", epochs=2, resume=True,
        callbacks=[lambda run, row: seen.append(row["epoch"])])  # fmt: skip
    assert seen == [1.0, 2.0]


def test_a_file_is_named_by_its_path_and_a_name_is_no_file(digits, tmp_path):
    parts = {}
    for part, trains, labels in (("train", digits.train, digits.train_labels),
                                 ("test", digits.test, digits.test_labels)):  # fmt: skip
        parts |= {f"{part}_times": trains.times, f"{part}_indices": trains.indices}
        parts |= {f"{part}_offsets": trains.offsets, f"{part}_labels": labels}
    np.savez(tmp_path / "digits.npz", n_neurons=64, **parts)
    result = fit(network(), tmp_path / "digits.npz", tmp_path / "a.h5", epochs=1)
    with Trace(result.output) as trace:
        assert trace.config["preset"]["dataset"] == str(tmp_path / "digits.npz")
    result = fit(network(), digits, tmp_path / "b.h5", epochs=1)
    with Trace(result.output) as trace:
        assert trace.config["preset"]["dataset"] == "digits, given to lifnum.fit"
    given = (digits.train, digits.train_labels, digits.test, digits.test_labels)
    fit(network(), given, tmp_path / "c.h5", epochs=1)
    for name in ("b.h5", "c.h5"):  # the trace has no data to evaluate on, and says what to do
        with pytest.raises(errors.DataError, match="accepted: dataset with the name of a data set"):
            evaluate.main([str(tmp_path / name)])
        assert evaluate.main([str(tmp_path / name), "--dataset", str(tmp_path / "digits.npz")]) == 0


def test_refusals_name_arguments_of_python(digits, trained, tmp_path):
    output = trained[1].output
    (tmp_path / "mine.h5").write_text("mine")
    for error, options in (
        (errors.TraceError, {"output": output, "resume": True}),
        (errors.TraceError, {"output": output}),
        (errors.TraceError, {"output": tmp_path / "mine.h5", "overwrite": True}),
        (errors.TraceError, {"output": tmp_path, "overwrite": True}),
        (ValueError, {"output": tmp_path / "a.h5", "epochs": -1}),
        (ValueError, {"output": tmp_path / "a.h5", "rate_penalty": 1.0, "loss": "none"}),
        (errors.DataError, {"output": tmp_path / "a.h5", "data": "nowhere"}),
    ):
        with pytest.raises(error, match=r"accepted|replaces") as refused:
            fit(network(), **{"data": digits} | options)
        assert "--" not in str(refused.value)


def test_it_runs_in_another_thread_and_with_numbers_of_numpy(digits, tmp_path):
    weights = [w.astype("f4") for w in network().weights]
    neurons = [lifnum.Neuron(theta=np.float32(0.05), max_spikes=np.int64(30)),
               lifnum.Neuron(theta=0.2)]  # fmt: skip
    net = lifnum.Network(list(zip(weights, neurons)), lifnum.Scheme("exact"), 0.2)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(fit, net, digits, tmp_path / "a.h5", epochs=1, seed=np.int64(3)).result()
    found = lifnum.load(tmp_path / "a.h5")
    assert_equal_weights(found, net)
    net.save(tmp_path / "net.h5")


def test_the_command_line_does_not_go_on_with_it(trained, digits, tmp_path):
    output = tmp_path / "a.h5"
    fit(network(), digits, output, epochs=1)
    with pytest.raises(ValueError, match=r"was begun by lifnum\.fit"):
        train.main(["--resume", str(output), "--epochs", "2"])
    with pytest.raises(ValueError, match="both given"):
        train.main(["--weights-from", str(output), "--weights", "uniform:0:1", "--output",
                    str(tmp_path / "b.h5")])  # fmt: skip
    with pytest.raises(ValueError, match="loss is 'own'"):
        train.main(["--loss", "own"])


def test_a_schedule_gives_the_rate_of_each_epoch(digits, tmp_path):
    result = fit(network(), digits, tmp_path / "a.h5", schedule=lambda epoch: 1e-3 / (1 + epoch))
    assert result.history["learning_rate"].tolist() == [1e-3, 5e-4]


@pytest.mark.parametrize(
    "options, text",
    [
        ({"loss": 3}, "loss is 3"),
        ({"loss": SpikeCount}, "loss is the class SpikeCount"),
        ({"loss": "square"}, "loss is 'square'"),
        ({"loss": "own"}, "loss is 'own'"),
        ({"weight_decay": 0.1}, "weight_decay is 0.1; accepted: none but for optimizer 'adamw'"),
        ({"optimizer": "rmsprop"}, "optimizer is 'rmsprop'"),
        ({"momentum": 1.0, "optimizer": "sgd"}, "momentum is 1"),
        ({"lr_decai": 1.0}, "'lr_decai' is unknown"),
        ({"epochs": -1}, "epochs is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"resume": True, "output": None}, "output is None"),
    ],
)
def test_other_arguments_are_refused(digits, tmp_path, options, text):
    with pytest.raises(ValueError, match=text):
        fit(network(), digits, **{"output": tmp_path / "a.h5"} | options)


def test_other_data_are_refused(digits, tmp_path):
    output = tmp_path / "a.h5"
    with pytest.raises(ValueError, match="data are a list"):
        fit(network(), [1], output)
    with pytest.raises(ValueError, match="labels are int64 of shape"):
        fit(network(), (digits.train, [1, 2], digits.test, [1]), output)
    narrow = lifnum.Network([(np.ones((3, 10)), lifnum.Neuron())], lifnum.Scheme(), 0.2)
    with pytest.raises(ValueError, match="64 input neurons; accepted: 3"):
        fit(narrow, digits, output)
    assert not output.exists()


def test_nothing_is_overwritten_and_no_other_run_resumed(trained, digits, tmp_path):
    output = tmp_path / "a.h5"
    fit(network(), digits, output, epochs=1)
    with pytest.raises(errors.TraceError, match="exists"):
        fit(network(), digits, output)
    with pytest.raises(ValueError, match="batch_size 20, not 10"):
        fit(network(), digits, output, resume=True, batch_size=10)
    (tmp_path / "own.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="is not of this run"):
        fit(
            network(), digits, tmp_path / "b.h5", callbacks=[callbacks.CSVLog(tmp_path / "own.csv")]
        )
    assert (tmp_path / "own.csv").read_text() == "a,b\n1,2\n"


def test_a_run_begins_with_the_weights_of_another(trained, tmp_path):
    output = str(tmp_path / "run.h5")
    options = ["--limit-train", "200", "--limit-test", "50", "--quiet"]
    begin = ["--method", "exact", "--epochs", "1", "--output", output, *options]
    assert train.main([*begin, "--weights-from", str(trained[1].output)]) == 0
    with Trace(output) as trace:
        for a, b in zip(trace.weights("initial"), trained[0].weights, strict=True):
            np.testing.assert_array_equal(a, b)
    assert train.main(["--resume", output, "--epochs", "2", "--quiet"]) == 0
    with Trace(output) as trace:
        np.testing.assert_array_equal(trace.weights("initial")[1], trained[0].weights[1])
    saved = tmp_path / "net.h5"
    trained[0].save(saved)
    other = ["--output", str(tmp_path / "b.h5"), "--hidden", "7", "--weights-from", str(saved)]
    with pytest.raises(ValueError, match=r"weights_from is .*shapes \[\(64, 128\)"):
        train.main([*other, *options])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    "scheme", [lifnum.Scheme("exact"), lifnum.Scheme("ps", 3, 1e-3, "linear", "piggyback"),
               lifnum.Scheme(next(iter(cases.TABLEAUX.values())), dt=1e-3)]
)  # fmt: skip
def test_a_saved_network_comes_back_to_the_bit(tmp_path, scheme, dtype):
    net = network(scheme, dtype)
    net.save(tmp_path / "net.h5")
    found = lifnum.load(tmp_path / "net.h5")
    assert_equal_weights(found, net)
    assert (found.scheme, found.duration, found.dtype) == (net.scheme, net.duration, net.dtype)
    assert [layer.neuron for layer in found.layers] == [layer.neuron for layer in net.layers]


def test_a_saved_network_is_not_overwritten_unless_asked(trained, tmp_path):
    net, path = network(), tmp_path / "net.h5"
    net.save(path)
    with pytest.raises(ValueError, match="exists; accepted: another name, or overwrite"):
        net.save(path)
    net.save(path, overwrite=True)
    with pytest.raises(ValueError, match="exists; accepted: another name"):
        net.save(trained[1].output, overwrite=True)
    with pytest.raises(ValueError, match="which is 'best'"):
        lifnum.load(path, "best")


def test_a_damaged_network_is_said_to_be_so(tmp_path):
    import h5py

    path = tmp_path / "net.h5"
    network().save(path)
    with h5py.File(path, "r+") as file:
        del file["weights/1"]
    with pytest.raises(errors.TraceError, match="damaged network"):
        lifnum.load(path)
