"""Tables, figures and report of a study: they show the numbers of its files, all and no others."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.stats
import studies

from lifnum import Scheme, options
from lifnum.analysis import axes as scales
from lifnum.analysis import style
from lifnum.analysis.figures import cost, gradients, interpolation, neuron, split, trained, transfer
from lifnum.analysis.study import __main__ as study_program
from lifnum.analysis.study import results, statistics
from lifnum.files.transfers import TransferFile, read_transfer

ROOT = Path(__file__).parents[1]

SEEDS, STEPS = studies.SMALL_SEEDS, studies.SMALL_STEPS

FIGURES = (transfer, cost, trained, interpolation, gradients)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    style.plt.close("all")


def points(axes, name):
    """y of the one line of that label."""
    (line,) = (one for one in axes.lines if one.get_label() == name)
    return line.get_ydata()


def mean_of(values):
    return np.mean([values(seed) for seed in SEEDS])


# what is drawn went through one multiplication by 100 or 1000 and a mean of two
close = {"rtol": 1e-13}


def test_an_interval_is_that_of_students_t_without_the_missing():
    values = np.random.default_rng(3).normal(size=7)
    mean, half, n = statistics.interval([*values, np.nan])
    low, high = scipy.stats.t.interval(0.95, 6, values.mean(), scipy.stats.sem(values))
    # two formulas of the same quantile
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-12)
    assert n == 7
    assert np.isnan(statistics.interval([1.0]).half) and statistics.interval([]).n == 0


def test_a_paired_difference_takes_the_seeds_that_both_have(study):
    rows = np.zeros(4, [("seed", "i8")])
    rows["seed"] = 0, 1, 2, 3
    common = np.array([5.0, -3.0, 8.0, 1.0])
    difference = np.array([0.1, 0.2, 0.3, 9.0])
    paired = statistics.paired(rows, common + difference, rows[:3][::-1], common[:3][::-1])
    expected = statistics.interval(difference[:3])
    np.testing.assert_allclose(paired, expected, rtol=1e-12)  # after cancellation of numbers < 10
    assert paired.half < 0.3 < statistics.interval(common).half


def test_tables_hold_what_the_files_say(folder, study):
    assert not study.notes
    assert len(study.runs) == len(list(folder.glob("*-w1-*.h5"))) == 52
    for run in study.runs:
        dt = None if np.isnan(run["dt"]) else run["dt"]
        how = run["interpolation"].decode()
        expected = studies.accuracy(run["order"], dt, how, run["seed"])
        expected -= 0.001 * (run["gradient"] == b"piggyback")
        expected -= 0.01 * (run["dataset"] != b"mnist")
        assert run["test_accuracy"] == pytest.approx(expected, rel=1e-15)  # two subtractions
        assert run["test_spikes"][0] == studies.spikes(run["order"], dt, run["seed"])
        assert run["step_length"][1] == studies.step_length(dt, how, 1)
        assert run["epoch"] == 2 and run["workers"] == 1
    assert {row["method"] for row in study.transfer} == {b"exact", b"ps"}  # euler is ps of order 1
    assert "python -m lifnum.sweep --epochs 5" in study.commands


def points_lost(order, dt, factor=1.0):
    """Test accuracy less that of exact, in points, averaged over seeds."""
    return 100 * factor * mean_of(
        lambda s: studies.accuracy(order, dt, "dense", s) - studies.accuracy(0, None, "dense", s)
    )  # fmt: skip


# of a difference of two numbers below 1000
difference = {"rtol": 1e-12, "atol": 1e-12}


def test_figure_3_draws_pairs_of_a_network_under_a_scheme_and_under_exact(study):
    drawing = transfer.draw(study)
    for row, factor in enumerate((1.0, 0.8)):
        accuracy, spikes, steps = drawing.axes[row]
        dts = (1e-3, *studies.STEPS, 0.2)
        for order, name in ((1, "order 1 (Euler)"), (5, "order 5")):
            expected = [points_lost(order, dt, factor) for dt in dts]
            np.testing.assert_allclose(points(accuracy, name), expected, **difference)
            expected = [studies.spikes(order, dt, 0) - studies.spikes(0, None, 0) for dt in dts]
            np.testing.assert_allclose(points(spikes, name), expected, **difference)
        assert set(points(accuracy, "exact")) == {0.0}
        expected = [1e3 * studies.step_length(dt, "dense", 0) for dt in dts]
        np.testing.assert_allclose(points(steps, "hidden layer"), expected, **close)
    # seeds differ by 0.05 points, but alike under every scheme: nothing of that is left
    halves = [n.half for n in drawing.numbers if "accuracy" in n.quantity and n.dt == 100.0]
    assert len(halves) == 2 * 5 and max(halves) < 1e-10


def test_differences_are_absolute_values_where_exact_never_ran(tmp_path):
    for seed in SEEDS:
        studies.write_trace(tmp_path, Scheme("ps", 2, 0.01), seed)
    drawing = trained.draw(results.load(tmp_path))
    (line,) = points(drawing.axes[1, 0], "order 2")
    assert line == pytest.approx(100 * mean_of(lambda s: studies.accuracy(2, 0.01, "dense", s)))
    assert drawing.axes[1, 0].get_ylabel() == "test accuracy (%)"


def test_a_stretched_axis_says_so_and_ticks_are_plain_numbers():
    figure, (small, large, log) = style.plt.subplots(1, 3)
    for axes, most in ((small, 0.3), (large, 90.0)):
        axes.plot([0, 1], [-most, 0.01])
        scales.difference_axis(axes, "points")
    assert (small.get_yscale(), small.get_ylabel()) == ("linear", "points")
    assert (large.get_yscale(), large.get_ylabel()) == ("symlog", "points\nlogarithmic beyond ±1")
    log.plot([0, 1], [35.0, 160.0])
    scales.logarithmic(log)
    figure.canvas.draw()
    assert [tick.get_text() for tick in log.get_yticklabels()] == ["50", "100"]
    assert [tick.get_text() for tick in log.get_yticklabels(minor=True)] == []
    assert scales.round_numbers(1e-12, 1.0) == pytest.approx([1e-12, 1e-9, 1e-6, 1e-3, 1.0])


def test_figure_4_draws_spikes_times_and_epochs_to_the_goal(study):
    drawing = cost.draw(study, threshold=97.0)
    expected = [mean_of(lambda s: studies.spikes(1, dt, s)) for dt in STEPS]
    for gradient in ("piggyback", "adjusted"):
        spikes = points(drawing.axes[f"spikes {gradient}"], "order 1 (Euler)")
        np.testing.assert_allclose(spikes, expected, **close)
        times = [4 * (0.5 + 0.001 / dt) / 2 for dt in STEPS]
        np.testing.assert_allclose(points(drawing.axes[f"time {gradient}"], "order 5"), times,
                                   **close)  # fmt: skip
    # validation accuracies are 0.05 (1 - k/4)^2 below 98.5 % - ...: above 97 % from k = 2 on
    np.testing.assert_array_equal(points(drawing.axes["goal adjusted"], "order 5"), [1.0, 1.0])


def test_times_of_single_runs_are_not_drawn(study):
    alone = study._replace(runs=study.runs[study.runs["seed"] == 0])
    drawing = cost.draw(alone)
    assert not [axes for axes in drawing.axes if "time" in axes]
    assert not [number for number in drawing.numbers if "time" in number.quantity]
    once = (study.runs["seed"] == 0) | (study.runs["order"] != 5)
    times = cost.draw(study._replace(runs=study.runs[once])).axes["time adjusted"]
    names = [line.get_label() for line in times.lines]
    assert "order 1 (Euler)" in names and "order 5" not in names


def test_a_goal_that_is_never_reached_is_a_lower_bound(study):
    drawing = cost.draw(study, threshold=99.9)
    goal = drawing.axes["goal adjusted"]
    assert (points(goal, "order 5") == 2.0).all()  # the end of training
    triangles = [line for line in goal.lines if len(line.get_ydata())
                 if line.get_marker() == "^" and line.get_markerfacecolor() == "white"]  # fmt: skip
    assert len(triangles) == 2 * 2 + 1 and all(
        (line.get_ydata() == 2.0).all() for line in triangles
    )
    share = "epochs to 99.9 % on validation, share of seeds that never did"
    shares = [n for n in drawing.numbers if n.quantity == share]
    assert len(shares) == 2 * 5 and all(n.mean == 1.0 for n in shares)  # exact too
    bounds = [n for n in drawing.numbers if n.quantity == share.split(",")[0]]
    assert all(np.isnan(n.half) for n in bounds)
    reached = cost.draw(study, threshold=90.0)
    assert not [n for n in reached.numbers if "never" in n.quantity]


def test_figure_5_averages_over_orders_before_seeds(study):
    drawing = trained.draw(study)
    expected = [np.mean([points_lost(order, dt) for order in (1, 5)]) for dt in STEPS]
    means = points(drawing.axes[0, 0], "mean of orders")
    np.testing.assert_allclose(means, expected, **difference)
    (number,) = (n for n in drawing.numbers if n.panel == "MNIST, mean" and n.dt == 100.0)
    assert number.n == 2 and number.half < 1e-10  # what seeds share is gone
    expected = [points_lost(5, dt) for dt in STEPS]
    np.testing.assert_allclose(points(drawing.axes[1, 1], "order 5"), expected, **difference)


def test_exact_is_found_under_either_gradient(tmp_path):
    """Its two gradients coincide, and a sweep runs it under the first of those asked for."""
    for gradient in ("piggyback", "adjusted"):
        for seed in SEEDS:
            studies.write_trace(tmp_path, Scheme("ps", 2, 0.01, gradient=gradient), seed)
    for seed, gradient in enumerate(("piggyback", "adjusted")):
        studies.write_trace(tmp_path, Scheme(gradient=gradient), seed)
    drawing = trained.draw(results.load(tmp_path))
    assert {n.n for n in drawing.numbers if "accuracy" in n.quantity} == {2}


def test_figure_6_draws_every_interpolation(study):
    drawing = interpolation.draw(study)
    for title, dts, less in (("transfer", (1e-3, *studies.STEPS, 0.2), 0.0),
                             ("2 epochs", (7e-3, 8e-3), 0.001)):  # fmt: skip
        lost = [1 - mean_of(lambda s: studies.accuracy(1, dt, "none", s)) + less for dt in dts]
        found = points(drawing.axes[f"after {title} none"], "order 1 (Euler)")
        np.testing.assert_allclose(found, 100 * np.array(lost), **difference)
    steps = drawing.axes["steps none"]
    np.testing.assert_allclose(points(steps, "hidden layer"), points(steps, "_dt"), **close)
    assert "cliff" not in interpolation.draw(study, "mnist-threshold").axes


def test_figure_6_compares_the_published_cliff_with_runs_as_long(study, tmp_path):
    published = interpolation.draw(study).axes["cliff"]
    assert published.get_title(loc="left").endswith("no such runs")
    assert points(published, interpolation.ROUNDED_NAME)[-2:] == pytest.approx((1.82, 42.5))
    scheme = Scheme("exact", dt=7e-3, interpolation="none")
    for seed in SEEDS:
        studies.write_trace(tmp_path, scheme, seed, epochs=10, evaluations=1)
    for order in ((study, results.load(tmp_path)), (results.load(tmp_path), study)):
        both = results.load(*(write_aggregate(one, tmp_path / "parts") for one in order))
        cliff = interpolation.draw(both).axes["cliff"]
        expected = 100 * (1 - mean_of(lambda s: studies.accuracy(0, 7e-3, "none", s) - 0.001))
        assert points(cliff, "exact") == pytest.approx([expected], rel=1e-12)


def write_aggregate(study, folder):
    path = folder / f"{len(study.runs)}.h5"
    results.save(study, path, overwrite=True)
    return path


def test_several_sources_are_one_study_and_the_first_decides(folder, study, tmp_path):
    path = write_aggregate(study, tmp_path)
    both = results.load(path, path)
    assert len(both.runs) == 2 * len(study.runs) and both.commands == study.commands
    for name in ("runs", "transfer", "gradients"):
        first = statistics.select(getattr(both, name), study=0)
        assert first.tobytes() == getattr(study, name).tobytes()
        assert (getattr(both, name)["study"][len(first) :] == 1).all()
    assert both.runs["id"].tolist() == list(range(len(both.runs)))
    last = study.curves[study.curves["run"] == study.runs["id"][-1]]
    assert both.curves[both.curves["run"] == len(both.runs) - 1]["epoch"].tolist() == (
        last["epoch"].tolist()
    )


def test_figure_7_draws_every_seed_and_medians_of_both_gradients(study):
    drawing = gradients.draw(study)
    assert drawing.axes.shape == (4, 4)
    dts = (1e-3, *studies.STEPS, 0.2)
    for column, layer in enumerate((0, 1, 0, 1)):
        for gradient, style_of in (("adjusted", "-"), ("piggyback", "--")):
            seeds = np.array([
                [studies.gradient(3, dt, gradient, layer, s) for s in SEEDS] for dt in dts
            ])  # fmt: skip
            seeds[:, :, 0] = 1 - seeds[:, :, 0]
            for row in (0, 1):
                (line,) = (one for one in drawing.axes[row, column].lines
                           if one.get_label() == "order 3"
                           and one.get_linestyle() == style_of)  # fmt: skip
                median = np.median(seeds[:, :, row], axis=1)
                np.testing.assert_allclose(line.get_ydata(), median, rtol=1e-9)  # 1 - (1 - x)
                drawn = [y for dots in drawing.axes[row, column].collections
                         for y in dots.get_offsets()[:, 1]]  # fmt: skip
                assert all(np.isclose(drawn, y, rtol=1e-9).any() for y in seeds[:, :, row].flat)


def test_an_aggregate_draws_the_same_numbers_as_the_folder(study, aggregate):
    again = results.load(aggregate)
    for name in results.TABLES:
        one, two = getattr(study, name), getattr(again, name)
        if isinstance(one, list):
            assert one == two
        else:
            assert one.dtype == two.dtype and one.tobytes() == two.tobytes(), name
    for module in FIGURES:
        one, two = module.draw(study).numbers, module.draw(again).numbers
        assert len(one) > 10 and repr(one) == repr(two)  # NaN equals NaN in text
    with h5py.File(aggregate) as file:  # fixed lengths, no objects
        assert all(not file[name].dtype.hasobject for name in results.TABLES)


def test_an_aggregate_of_250_runs_stays_below_5_mb(study, tmp_path):
    rng = np.random.default_rng(0)

    def many(table, n):
        """n rows whose numbers do not compress."""
        rows = np.resize(table, n)
        for name in rows.dtype.names:
            if rows.dtype[name].base.kind == "f":
                rows[name] = rng.uniform(size=rows[name].shape)
        return rows

    large = study._replace(
        runs=many(study.runs, 250),
        curves=many(study.curves, 250 * 100),  # ten epochs, ten evaluations each
        transfer=many(study.transfer, 10 * 122),
        gradients=many(study.gradients, 10 * 600),
    )
    results.save(large, tmp_path / "large.h5")
    assert (tmp_path / "large.h5").stat().st_size < 5e6


def test_files_that_can_not_be_used_are_named_and_skipped(folder, study, tmp_path):
    for path in folder.glob("*.h5"):
        if "s0" in path.name:
            shutil.copy(path, tmp_path)
    whole = results.load(tmp_path)
    assert not whole.notes
    path = folder / "transfer-mnist-to-mnist-s1.h5"
    good, header = path.read_bytes(), read_transfer(path).header
    trace = sorted(folder.glob("mnist-exact*-s1-*.h5"))[0].read_bytes()
    bad = {
        "cut.h5": (trace[: len(trace) // 2], "truncated"),
        "cut-transfer.h5": (good[: len(good) // 2], ""),
        "text.h5": (b"no HDF5", "no HDF5"),
        "empty.h5": (b"", "no HDF5"),
    }
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    for name, change, reason in (
        ("column.h5", lambda f: f["schemes"].pop("accuracy"), "damaged"),
        ("rows.h5", lambda f: f["schemes/rows"].write_direct(np.array(10**6)), "1000000 rows"),
        ("value.h5", lambda f: f["schemes/loss"].__setitem__(0, 2.0), "digest"),
        ("config.h5", lambda f: f.attrs.modify("config", "{"), "damaged"),
        ("schema.h5", lambda f: f.attrs.modify("schema", 9), "schema 9"),
    ):
        (tmp_path / name).write_bytes(good)
        with h5py.File(tmp_path / name, "r+") as file:
            change(file)
        bad[name] = None, reason
    with TransferFile(tmp_path / "none.h5", header, 2) as file:
        file.append("schemes")  # no row
    bad["none.h5"] = None, "no scheme"
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    bad["foreign.h5"] = None, ""
    stopped = studies.write_trace(tmp_path, Scheme("euler", dt=0.3), 0, status="interrupted")
    bad[stopped.name] = None, "interrupted"
    hollow = studies.write_trace(tmp_path, Scheme("euler", dt=0.4), 0, epochs=0)
    bad[hollow.name] = None, "no epoch"
    again = results.load(tmp_path)
    notes = {note.split(":")[1].strip(): note for note in again.notes}
    assert notes.keys() == bad.keys()
    for name, (_, reason) in bad.items():
        assert reason in notes[name] and "\n" not in notes[name], notes[name]
    assert again.runs.tobytes() == whole.runs.tobytes()
    assert again.transfer.tobytes() == whole.transfer.tobytes()


def test_times_come_from_runs_alone_and_accuracies_from_runs_of_equal_options(tmp_path):
    scheme = Scheme("euler", dt=0.01)
    for seed in (0, 1, 2):
        studies.write_trace(tmp_path, scheme, seed, epochs=2, evaluations=1, workers=2)
    short = studies.write_trace(tmp_path, scheme, 0, epochs=1, evaluations=1,
                                learning_rate=1e-3)  # fmt: skip
    twice = tmp_path / "z.h5"
    shutil.copy(short, twice)
    study = results.load(tmp_path)
    assert list(statistics.select(study.runs, study=0)["workers"]) == [2, 2, 2]
    timed = statistics.alone(study.runs, "mnist")
    assert list(timed["file"]) == [short.name.encode()]
    assert len(study.notes) == 2
    assert "learning_rate differ" in study.notes[0]
    assert study.notes[1] == f"skipped: z.h5: repeats what {short.name} holds"


def test_a_transfer_file_that_lacks_schemes_is_named_and_used(tmp_path):
    for seed, orders in ((0, (1, 2)), (1, (1,))):
        studies.write_transfer(tmp_path, seed, orders=orders, interpolations=("dense",))
    study = results.load(tmp_path)
    name = "transfer-mnist-to-mnist-s1.h5"
    assert study.notes == [f"incomplete: {name}: 7 of the 13 schemes that its study has"]
    numbers = transfer.draw(study).numbers
    assert {n.n for n in numbers if n.scheme == "order 1 (Euler)"} == {2}
    assert {n.n for n in numbers if n.scheme == "order 2"} == {1}


def test_a_run_alone_takes_the_place_of_the_same_run_beside_others(tmp_path):
    for workers in (2, 1):
        path = studies.write_trace(tmp_path, Scheme("euler", dt=0.01), 0, epochs=1, workers=workers)
        path.rename(tmp_path / f"{'ba'[workers - 1]}.h5")
    assert results.load(tmp_path).notes == ["skipped: a.h5: repeats what b.h5 holds"]
    assert list(results.load(tmp_path).runs["workers"]) == [1]


def test_figure_1_shows_spikes_on_the_grid_and_a_bounded_potential():
    drawing = neuron.draw(dt=0.02)
    potential, spikes = drawing.axes[:, 0]
    on_grid = spikes.lines[2].get_xdata() / 20.0
    np.testing.assert_allclose(on_grid, np.round(on_grid), atol=1e-12)  # a product, in ms
    assert len(spikes.lines[0].get_xdata()) > 3
    for name in ("exact", "Euler, interpolated"):
        assert points(potential, name).max() <= 1.0
    assert points(potential, "Euler, on the grid").max() > 1.0


@pytest.mark.parametrize("order", [1, 5])
def test_figure_2_shows_the_composition_of_two_truncated_steps(order):
    drawing = split.draw(order=order, dt=0.1)
    value = drawing.axes[0, 0]
    system = np.array([[-1 / 0.130, 0.0], [1.0, -1 / 0.260]])

    def step(h):
        term = total = np.eye(2)
        for p in range(1, order + 1):
            term = term @ system * h / p
            total = total + term
        return total

    splits = 1e-3 * value.lines[0].get_xdata()
    expected = [(step(0.1 - s) @ step(s))[1, 0] for s in splits]
    # two orders of summation of a dozen terms below one
    np.testing.assert_allclose(value.lines[0].get_ydata(), 1e3 * np.array(expected), rtol=1e-13)
    exact = 1e3 * scipy.linalg.expm(system * 0.1)[1, 0]
    assert value.lines[1].get_ydata()[0] == pytest.approx(exact, rel=1e-13)


def test_table_and_comparison_print_the_known_numbers(aggregate, capsys):
    arguments = [str(aggregate), "--compare", "euler@0.1", "ps5@0.1"]
    assert options.run("study", study_program.main, arguments) == 0
    out = capsys.readouterr().out
    lost = points_lost(1, 0.1) - points_lost(5, 0.1)
    more_spikes = studies.spikes(1, 0.1, 0) - studies.spikes(5, 0.1, 0)
    # seeds differ by more than the schemes, but alike: the paired interval is empty
    assert f"{lost:+.2f} ± 0.00" in out and f"{more_spikes:+.1f} ± 0.0" in out
    assert "2 seeds, beyond the interval" in out and "s an epoch" in out
    assert options.run("study", study_program.main, [str(aggregate), "--table"]) == 0
    out = capsys.readouterr().out
    mean = statistics.interval([100 * studies.accuracy(5, 0.1, "dense", s) for s in SEEDS]).text()
    assert any(line.startswith("ps5@0.1:dense:adjusted") and mean in line
               for line in out.splitlines())  # fmt: skip
