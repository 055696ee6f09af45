"""A layer's neurons and their integration as numbers for the kernels, and records of spikes."""

from typing import NamedTuple

import numpy as np

# One output spike; `rank` is its place in the sorted spike train. Small, for these records pass
# through the caches four times a batch.
SPIKE = np.dtype(
    [
        ("time", np.float64),
        ("current", np.float64),  # I at the spike
        # b from the spike to the end of its step; inf: of a neuron above theta at the step's start
        ("decay", np.float64),
        ("step", np.int32),
        ("neuron", np.int32),
        ("rank", np.int32),
    ],
    align=True,
)

# The piece that a spike ends, as only the discrete adjoint and the potential on chords need it.
PIECE = np.dtype(
    [
        ("current", np.float64),  # (I0, u0) where it began
        ("potential", np.float64),
        ("length", np.float64),
        ("rest", np.float64),  # from its start to the end of the step
    ]
)


class Output(NamedTuple):
    """What the forward pass of a batch leaves; of a tile of one sample without the first axes."""

    spikes: np.ndarray  # SPIKE (batch, tiles, capacity): the first ones, by step, neuron, time
    pieces: np.ndarray  # PIECE, like spikes, or (batch, tiles, 0)
    tallies: np.ndarray  # int64 (5, batch, tiles), see below
    states: np.ndarray  # (2 steps, n_post), I and u after the inputs of every step; or (0, n_post)


# Rows of the tallies: spikes, also those beyond the capacity; neurons at the cap, and those of
# which it suppressed a spike; whether the state overflowed; crossings that were not resolved.
SPIKES, CAPPED, SUPPRESSED, OVERFLOWED, UNRESOLVED = range(5)


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
    taylor: int
    bend: float
    interpolation: int
    theta: float  # theta and reset = theta - delta_theta are rounded to the type of the state
    reset: float
    bar: float  # that the crossing flag compares with
    max_spikes: int
    dt: float  # at most the duration; 0: no grid
    n_grid: int  # number of grid steps in [0, duration]; 0: no grid
    duration: float
    count_peaks: int  # whether peaks that no chord sees are counted


# Those of a scheme with `spikes_per_step` or `overshoot`, which is a class of its own so that the
# kernels of the others hold nothing of it. spikes_per_step: 0 for no limit; overshoot: a code.
Limited = NamedTuple(
    "Limited", [*Dynamics.__annotations__.items(), ("spikes_per_step", int), ("overshoot", int)]
)
