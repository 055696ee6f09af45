"""python -m lifnum.audit: what a grid step does to the spikes of a network from a NIR file."""

import csv
import json
import math
import os
import sys
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from lifnum import losses, options
from lifnum.analysis.options import output, percent
from lifnum.data import datasets
from lifnum.data.encoding import spellings
from lifnum.data.files import load_spikes
from lifnum.data.tables import is_table
from lifnum.files.hdf5 import write_attributes
from lifnum.neurons.lif import Neuron
from lifnum.runs.audit import Audit, is_safe, safe_steps
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains

STEPS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3)  # seconds, where none are asked for

READOUTS = {
    "count": "most spikes",
    "first": "first to spike",
}

EPILOG = """\
Spikes of a neuron are matched in order, with as many pairs as there can be of spikes that are at
most --match apart; the others are lost or gained. A dt is safe where, there and at every smaller dt
of the same method and interpolation, predictions agree with the exact solution on at least
--agreement of the samples and less than --changed of each layer's spikes is lost or gained.

    python -m lifnum.audit net.nir --data inputs.npz --methods euler ps --orders 3"""


def parser():
    p = options.Parser(
        prog="python -m lifnum.audit",
        description="Run a network from a NIR file by the exact method and on grids, and say what "
        "the grids do to its spikes and predictions, and which dt is safe. Times are in seconds. "
        "Needs NIR: pip install 'lifnum[nir]'.",
        epilog=EPILOG,
    )
    p.add_argument("network", metavar="FILE.nir",
                   help="feed-forward graph of Linear or Affine and CubaLIF")  # fmt: skip
    p.add_argument("--spike-width", type=options.positive(float), metavar="S",
                   help="how long a spike is 1 in the framework that wrote the file: 1e-4 for "
                   "snnTorch (default: an impulse of area one)")  # fmt: skip
    g = p.add_argument_group("data")
    g.add_argument("--data", required=True, metavar="FILE",
                   help="inputs: NPZ or HDF5 of spike trains, whose labels may be missing, CSV, or "
                   "the name of a data set; the part for test")  # fmt: skip
    g.add_argument("--data-dir", metavar="DIR", help="folder of data sets (default: $LIFNUM_DATA, "
                   "else data)")  # fmt: skip
    g.add_argument("--limit", type=options.positive(int), metavar="N",
                   help="use the first N samples only")  # fmt: skip
    g.add_argument("--encoding", metavar="NAME",
                   help=f"of values: {', '.join(spellings())} "
                   "(default: the data set's own)")  # fmt: skip
    g.add_argument("--window", type=options.positive(float), default=0.1, metavar="S",
                   help="latest spike of encoded values (default: 0.1)")  # fmt: skip
    g.add_argument("--label-column", metavar="NAME",
                   help="of a CSV file (default: label, else the last)")  # fmt: skip
    g.add_argument("--seed", type=options.whole, default=0, metavar="N",
                   help="of generated data and random encoders (default: 0)")  # fmt: skip
    g.add_argument("--duration", type=options.positive(float), metavar="S",
                   help="simulated time of a sample (default: the latest input spike and the "
                   "longest time constant)")  # fmt: skip
    steps = " ".join(f"{dt:g}" for dt in STEPS)
    options.add_grid(p, f"exact and euler at {steps}, none and dense")
    g = p.add_argument_group("report")
    g.add_argument("--readout", choices=READOUTS, default="count",
                   help="prediction: the output neuron with most spikes, or the first to spike "
                   "(default: count)")  # fmt: skip
    g.add_argument("--match", type=options.positive(float), metavar="S",
                   help="spikes further apart are not the same (default: the shortest time "
                   "constant)")  # fmt: skip
    g.add_argument("--agreement", type=percent, default=99.0, metavar="PERCENT",
                   help="predictions of a safe dt that agree, at least (default: 99)")  # fmt: skip
    g.add_argument("--changed", type=percent, default=1.0, metavar="PERCENT",
                   help="spikes of a layer lost or gained at a safe dt, below "
                   "(default: 1)")  # fmt: skip
    g.add_argument("--output", type=output(".json", ".csv", ".h5"), metavar="FILE",
                   help="the report as JSON, CSV or HDF5, by its ending")  # fmt: skip
    g.add_argument("--overwrite", action="store_true",
                   help="replace an existing --output that is a report")  # fmt: skip
    options.add_threads(g)
    return p


