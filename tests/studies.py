"""Files of a study with known numbers: traces, transfer files, and what stands in them."""

import json

import h5py
import numpy as np

from lifnum import Scheme, presets
from lifnum.trace import BATCHES, EPOCHS, TraceWriter, environment
from lifnum.trainer import configuration

ORDERS = (1, 2, 3, 5)

STEPS = (2e-3, 1e-2, 5e-2, 0.1)

CODES = {"euler": 1, "rk2": 2, "rk4": 4}


def preset(dataset="mnist", **changes):
    return presets.resolve(dataset, {"epochs": 5, "hidden": (6,)} | changes)


def accuracy(order, dt, interpolation, seed):
    """Accuracy made up for a scheme and seed: falls with dt, beyond 7 ms steeply under none."""
    order = min(order or 20, 20)
    lost = 0.017 + 0.02 * (dt or 0.0) ** 1.5 * 4 / order
    if interpolation == "none" and dt > 7.5e-3:
        lost += 0.4
    return 1.0 - lost - 5e-4 * seed


def spikes(order, dt, seed):
    """Hidden spikes of a sample, made up likewise."""
    return 500.0 * (1.0 + (dt or 0.0) * 1.6 / min(order or 20, 20)) + 4.0 * seed


def step_length(dt, interpolation, layer):
    """Mean sub-interval, made up: as on dense input, where interpolation splits at every event."""
    if interpolation == "none":
        return dt
    return 1.0 / (1.0 / (2.9e-3, 5e-4)[layer] + (1.0 / dt if dt else 0.0))


def write_trace(folder, scheme, seed, dataset="mnist", workers=1, epochs=5, evaluations=4,
                status="finished", **changes):  # fmt: skip
    """A trace of that scheme with accuracies and spikes of the functions above; its path."""
    p = preset(dataset, **changes)
    config = configuration(p, scheme, seed=seed, dtype="float32", limit_train=None,
                           limit_test=None, evaluations=evaluations)  # fmt: skip
    header = {"config": config, "seed": seed, "workers": workers, **environment(1)}
    header["command"] = "/somewhere/lifnum/sweep.py --epochs 5"
    order = scheme.order or CODES.get(scheme.method, 0)
    last = accuracy(order, scheme.dt, scheme.interpolation, seed)
    last -= 0.001 * (scheme.gradient == "piggyback") + 0.01 * (dataset != "mnist")
    weights = [np.zeros((5, 6), "f4"), np.zeros((6, 3), "f4")]
    path = folder / f"{p.name}-{scheme.label}-s{seed}-w{workers}-e{epochs}.h5"
    writer = TraceWriter(path, header, weights, 3)
    for k in range(1, epochs * evaluations + 1):
        row = dict.fromkeys(EPOCHS, 0.0)
        now = last - 0.05 * (1.0 - k / (epochs * evaluations)) ** 2
        tested = k % evaluations == 0
        row |= {
            "epoch": k / evaluations, "train_loss": 10.0 / k, "validation_accuracy": now + 0.002,
            "test_accuracy": now if tested else np.nan,
            "test_spikes": (spikes(order, scheme.dt, seed), 30.0),
            "step_length": [step_length(scheme.dt, scheme.interpolation, n) for n in (0, 1)],
            "seconds_training": k * (0.5 + 0.001 / (scheme.dt or 1.0)),
        }  # fmt: skip
        row["steps"] = [0.2 / length for length in row["step_length"]]
        writer.append_epoch(row)
    writer.append_batch(dict.fromkeys(BATCHES, 0.0))
    writer.close(status)
    return path


