"""Every code block and command of the README and of the site works when pasted.

The Python blocks of a page run one after the other in one namespace and an empty folder, beside
the commands of its shell blocks: what follows as a `text` block is what they print. Of the shell
blocks a shell makes the single commands; these run in this process, on a few samples. Sweeps only
list their runs, and figures are drawn from a study with known numbers.
"""

import configparser
import contextlib
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest
import studies
from matplotlib.figure import Figure

import lifnum
from lifnum import evaluate, options, train
from lifnum.analysis.study import designs
from lifnum.methods.propagators import METHODS

ROOT = Path(__file__).parents[1]

DOCS = ROOT / "docs"

NEEDS = {"tools": ("torch", "nir")}  # page -> packages of an extra that its code needs
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

BLOCK = re.compile(r"^(?P<fence>`{3,})(?P<kind>[^\n]*)\n(?P<body>.*?)^(?P=fence)$", re.S | re.M)

SMALL = ["--dataset", "digits", "--epochs", "1", "--limit-train", "40", "--limit-test", "10",
         "--quiet"]  # fmt: skip

# writes its own name and arguments down instead of doing anything
RECORDER = """#!/bin/sh
{ printf '%s\\0' "$(basename "$0")" "$@"; echo; } >> "$COMMANDS"
"""


def blocks(page):
    """(kind, text) of the fenced and of the indented blocks of a page, in order."""
    text = page.read_text()
    found = [(m.start(), m["kind"].strip(), m["body"]) for m in BLOCK.finditer(text)]
    outside = BLOCK.sub(lambda m: " " * len(m[0]), text)
    for m in re.finditer(r"(?<=\n\n)(?:    .+\n)+", outside):
        found.append((m.start(), "sh", m[0]))
    return [(kind, body) for _, kind, body in sorted(found)]


def inline_commands(page):
    """Those between backquotes that name no placeholder."""
    outside = BLOCK.sub("", page.read_text())
    found = re.findall(r"`((?:python|pip) [^`]+)`", outside)
    return [command for command in found if not re.search(r"\b[A-Z]+\b|\.\.\.", command)]


def commands_of(script, folder):
    """The argument lists of the commands that a shell would start, in order."""
    names = ("python", "python3", "pip", "bash", "git")
    places = [folder / ".recorder", folder / ".venv/bin"]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            (place / name).write_text(RECORDER)
            (place / name).chmod(0o755)
    record = folder / ".commands"
    record.write_text("")
    environment = {"PATH": f"{places[0]}:{os.environ['PATH']}", "COMMANDS": str(record)}
    subprocess.run(["/bin/bash", "-euc", script], cwd=folder, env=environment, check=True)
    return [line.split("\0")[:-1] for line in record.read_text().splitlines()]


