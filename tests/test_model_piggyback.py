"""The gradient piggyback of models is the oracle's, and where it is `adjusted`, that."""

import naive_models
import numpy as np
import pytest
from cases import on_their_own, relative_error
from model_cases import N_POST, well_conditioned

from lifnum import Network, Neuron, Scheme, SpikeTrains, models


@pytest.mark.parametrize(
    ("name", "scheme", "interpolation"),
    [("lif", "euler", "none"), ("lif-coba", "rk2", "linear"),
     ("izhikevich", "rk4", "none"), ("izhikevich", "exponential-euler", "linear"),
     ("fitzhugh-nagumo", "rk2", "dense"), ("fitzhugh-nagumo", "euler", "none"),
     pytest.param("hodgkin-huxley", "exponential-euler", "dense", marks=pytest.mark.slow)],
)  # fmt: skip
def test_piggyback_is_the_continuous_adjoint_on_the_numerical_trajectory(
    name, scheme, interpolation
):
    assert check_piggyback(name, scheme, interpolation) == 0


@pytest.mark.parametrize(
    ("name", "scheme", "unbounded"),
    [("izhikevich", Scheme("euler", dt=1.0), True), ("izhikevich", Scheme("rk4", dt=0.5), False),
     ("qif", Scheme("ps", 4, 1.0), False), ("lif-coba", Scheme("rk2", dt=0.5), False),
     ("izhikevich", Scheme("ps", dt=0.5, tolerance=1e-6), False),
     ("lif", Scheme("rk2", dt=0.5, interpolation="none"), False)],
)  # fmt: skip
def test_piggyback_of_vectors_is_that_of_neurons_on_their_own(name, scheme, unbounded):
    """Where a true solution leaves all bounds before a step ends, or needs it in parts, too."""
    rng = np.random.default_rng(0)
    samples = [(rng.uniform(0.0, 60.0, 60), rng.integers(0, 9, 60)) for _ in range(3)]
    net = Network([(rng.uniform(-1.0, 9.0, (9, 20)), models.BUILT_IN[name]())], scheme, 60.0)
    found, layer = [], net.layers[0]
    for _ in range(2):
        out = net.forward(SpikeTrains.from_samples(samples, 9))
        (d_w,), d_times = net.backward(np.cos(out.times), True, gradient="piggyback")
        found.append((out.times, d_w, d_times, layer.n_without_gradient))
        on_their_own(layer)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert len(found[0][0]) > 50 and (found[0][3] > 50 or not unbounded)
    assert found[0][3] == found[1][3]
    for one, other in zip(found[0][1:3], found[1][1:3], strict=True):
        assert relative_error(one, other) <= 1e-12


def check_piggyback(name, scheme, interpolation):
    """Gradients and the number of pieces without one equal the oracle's; the latter."""
    case, spikes = well_conditioned([name], scheme, interpolation, gradient="piggyback")
    d_times = np.random.default_rng(3).normal(size=len(spikes[0]))
    net = case.network()
    net.forward(case.inputs())
    (gradient,), d_inputs = net.backward(d_times, input_gradient=True)
    inputs = list(zip(case.times, case.indices))
    expected, expected_t = np.zeros_like(gradient), np.zeros(len(inputs))
    n_unbounded = 0
    for j in range(N_POST):
        mine = [d for d, q in zip(d_times, spikes[0]) if q.neuron == j]
        d_w, d_t, n = naive_models.continuous_adjoint(
            inputs, case.weights[0][:, j], naive_models.Plain(case.models[0], j), case.scheme,
            case.duration, mine,
        )  # fmt: skip
        np.add.at(expected[:, j], case.indices, d_w)
        expected_t += d_t
        n_unbounded += n
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-9 * scale)
    scale = np.abs(expected_t).max()
    np.testing.assert_allclose(d_inputs, expected_t, rtol=1e-9, atol=1e-9 * scale)
    assert net.layers[0].n_without_gradient == n_unbounded
    return n_unbounded


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "weight"), [("lif", 0.9), ("lif-coba", 5.0)])
@pytest.mark.parametrize(
    "scheme",
    [Scheme("rk4", None, 4.0, "dense", "piggyback"), Scheme("ps", dt=4.0, tolerance=1e-9),
     Scheme("ps", 20, 4.0, gradient="piggyback")],
)  # fmt: skip
def test_a_weight_of_zero_has_the_derivative_of_a_small_one(scheme, name, weight, dtype):
    """Its input finds a neuron at rest, whose series has no terms; that of the derivative has."""
    inputs, found = SpikeTrains.from_samples([([0.0, 4.0], [0, 1])], 2), []
    for small in (0.0, 1e-7):
        weights = np.array([[small], [weight]], dtype)
        net = Network([(weights, models.BUILT_IN[name]())], scheme, 40.0)
        for _ in range(2):
            out = net.forward(inputs)
            assert len(out.times) > 0
            found.append(net.backward(np.eye(1, len(out.times))[0])[0][0, 0])
            on_their_own(net.layers[0])
    assert abs(found[0]) > 1e-3
    np.testing.assert_allclose(found, found[-1], rtol=1e-5)


@pytest.mark.parametrize(
    "scheme",
    [Scheme("ps", dt=2.0, tolerance=1e-10), Scheme("ps", 20, 2.0, gradient="piggyback"),
     Scheme("ps", dt=2.0, tolerance=1e-10, gradient="piggyback"),
     Scheme("rk4", None, 0.01, gradient="piggyback")],
)  # fmt: skip
def test_weights_that_cancel_have_the_derivatives_of_the_linear_neuron(scheme):
    """They leave the neuron at rest, a series of zeros; the derivatives' have all their terms."""
    inputs, found = SpikeTrains.from_samples([([1.0, 1.0, 9.0], [0, 1, 2])], 3), []
    model = models.lif(theta=1.5, delta_theta=1.5)
    for neuron, own in ((Neuron(5.0, 10.0, 1.5), Scheme("exact")), (model, scheme)):
        net = Network([(np.array([[1.0], [-1.0], [1.0]]), neuron)], own, 30.0)
        for _ in range(1 if own.method == "exact" else 2):
            out = net.forward(inputs)
            (d_w,), d_times = net.backward(np.ones(len(out.times)), input_gradient=True)
            found.append(np.append(d_w.ravel(), d_times))
            if own is scheme:
                on_their_own(net.layers[0])
    assert len(out.times) == 2
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-8)


@pytest.mark.parametrize("name", ["qif", "izhikevich", "fitzhugh-nagumo"])
def test_both_gradients_coincide_on_a_trajectory_without_error(name):
    case, spikes = well_conditioned([name], "ps-1e-13")
    d_times = np.random.default_rng(4).normal(size=len(spikes[0]))
    results = []
    for gradient in ("adjusted", "piggyback"):
        scheme = Scheme("ps", None, case.scheme.dt, "dense", gradient, 1e-14)
        net = Network(list(zip(case.weights, case.models)), scheme, case.duration)
        net.forward(case.inputs())
        (d_w,), d_t = net.backward(d_times, input_gradient=True)
        results.append((d_w, d_t))
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * np.abs(one).max())
