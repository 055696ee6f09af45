"""Any sequence of calls to a network gives what the last ones alone give to a fresh network.

Buffers, tables and states are kept from call to call; here batches grow and shrink, calls fail,
weights change under way, and every result is compared, to the bit, with that of a network made for
it. Every index into an array is checked meanwhile, in a process of its own: kernels that check are
compiled apart.
"""

import copy
import itertools
import os
import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from lifnum import Network, Neuron, Scheme, SimulationError, SpikeTrains
from lifnum.compiler import kernel
from lifnum.kernels.vectors import LANES, load, store
from lifnum.optimizers import Adam

DURATION = 2.0

# of what is kept: nothing, pieces, pieces and states; with a grid and without
SCHEMES = [
    Scheme(),
    Scheme("exact", interpolation="linear"),
    Scheme("exact", dt=0.1, interpolation="none"),
    Scheme("ps", 3, 0.2),
    Scheme("euler", dt=0.1, gradient="piggyback"),
    Scheme("rk4", dt=0.15, interpolation="linear"),
]

# padded to one vector, a whole vector, and two vectors
SIZES = [(3, 5, 2), (4, 16), (2, 17, 3, 3)]

SEEDS = st.integers(0, 2**32 - 1)

counted = Counter()


@kernel
def copy_vector(values, column):
    store(values, 0, column, load(values, 0, 0))


def assert_bounds_are_checked():
    values = np.zeros((1, LANES + 4))
    copy_vector(values, 4)
    with pytest.raises(IndexError):
        copy_vector(values, 5)


def counters(net):
    return [(one.n_capped, one.n_suppressed, one.n_steps) for one in net.layers]


def results(net):
    """What the last passes left, as far as a user sees it."""
    return counters(net), [(one.n_without_gradient, one.gradient_norm) for one in net.layers]


def equal(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other))


