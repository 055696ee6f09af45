"""Weights of lifnum.torch that are not plain parameters, and times that were changed in place."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import lifnum

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install '.[torch]'")

import torch.nn.utils.parametrizations as parametrizations  # noqa: E402
from torch.nn.utils import parametrize, prune  # noqa: E402

from lifnum.torch import LIFLayer, LIFSequential, Spikes  # noqa: E402

NEURON = lifnum.Neuron(tau_s=0.13, tau=0.26, theta=0.03)
SCHEME = lifnum.Scheme("ps", 3, 5e-3)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.manual_seed(0)
        yield


def inputs(n_neurons=6):
    generator = np.random.default_rng(0)
    samples = [
        (np.sort(generator.uniform(0, 0.1, 12)), generator.integers(0, n_neurons, 12))
        for _ in range(3)
    ]
    return Spikes.of(lifnum.SpikeTrains.from_samples(samples, n_neurons))


def layer(n_in=6, n_out=4, dtype=torch.float64):
    return LIFLayer(n_in, n_out, NEURON, SCHEME, 0.2, dtype)


def expected(weights, spikes):
    """Output of a Network on these weights, and the gradient of the sum of its times."""
    net = lifnum.Network([(np.array(w, order="C"), NEURON) for w in weights], SCHEME, 0.2)
    out = net.forward(spikes._trains)
    assert len(out.times) > 5
    return out.times, net.backward(np.ones(len(out.times)))


def unaligned():
    """A parameter that no array of NumPy's with whole addresses shares."""
    values = np.random.default_rng(1).uniform(-1, 1, (6, 4)).tobytes()
    tensor = torch.frombuffer(bytearray(b"\0" + values), dtype=torch.float64, offset=1)
    return torch.nn.Parameter(tensor.reshape(6, 4))


@pytest.mark.parametrize("weight", [
    lambda: torch.nn.Parameter(torch.rand(4, 6, dtype=torch.float64).t()),
    lambda: torch.nn.Parameter(torch.rand(12, 8, dtype=torch.float64)[::2, ::2]),
    unaligned,
], ids=["transposed", "every-second", "unaligned"])  # fmt: skip
def test_weights_of_any_strides_train_with_the_bits_of_a_network(weight):
    spikes, one = inputs(), layer()
    one.weight = weight()
    optimizer = torch.optim.SGD(one.parameters(), lr=1e-2)
    for _ in range(4):
        one.zero_grad()
        now = one.weight.detach().clone(memory_format=torch.contiguous_format)
        out = one(spikes)
        out.times.sum().backward()
        times, (gradient,) = expected([now.numpy()], spikes)
        np.testing.assert_array_equal(out.times.detach(), times)
        np.testing.assert_array_equal(one.weight.grad, gradient)
        optimizer.step()
    assert not torch.equal(one.weight, now)


def test_weights_that_were_transposed_in_place_are_simulated_as_they_are():
    spikes, one = inputs(5), layer(5, 5)
    with torch.no_grad():
        one.weight.copy_(torch.rand(5, 5) * torch.arange(1, 6))
        before = one(spikes).times
        one.weight.data = one.weight.data.t()
        out = one(spikes)
    np.testing.assert_array_equal(out.times, expected([one.weight.detach().numpy()], spikes)[0])
    assert len(before) != len(out.times) or not torch.equal(before, out.times)


class _Absolute(torch.nn.Module):
    def forward(self, weight):
        return weight.abs()


@pytest.mark.parametrize("change", [
    parametrizations.weight_norm,
    lambda one: parametrize.register_parametrization(one, "weight", _Absolute()),
    lambda one: prune.l1_unstructured(one, "weight", 0.5),
], ids=["weight-norm", "absolute", "pruned"])  # fmt: skip
@pytest.mark.parametrize("in_a_row", [False, True])
def test_parametrized_and_pruned_layers_train(change, in_a_row):
    spikes, rows = inputs(), [layer(6, 7), layer(7, 4)]
    for one in rows:
        with torch.no_grad():
            one.weight.uniform_(0, 1)
        change(one)
    net = (LIFSequential if in_a_row else torch.nn.Sequential)(*rows)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        out = net(spikes)
        weights = [one.weight.detach().numpy().copy() for one in rows]
        times, _ = expected(weights, spikes)
        np.testing.assert_array_equal(out.times.detach(), times)
        out.times.sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())
        seen.append(weights[0])
        optimizer.step()
    assert not np.array_equal(seen[1], seen[2])


def test_a_copy_of_a_parametrized_layer_has_weights_of_its_own():
    spikes, one = inputs(), layer()
    parametrize.register_parametrization(one, "weight", _Absolute())
    times = one(spikes).times.detach()
    other = copy.deepcopy(one)
    with torch.no_grad():
        other.parametrizations.weight.original.mul_(2)
    assert not torch.equal(other(spikes).times, times)
    torch.testing.assert_close(one(spikes).times.detach(), times, rtol=0, atol=0)


