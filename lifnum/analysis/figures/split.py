"""Where a step is split matters.

End value of a single step without input or spike, and its error against the exact solution, over
the point at which an event splits it: truncation of the power series makes it depend on that point.
"""

import warnings
from argparse import ArgumentTypeError

import numpy as np

from lifnum import Network, Neuron, Scheme, SpikeTrains, options
from lifnum.analysis import style
from lifnum.analysis.axes import logarithmic
from lifnum.analysis.figures.drawing import Drawing
from lifnum.methods.propagators import MAX_ORDER

ORDERS = (1, 2, 3, 5, 10)

NEURON = Neuron(tau_s=0.130, tau=0.260, theta=10.0)  # never reached


def _order(text):
    if not text.isdecimal() or not 1 <= int(text) <= MAX_ORDER:
        raise ArgumentTypeError(f"{text} is no integer from 1 to {MAX_ORDER}")
    return int(text)


OPTIONS = (
    ("--order", {"type": _order, "default": 5, "metavar": "N",
                 "help": "order of the power series, 1 to 32 (default: 5)"}),
    ("--dt", {"type": options.positive(float), "default": 0.1, "metavar": "S",
              "help": "length of the step in seconds (default: 0.1)"}),
)  # fmt: skip


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
    """u(dt) of one order above, relative error of several orders below."""
    Scheme("ps", order, dt)  # refuses what is no step
    drawing = Drawing((2, 1), (style.WIDTH, 5.0), sharex=True)
    value, error = drawing.axes[:, 0]
    splits = np.linspace(0.0, dt, 201)
    exact = end_of_step(Scheme(), dt, splits[:1])[0]
    for k in sorted({*ORDERS, order}):
        line = {"color": style.look("ps", k)[0], "linewidth": 2.0 if k == order else 1.0}
        ends = end_of_step(Scheme("ps", k, dt), dt, splits)
        if k == order:
            value.plot(1e3 * splits, 1e3 * ends, **line)
        relative = np.abs(ends / exact - 1.0)
        name = style.label("ps", k)
        error.plot(1e3 * splits, np.maximum(relative, 1e-16), label=name, **line)
        for where, number in (("unsplit", relative[0]), ("split in the middle", relative[100])):
            drawing.note("relative error of u(dt)", where, name, dt, number)
    value.axhline(1e3 * exact, label="exact", **style.EXACT)
    title = f"End of a step of {1e3 * dt:g} ms by {style.label('ps', order)}"
    value.set(ylabel="u(dt) (10⁻³ I₀ s)", title=title)
    error.set(xlabel="split point (ms)", ylabel="relative error of u(dt)", xlim=(0, 1e3 * dt),
              title="Its error, and that of other orders")  # fmt: skip
    logarithmic(error)
    drawing.legend()
    return drawing
