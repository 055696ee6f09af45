"""One neuron under Euler.

Membrane potential of one neuron: the exact solution, forward Euler with spike times interpolated
and forward Euler with spikes on the grid. With interpolation spikes lie off the grid and the
potential never exceeds the threshold; on the grid it overshoots, and one spike a step is the most
there can be.
"""

import warnings

import numpy as np

from lifnum import Network, Neuron, Scheme, SpikeTrains, options
from lifnum.analysis import style
from lifnum.analysis.figures.drawing import Drawing

DURATION = 0.2

# input spikes of the neuron, which reach it through one weight
TIMES = (0.010, 0.023, 0.051, 0.064, 0.118)

WEIGHT = 2.2

OPTIONS = (
    ("--dt", {"type": options.positive(float), "default": 0.02, "metavar": "S",
              "help": "grid step in seconds (default: 0.02)"}),
)  # fmt: skip


def draw(dt=0.02):
    """Membrane potential over time above, output spikes below."""
    schemes = {
        "exact": (Scheme(), style.EXACT),
        "Euler, interpolated": (Scheme("euler", dt=dt), {"color": style.COLORS[0]}),
        "Euler, on the grid": (
            Scheme("euler", dt=dt, interpolation="none"),
            {"color": style.COLORS[1]},
        ),
    }
    drawing = Drawing((2, 1), (style.WIDTH, 4.2), sharex=True, height_ratios=(4, 1))
    potential, spikes = drawing.axes[:, 0]
    inputs = SpikeTrains.from_samples([(TIMES, [0] * len(TIMES))], 1)
    neuron = Neuron(tau_s=0.130, tau=0.260, theta=0.1)
    times = np.linspace(0.0, DURATION, 4001)
    for row, (name, (scheme, line)) in enumerate(schemes.items()):
        with warnings.catch_warnings():  # the user may look at an unstable step
            warnings.simplefilter("ignore", RuntimeWarning)
            net = Network([(np.array([[WEIGHT]]), neuron)], scheme, DURATION)
        u = net.potential(inputs, times)[0, 0] / neuron.theta
        potential.plot(1e3 * times, u, label=name, zorder=3 - row, **line)
        emitted = net.forward(inputs).times
        mark = {"color": line["color"], "markersize": 9, "markeredgewidth": 1.4, "clip_on": False}
        spikes.plot(1e3 * emitted, np.full(len(emitted), -row), "|", **mark)
        facts = {"number": len(emitted)}
        if len(emitted):
            facts |= {"first (ms)": 1e3 * emitted[0], "last (ms)": 1e3 * emitted[-1]}
        for what, value in facts.items():
            drawing.note("output spikes", what, name, scheme.dt or np.nan, value)
    potential.axhline(1.0, color="#777777", linewidth=0.8, linestyle=":")
    potential.text(1.0, 1.02, "threshold", color="#555555", va="bottom", fontsize=8)
    mark = {"color": "#555555", "markersize": 6, "clip_on": False, "zorder": 5}
    potential.plot(1e3 * np.array(TIMES), np.zeros(len(TIMES)), "^", label="input spike", **mark)
    title = f"One neuron, grid step {1e3 * dt:g} ms"
    if dt >= DURATION / 200:
        title += " (grey lines)"
        edges = 1e3 * np.arange(0.0, DURATION, dt)
        potential.vlines(edges, 0, 1, color="#cccccc", linewidth=0.5, zorder=0,
                         transform=potential.get_xaxis_transform())  # fmt: skip
    potential.set(ylabel="membrane potential u / theta", title=title)
    spikes.set(xlabel="time (ms)", ylabel="output\nspikes", yticks=[], ylim=(-2.6, 0.6))
    spikes.set_xlim(0, 1e3 * DURATION)
    drawing.legend()
    return drawing
