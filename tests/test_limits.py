"""`spikes_per_step` and `overshoot`: spikes, gradients and potentials are those of the oracles."""

import itertools

import cases
import naive
import naive_models
import naive_pieces
import numpy as np
import pytest
from cases import (
    GRADIENT_TOLERANCE,
    ModelCase,
    check_adjusted,
    check_checkpoints,
    derivative,
    relative_error,
)

from lifnum import Model, Network, Neuron, Scheme, SpikeTrains, models, options, sweep, train
from lifnum.runs.configuration import Configuration

OVERSHOOTS = ("again", "several", "lose")


def limited_schemes(gradient=None):
    """Every method with an interpolation, at most one spike a step or two."""
    return [
        Scheme(method, order, dt or 0.25, interpolation, gradient, spikes_per_step=1 + k % 2)
        for k, (method, order, dt) in enumerate(cases.METHODS)
        for interpolation in ("dense", "linear")
    ]


def label(scheme):
    last = scheme.spikes_per_step or scheme.overshoot
    return f"{cases.label(scheme)}-{last}"


def limited_case(rng, scheme, time_constants=(0.5, 1.0), depth=2, **options):
    """A network in which the limit matters: spikes at the start of a step, in every layer."""

    def make():
        case = cases.Case(rng, scheme, time_constants, depth, **options)
        case.weights = [2.5 * w for w in case.weights]
        return case

    for _ in range(50):
        (case,), _ = cases.well_conditioned(make, 1)
        layers = case.oracle()
        if scheme.interpolation == "none" or all(any(q.at_start for q in one) for one in layers):
            return case
    raise AssertionError("the limit never mattered")


def check_spikes(net, case):
    conditioning = naive.Conditioning()
    expected = case.oracle(conditioning=conditioning)
    net.forward(case.spikes, count_peaks=True)
    for layer, spikes in zip(net.layers, expected):
        np.testing.assert_array_equal(layer.spikes.indices, [q.neuron for q in spikes])
        # a dozen spikes, each at 0.02 of the usual slope at least: a thousand units of rounding
        np.testing.assert_allclose(layer.spikes.times, [q.time for q in spikes], rtol=0, atol=1e-12)
    return conditioning


@pytest.mark.parametrize("scheme", limited_schemes(), ids=label)
def test_a_neuron_of_neuron_has_at_most_so_many_spikes_a_step(scheme):
    rng = np.random.default_rng(1)
    for taus, delta in (((0.5, 1.0), 0.7), ((0.2, 1.2), 1.0)):
        case = limited_case(rng, scheme, taus, delta_theta=delta)
        net = case.network()
        conditioning = check_spikes(net, case)
        assert sum(one.n_unresolved for one in net.layers) == conditioning.unresolved > 0
        for layer in net.layers:
            spikes = layer.spikes
            step = np.floor(spikes.times / scheme.dt + 1e-9)  # those at its start are in it
            on_grid = np.abs(spikes.times / scheme.dt - np.rint(spikes.times / scheme.dt)) < 1e-9
            pairs = np.stack([spikes.indices, step], axis=1)[~on_grid]
            counts = np.unique(pairs, axis=0, return_counts=True)[1]
            assert counts.max(initial=1) <= scheme.spikes_per_step


@pytest.mark.parametrize("overshoot", OVERSHOOTS)
@pytest.mark.parametrize("method", ["exact", "euler", "trapezoidal"])
def test_overshoot_of_neuron_is_the_oracle_s(method, overshoot):
    scheme = Scheme(method, dt=0.1, interpolation="none", overshoot=overshoot)
    rng = np.random.default_rng(2)
    case = limited_case(rng, scheme, delta_theta=0.4)
    net = case.network()
    conditioning = check_spikes(net, case)
    usual = cases.naive.simulate(
        list(zip(*case.spikes[0])), case.weights, case.neurons,
        Scheme(method, dt=0.1, interpolation="none"), cases.DURATION,
    )  # fmt: skip
    n = [len(one.spikes.times) for one in net.layers]
    assert (n == [len(one) for one in usual]) == (overshoot == "again")
    assert sum(one.n_unresolved for one in net.layers) == conditioning.unresolved
    assert (conditioning.unresolved > 0) == (overshoot != "several")


