"""lifnum.nir: what is written comes back to the bit, what cannot be represented is refused."""

import math

import numpy as np
import pytest

import lifnum

nir = pytest.importorskip("nir", reason="NIR is an extra: pip install '.[nir]'")

from lifnum.nir import GraphError, from_graph, lif, read, write  # noqa: E402

SCHEME, DURATION = lifnum.Scheme(), 0.3


def network(dtype=np.float64, seed=0, neurons=None):
    generator = np.random.default_rng(seed)
    neurons = neurons or (
        lifnum.Neuron(0.1, 0.13, 0.07, 0.05, 7), lifnum.Neuron(0.02, 0.013, 0.011)
    )  # fmt: skip
    shapes = (9, 14), (14, 4)
    return lifnum.Network(
        [(generator.uniform(-0.5, 1, shape).astype(dtype), neuron)
         for shape, neuron in zip(shapes, neurons)],
        SCHEME, DURATION,
    )  # fmt: skip


def spikes():
    generator = np.random.default_rng(3)
    return lifnum.SpikeTrains.from_samples(
        [(generator.uniform(0, 0.2, 30), generator.integers(0, 9, 30)) for _ in range(4)], 9
    )


def cubalif(n=1, **changes):
    fields = {"tau_syn": 0.1, "tau_mem": 0.2, "r": 0.2, "v_leak": 0.0, "v_threshold": 1.0,
              "v_reset": 0.0, "w_in": 0.1} | changes  # fmt: skip
    return nir.CubaLIF(**{name: np.full(n, value) for name, value in fields.items()})


def lif_node(n=1, **changes):
    fields = {"tau": 0.02, "r": 0.02, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{name: np.full(n, value) for name, value in fields.items()})


