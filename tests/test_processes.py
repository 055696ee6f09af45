"""Processes, threads and machines: what a program meets that is not its own doing."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numba
import pytest
from distributed import LocalCluster
from helpers import ROOT, SMALL
from numba.np.ufunc import parallel

from lifnum import compiler, options, sweep, train
from lifnum.files import lock

SIMULATE = """
import numpy as np, lifnum

def simulate(_=None):
    net = lifnum.Network([(np.full((2, 30), 5.0), lifnum.Neuron())], lifnum.Scheme(), 0.2)
    trains = lifnum.SpikeTrains.from_samples([([0.01, 0.02], [0, 1])] * 40, 2)
    return len(net.forward(trains).times)
"""

FORK = """
import multiprocessing

print(simulate() > 0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    try:
        pool.map_async(simulate, [0]).get(60)
    except RuntimeError as error:
        print(error)
"""

THREADS = """
import threading

print(simulate() > 0)
threads = [threading.Thread(target=lambda: [simulate() for _ in range(50)]) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def python(program, cwd=None, **environment):
    """(exit code, output, errors) of a program in a process of its own; None removes a variable."""
    whole = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    whole = {name: value for name, value in whole.items() if value is not None}
    done = subprocess.run([sys.executable, "-c", program], cwd=cwd, env=whole, text=True,
                          capture_output=True, timeout=300)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def has_openmp():
    try:
        from numba.np.ufunc import omppool
    except ImportError:
        return False
    return omppool.openmp_vendor == "GNU"


gnu_only = pytest.mark.skipif(not has_openmp(), reason="Numba has no GNU OpenMP here")


@gnu_only
def test_a_simulation_in_a_forked_child_raises_a_line_that_names_spawn():
    code, out, error = python(SIMULATE + FORK, NUMBA_THREADING_LAYER="omp")
    assert code == 0 and error == ""
    assert out.startswith("True\nthis process was forked") and "get_context('spawn')" in out


@gnu_only
def test_a_child_that_is_forked_before_any_simulation_simulates():
    program = SIMULATE + FORK.replace("print(simulate() > 0)", "").replace(
        "pool.map", "print('child'); pool.map"
    )
    assert python(program, NUMBA_THREADING_LAYER="omp") == (0, "child\n", "")


def test_several_python_threads_simulate_on_numbas_workqueue():
    program = SIMULATE + THREADS + "print(__import__('numba').threading_layer())"
    answer = python(program, NUMBA_THREADING_LAYER="workqueue")
    assert answer == (0, "True\nworkqueue\n", "")


@gnu_only
@pytest.mark.parametrize(
    "settings, wait",
    [
        ({}, str(compiler.SPIN)),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "passive"}, "0"),
    ],
)
def test_waiting_threads_spin_for_a_bounded_time_or_as_the_user_said(settings, wait):
    """GNU OpenMP shows what it read; our setting is not left to others."""
    program = "import os; before = dict(os.environ); import lifnum, numba\n"
    program += "numba.get_num_threads(); print(before == dict(os.environ))"
    plain = {"OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": None, "NUMBA_THREADING_LAYER": None}
    code, out, shown = python(program, **plain | {"OMP_DISPLAY_ENV": "verbose"} | settings)
    assert code == 0 and out == "True\n"
    assert f"GOMP_SPINCOUNT = '{wait}'" in shown


def test_no_writable_cache_folder_costs_one_warning(tmp_path):
    """A file where the folder should be: permissions mean nothing to root."""
    blocked, temporary = tmp_path / "file", tmp_path / "tmp"
    blocked.write_text("")
    temporary.mkdir()
    places = {"XDG_CACHE_HOME": str(blocked), "HOME": str(blocked), "TMPDIR": str(temporary),
              "NUMBA_CACHE_DIR": None}  # fmt: skip
    program = "from lifnum import train; train.main(['--help'])"
    code, out, error = python(program, **places)
    assert code == 0 and "--method" in out
    assert error.count("Warning") == 1 and "NUMBA_CACHE_DIR" in error and str(blocked) in error
    assert not list(temporary.iterdir())  # nothing is left
    assert python(program, **places | {"NUMBA_CACHE_DIR": str(temporary)})[2] == ""


def test_without_fcntl_lifnum_imports_and_only_writing_is_refused(in_tmp, capsys, monkeypatch):
    program = "import sys; sys.modules['fcntl'] = None; import lifnum.train, lifnum.evaluate"
    assert python(program) == (0, "", "")
    monkeypatch.setattr(lock, "fcntl", None)
    assert options.run("lifnum.train", train.main, [*SMALL, "--output", "a.h5"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "a.h5" in error and "no fcntl" in error
    assert not lock.is_claimed("a.h5") and not list(in_tmp.iterdir())


def test_an_editable_install_is_found_from_the_folder_above_the_clone(tmp_path):
    pytest.importorskip("setuptools", "70.1", reason="it builds wheels itself")
    clone, site = tmp_path / "lifnum", tmp_path / "site"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lifnum", clone / "lifnum", ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone / name)
    build = "import sys, setuptools.build_meta as b; print(b.build_editable(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=clone, check=True,
                   capture_output=True, timeout=300)  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    # as in an environment that holds no other installation of this one
    program = f"import site, sys; sys.path = [p for p in sys.path if p != {str(ROOT)!r}]\n"
    program += f"site.addsitedir({str(site)!r})\n"
    program += "import lifnum.analysis; print(lifnum.__file__); lifnum.Network"
    code, out, error = python(program, cwd=tmp_path, PYTHONPATH=None)
    assert code == 0, error
    assert Path(out.strip()) == clone / "lifnum" / "__init__.py"


def test_a_sweep_without_workers_says_so_and_goes_on_when_one_comes(in_tmp, capsys):
    grid = ["--methods", "euler", "--output", "d", *SMALL, "--epochs", "1"]
    with LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, memory_limit=0,
        silence_logs="CRITICAL", dashboard_address="localhost:0",
    ) as cluster:  # fmt: skip
        said = []
        plain = sweep.tqdm.write

        def write(text, **options):
            said.append(text)
            plain(text, **options)
            cluster.scale(1)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sweep.tqdm, "write", write)
            arguments = ["--quiet", *grid, "--scheduler", cluster.scheduler_address]
            assert options.run("lifnum.sweep", sweep.main, arguments) == 0
    assert len(said) == 1 and "has no worker" in said[0] and "dask worker" in said[0]


def test_the_data_folder_of_the_environment_reaches_the_workers_of_a_sweep(in_tmp, monkeypatch):
    def arguments(*options):
        (job,) = sweep.jobs_of(*sweep.parser().parse_known_args([*SMALL, *options]))
        return [text for text in job.arguments if "data-dir" in text or text == "there"]

    monkeypatch.setenv("LIFNUM_DATA", "/from/environment")
    assert arguments() == ["--data-dir=/from/environment"]
    assert arguments("--data-dir", "there") == ["--data-dir", "there"]
    monkeypatch.delenv("LIFNUM_DATA")
    assert arguments() == []


def test_a_path_need_not_be_utf8(in_tmp):
    """As Linux gives it: bytes; the command goes into the trace, the path to the screen."""
    name = os.fsdecode(b"r\xff.h5")
    line = [sys.executable, "-m", "lifnum.train", *SMALL, "--epochs", "1", "--output", name]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    done = subprocess.run(line, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"r\\udcff.h5" in done.stdout and Path(name).exists()


def test_threads_that_were_never_started_are_not_missed():
    """The guard of forks asks Numba's private flag: it is there and says what it did."""
    numba.get_num_threads()
    assert parallel._is_initialized is True
