"""The Yin-Yang data set (Kriener, Goeltz, Petrovici 2022), generated."""

import numpy as np

from lifnum.data.dataset import Dataset
from lifnum.spikes import SpikeTrains


def yinyang_points(n, generator):
    """n points (x, y) in [0, 1]^2 and their classes: 0 yin, 1 yang, 2 dot, drawn balanced.

    Kriener, Goeltz & Petrovici 2022: a disc of radius 0.5 with two dots of radius 0.1.
    """
    wanted = generator.integers(0, 3, n)
    points = np.empty((n, 2))
    open_rows = np.arange(n)
    while len(open_rows):
        x, y = generator.random((2, len(open_rows)))
        right, left = np.hypot(x - 0.75, y - 0.5), np.hypot(x - 0.25, y - 0.5)
        dot = (right < 0.1) | (left < 0.1)
        yin = (left > 0.1) & (left <= 0.25) | (y > 0.5) & (right > 0.25)
        classes = np.where(dot, 2, np.where(yin, 0, 1))
        inside = np.hypot(x - 0.5, y - 0.5) <= 0.5
        hit = inside & (classes == wanted[open_rows])
        points[open_rows[hit]] = np.stack([x[hit], y[hit]], axis=1)
        open_rows = open_rows[~hit]
    return points, wanted


def load(window, seed, data_dir):
    """5,000 and 1,000 points: (x, y, 1 - x, 1 - y) as spike times, and a bias spike at 0."""
    generator = np.random.default_rng([seed, 1000])
    parts = []
    for n in (5000, 1000):
        points, labels = yinyang_points(n, generator)
        times = np.column_stack([points, 1.0 - points, np.zeros(n)]) * window
        samples = [(t, np.arange(5)) for t in times]
        parts += [SpikeTrains.from_samples(samples, 5), labels]
    return Dataset("yinyang", *parts, 3)
