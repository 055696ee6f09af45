"""How kernels are compiled, and where the compiled code is kept.

Numba notices an edit of the file that holds a cached kernel, but not of the files whose functions
the kernel calls. So the cache lies in a folder named after the sources of all files with kernels
and the versions of the compiler: a kernel can only be served to the sources it was compiled from.
(Files with kernels import from each other only.)

Python calls a loop on all threads through `_Threaded`, which knows what the threads of a process
can not do.
"""

import atexit
import contextlib
import functools
import gc
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import llvmlite
import numba
from numba.core import cgutils, config, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, typeof_impl
from numba.np.ufunc import parallel

# turns that a thread of GNU OpenMP waits for the next loop before it sleeps: its own default,
# 300,000, takes the core from other programs, and from those threads that are waited for
SPIN = 10_000

KEEP_SECONDS = 30 * 86400  # folders of other sources, unused for that long, are removed


def sources_digest(folder, versions):
    """Hash of the sources in a folder that hold kernels, and of the versions; a short string."""
    digest = hashlib.sha256(repr(versions).encode())
    for path in sorted(Path(folder).rglob("*.py")):
        source = path.read_bytes()
        if b"kernel" in source:
            digest.update(f"{path.relative_to(folder)}\0".encode() + source + b"\0")
    return digest.hexdigest()[:16]


def _load_openmp():
    """Load GNU OpenMP so that its threads spin for `SPIN`, unless the user has said how they wait.

    It reads the environment when it is loaded, and other copies of it, or child processes, are not
    to find our setting there.
    """
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        return
    if config.THREADING_LAYER in ("tbb", "workqueue"):
        return
    os.environ["GOMP_SPINCOUNT"] = str(SPIN)
    try:
        from numba.np.ufunc import omppool  # noqa: F401
    except ImportError:
        pass  # Numba then has another pool
    finally:
        del os.environ["GOMP_SPINCOUNT"]


_load_openmp()


def _cache_folder():
    """Folder of the compiled kernels; None where no folder at all can be written."""
    # kernels that check every index are others
    versions = (sys.version_info[:3], numba.__version__, llvmlite.__version__, config.BOUNDSCHECK)
    folder = f"kernels-{sources_digest(Path(__file__).parent, versions)}"
    try:
        root = os.environ.get("NUMBA_CACHE_DIR") or (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lifnum"
        )
        path = Path(root, folder)
        path.mkdir(parents=True, exist_ok=True)
        os.utime(path)
        tempfile.TemporaryFile(dir=path).close()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        return _temporary_folder(error)
    with contextlib.suppress(OSError):
        for other in Path(root).glob("kernels-*"):
            if time.time() - other.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    return str(path)


def _temporary_folder(reason):
    """A folder of this process alone: what others could write to is nothing to load code from."""
    reason = " ".join(str(reason).split())
    try:
        folder = tempfile.mkdtemp(prefix="lifnum-")
    except OSError:
        folder = None
    else:
        process = os.getpid()
        atexit.register(lambda: os.getpid() == process and shutil.rmtree(folder, True))
    warnings.warn(
        f"compiled kernels can not be kept ({reason}): every start compiles anew; accepted: a "
        "folder that can be written in NUMBA_CACHE_DIR",
        stacklevel=2,
    )
    return folder


CACHE_FOLDER = _cache_folder()


