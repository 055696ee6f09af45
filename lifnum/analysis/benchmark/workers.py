"""Processes that measure on request, in turn; and the environments of other frameworks."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).parents[3]


class WorkerError(ChildProcessError):
    """A process that ended, or could not be installed; the message is one line."""


class Worker:
    """A process that speaks `peers.protocol`.

    Parameters
    ----------
    name : str
        For error messages.
    command : list of str
    environment : dict, optional
        Variables to add to the environment.
    optional : bool
        Whether others go on without it when it fails.

    Attributes
    ----------
    seconds_to_ready : float
        From before the process started to its word that it is ready.

    Raises
    ------
    WorkerError
        It ended before it was ready.
    """

    def __init__(self, name, command, environment=None, optional=False):
        self.name, self.optional = name, optional
        self._errors = tempfile.TemporaryFile("w+")
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        start = perf_counter()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            text=True, env=os.environ | {"PYTHONPATH": path} | (environment or {}),
        )  # fmt: skip
        self.about = self._answer()["ready"]
        self.seconds_to_ready = perf_counter() - start

    def _answer(self):
        for line in self._process.stdout:
            if line.startswith("{"):  # what libraries print while they are imported is not
                return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()] or ["no message"]
        raise WorkerError(f"{self.name}: {lines[-1]}")

    def measure(self):
        """What one repetition measured, a dict.

        Raises
        ------
        WorkerError
            The process ended.
        """
        with contextlib.suppress(BrokenPipeError):  # its last words follow
            print("go", file=self._process.stdin, flush=True)
        return self._answer()

    def close(self):
        """End the process."""
        with contextlib.suppress(BrokenPipeError):  # it may have ended with a request unread
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def lifnum(task, threads=None, cache=None, module="workloads", **arguments):
    """A Worker of a task of a module, with its threads and its folder of kernels."""
    environment = {}
    if threads is not None:
        environment["NUMBA_NUM_THREADS"] = str(threads)
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = str(cache)
    command = [sys.executable, "-m", f"{__package__}.{module}", task, json.dumps(arguments)]
    return Worker(f"lifnum {task}", command, environment)


def in_turn(workers, repeat):
    """Let every worker measure once, then again, so that all see the machine's same moods.

    Parameters
    ----------
    workers : dict of str to Worker
    repeat : int

    Returns
    -------
    dict of str to dict of str to list
        For every worker and quantity one value a repetition, without optional ones that failed.

    Raises
    ------
    WorkerError
        One that is not optional failed.
    """
    results = {name: {} for name in workers}
    for _ in range(repeat):
        for name in list(results):
            try:
                measured = workers[name].measure()
            except WorkerError as error:
                if not workers[name].optional:
                    raise
                print(f"left out: {error}", file=sys.stderr)
                del results[name]
                continue
            for quantity, value in measured.items():
                results[name].setdefault(quantity, []).append(value)
    return results


class Peer(NamedTuple):
    """A framework and how its environment is made."""

    requirements: tuple  # for pip, pinned
    script: str  # in peers/
    alone: str | None = None  # installed without what it asks for: vision and audio libraries
    shared: str | None = None  # the peer whose environment it runs in, if not one of its own


_TORCH = ("torch==2.13.0", "numpy==2.4.6")

PEERS = {
    "snntorch": Peer((*_TORCH, "snntorch==1.0.0", "nir==1.0.8", "nirtorch==2.6"), "grid.py"),
    "snntorch-spoken": Peer((), "grid.py", shared="snntorch"),
    "norse": Peer((*_TORCH, "nir==1.0.8", "nirtorch==2.6"), "grid.py", "norse==1.1.0"),
    "spikingjelly": Peer(
        (*_TORCH, "scipy==1.17.1", "matplotlib==3.11.2", "loguru==0.7.3", "tqdm==4.70.1"),
        "grid.py",
        "spikingjelly==2.0.0",
    ),
    "brian2": Peer(("brian2==2.9.0", "numpy==2.3.5", "setuptools==80.9.0"), "brian2_cells.py"),
    "heyoka": Peer(("heyoka==7.13.2", "numpy==2.4.6"), "heyoka_cells.py"),
    "neuron": Peer(("neuron==9.0.2", "numpy==2.4.6"), "neuron_cells.py"),
    "jaxsnn": Peer(("jaxsnn==0.3.0", "jax==0.10.2", "optax==0.2.8"), "jaxsnn_yinyang.py"),
    "eventax": Peer(
        ("eventax==0.1.0", "jax==0.10.2", "diffrax==0.7.2", "optax==0.2.8"), "eventax_yinyang.py"
    ),
}


def install(name, folder):
    """Make the environment of a peer in a folder, unless it is there; the path of its Python.

    Raises
    ------
    WorkerError
        It can not be installed.
    """
    if PEERS[name].shared:
        name = PEERS[name].shared
    peer, environment = PEERS[name], Path(folder) / name
    python, stamp = environment / "bin" / "python", environment / "installed.txt"
    wanted = "\n".join(filter(None, (*peer.requirements, peer.alone)))
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    commands = [[sys.executable, "-m", "venv", str(environment)], [*pip, *peer.requirements]]
    if peer.alone:
        commands.append([*pip, "--no-deps", peer.alone])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
            raise WorkerError(f"{name}: can not be installed: {' '.join(errors)}")
    stamp.write_text(wanted)
    return python


def peer(name, python, **arguments):
    """An optional Worker of a peer's script under its environment's Python."""
    command = [str(python), str(Path(__file__).parent / "peers" / PEERS[name].script)]
    # an empty path: nothing of this project may be imported there
    return Worker(name, [*command, json.dumps(arguments)], {"PYTHONPATH": ""}, optional=True)
