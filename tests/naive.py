"""The oracle: one sample, event by event, in plain Python; imports nothing from lifnum.

Complex numbers are allowed everywhere (comparisons use real parts), so that a step of 1e-30 in the
imaginary direction differentiates the whole simulation, roots included. Slow and obviously right.
"""

from functools import cache
from math import ceil, inf
from typing import NamedTuple

import numpy as np

SERIES_ORDER = {"euler": 1, "rk2": 2, "rk4": 4}


class Spike(NamedTuple):
    time: complex
    neuron: int
    current: complex  # I at the spike
    slope: float  # du/dt of the numerical trajectory at the spike
    at_start: bool = False  # of a neuron above theta as a grid step begins


class Conditioning:
    """How near to grazing, and to overflow, a simulation came."""

    def __init__(self):
        self.slope = inf  # smallest slope at a spike, in units of theta / tau
        self.peak = inf  # smallest distance of a missed peak to theta, in units of theta
        self.largest = 0.0  # largest current or potential at the end of a step; inf: overflow
        # `none`: spikes that left u at or above theta; `linear`: peaks there; and crossings that
        # `spikes_per_step` let pass
        self.unresolved = 0


def propagator(method, order, h, tau_s, tau):
    """(a, c, b): I(h) = a I0, u(h) = c I0 + b u0."""
    if method == "exact":
        slow, x = max(tau, tau_s), h * abs(1 / tau_s - 1 / tau)
        phi = -np.expm1(-x) / x if x != 0 else 1.0
        return np.exp(-h / tau_s), h * np.exp(-h / slow) * phi, np.exp(-h / tau)
    if method == "backward-euler":
        return 1 / (1 + h / tau_s), h / ((1 + h / tau) * (1 + h / tau_s)), 1 / (1 + h / tau)
    if method == "trapezoidal":
        x, y = h / (2 * tau_s), h / (2 * tau)
        return (1 - x) / (1 + x), h / ((1 + x) * (1 + y)), (1 - y) / (1 + y)
    if method == "exponential-euler":
        return np.exp(-h / tau_s), -tau * np.expm1(-h / tau), np.exp(-h / tau)
    if not isinstance(method, str):
        a, c = stages(method, (1.0, 0.0), h, tau_s, tau)
        return a, c, stages(method, (0.0, 1.0), h, tau_s, tau)[1]
    columns = []
    for i_term, u_term in ((1.0, 0.0), (0.0, 1.0)):  # terms of the power series, h^p inside
        i_sum, u_sum = i_term, u_term
        for p in range(SERIES_ORDER.get(method, order)):
            i_term, u_term = (
                -i_term * h / tau_s / (p + 1),
                (i_term - u_term / tau) * h / (p + 1),
            )
            i_sum, u_sum = i_sum + i_term, u_sum + u_term
        columns.append((i_sum, u_sum))
    return columns[0][0], columns[0][1], columns[1][1]


def stages(tableau, state, h, tau_s, tau):
    """(I, u) after a step of an explicit Runge-Kutta method; h may be any number or polynomial."""

    (i0, u0), by_i, by_u = state, [], []
    for row in (*tableau.a, tableau.b):
        current = i0 + h * sum(x * k for x, k in zip(row, by_i))
        potential = u0 + h * sum(x * k for x, k in zip(row, by_u))
        by_i.append(-current / tau_s)
        by_u.append(current - potential / tau)
    return current, potential


@cache
def polynomials(tableau, unit, tau_s, tau):
    """c and b as polynomials in h / unit."""
    h = np.polynomial.Polynomial([0.0, unit])
    return [stages(tableau, state, h, tau_s, tau)[1] for state in ((1.0, 0.0), (0.0, 1.0))]


