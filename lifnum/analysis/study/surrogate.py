"""What lifts the surrogate on a grid above the exact gradient: docs/studies/surrogate.md."""

from typing import NamedTuple

import numpy as np

from lifnum.analysis.study import paired, slopes
from lifnum.analysis.study.runner import Run, load_data
from lifnum.analysis.study.statistics import interval
from lifnum.analysis.study.time_constants import THRESHOLDS
from lifnum.errors import SimulationError
from lifnum.runs import presets
from lifnum.runs.configuration import Configuration
from lifnum.runs.trainer import Trainer
from lifnum.scheme import Scheme

SEEDS = 20

FIRST_SEED = 10  # those before made the observation that is tested here

GRID, FINE = 0.1, 0.02  # dt / tau_s

# factors on the preset's learning rate
RATES = {"exact": (0.5, 1.0, 2.0, 4.0), "surrogate": (0.5, 1.0, 2.0)}

EPOCHS, LONGER, EARLY = 20, 60, 5

BATCH, LARGER = 20, 5  # samples of an update; factor on them and on the epochs

STEP = 0.003  # length of a step over the norm of the weights of its layer

REVIVE = 0.01  # added to the weights into a neuron that was silent in a batch

MARGIN = 1.0  # points of accuracy, of equivalence

# on_grid: the share right where the exact solution has its spikes on the arm's grid; what is
# without it is of the same weights without a grid. label_spikes: of the right output neuron;
# label_silent: share of the samples in which it has none; hidden_silent: share of the hidden
# neurons that have none in all samples. Of each layer's two gradients, NaN after more than `EARLY`
# epochs: change of the training loss, in percent, by a step of `STEP` against the whole gradient;
# and signal, the norm of the whole over that of a batch, root mean square, both a sample
STEPS = ("hidden_by_exact", "hidden_by_surrogate", "output_by_exact", "output_by_surrogate",
         "hidden_signal_exact", "hidden_signal_surrogate", "output_signal_exact",
         "output_signal_surrogate")  # fmt: skip
MEASURES = ("accuracy", "on_grid", "loss", "hidden_spikes", "output_spikes", "label_spikes",
            "label_silent", "hidden_silent", "failed", "seconds", *STEPS)  # fmt: skip


class Arm(NamedTuple):
    """How networks are trained: what differentiates each layer, and where spikes are.

    grid is dt / tau_s, of whatever is done on a grid; rate a factor on the learning rate.
    """

    tau_s: float
    hidden: str
    output: str
    grid: float = GRID
    rate: float = 1.0
    revive: float = 0.0
    epochs: int = EPOCHS
    batch: int = BATCH

    @property
    def text(self):
        more = f"rate x {self.rate:g}, {self.epochs:g} epochs, batch {self.batch:g}"
        more += ", revived" * (self.revive > 0.0)
        return f"{1e3 * self.tau_s:5g} {self.hidden:<10}{self.output:<10}{self.grid:5g} {more}"


def exact(tau_s, **more):
    """Trained with the exact gradient, without a grid."""
    return Arm(tau_s, "exact", "exact", **more)


def surrogate(tau_s, **more):
    """Trained with the surrogate gradient, on the grid."""
    return Arm(tau_s, "surrogate", "surrogate", **more)


def mixed(tau_s):
    """The surrogate in one layer, the exact gradient in the other."""
    return [Arm(tau_s, "surrogate", "exact"), Arm(tau_s, "exact", "surrogate")]


def remedies(tau_s):
    """The exact gradient with silent neurons woken, with small slopes raised, and with less noise.

    Clipped is as in `slopes`; larger batches take as many updates.
    """
    return [exact(tau_s, revive=REVIVE), Arm(tau_s, "clipped", "clipped"),
            exact(tau_s, epochs=LARGER * EPOCHS, batch=LARGER * BATCH)]  # fmt: skip


def early(tau_s):
    """Networks that are to be changed by one step: untrained, and after an epoch of either."""
    return [exact(tau_s, epochs=0), exact(tau_s, epochs=EARLY), surrogate(tau_s, epochs=EARLY)]


