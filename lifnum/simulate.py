"""python -m lifnum.simulate: one neuron by equations, its spikes, and the error of a scheme."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lifnum import fields, options
from lifnum.analysis import style
from lifnum.analysis.options import output
from lifnum.data.files import load_file
from lifnum.errors import DataError
from lifnum.methods.interpolation import INTERPOLATIONS
from lifnum.network import Network
from lifnum.neurons.models import BUILT_IN
from lifnum.runs import neurons
from lifnum.scheme import LIMITS, Scheme
from lifnum.spikes import SpikeTrains
from lifnum.train import add_parameter

EPILOG = """\
    python -m lifnum.simulate izhikevich:chattering --current 10 --duration 0.3
    python -m lifnum.simulate hodgkin-huxley --current 10 --method exponential-euler --dt 5e-5

A file of --spikes is text, a line an input spike: its time, and its weight where that is not
--weight. Or it is an NPZ or HDF5 file of spike trains as --dataset of lifnum.train takes; one
sample of its test part acts on the neuron, all inputs with --weight."""

TOLERANCE = 1e-14  # of the reference

LONGEST = 2.5e-4  # step of the reference, in seconds

SCHEME = Scheme("rk4", dt=LONGEST)

MAX_SPIKES = 10**6  # of a built-in model

POINTS = 4000  # of the curve


class Simulation(NamedTuple):
    """What a scheme makes of the neurons, and what the reference does."""

    scheme: Scheme
    spikes: list  # times of each neuron
    reference: list
    curves: list  # (times, threshold variable) of the first neuron, of the scheme and the reference


def parser():
    p = options.Parser(
        prog="python -m lifnum.simulate",
        description="Simulate one neuron by equations under a current or input spikes: prints its "
        "spike times and their errors against a series of adaptive order (tolerance "
        f"{TOLERANCE:g}), and draws potential and spikes. Times are in seconds.",
        epilog=EPILOG,
    )
    p.add_argument("model", metavar="MODEL",
                   help=f"{', '.join(BUILT_IN)}; izhikevich:CELL; or a JSON file with a "
                   "lifnum.Model")  # fmt: skip
    p.add_argument("--current", type=float, metavar="X",
                   help="the model's parameter of that name")  # fmt: skip
    add_parameter(p)
    p.add_argument("--duration", type=options.positive(float), default=0.2, metavar="S",
                   help="default: 0.2")  # fmt: skip
    g = p.add_argument_group("input")
    g.add_argument("--spikes", metavar="FILE", help="input spikes, see below")
    g.add_argument("--weight", type=float, default=1.0, metavar="W",
                   help="what an input spike adds (default: 1)")  # fmt: skip
    g.add_argument("--sample", type=options.whole, default=0, metavar="N",
                   help="of a file of spike trains (default: 0)")  # fmt: skip
    g = p.add_argument_group("scheme")
    accepted = {
        "method": "euler, rk2, rk4, ps, exponential-euler",
        "interpolation": f"spike times inside a step: {', '.join(INTERPOLATIONS)}",
    }
    for name, one in fields.options_of(Scheme).items():
        if name in ("method", "order", "tolerance", "dt", "interpolation", *LIMITS):
            text = accepted.get(name, one.metadata["help"])
            fields.add(g, one, default=None, help=text, shown=getattr(SCHEME, name))
    p.add_argument("--out", type=output(".png", ".pdf"), metavar="FILE",
                   help="PNG or PDF (default: the model's name with .png)")  # fmt: skip
    return p


def model_of(args):
    """The Model of parsed options."""
    model = neurons.model_of(args.model)
    if not Path(args.model).is_file():
        model = replace(model, max_spikes=MAX_SPIKES)
    if args.current is not None:
        model = model.with_parameters(current=args.current)
    return neurons.with_parameters([model], args.parameter)[0]


def scheme_of(args):
    """The Scheme of parsed options."""
    method = args.method or SCHEME.method
    dt = SCHEME.dt if args.dt is None else args.dt
    limits = {name: getattr(args, name) for name in LIMITS if getattr(args, name) is not None}
    return Scheme(method, args.order, dt, args.interpolation or "dense", tolerance=args.tolerance,
                  **limits)  # fmt: skip


def inputs_of(args):
    """(SpikeTrains of one sample, weights (inputs,)) of parsed options.

    Raises
    ------
    DataError, ValueError
        A file that is neither, or no such sample.
    """
    if args.spikes is None:
        return SpikeTrains.from_samples([([], [])], 1), np.zeros(1)
    path = Path(args.spikes)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix in (".npz", ".h5", ".hdf5"):
        trains = load_file(path).test
        if args.sample >= len(trains):
            raise ValueError(f"sample is {args.sample}; accepted: 0 to {len(trains) - 1}")
        return trains.select(np.array([args.sample])), np.full(trains.n_neurons, args.weight)
    rows = list(_rows(path, args.weight))
    times = [time for time, _ in rows]
    weights = np.array([weight for _, weight in rows] or [0.0])
    return SpikeTrains.from_samples([(times, np.arange(len(rows)))], len(weights)), weights


def _rows(path, weight):
    """(time, weight) of each line of a text."""
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path}: no text; accepted: lines of a time, or of time, weight") from None
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0]
        if not text.strip():
            continue
        words = text.split("," if "," in text else None)
        try:  # float takes 1_000
            values = [] if "_" in text else [float(word) for word in words]
        except ValueError:
            values = []
        sound = len(values) in (1, 2) and np.isfinite(values).all() and values[0] >= 0
        if not sound:
            raise DataError(
                f"{path}: line {number} is {line[:40]!r}; accepted: a time >= 0, or time, weight"
            )
        yield values[0], values[1] if len(values) == 2 else weight


def simulate(model, scheme, inputs, weights, duration):
    """Simulate a population of the model, of one neuron or as many as it has parameters for.

    Parameters
    ----------
    model : Model
    scheme : Scheme
    inputs : SpikeTrains
        One sample; every input acts on every neuron.
    weights : ndarray (inputs,)
    duration : float
        In seconds.

    Returns
    -------
    Simulation

    Raises
    ------
    ValueError, SimulationError
        As `Network` and its `forward`.
    """
    n = model.n_neurons or 1
    reference = Scheme("ps", dt=min(scheme.dt, LONGEST), tolerance=TOLERANCE)
    spikes, curves = [], []
    for one in (scheme, reference):
        net = Network([(np.repeat(weights[:, None], n, axis=1), model)], one, duration)
        out = net.forward(inputs)
        spikes.append([out.times[out.indices == neuron] for neuron in range(n)])
        peaks = spikes[-1][0] * (1.0 - 1e-12)  # right before the reset
        times = np.sort(np.append(np.linspace(0.0, duration, POINTS), peaks))
        curves.append((times, net.potential(inputs, times)[0, 0]))
    return Simulation(scheme, *spikes, curves)


def lines_of(model, found):
    """Spike times, their errors, and a summary, as text."""
    lines, errors = [], []
    several = len(found.spikes) > 1
    head = f"{'spike':>6} {'time (s)':>19} {'error (s)':>11}"
    lines.append(f"{'neuron':>7} {head}" if several else head)
    for neuron, (own, other) in enumerate(zip(found.spikes, found.reference)):
        errors += [own[: len(other)] - other[: len(own)]]
        for k, time in enumerate(own):
            error = f"{time - other[k]:>11.2g}" if k < len(other) else f"{'gained':>11}"
            line = f"{k + 1:>6} {time:>19.15f} {error}"
            lines.append(f"{neuron:>7} {line}" if several else line)
    apart = np.abs(np.concatenate(errors))
    counts = [sum(map(len, trains)) for trains in (found.spikes, found.reference)]
    lines.append(
        f"{model.name}, {found.scheme.label}: {counts[0]} spikes, ps of tolerance {TOLERANCE:g}: "
        f"{counts[1]}"
    )
    if len(apart):
        lines.append(
            f"error of spike times: mean {apart.mean():.2g} s, largest {apart.max():.2g} s"
        )
    return lines


def draw(model, found, inputs):
    """The figure: the threshold variable of the first neuron, and all spikes."""
    figure, (upper, lower) = style.plt.subplots(
        2, 1, figsize=(style.WIDTH, 4.2), sharex=True, height_ratios=(3, 1)
    )
    own, reference = found.curves
    upper.plot(*own, color=style.COLORS[0], label=found.scheme.label)
    upper.plot(*reference, **style.EXACT, label=f"ps, tolerance {TOLERANCE:g}")
    upper.set(title=f"{model.name} neuron", ylabel=model.threshold[0])
    upper.legend(loc="upper right")
    rows = [("reference", np.concatenate(found.reference), style.EXACT["color"])]
    rows += [("spikes", np.concatenate(found.spikes), style.COLORS[0])]
    if len(inputs.times):
        rows += [("inputs", inputs.times, style.COLORS[1])]
    for place, (_, times, color) in enumerate(rows):
        lower.vlines(times, place - 0.4, place + 0.4, color=color, linewidth=0.9)
    lower.set(xlabel="time (s)", yticks=range(len(rows)), xlim=(0.0, own[0][-1]))
    lower.set_yticklabels([name for name, *_ in rows])
    return figure


def main(argv=None):
    args = parser().parse_args(argv)
    model, scheme = model_of(args), scheme_of(args)
    inputs, weights = inputs_of(args)
    found = simulate(model, scheme, inputs, weights, args.duration)
    print("\n".join(lines_of(model, found)))
    out = args.out or Path(f"{model.name}.png")
    style.save(draw(model, found, inputs), out)
    print(f"figure in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(options.run("lifnum.simulate", main))