def test_overshoot_of_neuron_by_hand():
    """A potential of 3.5 thresholds that stays there."""
    neuron, spikes = Neuron(1e6, 1e9, 1.0), {}
    for overshoot in OVERSHOOTS:
        scheme = Scheme("euler", dt=1.0, interpolation="none", overshoot=overshoot)
        net = Network([(np.array([[3.5], [-3.5]]), neuron)], scheme, 10.0)
        out = net.forward(SpikeTrains.from_samples([([2.0, 3.0], [0, 1])], 2))
        spikes[overshoot] = out.times.tolist()
    assert spikes == {"again": [3.0, 4.0, 5.0], "several": [3.0] * 3, "lose": [3.0]}


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("scheme", limited_schemes(), ids=label)
def test_adjusted_with_a_limit_equals_the_complex_step(scheme, depth):
    rng = np.random.default_rng(10 + depth)
    for taus, delta in (((0.5, 1.0), 0.7), ((0.9, 0.3), 1.6)):
        case = limited_case(rng, scheme, taus, depth, delta_theta=delta)
        net = case.network()
        out = net.forward(case.spikes)
        e = rng.normal(size=len(out.times))
        gradients, d_inputs = net.backward(e, input_gradient=True)
        zero = [np.zeros_like(w) for w in case.weights]
        still = np.zeros(len(case.times))
        for layer, w in enumerate(case.weights):
            for _ in range(2):
                directions = [z.copy() for z in zero]
                directions[layer] = rng.normal(size=w.shape)
                reference = derivative(case, e, directions, still)
                size = np.abs(gradients[layer] * directions[layer]).max()
                ours = (gradients[layer] * directions[layer]).sum()
                assert abs(ours - reference) <= GRADIENT_TOLERANCE * max(size, abs(reference))
        reference = np.array([derivative(case, e, zero, unit) for unit in np.eye(len(still))])
        assert relative_error(d_inputs, reference) <= GRADIENT_TOLERANCE


@pytest.mark.parametrize("method", ["exact", "euler", "ps"])
def test_adjusted_with_a_limit_at_ties_follows_the_order_of_processing(method):
    """Inputs on grid points at which neurons spike, being above the threshold there."""
    scheme = Scheme(method, 3 if method == "ps" else None, 0.25, spikes_per_step=1)
    rng = np.random.default_rng(4)
    case = cases.Case(rng, scheme, (0.4, 0.7), 1)
    case.weights = [4.0 * np.abs(case.weights[0])]
    case.spikes = SpikeTrains.from_samples(
        [([0.0, 0.1, 0.25, 0.25, 0.5, 0.61, 0.61, 0.75], [0, 1, 3, 2, 0, 1, 2, 3])], 4
    )
    at_start = [q.time.real for q in case.oracle()[0] if q.at_start]
    assert {0.25, 0.5, 0.75} <= set(at_start)
    net = case.network()
    e = rng.normal(size=len(net.forward(case.spikes).times))
    _, d_inputs = net.backward(e, input_gradient=True)
    zero, n = [np.zeros_like(w) for w in case.weights], len(case.spikes.times)
    reference = np.array([derivative(case, e, zero, unit) for unit in np.eye(n)])
    assert relative_error(d_inputs, reference) <= GRADIENT_TOLERANCE


PIGGYBACK = limited_schemes("piggyback") + [
    Scheme("euler", dt=0.1, interpolation="none", overshoot=overshoot) for overshoot in OVERSHOOTS
]


