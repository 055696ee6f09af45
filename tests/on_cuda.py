"""The GPU's results are the CPU's. `test_cuda` runs this file, on a GPU or on Numba's simulator.

The simulator runs a thread of a block as a thread of Python: layers are tiny there.
"""

import sys

import cases
import numpy as np
import pytest

from lifnum import Network, Neuron, Scheme, SimulationError, SpikeTrains, options, train
from lifnum.cuda import device
from lifnum.cuda.trains import DeviceTrains
from lifnum.data import datasets
from lifnum.files.reader import Trace
from lifnum.losses import CrossEntropy, FirstSpike, SpikeCount, TimeToFirstSpike, VanRossum
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.trainer import Trainer

if device.SIMULATED:
    from numba.cuda.simulator import kernelapi

    def shared_array(self, shape, dtype):
        # the simulator's own looks up and allocates in two moves, between which threads may change
        frame = sys._getframe(1)
        place = frame.f_code, frame.f_lineno
        return self._allocations.setdefault(place, np.empty(shape, dtype))

    kernelapi.FakeCUDAShared.array = shared_array
    sys.setswitchinterval(1e-4)  # threads that wait for each other change often

# conditioning at the smallest slope allowed by `cases` (0.02) and a few dozen spikes, in units of
# rounding, which fused multiplications of a GPU make differ
TIME_TOLERANCE, GRADIENT_TOLERANCE = 1e-10, 1e-9

ALL = [*cases.schemes(["dense", "linear"], "adjusted"),
       *cases.schemes(["dense", "linear", "none"], "piggyback"),
       *(Scheme(tableau, dt=0.15) for tableau in cases.TABLEAUX.values())]  # fmt: skip


def on_gpu(net):
    layers = [(layer.weights.copy(), layer.neuron) for layer in net.layers]
    return Network(layers, net.scheme, net.duration, device="cuda")


def assert_equal_passes(net, spikes, rng, time_tolerance, gradient_tolerance):
    """Forward and backward of the network and of its copy on the GPU."""
    gpu = on_gpu(net)
    out = net.forward(spikes)
    gpu.forward(spikes)
    for one, other in zip(net.layers, gpu.layers):
        assert isinstance(other.spikes, SpikeTrains)
        assert np.array_equal(one.spikes.indices, other.spikes.indices)
        assert np.array_equal(one.spikes.offsets, other.spikes.offsets)
        assert np.abs(one.spikes.times - other.spikes.times).max(initial=0) <= time_tolerance
        for name in ("n_capped", "n_suppressed", "n_unresolved", "n_steps"):
            assert getattr(one, name) == getattr(other, name), name
    e = rng.normal(size=len(out.times))
    gradients, d_inputs = net.backward(e, input_gradient=True)
    our_gradients, our_d_inputs = gpu.backward(e, input_gradient=True)
    for g, h in zip([*gradients, d_inputs], [*our_gradients, our_d_inputs], strict=True):
        assert type(h) is np.ndarray and h.dtype == g.dtype and h.shape == g.shape
        assert np.abs(g - h).max() <= gradient_tolerance * max(1.0, np.abs(g).max())
    for one, other in zip(net.layers, gpu.layers):
        assert one.n_without_gradient == other.n_without_gradient
        assert abs(one.gradient_norm - other.gradient_norm) <= gradient_tolerance * max(
            1.0, one.gradient_norm
        )
    return out


@pytest.mark.parametrize("scheme", ALL, ids=lambda s: f"{cases.label(s)}-{s.gradient}")
def test_every_scheme_equals_the_cpu_in_double_precision(scheme):
    rng = np.random.default_rng(ALL.index(scheme))
    taus = cases.TIME_CONSTANTS[ALL.index(scheme) % len(cases.TIME_CONSTANTS)]
    case = cases.well_conditioned(lambda: cases.Case(rng, scheme, taus, 2), 1)[0][0]
    late = np.array([cases.DURATION, cases.DURATION + 1]), [0, 1]
    spikes = SpikeTrains.from_samples([(case.times, case.indices), ([], []), late], 4)
    assert_equal_passes(case.network(), spikes, rng, TIME_TOLERANCE, GRADIENT_TOLERANCE)


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@pytest.mark.parametrize("method", ["exact", "euler", "ps"])
def test_ties_follow_the_order_of_processing(method, interpolation):
    scheme = Scheme(method, 3 if method == "ps" else None, 0.25, interpolation, "adjusted")
    rng = np.random.default_rng(4)
    case = cases.Case(rng, scheme, (0.4, 0.7), 2)
    spikes = SpikeTrains.from_samples(
        [([0.0, 0.1, 0.25, 0.25, 0.5, 0.61, 0.61, 0.61], [0, 1, 3, 2, 0, 1, 2, 3])], 4
    )
    assert_equal_passes(case.network(), spikes, rng, TIME_TOLERANCE, GRADIENT_TOLERANCE)


