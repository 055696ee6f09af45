"""Long silences, long steps and long time constants change nothing, and no underflow decides.

The kernels at extreme lengths are compared with themselves at lengths where the oracle checks them.
"""

import warnings

import numpy as np
import pytest

from lifnum import Network, Neuron, Scheme, SpikeTrains
from lifnum.kernels.lif.crossing import NO_CROSSING, first_crossing
from lifnum.methods import propagators

# (tau_s, tau): equal and nearly, of BATS and its mirror, others on either side
TIME_CONSTANTS = [
    (1.0, 1.0),
    (1.0, 1.0 + 1e-9),
    (1.0 + 1e-9, 1.0),
    (0.5, 1.0),
    (1.0, 0.5),
    (1.0, 1.3),
    (1.3, 1.0),
    (0.2, 1.0),
    (1.0, 0.2),
    (2e-6, 3e-6),
]

every_time_constant = pytest.mark.parametrize("taus", TIME_CONSTANTS, ids=str)

# the same to all but a few roundings of times near 800 tau
TOLERANCE = 1e-9


def passes(taus, inputs, weights, duration, scheme=None, cap=30, **rest):
    """Spikes, gradient of the weights, and that by the input times; loss: a sum of spike times."""
    neuron = Neuron(*taus, 1.0, max_spikes=cap)
    net = Network([(weights, neuron)], scheme or Scheme(), duration)
    out = net.forward(SpikeTrains.from_samples([inputs], len(weights)))
    (gradient,), by_time = net.backward(np.cos(np.arange(len(out.times))), input_gradient=True)
    return out.times, out.indices, gradient, by_time


def assert_independent_of_the_silence(taus, silences, bursts=1, dtype=float, gradient=None):
    """Samples that are alike but for the silence behind each burst of input, compared to the first.

    Neurons that spike often, a little, late, and after inhibition. Every sample has weights of its
    own, all alike, so that it has a gradient of its own too.
    """
    n, unit = len(silences), max(taus)
    times = np.array([0.0, 0.7, 1.1]) * min(taus)
    weights = np.array([[30.0, 9.0, 3.0, -8.0], [2.0, 0.0, 2.0, 40.0], [1.0, 3.0, -1.0, 5.0]])
    weights = np.tile(weights / min(taus), (n, 1)).astype(dtype)
    duration = bursts * (silences.max() + times[-1])
    onsets = duration - np.outer(silences + times[-1], np.arange(bursts, 0, -1))
    samples = [
        (np.add.outer(onset, times).ravel(), np.tile(3 * k + np.arange(3), bursts))
        for k, onset in enumerate(onsets)
    ]
    net = Network([(weights, Neuron(*taus, 1.0))], Scheme(gradient=gradient), duration)
    out = net.forward(SpikeTrains.from_samples(samples, 3 * n))
    counts = np.diff(out.offsets)
    assert (counts == counts[0]).all() and counts[0] > 20 * bursts
    found = out.times.reshape(n, -1)
    burst = (found[:, :, None] >= onsets[:, None, :]).sum(axis=2) - 1
    since = (found - np.take_along_axis(onsets, burst, axis=1)) / unit
    np.testing.assert_allclose(since, since[[0] * n], rtol=0, atol=TOLERANCE)
    same = out.indices.reshape(n, -1)
    assert (same == same[0]).all() and len({*same[0].tolist()}) == 4
    (d_w,), d_t = net.backward(np.tile(np.cos(np.arange(counts[0])), n), input_gradient=True)
    for one in (d_w.reshape(n, -1), d_t.reshape(n, -1)):
        np.testing.assert_allclose(one, one[[0] * n], rtol=0, atol=TOLERANCE * abs(one[0]).max())


def assert_same(found, expected, unit):
    """Times in time constants; gradients relative to the largest of their kind."""
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0] / unit, expected[0] / unit, rtol=0, atol=TOLERANCE)
    for g, h in zip(found[2:], expected[2:]):
        np.testing.assert_allclose(g, h, rtol=0, atol=TOLERANCE * np.abs(h).max())


@pytest.mark.parametrize("gradient", ["adjusted", "piggyback"])
@every_time_constant
def test_a_silence_of_600_to_800_time_constants_changes_no_spike_and_no_gradient(taus, gradient):
    """Swept in 0.3 of each time constant: exponentials, their products and quotients underflow."""
    for unit in {*taus}:
        silences = np.append(100.0 * max(taus), np.arange(600.0, 800.0, 0.3) * unit)
        assert_independent_of_the_silence(taus, silences, gradient=gradient)


@every_time_constant
def test_a_silence_between_two_activities_changes_neither(taus):
    silences = np.append(100.0, np.arange(600.0, 800.0, 0.3)) * max(taus)
    assert_independent_of_the_silence(taus, silences, bursts=2)