@pytest.mark.parametrize("scheme", PIGGYBACK, ids=label)
def test_piggyback_with_a_limit_equals_eventprop(scheme):
    rng = np.random.default_rng(20)
    case = limited_case(rng, scheme, delta_theta=0.6)
    net = case.network()
    e = rng.normal(size=len(net.forward(case.spikes).times))
    gradients, d_inputs = net.backward(e, input_gradient=True)
    inputs = list(zip(*case.spikes[0]))
    expected, expected_t = naive.eventprop(
        inputs, case.weights, case.neurons, case.oracle(), e, scheme, cases.DURATION
    )
    for ours, reference in zip(gradients, expected):
        assert relative_error(ours, reference) <= GRADIENT_TOLERANCE
    assert relative_error(d_inputs, expected_t) <= GRADIENT_TOLERANCE


def test_both_gradients_coincide_for_exact_with_a_limit():
    scheme = Scheme("exact", dt=0.25, spikes_per_step=1)
    rng = np.random.default_rng(21)
    case = limited_case(rng, scheme)
    assert scheme.adjoint() == "piggyback"
    e = rng.normal(size=len(case.network().forward(case.spikes).times))
    zero, still = [np.zeros_like(w) for w in case.weights], np.zeros(len(case.times))
    net = case.network()
    net.forward(case.spikes)
    gradients = net.backward(e)
    for layer, w in enumerate(case.weights):
        directions = [z.copy() for z in zero]
        directions[layer] = rng.normal(size=w.shape)
        reference = derivative(case, e, directions, still)
        ours = (gradients[layer] * directions[layer]).sum()
        size = np.abs(gradients[layer] * directions[layer]).max()
        assert abs(ours - reference) <= GRADIENT_TOLERANCE * max(size, abs(reference))


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
def test_the_potential_falls_from_where_it_is_at_the_start_of_a_step(interpolation):
    neuron = Neuron(0.5, 1e9, 1.0)
    scheme = Scheme("exact", dt=0.25, interpolation=interpolation, spikes_per_step=1)
    net = Network([(np.array([[12.0]]), neuron)], scheme, 1.0)
    spikes = SpikeTrains.from_samples([([0.0], [0])], 1)
    out = net.forward(spikes)
    assert 0.0 < out.times[0] < 0.25 and out.times[1:3].tolist() == [0.25, 0.5]
    times = np.array([0.25 - 1e-9, 0.25, 0.5 - 1e-9, 0.5])
    u = net.potential(spikes, times)[0, 0]
    integral = 12.0 * 0.5 * -np.expm1(-times / 0.5)  # of the current; there is no leak to speak of
    fallen = (integral - u) - (integral - u)[0]  # since the first spike, which chords misplace
    np.testing.assert_allclose(fallen, [0.0, 1.0, 1.0, 2.0], atol=1e-7)
    assert u[0] > 1.0


# whose input lifts the threshold variable; and one without a reset, which spikes as it rises
DELTA = Model(name="delta", equations={"v": "(current - v) / 10"}, parameters={"current": 2.0},
              threshold=("v", 1.0), reset={"v": "v - 1"})  # fmt: skip
WAVE = Model(name="wave", equations={"v": "9*x", "x": "-9*v + I", "I": "-I/3"},
             initial={"x": 1.5}, input="I", threshold=("v", 1.0))  # fmt: skip

LIMITED_MODELS = {
    "lif": (models.lif(current=0.45), 5.0),
    "lif-coba": (models.lif_coba(current=60.0), 6.0),
    "delta": (DELTA, 4.0),
    "wave": (WAVE, 2.5),
}


QUICK = {("lif", "rk4"), ("delta", "ps"), ("wave", "ps"), ("lif-coba", "exponential-euler")}


def models_and_methods():
    """All pairs; those that compile in the long form of the tests alone are marked as slow."""
    methods = ["euler", "rk4", "ps", "exponential-euler"]
    return [
        pytest.param(*pair, marks=[] if pair in QUICK else [pytest.mark.slow])
        for pair in itertools.product(LIMITED_MODELS, methods)
    ]


