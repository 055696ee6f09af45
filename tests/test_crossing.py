"""A crossing is never missed, is the first one, and its derivatives are exact."""

import cases
import numba
import numpy as np
import pytest

from lifnum import Neuron, Scheme
from lifnum.compiler import kernel
from lifnum.kernels import steps, vectors
from lifnum.kernels.lif import forward, table
from lifnum.kernels.lif.crossing import NO_CROSSING, first_crossing
from lifnum.kernels.lif.spike import crossing_derivatives
from lifnum.methods import propagators
from lifnum.methods.interpolation import DENSE, LINEAR

THETA = 1.0

METHODS = [(m, propagators.series_order(m, 0) or None) for m in propagators.METHODS if m != "ps"]
METHODS += [("ps", order) for order in (3, 5, 8, 32)]
METHODS += [(tableau, None) for tableau in cases.TABLEAUX.values()]

# these never peak inside a step: the potential is a line, or monotone
PEAKLESS = [("euler", 1), ("exponential-euler", None)]

WITH_PEAK = [method for method in METHODS if method not in PEAKLESS]


@kernel
def advance(room, state, p, bar):
    """A step of all neurons, without inputs."""
    return forward._advance(room, 0, False, state, 0, 0, p, bar)


def dynamics(name, order, taus, duration=1.0, interpolation="dense", dtype=np.float64):
    scheme = Scheme(name, order, duration, interpolation)
    return scheme.dynamics(Neuron(*taus, THETA), duration, np.dtype(dtype))


def label(value):
    parts = (getattr(part, "label", part) for part in value)
    return "".join(str(part) for part in parts if part is not None)


def is_polynomial(method):
    return method[0] in ("euler", "rk2", "rk4", "ps", *cases.TABLEAUX.values())


every_method = pytest.mark.parametrize("method", METHODS, ids=label)
every_time_constant = pytest.mark.parametrize("taus", cases.TIME_CONSTANTS, ids=str)


@numba.njit(error_model="numpy")
def tabulate(d, lengths):
    """(6, n): (a, c, b) and (a', c', b') at each length."""
    table = np.empty((6, len(lengths)))
    for k in range(len(lengths)):
        a, c, b = propagators.propagator(d, lengths[k])
        da, dc, db = propagators.propagator_derivative(d, lengths[k])
        table[0, k], table[1, k], table[2, k] = a, c, b
        table[3, k], table[4, k], table[5, k] = da, dc, db
    return table


@numba.njit(error_model="numpy")
def crossings(d, i0, u0, h, u1, reached, selected):
    """first_crossing of each selected piece; NaN of the others."""
    scratch = np.empty(d.order + 1)
    s = np.full(len(i0), np.nan)
    for k in range(len(i0)):
        if selected[k]:
            s[k] = first_crossing(d, i0[k], u0[k], h[k], u1[k], reached[k], scratch)
    return s


def ends(d, i0, u0, h):
    _, c, b = tabulate(d, h)[:3]
    return c * i0 + b * u0


def solve(d, i0, u0, h):
    """first_crossing of arrays of pieces, in float64."""
    u1 = ends(d, i0, u0, h)
    return crossings(d, i0, u0, h, u1, u1 >= THETA, np.ones(len(i0), np.bool_))


def peaks_at(d, s, excess):
    """States (I0, u0) whose potential has u(s) = theta (1 + excess) and u'(s) = 0."""
    _, c, b, _, dc, db = tabulate(d, s)
    determinant = c * db - b * dc
    level = THETA * (1.0 + excess)
    return db / determinant * level, -dc / determinant * level


def random_states(rng, d, h, n):
    """n states for steps h: a third anything, a third through theta at a point s of the step, a
    third with a peak there that grazes theta from above or below; some s near the step's ends, some
    in its middle, where a chord is exceeded most. All u0 < theta, but for rounding."""
    near = 10.0 ** rng.uniform(-9, -1, n)
    s = h * np.choose(rng.integers(0, 6, n), [near, 1.0 - near, 0.5, *rng.uniform(0, 1, (3, n))])
    excess = rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-12, -1, n)
    u0 = THETA * (1.0 - 10.0 ** rng.uniform(-6, 1, n))
    i0 = rng.normal(0.0, 3.0, n) / min(d.tau, d.tau_s)
    _, c, b = tabulate(d, s)[:3]
    kind = rng.integers(0, 3, n)
    i0 = np.where((kind == 1) & (c > 1e-30), (THETA * (1 + excess) - b * u0) / (c + 1e-300), i0)
    with np.errstate(all="ignore"):
        peak_i0, peak_u0 = peaks_at(d, s, excess)
    peaked = (kind == 2) & (abs(peak_i0) < 1e30) & (peak_u0 < THETA) & (peak_u0 > -1e30)
    return np.where(peaked, peak_i0, i0), np.where(peaked, peak_u0, u0)


