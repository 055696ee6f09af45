"""The oracle for models by equations: one sample, neuron by neuron, in plain Python.

Imports nothing from lifnum. Expressions are the tests' own text, evaluated with complex numbers;
comparisons use real parts, so that a step of 1e-30 in the imaginary direction differentiates the
whole simulation, roots and power series included. Slow and obviously right.
"""

from copy import copy
from math import ceil, inf, isfinite
from typing import NamedTuple

import numpy as np
import precise_models
from naive_pieces import (
    FUNCTIONS,
    MAX_CUTS,
    Conditioning,
    Piece,
    Series,
    TooWild,
    first_crossing,
    real,
)


class Spike(NamedTuple):
    time: complex
    neuron: int
    before: np.ndarray  # state at the spike, the threshold variable at the threshold
    slope: float  # of the threshold variable there, on the numerical trajectory


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
        self.is_held = False

    def _value(self, code, **state):
        return eval(code, {"__builtins__": {}}, {**FUNCTIONS, **self.parameters, **state})

    def held(self):
        """The same neuron while its threshold variable is held."""
        other = copy(self)
        other.is_held = True
        return other

    def field(self, y):
        state = dict(zip(self.variables, y))
        rates = [self._value(self.texts["equations"][name], **state) * self.rate
                 for name in self.variables]  # fmt: skip
        if self.is_held:
            rates[self.v] = rates[self.v] * 0.0
        return rates if any(isinstance(x, Series) for x in y) else np.array(rates)

    def diagonal(self, y):
        """df_i/dy_i, by series of two terms."""
        result = []
        for i in range(len(y)):
            along = [Series([a, 1.0 if j == i else 0.0]) for j, a in enumerate(y)]
            rate = self.field(along)[i]
            result.append(rate[1] if isinstance(rate, Series) else 0.0)
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
        positive = first == second or real(weight) >= 0
        where = first if positive else second
        if not (self.is_held and where == self.v):
            y[where] += weight if positive else -weight
        return y