@every_time_constant
def test_float32_does_not_notice_a_silence_either(taus):
    """Its smallest numbers are met after 87 time constants, and the square of a decay after 44.

    A step's flags and state are float32, its spikes and what they pass back float64.
    """
    lengths = np.concatenate([np.arange(30.0, 120.0, 0.3), np.arange(600.0, 800.0, 3.1)])
    for unit in {*taus}:
        silences = np.maximum(lengths * unit, 30.0 * max(taus))
        assert_independent_of_the_silence(taus, silences, dtype=np.float32)


@every_time_constant
@pytest.mark.parametrize("method", ["backward-euler", "trapezoidal", "exponential-euler"])
def test_one_step_of_any_length_gives_the_same_spikes_and_gradients(method, taus):
    """The whole simulation in one step: dense output and its adjoint know no end."""
    expected = None
    lengths = [100.0, *np.arange(600.0, 800.0, 17.3), 1e5, 1e40, 1e77, 1e150, 1e154, 1e160, 1e300]
    for length in lengths:
        duration = length * max(taus)
        found = passes(
            taus, ([0.0], [0]), np.array([[30.1, 9.2, 5.3]]) / min(taus), duration,
            Scheme(method, dt=duration), cap=5,
        )  # fmt: skip
        expected = expected or found
        assert len(found[0]) > 5
        assert_same(found, expected, max(taus))


def dynamics(method, order, taus, h, theta=1.0):
    scheme = Scheme(method, order, h)
    return scheme.dynamics(Neuron(*taus, theta), h, np.dtype(float))


METHODS = [
    ("exact", None),
    ("euler", None),
    ("rk2", None),
    ("rk4", None),
    ("ps", 3),
    ("ps", 8),
    ("backward-euler", None),
    ("trapezoidal", None),
    ("exponential-euler", None),
]


@every_time_constant
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_first_crossing_does_not_depend_on_how_long_the_step_lasts(method, taus):
    """Dense output is one function of time, whatever the end: 1 to 1e300 time constants.

    States that reach theta within half a time constant, from above or below zero.
    """
    rng = np.random.default_rng(0)
    series = method[0] in ("euler", "rk2", "rk4", "ps")
    lengths = [1.0, 3.0, 30.0, 300.0, *np.arange(600.0, 800.0, 17.3), 1e3, 1e5]
    lengths += [] if series else [1e8, 1e77, 1e150, 1e154, 1e160, 1e300]
    compared = 0
    for _ in range(20):
        u0 = rng.choice([0.9, 0.0, -1.0, -20.0]) * rng.uniform(0.5, 1.0)
        i0 = (1.5 + abs(u0)) * rng.uniform(4.0, 30.0) / min(taus)
        roots = []
        for length in lengths:
            d = dynamics(*method, taus, length * min(taus))
            h = d.duration
            _, c, b = propagators.propagator(d, h)
            u1 = c * i0 + b * u0
            scratch = np.empty(d.order + 1)
            s = first_crossing(d, i0, u0, h, u1, u1 >= 1.0, scratch)
            roots.append(s)
        if roots[0] == NO_CROSSING:
            continue
        compared += 1
        # a series beyond its stability is found among roots of its own
        np.testing.assert_allclose(roots, roots[0], rtol=1e-11 if series else 1e-14)
    assert compared >= 15


def test_a_potential_far_below_theta_crosses_once_it_has_decayed():
    """From -1e140: hundreds of time constants, in which nothing cancels and nothing is given up."""
    d = dynamics("exponential-euler", None, (1.0, 1.0), 1e3)
    for u0 in (-1.0, -1e8, -1e16, -1e140):
        s = first_crossing(d, 2.0, u0, 1e3, 2.0, True, np.empty(1))
        assert s == pytest.approx(np.log(2.0 - u0), rel=1e-15)  # 2 + (u0 - 2) exp(-s) = 1
    d = dynamics("exact", None, (2000.0, 1.0), 1e5)
    for u0 in (-1.0, -1e8, -1e16, -1e140):
        for i0, spikes in ((0.99, False), (1.3, True), (3.0, True)):
            _, c, b = propagators.propagator(d, 1e5)
            s = first_crossing(d, i0, u0, 1e5, c * i0 + b * u0, False, np.empty(1))
            assert (s > 0.0) == spikes
            if spikes:
                _, c, b = propagators.propagator(d, s)
                assert c * i0 + b * u0 == pytest.approx(1.0, rel=1e-13)


@every_time_constant
def test_what_remains_of_a_step_is_what_a_step_of_that_length_does(taus):
    """Quotients of decays, down to those that are no numbers any more."""
    for whole in np.arange(600.0, 800.0, 1.7) * taus[1]:
        d = dynamics("exact", None, taus, whole)
        b_whole = propagators.propagator(d, whole)[2]
        for rest in np.array([1e-3, 0.5, 20.0]) * min(taus):
            b_part = propagators.propagator(d, whole - rest)[2]
            found = propagators.remaining_propagator(d, rest, b_whole, b_part)
            # whole - rest is rounded: in `rest` that counts rest / whole times
            np.testing.assert_allclose(found, propagators.propagator(d, rest), rtol=3e-10)


