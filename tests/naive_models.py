"""The oracle for models by equations: one sample, neuron by neuron, in plain Python.

Imports nothing from lifnum. Expressions are the tests' own text, evaluated with complex numbers;
comparisons use real parts, so that a step of 1e-30 in the imaginary direction differentiates the
whole simulation, roots and power series included. Slow and obviously right.
"""

from math import ceil, factorial, inf, isfinite
from typing import NamedTuple

import numpy as np
import precise_models

MAX_ORDER = 32
MAX_CUTS = 40

TABLEAUS = {
    "euler": ([[0.0]], [1.0]),
    "rk2": ([[0.0, 0.0], [0.5, 0.0]], [0.0, 1.0]),
    "rk4": (
        [[0, 0, 0, 0], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1.0, 0]],
        [1 / 6, 1 / 3, 1 / 3, 1 / 6],
    ),
}


class TooWild(ArithmeticError):
    """No piece of a step is finite."""


class Spike(NamedTuple):
    time: complex
    neuron: int
    before: np.ndarray  # state at the spike, the threshold variable at the threshold
    slope: float  # of the threshold variable there, on the numerical trajectory


class Conditioning:
    """How near to grazing a simulation came."""

    def __init__(self):
        self.slopes = []
        self.peak = inf  # smallest distance of a missed peak to the threshold
        self.cuts = 0


def real(x):
    return float(np.real(x))


def phi(k, x):
    """phi_k(x) = sum of x^j / (j + k)!."""
    if abs(x) < 1.0:
        return sum(x**j / factorial(j + k) for j in range(24))
    value = np.expm1(x) / x
    for j in range(1, k):
        value = (value - 1 / factorial(j)) / x
    return value


class Series:
    """A truncated power series; operators and functions by the textbook's recurrences."""

    def __init__(self, c):
        self.c = list(c)

    def of(self, other):
        if isinstance(other, Series):
            return other
        return Series([other] + [0.0] * (len(self.c) - 1))

    def __add__(self, other):
        return Series([a + b for a, b in zip(self.c, self.of(other).c)])

    __radd__ = __add__

    def __neg__(self):
        return Series([-a for a in self.c])

    def __pos__(self):
        return self

    def __sub__(self, other):
        return self + -self.of(other)

    def __rsub__(self, other):
        return self.of(other) + -self

    def __mul__(self, other):
        a, b = self.c, self.of(other).c
        return Series([sum(a[i] * b[k - i] for i in range(k + 1)) for k in range(len(a))])

    __rmul__ = __mul__

    def __truediv__(self, other):
        a, b, q = self.c, self.of(other).c, []
        for k in range(len(a)):
            q.append((a[k] - sum(b[i] * q[k - i] for i in range(1, k + 1))) / b[0])
        return Series(q)

    def __rtruediv__(self, other):
        return self.of(other) / self

    def __pow__(self, n):
        if float(n) == int(n):
            result = self.of(1.0)
            for _ in range(abs(int(n))):
                result = result * self
            return result if n >= 0 else 1.0 / result
        return (n * self.log()).exp()

    def exp(self):
        e = [np.exp(self.c[0])]
        for k in range(1, len(self.c)):
            e.append(sum(i * self.c[i] * e[k - i] for i in range(1, k + 1)) / k)
        return Series(e)

    def log(self):
        a, q = self.c, [np.log(self.c[0])]
        for k in range(1, len(a)):
            q.append((a[k] - sum(i * q[i] * a[k - i] for i in range(1, k)) / k) / a[0])
        return Series(q)

    def sqrt(self):
        a, q = self.c, [np.sqrt(self.c[0])]
        for k in range(1, len(a)):
            q.append((a[k] - sum(q[i] * q[k - i] for i in range(1, k))) / (2 * q[0]))
        return Series(q)

    def tanh(self):
        t = [np.tanh(self.c[0])]
        for k in range(1, len(self.c)):
            t = [*t, 0.0]
            u = Series([1.0] + [0.0] * k) - Series(t) * Series(t)
            t[k] = sum(i * self.c[i] * u.c[k - i] for i in range(1, k + 1)) / k
        return Series(t)

    def sin_cos(self):
        s, c = [np.sin(self.c[0])], [np.cos(self.c[0])]
        for k in range(1, len(self.c)):
            new = sum(i * self.c[i] * c[k - i] for i in range(1, k + 1)) / k
            c.append(-sum(i * self.c[i] * s[k - i] for i in range(1, k + 1)) / k)
            s.append(new)
        return Series(s), Series(c)

    def exprel(self):
        if abs(self.c[0]) >= 2.0:
            return (self.exp() - 1.0) / self
        total = self.of(0.0)
        for j in range(44, -1, -1):  # composition: sum of x^j / (j + 1)!
            total = total * self + 1 / factorial(j + 1)
        return total


