"""On what machine and with which versions a run was made."""

import platform
import sys
import time
from pathlib import Path

import numba
import numpy as np

from lifnum._version import __version__


def environment(threads):
    """Header entries that describe where a run takes place."""
    return {
        "lifnum": __version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
        "cpu": _cpu_model(),
        "threads": threads,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": " ".join(sys.argv).encode(errors="backslashreplace").decode(),
    }


def _cpu_model():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
