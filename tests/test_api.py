"""What Python hands to the library: copied, or refused in one line that says what is accepted.

What a kernel gets is in bounds, whatever a caller does to arrays before, between and after calls.
"""

import copy
import pickle
import warnings

import h5py
import numpy as np
import pytest
from helpers import NEURON, TRAINS, network, refused, user_arrays, write_user_file

import lifnum.evaluate
import lifnum.train
from lifnum import Network, Neuron, Scheme, SimulationError, SpikeTrains, errors, losses
from lifnum.data import datasets, encoding, files
from lifnum.files.reader import Trace
from lifnum.losses import SpikeCount, TimeToFirstSpike
from lifnum.optimizers import SGD, Adam
from lifnum.runs import evaluation, presets

PS = Scheme("ps", 3, 0.1)


@pytest.mark.parametrize("scheme", [Scheme(), Scheme("ps", 3, 0.1), Scheme("euler", dt=0.1)])
def test_a_query_between_forward_and_backward_changes_nothing(scheme):
    other = SpikeTrains.from_samples([([0.05, 0.1, 0.15, 0.2], [0, 0, 1, 1])] * 5, 2)
    gradients = []
    for query in (False, True):
        net = network(scheme)
        out = net.forward(TRAINS)
        if query:
            before = [(one.spikes, one.n_steps, one.n_capped) for one in net.layers]
            net.potential(other, [0.5, 1.0], 1)
            assert before == [(one.spikes, one.n_steps, one.n_capped) for one in net.layers]
        gradients.append(net.backward(np.arange(1.0, 1 + len(out.times)), True))
    (plain, plain_inputs), (queried, queried_inputs) = gradients
    assert all((a == b).all() for a, b in zip(plain, queried)) and any(g.any() for g in plain)
    assert (plain_inputs == queried_inputs).all()


def test_backward_after_a_forward_pass_that_failed_says_so():
    net = network()
    for w in (net.weights[1], None):
        net.forward(TRAINS)
        if w is not None:
            w[...] = 1e308
            with pytest.raises(SimulationError, match="layer 1"):
                net.forward(TRAINS)
            assert all(one.spikes is None for one in net.layers)
            with refused("run forward before backward"):
                net.backward(np.zeros(0))
            w[...] = 4.0
    n = len(net.layers[-1].spikes.times)
    expected = net.backward(np.ones(n))
    # what is refused at once leaves the pass as it is
    for wrong in ([TRAINS], SpikeTrains([], [], [0], 3), None):
        with refused("accepted: (SpikeTrains|2)"):
            net.forward(wrong)
    assert all((a == b).all() for a, b in zip(expected, net.backward(np.ones(n))))


def test_what_is_no_d_times_is_refused_by_name():
    net = network()
    n = len(net.forward(TRAINS).times)
    nan = np.ones(n)
    nan[1] = np.nan
    for wrong, name in [
        (np.ones(n + 1), f"accepted: numbers of shape \\({n},\\)"),
        (np.ones((n, 1)), "shape"),
        (["1"] * n, "<U1"),
        (np.ones(n, complex), "complex"),
        (np.ones(n, bool), "bool"),
        (nan, r"d_times\[1\] is nan; accepted: finite"),
    ]:
        with refused(name):
            net.backward(wrong)
    a = net.backward(np.ones(n))
    b = net.backward(np.ones(2 * n, np.float32)[::2])
    c = net.backward([1] * n)
    assert all((x == y).all() and (x == z).all() for x, y, z in zip(a, b, c))


def test_weights_changed_before_spikes_are_simulated_anew_are_noticed():
    net = network()
    n = len(net.forward(TRAINS, differentiable=False).times)
    net.weights[0][...] *= 2.0
    with refused("weights were changed after forward"):
        net.backward(np.ones(n))
    with refused("run forward before backward"):
        net.backward(np.ones(n))