@np.errstate(all="ignore")  # a step that is too long overflows, and is then cut
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

    trace receives ("piece", state, length, neuron as it is then), ("spike", state, number, whether
    it crosses), ("release", state) at the end of a hold, and ("input", state before, state after,
    place among the inputs, neuron as it is then).
    """
    trace = [] if trace is None else trace
    y, start, armed = np.array(plain.initial(), complex), 0.0, True
    v, theta = plain.v, plain.threshold
    clocked = scheme.interpolation == "none"
    limit = scheme.spikes_per_step or inf
    used, opens = 0, True  # spikes of this grid step; whether one begins now
    twin, until = plain.held(), None  # the end of the hold, while there is one
    spikes = []
    points = events(inputs, scheme, duration)

    def emit(time, before, slope=inf):
        nonlocal used, until
        if len(spikes) == plain.max_spikes:
            return False
        used += 1
        until = time + plain.refractory if plain.refractory > 0.0 else None
        spikes.append(Spike(time, index, before, slope))
        return True

    tied = False  # with another input that acts at the same time: nothing happens in between
    for n, (time, real_time, source, place) in enumerate(points):
        h = time - start
        used = 0 if opens else used
        if tied and not clocked:
            # nothing, but for the derivative
            y = y + h * (plain if until is None else twin).field(y)
        elif not (clocked and real(h) == 0.0):
            elapsed = 0.0
            while True:
                if until is not None:
                    left, rest = until - (start + elapsed), h - elapsed
                    left, rest = (x - min(real(x), 0.0) for x in (left, rest))
                    ends = real(left) <= real(rest)
                    length = left if ends else rest
                    end = Piece(twin, scheme, y, length).at(length)
                    assert np.isfinite(np.real(end)).all()
                    trace.append(("piece", y, real(length), twin))
                    y, elapsed = end, elapsed + length
                    if not ends:
                        break
                    trace.append(("release", y))
                    until = None
                above = not clocked and real(y[v]) >= theta and used < limit
                if above and (plain.has_reset or armed):
                    if not emit(start + elapsed, y):
                        return spikes
                    if plain.has_reset:
                        trace.append(("spike", y, len(spikes) - 1, False))
                        y = plain.reset(y)
                        assert real(y[v]) < theta or limit < inf
                    armed = False
                    continue
                rest = h - elapsed
                length, piece = rest, None
                for cuts in range(MAX_CUTS + 1):
                    with np.errstate(all="ignore"):
                        piece = Piece(plain, scheme, y, rest * 0.5**cuts, piece)
                        length = rest * 0.5**cuts
                        end = piece.at(length)
                    # a piece that is not cut again counts as it is
                    if (piece.converged or cuts == MAX_CUTS) and np.isfinite(np.real(end)).all():
                        break
                    conditioning.cuts += 1
                else:
                    raise TooWild(f"neuron {index} at {real(start + elapsed)}")
                s = None
                if not clocked and (plain.has_reset or armed) and real(y[v]) < theta:
                    s = first_crossing(piece, scheme.interpolation, conditioning)
                if s is not None and used >= limit and len(spikes) < plain.max_spikes:
                    conditioning.let_pass += 1
                    s = None
                if s is not None:
                    at = piece.at(s)
                    at[v] = theta
                    if not emit(start + elapsed + s, at, conditioning.slopes[-1]):
                        return spikes
                    trace.append(("piece", y, real(s), plain))
                    trace.append(("spike", at, len(spikes) - 1, True))
                    if plain.has_reset:
                        y, elapsed = plain.reset(at), elapsed + s
                        assert real(y[v]) < theta
                        continue
                    armed = False
                if s is None:
                    trace.append(("piece", y, real(length), plain))
                else:
                    trace.append(("piece", at, real(length - s), plain))
                y = end
                if cuts == 0:
                    break
                elapsed = elapsed + length
                if clocked and real(y[v]) >= theta:
                    break
            may = armed or (plain.has_reset and scheme.overshoot != "lose")
            while clocked and real(y[v]) >= theta and may and until is None:
                if not emit(time, y):
                    return spikes
                trace.append(("spike", y, len(spikes) - 1, True))
                if plain.has_reset:
                    y = plain.reset(y)
                armed, may = False, plain.has_reset and scheme.overshoot == "several"
            if real(y[v]) < theta:
                armed = True
        if source is not None:
            now = plain if until is None else twin
            before, y = y, now.jump(y, weights[source])
            trace.append(("input", before, y, place, now))
        opens = source is None
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
    trace, n = [], len(plain.variables)
    cells = [precise_models.Cell(plain.model, plain.neuron, precise_models.COMPLEX, held)
             for held in (False, True)]  # fmt: skip
    simulate_neuron(inputs, weights, plain, scheme, duration, 0, Conditioning(), trace)
    lam, d_w, d_t = np.zeros(n), np.zeros(len(inputs)), np.zeros(len(inputs))

    def transposed(function, y):
        steps = [
            np.imag(function(np.real(y) + 1e-30j * one)).astype(float) / 1e-30 for one in np.eye(n)
        ]
        return np.array(steps) @ lam

    extra = 0.0  # by the time of what lifted the state
    by_hold, n_unbounded = 0.0, 0  # by the end of a hold
    held = plain.held() if plain.refractory > 0.0 else plain
    for kind, y, *more in reversed(trace):
        y = np.real(y)
        if kind == "piece":
            try:
                cell = cells[more[1].is_held]
                lam = transposed(lambda y: precise_models.flow(cell, y, more[0]), y)
            except precise_models.Unbounded:
                lam, n_unbounded = np.zeros(n), n_unbounded + 1
            extra = 0.0  # a spike where the grid begins a step moves with nothing
        elif kind == "release":
            by_hold = extra - lam[plain.v] * plain.field(y)[plain.v]
            extra = 0.0
        elif kind == "spike":
            e_q, slope = d_times[more[0]], plain.field(y)[plain.v]
            sigma, by_hold = e_q + by_hold, 0.0
            if plain.has_reset:
                sigma = sigma - lam @ held.field(plain.reset(y))
                lam = transposed(plain.reset, y)
                sigma = sigma + lam @ plain.field(y)
            if more[1]:
                lam[plain.v] -= sigma / slope
            else:
                extra += sigma
        else:
            after, place = np.real(more[0]), more[1]
            weight = weights[inputs[place][1]]
            now, (first, second) = more[2], plain.inputs
            positive = weight >= 0 or first == second
            where = first if positive else second
            if not (now.is_held and where == plain.v):
                d_w[place] = lam[where] if positive else -lam[where]
            d_t[place] = extra + lam @ (now.field(y) - now.field(after))
            extra = 0.0
    return d_w, d_t, n_unbounded
