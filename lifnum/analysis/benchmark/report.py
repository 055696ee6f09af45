"""The table and the figure of a benchmark, from its repetitions alone."""

import itertools

import numpy as np

from lifnum.analysis import style
from lifnum.analysis.axes import logarithmic
from lifnum.data.synthetic_shd import N_TRAIN

# lifnum's epochs among the peers': on IMAGES, and on Yin-Yang of each peer's size and batch
IMAGES = "lifnum images"
YINYANG = {"jaxsnn": "lifnum yinyang, as jaxsnn", "eventax": "lifnum yinyang, as eventax"}

# and under the surrogate gradient on the same grid as the peer of that name
SURROGATE = {name: f"lifnum as {name}" for name in ("snntorch 20 steps", "snntorch 100 steps")}

# its epochs on spoken digits, one beside every batch of the peer
SPOKEN = {"exact": "lifnum spoken, exact", "none, 1 ms": "lifnum spoken, none, 1 ms",
          "surrogates, 1 ms": "lifnum spoken, surrogates, 1 ms"}  # fmt: skip


def number(value):
    """Three digits that count; thousands in full."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(values, unit="s", scale=1.0):
    """Median and range of some values as text."""
    values = scale * np.asarray(values, float)
    middle = f"{number(np.median(values))} {unit}".strip()
    if values.min() == values.max():
        return middle
    return f"{middle} ({number(values.min())} to {number(values.max())})"


def limit_seconds(epoch, machine):
    """Seconds that the work of an epoch takes at the measured speeds, repetition by repetition."""
    arithmetic = np.asarray(epoch["flops"]) / machine["flops"]
    return arithmetic + np.asarray(epoch["adam_bytes"]) / machine["bandwidth"]


def doublings(levels, quantity):
    """Of one level to the level before, whose work is half: medians of each repetition's ratio.

    The two are measured one after the other, so that a machine whose speed changes changes both.
    """
    measured = [np.asarray(level[quantity]) for level in levels.values()]
    return [np.median(after / before) for before, after in itertools.pairwise(measured)]


def peer_epochs(peers):
    """{name: (seconds an epoch of the peer, of lifnum on the same work)}, each by repetition."""
    found = {}
    for name, measured in peers.items():
        framework = name.split(" ", maxsplit=1)[0]
        if framework in ("lifnum", "snntorch-spoken"):
            continue
        # generated data need no encoding: steps alone on both sides, there
        own, quantity = IMAGES, "seconds"
        if framework in YINYANG:
            own, quantity = YINYANG[framework], "training_steps"
        own = peers[own]
        seconds = np.asarray(measured["seconds_a_sample"]) * np.asarray(own["samples"])
        found[name] = seconds, np.asarray(own[quantity])
        if SURROGATE.get(name) in peers:  # spikes are on the grid before, on both sides
            steps = np.asarray(peers[SURROGATE[name]]["training_steps"])
            found[f"{name} (surrogates)"] = seconds, steps
    return found | _spoken_epochs(peers)


def _spoken_epochs(peers):
    """As `peer_epochs`, of the whole synthetic SHD: the peer's fastest batch by its median."""
    name, seconds = min(
        ((name, N_TRAIN * np.asarray(measured["seconds_a_sample"]))
         for name, measured in peers.items() if name.startswith("snntorch-spoken")),
        key=lambda one: np.median(one[1]),
        default=(None, None),
    )  # fmt: skip
    found = {}
    for scheme, own in SPOKEN.items() if name else ():
        steps = np.divide(peers[own]["training_steps"], peers[own]["samples"])
        found[f"{name} ({scheme})"] = seconds, N_TRAIN * steps
    return found