def _function(name, plain):
    def apply(x):
        if not isinstance(x, Series):
            return plain(x)
        if name in ("sin", "cos"):
            return x.sin_cos()[name == "cos"]
        return getattr(x, name)()

    return apply


FUNCTIONS = {name: _function(name, getattr(np, name))
             for name in ("exp", "log", "sqrt", "tanh", "sin", "cos")}  # fmt: skip
FUNCTIONS["exprel"] = _function("exprel", lambda x: phi(1, x))


class Plain:
    """A model of one neuron: its texts, evaluated."""

    def __init__(self, model, neuron=0):
        self.model, self.neuron = model, neuron
        self.variables = list(model.equations)
        self.parameters = {
            name: float(x[neuron] if isinstance(x, np.ndarray) else x)
            for name, x in model.parameters.items()
        }
        self.rate = 1.0 / model.time_unit
        self.texts = {
            kind: {name: compile(str(text).strip(), "model", "eval")
                   for name, text in getattr(model, kind).items()}
            for kind in ("equations", "initial", "reset")
        }  # fmt: skip
        self.v = self.variables.index(model.threshold[0])
        names = [model.input] * 2 if isinstance(model.input, str) else model.input
        self.inputs = [self.variables.index(name) for name in names]
        self.threshold = real(self._value(compile(str(model.threshold[1]), "model", "eval")))
        self.has_reset = bool(model.reset)
        self.max_spikes = model.max_spikes
        self.refractory = model.refractory * model.time_unit

    def _value(self, code, **state):
        return eval(code, {"__builtins__": {}}, {**FUNCTIONS, **self.parameters, **state})

    def field(self, y, held=False):
        state = dict(zip(self.variables, y))
        rates = [self._value(self.texts["equations"][name], **state) * self.rate
                 for name in self.variables]  # fmt: skip
        if held:
            rates[self.v] = rates[self.v] * 0.0
        return rates if any(isinstance(x, Series) for x in y) else np.array(rates)

    def diagonal(self, y):
        """df_i/dy_i, by series of two terms."""
        result = []
        for i in range(len(y)):
            along = [Series([a, 1.0 if j == i else 0.0]) for j, a in enumerate(y)]
            rate = self.field(along)[i]
            result.append(rate.c[1] if isinstance(rate, Series) else 0.0)
        return np.array(result)

    def initial(self):
        return np.array([self._value(self.texts["initial"][name])
                         if name in self.texts["initial"] else 0.0
                         for name in self.variables], complex).real.astype(float)  # fmt: skip

    def reset(self, y):
        state = dict(zip(self.variables, y))
        return np.array([self._value(self.texts["reset"][name], **state)
                         if name in self.texts["reset"] else state[name]
                         for name in self.variables])  # fmt: skip

    def jump(self, y, weight):
        """The state after an input of this weight."""
        y = np.array(y, complex)
        first, second = self.inputs
        if first == second or real(weight) >= 0:
            y[first] += weight
        else:
            y[second] -= weight
        return y


