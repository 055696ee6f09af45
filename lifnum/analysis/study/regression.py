"""Functions read out of populations of neurons, by integrator: docs/studies/regression.md."""

import functools
from time import process_time
from typing import NamedTuple

import numpy as np

from lifnum.analysis.study import paired, populations
from lifnum.analysis.study.populations import POPULATIONS
from lifnum.analysis.study.runner import Run
from lifnum.analysis.study.statistics import interval
from lifnum.errors import SimulationError
from lifnum.scheme import Scheme

SEEDS = 5

N_NEURONS, N_TRAIN, N_TEST = 30, 90, 60

FUNCTIONS = {
    "smooth": lambda x: np.sin(np.pi * x),
    "oscillating": lambda x: np.sin(4.0 * np.pi * x**2),
    "discontinuous": lambda x: np.where(x < -0.4, 1.0, np.where(x < 0.3, -1.0, 0.5)),
}

NOISE = 0.2  # standard deviation of the noise of training targets

METHODS = (("euler", None), ("rk4", None), ("ps", 4))

# dt in the unit of the model's equations
STEPS = dict.fromkeys(POPULATIONS, (0.05, 0.2, 0.5, 1.0))
STEPS["hodgkin-huxley"] = (0.02, 0.05, 0.1)

MARGIN = 0.01  # of the error, of equivalence

SAME = 1e-4  # difference of errors below which, in every seed, no test is needed

# error_*: of a read-out that was fitted to the scheme's own responses, to noisy targets, or to the
# reference's responses; deviation: of responses from the reference's, over their standard deviation
MEASURES = (
    *(f"{kind}_{name}" for kind in ("own", "noisy", "transfer") for name in FUNCTIONS),
    "deviation", "spikes", "failed", "seconds",
)  # fmt: skip


class Regression(NamedTuple):
    """One run: a population, and how it is integrated."""

    neuron: str
    scheme: Scheme
    seed: int
    n_neurons: int
    n_train: int
    n_test: int


def runs(seeds=SEEDS, small=False):
    """All runs, in turn over seeds; those of hodgkin-huxley, which cost most, at the end."""
    sizes = (8, 20, 10) if small else (N_NEURONS, N_TRAIN, N_TEST)
    found = []
    for seed in range(seeds):
        for neuron in ("lif",) if small else POPULATIONS:
            base = POPULATIONS[neuron].reference
            steps = STEPS[neuron][-1:] if small else STEPS[neuron]
            methods = METHODS[:2] if small else METHODS
            own = [Scheme(*method, dt) for dt in steps for method in methods]
            for scheme in (base, *own):
                key = {"neuron": neuron, "method": scheme.method + str(scheme.order or ""),
                       "dt": f"{scheme.dt:.9g}", "seed": f"{seed}"}  # fmt: skip
                found.append(Run(key, Regression(neuron, scheme, seed, *sizes)))
    return sorted(found, key=lambda run: run.config.neuron == "hodgkin-huxley")


def execute(config):
    """`MEASURES` of one run, a dict; errors are NaN where the simulation met an error."""
    population = POPULATIONS[config.neuron]
    x, current, noise = _drawn(config)
    targets = np.column_stack([function(x) for function in FUNCTIONS.values()])
    base = _of_reference(config._replace(scheme=None))
    try:
        few = populations.network(population, current[:1], config.scheme)
        populations.responses(few, current[:1].shape)  # compiles
        net = populations.network(population, current, config.scheme)
        start = process_time()
        response, spikes = populations.responses(net, current.shape)
        seconds = process_time() - start
    except SimulationError:
        return dict.fromkeys(MEASURES, np.nan) | {"failed": 1.0, "spikes": 0.0, "seconds": 0.0}
    fitted, tested = slice(config.n_train), slice(config.n_train, None)
    errors = []
    for learnt, wanted in ((response, targets), (response, targets + noise), (base, targets)):
        weights = populations.read_out(learnt[fitted], wanted[fitted])
        said = populations.predict(response[tested], weights)
        errors += list(np.sqrt(np.mean((said - targets[tested]) ** 2, axis=0)))
    deviation = np.sqrt(np.mean((response - base) ** 2)) / base[fitted].std()
    return dict(zip(MEASURES, (*errors, deviation, spikes, 0.0, seconds), strict=True))


def _drawn(config):
    """(values, currents (values, neurons), noise (values, functions)) of a run's seed."""
    generator = np.random.default_rng([config.seed, 5])
    x = np.concatenate([generator.uniform(-1.0, 1.0, config.n_train),
                        np.linspace(-1.0, 1.0, config.n_test)])  # fmt: skip
    noise = generator.normal(0.0, NOISE, (len(x), len(FUNCTIONS)))
    current = populations.currents(POPULATIONS[config.neuron], config.n_neurons, x, generator)
    return x, current, noise


