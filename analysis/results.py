"""python -m analysis.results: what the traces and transfer files of a study say, as tables.

`load` reads a folder of such files, or the one file that ``--out`` made of it: HDF5 (attribute
``kind`` = "lifnum-results") with one table, an array of records, for each of `TABLES`, holding all
that the figures need and no weights. Both give the same `Results`. The series euler, rk2 and rk4
go by their other name here: ps of order 1, 2 and 4. Statistics stand in `analysis.statistics`.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from analysis import statistics
from lifnum import cli
from lifnum.integrators import METHODS, PS
from lifnum.network import Scheme
from lifnum.trace import EPOCHS, Trace, TraceError

SCHEMA = 1

KIND = "lifnum-results"

TRANSFER_KIND = "lifnum-transfer"

_SCHEME = {"method": "S20", "order": "i4", "dt": "f8", "interpolation": "S6"}

_ORIGIN = {"file": "S120", "dataset": "S40", "trained": "S40", "seed": "i8", "study": "i4",
           "layers": "i4", "duration": "f8"}  # fmt: skip

# columns of the groups of a transfer file; those that end in [] have one value a layer
_TRANSFER = _SCHEME | {
    "accuracy": "f8", "loss": "f8", "agreement": "f8", "spikes[]": "f8", "steps[]": "f8",
    "step_length[]": "f8", "silent[]": "f8", "capped[]": "f8", "deviation_mean[]": "f8",
    "deviation_max[]": "f8", "matched[]": "f8", "gained[]": "f8", "lost[]": "f8", "seconds": "f8",
}  # fmt: skip

_GRADIENTS = _SCHEME | {
    "gradient": "S9", "weights": "S7", "cosine_exact[]": "f8", "norm_exact[]": "f8",
    "cosine_adjusted[]": "f8", "norm_adjusted[]": "f8",
}  # fmt: skip

# what a run ended with: the last row of its epochs
_LAST = {f"{name}[]" if per_layer else name: "f8" for name, per_layer in EPOCHS.items()}

# table -> columns. `study` is 0 for the most frequent configuration of a data set (scheme and seed
# apart), 1 for the next; `id` of a run is `run` of its rows in curves.
TABLES = {
    "runs": {"id": "i4"} | _ORIGIN | _SCHEME | {"gradient": "S9", "workers": "i4",
             "threads": "i4", "cpu": "S80"} | _LAST,
    "curves": {"run": "i4", "epoch": "f8", "train_loss": "f8", "validation_accuracy": "f8",
               "test_accuracy": "f8"},
    "transfer": _ORIGIN | {"n_samples": "i8"} | _TRANSFER,
    "gradients": _ORIGIN | _GRADIENTS,
    "notes": {"text": "S300"},
    "commands": {"text": "S300"},
}  # fmt: skip

# columns that two rows of the same thing share
_KEYS = {
    "runs": ("study", "dataset", *_SCHEME, "gradient", "seed"),
    "transfer": ("study", "trained", "dataset", *_SCHEME, "seed"),
    "gradients": ("study", "trained", *_SCHEME, "gradient", "weights", "seed"),
}

# what h5py and JSON raise on damaged or foreign files
_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


class Results(NamedTuple):
    """Tables of a study, structured arrays with the columns of `TABLES`.

    Text is bytes, times are seconds, shares lie in [0, 1]. Columns with one value a layer have
    shape (rows, layers), NaN past a network's last layer. ``notes`` are lines on what was skipped
    or does not fit, ``commands`` what made the files.
    """

    runs: np.ndarray
    curves: np.ndarray
    transfer: np.ndarray
    gradients: np.ndarray
    notes: list
    commands: list


class NoData(ValueError):
    """A figure whose data are missing; the message says which."""


def load(path):
    """Results of a folder of traces and transfer files, or of an aggregate.

    Files that can not be read, are no such files or are not finished are named in ``notes``.

    Raises
    ------
    ValueError
        No such path, an aggregate of another schema, or a folder without a usable file; the
        message is one line.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such folder or file")
    return _from_aggregate(path)