@np.errstate(all="ignore")  # a step that is too long overflows, and is then cut
def coefficients(plain, y, unit, order, tolerance=None):
    """(state's series with unit^k inside, order used or None); of `order`, or by tolerance."""
    c = [[a] for a in y]
    largest = [abs(real(a)) for a in y]
    small = 0
    for k in range(MAX_ORDER if tolerance is not None else order):
        rates = plain.field([Series(a) for a in c])
        for i, rate in enumerate(rates):
            rate = rate.c[k] if isinstance(rate, Series) else (rate if k == 0 else 0.0)
            c[i].append(rate * unit / (k + 1))
        if tolerance is not None:
            fine = all(abs(real(a[-1])) <= tolerance * b for a, b in zip(c, largest))
            largest = [max(b, abs(real(a[-1]))) for a, b in zip(c, largest)]
            small = small + 1 if fine else 0
            if small == 2:
                return c, k + 1
    return c, None if tolerance is not None else order


class Piece:
    """The numerical trajectory from a state y, planned for a length h."""

    def __init__(self, plain, scheme, y, h):
        self.plain, self.scheme, self.y, self.h = plain, scheme, np.array(y, complex), h
        self.unit = real(h)
        self.converged = True
        if scheme.method == "ps":
            c, order = coefficients(plain, self.y, self.unit, scheme.order, scheme.tolerance)
            self.converged = order is not None
            self.c = np.array(c)[:, : (order or MAX_ORDER) + 1]
        elif scheme.method == "exponential-euler":
            self.f, self.d = plain.field(self.y), plain.diagonal(self.y)
        else:
            method = scheme.method
            self.a, self.b = TABLEAUS.get(method) or (method.a, method.b)

    def at(self, s):
        if self.unit == 0.0 and real(s) == 0.0:  # all methods agree there
            return self.y + s * self.plain.field(self.y)
        if self.scheme.method == "ps":
            x, total = s / self.unit, 0.0
            for k in range(self.c.shape[1] - 1, -1, -1):
                total = total * x + self.c[:, k]
            return total
        if self.scheme.method == "exponential-euler":
            return self.y + s * self.f * np.array([phi(1, s * d) for d in self.d])
        k = []
        for row in self.a:
            y = self.y + s * sum((a * one for a, one in zip(row, k)), np.zeros(len(self.y)))
            k.append(self.plain.field(y))
        return self.y + s * sum(b * one for b, one in zip(self.b, k))

    def real(self):
        return Piece(self.plain, self.scheme, np.real(self.y), real(self.h))

    def slope(self, s):
        """d/ds of the threshold variable at real s, of the real trajectory."""
        return self.real().at(s + 1e-30j)[self.plain.v].imag / 1e-30


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


def peaks(piece):
    """Where a peak inside the piece is looked for, sorted."""
    h, v, method = piece.unit, piece.plain.v, piece.scheme.method
    if method == "exponential-euler":
        return []
    if method == "ps":
        c = np.real(piece.c[v])
        roots = np.polynomial.Polynomial(c).deriv().roots() if len(c) > 2 else []
        near = [r.real for r in roots if abs(r.imag) <= 1e-6 * (abs(r) + 1e-300)]
        return sorted(r * h for r in near if 0.0 < r < 1.0)
    twin = piece.real()
    rise = real(twin.at(h)[v] - twin.y[v])
    begin, end = h * piece.slope(0.0), h * piece.slope(h)
    cubic = np.polynomial.Polynomial([0.0, begin, 3 * rise - 2 * begin - end,
                                      begin + end - 2 * rise])  # fmt: skip
    return [
        r.real * h
        for r in cubic.deriv().roots()
        if abs(np.imag(r)) < 1e-9 and 0.0 < np.real(r) < 1.0 and cubic.deriv(2)(np.real(r)) < 0.0
    ]


def first_crossing(piece, interpolation, conditioning):
    """The first s in (0, h] where the threshold variable reaches the threshold, or None."""
    plain, h = piece.plain, piece.unit
    v, theta = plain.v, plain.threshold
    end = piece.at(piece.h)[v]
    if interpolation == "linear":
        if real(end) < theta:
            return None
        rise = end - piece.y[v]
        conditioning.slopes.append(real(rise) / h if h > 0 else inf)
        return piece.h * (theta - piece.y[v]) / rise
    if h <= 0.0:
        return None
    twin = piece.real()

    def gap(s):
        return real(twin.at(s)[v]) - theta

    left = 0.0
    for right in [*peaks(piece), h]:
        reached = real(end) >= theta if right == h else gap(right) >= 0.0
        if reached:
            s = bisect(gap, left, right)
            slope = piece.slope(s)
            conditioning.slopes.append(slope)
            for _ in range(2):  # carries the imaginary parts into the root
                s = s - (piece.at(s)[v] - theta) / slope
            return s
        if right < h and gap(right) < 0.0:
            conditioning.peak = min(conditioning.peak, -gap(right))
        if piece.scheme.method == "ps":
            left = right
    return None