class _InnerLibrary(JITCodeLibrary):
    """The code of a kernel that is only linked into others: optimised and made machine code there.

    Else every level of calls does both once more.
    """

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _Compiler(Compiler):
    """Numba's compiler, in four fifths of its time: the kernels are as fast, to the bit the same.

    LLVM at its first level, for what matters is vectors already (`lifnum.kernels.vectors`); no
    garbage collection, which costs a fifteenth and finds nothing.
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


class _InnerCompiler(_Compiler):
    """The compiler of what other kernels call: nothing that Python could call."""

    def __init__(self, typing_context, target_context, library, *arguments):
        library = _InnerLibrary(target_context.codegen(), "inner")
        super().__init__(typing_context, target_context, library, *arguments)

    def compile_extra(self, function):
        flags = self.state.flags
        flags.no_compile = flags.no_cpython_wrapper = True
        result = super().compile_extra(function)
        name = object()  # by which the compiler of a caller finds it
        self.state.targetctx.insert_user_function(name, result.fndesc, [result.library])
        return result._replace(entry_point=name)


def _compiled(function, **options):
    previous, config.CACHE_DIR = config.CACHE_DIR, CACHE_FOLDER
    options = {"error_model": "numpy", "no_cfunc_wrapper": True, **options}
    try:
        return numba.njit(
            pipeline_class=_Compiler, cache=CACHE_FOLDER is not None, **options
        )(function)  # fmt: skip
    finally:
        config.CACHE_DIR = previous


def _kernel(function, **options):
    """A compiled function, of which other kernels have a form of their own.

    That is compiled once for numbers of a type, whether they are literals or not.
    """
    outer = _compiled(function, **options)
    inner = numba.njit(
        pipeline_class=_InnerCompiler, error_model="numpy", no_cfunc_wrapper=True, **options
    )(function)  # fmt: skip

    def add_overload(result):
        inner.overloads[tuple(result.signature.args)] = result

    def get_call_template(arguments, keywords):
        return template(tuple(map(types.unliteral, arguments)), keywords)

    template, inner.add_overload = inner.get_call_template, add_overload
    outer.get_call_template, outer.get_overload = get_call_template, inner.get_overload
    return outer


def kernel(function):
    """Compile a function that allocates nothing; never with fastmath.

    Without Numba's reference counting: its atomic increments cost more than a propagator.
    """
    return _kernel(function, _nrt=False)


def inlined_kernel(function):
    """A `kernel` for the innermost loops: a call with 30 arguments costs as much as its work."""
    return _kernel(function, _nrt=False, forceinline=True)


def allocating_kernel(function):
    """A `kernel` that makes arrays, for itself or for the kernel that calls it."""
    return _kernel(function)


class _Threads:
    """What loops on all threads ask of the process: entered around each."""

    def __init__(self):
        self._lock = threading.Lock()
        self._turn = None  # the lock where one Python thread at a time may run such a loop
        self._lost = False  # whether this is a forked child without its parent's threads
        self.free = False  # whether they are there, and any Python thread may use them
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self):
        if not parallel._is_initialized:
            return
        if numba.threading_layer() == "omp":
            from numba.np.ufunc import omppool

            self._lost = omppool.openmp_vendor == "GNU"
        self._lock, self._turn, self.free = threading.Lock(), None, False

    def _start(self):
        parallel._launch_threads()
        alone = numba.threading_layer() == "workqueue"
        self._turn = self._lock if alone else contextlib.nullcontext()
        self.free = not alone

    def __enter__(self):
        if self._lost:
            raise RuntimeError(
                "this process was forked from one that has simulated, without the threads of that; "
                "accepted: multiprocessing.get_context('spawn'), or a fork before all simulations"
            )
        if self._turn is None:
            self._start()
        self._turn.__enter__()

    def __exit__(self, *_):
        self._turn.__exit__(None, None, None)


_threads = _Threads()


def entry_point(function, *examples):
    """A kernel as Python calls it, for arguments of the types of the examples, which it trusts.

    Numba is slow to look at the types of named tuples and of read-only arrays.
    """
    signature = tuple(numba.typeof(example) for example in examples)
    function.compile(signature)
    return function.overloads[signature].entry_point


class _Threaded:
    """A compiled function with loops on all threads, as Python calls it."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.compiled = _compiled(function, parallel=True)

    def __call__(self, *arguments):
        if _threads.free:
            return self.compiled(*arguments)
        with _threads:
            return self.compiled(*arguments)

    def for_types_of(self, *examples):
        """What takes arguments of the types of the examples, and does not look at their types.

        Numba needs as long to look at a few named tuples of arrays as a small layer to simulate.
        """
        compiled = entry_point(self.compiled, *examples)

        def run(*arguments):
            if _threads.free:
                return compiled(*arguments)
            with _threads:
                return compiled(*arguments)

        return run


@typeof_impl.register(_Threaded)
def _type_of_threaded(function, context):
    """Kernels call what is compiled."""
    return typeof_impl(function.compiled, context)


def parallel_kernel(function):
    """Compile a function whose prange loops run on all threads.

    Called in a process that was forked after such a loop it raises a RuntimeError.
    """
    return _Threaded(function)


def address_of(function, *examples):
    """Address of a kernel that returns an int64, for arguments of the types of the examples."""
    signature = tuple(numba.typeof(example) for example in examples)
    function.compile(signature)
    compiled = function.overloads[signature]
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    assert address and types.unliteral(compiled.signature.return_type) == types.int64
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


def by_class(kernels):
    """What kernels call as a function of a named tuple and more: the kernel of the tuple's class.

    kernels: {class: kernel}. Which one is decided while the caller is compiled, so that it holds
    no other.
    """

    def stub(tuple_, *arguments):
        return kernels[type(tuple_)](tuple_, *arguments)

    class Choice(AbstractTemplate):
        key = stub

        def generic(self, arguments, keywords):
            chosen = kernels[arguments[0].instance_class]
            template, _, arguments, keywords = chosen.get_call_template(arguments, keywords)
            return template(self.context).apply(arguments, keywords)

        def get_impl_key(self, signature):
            return kernels[signature.args[0].instance_class].get_overload(signature)

    infer_global(stub, types.Function(Choice))
    return stub
