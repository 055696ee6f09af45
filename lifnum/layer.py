"""CPU kernels of one layer: the table of steps, the forward pass and its spikes in order.

A layer's work is cut into tiles of neurons, samples, and (in `adjoint`) chunks of samples, whose
numbers depend on the problem's size alone: results do not depend on the number of threads.
Symbols: I, u synaptic current and membrane potential; (a, c, b) propagator; h, s, rest lengths;
w weights (n_pre, n_post), so that an input spike reads one row.
"""

from typing import NamedTuple

import numpy as np
from numba import prange
from numba.cpython.unsafe.numbers import trailing_zeros

from lifnum.compiler import inlined_kernel, kernel, parallel_kernel
from lifnum.crossing import DENSE, LINEAR, NONE, first_spike
from lifnum.integrators import curvature_bound, propagator, remaining_propagator

# a time within this fraction of a step after a grid point counts as on it (rounding of t / dt)
GRID_TOLERANCE = 1e-9

# neurons: what a step costs whatever its width is then little. Narrower tiles fit the cache of a
# core, but two threads gain less from that than from chunks of samples on the way back.
TILE = 832
LANES = 16  # kernels see layers padded to a multiple of this many neurons: whole vectors

# One output spike; `rank` is its place in the sorted spike train. Small, for these records pass
# through the caches four times a batch.
SPIKE = np.dtype(
    [
        ("time", np.float64),
        ("current", np.float64),  # I at the spike
        ("decay", np.float64),  # b from the spike to the end of its step
        ("step", np.int32),
        ("neuron", np.int32),
        ("rank", np.int32),
    ],
    align=True,
)

# The piece that a spike ends, as only the discrete adjoint and the dense output need it.
PIECE = np.dtype(
    [
        ("current", np.float64),  # (I0, u0) where it began
        ("potential", np.float64),
        ("length", np.float64),
        ("rest", np.float64),  # from its start to the end of the step
    ]
)


class Dynamics(NamedTuple):
    """One layer's neurons and how they are integrated, as numbers; a `Method` and more.

    Flat, since Numba hands no nested tuples to parallel loops.
    """

    code: int
    order: int
    tau_s: float
    tau: float
    unit: float
    series: np.ndarray
    interpolation: int
    theta: float  # theta and reset = theta - delta_theta are rounded to the type of the state
    reset: float
    bar: float  # that the crossing flag compares with
    max_spikes: int
    dt: float
    n_grid: int  # number of grid steps in [0, duration]; 0: no grid
    duration: float


class Steps(NamedTuple):
    """The sub-intervals of a batch: those of sample k are first[k] .. first[k] + count[k] - 1.

    The table of a sample starts at its first input: before it the state is zero.
    """

    first: np.ndarray  # int64 (batch + 1,)
    count: np.ndarray  # int64 (batch,)
    start: np.ndarray  # float64 time; the end is the next one's start, or the duration
    stop: np.ndarray  # int64: input spikes before this one have acted when the step begins
    tied: np.ndarray  # uint8: inputs act at the start, and a grid point coincides with them
    propagators: np.ndarray  # (a, c, b) and the two coefficients of the crossing flag


def grid_steps(dt, duration):
    """Number of steps of the grid 0, dt, 2 dt, ..., duration."""
    return max(1, int(np.ceil(duration / dt - GRID_TOLERANCE)))