def save(results, path, overwrite=False):
    """Write results as an aggregate file.

    Raises
    ------
    ValueError
        The path exists, without overwrite.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: exists; accepted: another --out, or --overwrite")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(f"{path}.new")
    with h5py.File(temporary, "w") as file:
        file.attrs["kind"], file.attrs["schema"] = KIND, SCHEMA
        for name in TABLES:
            table = getattr(results, name)
            if isinstance(table, list):
                table = _table(name, [{"text": line} for line in table], 0)
            chunks = (min(len(table), 4096),) if len(table) else None
            file.create_dataset(name, data=table, chunks=chunks, shuffle=chunks and True,
                                compression=chunks and 9, fletcher32=bool(chunks))  # fmt: skip
    os.replace(temporary, path)


def _from_aggregate(path):
    try:
        with h5py.File(path, "r") as file:
            if _text(file.attrs.get("kind")) != KIND:
                raise ValueError("no aggregate of analysis.results")
            if file.attrs["schema"] != SCHEMA:
                raise ValueError(f"schema {file.attrs['schema']}; accepted: {SCHEMA}")
            tables = {}
            for name in TABLES:
                table = tables[name] = file[name][()]
                shapes = [table.dtype[key].shape for key in table.dtype.names]
                n_layers = max(shape[0] if shape else 0 for shape in shapes)
                if table.dtype != _table(name, [], n_layers).dtype:
                    raise ValueError(f"table {name} has other columns")
            for name in ("notes", "commands"):
                tables[name] = [line.decode() for line in tables[name]["text"]]
    except _READ_ERRORS as error:
        raise ValueError(f"{path}: {_line(error)}") from None
    return Results(**tables)


def _from_folder(folder):
    found = {name: [] for name in TABLES}
    notes, commands = [], {}
    for path in sorted(folder.glob("*.h5")):
        try:
            rows, command = _read(path)
        except ValueError as error:
            notes.append(f"skipped: {path.name}: {str(error).removeprefix(f'{path}: ')}")
            continue
        for name, more in rows.items():
            found[name] += more
        if command:
            commands[command] = None
    for name in ("runs", "transfer", "gradients"):
        notes += _number_studies(name, found[name])
        found[name], more = _unique(name, found[name])
        notes += more
    notes += _incomplete(found["transfer"])
    if not any(found[name] for name in ("runs", "transfer")):
        reason = f" ({notes[0]})" if notes else ""
        raise ValueError(f"{folder}: holds no finished trace or transfer file{reason}")
    for k, run in enumerate(found["runs"]):
        run["id"] = k
        found["curves"] += [{"run": k, **row} for row in run.pop("curve")]
    n_layers = max(row["layers"] for name in _KEYS for row in found[name])
    tables = {name: _table(name, found[name], n_layers) for name in (*_KEYS, "curves")}
    return Results(**tables, notes=notes, commands=list(commands))


def _columns(columns, n_layers):
    """Name to (type, shape) of a table's columns."""
    return {name.removesuffix("[]"): (kind, n_layers) if name.endswith("[]") else (kind,)
            for name, kind in columns.items()}  # fmt: skip


def _table(name, rows, n_layers):
    """Rows (dicts) as a structured array; values of a layer that a network lacks are NaN."""
    columns = _columns(TABLES[name], n_layers)
    table = np.zeros(len(rows), [(key, *what) for key, what in columns.items()])
    for key, (_, *per_layer) in columns.items():
        for k, row in enumerate(rows):
            value = row[key]
            if per_layer:
                table[key][k] = np.nan
                table[key][k, : len(value)] = value
            else:
                table[key][k] = value.encode() if isinstance(value, str) else value
    return table


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def _line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _read(path):
    """({table: rows}, command) of one file; ValueError names what is wrong with it."""
    try:
        with h5py.File(path, "r") as file:
            kind = _text(file.attrs.get("kind"))
            if kind == KIND:
                return {}, ""
            if kind == TRANSFER_KIND:
                return _read_transfer(file)
    except OSError:
        pass  # perhaps still open in its writer: what reads a trace can tell
    except _READ_ERRORS as error:
        raise ValueError(f"damaged ({_line(error)})") from None
    with Trace(path) as trace:
        if trace.header.get("kind") == TRANSFER_KIND:
            raise TraceError("not closed: its writer is at work, or was killed")
        return _read_trace(trace)


