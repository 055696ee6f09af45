"""A dense layer of neurons: room for its kernels, and what the last forward pass left."""

import numpy as np

from lifnum.errors import SimulationError
from lifnum.kernels import sums, tiles
from lifnum.kernels.lif import adjoint as adjoints
from lifnum.kernels.lif import dynamics, forward, potential
from lifnum.kernels.steps import Steps
from lifnum.methods.interpolation import LINEAR
from lifnum.spikes import SpikeTrains
from lifnum.weights import require_unchanged, write

# the table of steps of one batch may take this much memory
MAX_TABLE_BYTES = 8e9
ROW_BYTES = 80.0  # of one of its sub-intervals, with what is kept beside it

_KERNELS = {}  # with addresses of what they call, by what finds these and the type of the weights


def table_rows(d, batch, n_inputs):
    """Rows that the table of steps of a batch has at most.

    Raises
    ------
    ValueError
        They would take more than `MAX_TABLE_BYTES`.
    """
    rows = n_inputs + batch * (d.n_grid + 1)
    if rows * ROW_BYTES > MAX_TABLE_BYTES:
        raise ValueError(
            f"dt {d.dt:g} with a batch of {batch} needs {rows} sub-intervals; "
            f"accepted: at most {MAX_TABLE_BYTES / ROW_BYTES:.0f}"
        )
    return rows


def require_same_spikes(before, after):
    """Refuse a gradient where the layer, simulated once more, has other spikes."""
    same = len(before.times) == len(after.times) and all(
        bool((getattr(before, name) == getattr(after, name)).all())
        for name in ("offsets", "times", "indices")
    )
    if not same:
        raise ValueError(
            "weights were changed after forward, and with them the spikes; accepted: the same "
            "weights, or forward again before backward"
        )