class Flow:
    """The trajectory of one neuron from a state (I0, u0), as a function of elapsed time."""

    def __init__(self, scheme, neuron, current, potential):
        self.scheme, self.neuron = scheme, neuron
        self.current, self.potential = current, potential

    def at(self, s):
        if not isinstance(self.scheme.method, str):
            state = self.current, self.potential
            return stages(self.scheme.method, state, s, self.neuron.tau_s, self.neuron.tau)
        a, c, b = propagator(
            self.scheme.method, self.scheme.order, s, self.neuron.tau_s, self.neuron.tau
        )
        return a * self.current, c * self.current + b * self.potential

    def real(self):
        return Flow(self.scheme, self.neuron, real(self.current), real(self.potential))

    def slope(self, s):
        """du/ds at real s, of the real trajectory, by complex step."""
        return self.real().at(s + 1e-30j)[1].imag / 1e-30

    def extrema(self, h):
        """Where du/ds changes its sign in (0, h), sorted."""
        method, order = self.scheme.method, self.scheme.order
        order = SERIES_ORDER.get(method, order)
        if method in ("exact", "backward-euler", "trapezoidal"):  # at most one
            if method == "exact":  # later slopes underflow, and no peak is above theta there
                h = min(h, 300 * max(self.neuron.tau, self.neuron.tau_s))
            if self.slope(0.0) * self.slope(h) >= 0.0:
                return []
            return [bisect(lambda s: self.slope(s) * np.sign(self.slope(h)), 0.0, h)]
        if method == "exponential-euler" or order == 1:
            return []
        # a polynomial: find the roots of its derivative
        unit = min(self.neuron.tau, self.neuron.tau_s)
        i_term, u_term = real(self.current), real(self.potential)
        coefficients = [u_term]
        for p in range(order if isinstance(method, str) else 0):
            i_term, u_term = (
                -i_term * unit / self.neuron.tau_s / (p + 1),
                (i_term - u_term / self.neuron.tau) * unit / (p + 1),
            )
            coefficients.append(u_term)
        potential = np.polynomial.Polynomial(coefficients)
        if not isinstance(method, str):
            c, b = polynomials(method, unit, self.neuron.tau_s, self.neuron.tau)
            potential = i_term * c + u_term * b
        roots = potential.deriv().roots() * unit
        near = [r.real for r in roots if abs(r.imag) <= 1e-6 * (abs(r) + 1e-300)]
        return sorted(r for r in near if 0.0 < r < h)


def real(x):
    return float(np.real(x))


def bisect(f, low, high):
    """Where f turns from below to at or above zero."""
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high
        if f(middle) >= 0.0:
            high = middle
        else:
            low = middle


def first_crossing(flow, h, interpolation, conditioning):
    """(s, slope) of the first s in (0, h] where u reaches theta, or None."""
    theta, end = flow.neuron.theta, flow.at(h)[1]
    if interpolation == "linear":
        if real(end) < theta:
            return None
        rise = end - flow.potential
        return h * (theta - flow.potential) / rise, real(rise / h) if real(h) > 0 else inf
    if real(h) <= 0.0:
        return None
    twin = flow.real()

    def gap(s):
        return twin.at(s)[1] - theta

    left = 0.0
    for right in [*flow.extrema(real(h)), real(h)]:
        reached = real(end) >= theta if right == real(h) else gap(right) >= 0.0
        if reached:
            s = bisect(gap, left, right)
            slope = flow.slope(s)
            for _ in range(2):  # carries the imaginary parts into the root
                s = s - (flow.at(s)[1] - theta) / slope
            return s, slope
        if right < real(h) and flow.slope(right - 1e-6 * right) > 0.0:
            conditioning.peak = min(conditioning.peak, -gap(right) / theta)
        left = right
    return None


def grid_index(time, dt):
    """Index of the first point of the grid 0, dt, 2 dt, ... at or after a time.

    Times that went through single precision stay on their point.
    """
    steps = time / dt
    return ceil(steps - min(1e-3, 2**-23 * (steps + 8)))


def grid(scheme, duration):
    """Grid points after 0."""
    if scheme.dt is None:
        return [duration]
    n = grid_index(duration, min(scheme.dt, duration))
    return [g * scheme.dt for g in range(1, n)] + [duration]


def simulate_neuron(inputs, weights, neuron, scheme, duration, index, conditioning):
    """Spikes of one neuron; inputs: (time, weight index) sorted by real time, then index."""
    points = [(real(t), 0, k, t, weights[i]) for k, (t, i) in enumerate(inputs)]
    points = [p for p in points if p[0] < duration]
    points += [(t, 1, g, t, 0.0) for g, t in enumerate(grid(scheme, duration))]
    if scheme.dt is not None:
        points.append((0.0, 1, -1, 0.0, 0.0))
    if scheme.interpolation == "none":
        points = clocked(points, scheme, duration)
    current = potential = start = 0.0
    spikes = []
    theta, delta = neuron.theta, neuron.delta_theta
    clock = scheme.interpolation == "none"
    limit = scheme.spikes_per_step or inf
    used, on_grid = 0, True  # spikes of this grid step; whether it begins now
    for _, kind, _, time, weight in sorted(points, key=lambda p: p[:3]):
        elapsed, h, before = 0.0, time - start, potential
        if on_grid:
            if used >= limit:
                conditioning.peak = min(conditioning.peak, abs(real(potential) - theta) / theta)
            used = 0
        while not clock and real(potential) >= theta and used < limit:
            if len(spikes) == neuron.max_spikes:
                break
            spikes.append(Spike(start, index, current, inf, True))
            potential, used = potential - delta, used + 1
        while not clock and len(spikes) < neuron.max_spikes and real(potential) < theta:
            flow = Flow(scheme, neuron, current, potential)
            crossing = first_crossing(flow, h - elapsed, scheme.interpolation, conditioning)
            if crossing is None:
                if scheme.interpolation == "linear" and real(h - elapsed) > 0.0:
                    peak = first_crossing(flow, h - elapsed, "dense", Conditioning())
                    conditioning.unresolved += peak is not None
                break
            if used >= limit:
                conditioning.unresolved += 1
                break
            s, slope = crossing
            conditioning.slope = min(conditioning.slope, slope * neuron.tau / theta)
            elapsed, used = elapsed + s, used + 1
            current, potential = flow.at(s)[0], theta - delta
            spikes.append(Spike(start + elapsed, index, current, slope))
        flow = Flow(scheme, neuron, current, potential)
        current, potential = flow.at(h - elapsed)
        size = max(abs(current), abs(potential))
        conditioning.largest = max(conditioning.largest, size) if size < inf else inf
        armed = scheme.overshoot != "lose" or real(before) < theta
        while clock and real(h) > 0 and real(potential) >= theta and armed:
            if len(spikes) == neuron.max_spikes:
                break
            spikes.append(Spike(time, index, current, inf))
            potential = potential - delta
            conditioning.unresolved += real(potential) >= theta and scheme.overshoot != "several"
            armed = scheme.overshoot == "several"
        on_grid = kind == 1
        start = time
        current = current + weight
    return spikes