def load_inputs(args, n_inputs, n_outputs):
    """(name, SpikeTrains of n_inputs neurons, labels or None) of parsed options."""
    path = Path(args.data)
    given = args.encoding, args.label_column
    if args.data not in datasets.DATASETS and path.is_file() and not is_table(path):
        if given != (None, None):
            raise ValueError(f"{path} has spike trains; accepted: no --encoding, no --label-column")
        name, (trains, labels) = path.stem, load_spikes(path)
        rows = np.arange(len(trains))[: args.limit]
        trains, labels = trains.select(rows), None if labels is None else labels[rows]
    else:
        limits = 1, args.limit  # of training only what comes with it
        found = datasets.load(args.data, args.data_dir, args.window, args.seed, *limits, *given)
        name, trains, labels = found.name, found.test, found.test_labels
    if len(trains) == 0:
        raise ValueError(f"{args.data} has no samples for test; accepted: at least 1")
    if trains.n_neurons > n_inputs:
        raise ValueError(
            f"{args.data} has {trains.n_neurons} inputs; accepted by {args.network}: {n_inputs}"
        )
    if labels is not None and not 0 <= labels.min() <= labels.max() < n_outputs:
        bad = labels[(labels < 0) | (labels >= n_outputs)][0]
        raise ValueError(
            f"{args.data} has the label {bad}; accepted: 0 to {n_outputs - 1}, the output neurons"
        )
    return name, SpikeTrains(trains.times, trains.indices, trains.offsets, n_inputs), labels


def schemes_of(args):
    """The schemes of the grid that have one."""
    found = options.grid(
        args.methods or ["exact", "euler"],
        args.orders,
        args.dt or STEPS,
        args.interpolation or ["none", "dense"],
    )
    found = [scheme for scheme in found if scheme.dt is not None]
    if not found:
        raise ValueError("the grid has no scheme with a dt; accepted: any but exact between spikes")
    return found


def read_network(path, spike_width=None):
    """[(weights, Neuron)] of a NIR file, in float64; spike_width as in `lifnum.nir.from_graph`."""
    try:
        from lifnum import nir
    except ImportError as error:
        raise ValueError(f"{error}") from None
    net = nir.read(path, Scheme("exponential-euler", dt=1.0), 1.0, np.float64, spike_width)
    for k, layer in enumerate(net.layers):
        if not isinstance(layer.neuron, Neuron):
            raise ValueError(
                f"{path}: layer {k} is of LIF nodes; accepted: CubaLIF, whose solution is known"
            )
    return [(layer.weights, layer.neuron) for layer in net.layers]


def lines(report):
    """The report as text: a line for each scheme and layer, then the safe steps."""
    yield (
        f"{report['network']}: {'-'.join(map(str, report['sizes']))} neurons, {report['samples']} "
        f"samples of {report['data']}, {report['duration']:g} s"
    )
    known = "" if math.isnan(report["accuracy"]) else f", accuracy {100 * report['accuracy']:.2f} %"
    counts = " + ".join(f"{n / report['samples']:.4g}" for n in report["reference"])
    yield f"exact solution: {counts} spikes a sample{known}"
    yield f"matched in order, at most {report['match']:g} s apart; shifts in ms, + is late"
    yield ""
    yield (
        f"{'scheme':>28} {'agree %':>8} {'accuracy':>8} {'layer':>5} {'lost %':>7} {'gained %':>8} "
        f"{'shift':>9} {'|shift|':>9} {'max':>9} safe"
    )
    for row in report["rows"]:
        whole = max(row["reference"], 1.0)
        first = row["layer"] == 0
        head = f"{row['scheme']:>28} {100 * row['agreement']:8.2f} {100 * row['accuracy']:8.2f}"
        yield (
            f"{head if first else '':46} {row['layer']:>5} "
            f"{100 * row['lost'] / whole:7.2f} {100 * row['gained'] / whole:8.2f} "
            f"{1e3 * row['shift_mean']:9.3g} {1e3 * row['distance_mean']:9.3g} "
            f"{1e3 * row['distance_max']:9.3g} {('yes' if row['safe'] else 'no') if first else ''}"
        ).rstrip()
    yield ""
    yield f"safe: {report['rule']}"
    for one in report["safe"]:
        step = "none of these" if one["dt"] is None else f"up to {one['dt']:g} s"
        yield f"{one['kind']:>28}: {step}"


