"""What the error of a gradient is, bias or tail: docs/studies/gradient-noise.md."""

import functools
from typing import NamedTuple

import numpy as np

from lifnum import losses
from lifnum.analysis.study import paired, slopes
from lifnum.analysis.study.runner import Run, load_data
from lifnum.analysis.study.statistics import interval
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration, build_network
from lifnum.runs.trainer import Trainer
from lifnum.scheme import Scheme

SEEDS = 5

STEPS = (0.1, 0.01)  # dt (s)

# samples of a run -> those that a unit holds, and the numbers of samples that have rows
SIZES = {5000: (1, (50, 500, 5000)), 57000: (50, (500, 5000, 57000))}

# a scheme without its dt, and the gradients that are asked of its forward pass
ASKED = (
    (("euler", None, "dense"), ("adjusted", "piggyback", "numerical-slope", "clipped")),
    (("ps", 5, "dense"), ("adjusted", "piggyback")),
    (("euler", None, "none"), ("piggyback",)),
    (("euler", None, "none"), ("surrogate",)),
)

CHOICES = {"numerical-slope": slopes.numerical, "clipped": slopes.clipped}

LAYERS = ("hidden", "output")

# relative error below which sums in float64 say nothing of its parts
RESOLVED = 1e-6

OUTLIER = 10.0  # norm of a unit's gradient over that of exact, from which it is left out

SLOPE_SAMPLES = 500  # whose spikes tell the tail of 1/v

TAIL, SLOPE_TAIL = 0.05, 0.01  # share of values that the tail index is estimated from

NAMES = ("method", "interpolation", "gradient", "layer", "n")

# of one gradient and layer over the first n samples, against exact's; docs/studies says each
MEASURES = (*NAMES, "cosine", "norm_ratio", "error", "bias", "bias_share", "largest", "median",
            "q90", "q99", "q999", "most", "tail", "tail_n", "outliers", "rest_cosine", "rest_ratio",
            "slope_tail", "slope_tail_n", "not_rising")  # fmt: skip


class Comparison(NamedTuple):
    """One run: a network, and what its gradients are taken of."""

    dataset: str
    samples: int
    unit: int
    sizes: tuple
    dt: float
    seed: int
    limit: int | None = None


def runs(seeds=SEEDS, small=False):
    """All runs, those of single samples first."""
    found = []
    sizes = {40: (1, (10, 40))} if small else SIZES
    dataset, limit = ("digits", 60) if small else ("mnist", None)
    for samples, (unit, numbers) in sizes.items():
        for dt in STEPS[:1] if small else STEPS:
            for seed in range(seeds):
                config = Comparison(dataset, samples, unit, numbers, dt, seed, limit)
                key = {"dataset": dataset, "samples": f"{samples}", "dt": f"{dt:.9g}",
                       "seed": f"{seed}"}  # fmt: skip
                found.append(Run(key, config))
    return found


@functools.lru_cache(maxsize=SEEDS)
def trained(dataset, seed, limit):
    """(preset, data, shuffled rows, weights in float64) after an epoch under exact."""
    preset = presets.resolve(dataset, {"epochs": 1})
    data = load_data(dataset, None, preset.window, seed, limit, limit)
    trainer = Trainer(Configuration(preset, Scheme(), seed, limit_train=limit), data)
    while trainer.epoch < 1:
        trainer.step()
    rows = np.random.default_rng([seed, 3]).permutation(trainer.train_rows)
    return preset, data, rows, [w.astype(np.float64) for w in trainer.net.weights]


class Source:
    """A network under one scheme, and the gradients that are asked of its forward pass."""

    def __init__(self, preset, scheme, names, weights):
        self.scheme, self.names = scheme, names
        self.net = build_network(preset, scheme, weights)
        self.loss = losses.build(preset)
        self.slopes = {name: [[] for _ in LAYERS] for name in names}  # of the first spikes

    def gradients(self, trains, labels, keep_slopes):
        """{name: gradient of each layer} of some samples."""
        out = self.net.forward(trains)
        if "surrogate" in self.names:
            return {"surrogate": self.net.backward(counts=self.loss.d_counts(out, labels))}
        d_times, found = self.loss(out, labels)[1], {}
        for name in self.names:
            if name in CHOICES:
                found[name] = slopes.gradients(self.net, d_times, CHOICES[name])
            else:
                found[name] = self.net.backward(d_times, gradient=name)
            if keep_slopes and self.scheme.interpolation == "dense":
                self._keep(name)
        return found

    def _keep(self, name):
        """Add the slopes by which a gradient divides."""
        own_slope = name == "adjusted" and self.scheme.method != "exact"
        choose = CHOICES.get(name, slopes.numerical if own_slope else slopes.analytical)
        for kept, layer in zip(self.slopes[name], self.net.layers, strict=True):
            kept.append(choose(slopes.slopes(layer), layer.neuron))