def arms(tau_s):
    """All arms at one time constant, those first that the question needs most."""
    rates = [exact(tau_s, rate=rate) for rate in RATES["exact"]]
    rates += [surrogate(tau_s, rate=rate) for rate in RATES["surrogate"]]
    longer = [exact(tau_s, epochs=LONGER), surrogate(tau_s, epochs=LONGER),
              exact(tau_s, epochs=LONGER, rate=0.5)]  # fmt: skip
    found = [exact(tau_s), surrogate(tau_s), *mixed(tau_s), remedies(tau_s)[0], *rates,
             *longer, surrogate(tau_s, grid=FINE), *early(tau_s), *remedies(tau_s)]  # fmt: skip
    return list(dict.fromkeys(found))


class Setting(NamedTuple):
    """What a run is made of."""

    arm: Arm
    seed: int
    small: bool

    def configuration(self, kind):
        """The `Configuration` of the exact gradient, or of the surrogate."""
        arm = self.arm
        rate = presets.PRESETS["digits"].learning_rate * arm.rate
        options = {"tau_s": (arm.tau_s,), "tau": (2 * arm.tau_s,), "theta": THRESHOLDS[arm.tau_s],
                   "epochs": min(arm.epochs, 1) if self.small else arm.epochs,
                   "batch_size": arm.batch, "learning_rate": rate,
                   "revive": arm.revive}  # fmt: skip
        scheme = Scheme()
        if kind == "surrogate":
            scheme = Scheme("exact", None, round(arm.grid * arm.tau_s, 9), "none", "surrogate")
        more = {"limit_train": 60, "limit_test": 40} if self.small else {}
        if arm.hidden == "clipped":
            more["dtype"] = "float64"
        return Configuration(presets.resolve("digits", options), scheme, self.seed, **more)


def runs(seeds=SEEDS, small=False):
    """All runs: all arms of the first kind with all seeds, then of the next."""
    found = []
    taus = list(THRESHOLDS)[:1] if small else THRESHOLDS
    for own in zip(*map(arms, taus), strict=True):
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            for arm in own:
                numbers = {name: one if isinstance(one, str) else f"{one:.9g}"
                           for name, one in arm._asdict().items()}  # fmt: skip
                key = {"dataset": "digits", **numbers, "seed": f"{seed}"}
                found.append(Run(key, Setting(arm, seed, small)))
    if small:  # without the arms that take long
        found = [run for run in found
                 if int(run.key["epochs"]) <= EPOCHS and run.key["grid"] == "0.1"]  # fmt: skip
    return found


class Mixed(Trainer):
    """A run of the exact gradient in which one layer's comes from the surrogate on a grid."""

    def __init__(self, config, data, on_grid, layer):
        super().__init__(config, data)
        self.on_grid, self.layer = on_grid.network(self.net.weights), layer

    def _differentiate(self, out, labels):
        values, gradients = super()._differentiate(out, labels)
        out = self.on_grid.forward(self._train._take(self.rows_of_batch()))
        d_counts = self.loss.d_counts(out, labels) / len(labels)
        gradients[self.layer] = self.on_grid.backward(counts=d_counts)[self.layer]
        return values, gradients


class Clipped(Trainer):
    """A run of the exact gradient with small slopes raised."""

    def _differentiate(self, out, labels):
        values, d_times = self.loss(out, labels)
        return values, slopes.gradients(self.net, d_times / len(labels), slopes.clipped)


def trainer_of(setting):
    """The run in progress of a setting."""
    arm, config = setting.arm, setting.configuration("exact")
    preset, on_grid = config.preset, setting.configuration("surrogate")
    data = load_data(preset.dataset, None, preset.window, config.seed, config.limit_train,
                     config.limit_test)  # fmt: skip
    if arm.hidden != arm.output:
        return Mixed(config, data, on_grid, 0 if arm.hidden == "surrogate" else 1)
    if arm.hidden == "clipped":
        return Clipped(config, data)
    return Trainer(config if arm.hidden == "exact" else on_grid, data)