def test_weights_that_were_given_another_shape_are_refused():
    net = network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        net.weights[1].shape = (3, 4)
    with refused("weights have become float64 of shape"):
        net.forward(TRAINS)


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_a_gradient_that_does_not_fit_is_refused_and_changes_nothing(optimizer):
    weights = [np.ones((6, 4)), np.ones((4, 3))]
    good = [np.ones((6, 4)), np.ones((4, 3))]
    one = optimizer(weights, 0.1)
    wrong = [
        (np.ones((2, 4)), r"gradient of layer 0 is float64 of shape \(2, 4\); accepted: float64 "),
        (np.ones((1, 4)), "layer 0"),
        (np.ones(4), "layer 0"),
        (1.0, "layer 0"),
        (np.ones((6, 4), np.float32), "layer 0 is float32"),
        (np.ones((6, 4), int), "layer 0 is int64"),
    ]
    for gradient, message in wrong:
        with refused(message):
            one.step([gradient, good[1]])
        if np.shape(gradient) != (6, 4):
            with refused("layer 1"):
                one.step([good[0], gradient])
    for number in ([good[0]], [*good, good[0]], []):
        with refused("accepted: 2"):
            one.step(number)
    assert all((w == 1).all() for w in weights) and not getattr(one, "n_steps", 0)
    # a gradient is only read: any layout of memory will do
    good[0] = np.asfortranarray(good[0])
    good[1] = np.ones((8, 3))[::2]
    good[1].setflags(write=False)
    one.step(good)
    assert all(np.allclose(w, 0.9) for w in weights)


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_weights_and_rates_that_can_not_be_used_are_refused(optimizer):
    w = np.ones((4, 4))
    frozen = w.copy()
    frozen.setflags(write=False)
    for wrong in (w[:, ::2], np.asfortranarray(np.ones((2, 3))), frozen, np.ones(3), [[1.0]],
                  w.astype(int)):  # fmt: skip
        with refused(r"weights\[1\].*accepted: a C-contiguous, writable array"):
            optimizer([w, wrong], 0.1)
    one = optimizer([w], 0)
    for rate in (np.nan, -0.1, np.inf, True, "0.1", None):
        with refused("learning_rate is .*; accepted: a finite number >= 0"):
            optimizer([w], rate)
        with refused("learning_rate"):
            one.learning_rate = rate
    with refused("beta1 is 1.0"):
        Adam([w], 0.1, beta1=1.0)
    with refused("optimizer is 'adm'; accepted: adam, adamw, sgd"):
        network().optimizer("adm", 0.1)


@pytest.mark.parametrize("loss", [SpikeCount(3.0, 1.0), TimeToFirstSpike(0.1, 2.0)])
def test_labels_that_are_no_classes_of_the_samples_are_refused(loss):
    out = network().forward(TRAINS)
    for labels, message in [
        ([0, -1, 0], r"labels\[1\] is -1; accepted: 0 to 2"),
        ([0, 1, 3], r"labels\[2\] is 3"),
        ([1], r"labels are int64 of shape \(1,\); accepted: integers of shape \(3,\)"),
        (1, "labels are int64 of shape"),
        ([0.0, 1.0, 2.0], "labels are float64"),
        ([True, False, True], "labels are bool"),
        (["0", "1", "2"], "labels are <U1"),
        ([[0], [1], [2]], "shape"),
    ]:
        with refused(message):
            loss(out, labels)
    a, b = loss(out, [0, 1, 2]), loss(out, np.array([0, 1, 2], np.uint8))
    assert all((x == y).all() for x, y in zip(a, b))
    with refused("labels are .*one for each sample"):
        evaluation.evaluate(network(), loss, TRAINS, np.zeros(4, int), 3)


@pytest.mark.parametrize(
    "labels", [[101, 202, 101, 202], [1, 10, 4, 4], [0, 1_000_000, 0, 0], [-5, 3, 3, -5]]
)
def test_any_integers_in_a_file_are_classes(tmp_path, labels):
    """In training and test: the outputs are as many as there are distinct labels."""
    arrays = user_arrays()
    arrays["train", "labels"], arrays["test", "labels"] = np.array(labels).reshape(2, 2)
    data = datasets.load(str(write_user_file(tmp_path / "mine.npz", arrays)))
    classes = sorted(set(labels))
    assert data.n_classes == len(classes) and data.classes.tolist() == classes
    assert data.classes[np.r_[data.train_labels, data.test_labels]].tolist() == labels


def test_more_classes_than_a_confusion_matrix_bears_are_refused(tmp_path):
    n = files.MAX_CLASSES + 1
    part = {"times": np.zeros(0), "indices": np.zeros(0, int), "offsets": np.zeros(n + 1, int),
            "labels": np.arange(n)}  # fmt: skip
    arrays = {(name, key): value for name in ("train", "test") for key, value in part.items()}
    with refused(
        f"has {n} distinct labels, from 0 to {n - 1}; accepted: at most", errors.DataError
    ):
        datasets.load(str(write_user_file(tmp_path / "many.npz", arrays)))


