"""Figures and reports as files: written by their commands, refused in one line, packaged."""

import configparser
import shutil
import sys
from pathlib import Path

import pytest
import studies
from setuptools import find_packages

from lifnum import options
from lifnum.analysis import figures, report, style, training
from lifnum.analysis.figures import __main__ as program
from lifnum.analysis.figures import transfer
from lifnum.analysis.study import __main__ as study_program
from lifnum.analysis.study import designs, results, spike_budget

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    style.plt.close("all")


def test_figures_are_written_as_png_and_pdf(aggregate, tmp_path, capsys):
    out = tmp_path / "new" / "f.pdf"
    for name in ("5", "trained"):
        assert options.run("figures", program.main, [name, str(aggregate), "--out", str(out)]) == 0
        assert out.read_bytes()[:5] == b"%PDF-"
        assert out.with_suffix(".png").read_bytes()[1:4] == b"PNG"
        assert str(out) in capsys.readouterr().out
        shutil.rmtree(out.parent)


@pytest.mark.parametrize(
    "program, arguments, message",
    [
        (program, ["3", "nowhere"], "nowhere: no such folder or file"),
        (program, ["3", "."], "holds no finished trace or transfer file"),
        (program, ["3", "text.h5"], "text.h5: "),
        (program, ["3", "STUDY", "text.h5"], "text.h5: "),
        (program, ["3", "STUDY", "--interpolation", "cubic"], "invalid choice: 'cubic'"),
        (program, ["4", "STUDY", "--dataset", "letters"], "no run on letters; there are: mnist, m"),
        (program, ["4", "STUDY", "--threshold", "0"], "threshold: 0 is not > 0 and <= 100"),
        (program, ["4", "STUDY", "--threshold", "101"], "threshold: 101 is not > 0 and <= 100"),
        (program, ["4", "STUDY", "--threshold", "high"], "threshold: high is not > 0 and <= 100"),
        (
            program,
            ["7", "STUDY", "--dataset", "mnist-threshold"],
            "no transfer file with gradients",
        ),
        (program, ["2", "--order", "33"], "--order: 33 is no integer from 1 to 32"),
        (program, ["2", "--order", "0"], "--order: 0 is no integer from 1 to 32"),
        (program, ["2", "--order", "two"], "--order: two is no integer from 1 to 32"),
        (program, ["1", "--dt", "-1"], "-1 is not > 0"),
        (program, ["1", "--dt", "nan"], "nan is not > 0"),
        (program, ["1", "--dt", "inf"], "dt is inf; accepted: a finite number > 0"),
        (program, ["2", "--dt", "inf"], "dt is inf; accepted: a finite number > 0"),
        (program, ["8"], "invalid choice: '8'"),
        (program, ["1", "--out", "f.svg"], "f.svg; accepted: a file name that ends in .png or .p"),
        (program, ["1", "--out", "."], "--out: . is a folder; accepted: a file name"),
        (program, ["1", "--out", "new/"], "--out: new/ is a folder; accepted: a file name"),
        (program, ["1", "--out", "text.h5/f"], "text.h5 is no folder; accepted: a file name"),
        (study_program, ["STUDY", "--compare", "euler", "exact"], "scheme is 'euler'"),
        (study_program, ["STUDY", "--compare", "ps7@0.1", "exact"], "no data set holds both"),
        (study_program, ["STUDY", "--out", "text.h5"], "text.h5: exists"),
        (study_program, ["STUDY", "--out", "."], "--out: . is a folder"),
        (report, ["STUDY", "--out", "text.h5"], "accepted: a file name that ends in .html"),
        (report, ["STUDY", "--out", "."], "--out: . is a folder"),
        (training, ["t.h5", "--out", "."], "--out: . is a folder; accepted: a file name that ends"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    in_tmp, aggregate, refusal, program, arguments, message
):
    (in_tmp / "text.h5").write_bytes(b"no HDF5")
    arguments = [str(aggregate) if word == "STUDY" else word for word in arguments]
    assert message in refusal(options.run, "analysis", program.main, arguments)
    assert [p.name for p in in_tmp.iterdir()] == ["text.h5"]
    assert (in_tmp / "text.h5").read_bytes() == b"no HDF5"


def test_a_new_figure_is_one_file_and_one_line(in_tmp, aggregate, monkeypatch):
    """The report and the command line know it, its options and its texts."""
    text = '''"""A new figure.\n\nWhat there is to see."""
from lifnum.analysis.figures.drawing import Drawing
OPTIONS = [("--threshold", {"type": float, "default": 1.0})]
def draw(study, threshold):
    drawing = Drawing((1, 1), (2, 2))
    drawing.note("panel", "runs above", "all", 0.0, threshold)
    return drawing
'''
    Path("mine.py").write_text(text)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(in_tmp)])
    monkeypatch.setattr(figures, "FIGURES", (*figures.FIGURES, "mine"))
    monkeypatch.delitem(sys.modules, "lifnum.analysis.figures.mine", raising=False)
    assert options.run("figures", program.main, ["8", str(aggregate), "--threshold", "3"]) == 0
    assert Path("figure8.png").exists()
    *_, last = report.entries(results.load(aggregate), "DIR", threshold=5.0)
    assert (last.title, last.caption) == ("Figure 8: A new figure", "What there is to see.")
    assert last.drawing.numbers[0].mean == 5.0
    assert last.command == "python -m lifnum.analysis.figures 8 DIR --threshold 5 --out figure8.png"