class Sums:
    """One gradient of one layer over the units so far, against exact's."""

    def __init__(self, shape):
        self.total = np.zeros(shape)
        self.left_out = np.zeros((2, *shape))  # gradients that are outliers, and exact's there
        self.errors, self.n_left_out, self.norms = 0.0, 0, []

    def add(self, gradient, exact, exact_norm, rows):
        """Add a unit; only these rows of the gradients are not zero."""
        part = gradient[rows]
        norm = np.linalg.norm(part)
        self.norms.append(norm)
        self.total[rows] += part
        self.errors += max(norm**2 - 2.0 * np.vdot(part, exact) + exact_norm**2, 0.0)
        if norm > OUTLIER * exact_norm:
            self.n_left_out += 1
            self.left_out[0][rows] += part
            self.left_out[1][rows] += exact

    def measures(self, exact):
        """Measures of these sums; `exact`: the `Sums` of exact."""
        total, truth = self.total, exact.total
        norms, unit = np.array(self.norms), np.median(exact.norms)
        off = np.linalg.norm(total - truth) ** 2
        pairs = np.linalg.norm(truth) ** 2 - np.sum(np.square(exact.norms))
        index, k = tail_index(norms, TAIL)
        rest = _cosine_and_ratio(total - self.left_out[0], truth - self.left_out[1])
        cosine, ratio = _cosine_and_ratio(total, truth)
        return {
            "cosine": cosine,
            "norm_ratio": ratio,
            "error": np.sqrt(off) / np.linalg.norm(truth),
            "bias": (off - self.errors) / pairs if pairs > 0.0 else np.nan,
            "bias_share": 1.0 - self.errors / off if off > 0.0 else np.nan,
            "largest": norms.max() / np.linalg.norm(total) if norms.any() else np.nan,
            **dict(zip(("median", "q90", "q99", "q999", "most"),
                       np.quantile(norms, [0.5, 0.9, 0.99, 0.999, 1.0]) / unit, strict=True)),
            "tail": index,
            "tail_n": k,
            "outliers": self.n_left_out / len(norms),
            "rest_cosine": rest[0],
            "rest_ratio": rest[1],
        }  # fmt: skip


def _cosine_and_ratio(gradient, other):
    a, b = np.linalg.norm(gradient), np.linalg.norm(other)
    if a == 0.0 or b == 0.0:
        return np.nan, a / b if b > 0.0 else np.nan
    return np.vdot(gradient / a, other / b), a / b


def tail_index(values, share):
    """(Hill's estimate of the tail index, values that it is from); NaN for fewer than ten.

    The share of the largest values is used; its standard error is that of the estimate, divided by
    the root of their number.
    """
    values = np.sort(values)[::-1]
    k = int(share * len(values))
    if k < 10 or not values[k] > 0.0:
        return np.nan, k
    return k / np.log(values[:k] / values[k]).sum(), k


def execute(config):
    """Rows of one run: `MEASURES` of every gradient, layer and number of samples."""
    preset, data, rows, weights = trained(config.dataset, config.seed, config.limit)
    reference = Source(preset, Scheme(), ["adjusted"], weights)
    sources = [reference]
    for (method, order, how), names in ASKED:
        kind = "surrogate" if "surrogate" in names else None
        scheme = Scheme(method, order, config.dt, how, kind)
        sources.append(Source(preset, scheme, names, weights))
    sums = {(source, name): [Sums(w.shape) for w in weights]
            for source in sources for name in source.names}  # fmt: skip
    found, rows = [], rows[: config.samples]
    for first in range(0, len(rows), config.unit):
        own = rows[first : first + config.unit]
        trains, labels = data.train.select(own), data.train_labels[own]
        exact = None
        for source in sources:
            gradients = source.gradients(trains, labels, first < SLOPE_SAMPLES)
            exact = exact or _active(gradients["adjusted"], trains)
            for name, layers in gradients.items():
                for one, gradient, truth in zip(sums[source, name], layers, exact, strict=True):
                    one.add(gradient, *truth)
        n = min(first + config.unit, len(rows))
        if n in config.sizes:
            found += _rows(sums, reference, n)
    return found


def _active(gradients, trains):
    """(part, its norm, rows) of exact's gradient of each layer: rows that are not zero."""
    rows = [np.unique(trains.indices), slice(None)]
    parts = [gradient[own] for gradient, own in zip(gradients, rows, strict=True)]
    return [(part, np.linalg.norm(part), own) for part, own in zip(parts, rows, strict=True)]


def _rows(sums, reference, n):
    """Rows of all gradients after n samples."""
    found = []
    for (source, name), layers in sums.items():
        scheme = source.scheme
        for k, (layer, one) in enumerate(zip(LAYERS, layers, strict=True)):
            kept = np.concatenate(source.slopes[name][k] or [np.empty(0)])
            index, tail_n = tail_index(1.0 / kept[kept > 0.0], SLOPE_TAIL)
            words = scheme.method + str(scheme.order or ""), scheme.interpolation, name, layer
            numbers = {"slope_tail": index, "slope_tail_n": tail_n,
                       "not_rising": np.mean(kept <= 0.0) if len(kept) else np.nan}  # fmt: skip
            measures = one.measures(sums[reference, "adjusted"][k])
            found.append(dict(zip(NAMES, (*words, n), strict=True)) | measures | numbers)
    return found