def test_a_users_labels_are_kept_in_the_trace_and_printed(in_tmp, capsys):
    def file(name, labels):
        arrays = user_arrays()
        arrays["train", "labels"], arrays["test", "labels"] = labels
        return str(write_user_file(in_tmp / name, arrays))

    mine = file("mine.npz", ([101, 202], [202, 202]))
    options = ["--dataset", mine, "--epochs", "1", "--quiet", "--threads", "1"]
    lifnum.train.main([*options, "--hidden", "4", "--output", "run.h5"])
    with Trace("run.h5") as trace:
        assert trace.classes.tolist() == [101, 202] and trace.confusion.shape == (2, 3)
    capsys.readouterr()
    lifnum.evaluate.main(["run.h5", "--threads", "1"])
    lines = capsys.readouterr().out.splitlines()
    head = next(k for k, line in enumerate(lines) if "predicted" in line)
    assert lines[head].split()[3:] == ["101", "202", "silent"]
    assert [line.split()[0] for line in lines[head + 1 : head + 3]] == ["101", "202"]
    assert sum(map(int, lines[head + 2].split()[1:])) == 2

    # the labels of another file count as those of the trace, whatever that file lacks
    lifnum.evaluate.main(
        ["run.h5", "--threads", "1", "--dataset", file("b.npz", ([202, 202],) * 2)]
    )
    lines = capsys.readouterr().out.splitlines()
    assert sum(map(int, lines[head + 2].split()[1:])) == 2
    other = file("c.npz", ([202, 303], [303, 202]))
    with refused("has the label 303; accepted: 101, 202", errors.DataError):
        lifnum.evaluate.main(["run.h5", "--threads", "1", "--dataset", other])


def test_a_trace_from_before_there_were_classes_still_loads(in_tmp):
    options = ["--dataset", "digits", "--epochs", "0", "--quiet", "--threads", "1"]
    lifnum.train.main([*options, "--hidden", "4", "--limit-train", "20", "--limit-test", "20",
                       "--output", "run.h5"])  # fmt: skip
    with h5py.File("run.h5", "a", libver="latest") as file:
        del file["classes"]
    with Trace("run.h5") as trace:
        assert trace.classes.tolist() == list(range(10))
    lifnum.evaluate.main(["run.h5", "--threads", "1"])
    with refused("which is 'middle'; accepted: initial, best, last"):
        lifnum.load("run.h5", "middle")


def test_a_loss_is_known_everywhere_once_it_is_in_the_registry(monkeypatch):
    class Third(SpikeCount):
        pass

    def preset(loss):
        return presets.resolve("digits", {"loss": loss})

    with refused("loss is 'third'; accepted: spike-count, ttfs"):
        preset("third")
    monkeypatch.setitem(losses.LOSSES, "third", Third)
    assert losses.build(preset("third")) == Third(15.0, 3.0)
    assert losses.build(preset("ttfs")) == TimeToFirstSpike(0.005, 0.2)
    assert "third" not in lifnum.train._preset_lines()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Scheme("euler", True, 0.1), "order is True"),
        (lambda: Scheme("euler", 1.0, 0.1), "order is 1.0"),
        (lambda: Scheme("ps", True, 0.1), "order is True"),
        (lambda: Scheme("euler", dt=True), "dt is True"),
        (lambda: Scheme(["euler"]), r"method is \['euler'\]"),
        (lambda: Scheme("exact", interpolation=0), "interpolation is 0"),
        (lambda: Neuron(True), "tau_s is True"),
        (lambda: Neuron(max_spikes=True), "max_spikes is True"),
        (lambda: Network([(np.ones((1, 1)), NEURON)], Scheme(), True), "duration is True"),
        (lambda: Network([(np.ones((1, 1)), NEURON)], "euler", 0.2), "scheme is 'euler'; accepted"),
        (lambda: Network([(np.ones((1, 1)), None)], Scheme(), 0.2), "holds ndarray, None"),
        (lambda: Network((np.ones((1, 1)), NEURON), Scheme(), 0.2), "layers are a tuple"),
        (lambda: Network(3, Scheme(), 0.2), "layers are a int"),
        (lambda: network().forward([0.1]), "spikes are a list; accepted: SpikeTrains"),
        (lambda: network().potential([0.1], 0.0), "spikes are a list"),
        (lambda: network().potential(TRAINS, [0.0, np.nan]), r"times\[1\] is nan"),
        (lambda: network().potential(TRAINS, "0"), "times are <U1"),
        (lambda: encoding.latency(np.ones((1, 2)), -1.0), "window is -1.0"),
        (lambda: encoding.latency(np.ones((1, 2)), np.nan), "window is nan"),
        (lambda: encoding.latency(np.zeros((1, 2)), p_max=0), "p_max is 0"),
        (lambda: encoding.latency(np.ones((1, 2), bool)), "images are bool"),
        (lambda: presets.resolve("digits", {"learning_rate": True}), "learning_rate is True"),
        (lambda: presets.resolve("digits", {"batch_size": True}), "batch_size is True"),
        (lambda: presets.resolve("digits", {"epochs": True}), "epochs is True"),
        (lambda: presets.resolve("digits", {"target_true": np.nan}), "target_true is nan"),
    ],
)  # fmt: skip
def test_rough_edges_are_refused_in_one_line(call, message):
    with refused(message):
        call()