def grid(scheme, duration):
    """Grid points after 0."""
    n = max(1, index_on_grid(duration, scheme.dt))
    return [g * scheme.dt for g in range(1, n)] + [duration]


def index_on_grid(time, dt):
    steps = time / dt
    return ceil(steps - min(1e-3, 2.0**-23 * (steps + 8.0)))


def events(inputs, scheme, duration):
    """[(time, real time, weight index or None, input)]: what bounds the sub-intervals."""
    points = [(t, 1, -1, t, None) for t in grid(scheme, duration)]
    for k, (t, i) in enumerate(inputs):
        if real(t) > duration:
            continue
        if scheme.interpolation == "none":
            g = index_on_grid(real(t), scheme.dt)
            on_grid = [0.0, *grid(scheme, duration)]
            if g < len(on_grid) - 1:
                points.append((on_grid[g], 2, k, on_grid[g], i))
        elif real(t) < duration:
            points.append((real(t), 0, k, t, i))
    points.sort(key=lambda point: point[:3])
    if scheme.interpolation != "none" and any(p[0] == 0.0 for p in points):
        last = max(k for k, p in enumerate(points) if p[0] == 0.0)
        points.insert(last + 1, (0.0, 1, -1, 0.0, None))
    return [(p[3], p[0], p[4], p[2]) for p in points]


def simulate_neuron(inputs, weights, plain, scheme, duration, index, conditioning, trace=None):
    """Spikes of one neuron; inputs: (time, weight index) sorted by real time, then index.

    trace receives ("piece", state, length), ("spike", state, number, whether it crosses) and
    ("input", state before, state after, place among the inputs).
    """
    trace = [] if trace is None else trace
    y, start, armed = np.array(plain.initial(), complex), 0.0, True
    v, theta = plain.v, plain.threshold
    clocked = scheme.interpolation == "none"
    spikes = []
    points = events(inputs, scheme, duration)

    def emit(time, before, slope=inf):
        if len(spikes) == plain.max_spikes:
            return False
        spikes.append(Spike(time, index, before, slope))
        return True

    tied = False  # with another input that acts at the same time: nothing happens in between
    for n, (time, real_time, source, place) in enumerate(points):
        h = time - start
        if tied and not clocked:
            y = y + h * plain.field(y)  # nothing, but for the derivative
        elif not (clocked and real(h) == 0.0):
            if not clocked and real(y[v]) >= theta:
                if plain.has_reset:
                    if not emit(start, y):
                        return spikes
                    trace.append(("spike", y, len(spikes) - 1, False))
                    y = plain.reset(y)
                elif armed:
                    if not emit(start, y):
                        return spikes
                    armed = False
            elapsed = 0.0
            while True:
                rest = h - elapsed
                length, piece = rest, None
                for cuts in range(MAX_CUTS + 1):
                    with np.errstate(all="ignore"):
                        piece = Piece(plain, scheme, y, rest * 0.5**cuts)
                        length = rest * 0.5**cuts
                        end = piece.at(length)
                    # a piece that is not cut again counts as it is
                    if (piece.converged or cuts == MAX_CUTS) and np.isfinite(np.real(end)).all():
                        break
                    conditioning.cuts += 1
                else:
                    raise TooWild(f"neuron {index} at {real(start + elapsed)}")
                s = None
                if not clocked and (plain.has_reset or armed):
                    s = first_crossing(piece, scheme.interpolation, conditioning)
                if s is not None:
                    at = piece.at(s)
                    at[v] = theta
                    if not emit(start + elapsed + s, at, conditioning.slopes[-1]):
                        return spikes
                    trace.append(("piece", y, real(s)))
                    trace.append(("spike", at, len(spikes) - 1, True))
                    if plain.has_reset:
                        y, elapsed = plain.reset(at), elapsed + s
                        assert real(y[v]) < theta
                        continue
                    armed = False
                if s is None:
                    trace.append(("piece", y, real(length)))
                else:
                    trace.append(("piece", at, real(length - s)))
                y = end
                if cuts == 0:
                    break
                elapsed = elapsed + length
                if clocked and real(y[v]) >= theta:
                    break
            if clocked and real(y[v]) >= theta and (plain.has_reset or armed):
                if not emit(time, y):
                    return spikes
                trace.append(("spike", y, len(spikes) - 1, True))
                if plain.has_reset:
                    y = plain.reset(y)
                armed = False
            if real(y[v]) < theta:
                armed = True
        if source is not None:
            before, y = y, plain.jump(y, weights[source])
            trace.append(("input", before, y, place))
        following = points[n + 1] if n + 1 < len(points) else None
        tied = (source is not None and following is not None and following[2] is not None
                and following[1] == real_time)  # fmt: skip
        start = time
    assert all(isfinite(real(spike.time)) for spike in spikes)
    return spikes


