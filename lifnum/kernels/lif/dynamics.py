"""A layer's neurons and their integration as numbers for the kernels, and records of spikes."""

from typing import NamedTuple

import numpy as np

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

# The piece that a spike ends, as only the discrete adjoint and the potential on chords need it.
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
    dt: float  # at most the duration; 0: no grid
    n_grid: int  # number of grid steps in [0, duration]; 0: no grid
    duration: float
    count_peaks: int  # whether peaks that no chord sees are counted
