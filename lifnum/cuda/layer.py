"""A layer that stays on the GPU: what Network runs there, with the interface of `Layer`.

Arrays are of `device.array_module()`. What crosses to the host: a few numbers a layer and pass.
"""

import math

import numpy as np

from lifnum.cuda import adjoint as adjoints
from lifnum.cuda import device, forward, layout, order
from lifnum.cuda.trains import THREADS, DeviceTrains, _blocks, xp
from lifnum.errors import SimulationError
from lifnum.kernels.steps import Steps
from lifnum.layer import require_same_spikes, table_rows
from lifnum.methods import propagators
from lifnum.methods.interpolation import LINEAR
from lifnum.weights import write

# gradients of this many bytes at most are summed from chunks of the batch
MAX_CHUNK_BYTES = 2**28
BLOCKS = 512  # blocks that keep a GPU busy


class DeviceLayer:
    """A dense layer on the device; attributes and methods as those of Layer."""

    def __init__(self, weights, neuron, scheme, duration):
        self.mirror = device.Mirror(weights)
        self.shape, self.dtype = weights.shape, weights.dtype
        self.neuron = neuron
        self.dynamics = scheme.dynamics(neuron, duration, weights.dtype)
        self._d = self.dynamics._replace(series=xp.asarray(self.dynamics.series))
        self.spikes = None
        self.n_capped = self.n_suppressed = self.n_unresolved = self.n_steps = 0
        self._sums = xp.zeros(2)
        self._capacity = min(4, neuron.max_spikes)
        self._threads = layout.threads(max(1, weights.shape[1]))
        self.n_tiles = -(-weights.shape[1] // self._threads)

    @property
    def weights(self):
        """Weights (n_pre, n_post), as the host sees them: up to date, updated in place."""
        return self.mirror.host

    @weights.setter
    def weights(self, values):
        write(self.mirror.host, values, "weights of the layer")

    def forget(self):
        """There is no last forward pass any more."""
        self.spikes = self._output = self._run = self._states = None

    @property
    def gradient_norm(self):
        """Norm of the last gradient; asking waits for it, `backward` does not."""
        return math.sqrt(self._backward_sums()[0])

    @property
    def n_without_gradient(self):
        """Spikes that passed no gradient in the last backward pass."""
        return int(self._backward_sums()[1])

    def _backward_sums(self):
        if not isinstance(self._sums, list):
            self._sums = device.to_host(self._sums).tolist()
        return self._sums

    def forward(self, inputs, keep_pieces=False, keep_states=False, count_peaks=False):
        """Simulate the layer on `inputs` (DeviceTrains) and set and return ``spikes``.

        Peaks that chords miss are counted on the CPU only.
        """
        batch, n = len(inputs), self.shape[1]
        w = self.mirror.device
        steps = self._tabulate(inputs)
        counts = xp.empty((batch, n), np.int32)
        states = xp.empty((steps.start.shape[0] if keep_states else 0, 2, n), w.dtype)
        while True:
            slots = (batch, self._capacity, n)
            piece = xp.empty((4, *slots) if keep_pieces else (0, 0, 0, 0))
            records = layout.Records(
                xp.empty(slots), xp.empty(slots), xp.empty(slots, np.int32), piece
            )
            totals = xp.zeros(7, np.int64)
            if batch and n:
                forward.forward[batch * self.n_tiles, self._threads](
                    self._d, inputs.offsets, inputs.indices, w, steps, records, counts, totals,
                    states,
                )  # fmt: skip
            numbers = device.to_host(totals).tolist()
            most, n_spikes, self.n_capped, self.n_suppressed, n_left = numbers[:5]
            self.n_steps, unresolved = numbers[5:]
            self.n_unresolved = None if self.dynamics.interpolation == LINEAR else unresolved
            if most <= self._capacity:
                break
            self._capacity = min(self.neuron.max_spikes, most + most // 4)
        if n_left:
            raise SimulationError(
                f"sample {batch - n_left}: the state of a neuron is not finite; largest weight "
                f"{np.abs(self.weights).max():g}"
            )
        self.spikes, ends, ranks = self._sorted(records, counts, n_spikes)
        self._output = self.spikes
        self._run = inputs, steps, records, counts, ends, ranks
        self._has_pieces, self._states = keep_pieces, states if keep_states else None
        return self.spikes

    def _sorted(self, records, counts, n_spikes):
        """The spikes in order; where those of the neurons of `records` end, and their ranks."""
        batch, n = counts.shape
        ends = counts.ravel().cumsum(dtype=np.int64)
        times, sorted_times = xp.empty(n_spikes), xp.empty(n_spikes)
        indices, sorted_indices, samples = (xp.empty(n_spikes, np.int32) for _ in range(3))
        ranks = xp.empty(n_spikes, np.int64)
        offsets = xp.zeros(batch + 1, np.int64)
        if n_spikes:
            order.compact[_blocks(batch * n), THREADS](
                records, counts, ends, times, indices, samples, offsets
            )
            order.arrange[_blocks(n_spikes), THREADS](
                samples, offsets, times, indices, sorted_times, sorted_indices, ranks
            )
        trains = DeviceTrains(sorted_times, sorted_indices, offsets, n, counts=counts)
        return trains, ends, ranks

    def _tabulate(self, inputs):
        d, batch = self._d, len(inputs)
        most = table_rows(d, batch, len(inputs.times))
        table = (xp.empty(batch, np.int64), xp.zeros(batch, np.int64), xp.empty(most),
                 xp.empty(most, np.int64), xp.empty(most, np.uint8),
                 xp.empty((most, 5)))  # fmt: skip
        steps = Steps(*table)
        if batch:
            forward.build_steps[batch, THREADS](d, (inputs.times, inputs.offsets), steps)
        return steps

    def backward(self, d_times, adjoint, input_gradient):
        """(dL/dweights, dL/d input times or None), on the device; see Layer.backward."""
        d, d_times = self._d, xp.ascontiguousarray(d_times)
        adjusted = adjoint == "adjusted"
        shown, before, kept = self.spikes, self._output, (self._has_pieces, self._states)
        if adjusted and (not self._has_pieces or (input_gradient and self._states is None)):
            self.forward(self._run[0], keep_pieces=True, keep_states=input_gradient)
            require_same_spikes(before, self._output)
            self.spikes = shown
        inputs, steps, records, counts, ends, ranks = self._run
        w = self.mirror.device
        batch, n = counts.shape
        most = max(1, MAX_CHUNK_BYTES // max(1, w.nbytes))
        n_chunks = max(1, min(batch, most, -(-BLOCKS // max(1, self.n_tiles))))
        d_w = xp.zeros((n_chunks, *w.shape), w.dtype)
        d_in = xp.zeros((max(1, self.n_tiles), len(inputs.times) if input_gradient else 0))
        constant = xp.zeros((n_chunks, n), np.int32)
        common = (inputs.offsets, inputs.indices, w, steps)
        grid = n_chunks * self.n_tiles, self._threads
        if not (batch and n):
            pass
        elif adjusted:
            states = xp.empty((0, 2, 0), w.dtype) if self._states is None else self._states
            table = self._per_step(steps, 1) if input_gradient else xp.empty((0, 3))
            adjoints.backward_adjusted[grid](
                d, *common, table, records, counts, ends, ranks, states, d_times, d_w, d_in,
                constant,
            )  # fmt: skip
        else:
            exact = d.code == propagators.EXACT
            table = steps.propagators if exact else self._per_step(steps, 0)
            adjoints.backward_piggyback[grid](
                d, *common, table, records, counts, ends, ranks, d_times, d_w, d_in, constant
            )
        total = d_w.sum(axis=0)
        square = xp.square(total, dtype=np.float64).sum()
        self._sums = xp.stack([square, constant.sum(dtype=np.float64)])
        self._has_pieces, self._states = kept  # backward must not depend on an earlier one
        return total, d_in.sum(axis=0) if input_gradient else None

    def _per_step(self, steps, derivative):
        table = xp.empty((steps.start.shape[0], 3))
        adjoints.tabulate[steps.count.shape[0], THREADS](self._d, steps, derivative, table)
        return table