def step_of(d, h):
    """The table row that the layer's kernel makes for one step of length h from an input at 0."""
    made = steps.Steps(
        np.empty(1, np.int64), np.zeros(1, np.int64), np.empty(3), np.empty(3, np.int64),
        np.empty(3, np.uint8), np.empty((3, 5)),
    )  # fmt: skip
    d = d._replace(duration=h, dt=h)
    steps.merge(d, np.zeros(1), 0, 1, 0, made)
    table.tabulate(d, made, 0, np.empty((4, vectors.LANES)))
    assert made.count[0] == 1
    return made.propagators[0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
@every_method
def test_no_crossing_goes_unflagged(method, dtype):
    """A million random states per method and type, h up to ten time constants.

    The layer's own kernels make the table row and the flags. What a dense scan of the step finds
    above theta by more than rounding, or `first_crossing` finds at all, must be flagged.
    """
    rng = np.random.default_rng(0)
    n_steps, n = 400, 2500
    unflagged = 0
    for k in range(n_steps):
        taus = cases.TIME_CONSTANTS[k % len(cases.TIME_CONSTANTS)]
        d = dynamics(*method, taus, dtype=dtype)
        h = 10.0 ** rng.uniform(-3, 1) * taus[k // 4 % 2]
        if is_polynomial(method):
            h = min(h, 10.0 * min(taus))  # beyond, the series overflows
        i0, u0 = (x.astype(dtype) for x in random_states(rng, d, h, n))
        below = u0 < dtype(THETA)
        whole = below.sum() // vectors.LANES * vectors.LANES  # the kernel goes by whole vectors
        i0, u0 = i0[below][:whole], u0[below][:whole]
        p = step_of(d, h)
        # the series of short steps differ by a few roundings
        np.testing.assert_allclose(p[:3], tabulate(d, np.array([h]))[:3, 0], rtol=1e-15)
        room = forward.room_for(d, i0, whole)
        state, blocks, bits = room.state, room.blocks, room.flags
        state[0], state[1] = i0, u0
        found = advance(room, state, p, d.bar)
        flags = np.zeros(whole, np.bool_)
        for block, word in zip(blocks[:found], bits[:found], strict=True):
            lanes = np.arange(vectors.LANES, dtype=np.uint64)
            flags[block * vectors.LANES + lanes.astype(int)] = (word >> lanes) & np.uint64(1)
        next_u = state[3]
        wide_i, wide_u = i0.astype(float), u0.astype(float)
        lengths = np.full(len(u0), h)
        s = crossings(
            d, wide_i, wide_u, lengths, next_u.astype(float), next_u >= dtype(THETA), ~flags
        )
        assert (s[~flags] == NO_CROSSING).all()
        _, c, b = tabulate(d, h * np.linspace(0.0, 1.0, 65)[1:])[:3]
        unseen_i, unseen_u = wide_i[~flags], wide_u[~flags]
        # rounding of the sum that the scan forms, and of a series whose terms exceed their sum
        size = abs(unseen_i) * np.abs(c).max() + abs(unseen_u) * max(1.0, np.abs(b).max())
        slack = 1e-14 * size * (np.exp(h / min(taus)) if is_polynomial(method) else 1.0)
        seen = np.outer(unseen_i, c) + np.outer(unseen_u, b)
        assert (seen.max(axis=1, initial=-np.inf) < THETA + slack).all()
        unflagged += len(unseen_i)
    assert unflagged > 0.05 * n_steps * n  # the claim is about something


@numba.njit(error_model="numpy")
def first_by_brute_force(d, i0, u0, h, n):
    """First of n equidistant samples at or above theta, bisected to neighbouring numbers; or -1."""
    before = 0.0
    for k in range(1, n + 1):
        high = h * (k / n)
        _, c, b = propagators.propagator(d, high)
        if c * i0 + b * u0 >= d.theta:
            low = before
            while True:
                middle = 0.5 * (low + high)
                if not (low < middle and middle < high):
                    return high
                _, c, b = propagators.propagator(d, middle)
                if c * i0 + b * u0 >= d.theta:
                    high = middle
                else:
                    low = middle
        before = high
    return -1.0


@numba.njit(error_model="numpy")
def brute_force(d, i0, u0, h, n):
    s = np.empty(len(i0))
    for k in range(len(i0)):
        s[k] = first_by_brute_force(d, i0[k], u0[k], h[k], n)
    return s


@every_time_constant
@every_method
def test_the_crossing_is_the_first_one(method, taus):
    """Against a thousand samples of the step, bisected; 1,000 random pieces, h up to 10 taus.

    Where samples find a crossing, so does `first_crossing`, there or before; where it finds one
    that samples miss (a peak between two of them), u is theta there all the same.
    """
    rng = np.random.default_rng(1)
    d = dynamics(*method, taus)
    n = 1000
    h = 10.0 ** rng.uniform(-3, 1, n) * min(taus)
    i0, u0 = random_states(rng, d, h, n)
    h, i0, u0 = (x[u0 < THETA] for x in (h, i0, u0))
    found, expected = solve(d, i0, u0, h), brute_force(d, i0, u0, h, 1000)
    crossed = found != NO_CROSSING
    assert ((found[crossed] > 0.0) & (found[crossed] <= h[crossed])).all()

    # size of the terms of u, whose rounding blurs theta; a series alternates
    growth = np.exp(h / min(taus)) if is_polynomial(method) else 1.0
    size = (abs(i0) * np.minimum(h, max(taus)) + abs(u0) + THETA) * growth
    _, c, b, _, dc, db = tabulate(d, np.where(crossed, found, 0.0))
    slope = dc * i0 + db * u0
    # at the root u is theta, to the rounding of u and of s
    rounding = 4e-15 * size + 4e-16 * abs(slope) * found
    assert (abs(c * i0 + b * u0 - THETA) <= rounding)[crossed].all()
    # no sample finds a crossing that is not found, but for rounding
    missed = ~crossed & (expected >= 0.0)
    assert not (missed & (ends(d, i0, u0, h) >= THETA)).any()
    if missed.any():
        samples = h[missed, None] * np.linspace(0.0, 1.0, 1001)
        _, c, b = tabulate(d, samples.ravel())[:3].reshape(3, *samples.shape)
        u = c * i0[missed, None] + b * u0[missed, None]
        assert (u.max(axis=1) - THETA <= 4e-15 * size[missed]).all()
    # never a later crossing than the first; the same where u rises steadily
    both = crossed & (expected >= 0.0)
    steady = both & (slope > 1e-3 * size / h)
    assert (found <= expected + rounding / np.maximum(slope, 1e-8 * size / h))[both].all()
    agree = abs(found - expected) <= 2.0 * rounding / np.maximum(slope, 1e-300)
    earlier = found < expected - h / 1000  # a peak between two samples, before the one found
    assert (agree | earlier)[steady].all()
    assert (steady & agree).sum() > 150
    assert (steady & earlier).mean() < 0.01


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["above", "below"])
@every_time_constant
@pytest.mark.parametrize("method", WITH_PEAK, ids=label)
def test_a_peak_inside_a_step_spikes_if_and_only_if_it_reaches_theta(method, taus, sign):
    """Lossless detection, peaks 1e-9 theta above and below; from any state, anywhere in the step.

    The flag that leads here is set for all of them (`test_no_crossing_goes_unflagged`).
    """
    rng = np.random.default_rng(2)
    d = dynamics(*method, taus)
    n = 3000
    h = 10.0 ** rng.uniform(-2, 0.3, n) * min(taus)
    s = h * rng.uniform(0.1, 0.95, n)
    i0, u0 = peaks_at(d, s, sign * 1e-9)
    # the peak must be inside, the only one, and reached from below
    samples = h[:, None] * np.linspace(0.0, 1.0, 201)[1:]
    _, c, b, _, dc, db = tabulate(d, samples.ravel()).reshape(6, *samples.shape)
    u, du = c * i0[:, None] + b * u0[:, None], dc * i0[:, None] + db * u0[:, None]
    rising = samples < s[:, None]
    single = (du * np.where(rising, 1.0, -1.0) > -1e-9 * abs(i0[:, None])).all(axis=1)
    # a peak is above rounding by far, and the end of the step below theta
    size = abs(i0) * h + abs(u0)
    kept = single & (u0 < THETA) & (u[:, -1] < THETA * (1.0 - 1e-7)) & (size < 1e4)
    assert kept.sum() > 100
    i0, u0, h, s = (x[kept] for x in (i0, u0, h, s))
    found = solve(d, i0, u0, h)
    if sign < 0:
        assert (found == NO_CROSSING).all()
        return
    assert (found > 0.0).all()
    # where the parabola at the peak, of curvature u'', is at theta
    d_s = 1e-5 * s
    bend = (tabulate(d, s + d_s)[4:] - tabulate(d, s - d_s)[4:]) / (2.0 * d_s)
    distance = np.sqrt(2e-9 * THETA / abs(bend[0] * i0 + bend[1] * u0))
    assert (abs((s - found) / distance - 1.0) < 0.1).all()


def test_several_extrema_in_one_step_of_order_five():
    """At h = 1.6 tau a quintic rises, falls and rises again: its first root counts.

    Against the eigenvalues of the companion matrix of the same quintic.
    """
    rng = np.random.default_rng(3)
    checked = first_peak = 0
    for taus in ((1.0, 1.0), (1.0, 2.0), (1.0, 1.3), (1.3, 1.0)):
        d = dynamics("ps", 5, taus, 1.6 * max(taus))
        h = 1.6 * max(taus)
        s = h * rng.uniform(0.02, 0.98, 6000)
        i0, u0 = peaks_at(d, s, rng.choice([-1, 1], 6000) * 10.0 ** rng.uniform(-6, 0, 6000))
        below = u0 < THETA
        i0, u0 = i0[below], u0[below]
        found = solve(d, i0, u0, np.full(len(i0), h))
        for current, potential, root in zip(i0, u0, found):
            q = d.unit * d.series[1] * current + d.series[2] * potential
            quintic = np.polynomial.Polynomial(q - [THETA, 0, 0, 0, 0, 0])
            extrema = quintic.deriv().roots() * d.unit
            inside = (abs(extrema.imag) < 1e-9) & (extrema.real > 0) & (extrema.real < h)
            if inside.sum() < 2:
                continue
            roots = quintic.roots() * d.unit
            roots = np.sort(roots.real[abs(roots.imag) < 1e-12])
            roots = roots[(roots > 1e-9) & (roots <= h)]
            if np.abs(quintic(extrema.real[inside] / d.unit)).min() < 1e-9:
                continue  # a peak within 1e-9 of theta: the eigenvalues do not decide it
            checked += 1
            if len(roots) == 0:
                assert root == NO_CROSSING
            else:
                assert abs(root - roots[0]) <= 1e-8 * h
                first_peak += len(roots) > 1
    assert checked >= 200
    assert first_peak >= 20  # more than one crossing in the step


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@every_method
def test_derivatives_of_the_crossing_are_those_by_complex_step(method, interpolation):
    """dense: two Newton steps carry the imaginary part into the root. linear: the chord itself."""
    rng = np.random.default_rng(4)
    for taus in cases.TIME_CONSTANTS:
        d = dynamics(*method, taus, interpolation=interpolation)
        h = 0.6 * min(taus) * rng.uniform(0.2, 1.0, 40)
        i0, u0 = rng.uniform(2.0, 9.0, 40) / min(taus), rng.uniform(-1.0, 0.9, 40)
        checked = 0
        for current, potential, rest, s in zip(i0, u0, h, solve(d, i0, u0, h)):
            if s == NO_CROSSING:
                continue
            d_s = crossing_derivatives(d, d.interpolation, THETA, current, potential, s, rest)
            if d.interpolation == DENSE:
                slope = flow(d, complex(s, 1e-30), current, potential).imag / 1e-30
            else:
                slope = (flow(d, rest, current, potential) - potential) / rest
            if not slope > 0.02 * THETA / d.tau:
                continue

            def root(current, potential, rest, d=d, s=s, slope=slope):
                if d.interpolation == LINEAR:
                    rise = flow(d, rest, current, potential) - potential
                    return rest * (THETA - potential) / rise
                for _ in range(2):
                    s = s - (flow(d, s, current, potential) - THETA) / slope
                return s

            expected = (
                root(current + 1e-30j, potential, rest).imag / 1e-30,
                root(current, potential + 1e-30j, rest).imag / 1e-30,
                root(current, potential, rest + 1e-30j).imag / 1e-30,
            )
            # each is a quotient of sums of a few terms; the rounding of s counts over the slope
            np.testing.assert_allclose(d_s[:3], expected, rtol=1e-11, atol=1e-13)
            assert d_s[3] == pytest.approx(slope, rel=1e-12)
            checked += 1
        assert checked >= 10


def flow(d, s, i0, u0):
    """u after s, which may be complex; in plain Python, since Numba's complex expm1 cancels."""
    if d.code == propagators.EXACT:
        _, c, b = propagators.exact_propagator.py_func(s, d.tau_s, d.tau)
    else:
        _, c, b = propagators.propagator.py_func(d, s)
    return c * i0 + b * u0


@every_method
def test_a_crossing_at_which_u_does_not_rise_passes_no_gradient(method):
    d = dynamics(*method, (0.5, 1.0))
    assert crossing_derivatives(d, DENSE, THETA, -1.0, 0.5, 0.1, 0.2)[:3] == (0.0, 0.0, 0.0)
    assert crossing_derivatives(d, LINEAR, THETA, -1.0, 0.5, 0.1, 0.2)[:3] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("interpolation", ["dense", "linear"])
@every_method
def test_a_stored_end_at_theta_always_has_its_crossing_in_the_step(method, interpolation):
    """Whatever the state: rounded to float32 the end may be at theta where the formula is below."""
    rng = np.random.default_rng(5)
    n = 20000
    for taus in cases.TIME_CONSTANTS:
        d = dynamics(*method, taus, interpolation=interpolation)
        h = 10.0 ** rng.uniform(-320, 1, n) * min(taus)
        h[: n // 2] = 10.0 ** rng.uniform(-9, 1, n // 2) * min(taus)
        h = np.maximum(h, 5e-324)
        i0, u0 = random_states(rng, d, h, n)
        u0 = np.minimum(u0, np.nextafter(THETA, 0.0))
        u0[::5] = np.nextafter(THETA, 0.0)
        u1 = np.maximum(ends(d, i0, u0, h), THETA)
        every = np.ones(n, np.bool_)
        s = crossings(d, i0, u0, h, u1, every, every)
        assert ((s > 0.0) & (s <= h)).all()


@every_method
def test_a_step_of_length_zero_has_no_crossing(method):
    rng = np.random.default_rng(6)
    for interpolation in ("dense", "linear"):
        for taus in cases.TIME_CONSTANTS:
            d = dynamics(*method, taus, interpolation=interpolation)
            u0 = np.append(THETA - 10.0 ** rng.uniform(-16, 1, 200), np.nextafter(THETA, 0.0))
            u0 = u0[u0 < THETA]
            i0 = rng.normal(0.0, 100.0, len(u0))
            assert (solve(d, i0, u0, np.zeros(len(u0))) == NO_CROSSING).all()


def test_linear_crosses_where_the_chord_does_and_not_before_it_ends_above():
    d = dynamics("euler", None, (0.5, 1.0), interpolation="linear")
    scratch = np.empty(d.order + 1)
    for u0, u1, expected in ((0.0, 2.0, 0.1), (0.5, 1.0, 0.2), (-1.0, 3.0, 0.1)):
        s = first_crossing(d, 1.0, u0, 0.2, u1, True, scratch)
        assert s == pytest.approx(expected, rel=1e-15)
    assert first_crossing(d, 9.0, 0.5, 0.2, 0.9, False, scratch) == NO_CROSSING


@every_method
def test_dense_and_linear_are_the_same_for_euler_alone(method):
    rng = np.random.default_rng(7)
    h = rng.uniform(0.0, 0.4, 500)
    dense, linear = (
        dynamics(*method, (0.5, 1.0), interpolation=name) for name in ("dense", "linear")
    )
    i0, u0 = rng.uniform(0.0, 9.0, 500), rng.uniform(-1.0, 0.99, 500)
    found, chords = solve(dense, i0, u0, h), solve(linear, i0, u0, h)
    crossed = chords != NO_CROSSING
    assert crossed.sum() > 50
    same = np.allclose(found[crossed], chords[crossed], rtol=1e-13, atol=0)
    assert same == (method == ("euler", 1))