def rows(results, dataset):
    """The table: pairs of what was measured and its median and range."""
    table = []
    if "epoch" in results:
        table += _epoch_rows(results["epoch"], dataset)
    if "schemes" in results:
        measured = results["schemes"]["steps"]
        for dt in ("1 ms", "10 ms"):
            if f"ps10 {dt}" in measured:
                ratio = np.divide(measured[f"ps10 {dt}"], measured[f"euler {dt}"])
                table.append((f"`ps` order 10 against `euler`, dt {dt}", spread(ratio, "times")))
    for factor, levels in results.get("scaling", {}).items():
        named = " to ".join(levels)
        if len(levels) < 2:  # threads, on one core
            continue
        if factor == "threads":
            gains = [1 / ratio for ratio in doublings(levels, "seconds")]
            text = f"{_listed(gains)} times the speed a doubling"
        else:
            time, work, memory = (doublings(levels, q) for q in ("seconds", "flops", "memory"))
            text = (f"time {_listed(time)}, counted flops {_listed(work)}, memory "
                    f"{_listed(memory)} times a doubling")  # fmt: skip
        table.append((f"{factor}: {named}", text))
    if "memory" in results:
        peak = results["memory"]["train"]["peak"]
        table.append((f"peak memory of training on {dataset}", spread(peak, "MB", 1e-6)))
    for kind, name in (("cached", "kernels cached"), ("compiled", "no kernels cached")):
        if kind in results.get("start", {}):
            text = spread(results["start"][kind]["seconds"])
            table.append((f"start to first batch done, {name}", text))
    if "threads" in results:
        hashes = {one["weights"][0] for one in results["threads"].values()}
        same = "identical to the bit" if len(hashes) == 1 else "DIFFERENT"
        table.append((f"weights after an epoch with {', '.join(results['threads'])} threads", same))
    for name, (seconds, own) in peer_epochs(results.get("peers", {})).items():
        text = f"{spread(seconds)} against {spread(own)}: {spread(seconds / own, 'times')}"
        table.append((f"epoch of {name}, from its training steps, against lifnum's", text))
    return table


def _epoch_rows(epoch, dataset):
    exact, machine = epoch["exact"], epoch["machine"]
    seconds = np.asarray(exact["seconds"])
    limit = limit_seconds(exact, machine)
    parts = [np.median(exact[name]) for name in ("encoding", "training_steps", "logging")]
    return [
        (f"one epoch of {dataset}, `exact`", spread(seconds)),
        ("encoding, training steps, logging (medians)", " + ".join(map(number, parts)) + " s"),
        ("samples trained a second", spread(exact["samples"] / seconds, "")),
        ("synaptic events a second", spread(exact["synaptic_events"] / seconds, "million", 1e-6)),
        ("flops of an epoch, as counted", spread(exact["flops"], "GFLOP", 1e-9)),
        ("memory moved by Adam in an epoch", spread(exact["adam_bytes"], "GB", 1e-9)),
        ("machine: multiply-adds, float32", spread(machine["flops"], "GFLOP/s", 1e-9)),
        ("machine: triad", spread(machine["bandwidth"], "GB/s", 1e-9)),
        ("least time of an epoch at these two", spread(limit)),
        ("share of that roofline reached", spread(limit / seconds, "%", 100)),
        ("arithmetic rate against the machine's",
         spread(exact["flops"] / seconds / machine["flops"], "%", 100)),
        (f"one epoch of {dataset}, `euler`, dt 1 ms", spread(epoch["euler 1 ms"]["seconds"])),
        (f"evaluation of the test images of {dataset}", spread(exact["evaluation"])),
    ]  # fmt: skip


def _listed(ratios):
    return ", ".join(f"{ratio:.2f}" for ratio in ratios)


def markdown(table, header):
    """The table as Markdown, the machine named above it."""
    lines = [f"{header['cpu']}, {header['threads']} threads, Python {header['python']}, "
             f"NumPy {header['numpy']}, Numba {header['numba']}; medians of {header['repeat']} "
             "repetitions (least to greatest).", "",
             "| measured | result |", "| --- | --- |"]  # fmt: skip
    return "\n".join([*lines, *(f"| {what} | {result} |" for what, result in table)])