@pytest.mark.parametrize("method, order, dt", [("exact", None, None), ("ps", 3, 0.1)])
@pytest.mark.parametrize("how", ["dense", "linear", "none"])
def test_one_forward_pass_has_both_gradients(method, order, dt, how):
    dt = 0.1 if how == "none" else dt

    def passed(gradient):
        net = network(Scheme(method, order, dt, how, gradient))
        n = len(net.forward(TRAINS).times)
        assert n
        return net, np.cos(np.arange(n))

    def flat(found):
        return [*found[0], found[1]]

    kinds = ("piggyback",) if how == "none" else ("adjusted", "piggyback")
    expected = {}
    for kind in kinds:
        net, e = passed(kind)
        expected[kind] = flat(net.backward(e, input_gradient=True))
    for own in kinds:
        net, e = passed(own)
        for asked in (*kinds, None, *kinds[::-1]):
            found = flat(net.backward(e, input_gradient=True, gradient=asked))
            assert all(np.array_equal(a, b) for a, b in zip(found, expected[asked or own]))
    same = all(np.array_equal(a, b) for a, b in zip(*[expected[kind] for kind in kinds * 2][:2]))
    assert same == (how == "none" or (method, how) == ("exact", "dense"))
    with refused("gradient is 'exact'; accepted: adjusted, piggyback"):
        net.backward(e, gradient="exact")
    if how == "none":
        with refused("gradient is 'adjusted'; accepted: piggyback where interpolation is 'none'"):
            net.backward(e, gradient="adjusted")
    with pytest.raises(AttributeError):
        net.scheme = Scheme()


def test_a_layer_that_is_not_there_is_named():
    for layer in (2, -3, True, 0.0, "0"):
        with refused("layer is .*accepted: an integer from -2 to 1", IndexError):
            network().potential(TRAINS, 0.0, layer)


def test_weights_that_can_not_be_used_as_they_are_are_copied_with_one_warning():
    plain = np.random.default_rng(0).normal(3.0, 1.0, (4, 4))
    frozen = plain.copy()
    frozen.setflags(write=False)
    strided = np.zeros((4, 8))
    strided[:, ::2] = plain
    expected = Network([(plain, NEURON)] * 2, Scheme(), 2.0)
    spikes = SpikeTrains.from_samples([([0.1, 0.2, 0.3], [0, 1, 3])], 4)
    for w in (np.asfortranarray(plain), frozen, strided[:, ::2]):
        with pytest.warns(UserWarning, match="weights of layer 0, 1 are not C-contiguous") as seen:
            net = Network([(w, NEURON)] * 2, Scheme(), 2.0)
        assert len(seen) == 1
        assert net.forward(spikes) == expected.forward(spikes)
        assert len(net.layers[1].spikes.times) and not np.may_share_memory(net.weights[0], w)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Network([(plain, NEURON)], Scheme(), 2.0).weights[0] is plain
        Network([([[1.0]], NEURON)], Scheme(), 2.0)


def test_assigned_weights_are_those_that_are_simulated():
    net, new = network(), np.full((2, 4), 5.0)
    arrays = net.weights
    net.weights[0] = new
    net.layers[1].weights = np.full((4, 3), 6.0)
    net.weights[0] *= 2.0
    net.layers[1].weights += 1.0
    assert (net.weights[0] == 10.0).all() and (net.weights[1] == 7.0).all()
    assert all(a is b for a, b in zip(arrays, net.weights)) and (new == 5.0).all()
    for wrong in (np.ones((4, 2)), 1.0, [["a"] * 4] * 2, np.full((2, 4), np.nan)):
        with refused("weights of layer 0 (are|hold)"):
            net.weights[0] = wrong
    with refused("weights of the layer"):
        net.layers[0].weights = np.ones((3, 4))
    with pytest.raises(AttributeError):
        net.weights = []


def test_copies_of_a_network_share_their_weights_or_not_and_never_a_pass():
    net = network()
    n = len(net.forward(TRAINS).times)
    expected = net.backward(np.ones(n))
    shallow, deep = copy.copy(net), copy.deepcopy(net)
    pickled = pickle.loads(pickle.dumps(net))
    assert shallow.weights[0] is net.weights[0]
    for one in (deep, pickled):
        assert one.weights[0] is not net.weights[0] and (one.weights[0] == net.weights[0]).all()
    for one in (shallow, deep, pickled):
        assert one.scheme == net.scheme and one.layers[0].neuron == NEURON
        with refused("run forward before backward"):
            one.backward(np.ones(n))
        assert one.forward(TRAINS.select([2, 1, 0, 1, 1])) != net.layers[-1].spikes
    assert all((a == b).all() for a, b in zip(expected, net.backward(np.ones(n))))
    for one in (NEURON, net.scheme):
        assert copy.deepcopy(one) == copy.copy(one) == pickle.loads(pickle.dumps(one)) == one