@functools.lru_cache(maxsize=2)
def _of_reference(config):
    """Responses under the reference, for a run without its scheme."""
    population = POPULATIONS[config.neuron]
    current = _drawn(config)[1]
    net = populations.network(population, current, population.reference)
    return populations.responses(net, current.shape)[0]


class Cell(NamedTuple):
    """A scheme on a population; dt in the unit of its equations."""

    neuron: str
    method: str
    dt: float

    @property
    def text(self):
        return f"{self.neuron:<16}{self.method:<6}{self.dt:5g}"


def reference(neuron):
    """The cell that others of a population are compared with."""
    scheme = POPULATIONS[neuron].reference
    return Cell(neuron, f"{scheme.method}{scheme.order}", scheme.dt)


def cells(rows):
    """{Cell: {seed: row}} of a table, with measures as numbers."""
    found = {}
    for row in rows:
        cell = Cell(row["neuron"], row["method"], float(row["dt"]))
        numbers = {name: float(row[name]) for name in MEASURES}
        found.setdefault(cell, {})[int(row["seed"])] = numbers
    return found


def values(found, cell, measure):
    """A measure of the runs of a cell, (seeds,)."""
    own = found.get(cell, {})
    return np.array([own[seed][measure] for seed in sorted(own)])


def differences(found, cell, measure):
    """Errors of a cell less those of its reference, over the seeds that both have."""
    one, two = found.get(cell, {}), found.get(reference(cell.neuron), {})
    own = np.array([one[seed][measure] - two[seed][measure]
                    for seed in sorted(one.keys() & two.keys())])  # fmt: skip
    return own[~np.isnan(own)]


def schemes(neuron):
    """The cells of a population but its reference."""
    names = [method + str(order or "") for method, order in METHODS]
    return [Cell(neuron, name, dt) for dt in STEPS[neuron] for name in names]


def families(found):
    """{measure: cells}: what is compared with the reference, a family an error."""
    own = [cell for neuron in POPULATIONS for cell in schemes(neuron) if found.get(cell)]
    return {measure: own for measure in MEASURES if "_" in measure}


def cheapest(found, neuron, measure, comparisons):
    """{method: (dt, seconds)} of the longest step with the reference's error, where there is one.

    comparisons: {Cell: Comparison} of that measure; a step counts if it is equivalent, and so are
    all shorter ones.
    """
    best = {}
    for method in dict.fromkeys(cell.method for cell in schemes(neuron)):
        for cell in (one for one in schemes(neuron) if one.method == method):
            if cell not in comparisons or comparisons[cell].verdict not in ("same", "equivalent"):
                break
            best[method] = cell.dt, float(np.median(values(found, cell, "seconds")))
    return best


def comparisons(found):
    """{measure: {Cell: Comparison}} of every family."""
    made = {}
    for measure, own in families(found).items():
        errors = [differences(found, cell, measure) for cell in own]
        tests = paired.family(errors, MARGIN)
        made[measure] = {
            cell: one._replace(verdict="same") if len(off) and np.abs(off).max() < SAME else one
            for cell, off, one in zip(own, errors, tests, strict=True)
        }
    return made


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    found = cells(rows)
    seeds = sorted({seed for own in found.values() for seed in own})
    lines = [f"{len(rows)} runs, seeds {', '.join(map(str, seeds))}"]
    for cell in found:
        numbers = [f"{name} {interval(values(found, cell, name)).text(form='.3f')}"
                   for name in MEASURES if "_" in name]  # fmt: skip
        stopped = int(values(found, cell, "failed").sum())
        deviation = interval(values(found, cell, "deviation")).text(form=".4f")
        lines += [
            f"{cell.text}: deviation {deviation}, "
            f"{np.mean(values(found, cell, 'spikes')):.1f} spikes a neuron, {stopped} stopped, "
            f"{np.median(values(found, cell, 'seconds')):.3f} s",
            f"    {', '.join(numbers)}",
        ]
    made = comparisons(found)
    for measure, tests in made.items():
        lines.append(f"{measure} less the reference's, {len(tests)} pairs (p after Holm):")
        for cell, one in tests.items():
            difference = one.difference.text(form="+.3f").replace("± +", "± ")
            lines.append(f"{cell.text} {difference:>18}  p {one.p:.2g}  {one.verdict}")
    lines.append("longest step that is equivalent, as all shorter ones (seconds):")
    for neuron in POPULATIONS:
        for measure in made:
            best = cheapest(found, neuron, measure, made[measure])
            texts = [f"{method} {dt:g} ({seconds:.3f})" for method, (dt, seconds) in best.items()]
            lines.append(f"{neuron:<16}{measure:<23}{', '.join(texts) or 'none'}")
    return lines