def clocked(points, scheme, duration):
    """Move inputs to the grid point at which they act, behind that point's spikes."""
    n = len(grid(scheme, duration))
    moved = []
    for key, kind, k, time, weight in points:
        if kind == 0:
            g = grid_index(key, min(scheme.dt, duration))
            if g < n:
                moved.append((g * scheme.dt, 2, k, g * scheme.dt, weight))
        else:
            moved.append((key, kind, k, time, weight))
    return moved


def simulate(inputs, weights, neurons, scheme, duration, conditioning=None):
    """Spikes of every layer, each sorted by (real time, neuron).

    inputs: (time, index) sorted by real time, then index; weights: one [n_pre][n_post] a layer.
    """
    conditioning = conditioning or Conditioning()
    layers = []
    for w, neuron in zip(weights, neurons):
        spikes = []
        for j in range(len(w[0]) if len(w) else 0):
            column = [row[j] for row in w]
            spikes += simulate_neuron(inputs, column, neuron, scheme, duration, j, conditioning)
        spikes.sort(key=lambda q: (real(q.time), q.neuron))
        layers.append(spikes)
        inputs = [(q.time, q.neuron) for q in spikes]
    return layers


def slope_of(spike, neuron):
    """du/dt right before a spike, from the current there."""
    return real(spike.current) - neuron.theta / neuron.tau


def eventprop(inputs, weights, neurons, layers, d_times, scheme, duration, before=slope_of):
    """The analytical adjoint on given spikes: (gradients of the weights, of the input times).

    layers: spikes of every layer as `simulate` returns them; d_times: dL/dt of the last layer's;
    before: the slope of u right before a spike of a neuron, by which its gradient is divided.
    """
    gradients = [np.zeros(np.shape(w)) for w in weights]
    for k in range(len(weights) - 1, -1, -1):
        below = inputs if k == 0 else [(q.time, q.neuron) for q in layers[k - 1]]
        d_below = np.zeros(len(below))
        for j in range(np.shape(weights[k])[1]):
            events = [(real(q.time), 0, n, real(q.current), d_times[n])
                      for n, q in enumerate(layers[k])
                      if q.neuron == j and not q.at_start]  # fmt: skip
            for n, (time, _) in enumerate(below):
                time = real(time)
                if scheme.interpolation == "none":
                    g = grid_index(time, min(scheme.dt, duration))
                    points = [0.0, *grid(scheme, duration)]
                    time = points[g] if g < len(points) else inf
                if time < duration:
                    events.append((time, 1, n, 0.0, 0.0))
            lam_i = lam_u = 0.0
            now, neuron = duration, neurons[k]
            for time, kind, n, current, d_time in sorted(events, reverse=True):
                a, c, b = propagator("exact", None, now - time, neuron.tau_s, neuron.tau)
                lam_i, lam_u, now = a * lam_i + c * lam_u, b * lam_u, time
                if kind == 0:
                    reset = neuron.theta - neuron.delta_theta
                    v = before(layers[k][n], neuron)
                    sigma = d_time - lam_u * (current - reset / neuron.tau)
                    lam_u = -sigma / v if v > 0 else 0.0
                else:
                    i = below[n][1]
                    gradients[k][i, j] += lam_i
                    d_below[n] += weights[k][i][j] * (lam_i / neuron.tau_s - lam_u)
        d_times = d_below
    return gradients, d_times