class Small:
    """Runs commands in this process, in the current folder, on as little as shows that they work.

    What a command reads and no command of the page has written is made up before it.
    """

    def __init__(self, study):
        self.made_up, self.studies = study, set()

    def __call__(self, arguments):
        name, *rest = arguments
        if name in ("pip",):
            return self.install(rest)
        assert name in ("python", "python3"), f"{name}: unknown command"
        if rest[0] != "-m":
            assert (ROOT / rest[0]).is_file()
            return None
        module, rest = rest[1], rest[2:]
        if rest[-1:] == ["--help"]:
            with pytest.raises(SystemExit, match=r"^0$"):
                succeed(module, rest)
            return None
        run = getattr(self, module.replace(".", "_"), None)
        assert run is not None, f"python -m {module}: unknown command"
        return run(rest)

    def install(self, rest):
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        extras = re.findall(r"\[(\w+)\]", " ".join(rest))
        assert rest[0] == "install" and set(extras) <= set(setup["options.extras_require"])

    def venv(self, rest):
        assert rest == [".venv"]

    def pytest(self, rest):
        assert all((ROOT / path).exists() for path in rest if not path.startswith("-"))

    def sphinx(self, rest):
        assert "-W" in rest and (ROOT / rest[-2]).is_dir()

    def lifnum_train(self, rest):
        args = train.parser().parse_args(rest)
        if args.resume is not None:
            return
        if args.device != "cuda":
            train.config_of(args)  # as written
        own = args.dataset.endswith((".npz", ".h5", ".csv"))
        small = SMALL[2:] if own else SMALL
        hidden = [] if args.hidden else ["--hidden", "8"]
        succeed("lifnum.train", [*rest, *small, *hidden, "--device", "cpu"])

    def lifnum_evaluate(self, rest):
        args = evaluate.parser().parse_args(rest)
        traces = [self.trace(path) for path in args.trace]
        rest = [word for word in rest if word not in args.trace]
        small = ["--limit-test", "2"] + (["--gradients", "1"] if args.gradients else [])
        if args.dt and len(args.dt) > 2:  # as written, the grid is only made
            options.grid(args.methods, args.orders, args.dt, args.interpolation)
            small += ["--dt", *map(str, args.dt[:2])]
        succeed("lifnum.evaluate", [*traces, *rest, *small])

    def lifnum_simulate(self, rest):
        succeed("lifnum.simulate", rest)

    def lifnum_audit(self, rest):
        succeed("lifnum.audit", [*rest, "--limit", "3"])

    def trace(self, path):
        """The path of a trace, a pattern of the shell for one included."""
        path = re.sub(r"\[(\w).*?\]", r"\1", path).replace("*", "x")
        if not Path(path).exists():
            succeed("lifnum.train", [*SMALL, "--hidden", "8", "--output", path])
        return path

    def lifnum_sweep(self, rest):
        succeed("lifnum.sweep", [*rest, "--dry-run"])

    def lifnum_analysis_training(self, rest):
        for path in rest:
            if path.endswith(".h5"):
                self.trace(path)
        succeed("lifnum.analysis.training", rest)

    def study(self, rest):
        """Make up the study that a command reads, if it reads one."""
        for path in rest[:1]:
            if Path(path).suffix == "" and path not in self.studies and not path.startswith("-"):
                shutil.rmtree(path, ignore_errors=True)
                shutil.copytree(self.made_up, path)
                self.studies.add(path)

    def lifnum_analysis_figures(self, rest):
        self.study(rest[1:])
        succeed("lifnum.analysis.figures", rest)

    def lifnum_analysis_study(self, rest):
        if rest[0] in designs.DESIGNS:  # tests of studies run each with --small
            return designs.parser(rest[0]).parse_args(rest[1:])
        self.study(rest)
        succeed("lifnum.analysis.study", [*rest, "--overwrite"])

    def lifnum_analysis_report(self, rest):
        self.study(rest)
        succeed("lifnum.analysis.report", rest)

    def lifnum_analysis_benchmark(self, rest):
        benchmark = importlib.import_module("lifnum.analysis.benchmark.__main__")
        benchmark.Plan(benchmark.parser().parse_args(rest))

    def lifnum_analysis_benchmark_cuda(self, rest):
        importlib.import_module("lifnum.analysis.benchmark.cuda").parser().parse_args(rest)


def _write_nothing(figure, file, **options):
    if isinstance(file, (str, Path)):
        Path(file).touch()


def main_of(module):
    """The function of ``python -m module``."""
    if hasattr(importlib.import_module(module), "__path__"):
        module = f"{module}.__main__"
    return importlib.import_module(module).main