@pytest.mark.parametrize("spikes_per_step", [1, 2])
@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@pytest.mark.parametrize(("name", "method"), models_and_methods())
def test_models_with_a_limit_are_the_oracle_s_and_adjusted_equals_complex_steps(
    name, method, interpolation, spikes_per_step
):
    model, dt = LIMITED_MODELS[name]
    order = 8 if method == "ps" else None
    scheme = Scheme(method, order, dt, interpolation, spikes_per_step=spikes_per_step)
    if name == "wave":
        if method in ("euler", "rk4", "exponential-euler"):
            scheme = Scheme(method, order, 0.1, interpolation, spikes_per_step=spikes_per_step)
        else:
            scheme = Scheme(method, 32, dt, interpolation, spikes_per_step=spikes_per_step)
    case = ModelCase(model, scheme, duration=10.0 if name == "wave" else 40.0)
    expected = case.oracle()
    net = case.network()
    out = net.forward(case.inputs())
    np.testing.assert_array_equal(out.indices, [q.neuron for q in expected[0]])
    times = np.array([naive_pieces.real(q.time) for q in expected[0]])
    np.testing.assert_allclose(out.times, times, rtol=0, atol=1e-11 * case.duration)
    assert len(times) > 3
    if interpolation == "dense":
        assert net.layers[0].n_unresolved == case.conditioning.let_pass
    if name != "wave":
        assert case.conditioning.let_pass > 0 or spikes_per_step > 1
    if name != "wave" and spikes_per_step == 1:
        usual = Scheme(method, order, dt, interpolation)
        net = Network(list(zip(case.weights, case.models)), usual, case.duration)
        assert not np.array_equal(net.forward(case.inputs()).times, out.times)
    check_adjusted(case, expected)


@pytest.mark.parametrize("name", ["lif", "delta"])
def test_piggyback_with_a_limit_is_the_continuous_adjoint_of_models(name):
    model, dt = LIMITED_MODELS[name]
    case = ModelCase(model, Scheme("rk4", None, dt, "dense", "piggyback", spikes_per_step=1))
    spikes = case.oracle()
    d_times = np.random.default_rng(3).normal(size=len(spikes[0]))
    net = case.network()
    net.forward(case.inputs())
    (gradient,), d_inputs = net.backward(d_times, input_gradient=True)
    inputs = list(zip(case.times, case.indices))
    expected, expected_t = np.zeros_like(gradient), np.zeros(len(inputs))
    for j in range(2):
        d_w, d_t, _ = naive_models.continuous_adjoint(
            inputs, case.weights[0][:, j], naive_models.Plain(model, j), case.scheme,
            case.duration, [d for d, q in zip(d_times, spikes[0]) if q.neuron == j],
        )  # fmt: skip
        np.add.at(expected[:, j], case.indices, d_w)
        expected_t += d_t
    assert relative_error(gradient, expected) <= 1e-9
    assert relative_error(d_inputs, expected_t) <= 1e-9


@pytest.mark.parametrize(
    "options",
    [{"interpolation": "dense", "spikes_per_step": 1},
     {"interpolation": "linear", "spikes_per_step": 2},
     *({"interpolation": "none", "overshoot": one} for one in OVERSHOOTS)],
    ids=str,
)  # fmt: skip
def test_neuron_and_its_equations_are_limited_alike(options):
    rng = np.random.default_rng(6)
    scheme = Scheme("ps", 5, 4.0, **options)
    weights = rng.uniform(0.1, 0.5, (4, 20))
    samples = [(np.sort(rng.uniform(0, 60, 12)), rng.integers(0, 4, 12)) for _ in range(3)]
    inputs = SpikeTrains.from_samples(samples, 4)
    neuron = Neuron(5.0, 10.0, 1.0, 0.8, max_spikes=1000)
    results = []
    for one in (neuron, models.lif(delta_theta=0.8)):
        net = Network([(weights, one)], scheme, 80.0)
        out = net.forward(inputs)
        backward = [] if options["interpolation"] == "none" else [
            *net.backward(np.cos(out.times), input_gradient=True)
        ]  # fmt: skip
        results.append((out, backward, net.layers[0].n_unresolved))
    (one, mine, n), (two, theirs, m) = results
    np.testing.assert_array_equal(one.indices, two.indices)
    np.testing.assert_allclose(one.times, two.times, rtol=0, atol=1e-12 * 80.0)
    if options["interpolation"] == "dense":
        assert n == m > 0
    for ours, reference in zip(mine, theirs):
        assert relative_error(np.asarray(ours), np.asarray(reference)) <= 1e-10