def _origin(path, config, seed, n_layers):
    """Columns of `_ORIGIN`, and what decides the result besides scheme and seed."""
    preset = config["preset"]
    options = {key: value for key, value in config.items()
               if key not in ("preset", "scheme", "seed", "evaluations")}  # fmt: skip
    return {
        "file": Path(path).name,
        "dataset": Path(preset["dataset"]).name,
        "trained": Path(preset["dataset"]).name,
        "seed": int(seed),
        "layers": n_layers,
        "duration": float(preset["duration"]),
        "options": {name: json.dumps(value) for name, value in (preset | options).items()},
    }


def _read_trace(trace):
    if trace.status != "finished":
        raise TraceError(f"the run is {trace.status}")
    epochs, header, config = trace.epochs, trace.header, trace.config
    if not len(epochs["epoch"]):
        raise TraceError("no epoch is complete")
    last = {name: column[-1] for name, column in epochs.items()}
    try:
        scheme = Scheme(**config["scheme"])
        code, order = METHODS[scheme.method]
        row = _origin(trace.path, config, header["seed"], len(last["steps"])) | last
        row |= {
            "method": "ps" if code == PS else scheme.method,
            "order": (order or scheme.order) if code == PS else 0,
            "dt": np.nan if scheme.dt is None else scheme.dt,
            "interpolation": scheme.interpolation,
            "gradient": scheme.gradient,
            "workers": int(header.get("workers", 1)),
            "threads": int(header.get("threads", 0)),
            "cpu": str(header.get("cpu", "")),
        }
    except _READ_ERRORS as error:
        raise TraceError(f"its header is damaged ({_line(error)})") from None
    names = [name for name in TABLES["curves"] if name != "run"]
    columns = [epochs[name] for name in names]
    row["curve"] = [dict(zip(names, values)) for values in zip(*columns)]
    return {"runs": [row]}, _command(header)


def _read_transfer(file):
    attrs = file.attrs
    if attrs["schema"] != 1:
        raise ValueError(f"transfer file of schema {attrs['schema']}; accepted: 1")
    config = json.loads(attrs["config"])
    found = {"transfer": _read_group(file["schemes"], _TRANSFER)}
    if "gradients" in file:
        found["gradients"] = _read_group(file["gradients"], _GRADIENTS)
    if not found["transfer"]:
        raise ValueError("no scheme was evaluated")
    n_layers = len(found["transfer"][0]["steps"])
    origin = _origin(file.filename, config, attrs["seed"], n_layers)
    origin["options"] |= {f"scheme.{name}": json.dumps(value)
                          for name, value in config["scheme"].items()}  # fmt: skip
    origin["options"]["weights of the run"] = _text(attrs["weights"])
    origin["n_samples"] = int(attrs["n_samples"])
    for row in found["transfer"]:
        row |= origin | {"dataset": Path(_text(attrs["dataset"])).name}
    for row in found.get("gradients", ()):
        row |= origin
    return found, _command(attrs)


def _read_group(group, columns):
    """The valid rows of a group of equally long columns, as dicts."""
    n = int(group["rows"][()])
    values, n_layers = {}, set()
    for name, (kind, *per_layer) in _columns(columns, 1).items():
        column = group[name]
        if not 0 <= n <= len(column) or column.ndim != 1 + len(per_layer):
            raise ValueError(f"{group.name}/{name} has shape {column.shape}, for {n} rows")
        if (column.dtype.kind == "S") != (kind[0] == "S"):
            raise ValueError(f"{group.name}/{name} is {column.dtype}")
        values[name] = column[:n]
        n_layers |= set(column.shape[1:])
    if len(n_layers) > 1:
        raise ValueError(f"columns of {group.name} differ in layers: {sorted(n_layers)}")
    rows = [{name: column[k] for name, column in values.items()} for k in range(n)]
    for row in rows:
        if row["order"] > 0:
            row["method"] = b"ps"
    return rows