def write_transfer(folder, seed, dataset="mnist", trained="mnist", orders=(*ORDERS, 10),
                   steps=(1e-3, *STEPS, 0.2), interpolations=("none", "linear", "dense"),
                   gradients=True):  # fmt: skip
    """A transfer file of a network trained with exact, likewise; its path."""
    config = configuration(preset(trained), Scheme(), seed=seed, dtype="float32")
    rows = [("exact", 0, np.nan, "dense")] + [
        ("euler" if order == 1 else "ps", order, dt, interpolation)
        for interpolation in interpolations for order in orders for dt in steps
    ]  # fmt: skip
    path = folder / f"transfer-{trained}-to-{dataset}-s{seed}.h5"
    factor = 1.0 if dataset == trained else 0.8
    with h5py.File(path, "w") as file:
        file.attrs["kind"], file.attrs["schema"] = "lifnum-transfer", 1
        file.attrs["config"], file.attrs["seed"] = json.dumps(config), seed
        for name, value in {"trace": "t.h5", "weights": "last", "dataset": dataset,
                            "n_samples": 10000, **environment(1)}.items():  # fmt: skip
            file.attrs[name] = value
        group = file.create_group("schemes")
        n = len(rows)
        columns = _scheme_columns(rows)
        grid = [None if np.isnan(dt) else dt for _, _, dt, _ in rows]
        columns["accuracy"] = [
            factor * accuracy(order, dt, how, seed) for (_, order, _, how), dt in zip(rows, grid)
        ]
        hidden = [spikes(order, dt, seed) for (_, order, _, _), dt in zip(rows, grid)]
        length = np.array([[step_length(dt, how, k) for k in (0, 1)]
                           for (_, _, _, how), dt in zip(rows, grid)])  # fmt: skip
        columns |= {"loss": np.ones(n), "agreement": np.ones(n), "seconds": np.full(n, 2.0),
                    "spikes": np.column_stack([hidden, np.full(n, 30.0)]),
                    "step_length": length, "steps": 0.2 / length}  # fmt: skip
        for name in ("silent", "capped", "deviation_mean", "deviation_max", "matched", "gained",
                     "lost"):  # fmt: skip
            columns[name] = np.zeros((n, 2))
        _write(group, columns, n)
        if gradients:
            _write_gradients(file.create_group("gradients"), rows, seed)
    return path


def gradient(order, dt, kind, layer, seed):
    """(cosine, norm) made up for a gradient against the exact one."""
    off = dt / order**2 * (4.0 if kind == "piggyback" else 1.0) * (1 + layer) * (1 + 0.1 * seed)
    return 1.0 - off**2, 1.0 + off


def _write_gradients(group, rows, seed):
    cells = [(row, kind, when) for row in rows[1:] for kind in ("adjusted", "piggyback")
             for when in ("initial", "last")
             if row[3] != "none" or kind == "piggyback"]  # fmt: skip
    columns = _scheme_columns([row for row, _, _ in cells])
    columns["gradient"] = np.array([kind for _, kind, _ in cells], "S9")
    columns["weights"] = np.array([when for _, _, when in cells], "S7")
    exact = np.array([[gradient(row[1], row[2], kind, layer, seed) for layer in (0, 1)]
                      for row, kind, _ in cells])  # fmt: skip
    columns["cosine_exact"], columns["norm_exact"] = exact[..., 0], exact[..., 1]
    none = np.array([row[3] == "none" for row, _, _ in cells])[:, None]
    columns["cosine_adjusted"] = np.where(none, np.nan, exact[..., 0])
    columns["norm_adjusted"] = np.where(none, np.nan, exact[..., 1])
    _write(group, columns, len(cells))


def _scheme_columns(rows):
    method, order, dt, interpolation = zip(*rows)
    return {"method": np.array(method, "S20"), "order": np.array(order, "i4"),
            "dt": np.array(dt), "interpolation": np.array(interpolation, "S6")}  # fmt: skip


def _write(group, columns, n):
    for name, values in columns.items():
        group.create_dataset(name, data=np.asarray(values))
    group.create_dataset("rows", data=np.int64(n))


def write_study(folder, seeds=(0, 1, 2), datasets=("mnist", "mnist-threshold"), orders=ORDERS,
                steps=STEPS, epochs=5, evaluations=4):  # fmt: skip
    """Every kind of file that the figures need, in one folder; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    schemes = [Scheme()]
    for order in orders:
        for dt in steps:
            schemes += [Scheme("ps", order, dt, gradient=g) for g in ("adjusted", "piggyback")]
    schemes += [Scheme("euler", dt=dt, interpolation="linear") for dt in steps]
    schemes += [Scheme("euler", dt=dt, interpolation="none") for dt in (7e-3, 8e-3)]
    for dataset in datasets:
        for seed in seeds:
            for scheme in schemes:
                write_trace(folder, scheme, seed, dataset, epochs=epochs, evaluations=evaluations)
            write_transfer(folder, seed, dataset, gradients=dataset == "mnist")
    return folder