def execute(setting):
    """`MEASURES` of one run, a dict; all but failed and seconds are 0 where evaluation fails."""
    trainer, failed = trainer_of(setting), 0.0
    try:
        while trainer.epoch < trainer.preset.epochs:
            trainer.step()
    except SimulationError:
        failed = 1.0
    try:
        values = evaluated(setting, trainer)
    except SimulationError:
        failed, values = 1.0, (0.0,) * 8
    is_early = setting.arm.epochs <= EARLY
    steps = steps_and_signals(setting, trainer) if is_early else [np.nan] * len(STEPS)
    values = (*values, failed, trainer.seconds, *steps)
    return dict(zip(MEASURES, map(float, values), strict=True))


def steps_and_signals(setting, trainer):
    """The values of `STEPS`; the weights stay."""
    rows, data, size = trainer.train_rows, trainer.data, trainer.preset.batch_size
    weights, loss = trainer.net.weights, trainer.loss
    nets = [setting.configuration(kind).network(weights) for kind in ("exact", "surrogate")]
    batches = [(data.train.select(own), data.train_labels[own])
               for own in np.split(rows, range(size, len(rows), size))]  # fmt: skip
    totals, squares = [np.zeros_like(w) for _ in nets for w in weights], np.zeros(4)
    for trains, labels in batches:
        exact_out, grid_out = (net.forward(trains) for net in nets)
        own = nets[0].backward(loss(exact_out, labels)[1])
        own = [*own, *nets[1].backward(counts=loss.d_counts(grid_out, labels))]
        for total, part in zip(totals, own, strict=True):
            total += part
        squares += [np.vdot(part, part) for part in own]
    norms = np.array([np.linalg.norm(total) for total in totals])
    signals = norms / np.sqrt(squares * len(batches))
    inputs, labels = data.train.select(rows), data.train_labels[rows]

    def training_loss():
        return loss(nets[0].forward(inputs, differentiable=False), labels)[0].mean()

    changes, before = [], training_loss()
    for total, norm, w in zip(totals, norms, [*weights, *weights], strict=True):
        kept = w.copy()
        w -= STEP * np.linalg.norm(w) / norm * total
        changes.append(100.0 * (training_loss() / before - 1.0))
        w[...] = kept
    # by layer, then gradient
    return [of[k] for of in (changes, signals) for k in (0, 2, 1, 3)]


def evaluated(setting, trainer):
    """The measures of a run's weights on the test set, without failed and seconds."""
    weights, data = trainer.net.weights, trainer.data
    tests = []
    for kind in ("exact", "surrogate"):
        config = setting.configuration(kind)
        net = config.network(weights)
        tests.append(Trainer(config, data, net=net).test())
        if kind == "exact":
            counts = net.forward(data.test, differentiable=False).counts()
    label, (off, on) = counts[np.arange(len(counts)), data.test_labels], tests
    return (off.accuracy, on.accuracy, off.loss, *off.spikes, label.mean(), np.mean(label == 0),
            off.silent[0])  # fmt: skip


def cells(rows):
    """{Arm: {seed: row}} of a table, with measures as numbers; accuracies and shares in percent."""
    found = {}
    for row in rows:
        numbers = {name: float(row[name]) for name in MEASURES}
        for name in ("accuracy", "on_grid", "label_silent", "hidden_silent"):
            numbers[name] *= 100.0
        arm = Arm(*(row[name] if name in ("hidden", "output") else float(row[name])
                    for name in Arm._fields))  # fmt: skip
        found.setdefault(arm, {})[int(row["seed"])] = numbers
    return found


def values(found, arm, measure):
    """A measure of the runs of an arm, (seeds,)."""
    own = found.get(arm, {})
    return np.array([own[seed][measure] for seed in sorted(own)])


def differences(found, one, other):
    """Values of one (arm, measure) less those of another, over the seeds that both have."""
    first, second = found.get(one[0], {}), found.get(other[0], {})
    return np.array([first[seed][one[1]] - second[seed][other[1]]
                     for seed in sorted(first.keys() & second.keys())])  # fmt: skip