def simulate(inputs, weights, models, scheme, duration, conditioning=None):
    """Spikes of every layer, each sorted by (real time, neuron).

    inputs: (time, index) sorted by real time, then index; weights: one [n_pre][n_post] a layer.
    """
    conditioning = conditioning or Conditioning()
    layers = []
    for w, model in zip(weights, models):
        spikes = []
        for j in range(np.shape(w)[1]):
            column = [row[j] for row in w]
            spikes += simulate_neuron(
                inputs, column, Plain(model, j), scheme, duration, j, conditioning
            )
        spikes.sort(key=lambda q: (real(q.time), q.neuron))
        layers.append(spikes)
        inputs = [(q.time, q.neuron) for q in spikes]
    return layers


def continuous_adjoint(inputs, weights, plain, scheme, duration, d_times):
    """(dL/dw by input, dL/dt by input, pieces without one) of a neuron on its own trajectory.

    Where the true solution from a state of the trajectory is unbounded before the piece ends, its
    end has no derivative by that state: nothing goes back over that piece.
    """
    trace, n, cell = (
        [],
        len(plain.variables),
        precise_models.Cell(plain.model, plain.neuron, precise_models.COMPLEX),
    )
    simulate_neuron(inputs, weights, plain, scheme, duration, 0, Conditioning(), trace)
    lam, d_w, d_t = np.zeros(n), np.zeros(len(inputs)), np.zeros(len(inputs))

    def transposed(function, y):
        steps = [
            np.imag(function(np.real(y) + 1e-30j * one)).astype(float) / 1e-30 for one in np.eye(n)
        ]
        return np.array(steps) @ lam

    extra, n_unbounded = 0.0, 0  # by the time of what lifted the state
    for kind, y, *more in reversed(trace):
        y = np.real(y)
        if kind == "piece":
            try:
                lam = transposed(lambda y: precise_models.flow(cell, y, more[0]), y)
            except precise_models.Unbounded:
                lam, n_unbounded = np.zeros(n), n_unbounded + 1
        elif kind == "spike":
            e_q, slope = d_times[more[0]], plain.field(y)[plain.v]
            sigma = e_q
            if plain.has_reset:
                sigma = sigma - lam @ plain.field(plain.reset(y))
                lam = transposed(plain.reset, y)
                sigma = sigma + lam @ plain.field(y)
            if more[1]:
                lam[plain.v] -= sigma / slope
            else:
                extra = sigma
        else:
            after, place = np.real(more[0]), more[1]
            weight = weights[inputs[place][1]]
            first, second = plain.inputs
            d_w[place] = lam[first] if weight >= 0 or first == second else -lam[second]
            d_t[place] = extra + lam @ (plain.field(y) - plain.field(after))
            extra = 0.0
    return d_w, d_t, n_unbounded