def test_a_limited_run_is_differentiated_from_checkpoints_as_a_short_one_is():
    model = models.lif(current=120.0, max_spikes=10_000)
    times = check_checkpoints(model, Scheme("ps", 8, dt=0.02, spikes_per_step=1), 20.0)
    assert len(times) == 20.0 / 0.02


def test_what_is_no_limit_is_refused_in_one_line():
    def refused(message, *arguments, **options):
        with pytest.raises(ValueError, match=message) as error:
            Scheme(*arguments, **options)
        assert "\n" not in str(error.value)

    for wrong in (0, -1, 1.5, True, "1"):
        refused("spikes_per_step is .*; accepted: an integer >= 1", "euler", dt=0.1,
                spikes_per_step=wrong)  # fmt: skip
    refused("spikes_per_step is 1; accepted: None where interpolation is 'none'", "euler", dt=0.1,
            interpolation="none", spikes_per_step=1)  # fmt: skip
    refused("dt is None; accepted: a finite number > 0 beside spikes_per_step", spikes_per_step=1)
    refused("overshoot is 'lose'; accepted: 'again' where interpolation is 'dense'", "euler",
            dt=0.1, overshoot="lose")  # fmt: skip
    refused("overshoot is 'lose'; accepted: 'again' beside gradient 'surrogate'", "euler", dt=0.1,
            interpolation="none", gradient="surrogate", overshoot="lose")  # fmt: skip
    refused("overshoot is 3; accepted: again, several, lose", overshoot=3)
    for scheme in (Scheme("euler", dt=0.1, spikes_per_step=2),
                   Scheme("euler", dt=0.1, interpolation="none", overshoot="several")):  # fmt: skip
        what = scheme.only_on_cpu
        with pytest.raises(ValueError, match=f"device is 'cuda'; accepted: 'cpu' for {what}"):
            Network([(np.ones((1, 1)), Neuron())], scheme, 1.0, device="cuda")


def test_limits_are_options_of_the_programs_and_stand_in_what_a_trace_keeps():
    def config(*arguments):
        return train.config_of(train.parser().parse_args(list(arguments)))

    one = config("--spikes-per-step", "1").scheme
    assert (one.method, one.dt, one.spikes_per_step) == ("exact", 1e-3, 1)
    assert config("--spikes-per-step", "none").scheme == Scheme()
    lose = config("--interpolation", "none", "--method", "euler", "--overshoot", "lose")
    assert lose.scheme.overshoot == "lose" and "lose" in lose.label
    assert Configuration.from_json(lose.to_json(), "it") == lose
    for scheme in (one, lose.scheme):
        assert Scheme.from_json(scheme.to_json()) == scheme
        assert scheme.label != Scheme(scheme.method, None, scheme.dt, scheme.interpolation).label
    with pytest.raises(ValueError, match="device is 'cuda'; accepted: cpu for overshoot 'lose'"):
        config("--interpolation", "none", "--overshoot", "lose", "--device", "cuda")
    parsed, rest = sweep.parser().parse_known_args(
        ["--interpolation", "dense", "none", "--spikes-per-step", "none", "1", "--overshoot",
         "again", "lose", "--methods", "exact", "euler", "--gradient", "piggyback"]
    )  # fmt: skip
    labels = [job.config.scheme.label for job in sweep.jobs_of(parsed, rest)]
    assert labels == [
        "exact-piggyback", "exact-dt0.001-piggyback-spikes1", "exact-dt0.001-none",
        "exact-dt0.001-none-lose", "euler-dt0.001-piggyback",
        "euler-dt0.001-piggyback-spikes1", "euler-dt0.001-none", "euler-dt0.001-none-lose",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"overshoot is \['lose'\]; accepted: no such option"):
        options.grid(["euler"], None, [0.1], ["dense"],
                     limits={"none": [{"overshoot": "lose"}], "others": [{}]})  # fmt: skip
