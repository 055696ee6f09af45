"""A layer that stays on the GPU: what Network runs there, with the interface of `Layer`.

Arrays are of `device.array_module()`. What crosses to the host: a few numbers a layer and pass.
"""

import math

import numpy as np

from lifnum.cuda import adjoint as adjoints
from lifnum.cuda import device, forward, layout, order
from lifnum.cuda.layout import THREADS, blocks
from lifnum.cuda.trains import DeviceTrains, xp
from lifnum.errors import SimulationError
from lifnum.kernels.steps import Steps
from lifnum.kernels.tiles import Inputs
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
        received = self._received(inputs)
        w, steps = received.w, self._tabulate(received, batch)
        counts = xp.empty((batch, n), np.int32)
        states = xp.empty((steps.start.shape[0] if keep_states else 0, 2, n), w.dtype)
        while True:
            slots = (batch, self._capacity, n)
            piece = xp.empty((4, *slots) if keep_pieces else (0, 0, 0, 0))
            records = layout.Records(
                xp.empty(slots), xp.empty(slots), xp.empty(slots, np.int32), piece, counts, states
            )
            totals = xp.zeros(7, np.int64)
            if batch and n:
                forward.forward[batch * self.n_tiles, self._threads](
                    self._d, received, steps, records, totals
                )
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
        self.spikes, ends, ranks = self._sorted(records, n_spikes)
        self._output = self.spikes
        self._run = inputs, steps, records, ends, ranks
        self._has_pieces, self._states = keep_pieces, states if keep_states else None
        return self.spikes

    def _sorted(self, records, n_spikes):
        """The spikes in order; where those of the neurons of `records` end, and their ranks."""
        counts = records.counts
        batch, n = counts.shape
        ends = counts.ravel().cumsum(dtype=np.int64)
        times, sorted_times = xp.empty(n_spikes), xp.empty(n_spikes)
        indices, sorted_indices, samples = (xp.empty(n_spikes, np.int32) for _ in range(3))
        ranks = xp.empty(n_spikes, np.int64)
        offsets = xp.zeros(batch + 1, np.int64)
        if n_spikes:
            order.compact[blocks(batch * n), THREADS](
                records, ends, times, indices, samples, offsets
            )
            order.arrange[blocks(n_spikes), THREADS](
                samples, offsets, times, indices, sorted_times, sorted_indices, ranks
            )
        trains = DeviceTrains(sorted_times, sorted_indices, offsets, n, counts=counts)
        return trains, ends, ranks

    def _received(self, inputs):
        arrays = inputs.times, inputs.offsets, inputs.indices, self.mirror.device
        return Inputs(*arrays, self._threads)

    def _tabulate(self, inputs, batch):
        d = self._d
        most = table_rows(d, batch, len(inputs.times))
        table = (xp.empty(batch, np.int64), xp.zeros(batch, np.int64), xp.empty(most),
                 xp.empty(most, np.int64), xp.empty(most, np.uint8),
                 xp.empty((most, 5)))  # fmt: skip
        steps = Steps(*table)
        if batch:
            forward.build_steps[batch, THREADS](d, inputs, steps)
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
        inputs, steps, records, ends, ranks = self._run
        received = self._received(inputs)
        w, (batch, n) = received.w, records.counts.shape
        most = max(1, MAX_CHUNK_BYTES // max(1, w.nbytes))
        n_chunks = max(1, min(batch, most, -(-BLOCKS // max(1, self.n_tiles))))
        d_w = xp.zeros((n_chunks, *w.shape), w.dtype)
        d_in = xp.zeros((max(1, self.n_tiles), len(inputs.times) if input_gradient else 0))
        constant = xp.zeros((n_chunks, n), np.int32)
        if batch and n:
            if adjusted:
                table = self._per_step(steps, 1) if input_gradient else xp.empty((0, 3))
            else:
                exact = d.code == propagators.EXACT
                table = steps.propagators if exact else self._per_step(steps, 0)
            kernel = adjoints.backward_adjusted if adjusted else adjoints.backward_piggyback
            gradients = layout.DeviceGradient(d_times, ends, ranks, table, d_w, d_in, constant)
            kernel[n_chunks * self.n_tiles, self._threads](d, received, steps, records, gradients)
        total = d_w.sum(axis=0)
        square = xp.square(total, dtype=np.float64).sum()
        self._sums = xp.stack([square, constant.sum(dtype=np.float64)])
        self._has_pieces, self._states = kept  # backward must not depend on an earlier one
        return total, d_in.sum(axis=0) if input_gradient else None

    def _per_step(self, steps, derivative):
        table = xp.empty((steps.start.shape[0], 3))
        adjoints.tabulate[steps.count.shape[0], THREADS](self._d, steps, derivative, table)
        return table