class Layer:
    """A dense layer and what its last forward pass left: see `Network.layers`.

    Attributes
    ----------
    weights : ndarray (n_pre, n_post), float32 or float64
        Assigning to it writes into it.
    neuron : Neuron
    spikes : SpikeTrains
        Output of the last forward pass; None where there is none, or it failed.
    n_capped, n_suppressed : int
        Neurons at the cap of spikes, and those whose next spike it suppressed, over the batch.
    n_unresolved : int or None
        Crossings that the interpolation did not resolve, over the batch: under `none`, unless
        overshoot is several, spikes after whose reset u was still at or above theta; under
        `linear`, peaks of the method's dense output above theta that no chord saw (only where
        `Network.forward` was asked to count them, on the CPU; None elsewhere); under both
        interpolations, crossings beyond spikes_per_step (0 under `dense` without that limit).
    n_steps : int
        Sub-intervals of the last forward pass, over the batch: those of a sample begin at its first
        input (under `none` at the grid point where that acts), before which nothing is integrated.
    n_without_gradient : int
        Spikes that passed no gradient in the last backward pass, because u did not rise at them.
    gradient_norm : float
        Euclidean norm of the gradient of the weights in the last backward pass.
    """

    def __init__(self, weights, neuron, scheme, duration):
        self._weights, self.shape, self.dtype = weights, weights.shape, weights.dtype
        self.neuron = neuron
        self.dynamics = scheme.dynamics(neuron, duration, weights.dtype)
        self.spikes = None
        self.n_capped = self.n_suppressed = self.n_unresolved = 0
        self.n_steps = self.n_without_gradient = 0
        self.gradient_norm = 0.0
        n_padded = tiles.padded(weights.shape[1])
        self._padded = None  # weights as the kernels see them, where that is not as they are
        if n_padded != weights.shape[1]:
            self._padded = np.zeros((len(weights), n_padded), weights.dtype)
        self.width = tiles.tile_width(n_padded)
        self.n_tiles = -(-n_padded // self.width) if self.width else 0
        self._capacity = min(2, neuron.max_spikes) * self.width + 64
        self._table = self._slots = self._pieces = self._chunks = None
        self._run = self._steps = self._states = None

    @property
    def weights(self):
        return self._weights

    @weights.setter
    def weights(self, values):
        write(self._weights, values, "weights of the layer")

    def forget(self):
        """There is no last forward pass any more."""
        self.spikes = self._run = self._steps = self._states = None

    def forward(self, inputs, keep_pieces=False, keep_states=False, count_peaks=False):
        """Simulate the layer on `inputs` (SpikeTrains) and set and return ``spikes``.

        `backward` of the discrete adjoint needs the pieces of steps that spikes end, and the
        states too where it goes on to the inputs.
        """
        d, batch = self.dynamics, len(inputs)
        on_chords = d.interpolation == LINEAR
        if on_chords and count_peaks:  # then the flag of a crossing is that of dense output
            rounding = 8.0 * float(np.finfo(self.dtype).eps)
            d = d._replace(count_peaks=1, bar=d.bar * (1.0 - rounding))
        w = self._kernel_weights()
        steps = self._room_for_steps(inputs)
        shape = (batch, self.n_tiles)
        tallies = np.empty((5, *shape), np.int64)
        states = np.empty((2 * len(steps.start) if keep_states else 0, w.shape[1]), w.dtype)
        received = tiles.Inputs(inputs.times, inputs.offsets, inputs.indices, w, self.width)
        while True:
            slots = self._slots
            if slots is None or len(slots) < batch or slots.shape[2] < self._capacity:
                slots = self._slots = np.empty((*shape, self._capacity), dynamics.SPIKE)
            slots = slots[:batch]
            pieces = self._pieces
            if not keep_pieces:
                pieces = np.empty((*shape, 0), dynamics.PIECE)
            elif pieces is None or len(pieces) < batch or pieces.shape[2] < slots.shape[2]:
                pieces = self._pieces = np.empty(slots.shape, dynamics.PIECE)
            output = dynamics.Output(slots, pieces[:batch], tallies, states)
            times, indices, offsets, totals = self._call(
                forward.forward, forward.sample_address, d, received, steps, output
            )
            most, self.n_capped, self.n_suppressed, bad, self.n_steps, unresolved = totals.tolist()
            self.n_unresolved = None if on_chords and not count_peaks else unresolved
            if most <= slots.shape[2]:
                break
            self._capacity = most + most // 4
        if bad >= 0:
            raise SimulationError(
                f"sample {bad}: the state of a neuron is not finite; largest weight "
                f"{np.abs(self.weights).max():g}"
            )
        self.spikes = SpikeTrains._trusted(times, indices, offsets, self.weights.shape[1])
        self._run = inputs, self.spikes, output
        self._steps = steps
        self._states = states if keep_states else None
        return self.spikes

    def _call(self, kernel, find, *arguments):
        """What a kernel returns; `find` gives the address of what it calls for such arguments.

        The types of the arguments follow from that of the weights and the class of the dynamics.
        """
        key = find, self.dtype, type(arguments[0])
        if key not in _KERNELS:
            address = find(*arguments)
            _KERNELS[key] = kernel.for_types_of(*arguments, address), address
        run, address = _KERNELS[key]
        return run(*arguments, address)

    def _kernel_weights(self):
        """The weights as they are now, as wide as the kernels see them."""
        w = self._weights
        require_unchanged(w, self.shape, self.dtype)
        if self._padded is None:
            return w
        self._padded[:, : w.shape[1]] = w
        return self._padded

    def _room_for_steps(self, inputs):
        """An empty table of steps, large enough for these inputs."""
        d, batch = self.dynamics, len(inputs)
        most = table_rows(d, batch, int(inputs.offsets[-1]))
        if self._table is None or len(self._table[0]) < most:
            self._table = (
                np.empty(most),
                np.empty(most, np.int64),
                np.empty(most, np.uint8),
                np.empty((most, 5)),
            )
        return Steps(np.empty(batch, np.int64), np.zeros(batch, np.int64), *self._table)

    def backward(self, d_times, adjoint, input_gradient):
        """(dL/dweights, dL/d input times or None) from dL/dt of the last forward pass's spikes.

        `adjoint` is a name that `Scheme.adjoint` gave.
        """
        d = self.dynamics
        adjusted = adjoint == "adjusted"
        run, kept = self._run, self._states
        missing = run[2].pieces.shape[2] == 0 or (input_gradient and kept is None)
        if adjusted and missing:
            n_unresolved = self.n_unresolved
            self.forward(run[0], keep_pieces=True, keep_states=input_gradient)
            self.n_unresolved = n_unresolved
            require_same_spikes(run[1], self.spikes)
        inputs, _, output = self._run
        n_chunks = sums.chunks(len(inputs), self.n_tiles)
        w = self._kernel_weights()
        total = np.empty(self.weights.shape, w.dtype)
        if n_chunks == 1 and self._padded is None:
            d_w = total[None]
        else:
            if self._chunks is None or len(self._chunks) != n_chunks:
                self._chunks = np.empty((n_chunks, *w.shape), w.dtype)
            d_w = self._chunks
        d_in = np.empty((self.n_tiles, len(inputs.times) if input_gradient else 0))
        fresh = np.ones((n_chunks, self.n_tiles, len(w)), np.bool_)
        received = tiles.Inputs(inputs.times, inputs.offsets, inputs.indices, w, self.width)
        gradients = sums.Gradient(d_times, d_w, fresh, total, d_in)
        find = adjoints.adjusted_address if adjusted else adjoints.piggyback_address
        self.gradient_norm, self.n_without_gradient = self._call(
            adjoints.backward, find, d, received, self._steps, output, gradients
        )
        if adjusted and missing:  # what backward gives must not depend on an earlier one
            # the records of the same spikes, and the old pieces, which may be none
            output = output._replace(pieces=run[2].pieces, states=run[2].states)
            self._run, self._states = (run[0], self.spikes, output), kept
        if not input_gradient:
            return total, None
        return total, d_in[0] if len(d_in) == 1 else d_in.sum(axis=0)

    def potential(self, times):
        """Membrane potential (batch, n_post, times) of the last forward pass; needs its states."""
        output = self._run[2]
        u = np.empty((output.spikes.shape[0], self.weights.shape[1], len(times)))
        potential.membrane_potential(self.dynamics, self._steps, output, times, u)
        return u