@pytest.mark.parametrize("method", ["backward-euler", "trapezoidal"])
def test_slopes_of_endless_steps_are_numbers(method):
    m = propagators.method(method, None, 1.0, 1.5)
    for h in (1e50, 1e90):
        slope = propagators.propagator_derivative(m, h)[1]
        # of 4 tau tau_s / h or tau tau_s / h
        assert slope == pytest.approx((-6.0 if method == "trapezoidal" else -1.5) / h / h)
    for h in (1e154, 1e200, 1e300):
        assert np.isfinite(propagators.propagator_and_derivative(m, h)).all()


@pytest.mark.parametrize("n", [1, 16])
def test_time_constants_far_beyond_the_duration_are_as_good_as_any(n):
    """u = I t (1 + O(t / tau)): spikes at multiples of theta / I, one neuron or a vector of them.

    tau = 2 tau_s exactly, where decays are multiplied, and nearly, where they are not; an input
    without weight cuts the time into steps.
    """
    weights = np.array([[7.3] * n, [0.0] * n])
    inputs = [0.0, 0.47], [0, 1]
    expected = np.repeat(np.arange(1, 8), n) / 7.3
    d_w = -(expected / 7.3 * np.cos(np.arange(7 * n))).reshape(7, n).sum(axis=0)  # dt/dw = -t/w
    for tau in (2e3, 2e6, 2e9, 2e12):
        for tau_s in (0.5 * tau, 0.4 * tau):
            found = passes((tau_s, tau), inputs, weights, 1.0)
            np.testing.assert_allclose(found[0], expected, rtol=1e-13 + 2.0 / tau)
            np.testing.assert_allclose(found[2][0], d_w, rtol=1e-11 + 20.0 / tau)


@every_time_constant
def test_many_spikes_in_an_endless_step_keep_the_digits_of_their_times(taus):
    """An error of eps t, not of eps T: hundreds of spikes in the first 1e-4 of the step."""
    inputs, weights = ([0.0], [0]), np.array([[300.0 / min(taus)]])
    short, long = (
        passes(taus, inputs, weights, length * max(taus), cap=1000) for length in (50.0, 1e5)
    )
    assert len(short[0]) > 100
    # each spike adds a rounding of its time, and passes that of the one before on
    np.testing.assert_allclose(long[0], short[0], rtol=1e-13)


def test_an_endless_step_beyond_all_numbers_ends():
    """h / tau = inf under a series: no crossing is looked for in what is not finite."""
    d = dynamics("ps", 3, (1e-300, 1e-300), 1e10)
    assert first_crossing(d, 1.0, 0.0, 1e10, np.nan, False, np.empty(4)) == NO_CROSSING


def test_a_step_too_fine_for_float32_is_warned_about_where_spikes_move():
    """Measured against float64: a warning where they move by 1e-4 tau, none where by less."""
    rng = np.random.default_rng(0)
    times, indices = np.sort(rng.uniform(0, 1.5, 40)), rng.integers(0, 10, 40)
    weights = rng.normal(1.4, 1.2, (10, 16)).astype(np.float32)
    inputs = SpikeTrains.from_samples([(times, indices)], 10)
    for tau_s, tau in ((0.5, 1.0), (1.0, 1.0)):
        neuron = Neuron(tau_s, tau, 0.3)
        for dt, warned in ((1e-2, False), (1e-3, False), (2e-4, False), (1e-5, True)):
            scheme = Scheme("ps", 3, dt)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                wide = Network([(weights.astype(float), neuron)], scheme, 2.0).forward(inputs)
                if not warned:
                    net = Network([(weights, neuron)], scheme, 2.0)
            if warned:
                message = r"^dt 1e-05 is too fine for float32: .* 0\.006 time constants"
                with pytest.warns(RuntimeWarning, match=message):
                    net = Network([(weights, neuron)], scheme, 2.0)
            moved = np.abs(np.sort(net.forward(inputs).times) - np.sort(wide.times)).max() / tau
            assert (moved > 1e-4) == warned


def test_a_code_without_formulas_is_refused(monkeypatch):
    from lifnum.methods import interpolation

    with pytest.raises(ValueError, match=r"method is 'heun', code None; accepted: exact, euler"):
        propagators.method("heun", None, 1.0, 1.0)
    monkeypatch.setitem(propagators.METHODS, "heun", (17, None))
    with pytest.raises(ValueError, match=r"method is 'heun', code 17; accepted: exact, euler"):
        Network([(np.ones((1, 1)), Neuron())], Scheme("heun", dt=0.01), 1.0)
    monkeypatch.setitem(interpolation.INTERPOLATIONS, "cubic", 3)
    with pytest.raises(ValueError, match=r"interpolation is 'cubic', code 3; accepted: none, lin"):
        Network([(np.ones((1, 1)), Neuron())], Scheme(interpolation="cubic"), 1.0)