def values(rows, samples, dt, gradient, layer, n, measure):
    """A measure over the networks, in the order of their seeds; gradient: its `NAMES` but layer, n.

    The rows are those of `cells`.
    """
    own = rows.get((samples, dt, *gradient, layer, n), {})
    return np.array([own[seed][measure] for seed in sorted(own)])


def cells(rows):
    """{(samples, dt, method, interpolation, gradient, layer, n): {seed: numbers}} of a table."""
    found = {}
    for row in rows:
        key = (int(row["samples"]), float(row["dt"]), *(row[name] for name in NAMES[:-1]),
               int(float(row["n"])))  # fmt: skip
        numbers = {name: float(row[name]) for name in MEASURES if name not in NAMES}
        found.setdefault(key, {})[int(row["seed"])] = numbers
    return found


EXACT = ("exact", "dense", "adjusted")

GRADIENTS = tuple((method + str(order or ""), how, name)
                  for (method, order, how), names in ASKED for name in names)  # fmt: skip


def origins(found):
    """{n: samples of the run that its numbers are taken from}: the run of the smallest units."""
    origin = {}
    for samples, *_, n in sorted(found):
        origin.setdefault(n, samples)
    return origin


def tail_family(found, samples):
    """{(dt, gradient, layer): `Comparison`}: tail indices less exact's over networks, by Holm."""
    keys = [(dt, gradient, layer) for layer in LAYERS for dt in STEPS for gradient in GRADIENTS
            if len(values(found, samples, dt, gradient, layer, samples, "tail")) > 1]  # fmt: skip
    differences = [values(found, samples, dt, gradient, layer, samples, "tail")
                   - values(found, samples, dt, EXACT, layer, samples, "tail")
                   for dt, gradient, layer in keys]  # fmt: skip
    return dict(zip(keys, paired.family(differences, 0.0), strict=True))


def _lines(found, samples, dt, layer, n):
    """A line of every gradient over n samples of a run of so many."""
    lines = []
    for gradient in (EXACT, *GRADIENTS):

        def text(name, form=".2f", gradient=gradient):
            return interval(values(found, samples, dt, gradient, layer, n, name)).text(form=form)

        if not len(ratios := values(found, samples, dt, gradient, layer, n, "norm_ratio")):
            continue
        error = values(found, samples, dt, gradient, layer, n, "error")
        share = text("bias_share") if error.min() > RESOLVED else "-"
        low, middle, high = (_plain(one) for one in np.quantile(ratios, [0.0, 0.5, 1.0]))
        spread = f"{middle} ({low} to {high})"
        lines.append(
            f"{' '.join(gradient):<30} {text('cosine'):<13} {spread:<24} {share:<15} "
            f"{text('bias'):<17} {text('tail'):<13} {text('rest_cosine'):<13} "
            f"{text('rest_ratio'):<14} {text('outliers', '.4f'):<17} "
            f"{text('slope_tail'):<13} {text('not_rising', '.4f')}"
        )
    return lines


def _plain(number):
    """Three digits or more, without a power of ten above one."""
    return f"{number:.0f}" if number >= 1000.0 else f"{number:.3g}"


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    found = cells(rows)
    done = {tuple(row[name] for name in ("dataset", "samples", "dt", "seed")) for row in rows}
    seeds = sorted({int(row["seed"]) for row in rows})
    lines = [f"{len(done)} runs, seeds {', '.join(map(str, seeds))}"]
    for samples, dt, layer, n in sorted({(*key[:2], *key[-2:]) for key in found}):
        lines += [f"{layer} layer, dt {1e3 * dt:g} ms, {n} of {samples} samples:",
                  f"{'gradient':<30} {'cosine':<13} {'norm ratio':<24} {'share of bias':<15} "
                  f"{'bias^2':<17} {'tail index':<13} {'cosine*':<13} {'ratio*':<14} "
                  f"{'outliers':<17} {'of 1 / v':<13} v <= 0"]  # fmt: skip
        lines += _lines(found, samples, dt, layer, n)
    lines.append("* without outliers")
    for samples in sorted({key[0] for key in found}):
        family = tail_family(found, samples)
        lines.append(f"tail index less exact's, {samples} samples, {len(family)} pairs (p after "
                     "Holm):")  # fmt: skip
        lines += [f"{1e3 * dt:5g} ms {layer:<7} {' '.join(gradient):<30} "
                  f"{one.difference.text(form='+.2f').replace('± +', '± '):<15} p {one.p:.2g}  "
                  f"{one.verdict}" for (dt, gradient, layer), one in family.items()]  # fmt: skip
    return lines
