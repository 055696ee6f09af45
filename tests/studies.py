"""Files of a study with known numbers: traces, transfer files, and what stands in them."""

import numpy as np

from lifnum import Scheme
from lifnum.files.environment import environment
from lifnum.files.trace import BATCHES, EPOCHS
from lifnum.files.transfers import SCHEMES, TransferFile, scheme_key
from lifnum.files.writer import TraceWriter
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.transfer import GradientComparison

ORDERS = (1, 2, 3, 5)

STEPS = (2e-3, 1e-2, 5e-2, 0.1)

# of the small study that the tests of figures and reports share
SMALL_SEEDS, SMALL_STEPS = (0, 1), (1e-2, 0.1)

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
    config = Configuration(p, scheme, seed, evaluations=evaluations).to_json()
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
    config = Configuration(preset(trained), Scheme(), seed).to_json()
    schemes = [Scheme()] + [
        Scheme("euler", None, dt, how) if order == 1 else Scheme("ps", order, dt, how)
        for how in interpolations for order in orders for dt in steps
    ]  # fmt: skip
    header = {"config": config, "seed": seed, "trace": "t.h5", "weights": "last",
              "weights_digest": "", "dataset": dataset, "n_samples": 10000,
              **environment(1)}  # fmt: skip
    path = folder / f"transfer-{trained}-to-{dataset}-s{seed}.h5"
    factor = 1.0 if dataset == trained else 0.8
    with TransferFile(path, header, 2, 1000 if gradients else None) as file:
        file.append("schemes", *(_scheme_row(scheme, factor, seed) for scheme in schemes))
        if gradients:
            file.append("gradients", *(row for scheme in schemes[1:] for when in ("initial", "last")
                                       for row in _gradient_rows(scheme, when, seed)))  # fmt: skip
    return path


def _scheme_row(scheme, factor, seed):
    key = scheme_key(scheme)
    order, dt, how = key["order"], scheme.dt, scheme.interpolation
    length = np.array([step_length(dt, how, k) for k in (0, 1)])
    zeros = {name: (0.0, 0.0) for name, (_, per_layer) in SCHEMES.items() if per_layer}
    return key | zeros | {
        "accuracy": factor * accuracy(order, dt, how, seed), "loss": 1.0, "agreement": 1.0,
        "spikes": (spikes(order, dt, seed), 30.0), "steps": 0.2 / length, "step_length": length,
        "seconds": 2.0,
    }  # fmt: skip


def gradient(order, dt, kind, layer, seed):
    """(cosine, norm) made up for a gradient against the exact one."""
    off = dt / order**2 * (4.0 if kind == "piggyback" else 1.0) * (1 + layer) * (1 + 0.1 * seed)
    return 1.0 - off**2, 1.0 + off


def _gradient_rows(scheme, when, seed):
    none = (np.nan, np.nan)
    for key in GradientComparison.keys(scheme, when):
        kind = key["gradient"].decode()
        pairs = [gradient(key["order"], scheme.dt, kind, layer, seed) for layer in (0, 1)]
        cosine, norm = zip(*pairs)
        adjusted = (none, none) if scheme.interpolation == "none" else (cosine, norm)
        yield key | {"cosine_exact": cosine, "norm_exact": norm, "cosine_adjusted": adjusted[0],
                     "norm_adjusted": adjusted[1]}  # fmt: skip


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
