"""A dense layer of neurons given by equations: `Layer`'s interface over the general passes."""

import numpy as np

from lifnum.compiler import address_of
from lifnum.errors import SimulationError
from lifnum.kernels.general import engine, order, passes
from lifnum.kernels.general.batch import batch_of
from lifnum.kernels.general.lanes import N_FAULTS
from lifnum.kernels.general.modules import (
    address,
    address_in,
    analytical_vectors,
    module_of,
    vectors,
)
from lifnum.kernels.general.source import HEADER, Source
from lifnum.kernels.general.walk import NOT_FINITE, RESET_ABOVE, TOO_MANY
from lifnum.kernels.steps import grid_steps
from lifnum.methods.interpolation import INTERPOLATIONS, OVERSHOOTS
from lifnum.methods.runge_kutta import TABLEAUS, coefficients
from lifnum.spikes import SpikeTrains
from lifnum.weights import write

FAMILIES = {"ps": engine.Series, "exponential-euler": engine.Exponential}

FORWARD = {
    engine.Stages: ("field", "reset"),
    engine.Series: ("field", "expand", "reset"),
    engine.Exponential: ("field", "diagonal", "reset"),
}

BACKWARD = {
    engine.Stages: ("reset_transpose",),
    engine.Series: ("jacobian_term", "reset_transpose"),
    engine.Exponential: ("field_transpose", "diagonal_transpose", "reset_transpose"),
}

PIGGYBACK = ("field", "expand", "jacobian_term", "reset_transpose")

METHODS = (*TABLEAUS, *FAMILIES)

NEARLY_ZERO = float(np.finfo(np.float32).tiny)


def check_scheme(scheme, model):
    """Raise ValueError for what models are not simulated or differentiated with."""
    name = model.name
    if isinstance(scheme.method, str) and scheme.method not in METHODS:
        why = "the solution is not known" if scheme.method == "exact" else "it is not explicit"
        raise ValueError(
            f"method is {scheme.method!r} for {name}: {why}; accepted: {', '.join(METHODS)}"
        )
    if scheme.gradient == "surrogate":
        raise ValueError(f"gradient is 'surrogate' for {name}; accepted: adjusted, piggyback")


def functions(model):
    """(module of the compiled functions of a model, their numbers p of every neuron)."""
    source = Source(model)
    return module_of(HEADER + source.text), source.parameters(model, model.n_neurons or 1)


def engine_of(model, source, scheme, duration):
    """The numbers that the kernels take for a layer of these neurons, without addresses."""
    family = FAMILIES.get(scheme.method, engine.Stages)
    a, b = np.zeros((0, 0)), np.zeros(0)
    if family is engine.Stages:
        a, b = coefficients(scheme.method)
    straight = scheme.interpolation == "dense" and len(b) == 1  # Euler's steps are chords
    positive, negative = model.input_indices
    return family(
        n=source.n,
        v=model.threshold_index,
        order=int(scheme.order or 0) if scheme.method == "ps" else 0,
        tolerance=float(scheme.tolerance or 0.0),
        a=a,
        b=b,
        entries=source.entries,
        n_rows=source.n_rows,
        interpolation=INTERPOLATIONS[scheme.interpolation],
        chords=scheme.interpolation == "linear" or straight,
        has_reset=bool(model.reset),
        positive=positive,
        negative=negative,
        overshoot=OVERSHOOTS[scheme.overshoot],
        spikes_per_step=scheme.spikes_per_step or 0,
        refractory=model.refractory * model.time_unit,
        gate=source.gate,
        max_spikes=model.max_spikes,
        most_cuts=engine.MOST_CUTS,
        dt=float(scheme.dt),
        n_grid=int(grid_steps(min(scheme.dt, duration), duration)),
        duration=duration,
        **dict.fromkeys(engine.ADDRESSES, 0),
    )


