"""What an NVIDIA GPU needs around its numerics: is there one, its arrays, kernels and math.

Arrays on the device are CuPy's, which also scans and sums them, in a fixed order. Under
Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1), for which there is no CuPy, they are NumPy's.
CuPy and numba-cuda are imported only where a GPU is asked for.
"""

import math
import re
import tempfile
from pathlib import Path

import numpy as np
from numba import config

from lifnum.errors import DeviceError

SIMULATED = bool(config.ENABLE_CUDASIM)

INSTALL = "pip install 'lifnum[cuda]'"


def require():
    """Raise DeviceError, with one line on what is missing, unless a GPU or the simulator is there.

    Raises
    ------
    DeviceError
    """
    try:
        from numba import cuda

        if SIMULATED:
            return
        import cupy  # noqa: F401
        import numba_cuda  # noqa: F401
    except ImportError as error:
        raise DeviceError(
            f"device is 'cuda', but the package {error.name} is missing; install it with "
            f"{INSTALL}, or use --device cpu"
        ) from None
    try:
        n = len(cuda.gpus)
    except cuda.cudadrv.error.CudaSupportError as error:
        n = 0
        if "NO_DEVICE" not in str(error):
            raise DeviceError(
                "device is 'cuda', but no working NVIDIA driver is found; install the driver of "
                "your GPU (nvidia-smi must list it), or use --device cpu"
            ) from None
    if n == 0:
        raise DeviceError(
            "device is 'cuda', but the NVIDIA driver finds no GPU; install one, or make it "
            "visible (CUDA_VISIBLE_DEVICES), or use --device cpu"
        )


def array_module():
    """CuPy, or NumPy under the simulator."""
    if SIMULATED:
        return np
    import cupy

    return cupy


def to_device(array):
    """The array on the device; a transfer where it lies on the host."""
    return array_module().asarray(array)


def to_host(array):
    """The array as NumPy's; a transfer where it lies on the device, else a copy."""
    return array.get() if hasattr(array, "get") else np.array(array)


def _like(argument):
    """An argument of a kernel of the same type, with NumPy's arrays for CuPy's."""
    if isinstance(argument, tuple):
        parts = map(_like, argument)
        return argument._make(parts) if hasattr(argument, "_make") else tuple(parts)
    is_array = hasattr(argument, "dtype")
    return np.empty((1,) * argument.ndim, argument.dtype) if is_array else argument


def _numbers(argument, numbers):
    """Append an argument to the numbers that a kernel compiled by numba-cuda takes in its place."""
    if isinstance(argument, tuple):
        for part in argument:
            _numbers(part, numbers)
    elif hasattr(argument, "dtype"):  # no owner of the memory, no parent
        numbers += (0, 0, argument.size, argument.itemsize, argument.data.ptr)
        numbers += argument.shape
        numbers += argument.strides
    else:
        numbers.append(argument)


def _types(argument):
    """The types of all arrays in an argument."""
    if isinstance(argument, tuple):
        for part in argument:
            yield from _types(part)
    elif hasattr(argument, "dtype"):
        yield argument.dtype.char


class Kernel:
    """A CUDA function, compiled by numba-cuda, launched by CuPy.

    numba-cuda's own launch looks at every array anew and takes longer, up to 0.4 ms, than most
    kernels do. Arrays are CuPy's, contiguous; all else is int or float, and keeps its type from
    launch to launch.

    Parameters
    ----------
    function : callable
        Of arrays, numbers, and tuples of them.
    """

    def __init__(self, function):
        self.py_func = function
        self._compiled = {}

    def __getitem__(self, grid):
        """What launches it: on that many (blocks, threads of each)."""

        def launch(*arguments):
            types = tuple(_types(arguments))
            numbers = []
            _numbers(arguments, numbers)
            if types not in self._compiled:
                self._compiled[types] = self._compile(arguments, len(numbers))
            self._compiled[types]((grid[0],), (grid[1],), numbers)

        return launch

    def _compile(self, arguments, n_numbers):
        from numba import cuda, typeof

        ptx, _ = cuda.compile_for_current_device(
            self.py_func, tuple(typeof(_like(a)) for a in arguments), device=False, abi="numba"
        )
        name, parameters = re.search(r"\.entry\s+(\w+)\s*\(([^)]*)\)", ptx).groups()
        if parameters.count(".param") != n_numbers:
            raise DeviceError(
                f"numba-cuda compiled {self.py_func.__name__} for {parameters.count('.param')} "
                f"numbers; accepted: a version that takes {n_numbers}"
            )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.ptx"
            path.write_text(ptx)
            return array_module().RawModule(path=str(path)).get_function(name)


def kernel(function):
    """Decorate a CUDA function that the host launches."""
    if not SIMULATED:
        return Kernel(function)
    from numba import cuda

    return cuda.jit(function)


def teach_math():
    """Let numba-cuda compile NumPy's scalar functions that it does not know, as those of math.

    The formulas shared with the CPU are written with NumPy's names, since only these take the
    complex numbers that derivatives are checked with.
    """
    if SIMULATED:
        return
    from numba.cuda.mathimpl import get_unary_impl_for_fn_and_ty
    from numba.cuda.ufuncs import ufunc_db

    def lowering(function):
        def lower(context, builder, sig, args):
            return get_unary_impl_for_fn_and_ty(function, sig.args[0])(context, builder, sig, args)

        return lower

    for name in ("exp", "expm1", "log1p", "sqrt", "ceil"):
        loops = ufunc_db().setdefault(getattr(np, name), {})
        for loop in ("f->f", "d->d"):
            loops.setdefault(loop, lowering(getattr(math, name)))


class Mirror:
    """An array that lives on the host and on the device, and moves when the other side wrote it."""

    def __init__(self, host):
        self._host = host
        self._device = None
        self._ahead = False  # the device's is newer

    @property
    def host(self):
        """The NumPy array, always the same one, up to date; it may be written to."""
        if self._ahead:
            self._host[...] = to_host(self._device)
            self._ahead = False
        return self._host

    @property
    def device(self):
        """The device's array, up to date, to be read."""
        if not self._ahead:
            if self._device is None:
                self._device = array_module().empty(self._host.shape, self._host.dtype)
            if SIMULATED:
                self._device[...] = self._host
            else:
                self._device.set(self._host)
        return self._device

    def written(self):
        """Note that the device's array was written to."""
        self._ahead = True