def report_of(args, audit, name, findings):
    """All that is found, as JSON can hold it but for NaN."""
    agreement, changed = args.agreement / 100, args.changed / 100
    rows = []
    for one in findings:
        scheme = one.scheme
        head = {
            "scheme": scheme.label,
            "method": scheme.method,
            "order": scheme.order,
            "dt": scheme.dt,
            "interpolation": scheme.interpolation,
            "agreement": one.agreement,
            "accuracy": one.accuracy,
            "safe": is_safe(one, agreement, changed),
        }
        for layer in range(len(audit.layers)):
            names = one._fields[3:]
            rows.append(
                head | {"layer": layer} | {key: float(getattr(one, key)[layer]) for key in names}
            )
    safe = []
    for (method, order, interpolation), dt in safe_steps(findings, agreement, changed).items():
        kind = f"{method}{order or ''}, {interpolation}"
        safe.append({"kind": kind, "method": method, "order": order,
                     "interpolation": interpolation, "dt": dt})  # fmt: skip
    return {
        "network": Path(args.network).name,
        "sizes": [audit.layers[0][0].shape[0], *(w.shape[1] for w, _ in audit.layers)],
        "data": name,
        "samples": len(audit.trains),
        "duration": audit.duration,
        "match": audit.window,
        "readout": READOUTS[args.readout],
        "accuracy": audit.accuracy,
        "reference": audit.reference.tolist(),
        "rule": f"predictions agree on at least {args.agreement:g} % of the samples, and less than "
        f"{args.changed:g} % of each layer's spikes is lost or gained, at this dt and every "
        "smaller one here",
        "rows": rows,
        "safe": safe,
    }


def check_output(path, overwrite):
    """Refuse a path that is taken, unless by a report and `overwrite`."""
    if path.exists():
        if not overwrite:
            raise ValueError(f"{path}: exists; accepted: another --output, or --overwrite")
        if not _is_report(path):
            raise ValueError(f"{path}: no report of lifnum.audit; --overwrite replaces these only")


def _is_report(path):
    """Whether a file is one that `write` wrote, by what all of its kind begin with or have."""
    try:
        if path.suffix == ".h5":
            with h5py.File(path, "r") as file:
                return "report" in file.attrs and "rows" in file
        with open(path, encoding="utf-8") as stream:
            start = stream.readline() + stream.readline()
    except (OSError, UnicodeDecodeError):
        return False
    return start.startswith('{\n "network":' if path.suffix == ".json" else "scheme,method,order,")


def write(path, report):
    """Write a report as the ending of the path says: JSON whole, CSV its rows, HDF5 both."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        _write(temporary, path.suffix, report)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path, ending, report):
    if ending == ".json":
        path.write_text(json.dumps(_without_nan(report), indent=1, allow_nan=False) + "\n")
    elif ending == ".csv":
        with open(path, "w", newline="") as stream:
            table = csv.DictWriter(stream, report["rows"][0])
            table.writeheader()
            table.writerows(report["rows"])
    else:
        rows = report["rows"]
        with h5py.File(path, "w", libver="latest") as file:
            for key, kind in {key: type(value) for key, value in rows[0].items()}.items():
                values = [row[key] for row in rows]
                if kind is str:
                    values = np.array(values, "S")
                elif key == "order":
                    values = [value or 0 for value in values]
                file.create_dataset(f"rows/{key}", data=values, fletcher32=True)
            whole = {key: value for key, value in report.items() if key != "rows"}
            write_attributes(file, {"report": json.dumps(_without_nan(whole))})


def _without_nan(value):
    """A report with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def main(argv=None):
    args = parser().parse_args(argv)
    options.set_threads(args.threads, argv)
    if args.output is not None:
        check_output(args.output, args.overwrite)
    schemes = schemes_of(args)
    layers = read_network(args.network, args.spike_width)
    name, trains, labels = load_inputs(args, layers[0][0].shape[0], layers[-1][0].shape[1])
    constants = [value for _, neuron in layers for value in (neuron.tau_s, neuron.tau)]
    duration = args.duration or float(trains.times.max(initial=0.0)) + max(constants)
    predict = (
        losses.SpikeCount() if args.readout == "count" else losses.TimeToFirstSpike(0.005, duration)
    ).predict
    audit = Audit(layers, trains, labels, duration, args.match or min(constants), predict)
    if args.output is not None:
        args.output.parent.mkdir(parents=True, exist_ok=True)
    findings = []
    with tqdm(total=len(schemes) * len(trains), unit="sample", leave=False, disable=None) as bar:
        for scheme in schemes:
            bar.set_description(scheme.label)
            findings.append(audit.finding(scheme, bar.update))
    report = report_of(args, audit, name, findings)
    print("\n".join(lines(report)))
    if args.output is not None:
        write(args.output, report)
        print(f"report in {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(options.run("lifnum.audit", main))