def succeed(module, arguments):
    """Run a program as from the command line, and expect it to succeed."""
    main = main_of(module)
    said = io.StringIO()
    # figures are made but not drawn to files, which takes half of the time: test_analysis does
    undrawn = mock.patch.object(Figure, "savefig", _write_nothing)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), undrawn:
        code = options.run(module, main, arguments)
    assert code == 0, f"python -m {module} {' '.join(arguments)}: {said.getvalue()}"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a small study of known numbers."""
    return studies.write_study(tmp_path_factory.mktemp("study") / "runs", seeds=(0, 1),
                               datasets=("mnist",), orders=(1, 5), steps=(1e-2, 0.1),
                               epochs=1)  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_and_commands_of_a_page_run(page, study, in_tmp):
    for module in NEEDS.get(page.stem, ()):
        pytest.importorskip(module)
    shutil.copytree(DOCS, "docs", ignore=lambda _, names: [n for n in names if n[-3:] != ".h5"])
    run, namespace, said = Small(study), {}, io.StringIO()
    for kind, body in blocks(page):
        if kind == "python":
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(body, page.name, "exec"), namespace)
        elif kind == "text":
            assert said.getvalue() == body
        elif kind == "sh":
            for arguments in commands_of(body, in_tmp):
                run(arguments)
        else:
            assert kind.startswith("{"), f"{page.name}: a block of kind {kind!r}"
    for command in inline_commands(page):
        for arguments in commands_of(command, in_tmp):
            run(arguments)
    outside = BLOCK.sub("", page.read_text())
    assert re.findall(r"^(?:python3?|pip|\.venv\S*) .*", outside, flags=re.M) == []


def test_readme_is_short_its_links_lead_somewhere_and_its_tests_are_one_line():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    links = re.findall(r"\]\(([^)#]+)", text)
    assert len(links) > 10
    for link in links:
        assert link.startswith("https://") or (ROOT / link).is_file(), link
    line = next(line for line in text.splitlines() if "pytest" in line)
    assert line.startswith("    python3 -m venv .venv && ")


@pytest.mark.parametrize("page", ["README.md", "docs/choose.md"])
def test_what_a_page_says_of_our_runs_stands_among_the_findings(page):
    findings = " ".join((DOCS / "findings.md").read_text().split())
    said = re.findall(r"[\d.]+ ± [\d.]*\d", " ".join((ROOT / page).read_text().split()))
    assert len(said) >= 5
    assert [one for one in said if one not in findings] == []


def test_every_program_stands_among_the_commands():
    shown = re.findall(r"^```\{help\} ([\w.]+)", (DOCS / "commands.md").read_text(), flags=re.M)
    sources = (ROOT / "lifnum").rglob("*.py")
    titles = [re.match(r'"""python -m ([\w.]+)[: ]', path.read_text()) for path in sources]
    assert set(shown) == {title[1] for title in titles if title}


def test_everything_in_a_trace_stands_on_its_page(in_tmp):
    page = (DOCS / "traces.md").read_text()
    named = {word for text in re.findall(r"`([^`\n]+)`", page) for word in text.split("/")}
    named |= {"lifnum", "python", "numpy", "numba"}  # whose versions are said in words
    assert train.main([*SMALL, "--output", "a.h5"]) == 0
    with h5py.File("a.h5", "r", libver="latest") as file:
        found = list(file.attrs)
        file.visititems(lambda name, item: found.append(re.sub(r"/\d+$", "", name)))
    assert len(found) > 50 and [x for x in found if x.split("/")[-1] not in named] == []