def draw(results, dataset):
    """The figure: one panel for each section that was measured."""
    panels = []
    if "epoch" in results:
        panels.append(lambda axes: _draw_epoch(axes, results["epoch"], dataset))
    if results.get("peers"):
        panels.append(lambda axes: _draw_peers(axes, results["peers"]))
    if "schemes" in results:
        panels.append(lambda axes: _draw_schemes(axes, results["schemes"]["steps"]))
    if results.get("scaling"):
        panels.append(lambda axes: _draw_scaling(axes, results["scaling"], "seconds"))
        panels.append(lambda axes: _draw_scaling(axes, results["scaling"], "memory"))
    if "threads" in results.get("scaling", {}):
        panels.append(lambda axes: _draw_threads(axes, results["scaling"]["threads"]))
    if "start" in results:
        panels.append(lambda axes: _draw_start(axes, results["start"]))
    n_columns = min(3, max(1, len(panels)))
    n_rows = max(1, -(-len(panels) // n_columns))
    figure, grid = style.plt.subplots(
        n_rows, n_columns, figsize=(3.4 * n_columns, 2.9 * n_rows), squeeze=False
    )
    for axes, panel in zip(grid.flat, panels):
        panel(axes)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    return figure


def _bars(axes, names, series, **options):
    """Horizontal bars of medians with the range as error bars, the first on top."""
    middle = np.array([np.median(values) for values in series])
    errors = [middle - [np.min(v) for v in series], [np.max(v) for v in series] - middle]
    y = np.arange(len(names))
    axes.barh(y, middle, xerr=errors, height=0.65, error_kw={"linewidth": 0.8}, **options)
    axes.set_yticks(y, names)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()


def _draw_epoch(axes, epoch, dataset):
    exact = epoch["exact"]
    names = ["whole epoch", "training steps", "encoding", "logging", "roofline", "euler, 1 ms"]
    series = [exact[name] for name in ("seconds", "training_steps", "encoding", "logging")]
    series += [limit_seconds(exact, epoch["machine"]), epoch["euler 1 ms"]["seconds"]]
    colors = [style.COLORS[k] for k in (0, 0, 0, 0, 6, 1)]
    _bars(axes, names, series, color=colors)
    axes.set(title=f"One epoch of {dataset}", xlabel="seconds")


def _draw_peers(axes, peers):
    lines = []
    for name, (seconds, own) in peer_epochs(peers).items():
        ratio = f"{name} ({number(np.median(seconds / own))}x)"
        lines.append((ratio, seconds, 2 if name in YINYANG else 1))
    for name in peers:
        if name.startswith("lifnum"):
            quantity = "seconds" if name == IMAGES else "training_steps"
            lines.append((name, np.asarray(peers[name][quantity]), 0))
    for y, (_, seconds, color) in enumerate(lines):  # points: a bar has no length on this scale
        axes.plot([seconds.min(), seconds.max()], [y, y], color=style.COLORS[color])
        axes.plot(np.median(seconds), y, "o", color=style.COLORS[color])
    axes.set_yticks(range(len(lines)), [line[0] for line in lines], fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.invert_yaxis()
    axes.set(title="One epoch (times lifnum's)", xlabel="seconds")
    logarithmic(axes, "x")


def _draw_schemes(axes, measured):
    names = list(measured)
    series = [1e3 * np.asarray(values) for values in measured.values()]
    colors = [style.COLORS[1 if name.startswith("euler") else 0] for name in names]
    _bars(axes, names, series, color=colors)
    axes.set(title="Same weights, two methods", xlabel="ms a training step")


def _draw_scaling(axes, scaling, quantity):
    most = 2.0
    for k, (factor, levels) in enumerate(scaling.items()):
        if factor == "threads":
            continue
        medians = np.array([np.median(level[quantity]) for level in levels.values()])
        x = 2.0 ** np.arange(len(medians))
        most = max(most, x[-1])
        axes.plot(x, medians / medians[0], "o-", color=style.COLORS[k % 7], label=factor)
    axes.plot([1, most], [1, most], ":", color="0.5", linewidth=0.9, label="proportional")
    what = {"seconds": "Time", "memory": "Memory"}[quantity]
    axes.set(title=f"{what} of a training step", xlabel="size, times the smallest",
             ylabel="times the smallest's")  # fmt: skip
    for which in "xy":
        logarithmic(axes, which)
    axes.legend(fontsize=7)


def _draw_threads(axes, levels):
    x = np.array([int(level) for level in levels])
    medians = np.array([np.median(level["seconds"]) for level in levels.values()])
    axes.plot(x, medians[0] / medians, "o-")
    axes.plot(x, x, ":", color="0.5", linewidth=0.9)
    axes.set(title="Speed by threads", xlabel="threads", ylabel="times one thread's", xticks=x)


def _draw_start(axes, start):
    names = {"cached": "kernels cached", "compiled": "compiled anew"}
    _bars(axes, [names[kind] for kind in start], [one["seconds"] for one in start.values()])
    axes.set(title="Start to first batch done", xlabel="seconds", ylim=(2, -1))
