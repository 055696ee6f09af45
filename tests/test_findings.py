"""What the findings say of differences, computed again from the files of results."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from lifnum.analysis.study import paired, results
from lifnum.analysis.study import statistics as st

DOCS = Path(__file__).parents[1] / "docs"

PAGE = " ".join((DOCS / "findings.md").read_text().split())


@lru_cache
def load(name):
    return results.load(DOCS / f"{name}.h5")


def accuracy(rows):
    return 100.0 * rows["accuracy" if "accuracy" in rows.dtype.names else "test_accuracy"]


def spikes(rows):
    return st.hidden(rows, "spikes" if "accuracy" in rows.dtype.names else "test_spikes")


def differences(rows, others, values=accuracy):
    one, two = (dict(zip(own["seed"], values(own))) for own in (rows, others))
    return np.array([one[seed] - two[seed] for seed in sorted(one.keys() & two.keys())])


def runs(name, dataset="mnist", order=None, dt=None, how="dense", gradient="adjusted"):
    """Runs of a series of some order, or of exact."""
    method = {"method": "exact"} if order is None else {"method": "ps", "order": order}
    if order is None and dt is None:
        gradient = "adjusted"
    return st.select(load(name).runs, dataset=dataset, dt=np.nan if dt is None else dt,
                     interpolation=how, gradient=gradient, **method)  # fmt: skip


def transfers(dataset, order, dt, how):
    method = {"method": "exact"} if order is None else {"method": "ps", "order": order}
    return st.select(load("results").transfer, dataset=dataset, interpolation=how,
                     dt=np.nan if dt is None else dt, **method)  # fmt: skip


GRID = [(order, dt) for order in (1, 2, 3, 5) for dt in (2e-3, 1e-2, 5e-2, 0.1)]


def corrected(name, dataset, gradient, other=None, grid=GRID, values=accuracy):
    """{(order, dt): Comparison} of the family against exact, or against another gradient."""
    base = [runs(name, dataset, *(pair if other else ()), gradient=other or "adjusted")
            for pair in grid]  # fmt: skip
    own = [differences(runs(name, dataset, *pair, gradient=gradient), one, values)
           for pair, one in zip(grid, base)]  # fmt: skip
    return dict(zip(grid, paired.family(own, 0.1)))


def test_no_difference_of_adjusted_stands_and_none_is_shown_to_be_nothing():
    for name, dataset in (("results", "mnist"), ("results", "mnist-threshold"), ("long", "mnist")):
        found = corrected(name, dataset, "adjusted")
        assert {one.verdict for one in found.values()} == {"undecided"}
    ends = [abs(one.difference.mean) + one.difference.half for one in found.values()]
    assert f"their intervals within ±{np.ceil(100 * max(ends)) / 100:.2f}" in PAGE
    means = [one.difference.mean for one in found.values()]
    assert f"lie between {min(means):+.2f} and {max(means):+.2f} points" in PAGE
    beyond = found[1, 0.05]
    assert f"{beyond.difference.mean:+.2f} ± {beyond.difference.half:.2f}, is beyond" in PAGE
    assert f"(p = {beyond.p:.2f})" in PAGE
    assert np.isnan(found[2, 0.05].p)  # three times the same


def test_what_stands_of_piggyback_is_what_the_page_says():
    found = corrected("long", "mnist", "piggyback", "adjusted")
    stands = {pair: one.p for pair, one in found.items() if one.verdict == "differs"}
    assert stands.keys() == {(3, 0.1), (1, 0.1)}
    assert f"(p = {stands[3, 0.1]:.2f} and {stands[1, 0.1]:.2f})" in PAGE
    one = corrected("results", "mnist", "piggyback", "adjusted")[1, 0.05].p
    thr = corrected("results", "mnist-threshold", "piggyback", "adjusted")[1, 0.05].p
    assert f"(p = {one:.2f}, thr. {thr:.2f})" in PAGE
    assert f"not after three (p = {found[1, 0.05].p:.2f})" in PAGE
    found = corrected("long", "mnist", "piggyback")
    large, middle = found[1, 0.1], found[1, 0.05]
    assert f"{large.difference.text()} (p = {large.p:.2f})" in PAGE
    assert (
        f"{-middle.difference.mean:.2f} ± {middle.difference.half:.2f} (p = {middle.p:.2f})" in PAGE
    )
    found = corrected("results", "mnist-threshold", "piggyback")
    stands = {pair for pair, one in found.items() if one.verdict == "differs"}
    assert stands == {(1, 0.05), (1, 0.1), (3, 0.1)}
    assert all(f"{found[pair].p:.2f}" == "0.02" for pair in stands)


def test_what_stands_of_spikes_is_what_the_page_says():
    assert not any(one.verdict == "differs" for one in
                   corrected("long", "mnist", "adjusted", values=spikes).values())  # fmt: skip
    grid = [pair for pair in GRID if pair[0] in (1, 5)]
    found = corrected("long", "mnist-threshold", "adjusted", grid=grid, values=spikes)
    assert f"(p = {found[1, 0.05].p:.3f} and {found[1, 0.1].p:.3f} of eight)" in PAGE
    found = corrected("long", "mnist-threshold", "adjusted", grid=grid)
    assert f"after three (p = {found[1, 0.1].p:.2f} of eight)" in PAGE
    found = corrected("results", "mnist-threshold", "adjusted")
    assert f"(p = {found[1, 0.1].p:.2f} of 16)" in PAGE


@pytest.mark.parametrize("dataset", ["mnist", "mnist-threshold"])
def test_on_a_grid_order_5_transfers_as_exact_and_euler_does_not(dataset):
    order_5, euler, exact = (transfers(dataset, order, 0.05, "none") for order in (5, 1, None))
    assert np.abs(differences(order_5, exact)).max() < 0.03
    gain = st.interval(differences(order_5, euler)).text(form=".1f")
    assert (f"{gain} more than order 5" if dataset == "mnist" else f"(thr. {gain})") in PAGE


def test_chords_transfer_within_what_the_page_says_with_fewer_spikes():
    for dataset, most in (("mnist", 0.03), ("mnist-threshold", 0.05)):
        for order in (2, 3, 5, 10):
            for dt in (0.05, 0.1, 0.2):
                pair = (
                    transfers(dataset, order, dt, "linear"),
                    transfers(dataset, order, dt, "dense"),
                )
                mean = differences(*pair).mean()
                if (dataset, order, dt) != ("mnist-threshold", 2, 0.2):
                    assert round(abs(mean), 2) <= most
        chords, dense = (
            spikes(transfers(dataset, 5, 0.2, how)).mean() for how in ("linear", "dense")
        )
        assert f"{chords:.0f} for {dense:.0f}" in PAGE


def test_chords_of_euler_show_the_noise_of_rounding():
    found = [differences(runs("results", "mnist", 1, dt, "linear"), runs("results", "mnist", 1, dt))
             for dt in (2e-3, 1e-2, 5e-2, 0.1)]  # fmt: skip
    assert f"by {np.abs(found).max():.2f} points in single seeds" in PAGE
    assert f"{st.interval(found[3]).text(form='.2f')} on average" in PAGE
    assert max(abs(one.mean()) for one in found[1:]) == abs(found[3].mean())


def test_mean_steps_are_those_of_the_page():
    rows = load("results").transfer
    dense = st.select(rows, interpolation="dense")
    lengths = {name: np.nanmax(st.select(dense, dataset=name)["step_length"], axis=0)[:2] / 0.130
               for name in ("mnist", "mnist-threshold")}  # fmt: skip
    assert f"hidden layer, {lengths['mnist'][0]:.3f} tau_s" in PAGE
    assert f"{lengths['mnist-threshold'][0]:.1f} tau_s, and only" in PAGE
    assert {f"{one[1]:.3f}" for one in lengths.values()} == {"0.003"}


def test_norms_of_piggyback_under_euler_are_those_of_the_page():
    rows = st.select(load("results").gradients, weights="last", order=1, dt=0.1,
                     interpolation="dense", gradient="piggyback")  # fmt: skip
    norms = {name: np.sort(st.select(rows, trained=name)["norm_exact"][:, 0])
             for name in ("mnist", "mnist-threshold")}  # fmt: skip
    *most, last = (f"{one:.0f}" for one in norms["mnist"])
    assert f"{', '.join(most)} and {last} times the exact one" in PAGE
    low, high = norms["mnist-threshold"][[0, -1]]
    assert f"(thr. {low:.0f} to {high:.0f} times)" in PAGE


def test_outputs_on_a_grid_of_100_ms_are_nearly_silent():
    rows = load("results").runs
    for dataset, text in (("mnist", "{:.1f} to {:.1f} times a sample"),
                          ("mnist-threshold", "thr. {:.1f} to {:.0f} times")):  # fmt: skip
        own = st.select(rows, dataset=dataset, dt=0.1, interpolation="none")
        means = [st.output(st.select(own, order=order), "test_spikes").mean()
                 for order in np.unique(own["order"])]  # fmt: skip
        assert text.format(min(means), max(means)) in PAGE