def test_the_distribution_holds_all_packages_and_leaves_the_name_analysis_to_others():
    """What `pip install .` copies."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["options"]["packages"] == "find:"
    found = find_packages(ROOT, include=config["options.packages.find"]["include"].split())
    assert {name.partition(".")[0] for name in found} == {"lifnum"}
    folders = {path.parent.relative_to(ROOT) for path in ROOT.glob("lifnum/**/*.py")}
    assert {ROOT / name.replace(".", "/") for name in found} == {ROOT / one for one in folders}


def test_a_report_names_the_figures_that_are_missing_and_why(tmp_path, capsys):
    studies.write_transfer(tmp_path, 0, gradients=False)
    out = tmp_path / "report.html"
    assert options.run("analysis.report", report.main, [str(tmp_path), "--out", str(out)]) == 0
    assert "4 figures, 3 missing" in capsys.readouterr().out
    text = out.read_text()
    assert text.count("<img") == 4
    assert text.count("no run on any data set; there are: none") == 2  # figure 4
    assert "no run with a grid, gradient adjusted" in text  # figure 5
    assert "no transfer file with gradients (lifnum.evaluate --gradients)" in text  # figure 7


def test_a_report_has_the_answers_of_tables_alone_or_with_a_folder(tmp_path, capsys):
    studies.write_transfer(tmp_path, 0, gradients=False)
    table, out = str(ROOT / "docs/results/spike-budget.csv"), str(tmp_path / "report.html")
    rows = designs.rows_of(spike_budget, table)
    for more, said, images in ([], "1 figures, 0", 1), ([str(tmp_path)], "5 figures, 3", 5):
        assert options.run("analysis.report", report.main, [*more, table, "--out", out]) == 0
        assert said in capsys.readouterr().out
        text = Path(out).read_text()
        assert text.count("<img") == images and ('id="data"' in text) == bool(more)
        assert all(line in text for line in spike_budget.answer(rows))
    Path(tmp_path, "cost.csv").write_text("part\n")
    for name, message in ("letters.csv", "accepted: NAME.csv of "), ("cost.csv", "has no runs"):
        with pytest.raises(ValueError, match=message):
            report.main([str(tmp_path / name), "--out", out])


def test_the_report_renders_in_a_browser_offline_and_complete(folder, study, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser",
                                                   "google-chrome"))), None)  # fmt: skip
    if browser is None:
        pytest.skip("no Chromium on this machine")
    out = tmp_path / "report.html"
    assert options.run("analysis.report", report.main, [str(folder), "--out", str(out)]) == 0
    messages, requests = [], []
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1200, "height": 900})
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(out.as_uri())
        sizes = page.evaluate("Array.from(document.images, i => i.naturalWidth * i.naturalHeight)")
        targets = page.evaluate(
            "Array.from(document.querySelectorAll('nav a'), a => "
            "document.querySelector(a.getAttribute('href')) !== null)"
        )
        shown = page.inner_text("body")
        page.click("summary >> nth=2")
        cells = page.inner_text("section#figure3 details")
        page.set_viewport_size({"width": 390, "height": 800})
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        chromium.close()
    assert len(sizes) == 9 and min(sizes) > 0  # 1, 2, 3, 5, 7, and 4 and 6 for two data sets
    assert len(targets) == 11 and all(targets)
    assert messages == [] and requests == [out.as_uri()]
    assert overflow <= 0  # a phone scrolls tables and figures, not the page
    assert "python -m lifnum.sweep --epochs 5" in shown and "Missing" not in shown
    drawn = [
        n for n in transfer.draw(study).numbers if n.panel == "MNIST" and "accuracy" in n.quantity
    ]
    assert len(drawn) == 31
    for number in drawn:
        assert report._cell(number) in cells