class ModelLayer:
    """A dense layer of `Model` neurons and what its last forward pass left.

    The state is float64 whatever the type of the weights. Attributes are those of `Layer`; n_steps
    counts the steps of the grid from time 0 and the inputs before the duration, also where an input
    coincides with another or a grid point, as under `none` all do; of piggyback, n_without_gradient
    counts the pieces of trajectories too over which the solution of the differential equation is
    unbounded: no gradient passes them.
    """

    def __init__(self, weights, model, scheme, duration):
        check_scheme(scheme, model)
        self._weights, self.shape, self.dtype = weights, weights.shape, weights.dtype
        self.neuron = model
        self.spikes = None
        self.n_capped = self.n_suppressed = self.n_unresolved = self.n_steps = (
            self.n_without_gradient
        ) = 0
        self.gradient_norm = 0.0
        n_post = weights.shape[1]
        if model.n_neurons not in (None, n_post):
            raise ValueError(
                f"parameters of {model.name} have {model.n_neurons} entries; accepted: numbers, "
                f"or arrays of length {n_post}, one entry a neuron"
            )
        self._source = source = Source(model)
        graph, nodes = model._graph, model._nodes
        *start, bar = graph.evaluate([*nodes["initial"], nodes["threshold"]], model.parameters)
        self._starts = np.empty((n_post, source.n))
        for k, value in enumerate(start):
            self._starts[:, k] = value
        self._thresholds = np.empty(n_post)
        self._thresholds[:] = bar
        self._p = source.parameters(model, n_post)
        self.engine = engine_of(model, source, scheme, float(duration))
        self._n_rooms = engine.rows(self.engine)
        self._need(FORWARD[type(self.engine)])
        self._vectors = vectors(source, model, self.engine)
        self._need_alone(("flow", "rate", "root"))
        self._vectorise("quiet")
        alone = scheme.spikes_per_step is not None or source.gate >= 0 or not model.reset
        if self.engine.chords and not alone and not isinstance(self.engine, engine.Series):
            self._vectorise("leap")
        self._capacity = min(8, model.max_spikes)
        self._n_pieces = 2 * passes.SEGMENT
        self._run, self._results = None, None
        self._adjoints, self._backs = {}, {}  # by whether they are analytical
        self._d_w = self._squares = None  # of the adjoint before

    def _need(self, names):
        """Compile functions of the model that the engine does not have yet."""
        missing = [name for name in names if getattr(self.engine, name) == 0]
        if missing:
            self.engine = self.engine._replace(
                **{name: address(self._source, name) for name in missing}
            )

    def _need_alone(self, names):
        """Compile what stages are of one neuron."""
        if isinstance(self.engine, engine.Stages):
            missing = [name for name in names if getattr(self.engine, name) == 0]
            found = {name: address_in(self._vectors, f"{name}_alone") for name in missing}
            self.engine = self.engine._replace(**found)

    def _vectorise(self, name):
        if self._vectors is not None and getattr(self.engine, name) == 0:
            self.engine = self.engine._replace(**{name: self._vector(self._vectors, name)})

    def _vector(self, module, name):
        """Address of a function of vectors."""
        return address_of(getattr(module, name), *passes.vector_examples(self.engine)[name])

    def _adjoint(self, analytical, *arguments):
        """The engine of an adjoint."""
        self._need(PIGGYBACK if analytical else BACKWARD[type(self.engine)])
        dense = self.engine.interpolation == engine.DENSE
        self._need_alone(("moves", "pull") if dense else ("moves",))
        if analytical not in self._adjoints:
            self._adjoints[analytical] = passes.units(self.engine, *arguments, analytical)
        one = self.engine._replace(**self._adjoints[analytical])
        if self._vectors is None:
            return one
        if analytical not in self._backs:
            self._backs[analytical] = (
                self._vector(analytical_vectors(self._source, self.neuron), "true_back")
                if analytical else self._vector(self._vectors, "quiet_back")
            )  # fmt: skip
        return one._replace(quiet_back=self._backs[analytical])

    def _batch(self, inputs, analytical=False):
        """The batch, in which no weight is 0 where a series is cut by a tolerance.

        Of a state that nothing moves all terms are 0, and the series ends before that of its
        derivatives does.
        """
        weights = self.weights
        if analytical or self.engine.tolerance > 0.0:
            weights = np.where(weights == 0.0, self.dtype.type(NEARLY_ZERO), weights)
        neurons = weights, self._p, self._thresholds, self._starts
        return batch_of(inputs, self.engine.n_grid, neurons)

    @property
    def weights(self):
        return self._weights

    @weights.setter
    def weights(self, values):
        write(self._weights, values, "weights of the layer")

    def forget(self):
        """There is no last forward pass any more."""
        self.spikes = self._run = self._results = None

    def forward(self, inputs, keep_pieces=False, keep_states=False, count_peaks=False):
        """Simulate the layer on `inputs` (SpikeTrains) and set and return ``spikes``.

        The adjoint simulates anew: nothing more is kept, whatever is asked for.
        """
        batch, n_post = len(inputs), self.shape[1]
        offsets, numbers = np.zeros(batch + 1, np.int64), np.empty(order.N_NUMBERS, np.int64)
        while True:
            results = self._results_for(batch)
            if self.engine.run == 0:
                found = passes.units(self.engine, self._batch(inputs), results)
                self.engine = self.engine._replace(**found)
            passes.forward(self.engine, self._n_rooms, self._batch(inputs), results)
            order.count_all(
                results.counts, results.faults, self.neuron.max_spikes, offsets, numbers
            )
            if numbers[order.LACKING] == 0:
                break
            self._capacity = min(2 * self._capacity, self.neuron.max_spikes)
        if numbers[order.FAULTY] > 0:
            self._raise(results.faults, results.fault_times)
        n = offsets[-1]
        times, indices, places = np.empty(n), np.empty(n, np.int32), np.empty(n, np.int64)
        room = np.empty(order.room_for(numbers[order.MOST]), np.int64)
        order.order_spikes(self.engine.duration, results.spikes, results.counts, offsets, times,
                           indices, places, room)  # fmt: skip
        self.spikes = SpikeTrains._trusted(times, indices, offsets, n_post)
        self.n_capped, self.n_suppressed = map(int, numbers[[order.CAPPED, order.SUPPRESSED]])
        # crossings that were not resolved are counted only where those of the limit are all
        dense = self.engine.interpolation == engine.DENSE
        self.n_unresolved = int(numbers[order.LET_PASS]) if dense else None
        self.n_steps = int((inputs.times < self.engine.duration).sum()) + batch * self.engine.n_grid
        self._run = inputs, results, places
        return self.spikes

    def _results_for(self, batch):
        """`passes.Results`, those of the pass before where they fit: new memory costs time."""
        shape = batch, self.shape[1]
        if self._results is None or self._results.spikes.shape != (*shape, self._capacity):
            self._results = passes.Results(
                np.empty((*shape, self._capacity)), np.empty(shape, np.int64),
                np.empty((*shape, N_FAULTS), np.int64), np.empty(shape),
            )  # fmt: skip
        return self._results

    def _raise(self, faults, fault_times):
        bad = np.argwhere(faults[:, :, 0] != 0)
        sample, neuron = bad[0]
        kind, variable = faults[sample, neuron, :2]
        where = f"sample {sample}, neuron {neuron}"
        time = fault_times[sample, neuron]
        if kind == RESET_ABOVE:
            raise SimulationError(
                f"{where}: the reset of {self.neuron.name} at {time:g} is not below the threshold "
                f"{self._thresholds[neuron]:g}; accepted: a reset of "
                f"{self.neuron.threshold[0]!r} below it"
            )
        if kind == TOO_MANY:
            raise SimulationError(
                f"{where}: {self.neuron.name} is not at the end of a step after {time:g}, "
                f"{self.engine.most_cuts} halvings of what remained included; try a smaller dt, a "
                "larger tolerance, or smaller weights"
            )
        assert kind == NOT_FINITE
        raise SimulationError(
            f"{where}: {self.neuron.variables[variable]} of {self.neuron.name} is not finite after "
            f"{time:g} and no spike explains it, {engine.MAX_CUTS} halvings of the step included; "
            "try a smaller dt, ps, or smaller weights"
        )

    def backward(self, d_times, gradient, input_gradient):
        """(dL/dweights, dL/d input times or None) from dL/dt of the last forward pass's spikes."""
        analytical = gradient == "piggyback"
        inputs, results, order_of = self._run
        counts = results.counts
        batch, n_post = len(inputs), self.shape[1]
        by_neuron = np.empty(len(order_of))
        by_neuron[order_of] = d_times
        places = np.zeros(counts.size + 1, np.int64)
        np.cumsum(counts.ravel(), out=places[1:])
        n_groups = -(-n_post // passes.LANES)
        n_chunks = passes.chunks(batch, n_groups)
        while True:
            d_w = self._sums_for(n_chunks)
            d_in = np.zeros((n_groups if input_gradient else 0, len(inputs.times)))
            tallies = np.zeros((n_groups * n_chunks, 3), np.int64)
            given = self._batch(inputs, analytical)
            sums = passes.Gradients(by_neuron, places, d_w, d_in, tallies)
            e = self._adjoint(analytical, given, results, sums)
            sizes = self._n_rooms, self._n_pieces
            passes.backward(e, sizes, analytical, given, results, sums)
            most = int(tallies[:, 1].max(initial=0))
            if most <= self._n_pieces:
                break
            self._n_pieces = most + most // 4
        if tallies[:, 2].any():
            raise ValueError(
                "the weights were changed since the forward pass, and give other spikes; "
                "accepted: weights as they were, or a forward pass before backward"
            )
        self.n_without_gradient = int(tallies[:, 0].sum())
        total = d_w.sum(axis=0) if n_chunks > 1 else d_w[0]
        self._squares = np.square(total, out=self._squares)
        self.gradient_norm = float(np.sqrt(self._squares.sum()))
        return total.astype(self.dtype, copy=False), d_in.sum(axis=0) if input_gradient else None

    def _sums_for(self, n_chunks):
        """Room for the sums of the adjoint's chunks, that of the one before where it is ours."""
        shape = n_chunks, *self.shape
        if n_chunks == 1 and self.dtype == np.float64:  # it is what `backward` returns
            return np.empty(shape)
        if self._d_w is None or self._d_w.shape != shape:
            self._d_w = np.empty(shape)
        return self._d_w

    def state(self, times, variable=None):
        """A variable of the state, by default that of the threshold: (batch, n_post, times).

        Of the last forward pass. After a spike that the cap suppresses the state stays.
        """
        names = self.neuron.variables
        variable = names[self.engine.v] if variable is None else variable
        if variable not in names:
            raise ValueError(f"variable is {variable!r}; accepted: {', '.join(names)}")
        inputs, n_post = self._run[0], self.shape[1]
        order = np.argsort(times, kind="stable")
        out = np.empty((len(inputs), n_post, self._source.n, len(times)))
        lacking = np.zeros((len(inputs), n_post), np.bool_)
        n_pieces = 64
        while True:
            passes.states(
                self.engine, (self._n_rooms, n_pieces), self._batch(inputs), self._capacity,
                np.ascontiguousarray(times[order]), out, lacking,
            )  # fmt: skip
            if not lacking.any():
                break
            n_pieces *= 4
        result = np.empty((len(inputs), n_post, len(times)))
        result[:, :, order] = out[:, :, names.index(variable)]
        return result

    def potential(self, times):
        """The threshold variable (batch, n_post, times) of the last forward pass."""
        return self.state(times)
