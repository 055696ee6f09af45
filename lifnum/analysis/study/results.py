"""What the traces and transfer files of a study say, as tables.

`load` reads a folder of such files, or the one file that ``--out`` made of it: HDF5 (attribute
``kind`` = "lifnum-results") with one table, an array of records, for each of `TABLES`, holding all
that the figures need and no weights. Both give the same `Results`. The series euler, and rk2
and rk4 where all neurons are linear, go by their other name here: ps of order 1, 2 and 4.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from lifnum.analysis.study.statistics import name_by_tolerance
from lifnum.errors import TraceError
from lifnum.files import transfers
from lifnum.files.hdf5 import one_line
from lifnum.files.reader import Trace
from lifnum.files.trace import ADDED, EPOCHS
from lifnum.runs.configuration import Configuration
from lifnum.runs.neurons import names, of_data
from lifnum.scheme import LIMITS, SURROGATE_OPTIONS, Scheme

SCHEMA = 1

KIND = "lifnum-results"

_SCHEME = {"method": "S20", "order": "i4", "dt": "f8", "interpolation": "S6"}

_ORIGIN = {"file": "S120", "dataset": "S40", "trained": "S40", "seed": "i8", "study": "i4",
           "layers": "i4", "duration": "f8"}  # fmt: skip


def _marked(columns):
    """Columns of a file, name to (type, whether it has one value a layer), as those of `TABLES`."""
    return {f"{name}[]" if per_layer else name: kind
            for name, (kind, per_layer) in columns.items()}  # fmt: skip


# what a run ended with: the last row of its epochs, without what earlier runs lack
_LAST = _marked({name: ("f8", per_layer) for name, per_layer in EPOCHS.items()
                 if name not in ADDED})  # fmt: skip

# table -> columns; those that end in [] have one value a layer. `study` is 0 for the most frequent
# configuration of a data set (scheme and seed apart), 1 for the next; `id` of a run is `run` of its
# rows in curves.
TABLES = {
    "runs": {"id": "i4"} | _ORIGIN | _SCHEME | {"gradient": "S9", "workers": "i4",
             "threads": "i4", "cpu": "S80"} | _LAST,
    "curves": {"run": "i4", "epoch": "f8", "train_loss": "f8", "validation_accuracy": "f8",
               "test_accuracy": "f8"},
    "transfer": _ORIGIN | {"n_samples": "i8"} | _marked(transfers.SCHEMES),
    "gradients": _ORIGIN | _marked(transfers.GRADIENTS),
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


def chosen(name, names, what):
    """The data set asked for, or the first there is; NoData says which there are."""
    if name is None and names:
        return names[0]
    if name not in names:
        has = ", ".join(names) or "none"
        raise NoData(f"no {what} on {name or 'any data set'}; there are: {has}")
    return name


def load(path, *others):
    """Results of folders of traces and transfer files, or of aggregates.

    Files that can not be read, are no such files or are not finished are named in ``notes``. What
    further paths hold of a data set are studies of their own, after those of the paths before.

    Raises
    ------
    ValueError
        No such path, an aggregate of another schema, or a folder without a usable file; the
        message is one line.
    """
    results = _load(Path(path))
    for other in others:
        results = _joined(results, _load(Path(other)))
    return results


def _load(path):
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such folder or file")
    return _from_aggregate(path)


def _joined(one, other):
    """Both in one; numbers of runs and of studies go on."""
    tables = {}
    for name in (*_KEYS, "curves"):
        first, second = ([dict(zip(rows.dtype.names, row)) for row in rows]
                         for rows in (getattr(one, name), getattr(other, name)))  # fmt: skip
        studies = Counter()
        for row in first if name in _KEYS else ():
            data = row["trained"], row["dataset"]
            studies[data] = max(studies[data], 1 + row["study"])
        for row in second:
            if name in _KEYS:
                row["study"] += studies[row["trained"], row["dataset"]]
            if name in ("runs", "curves"):
                row["id" if name == "runs" else "run"] += len(one.runs)
        n_layers = max(part.runs.dtype["steps"].shape[0] for part in (one, other))
        tables[name] = _table(name, first + second, n_layers)
    commands = dict.fromkeys(one.commands + other.commands)
    return Results(**tables, notes=one.notes + other.notes, commands=list(commands))


def save(results, path, overwrite=False):
    """Write results as an aggregate file.

    Raises
    ------
    ValueError
        The path is taken, unless by an aggregate and `overwrite`.
    """
    path = Path(path)
    if path.exists():
        if not overwrite:
            raise ValueError(f"{path}: exists; accepted: another --out, or --overwrite")
        if not _is_aggregate(path):
            raise ValueError(f"{path}: no aggregate; --overwrite replaces these only")
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


def _is_aggregate(path):
    """Whether a file is one that `save` wrote, damaged or not."""
    try:
        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("kind")) == KIND
    except _READ_ERRORS:
        return False


def _from_aggregate(path):
    try:
        with h5py.File(path, "r") as file:
            if _text(file.attrs.get("kind")) != KIND:
                raise ValueError("no aggregate of lifnum.analysis.study")
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
        raise ValueError(f"{path}: {one_line(error)}") from None
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
        for row in found[name]:
            _rename(row)
        found[name], more = _unique(name, found[name])
        notes += more
    notes += [*_incomplete(found["transfer"]), *_neurons(found["runs"] + found["transfer"])]
    if not any(found[name] for name in ("runs", "transfer")):
        reason = f" ({notes[0]})" if notes else ""
        raise ValueError(f"{folder}: holds no finished trace or transfer file{reason}")
    for k, run in enumerate(found["runs"]):
        run["id"] = k
        found["curves"] += [{"run": k, **row} for row in run.pop("curve")]
    n_layers = max(row["layers"] for name in _KEYS for row in found[name])
    tables = {name: _table(name, found[name], n_layers) for name in (*_KEYS, "curves")}
    return Results(**tables, notes=notes, commands=list(commands))


def _rename(row):
    """Give the method of a row its other name, where it is a series for its neurons."""
    if "neuron" in row["options"] and row["method"] in (b"rk2", b"rk4"):
        row["order"] = 0
    elif row["order"] > 0:
        row["method"] = b"ps"


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


def _read(path):
    """({table: rows}, command) of one file; ValueError names what is wrong with it."""
    kind = None
    try:
        with h5py.File(path, "r") as file:
            kind = _text(file.attrs.get("kind"))
    except OSError:
        pass  # perhaps still open in its writer: what reads a trace can tell
    except _READ_ERRORS as error:
        raise ValueError(f"damaged ({one_line(error)})") from None
    if kind == KIND:
        return {}, ""
    if kind == transfers.KIND:
        return _read_transfer(path)
    with Trace(path) as trace:
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
    epochs, header = trace.epochs, trace.header
    config = Configuration.from_json(trace.config, trace.path).to_json()
    if not len(epochs["epoch"]):
        raise TraceError("no epoch is complete")
    last = {name: column[-1] for name, column in epochs.items()}
    try:
        scheme = Scheme.from_json(config["scheme"])
        row = _origin(trace.path, config, header["seed"], len(last["steps"])) | last
        # surrogates and limits that are not the usual ones are another study
        usual = LIMITS | SURROGATE_OPTIONS
        row["options"] |= {
            f"scheme.{name}": json.dumps(value) for name, value in config["scheme"].items()
            if name in usual and value != usual[name]
        }  # fmt: skip
        row |= transfers.scheme_key(scheme) | {
            "gradient": scheme.gradient,
            "workers": int(header.get("workers", 1)),
            "threads": int(header.get("threads", 0)),
            "cpu": str(header.get("cpu", "")),
        }
        if scheme.tolerance is not None:
            row |= {"method": name_by_tolerance(scheme.tolerance).encode(), "order": 0}
    except _READ_ERRORS as error:
        raise TraceError(f"its header is damaged ({one_line(error)})") from None
    names = [name for name in TABLES["curves"] if name != "run"]
    columns = [epochs[name] for name in names]
    row["curve"] = [dict(zip(names, values)) for values in zip(*columns)]
    return {"runs": [row]}, _command(header)


def _read_transfer(path):
    contents = transfers.read_transfer(path)
    header = contents.header
    config = Configuration.from_json(header["config"], path).to_json()
    tables = {"transfer": contents.schemes, "gradients": contents.gradients or {}}
    found = {name: [dict(zip(columns, values)) for values in zip(*columns.values())]
             for name, columns in tables.items()}  # fmt: skip
    if not found["transfer"]:
        raise ValueError("no scheme was evaluated")
    origin = _origin(path, config, header["seed"], len(found["transfer"][0]["steps"]))
    origin["options"] |= {f"scheme.{name}": json.dumps(value)
                          for name, value in config["scheme"].items()}  # fmt: skip
    origin["options"]["weights of the run"] = header["weights"]
    origin["n_samples"] = header["n_samples"]
    for row in (*found["transfer"], *found["gradients"]):
        row |= origin
    for row in found["transfer"]:
        row["dataset"] = Path(header["dataset"]).name
    return found, _command(header)


def _command(header):
    """Command line of a file's writer, as a user would type it."""
    program, _, rest = str(header.get("command", "")).partition(" ")
    path = Path(program)
    if path.suffix == ".py" and path.parent.name == "lifnum":
        program = f"python -m lifnum.{path.stem}"
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


def _neurons(rows):
    """Lines on what neurons networks have, other than lif."""
    found = {}
    for row in rows:
        if row["study"] == 0 and "neuron" in row["options"]:
            neurons = map(of_data, json.loads(row["options"]["neuron"]))
            found[f"neurons of the networks of {row['trained']}: {names(list(neurons))}"] = None
    return list(found)


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