def chain(*nodes):
    return nir.NIRGraph.from_list(*nodes, type_check=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_comes_back_from_a_file_to_the_bit(dtype, tmp_path):
    net = network(dtype)
    write(tmp_path / "net.nir", net)
    back = read(tmp_path / "net.nir", SCHEME, DURATION)
    for w, again in zip(net.weights, back.weights):
        assert again.dtype == dtype
        np.testing.assert_array_equal(again, w)
    for layer, again in zip(net.layers, back.layers):
        assert (again.neuron.tau_s, again.neuron.tau) == (layer.neuron.tau_s, layer.neuron.tau)
        assert again.neuron.theta == layer.neuron.theta
        assert again.neuron.max_spikes == layer.neuron.max_spikes
        assert again.dynamics.reset == layer.dynamics.reset
    out, again = net.forward(spikes()), back.forward(spikes())
    assert len(out.times) > 20
    np.testing.assert_array_equal(again.times, out.times)
    np.testing.assert_array_equal(again.indices, out.indices)


def test_the_equations_of_cubalif_are_kept_whatever_its_parameters():
    """Spikes of NIR's equations, integrated here by 4,000 steps of rk4 between events."""
    rng = np.random.default_rng(0)
    n, tau_syn, tau_mem = 5, 0.03, 0.05
    r, w_in, leak = rng.uniform(1, 3, n), rng.uniform(0.05, 0.1, n), rng.uniform(-1, 1, n)
    theta = rng.uniform(0.5, 2, n)
    node = nir.CubaLIF(
        tau_syn=np.full(n, tau_syn), tau_mem=np.full(n, tau_mem), r=r, v_leak=leak,
        v_threshold=leak + theta, v_reset=leak - 0.25 * theta, w_in=w_in,
    )  # fmt: skip
    weights = rng.uniform(0.5, 1.5, (n, 3))
    net = from_graph(chain(nir.Linear(weights), node), SCHEME, 0.1)
    times = np.array([0.0, 0.01, 0.02])
    out = net.forward(lifnum.SpikeTrains.from_samples([(times, [0, 1, 2])], 3))
    h = 0.01 / 4000
    current, v = np.zeros(n), leak.copy()
    found = []

    def slope(i, v):
        return -i / tau_syn, (leak - v + r * i) / tau_mem

    for step in range(40_000):
        if step % 4000 == 0 and step // 4000 < 3:
            current = current + w_in * weights[:, step // 4000] / tau_syn
        k = [slope(current, v)]
        for part in (0.5, 0.5, 1.0):
            k.append(slope(current + part * h * k[-1][0], v + part * h * k[-1][1]))
        before = v
        current, v = (
            x + h / 6 * (k[0][q] + 2 * k[1][q] + 2 * k[2][q] + k[3][q])
            for q, x in enumerate((current, v))
        )
        for j in np.nonzero(v >= leak + theta)[0]:
            share = (leak[j] + theta[j] - before[j]) / (v[j] - before[j])
            found.append((h * (step + share), j))
            # what the jump leaves out: the rest of the step, to first order
            v[j] = leak[j] - 0.25 * theta[j] + (1 - share) * h * slope(
                current[j], leak[j] - 0.25 * theta[j])[1][j]  # fmt: skip
    assert len(found) > 5
    assert [j for _, j in found] == out.indices.tolist()
    # a jump inside a step is of order h^2 here
    np.testing.assert_allclose([t for t, _ in found], out.times, atol=1e-8)


def test_spikes_of_a_width_have_its_area(tmp_path):
    """What a framework does that steps CubaLIF with spikes of 1, here of steps of 1e-4."""
    net, width = network(), 1e-4
    write(tmp_path / "net.nir", net, spike_width=width)
    nodes = nir.read(tmp_path / "net.nir").nodes
    neuron = net.layers[0].neuron
    first = nodes["lif_0"]
    # an input of 1 in one step of Euler: dI = w_in h / tau_syn, then dv = r I h / tau_mem
    np.testing.assert_allclose(first.w_in * width / first.tau_syn, 1.0, rtol=1e-15)
    v = first.r * width / first.tau_mem
    np.testing.assert_allclose(v / first.v_threshold, width / neuron.theta, rtol=1e-15)
    back = read(tmp_path / "net.nir", SCHEME, DURATION, spike_width=width)
    out, again = net.forward(spikes()), back.forward(spikes())
    assert out.indices.tolist() == again.indices.tolist()
    # weights and thresholds were divided by the width
    np.testing.assert_allclose(again.times, out.times, rtol=0, atol=1e-12)
    other = read(tmp_path / "net.nir", SCHEME, DURATION)
    assert other.forward(spikes()).times.max() < 0.1 * out.times.max()
    for wrong in (0.0, -1.0, np.inf, "1"):
        with pytest.raises(ValueError, match="spike_width is"):
            read(tmp_path / "net.nir", SCHEME, DURATION, spike_width=wrong)


def test_two_linear_nodes_are_one_and_a_bias_of_zero_is_none():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(size=(3, 2)), rng.uniform(size=(1, 3))
    net = from_graph(chain(nir.Linear(first), nir.Affine(second, np.zeros(1)), cubalif()),
                     SCHEME, 1.0)  # fmt: skip
    np.testing.assert_allclose(net.weights[0], (second @ first).T, rtol=1e-15)


@pytest.mark.parametrize(("graph", "words"), [
    (chain(nir.Linear(np.ones((1, 1))), lif_node(v_threshold=0.0)), "'lif' is not above v_leak"),
    (chain(nir.Linear(np.ones((1, 1))), lif_node(v_reset=1.5)), "'lif' is not above v_leak and"),
    (chain(nir.Linear(np.ones((1, 1))), lif_node(tau=0.0)), "tau of node 'lif' is 0; accepted"),
    (chain(nir.Linear(np.ones((1, 1))), lif_node(r=np.inf)), "r of node 'lif' is inf; accepted"),
    (chain(lif_node()), "'lif' has no weights"),
    (chain(nir.Affine(np.ones((1, 1)), np.ones(1)), cubalif()), "'affine' has a bias"),
    (chain(cubalif()), "'cubalif' has no weights"),
    (chain(nir.Linear(np.ones((1, 1)))), "does not end with a CubaLIF or LIF"),
    (chain(nir.Linear(np.ones((1, 1))), nir.Threshold(np.ones(1)), cubalif()), "is Threshold"),
    (chain(nir.Linear(np.full((1, 1), np.nan)), cubalif()), "weight of node 'linear'"),
    (chain(nir.Linear(np.ones((1, 1))), cubalif(v_threshold=0.0)), "not above v_leak"),
    (chain(nir.Linear(np.ones((1, 1))), cubalif(tau_mem=-1.0)), "tau_mem of node 'cubalif'"),
    (nir.NIRGraph({"input": nir.Input(np.array([1])), "a": nir.Linear(np.ones((1, 1))),
                   "b": cubalif(), "output": nir.Output(np.array([1]))},
                  [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")], type_check=False),
     "'b' has several successors"),
])  # fmt: skip
def test_what_cannot_be_represented_is_refused_by_name(graph, words):
    with pytest.raises(GraphError, match=words) as refused:
        from_graph(graph, SCHEME, 1.0)
    assert "\n" not in str(refused.value)


def test_neurons_of_different_time_constants_or_resets_are_refused():
    node = cubalif(2)
    node.tau_syn[1] = 0.3
    with pytest.raises(GraphError, match=r"tau_syn of node 'cubalif' is from 0.1 to 0.3"):
        from_graph(chain(nir.Linear(np.ones((2, 1))), node), SCHEME, 1.0)
    node = cubalif(2)
    node.v_reset[1] = 0.3
    with pytest.raises(GraphError, match="v_reset of node 'cubalif'"):
        from_graph(chain(nir.Linear(np.ones((2, 1))), node), SCHEME, 1.0)


def random_lif(n, seed):
    """A LIF node whose neurons all differ."""
    rng = np.random.default_rng(seed)
    tau, leak = rng.uniform(0.01, 0.05, n), rng.uniform(-0.5, 0.5, n)
    return nir.LIF(
        tau=tau, r=rng.uniform(0.5, 2.0, n) * tau, v_leak=leak,
        v_threshold=leak + rng.uniform(0.5, 1.5, n), v_reset=leak - rng.uniform(0.0, 0.5, n),
    )  # fmt: skip


def simulated(linear, node, spikes, duration):
    """NIR's equations of a sample, [(time, neuron)] in plain Python: v decays, then inputs act."""
    found = []
    weights = linear.weight * (node.r / node.tau)[:, None]
    for j in range(len(node.tau)):
        v, now = node.v_leak[j], 0.0
        for time in sorted({time for time, _ in spikes if time < duration}):
            v = node.v_leak[j] + (v - node.v_leak[j]) * math.exp((now - time) / node.tau[j])
            now = time
            v += sum(weights[j, i] for t, i in spikes if t == time)
            if v >= node.v_threshold[j]:
                found.append((time, j))
                v = node.v_reset[j]
    return sorted(found)


def test_the_spikes_of_lif_nodes_are_those_of_a_simulation_in_plain_python():
    rng = np.random.default_rng(4)
    nodes = [
        nir.Linear(rng.uniform(-0.3, 0.9, (12, 9))), random_lif(12, 1),
        nir.Linear(rng.uniform(-0.2, 0.8, (5, 12))), random_lif(5, 2),
    ]  # fmt: skip
    grid = rng.integers(0, 60, (4, 80)) / 256  # many inputs at equal times
    samples = [(np.sort(times), rng.integers(0, 9, 80)) for times in grid]
    trains = lifnum.SpikeTrains.from_samples(samples, 9)
    net = from_graph(chain(*nodes), lifnum.Scheme("exponential-euler", dt=0.05), DURATION)
    net.forward(trains)
    for k in range(4):
        expected = list(zip(*(array.tolist() for array in trains[k])))
        for layer, linear, node in zip(net.layers, nodes[::2], nodes[1::2]):
            expected = simulated(linear, node, expected, DURATION)
            times, indices = layer.spikes[k]
            assert len(expected) > 20
            assert indices.tolist() == [j for _, j in expected]
            # a spike is at the input that made it, to the bit
            np.testing.assert_array_equal(times, [t for t, _ in expected])


@pytest.mark.parametrize("width", [None, 2.0**-10])
def test_lif_nodes_come_back_from_a_file_to_the_bit(width, tmp_path):
    rng = np.random.default_rng(5)
    scheme = lifnum.Scheme("exponential-euler", dt=0.05)
    model = lif(tau=rng.uniform(0.01, 0.05, 4), v_threshold=0.7, v_reset=-0.1, max_spikes=50)
    plain = lifnum.Neuron(0.02, 0.013, 0.011)
    layers = [(rng.uniform(-0.2, 0.8, (9, 4)), model), (rng.uniform(0, 1, (4, 3)), plain)]
    layers.append((rng.uniform(0, 1, (3, 2)), lif(max_spikes=3)))
    if width:  # thresholds of CubaLIF are divided by it
        del layers[1:]
    net = lifnum.Network(layers, scheme, DURATION)
    write(tmp_path / "net.nir", net, spike_width=width)
    back = read(tmp_path / "net.nir", scheme, DURATION, spike_width=width)
    for layer, again in zip(net.layers, back.layers, strict=True):
        np.testing.assert_array_equal(again.weights, layer.weights)
        assert again.neuron.max_spikes == layer.neuron.max_spikes
    # (4,) arrays for numbers, of the same values
    for name, x in model.parameters.items():
        np.testing.assert_array_equal(back.layers[0].neuron.parameters[name], np.full(4, x))
    out, again = net.forward(spikes()), back.forward(spikes())
    assert len(out.times) > 10
    assert again == out


def test_lif_nodes_need_a_method_for_models_and_the_audit_cubalif(tmp_path):
    from lifnum.audit import read_network

    graph = chain(nir.Linear(np.ones((1, 1))), lif_node())
    with pytest.raises(ValueError, match="method is 'exact' for nir-lif"):
        from_graph(graph, SCHEME, 1.0)
    nir.write(tmp_path / "a.nir", graph)
    with pytest.raises(ValueError, match=r"a\.nir: layer 0 is of LIF nodes; accepted: CubaLIF"):
        read_network(tmp_path / "a.nir")


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path):
    import h5py

    (tmp_path / "text.nir").write_text("no HDF5")
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["x"] = 1
    for name in ("text.nir", "other.nir"):
        with pytest.raises((GraphError, OSError), match=name):
            read(tmp_path / name, SCHEME, 1.0)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.nir", SCHEME, 1.0)


def test_a_file_is_replaced_only_if_it_is_one_and_asked_for(tmp_path):
    path, other = tmp_path / "net.nir", network(seed=1)
    write(path, network())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"net\.nir exists; accepted: another name, or overwrite"):
        write(path, other)
    with pytest.raises(ValueError, match="spike_width is 0"):
        write(path, other, spike_width=0, overwrite=True)
    assert path.read_bytes() == before
    write(path, other, overwrite=True)
    back = read(path, SCHEME, DURATION)
    assert all((a == b).all() for a, b in zip(back.weights, other.weights))
    other.save(tmp_path / "own.h5")
    (tmp_path / "text").write_text("mine")
    for name in ("own.h5", "text"):
        before = (tmp_path / name).read_bytes()
        for overwrite in (False, True):
            with pytest.raises(ValueError, match=f"{name} exists; accepted: another name"):
                write(tmp_path / name, other, overwrite=overwrite)
        assert (tmp_path / name).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.nir", "own.h5", "text"]


def test_a_layer_of_a_model_is_refused_by_name(tmp_path):
    layers = [(np.ones((2, 3)), lifnum.Neuron()), (np.ones((3, 2)), lifnum.models.qif())]
    net = lifnum.Network(layers, lifnum.Scheme("euler", dt=0.1), DURATION)
    with pytest.raises(
        GraphError, match=r"layer 1 is of qif; accepted: lifnum\.Neuron, or a Model of lif"
    ):
        write(tmp_path / "a.nir", net)