def test_the_gradient_of_a_parametrized_weight_is_that_of_the_chain_rule():
    spikes, one = inputs(), layer()
    parametrize.register_parametrization(one, "weight", _Absolute())
    original = one.parametrizations.weight.original
    one(spikes).times.sum().backward()
    _, (gradient,) = expected([one.weight.detach().numpy()], spikes)
    signs = np.sign(original.detach().numpy())
    assert (signs < 0).any()
    np.testing.assert_array_equal(original.grad, gradient * signs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64])
def test_weights_of_another_type_are_refused_by_their_type(dtype):
    one = layer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of complex modules
        one.to(dtype)
    words = rf"weight of layer 0 is {dtype}; accepted: torch.float32, torch.float64$"
    with pytest.raises(ValueError, match=words):
        one(inputs())


def test_times_that_were_changed_in_place_are_refused():
    times = torch.nn.Parameter(torch.tensor([0.01, 0.02], dtype=torch.float64))
    with torch.no_grad():
        times.add_(0.01)
    spikes, one = Spikes(times, [1, 2], [0, 2], 6), layer()
    for same in (spikes, copy.copy(spikes), copy.deepcopy(spikes)):
        assert torch.equal(one(same).times, one(spikes).times)
    with torch.no_grad():
        times.add_(0.05)
    words = "times were changed in place after Spikes were made of them; accepted: new Spikes"
    for use in (one, Spikes.counts, lambda x: x.first_times(1.0), pickle.dumps):
        with pytest.raises(ValueError, match=words):
            use(spikes)
    with torch.no_grad():
        later = one(Spikes(times, [1, 2], [0, 2], 6))
        later.times.add_(0.01)
    with pytest.raises(ValueError, match="times were changed in place"):
        later.counts()
    with torch.inference_mode():
        assert one(Spikes([0.01], [1], [0, 1], 6)).counts().shape == (1, 4)


@pytest.mark.parametrize(("arguments", "words"), [
    (([0.1, 0.2], [1.7, 2.9], [0, 2]), "indices are float64"),
    (([0.1, 0.2], torch.tensor([1.0, 2.0]), [0, 2]), "indices are float32"),
    (([0.1, 0.2], [True, False], [0, 2]), "indices are bool"),
    (([0.1, 0.2], [1, 2], [0.0, 2.4]), "offsets are float64"),
    (([0.1, 0.2], [1, 2], torch.tensor([0.0, 2.4])), "offsets are float32"),
    (([0.1j, 0.2j], [1, 2], [0, 2]), "times are complex128"),
    ((torch.tensor([0.1j, 0.2j]), [1, 2], [0, 2]), "times are complex64"),
    ((["a", "b"], [1, 2], [0, 2]), "times are <U1"),
    (([0.1, 0.2], torch.tensor([1.0, 2.0], dtype=torch.bfloat16), [0, 2]), "torch.bfloat16"),
], ids=str)  # fmt: skip
def test_arrays_of_another_type_are_refused_as_by_spike_trains(arguments, words):
    with pytest.raises(ValueError, match=f"{words}.*; accepted: ") as refused:
        Spikes(*arguments, 5)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_times_of_other_real_types_are_converted_and_keep_their_gradient(dtype):
    times = torch.tensor([0, 1], dtype=dtype)
    if dtype.is_floating_point:
        times.requires_grad_(True)
    spikes = Spikes(times, torch.tensor([1, 2], dtype=torch.int16), np.array([0, 2]), 5)
    assert spikes.times.dtype == torch.float64 and spikes.times.tolist() == [0.0, 1.0]
    assert spikes.indices.tolist() == [1, 2] and spikes.offsets.tolist() == [0, 2]
    assert spikes.times.requires_grad == dtype.is_floating_point


@pytest.mark.parametrize(("name", "value"), [
    ("scheme", lifnum.Scheme("euler", dt=2e-2)), ("duration", 0.12),
    ("neuron", lifnum.Neuron(tau_s=0.05, tau=0.1, theta=0.03)),
])  # fmt: skip
def test_attributes_that_are_set_after_a_forward_pass_count(name, value):
    one, spikes = layer(), inputs()
    with torch.no_grad():
        before = one(spikes).times
        setattr(one, name, value)
        own = {"neuron": NEURON, "scheme": SCHEME, "duration": 0.2} | {name: value}
        net = lifnum.Network([(one.weight.numpy().copy(), own["neuron"])], own["scheme"],
                             own["duration"])  # fmt: skip
        expected_times = net.forward(spikes._trains).times
        assert np.array_equal(one(spikes).times.numpy(), expected_times)
        assert not np.array_equal(before.numpy(), expected_times)
