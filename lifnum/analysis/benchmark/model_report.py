"""The rows of the table about models, from the repetitions of `models` alone."""

import math

import numpy as np

from lifnum.analysis.benchmark.models import GOAL
from lifnum.analysis.benchmark.report import number, spread

EPOCH = 57_000  # samples of MNIST that are trained on


def _ratio(measured, one, other, unit="times"):
    return spread(np.divide(measured[one]["seconds"], measured[other]["seconds"]), unit)


def _median(one):
    return float(np.median(one["seconds"]))


def rows(results):
    """Pairs of what was measured and its median and range."""
    table = []
    found = results.get("cells", {}) | results.get("learning", {})
    for what, part, peers, unit, scale in (
        ("Izhikevich, rk4, dt 0.1 ms", "grid", ("brian2",), "ns a neuron and step", 1e9),
        ("Hodgkin-Huxley, exponential Euler, dt 0.05 ms", "exponential", ("brian2", "neuron"),
         "ns a neuron and step", 1e9),
    ):  # fmt: skip
        measured = found.get(part, {})
        for name, one in measured.items():
            text = spread(one["seconds"], unit, scale)
            own = name not in peers
            text += "".join(
                f"; {_ratio(measured, name, peer)} {peer}'s"
                for peer in peers
                if own and peer in measured
            )
            named = f"interpolation {name}" if own else name
            table.append((f"{what}, {named}", text))
    table += _precise_rows(found.get("series", {}), "Izhikevich to double precision", "heyoka")
    table += _goal_rows(found.get("precise", {}))
    for name, one in found.get("passes", {}).items():
        ratio = np.divide(one["backward"], one["forward"])
        table.append((f"backward against forward, {name}", spread(ratio, "times")))
    if "images" in found:
        table += _image_rows(found["images"]["izhikevich"])
    training = found.get("training", {})
    for name in [one for one in training if one.startswith("eventax")]:
        own = training[name.replace("eventax", "lifnum")]
        seconds = [np.asarray(one["seconds_a_sample"]) for one in (training[name], own)]
        table.append((
            f"training on Yin-Yang, {name}, against lifnum",
            f"{spread(seconds[0], 'ms', 1e3)} against {spread(seconds[1], 'ms', 1e3)} a sample: "
            f"{spread(seconds[0] / seconds[1], 'times')}; first losses "
            f"{training[name]['loss'][0]:.4g} and {own['loss'][0]:.4g}",
        ))  # fmt: skip
    for name, one in results.get("compilation", {}).items():
        what = f"from {name} to its first gradient"
        texts = [spread(one[kind]) for kind in ("compiled", "again", "cached")]
        table.append((what, f"{texts[0]}, again {texts[1]}, cached {texts[2]} of processor time"))
    return table


def _image_rows(one):
    rate = np.median(one["hidden_spikes"])
    return [
        (f"one epoch of MNIST, 784-800-10 Izhikevich, rk4, 200 steps, {number(rate)} spikes a "
         "hidden neuron", spread(np.multiply(one["seconds_a_sample"], EPOCH))),
        ("memory of that training", spread(one["peak"], "MB", 1e-6)),
    ]  # fmt: skip


def _text(one):
    text = spread(one["seconds"], "us a neuron and ms", 1e6)
    return text + (f", spikes to {one['error'][0]:.2g} ms" if "error" in one else "")


def _precise_rows(measured, what, peer):
    """Each, and the fastest against the peer: of those whose error is no greater, if any."""
    table = [(f"{what}, {name}", _text(one)) for name, one in measured.items()]
    own = [name for name in measured if name != peer]
    if peer in measured:
        least = measured[peer].get("error", [math.inf])
        own = [name for name in own if measured[name].get("error", [0.0]) <= least] or own
        best = min(own, key=lambda name: _median(measured[name]))
        table.append((f"{what}, {best}, against {peer}", _ratio(measured, best, peer)))
    return table


def _goal_rows(measured):
    """Each, and the fastest of `ps` against the fastest of Brian2's that reach GOAL."""
    what = "Hodgkin-Huxley"
    table = [(f"{what}, {name}", _text(one)) for name, one in measured.items()]
    best = []
    for start in ("brian2", "ps"):
        able = [name for name, one in measured.items()
                if name.startswith(start) and one["error"][0] <= GOAL]  # fmt: skip
        if able:
            best.append(min(able, key=lambda name: _median(measured[name])))
    if len(best) == 2:
        table.append((f"{what} to {GOAL:g} ms, {best[0]} against {best[1]}",
                      _ratio(measured, *best)))  # fmt: skip
    return table