def _command(header):
    """Command line of a file's writer, as a user would type it."""
    program, _, rest = str(_text(header.get("command", ""))).partition(" ")
    path = Path(program)
    if path.suffix == ".py" and path.parent.name in ("lifnum", "analysis"):
        program = f"python -m {path.parent.name}.{path.stem}"
    return f"{program} {rest}".strip()


def _number_studies(name, rows):
    """Set `study` of rows that hold `options`; returns lines on what the smaller ones differ in."""
    notes = []
    for dataset in sorted({(row["trained"], row["dataset"]) for row in rows}):
        own = [row for row in rows if (row["trained"], row["dataset"]) == dataset]
        keys = [(tuple(sorted(row["options"].items())), row.get("n_samples")) for row in own]
        ranked = [key for key, _ in Counter(keys).most_common()]
        for row, key in zip(own, keys):
            row["study"] = ranked.index(key)
        for k, key in enumerate(ranked[1:], 1):
            (first, samples), (other, others) = ranked[0], key
            differing = sorted({option for option, _ in set(first) ^ set(other)})
            differing += ["n_samples"] if samples != others else []
            files = sorted({row["file"] for row in own if row["study"] == k})
            notes.append(
                f"left out of {name}{', times apart' if name == 'runs' else ''}: {len(files)} "
                f"file(s) such as {files[0]}, for {', '.join(differing)} differ from those of most"
            )
    return notes


def _unique(name, rows):
    """Rows without repetitions, those that ran alone preferred, and lines on what was left out."""
    kept, notes = {}, []
    for row in sorted(rows, key=lambda row: (row.get("workers", 1) != 1, row["file"])):
        # NaN equals nothing, itself included
        key = tuple(str(row[column]) for column in _KEYS[name])
        first = kept.setdefault(key, row)
        if first is not row:
            line = f"skipped: {row['file']}: repeats what {first['file']} holds"
            if line not in notes:
                notes.append(line)
    return sorted(kept.values(), key=lambda row: row["file"]), notes


def _incomplete(rows):
    """Lines on networks that were evaluated under fewer schemes than others of their study."""
    schemes = {}
    for row in rows:
        group = schemes.setdefault((row["study"], row["trained"], row["dataset"]), {})
        own = group.setdefault(row["seed"], (row["file"], set()))
        own[1].add(tuple(str(row[name]) for name in _SCHEME))
    notes = []
    for group in schemes.values():
        n = len(set().union(*(own for _, own in group.values())))
        notes += [f"incomplete: {file}: {len(own)} of the {n} schemes that its study has"
                  for file, own in group.values() if len(own) < n]  # fmt: skip
    return notes


def parser():
    p = cli.Parser(
        prog="python -m analysis.results",
        description="Gather a study, a folder of traces and transfer files, in one small file "
        "that all figures can be drawn from, or print its numbers.",
        epilog="A scheme is METHOD@DT[:INTERPOLATION[:GRADIENT]] with dt in seconds: euler@0.01, "
        "ps5@0.05:linear,\nps5@0.01:dense:piggyback, exact.",
    )
    p.add_argument("source", metavar="DIR", help="folder of *.h5, or an aggregate of one")
    p.add_argument("--out", metavar="FILE", help="write the aggregate there")
    p.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    p.add_argument("--table", action="store_true",
                   help="print means over seeds with 95 %% intervals")  # fmt: skip
    p.add_argument("--compare", nargs=2, action="append", default=[], metavar=("A", "B"),
                   help="print the paired difference A - B of two schemes; "
                   "may be repeated")  # fmt: skip
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    pairs = [tuple(map(statistics.parse_scheme, pair)) for pair in args.compare]
    results = load(args.source)
    for note in results.notes:
        print(note, file=sys.stderr)
    if args.table and not pairs:
        print("\n".join(statistics.table_lines(results)))
    for pair in pairs:
        print("\n".join(statistics.comparison_lines(results, *pair)))
    if args.out:
        save(results, args.out, args.overwrite)
        print(f"aggregate in {args.out}, {Path(args.out).stat().st_size / 1e6:.2f} MB")
    if not (args.out or args.table or pairs):
        print(f"{args.source}: {len(results.runs)} runs, {len(results.transfer)} schemes after "
              f"transfer, {len(results.gradients)} comparisons of gradients")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("analysis.results", main))
