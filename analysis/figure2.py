"""python -m analysis.figure2: the end of a step over the point at which an event splits it."""

import sys
import warnings
from argparse import ArgumentTypeError

import numpy as np

from analysis import statistics, style
from lifnum import Network, Neuron, Scheme, SpikeTrains, options
from lifnum.methods.propagators import MAX_ORDER

ORDERS = (1, 2, 3, 5, 10)

NEURON = Neuron(tau_s=0.130, tau=0.260, theta=10.0)  # never reached


def end_of_step(scheme, dt, splits):
    """u(dt) of a neuron with I(0) = 1 and u(0) = 0 whose only step is split there, float64.

    An input spike without weight splits it: it is an integration point and nothing else.
    """
    inputs = SpikeTrains.from_samples([((0.0, split), (0, 1)) for split in splits], 2)
    with warnings.catch_warnings():  # beyond the stability limit there is something to see too
        warnings.simplefilter("ignore", RuntimeWarning)
        net = Network([(np.array([[1.0], [0.0]]), NEURON)], scheme, dt)
    return net.potential(inputs, [dt])[:, 0, 0]


def draw(order=5, dt=0.1):
    """The figure: u(dt) of one order above, relative error of several orders below."""
    drawing = style.Drawing((2, 1), (style.WIDTH, 5.0), sharex=True)
    value, error = drawing.axes[:, 0]
    splits = np.linspace(0.0, dt, 201)
    exact = end_of_step(Scheme(), dt, splits[:1])[0]
    for k in sorted({*ORDERS, order}):
        color = style.look("ps", k)[0]
        ends = end_of_step(Scheme("ps", k, dt), dt, splits)
        width = 2.0 if k == order else 1.0
        if k == order:
            value.plot(1e3 * splits, 1e3 * ends, color=color, linewidth=width)
        relative = np.abs(ends / exact - 1.0)
        error.plot(1e3 * splits, np.maximum(relative, 1e-16), color=color, linewidth=width,
                   label=style.label("ps", k))  # fmt: skip
        for name, figure in (("unsplit", relative[0]), ("split in the middle", relative[100])):
            drawing.note("relative error of u(dt)", name, style.label("ps", k), dt,
                         statistics.Interval(figure, np.nan, 1))  # fmt: skip
    value.axhline(1e3 * exact, color="#000000", linestyle=(0, (4, 2)), linewidth=1.0, label="exact")
    value.set(ylabel="u(dt) (10⁻³ I₀ s)",
              title=f"End of a step of {1e3 * dt:g} ms by {style.label('ps', order)}")  # fmt: skip
    error.set(xlabel="split point (ms)", ylabel="relative error of u(dt)", yscale="log",
              xlim=(0, 1e3 * dt), title="Its error, and that of other orders")  # fmt: skip
    drawing.legend()
    return drawing


def _order(text):
    if not text.isdecimal() or not 1 <= int(text) <= MAX_ORDER:
        raise ArgumentTypeError(f"{text} is no integer from 1 to {MAX_ORDER}")
    return int(text)


main = style.run(
    "figure2",
    "Draw the end value of one step over the point at which an input splits it, and its error "
    "against the exact solution: where a step is split changes what truncated series give.",
    draw,
    [
        ("--order", {"type": _order, "default": 5, "metavar": "N",
                     "help": "order of the power series, 1 to 32 (default: 5)"}),
        ("--dt", {"type": options.positive(float), "default": 0.1, "metavar": "S",
                  "help": "length of the step in seconds (default: 0.1)"}),
    ],
    reads=False,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(options.run("analysis.figure2", main))
