"""python -m analysis.figure1: one neuron, exact and by Euler with and without interpolation."""

import sys
import warnings

import numpy as np

from analysis import statistics, style
from lifnum import Network, Neuron, Scheme, SpikeTrains, options

DURATION = 0.2

# input spikes of the neuron, which reach it through one weight
TIMES = (0.010, 0.023, 0.051, 0.064, 0.118)

WEIGHT = 2.2


def draw(dt=0.02):
    """The figure: membrane potential over time above, output spikes below."""
    schemes = {
        "exact": (Scheme(), style.look("exact", 0)[0]),
        "Euler, interpolated": (Scheme("euler", dt=dt), style.COLORS[0]),
        "Euler, on the grid": (Scheme("euler", dt=dt, interpolation="none"), style.COLORS[1]),
    }
    drawing = style.Drawing((2, 1), (style.WIDTH, 4.2), sharex=True, height_ratios=(4, 1))
    potential, spikes = drawing.axes[:, 0]
    inputs = SpikeTrains.from_samples([(TIMES, [0] * len(TIMES))], 1)
    neuron = Neuron(tau_s=0.130, tau=0.260, theta=0.1)
    times = np.linspace(0.0, DURATION, 4001)
    for row, (name, (scheme, color)) in enumerate(schemes.items()):
        with warnings.catch_warnings():  # the user may look at an unstable step
            warnings.simplefilter("ignore", RuntimeWarning)
            net = Network([(np.array([[WEIGHT]]), neuron)], scheme, DURATION)
        u = net.potential(inputs, times)[0, 0] / neuron.theta
        potential.plot(1e3 * times, u, color=color, label=name)
        emitted = net.forward(inputs).times
        spikes.plot(1e3 * emitted, np.full(len(emitted), -row), "|", color=color, markersize=9,
                    markeredgewidth=1.4, clip_on=False)  # fmt: skip
        facts = {"number": len(emitted)}
        if len(emitted):
            facts |= {"first (ms)": 1e3 * emitted[0], "last (ms)": 1e3 * emitted[-1]}
        for what, value in facts.items():
            drawing.note("output spikes", what, name, scheme.dt or np.nan,
                         statistics.Interval(float(value), np.nan, 1))  # fmt: skip
    potential.axhline(1.0, color="#777777", linewidth=0.8, linestyle=":")
    potential.text(1.0, 1.02, "threshold", color="#555555", va="bottom", fontsize=8)
    potential.plot(1e3 * np.array(TIMES), np.zeros(len(TIMES)), "^", color="#555555", markersize=6,
                   label="input spike", clip_on=False, zorder=5)  # fmt: skip
    potential.set(ylabel="membrane potential u / theta",
                  title=f"One neuron, grid step {1e3 * dt:g} ms (grey lines)")  # fmt: skip
    spikes.set(xlabel="time (ms)", ylabel="output\nspikes", yticks=[], ylim=(-2.6, 0.6),
               xlim=(0, 1e3 * DURATION))  # fmt: skip
    for edge in np.arange(0.0, DURATION, dt):
        potential.axvline(1e3 * edge, color="#cccccc", linewidth=0.5, zorder=0)
    drawing.legend()
    return drawing


main = style.run(
    "figure1",
    "Draw the membrane potential of one neuron: the exact solution, forward Euler with spike "
    "times interpolated and forward Euler with spikes on the grid.",
    draw,
    [("--dt", {"type": options.positive(float), "default": 0.02, "metavar": "S",
               "help": "grid step in seconds (default: 0.02)"})],
    reads=False,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(options.run("analysis.figure1", main))
