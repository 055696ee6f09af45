"""Modules of the texts of models' functions, and the addresses of what is compiled in them.

Compiled code is cached in a file that is named after the digest of its text.
"""

import hashlib
import os
import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np

from lifnum.compiler import CACHE_FOLDER, address_of
from lifnum.kernels.general import analytical, quiet
from lifnum.kernels.general.engine import Exponential, Series, Stages
from lifnum.kernels.general.source import HEADER
from lifnum.kernels.general.stages import stages

_MODULES = {}


def _write(text):
    """The file that holds a text, in the cache's folder or else in a new one."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    for folder in (Path(CACHE_FOLDER) / "models", None):
        folder = folder or Path(tempfile.mkdtemp(prefix="lifnum-models-"))
        path = folder / f"model_{digest}.py"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != text:
                part = path.with_suffix(f".{os.getpid()}.part")
                part.write_text(text)
                os.replace(part, path)
            return path
        except OSError:
            continue
    raise OSError(f"no folder for compiled models: neither {CACHE_FOLDER} nor a temporary one")


def module_of(text):
    """The module of a text of ours: its functions, not compiled yet."""
    if text not in _MODULES:
        path = _write(text)
        name = f"lifnum._compiled.{path.stem}"
        spec = spec_from_file_location(name, path)
        module = module_from_spec(spec)
        sys.modules[name] = module
        # the text that was just made, whatever lies in the file by now
        exec(compile(text, str(path), "exec"), module.__dict__)
        _MODULES[text] = module
    return _MODULES[text]


_VECTOR, _MATRIX = np.empty(1), np.empty((1, 1))

EXAMPLES = {
    "field": (_VECTOR, _VECTOR, _VECTOR),
    "field_along": (_VECTOR, _VECTOR, _VECTOR, _VECTOR),
    "field_transpose": (_VECTOR, _VECTOR, _VECTOR, _VECTOR),
    "diagonal": (_VECTOR, _VECTOR, _VECTOR),
    "diagonal_transpose": (_VECTOR, _VECTOR, _VECTOR, _VECTOR),
    "reset": (_VECTOR, _VECTOR, _VECTOR),
    "reset_transpose": (_VECTOR, _VECTOR, _VECTOR, _VECTOR),
    "expand": (_VECTOR, _VECTOR, 1.0, 1, 1.0, _MATRIX, np.empty(1, np.int64)),
    "jacobian_term": (_VECTOR, _MATRIX, 1, 1.0),
    "flow_alone": (_VECTOR, _VECTOR, 1.0, _VECTOR, _VECTOR),
    "rate_alone": (_VECTOR, _VECTOR, 1.0, _VECTOR),
    "root_alone": (_VECTOR, _VECTOR, 1.0, 1.0, 1.0, _VECTOR, _VECTOR),
    "pull_alone": (_VECTOR, _VECTOR, 1.0, _VECTOR, _VECTOR),
    "moves_alone": (_VECTOR, _VECTOR, 1.0, _VECTOR, _VECTOR, _VECTOR, _VECTOR),
}


def address_in(module, name):
    """Address of a function of a module of `module_of`, compiled."""
    return address_of(getattr(module, name), *EXAMPLES[name])


def address(source, name):
    """Address of one of a model's functions, compiled."""
    return address_in(module_of(HEADER + source.text), name)


def vectors(source, model, e):
    """The module of `quiet.text` for a model and an engine."""
    method = {
        Stages: (quiet.STAGES, lambda: stages(e.n, e.v, e.a, e.b)),
        Series: (quiet.SERIES, lambda: quiet.series(e.n, e.v, e.entries)),
        Exponential: (quiet.EXPONENTIAL, lambda: quiet.exponential(e.n, e.v)),
    }
    names, text = method[type(e)]
    walks = e.n, max(1, len(source.slots)), e.v, model.input_indices, e.gate >= 0
    return module_of(quiet.text(_name(source), names, walks, text()))


def analytical_vectors(source, model):
    """The module of `analytical.text` for a model."""
    sizes = source.n, max(1, len(source.slots))
    return module_of(analytical.text(_name(source), *sizes, model.input_indices, source.entries))


def _name(source):
    """Of the module of a model's functions."""
    return module_of(HEADER + source.text).__name__.rpartition(".")[2]