@pytest.mark.parametrize("taus", [(1.0, 1.0 + 1e-9), (0.5, 1.0), (1e9, 2e9)], ids=str)
def test_silences_that_underflow_and_endless_time_constants_equal_the_cpu(taus):
    rng = np.random.default_rng(5)
    spikes = SpikeTrains.from_samples([([0.0, 0.5], [0, 1])], 2)
    for duration in (735.0, 740.0, 745.0) if max(taus) < 2.0 else (1.0,):
        weights = np.array([[30.0, 9.0, -8.0], [0.0, 2.0, 40.0]])
        net = Network([(weights, Neuron(*taus, 1.0))], Scheme(), duration)
        out = assert_equal_passes(net, spikes, rng, TIME_TOLERANCE, GRADIENT_TOLERANCE)
        assert {*out.indices.tolist()} == {0, 1, 2}


@pytest.mark.parametrize("scheme", ALL[::7], ids=lambda s: f"{cases.label(s)}-{s.gradient}")
def test_single_precision_equals_the_cpu_within_its_rounding(scheme):
    rng = np.random.default_rng(100 + ALL.index(scheme))
    case = cases.well_conditioned(lambda: cases.Case(rng, scheme, (0.5, 1.0), 2), 1)[0][0]
    case.weights = [w.astype(np.float32) for w in case.weights]
    # 6e-8, amplified by slopes from 0.02 on and by dozens of spikes that follow each other
    assert_equal_passes(case.network(), case.spikes, rng, 1e-4, 1e-3)


@pytest.mark.parametrize("gradient", ["adjusted", "piggyback"])
def test_several_tiles_windows_of_shared_memory_and_the_cap(gradient):
    """More neurons than a block has, more steps and inputs than are held, spikes beyond slots."""
    rng = np.random.default_rng(7)
    scheme = Scheme("ps", 3, 0.02, "dense", gradient)
    weights = [rng.normal(0.15, 0.2, (5, 132)), rng.normal(0.05, 0.2, (132, 3))]
    neurons = [Neuron(0.5, 1.0, 1.0, 0.7, 3), Neuron(0.5, 1.0, 1.0, 0.7, 20)]
    n = 90
    spikes = SpikeTrains.from_samples(
        [(np.sort(rng.uniform(0, 1.5, n)), rng.integers(0, 5, n)) for _ in range(2)], 5
    )
    net = Network(list(zip(weights, neurons)), scheme, 2.0)
    out = assert_equal_passes(net, spikes, rng, TIME_TOLERANCE, GRADIENT_TOLERANCE)
    assert net.layers[0].n_suppressed > 0 and out.counts().max() > 4
    assert np.diff(net.layers[0].spikes.offsets).min() > 64


def test_crossings_that_a_scheme_does_not_resolve_are_counted():
    rng = np.random.default_rng(11)
    weights = rng.uniform(4.0, 12.0, (2, 6))
    layers = [(weights, Neuron(0.5, 1.0, 1.0, 0.3, 1000))]
    spikes = SpikeTrains.from_samples([([0.0, 0.3], [0, 1]), ([0.2], [1])], 2)
    net = Network(layers, Scheme("euler", dt=0.1, interpolation="none"), 1.0)
    assert_equal_passes(net, spikes, rng, TIME_TOLERANCE, GRADIENT_TOLERANCE)
    assert net.layers[0].n_unresolved > 0
    gpu = on_gpu(Network(layers, Scheme("rk2", dt=0.1, interpolation="linear"), 1.0))
    gpu.forward(spikes, count_peaks=True)
    assert gpu.layers[0].n_unresolved is None  # not counted, and not taken for zero