class Calls(RuleBasedStateMachine):
    """A network, and as the model of it what a fresh network would need to know."""

    @initialize(scheme=st.sampled_from(SCHEMES), sizes=st.sampled_from(SIZES), number=SEEDS)
    def make(self, scheme, sizes, number):
        rng = np.random.default_rng(number)
        neuron = Neuron(0.5, 1.0, 1.0, 0.7, 6)
        self.layers = [(rng.normal(1.0, 1.5, (a, b)), neuron) for a, b in itertools.pairwise(sizes)]
        self.scheme = scheme
        self.net = self.anew()
        self.optimizer = Adam(self.net.weights, 0.01)
        self.passed = None  # inputs, differentiable, weights of the last forward pass
        self.gradients = None

    def anew(self):
        return Network([(w.copy(), neuron) for w, neuron in self.layers], self.scheme, DURATION)

    def again(self):
        """A fresh network after the last forward pass, with the weights as they are now."""
        inputs, differentiable, weights = self.passed
        net = self.anew()
        for w, before in zip(net.weights, weights):
            w[...] = before
        net.forward(inputs, differentiable)
        for w, (now, _) in zip(net.weights, self.layers):
            w[...] = now
        return net

    def inputs(self, number, batch, most):
        rng = np.random.default_rng(number)
        n = self.layers[0][0].shape[0]
        grid = rng.random() < 0.3  # times on the grid, many of them equal, some beyond the end
        samples = []
        for _ in range(batch):
            times = rng.uniform(0, 1.1 * DURATION, rng.integers(0, most + 1))
            times = np.round(times, 1) if grid else times
            samples.append((times, rng.integers(0, n, len(times))))
        return SpikeTrains.from_samples(samples, n)

    def compare(self, fresh):
        assert all(a.spikes == b.spikes for a, b in zip(self.net.layers, fresh.layers))
        assert results(self.net) == results(fresh)

    @rule(number=SEEDS, batch=st.integers(0, 9), most=st.integers(0, 40), keep=st.booleans())
    def forward(self, number, batch, most, keep):
        inputs = self.inputs(number, batch, most)
        out = self.net.forward(inputs, keep)
        fresh = self.anew()
        assert out == fresh.forward(inputs, keep)
        assert counters(self.net) == counters(fresh)
        self.passed = inputs, keep, [w.copy() for w, _ in self.layers]
        counted["forward"] += 1

    @rule(number=SEEDS, batch=st.integers(0, 9), layer=st.integers(-1, 0))
    def potential(self, number, batch, layer):
        """A query: neither spikes nor counts nor gradients of the pass before notice it."""
        inputs, times = self.inputs(number, batch, 20), np.linspace(0, DURATION, 7)
        before = [one.spikes for one in self.net.layers], results(self.net)
        u = self.net.potential(inputs, times, layer)
        assert np.array_equal(u, self.anew().potential(inputs, times, layer))
        assert before[1] == results(self.net)
        assert all(a is b.spikes for a, b in zip(before[0], self.net.layers))
        counted["potential"] += 1

    @rule(number=SEEDS, layer=st.integers(0, 2), value=st.sampled_from((1e308, np.inf, np.nan)))
    def failing_forward(self, number, layer, value):
        """An overflow in one layer, after the layers before it have passed."""
        w = self.net.weights[layer % len(self.layers)]
        saved = w.copy()
        w[...] = value
        inputs = self.inputs(number, 3, 20)
        try:
            self.net.forward(inputs)
        except SimulationError:
            assert all(one.spikes is None for one in self.net.layers)
            self.passed = None
            counted["failed"] += 1
        else:  # too few spikes reached it
            self.passed = inputs, True, [w.copy() for w in self.net.weights]
        w[...] = saved
        if self.passed and not np.isfinite(self.passed[2][layer % len(self.layers)]).all():
            self.net.forward(inputs)
            self.passed = inputs, True, [w.copy() for w in self.net.weights]

    @rule(number=SEEDS)
    def refused(self, number):
        """What is refused at once changes nothing."""
        n = self.layers[0][0].shape[0]
        for wrong in ([], SpikeTrains([], [], [0], n + 1)):
            with pytest.raises(ValueError, match="spikes"):
                self.net.forward(wrong)
            with pytest.raises(ValueError, match="spikes"):
                self.net.potential(wrong, 0.0)
        if self.passed:
            n_out = len(self.net.layers[-1].spikes.times)
            for wrong in (np.zeros(n_out + 1), np.full(n_out + 1, np.nan), "one"):
                with pytest.raises(ValueError, match="d_times"):
                    self.net.backward(wrong)
        counted["refused"] += 1

    @precondition(lambda self: self.passed is None)
    @rule()
    def backward_without_forward(self):
        with pytest.raises(ValueError, match="run forward before backward"):
            self.net.backward(np.zeros(0))
        counted["no forward"] += 1

    @precondition(lambda self: self.passed is not None)
    @rule(number=SEEDS, inputs_too=st.booleans())
    def backward(self, number, inputs_too):
        """Also after weights were changed; then it may be refused, and is by a fresh network."""
        n = len(self.net.layers[-1].spikes.times)
        d_times = np.random.default_rng(number).normal(size=n)
        fresh = self.again()
        try:
            expected = fresh.backward(d_times, inputs_too)
        except (ValueError, SimulationError) as error:
            with pytest.raises(type(error)) as here:
                self.net.backward(d_times, inputs_too)
            assert str(here.value) == str(error)
            self.passed = None
            counted["refused backward"] += 1
            return
        found = self.net.backward(d_times, inputs_too)
        if inputs_too:
            assert np.array_equal(found[1], expected[1])
            found, expected = found[0], expected[0]
        assert equal(found, expected)
        self.compare(fresh)
        self.gradients = found
        counted["backward"] += 1

    @rule(number=SEEDS, layer=st.integers(0, 2), whole=st.booleans())
    def change_weights(self, number, layer, whole):
        rng = np.random.default_rng(number)
        k = layer % len(self.layers)
        w = self.net.weights[k]
        if whole:
            self.net.weights[k] = rng.normal(1.0, 1.5, w.shape)
        else:
            w[rng.integers(len(w))] += 0.1
        self.layers[k][0][...] = w
        counted["change"] += 1

    @precondition(lambda self: self.gradients is not None)
    @rule()
    def step(self):
        self.optimizer.step(self.gradients)
        for w, (model, _) in zip(self.net.weights, self.layers):
            model[...] = w
        with pytest.raises(ValueError, match="gradient of layer 0"):
            self.optimizer.step([self.gradients[0][1:], *self.gradients[1:]])
        counted["step"] += 1

    @rule(how=st.sampled_from(("copy", "deepcopy", "pickle")), take=st.booleans())
    def copies(self, how, take):
        """A copy has no forward pass; that of the original stands, whatever the copy does."""
        if how == "pickle":
            other = pickle.loads(pickle.dumps(self.net))
        else:
            other = getattr(copy, how)(self.net)
        assert equal(other.weights, self.net.weights)
        assert (other.weights[0] is self.net.weights[0]) == (how == "copy")
        with pytest.raises(ValueError, match="run forward before backward"):
            other.backward(np.zeros(0))
        if self.passed:
            again = pickle.loads(pickle.dumps(self.passed[0]))
            assert again == copy.deepcopy(again) == self.passed[0]
            assert not again.times.flags.writeable
        inputs = self.inputs(0, 5, 30)
        other.forward(inputs)
        if take:
            self.net, self.gradients = other, None
            self.passed = inputs, True, [w.copy() for w, _ in self.layers]
            self.optimizer = Adam(other.weights, 0.01)
        counted["copy"] += 1

    @rule(rows=st.lists(st.integers(-3, 2), max_size=6), number=SEEDS)
    def select(self, rows, number):
        inputs = self.inputs(number, 3, 8)
        chosen = inputs.select(rows)
        assert len(chosen) == len(rows)
        for sample, row in zip(range(len(rows)), rows):
            assert equal(chosen[sample], inputs[row])
        mask = np.array([True, False, True])
        assert inputs.select(mask) == inputs.select([0, 2]) == inputs.select(slice(0, 3, 2))
        counted["select"] += 1


def fuzz(n_examples, n_steps, number):
    """Run about n_examples * n_steps rules; the number of those that ran to their end, by name."""
    counted.clear()
    options = settings(
        max_examples=n_examples, stateful_step_count=n_steps, deadline=None, database=None,
        phases=[Phase.generate],  # to find a smaller case takes longer than anybody waits
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run(seed(number)(Calls), settings=options)
    return counted


CHECKED = """
import sys
sys.path.insert(0, sys.argv[1])
import test_stateful
test_stateful.assert_bounds_are_checked()
counts = test_stateful.fuzz(*map(int, sys.argv[2:]))
print(sum(counts.values()), dict(counts))
"""


def check(n_examples, n_steps, number):
    """The fuzzer in a process that checks bounds; one thread: another's error would be lost."""
    here = os.path.dirname(os.path.abspath(__file__))
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_NUM_THREADS": "1"}
    arguments = map(str, (here, n_examples, n_steps, number))
    done = subprocess.run(
        [sys.executable, "-c", CHECKED, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    return int(done.stdout.split()[0])


def test_calls_in_any_order_give_what_a_fresh_network_gives():
    assert check(12, 25, 0) > 200


@pytest.mark.slow
def test_calls_in_any_order_give_what_a_fresh_network_gives_in_20000_rules():
    assert check(500, 50, 1) >= 20_000
