"""What an NVIDIA GPU needs around its numerics: is there one, its arrays, sort and sum, its math.

Arrays on the device are CuPy's, which also sorts, scans and sums them, in a fixed order. Under
Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1), for which there is no CuPy, they are NumPy's.
CuPy and numba-cuda are imported only where a GPU is asked for.
"""

import math

import numpy as np
from numba import config

SIMULATED = bool(config.ENABLE_CUDASIM)

INSTALL = "pip install 'lifnum[cuda]'"


class DeviceError(ValueError):
    """No GPU can be used; the message says whether GPU, driver or package is missing."""


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


def argument(array):
    """An array as it may stand inside of a named tuple that is handed to the GPU."""
    if SIMULATED:
        return array
    from numba import cuda

    return cuda.as_cuda_array(array)


def to_device(array):
    """The array on the device; a transfer where it lies on the host."""
    return array_module().asarray(array)


def to_host(array):
    """The array as NumPy's; a transfer where it lies on the device."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def argsort(keys):
    """Order that sorts by the float64 keys, the last one first; ties keep their order."""
    xp = array_module()
    position = xp.arange(len(keys[0]), dtype=np.float64)
    return xp.lexsort(xp.stack([position, *keys]))


def exclusive_sum(counts):
    """Sums of the counts (n,) before each, and of all, int64 (n + 1,)."""
    xp = array_module()
    total = xp.zeros(len(counts) + 1, np.int64)
    total[1:] = xp.cumsum(counts, dtype=np.int64)
    return total


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
