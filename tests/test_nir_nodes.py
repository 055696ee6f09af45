"""lifnum.nir: what exactly comes back from a file, and nodes that are refused by their name."""

import numpy as np
import pytest
from helpers import refused

import lifnum

nir = pytest.importorskip("nir", reason="NIR is an extra: pip install '.[nir]'")

from lifnum.nir import GraphError, from_graph, lif, read, to_graph, write  # noqa: E402

SCHEME = lifnum.Scheme("exponential-euler", dt=0.01)


def network(neuron, dtype=np.float64):
    weights = np.random.default_rng(0).uniform(-1, 1, (3, 4)).astype(dtype)
    return lifnum.Network([(weights, neuron)], SCHEME, 0.2)


def through(path, net, **options):
    write(path, net, **options)
    return read(path, SCHEME, 0.2, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("neuron", [
    lifnum.Neuron(0.013, 0.027, 0.7, 0.1),  # 0.7 - (0.7 - 0.1) is 0.09999999999999998
    lifnum.Neuron(0.013, 0.027, 0.7, 0.9, 5),
    lifnum.Neuron(0.01, 0.02, 1e-3, 1e16),
    lif(),
    lif(tau=0.03, v_leak=-1.0, max_spikes=3),
    lif(tau=[0.01, 0.02, 0.03, 0.04], v_reset=-0.5),
], ids=str)  # fmt: skip
def test_neurons_and_weights_come_back_equal(neuron, dtype, tmp_path):
    net = network(neuron, dtype)
    back = through(tmp_path / "net.nir", net)
    assert back.layers[0].neuron == neuron
    assert back.weights[0].dtype == dtype
    np.testing.assert_array_equal(back.weights[0], net.weights[0])


def test_an_array_of_one_value_comes_back_as_the_number(tmp_path):
    back = through(tmp_path / "net.nir", network(lif(tau=np.full(4, 0.03))))
    assert back.layers[0].neuron == lif(tau=0.03)


def test_with_a_spike_width_weights_and_heights_are_in_another_unit(tmp_path):
    neuron, width = lifnum.Neuron(0.013, 0.027, 0.7, 0.1), 1e-4
    net = network(neuron)
    back = through(tmp_path / "net.nir", net, spike_width=width)
    found = back.layers[0].neuron
    assert (found.tau_s, found.tau, found.max_spikes) == (0.013, 0.027, neuron.max_spikes)
    # each number is rounded once or twice
    np.testing.assert_allclose(found.theta * width, 0.7, rtol=1e-15)
    np.testing.assert_allclose(found.delta_theta * width, 0.1, rtol=1e-14)
    np.testing.assert_allclose(back.weights[0] * width, net.weights[0], rtol=1e-15)


def test_a_height_that_the_reset_contradicts_is_not_believed():
    graph = to_graph(network(lifnum.Neuron(0.013, 0.027, 0.7, 0.1)))
    graph.nodes["lif_0"].v_reset[:] = 0.2
    assert from_graph(graph, SCHEME, 0.2).layers[0].neuron.delta_theta == 0.7 - 0.2


@pytest.mark.parametrize("neuron", [lifnum.Neuron(), lif()], ids=["CubaLIF", "LIF"])
@pytest.mark.parametrize("value", [None, "many", 2.7, 0, True, 10**30, [3]])
def test_a_cap_that_is_no_integer_is_refused_by_node(neuron, value):
    graph = to_graph(network(neuron))
    graph.nodes["lif_0"].metadata["max_spikes"] = value
    with refused("max_spikes of node 'lif_0' is .*; accepted: an integer", GraphError):
        from_graph(graph, SCHEME, 0.2)
    graph.nodes["lif_0"].metadata["max_spikes"] = np.array(6)
    assert from_graph(graph, SCHEME, 0.2).layers[0].neuron.max_spikes == 6


@pytest.mark.parametrize(("field", "value", "words"), [
    ("r", np.full(4, np.inf), "r of node 'lif_0' is inf; accepted: finite"),
    ("w_in", np.full(4, np.nan), "w_in of node 'lif_0' is nan; accepted: finite"),
    ("r", np.ones(5), r"r of node 'lif_0' is float64 of shape \(5,\); accepted: .*\(4,\)"),
    ("v_reset", np.zeros(4, complex), "v_reset of node 'lif_0' is complex128"),
])  # fmt: skip
def test_parameters_that_are_no_numbers_are_refused_by_node(field, value, words):
    graph = to_graph(network(lifnum.Neuron()))
    setattr(graph.nodes["lif_0"], field, value)
    with refused(words, GraphError):
        from_graph(graph, SCHEME, 0.2)


@pytest.mark.parametrize("dtype", ["flt", "float16", int, "complex128"])
def test_another_type_of_weights_is_refused(dtype):
    graph = to_graph(network(lifnum.Neuron()))
    with refused("dtype is .*; accepted: float32, float64"):
        from_graph(graph, SCHEME, 0.2, dtype=dtype)
    assert from_graph(graph, SCHEME, 0.2, dtype="float32").dtype == np.float32


@pytest.mark.parametrize("cap", [10**30, 2**62 + 1, 0, 2.0, True, None, "3"])
def test_a_cap_on_spikes_is_an_integer_that_the_kernels_hold(cap):
    for make in (lifnum.Neuron, lif, lifnum.models.izhikevich):
        with refused("max_spikes is .*; accepted: an integer >= 1, at most 2\\^62"):
            make(max_spikes=cap)


@pytest.mark.parametrize("make", [lifnum.Neuron, lif])
def test_the_largest_cap_simulates(make):
    spikes = lifnum.SpikeTrains([0.01, 0.02], [0, 1], [0, 2], 3)
    found = []
    for cap in (2**62, 1000):
        net = lifnum.Network([(np.full((3, 4), 100.0), make(max_spikes=cap))], SCHEME, 0.2)
        found.append(net.forward(spikes))
    assert len(found[0].times) > 0 and found[0] == found[1]
