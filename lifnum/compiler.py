"""How kernels are compiled, and where the compiled code is kept.

Numba notices an edit of the file that holds a cached kernel, but not of the files whose functions
the kernel calls. So the cache lies in a folder named after the sources of all files with kernels
and the versions of the compiler: a kernel can only be served to the sources it was compiled from.
(Files with kernels import from each other only.)
"""

import gc
import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

import llvmlite
import numba
from numba.core import cgutils, config, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic

KEEP_SECONDS = 30 * 86400  # folders of other sources, unused for that long, are removed


def sources_digest(folder, versions):
    """Hash of the sources in a folder that hold kernels, and of the versions; a short string."""
    digest = hashlib.sha256(repr(versions).encode())
    for path in sorted(Path(folder).rglob("*.py")):
        source = path.read_bytes()
        if b"kernel" in source:
            digest.update(f"{path.relative_to(folder)}\0".encode() + source + b"\0")
    return digest.hexdigest()[:16]


def _cache_folder():
    root = Path(
        os.environ.get("NUMBA_CACHE_DIR")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lifnum"
    )
    # kernels that check every index are others
    versions = (sys.version_info[:3], numba.__version__, llvmlite.__version__, config.BOUNDSCHECK)
    folder = root / f"kernels-{sources_digest(Path(__file__).parent, versions)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        for other in root.glob("kernels-*"):
            if time.time() - other.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    except OSError:
        pass  # Numba then finds a place of its own, or compiles anew
    return str(folder)


CACHE_FOLDER = _cache_folder()


class _Compiler(Compiler):
    """Numba's compiler, in four fifths of its time: the kernels are as fast, to the bit the same.

    LLVM at its first level, for what matters is vectors already (`lifnum.vectors`); no garbage
    collection, which costs a fifteenth and finds nothing.
    """

    def compile_extra(self, function):
        level, config.OPT = config.OPT, type(config.OPT)(min(config.OPT, 1))
        collecting = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(function)
        finally:
            config.OPT = level
            if collecting:
                gc.enable()


def _compiled(function, **options):
    previous, config.CACHE_DIR = config.CACHE_DIR, CACHE_FOLDER
    try:
        return numba.njit(
            pipeline_class=_Compiler, error_model="numpy", no_cfunc_wrapper=True, **options
        )(function)
    finally:
        config.CACHE_DIR = previous


def kernel(function):
    """Compile a function that allocates nothing; never with fastmath.

    Without Numba's reference counting: its atomic increments cost more than a propagator.
    """
    return _compiled(function, cache=True, _nrt=False)


def inlined_kernel(function):
    """A `kernel` for the innermost loops: a call with 30 arguments costs as much as its work."""
    return _compiled(function, cache=True, _nrt=False, forceinline=True)


def parallel_kernel(function):
    """Compile a function whose prange loops run on all threads."""
    return _compiled(function, cache=True, parallel=True)


def address_of(function, *examples):
    """Address of a kernel that returns an int64, for arguments of the types of the examples."""
    signature = tuple(numba.typeof(example) for example in examples)
    function.compile(signature)
    compiled = function.overloads[signature]
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    assert address and compiled.signature.return_type == types.int64
    return address


@intrinsic
def call(typing_context, address, arguments):
    """Call the kernel at an address, see `address_of`, with a tuple of arguments.

    A kernel that is called by its name is compiled anew into each function that calls it, three
    times where that is a loop on all threads. The types of the arguments are not checked, and an
    exception of the kernel is lost, unless bounds are checked (NUMBA_BOUNDSCHECK=1).
    """

    def generate(context, builder, signature, values):
        convention, kinds = context.call_conv, list(arguments.types)
        kernel_type = convention.get_function_type(types.int64, kinds)
        pointer = builder.inttoptr(values[0], kernel_type.as_pointer())
        unpacked = [builder.extract_value(values[1], k) for k in range(len(kinds))]
        status, result = convention.call_function(builder, pointer, types.int64, kinds, unpacked)
        if config.BOUNDSCHECK:
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
        return result

    return types.int64(address, arguments), generate
