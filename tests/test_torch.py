"""lifnum.torch: the same bits as Network, and what PyTorch expects of a module."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import lifnum

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install '.[torch]'")

from lifnum.torch import LIFLayer, LIFSequential, Spikes, collate  # noqa: E402

NEURON = lifnum.Neuron(tau_s=0.13, tau=0.26, theta=0.03)


def separated_inputs(batch, n_neurons, n_spikes, seed=0):
    """Input spikes of which no two are close: small changes of their times keep their order."""
    generator = np.random.default_rng(seed)
    samples = []
    for _ in range(batch):
        times = np.linspace(0.0, 0.1, n_spikes) + generator.uniform(0.0, 2e-3, n_spikes)
        samples.append((times, generator.integers(0, n_neurons, n_spikes)))
    return Spikes.of(lifnum.SpikeTrains.from_samples(samples, n_neurons))


def layers(*sizes, scheme, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(*(
        LIFLayer(n_in, n_out, NEURON, scheme, 0.2, dtype)
        for n_in, n_out in itertools.pairwise(sizes)
    ))  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scheme", [
    lifnum.Scheme(),
    lifnum.Scheme("ps", 3, 5e-3),
    lifnum.Scheme("euler", dt=2e-3, interpolation="linear"),
    lifnum.Scheme("euler", dt=2e-3, interpolation="none"),
], ids=lambda scheme: scheme.label)  # fmt: skip
def test_a_chain_of_layers_gives_the_bits_of_a_network(scheme, dtype):
    chain, inputs = layers(12, 17, 5, scheme=scheme, dtype=dtype), separated_inputs(3, 12, 20)
    inputs.times.requires_grad_(True)
    out = chain(inputs)
    d_times = np.cos(np.arange(len(out.times)))
    (out.times * torch.from_numpy(d_times)).sum().backward()
    weights = [layer.weight.detach().numpy() for layer in chain]
    net = lifnum.Network([(w, NEURON) for w in weights], scheme, 0.2)
    expected = net.forward(inputs._trains)
    gradients, d_in = net.backward(d_times, input_gradient=True)
    assert len(expected.times) > 10
    np.testing.assert_array_equal(out.times.detach().numpy(), expected.times)
    np.testing.assert_array_equal(out.indices.numpy(), expected.indices)
    for layer, gradient in zip(chain, gradients):
        np.testing.assert_array_equal(layer.weight.grad.numpy(), gradient)
    np.testing.assert_array_equal(inputs.times.grad.numpy(), d_in)


def test_layers_in_a_row_are_one_step_of_autograd_with_the_same_bits():
    chain, inputs = layers(12, 17, 5, scheme=lifnum.Scheme()), separated_inputs(3, 12, 20)
    inputs.times.requires_grad_(True)
    found = []
    for net in (chain, LIFSequential(*chain)):
        net.zero_grad()
        inputs.times.grad = None
        out = net(inputs)
        assert len(out.times) > 10
        (out.times * torch.cos(torch.arange(len(out.times)))).sum().backward()
        found.append([out.times.detach(), out.indices, out.offsets, inputs.times.grad,
                      *(layer.weight.grad for layer in net)])  # fmt: skip
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    net = LIFSequential(*chain)
    assert net.state_dict().keys() == chain.state_dict().keys()
    other = copy.deepcopy(net)
    with torch.no_grad():
        other[0].weight *= 2
    assert not torch.equal(other(inputs).times, found[0][0])
    torch.testing.assert_close(net(inputs).times.detach(), found[0][0], rtol=0, atol=0)
    net[1].weight.requires_grad_(False)
    net.zero_grad()
    net(inputs).times.sum().backward()
    assert net[1].weight.grad is None and net[0].weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="scheme of layer 1 is"):
        LIFSequential(*chain[:1], *layers(17, 5, scheme=lifnum.Scheme("ps", 3, 5e-3)))
    with pytest.raises(ValueError, match="layer 1 is a ReLU; accepted: LIFLayer"):
        LIFSequential(chain[0], torch.nn.ReLU())


@pytest.mark.parametrize("scheme", [
    lifnum.Scheme("ps", 3, 2e-2),
    lifnum.Scheme("euler", dt=2e-2, interpolation="linear"),
    lifnum.Scheme(),
], ids=lambda scheme: scheme.label)  # fmt: skip
def test_gradcheck_of_pytorch_passes(scheme):
    chain, inputs = layers(4, 5, 3, scheme=scheme), separated_inputs(2, 4, 6)

    def simulate(times, *weights):
        spikes = Spikes(times, inputs.indices, inputs.offsets, 4)
        for layer, weight in zip(chain, weights):
            spikes = torch.func.functional_call(layer, {"weight": weight}, (spikes,))
        return spikes.times

    arguments = [inputs.times.clone().requires_grad_(True)]
    arguments += [layer.weight.detach().clone().requires_grad_(True) for layer in chain]
    assert len(simulate(*arguments)) > 5
    assert torch.autograd.gradcheck(simulate, arguments, eps=1e-7, atol=1e-5, rtol=1e-4)


def test_a_layer_that_is_used_twice_before_going_back_keeps_both_passes():
    layer, (a, b) = layers(6, 6, scheme=lifnum.Scheme())[0], (
        separated_inputs(2, 6, 9, seed) for seed in (1, 2))  # fmt: skip
    layer(a).times.sum().backward()
    alone = layer.weight.grad.clone()
    layer.weight.grad = None
    first = layer(a)
    second = layer(b)
    first.times.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), alone.numpy())
    second.times.sum().backward()
    assert not torch.equal(layer.weight.grad, alone)


def test_networks_are_used_again_and_weights_changed_meanwhile_are_refused():
    layer, inputs = layers(6, 4, scheme=lifnum.Scheme())[0], separated_inputs(2, 6, 9)
    for _ in range(3):
        layer(inputs).times.sum().backward()
    assert len(layer._free) == 1
    out = layer(inputs)
    with torch.no_grad():
        layer.weight += 0.01
    with pytest.raises(RuntimeError, match="inplace"):
        out.times.sum().backward()


def test_the_loss_of_counts_has_the_convention_of_spike_count():
    from lifnum.losses import SpikeCount

    chain, inputs = layers(12, 5, scheme=lifnum.Scheme()), separated_inputs(4, 12, 20)
    labels = np.array([0, 3, 1, 4])
    out = chain(inputs)
    targets = torch.full((4, 5), 3.0).double()
    targets[torch.arange(4), torch.from_numpy(labels)] = 15.0
    loss = 0.5 * ((out.counts() - targets) ** 2).sum()
    loss.backward()
    net = lifnum.Network([(chain[0].weight.detach().numpy(), NEURON)], lifnum.Scheme(), 0.2)
    values, d_times = SpikeCount()(net.forward(inputs._trains), labels)
    assert loss.item() == values.sum()
    np.testing.assert_array_equal(chain[0].weight.grad.numpy(), net.backward(d_times)[0])


def test_first_times_carry_their_gradient_and_silence_has_none():
    spikes = Spikes(torch.tensor([0.1, 0.2, 0.3], requires_grad=True, dtype=torch.float64),
                    [1, 1, 0], [0, 2, 3], 2)  # fmt: skip
    first = spikes.first_times(9.0)
    assert first.tolist() == [[9.0, 0.1], [0.3, 9.0]]
    (first * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert spikes.times.grad.tolist() == [2.0, 0.0, 3.0]


def test_copies_pickles_and_state_dicts_have_weights_of_their_own():
    layer, inputs = layers(6, 4, scheme=lifnum.Scheme())[0], separated_inputs(2, 6, 9)
    expected = layer(inputs).times.detach()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with torch.no_grad():
            other.weight *= 2
        assert not torch.equal(other(inputs).times, expected)
        torch.testing.assert_close(layer(inputs).times, expected, rtol=0, atol=0)
        other.load_state_dict(layer.state_dict())
        torch.testing.assert_close(other(inputs).times, expected, rtol=0, atol=0)


def test_a_layer_of_a_model_has_the_bits_of_a_network():
    rng = np.random.default_rng(0)
    model = lifnum.models.izhikevich()
    scheme = lifnum.Scheme("rk4", dt=0.5, interpolation="linear")
    weights = [rng.uniform(-5, 40, shape) for shape in ((6, 5), (5, 3))]
    layers_ = [LIFLayer(*w.shape, model, scheme, 50.0, torch.float64) for w in weights]
    with torch.no_grad():
        for layer, w in zip(layers_, weights, strict=True):
            layer.weight.copy_(torch.from_numpy(w))
    samples = [(np.sort(rng.uniform(0, 30, 20)), rng.integers(0, 6, 20)) for _ in range(3)]
    inputs = lifnum.SpikeTrains.from_samples(samples, 6)
    out = torch.nn.Sequential(*layers_)(Spikes.of(inputs))
    out.times.sum().backward()
    net = lifnum.Network([(w, model) for w in weights], scheme, 50.0)
    expected = net.forward(inputs)
    assert len(expected.times) > 5
    np.testing.assert_array_equal(out.times.detach(), expected.times)
    gradients = net.backward(np.ones(len(expected.times)))
    for layer, gradient in zip(layers_, gradients, strict=True):
        np.testing.assert_array_equal(layer.weight.grad, gradient)


def test_an_optimiser_and_a_data_loader_train_a_layer():
    generator = np.random.default_rng(0)
    # class 0 spikes on the first half of the inputs, class 1 on the second
    samples = [
        ((np.sort(generator.uniform(0, 0.1, 8)), generator.integers(0, 6, 8) + 6 * label), label)
        for label in generator.integers(0, 2, 60)
    ]
    loader = torch.utils.data.DataLoader(
        samples, batch_size=10, shuffle=True, generator=torch.Generator().manual_seed(0),
        collate_fn=lambda rows: collate(rows, 12),
    )  # fmt: skip
    net = layers(12, 2, scheme=lifnum.Scheme("ps", 2, 1e-2), dtype=torch.float32)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.05)
    for _ in range(8):
        for inputs, labels in loader:
            optimizer.zero_grad()
            counts = net(inputs).counts()
            targets = torch.where(torch.nn.functional.one_hot(labels, 2) == 1, 8.0, 1.0)
            (0.5 * (counts - targets) ** 2).sum(axis=1).mean().backward()
            optimizer.step()
    inputs, labels = collate(samples, 12)
    assert (net(inputs).counts().argmax(axis=1) == labels).double().mean() > 0.95


@pytest.mark.parametrize(("call", "words"), [
    (lambda: LIFLayer(2, 2, "lif"), "neuron is 'lif'; accepted"),
    (lambda: LIFLayer(2, 2, NEURON, lifnum.Scheme("euler", dt=0.1, interpolation="none",
                                                  gradient="surrogate")),
     "gradient is 'surrogate'; accepted: adjusted, piggyback"),
    (lambda: LIFLayer(2, 2, NEURON, dtype=torch.int32), "dtype is torch.int32; accepted"),
    (lambda: LIFLayer(2, 2, NEURON, duration=-1.0), "duration is -1.0; accepted"),
    (lambda: LIFLayer(2, 2, NEURON)(torch.zeros(3)), "spikes are Tensor; accepted"),
    (lambda: LIFLayer(2, 2, NEURON)(separated_inputs(1, 3, 2)), "3 neurons; accepted: 2"),
    (lambda: Spikes([-1.0], [0], [0, 1], 1), "times"),
    (lambda: Spikes(torch.zeros(1, device="meta"), [0], [0, 1], 1), "meta; accepted: cpu"),
])  # fmt: skip
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as refused:
        call()
    assert "\n" not in str(refused.value)