# a neuron in the browser


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, where there is one; where a continuous integration has none, a failure."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    path = next(found, None)
    if path is None or find_spec("playwright") is None:
        missing("no Chromium or no Playwright on this machine")
    with importlib.import_module("playwright.sync_api").sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def neurons():
    """20 settings: every method and interpolation, orders, ratios of time constants, weights."""
    rng = np.random.default_rng(0)
    chosen = [(method, order) for method in METHODS
              for order in ((1, 3, 10, 32) if method == "ps" else (None,))]  # fmt: skip
    for k in range(20):
        method, order = chosen[k % len(chosen)]
        interpolation = ("dense", "linear", "none")[(k + k // len(chosen)) % 3]
        dt = (1e-3, 7e-3, 2e-2, 0.1)[k % 4]
        if method == "exact" and interpolation != "none":
            dt = None
        neuron = lifnum.Neuron(tau_s=0.13, tau=0.13 * (2.0, 1.0, 0.5)[k % 3], theta=0.1)
        times, weights = np.sort(rng.uniform(0, 0.19, 6)), rng.uniform(-1.5, 4.5, 6)
        yield lifnum.Scheme(method, order, dt, interpolation), neuron, times, weights


def test_the_neuron_in_the_browser_spikes_when_lifnum_says(browser):
    page = browser.new_page()
    page.add_script_tag(path=DOCS / "_static/neuron.js")
    duration, n_spikes = 0.2, 0
    at = np.linspace(0, duration, 101)
    for scheme, neuron, times, weights in neurons():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # unstable steps are of interest too
            net = lifnum.Network([(weights[:, None].copy(), neuron)], scheme, duration)
        trains = lifnum.SpikeTrains.from_samples([(times, np.arange(6))], 6)
        expected = net.forward(trains).times
        arguments = [
            {"method": scheme.method, "order": scheme.order, "dt": scheme.dt,
             "interpolation": scheme.interpolation},
            {"tauS": neuron.tau_s, "tau": neuron.tau, "theta": neuron.theta},
            [{"time": float(t), "weight": float(w)} for t, w in zip(times, weights)],
            duration, at.tolist(),
        ]  # fmt: skip
        spikes, u = page.evaluate(
            "([scheme, neuron, inputs, duration, at]) => { const found = lifNeuron.simulate("
            "scheme, neuron, inputs, duration); return [found.spikes, "
            "lifNeuron.potential(found, at)]; }", arguments,
        )  # fmt: skip
        # the same formulas in the same precision: 1e-15 in fact
        np.testing.assert_allclose(spikes, expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(u, net.potential(trains, at)[0, 0], rtol=0, atol=1e-9)
        n_spikes += len(expected)
    assert n_spikes > 50
    page.close()


def test_the_page_of_the_neuron_redraws_at_once_offline_on_a_phone(browser, tmp_path):
    static = DOCS / "_static"
    parts = [(static / name).read_text() for name in
             ("neuron.css", "neuron.js", "neuron_page.js", "neuron.html")]  # fmt: skip
    file = tmp_path / "neuron.html"
    file.write_text(
        "<!doctype html><meta charset=utf-8><meta name=viewport content=width=device-width>"
        "<style>{}</style><script>{}</script><script>{}</script>{}".format(*parts)
    )
    messages, requests = [], []
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    summary, curve = page.locator(".neuron-summary"), page.locator("path.curve.method").first
    assert summary.inner_text().startswith("forward Euler: 9 spikes, exact 9.")
    seen = {curve.get_attribute("d")}
    page.get_by_label("Grid step dt").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("Grid step dt").get_attribute("aria-valuetext") == "30 ms"
    seen.add(curve.get_attribute("d"))
    page.get_by_label("none: on the grid").check()
    seen.add(curve.get_attribute("d"))
    page.get_by_label("Method").select_option("ps")
    seen.add(curve.get_attribute("d"))
    page.get_by_label("Order of the series").press("ArrowRight")
    seen.add(curve.get_attribute("d"))
    page.get_by_role("slider").last.press("End")
    seen.add(curve.get_attribute("d"))
    assert len(seen) == 6
    assert summary.inner_text().startswith("Parker-Sochacki series of order 4: ")
    # every control has a name, and the page does not scroll sideways
    nameless = "e => e.matches('input, select') && !e.labels.length"
    assert page.evaluate(f"[...document.forms[0].elements].filter({nameless}).length") == 0
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_label("Method").select_option("exact")
    page.get_by_label("dense: at the root").check()
    assert "time 0 ms. Mean error of the potential 0 θ." in summary.inner_text()
    assert messages == [] and requests == [file.as_uri()]
    page.close()


def test_what_the_site_loads_stands_in_the_repository():
    for page in DOCS.glob("_static/*"):
        loads = re.findall(r"(?:src|href)=[\"']?(https?:[^\"' >]+)|url\((?!#)", page.read_text())
        assert [one for one in loads if "w3.org" not in one] == []


@pytest.mark.slow
def test_the_class_runs_as_written(in_tmp):
    bins = in_tmp / "bin"
    bins.mkdir()
    (bins / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (bins / "python").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{bins}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg",
    }  # fmt: skip
    for kind, body in blocks(DOCS / "class.md"):
        if kind == "sh":
            subprocess.run(["/bin/bash", "-euc", body], env=environment, check=True)
    assert len(list(in_tmp.glob("class/figure?.png"))) == 7