def padded(n_post):
    """Number of neurons that the kernels see: silent ones fill the last vector."""
    return -(-n_post // LANES) * LANES


def tile_width(n_post):
    """Neurons per tile: near TILE, in equal shares, a multiple of LANES."""
    return padded(-(-n_post // max(1, round(n_post / TILE))))


@parallel_kernel
def build_steps(d, times, offsets, steps):
    """Merge the grid and the input times of every sample, and tabulate the propagators."""
    for turn in prange(len(offsets) - 1):
        sample = np.int64(turn)  # else compiled twice: a loop that became parallel counts unsigned
        _build_sample(d, times, offsets[sample], offsets[sample + 1], sample, steps)


@kernel
def _build_sample(d, times, i, last, sample, steps):
    k = first = steps.first[sample]
    g = d.n_grid  # the next grid point; point n_grid is the duration
    if i < last:
        if d.interpolation == NONE:
            g = int(np.ceil(times[i] / d.dt - GRID_TOLERANCE))
        elif d.n_grid > 0:
            g = int(times[i] / d.dt)
            while g < d.n_grid and g * d.dt < times[i]:
                g += 1
    while d.n_grid == 0 and i < last and times[i] < d.duration:  # no grid
        steps.start[k], steps.tied[k] = times[i], 0
        i += 1
        while i < last and times[i] == times[i - 1]:
            i += 1
        steps.stop[k] = i
        k += 1
    while d.n_grid > 0:  # each turn writes the sub-interval that begins at the next point
        grid_time = g * d.dt if g < d.n_grid else d.duration
        if d.interpolation == NONE:
            if (i >= last and k == first) or g >= d.n_grid:
                break
            steps.start[k] = grid_time
            steps.tied[k] = 0
            while i < last and int(np.ceil(times[i] / d.dt - GRID_TOLERANCE)) <= g:
                i += 1
            g += 1
        elif i < last and times[i] <= grid_time and times[i] < d.duration:
            time = times[i]
            steps.start[k] = time
            steps.tied[k] = g < d.n_grid and grid_time == time
            g += steps.tied[k]
            while i < last and times[i] == time:
                i += 1
        elif k > first and g < d.n_grid:
            steps.start[k] = grid_time
            steps.tied[k] = 0
            g += 1
        else:
            break
        steps.stop[k] = i
        k += 1
    steps.count[sample] = k - first
    for step in range(first, k):
        end = steps.start[step + 1] if step + 1 < k else d.duration
        h = end - steps.start[step]
        a, c, b = propagator(d, h)
        p = steps.propagators[step]
        p[0], p[1], p[2], p[3], p[4] = a, c, b, 0.0, 0.0
        if d.interpolation == DENSE:
            # a chord is exceeded by at most h^2 / 8 max |u''|; the last factor covers rounding
            c_bound, b_bound = curvature_bound(d, h)
            p[3] = c_bound * h * h * (0.125 * (1.0 + 1e-6))
            p[4] = b_bound * h * h * (0.125 * (1.0 + 1e-6))


# The loops over neurons index whole arrays: slicing one costs more than a step of ten neurons.


@inlined_kernel
def _advance(state, now, row, flags, propagators, step, bar):
    """Add a row of inputs, then one step of all neurons of a tile; flags those that may spike.

    By LANES: this loop, with more arrays than the others, leaves up to 31 neurons to scalar code
    (half the time of ten neurons) unless its length is known.

    state: rows now and now + 1 hold (I, u) before, the two others receive them after.
    """
    real = state.dtype.type
    after = 2 - now
    a, c, b = real(propagators[step, 0]), real(propagators[step, 1]), real(propagators[step, 2])
    c_bound, b_bound = real(propagators[step, 3]), real(propagators[step, 4])
    bar = real(bar)
    for block in range(state.shape[1] // LANES):
        for lane in range(LANES):
            j = LANES * block + lane
            i0, u0 = state[now, j] + row[j], state[now + 1, j]
            u1 = c * i0 + b * u0
            state[now, j] = i0
            state[after, j] = a * i0
            state[after + 1, j] = u1
            # a bound that overflowed may give NaN: that is flagged too
            flags[j] = not max(u0, u1) + (c_bound * abs(i0) + b_bound * abs(u0)) < bar


@inlined_kernel
def _flagged(words, n_flags, found):
    """Write the indices of the words that hold a flag to found; returns their number.

    Without a branch a word: which ones hold a flag can not be predicted.
    """
    n = 0
    for word in range(n_flags // 8):
        found[n] = word
        n += words[word] != 0
    return n


@inlined_kernel
def add_row(target, row, source):
    """target[row] += source, over the neurons of a tile."""
    for j in range(target.shape[1]):
        target[row, j] += source[j]


@inlined_kernel
def _add_rows(target, row, first, second):
    """Two additions, one after the other, with one store: stores bound this loop."""
    for j in range(target.shape[1]):
        target[row, j] = (target[row, j] + first[j]) + second[j]


@parallel_kernel
def forward(d, offsets, indices, w, width, steps, spikes, pieces, tallies, flags, words, states):
    """Simulate every tile of every sample.

    spikes (batch, tiles, capacity) receives the first `capacity` spikes of each, in the order of
    their steps, neurons and times, and pieces, unless it is empty, what they ended. tallies (4,
    batch, tiles), int64: how many spikes there were; how many neurons were at the cap, and at how
    many it suppressed a spike; whether the state overflowed. states (steps, 2, n_post), or empty:
    (I, u) at the start of every step, after its inputs. flags (tiles, batch, width), bool, are
    scratch; words are the same bytes, eight at a time.
    """
    batch, n_tiles, _ = spikes.shape
    for piece in prange(n_tiles * batch):
        tile, sample = piece // batch, piece % batch
        low, high = tile * width, min((tile + 1) * width, w.shape[1])
        _forward_sample(
            d, offsets[sample], indices, w, low, high, steps, sample, spikes[sample, tile],
            pieces[sample, tile], tallies[:, sample, tile], flags[tile, sample],
            words[tile, sample], states, np.zeros((5, high - low), w.dtype),
            np.zeros((3, high - low), np.int32), np.empty(d.order + 1),
        )  # fmt: skip


@kernel
def _forward_sample(d, i, indices, w, low, high, steps, sample, spikes, pieces, tallies, flags,
                    words, states, state, counters, scratch):  # fmt: skip
    """One tile of one sample; state and counters are zero at first."""
    nothing, emitted, suppressed, found = state[4], counters[0], counters[1], counters[2]
    n = high - low
    real = w.dtype.type
    theta = real(d.theta)
    delta = d.theta - d.reset
    n_spikes = 0
    first = steps.first[sample]
    last = first + steps.count[sample]
    now = np.int64(0)  # a literal would have the inlined kernels compiled for it as well
    for step in range(first, last):
        stop = steps.stop[step]
        while i + 2 < stop:
            _add_rows(state, now, w[indices[i], low:high], w[indices[i + 1], low:high])
            i += 2
        if i + 1 < stop:
            add_row(state, now, w[indices[i], low:high])
            i += 1
        if i < stop:
            row = w[indices[i], low:high]
            _advance(state, now, row, flags, steps.propagators, step, d.bar)
            i += 1
        else:
            _advance(state, now, nothing, flags, steps.propagators, step, d.bar)
        if len(states) > 0:
            for j in range(n):
                states[step, 0, low + j] = state[now, j]
                states[step, 1, low + j] = state[now + 1, j]
        before, now = now, 2 - now
        start = steps.start[step]
        end = steps.start[step + 1] if step + 1 < last else d.duration
        for k in range(_flagged(words, n, found)):
            bits = words[found[k]]
            while bits != 0:  # a bit a flag
                j = 8 * found[k] + (trailing_zeros(bits) >> 3)
                bits &= bits - np.uint64(1)
                if suppressed[j] != 0:
                    continue
                i0, u0 = np.float64(state[before, j]), np.float64(state[before + 1, j])
                i1, u1 = np.float64(state[now, j]), np.float64(state[now + 1, j])
                if d.interpolation == NONE:
                    if state[now + 1, j] < theta:
                        continue
                    if emitted[j] == d.max_spikes:
                        suppressed[j] = 1
                        continue
                    emitted[j] += 1
                    state[now + 1, j] = real(u1 - delta)
                    if n_spikes < len(spikes):
                        q = spikes[n_spikes]
                        q.time, q.current, q.step, q.neuron = end, i1, step, low + j
                        q.decay = 1.0
                    n_spikes += 1
                    continue
                rest, b1, spiked = end - start, steps.propagators[step, 2], False
                while True:
                    s, a, c, b = first_spike(
                        d, d.interpolation, d.theta, i0, u0, rest, u1, b1, real(u1) >= theta,
                        scratch,
                    )  # fmt: skip
                    if s < 0.0:
                        break
                    if emitted[j] == d.max_spikes:
                        suppressed[j] = 1
                        break
                    emitted[j] += 1
                    spiked = True
                    if n_spikes < len(spikes):
                        q = spikes[n_spikes]
                        q.time = min(start + ((end - start - rest) + s), end) if s < rest else end
                        q.current, q.step, q.neuron = a * i0, step, low + j
                    if n_spikes < len(pieces):
                        piece = pieces[n_spikes]
                        piece.current, piece.potential, piece.length, piece.rest = i0, u0, s, rest
                    i0, u0, rest = a * i0, d.reset, rest - s
                    a, c, b1 = remaining_propagator(d, rest, b1, b)
                    i1, u1 = a * i0, c * i0 + b1 * u0
                    if n_spikes < len(spikes):
                        spikes[n_spikes].decay = b1
                    n_spikes += 1
                if spiked:
                    state[now, j], state[now + 1, j] = real(i1), real(u1)
    finite, n_capped, n_suppressed = True, 0, 0
    for j in range(n):
        finite = finite and np.isfinite(state[now, j]) and np.isfinite(state[now + 1, j])
        n_capped += emitted[j] == d.max_spikes
        n_suppressed += suppressed[j]
    tallies[0], tallies[1], tallies[2], tallies[3] = n_spikes, n_capped, n_suppressed, not finite


@parallel_kernel
def collect(d, spikes, counts, offsets, times, indices):
    """Write every sample's spikes sorted by (time, neuron), and each spike's rank among all."""
    for sample in prange(len(spikes)):
        first, last = offsets[sample], offsets[sample + 1]
        _collect_sample(d.duration, spikes[sample], counts[sample], first, times[first:last],
                        indices[first:last], np.zeros(last - first + 1, np.int64),
                        np.empty(last - first, np.int64))  # fmt: skip


@kernel
def _collect_sample(duration, spikes, counts, offset, times, indices, place, source):
    """One sample; place (n + 1,), zero at first, and source (n,) are scratch."""
    n = len(times)
    if n == 0:
        return
    # bucket sort by time, one spike a bucket on average, finished by insertion
    scale = n / duration
    for tile in range(len(counts)):
        for slot in range(counts[tile]):
            place[min(int(spikes[tile, slot].time * scale), n - 1) + 1] += 1
    for bucket in range(n):
        place[bucket + 1] += place[bucket]
    for tile in range(len(counts)):
        for slot in range(counts[tile]):
            q = spikes[tile, slot]
            bucket = min(int(q.time * scale), n - 1)
            to = place[bucket]
            place[bucket] += 1
            times[to], indices[to], source[to] = q.time, q.neuron, tile << 32 | slot
    # insertion finishes it; should times be too clustered for buckets, wider gaps come first
    gap = 1 if _inversions_are_few(times) else n // 2
    while gap > 0:
        for k in range(gap, n):
            time, index, origin = times[k], indices[k], source[k]
            to = k
            while to >= gap and _later(times, indices, source, to - gap, time, index, origin):
                times[to], indices[to] = times[to - gap], indices[to - gap]
                source[to] = source[to - gap]
                to -= gap
            times[to], indices[to], source[to] = time, index, origin
        gap = int(gap / 2.2) if gap > 4 else gap // 2
    for k in range(n):
        spikes[source[k] >> 32, source[k] & 0xFFFFFFFF].rank = offset + k


@inlined_kernel
def _later(times, indices, source, k, time, index, origin):
    """Whether spike k comes after (time, index, origin)."""
    if times[k] != time:
        return times[k] > time
    return indices[k] > index or (indices[k] == index and source[k] > origin)


@kernel
def _inversions_are_few(times):
    """Whether no spike stands behind one that is later, further back than insertion can afford."""
    latest = 0
    for k in range(1, len(times)):
        if times[k] >= times[latest]:
            latest = k
        elif k - latest > 64:
            return False
    return True


@parallel_kernel
def membrane_potential(d, steps, spikes, pieces, counts, states, times, u):
    """Fill u (batch, n_post, times) with the membrane potential, right-continuous at spikes."""
    for sample in prange(len(steps.count)):
        first = steps.first[sample]
        last = first + steps.count[sample]
        for k in range(len(times)):
            step = first + np.searchsorted(steps.start[first:last], times[k], side="right") - 1
            if step < first:
                u[sample, :, k] = 0.0
                continue
            start = steps.start[step]
            end = steps.start[step + 1] if step + 1 < last else d.duration
            for j in range(u.shape[1]):
                i0, u0 = np.float64(states[step, 0, j]), np.float64(states[step, 1, j])
                u[sample, j, k] = _inside(d, i0, u0, times[k] - start, end - start)
            for tile in range(counts.shape[1]):
                for slot in range(counts[sample, tile]):
                    q = spikes[sample, tile, slot]
                    if q.step != step or times[k] < q.time:
                        continue
                    if d.interpolation == NONE:
                        u[sample, q.neuron, k] -= d.theta - d.reset
                    else:
                        rest = pieces[sample, tile, slot].rest - pieces[sample, tile, slot].length
                        s = min(times[k] - q.time, rest)
                        u[sample, q.neuron, k] = _inside(d, q.current, d.reset, s, rest)


@kernel
def _inside(d, i0, u0, s, h):
    """u at s in a piece of length h: on the chord for `linear`, dense output otherwise."""
    if d.interpolation == LINEAR:
        a, c, b = propagator(d, h)
        return u0 + (c * i0 + b * u0 - u0) * (s / h) if h > 0.0 else u0
    a, c, b = propagator(d, s)
    return c * i0 + b * u0