def families(found):
    """{name: [((arm, measure), (arm, measure))]}: the pairs of each family that the design has."""
    names = ("rates and epochs", "grid", "layers", "remedies", "steps", "signals")
    made = {name: [] for name in names}
    for tau_s in THRESHOLDS:
        a, b = exact(tau_s), surrogate(tau_s)
        trained, moved, base = (b, "on_grid"), (b, "accuracy"), (a, "accuracy")
        fine = surrogate(tau_s, grid=FINE)
        made["rates and epochs"] += [(trained, (exact(tau_s, rate=rate), "accuracy"))
                                     for rate in RATES["exact"]]  # fmt: skip
        longer = surrogate(tau_s, epochs=LONGER), "on_grid"
        made["rates and epochs"] += [(longer, (exact(tau_s, epochs=LONGER, rate=rate), "accuracy"))
                                     for rate in (1.0, 0.5)]  # fmt: skip
        made["grid"] += [(moved, base), (moved, trained), ((fine, "on_grid"), trained)]
        for arm in mixed(tau_s):
            made["layers"] += [((arm, "accuracy"), base), (moved, (arm, "accuracy"))]
        made["remedies"] += [((arm, "accuracy"), base) for arm in remedies(tau_s)]
        made["remedies"] += [(trained, (arm, "accuracy")) for arm in remedies(tau_s)]
        for name, word in (("steps", "by"), ("signals", "signal")):
            made[name] += [((arm, f"{layer}_{word}_surrogate"), (arm, f"{layer}_{word}_exact"))
                           for arm in early(tau_s) for layer in ("hidden", "output")]  # fmt: skip
    return {name: [pair for pair in pairs if found.get(pair[0][0]) and found.get(pair[1][0])]
            for name, pairs in made.items()}  # fmt: skip


def _arm_lines(found):
    """What became of every arm."""
    lines = []
    order = [arm for tau_s in THRESHOLDS for arm in arms(tau_s) if arm in found]
    for arm in order:
        if arm.epochs <= EARLY:
            own = [f"{name} {interval(values(found, arm, name)).text()}" for name in STEPS]
            lines.append(f"{arm.text}: {', '.join(own)}")
            continue
        accuracy, on_grid, silent, dead = (
            interval(values(found, arm, name)).text()
            for name in ("accuracy", "on_grid", "label_silent", "hidden_silent"))  # fmt: skip
        spikes = (interval(values(found, arm, name)).text(form=".1f")
                  for name in ("hidden_spikes", "label_spikes"))  # fmt: skip
        hidden, label = spikes
        loss = interval(values(found, arm, "loss")).text(form=".1f")
        lines.append(
            f"{arm.text}: {accuracy} %, on the grid {on_grid} %, loss {loss}; {hidden} hidden "
            f"spikes, {label} of the label; label silent {silent} %, hidden {dead} %"
        )
    return lines


def answer(rows):
    """The numbers of the study's page, as lines of text."""
    found = cells(rows)
    seeds = sorted({seed for own in found.values() for seed in own})
    failed = sum(row["failed"] for own in found.values() for row in own.values())
    lines = [f"{len(rows)} runs, seeds {', '.join(map(str, seeds))}; {failed:g} not finite"]
    lines += _arm_lines(found)
    for name, pairs in families(found).items():
        unit = {"steps": "% of the loss", "signals": "share"}.get(name, "points")
        lines.append(f"{name}, {len(pairs)} pairs ({unit}; p after Holm):")
        own = [differences(found, *pair) for pair in pairs]
        for ((arm, where), (other, there)), one in zip(pairs, paired.family(own, MARGIN),
                                                       strict=True):  # fmt: skip
            difference = one.difference.text(form="+.2f").replace("± +", "± ")
            verdict = one.verdict
            if unit != "points" and verdict == "equivalent":
                verdict = "undecided"  # asked for differences only
            less = f"less {other.text.strip()} {there}" if other != arm else f"less {there}"
            lines.append(f"{arm.text} {where} {less}: {difference}  p {one.p:.2g}  {verdict}")
    return lines