def test_gradients_are_the_same_bits_every_time():
    rng = np.random.default_rng(8)
    case = cases.Case(rng, Scheme("exact"), (0.5, 1.0), 2)
    net = on_gpu(case.network())
    results = []
    for _ in range(2):
        out = net.forward(case.spikes)
        results.append([out.times, *net.backward(np.ones(len(out.times)))])
    for one, other in zip(*results):
        assert (one == other).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's NumPy numbers warn
def test_an_overflow_names_layer_and_sample():
    scheme = Scheme("exact")
    net = Network([(np.full((1, 2), 1e38, np.float32), Neuron())], scheme, 1.0, device="cuda")
    spikes = SpikeTrains.from_samples([([], []), (np.linspace(0, 0.1, 9), [0] * 9)], 1)
    with pytest.raises(SimulationError, match="layer 0, sample 1"):
        net.forward(spikes)


def test_derivatives_by_hidden_spikes_are_refused_in_one_line():
    case = cases.Case(np.random.default_rng(8), Scheme("exact"), (0.5, 1.0), 2)
    net = on_gpu(case.network())
    out = net.forward(case.spikes)
    hidden = {0: np.zeros(len(net.layers[0].spikes.times))}
    with pytest.raises(ValueError, match="device is 'cuda'; accepted: 'cpu' where hidden is given"):
        net.backward(np.ones(len(out.times)), hidden=hidden)


@pytest.mark.parametrize("loss", [
    SpikeCount(3.0, 1.0), TimeToFirstSpike(0.1, 2.0), CrossEntropy(),
    FirstSpike(0.1, 0.5, 0.05, 0.2, 2.0), VanRossum(0.3, 2.0, 3.0, 1.0),
])  # fmt: skip
def test_losses_and_predictions_are_those_of_the_cpu(loss):
    rng = np.random.default_rng(9)
    samples = [(rng.uniform(0, 2, n).round(1), rng.integers(0, 4, n)) for n in (6, 0, 1, 9)]
    spikes, labels = SpikeTrains.from_samples(samples, 4), np.array([0, 1, 2, 3])
    there = DeviceTrains.of(spikes)
    for ours, reference in zip(loss(there, labels), loss(spikes, labels)):
        # exponentials and sums of a handful of terms
        assert np.abs(device.to_host(ours) - reference).max() <= 1e-12
    assert (device.to_host(loss.predict(there)) == loss.predict(spikes)).all()
    rows = np.array([3, 1, 0])
    assert (there.select(rows).host().times == spikes.select(rows).times).all()


def test_a_training_step_moves_no_weights(monkeypatch):
    preset = presets.resolve("digits", {"hidden": (4,), "batch_size": 2})
    data = datasets.load("digits", None, preset.window, 0, 8, 2)
    config = Configuration(preset, Scheme("euler", dt=0.05), device="cuda")
    trainer = Trainer(config, data)
    trainer.step()
    monkeypatch.setattr(device.Mirror, "host", property(lambda mirror: pytest.fail("fetched")))
    trainer.step()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_training_on_digits_reaches_what_the_cpu_reaches(in_tmp, optimizer):
    arguments = ["--method", "euler", "--dt", "0.02", "--hidden", "8", "--limit-train", "40",
                 "--limit-test", "20", "--epochs", "1", "--batch-size", "10", "--dtype", "float64",
                 "--optimizer", optimizer, "--learning-rate", "0.001", "--quiet"]  # fmt: skip
    traces = []
    for where in ("cpu", "cuda"):
        output = ["--device", where, "--output", f"{where}.h5"]
        assert options.run("lifnum.train", train.main, arguments + output) == 0
        traces.append(Trace(f"{where}.h5"))
    one, other = traces
    # a few steps in double precision: the same spikes, gradients that differ by rounding
    for w, v in zip(one.weights("last"), other.weights("last")):
        assert np.abs(w - v).max() <= 1e-9
    for initial, w in zip(other.weights("initial"), other.weights("last")):
        assert (initial != w).any()
    assert (one.confusion == other.confusion).all()
