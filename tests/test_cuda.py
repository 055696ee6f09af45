"""CUDA: the results are the CPU's, everything compiles to PTX, and what is missing is said."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from lifnum import Network, Neuron, Scheme, errors, options, train
from lifnum.cuda import device
from lifnum.kernels.steps import Steps
from lifnum.kernels.tiles import Inputs
from lifnum.optimizers import AdamNumbers

TESTS = Path(__file__).parent


def has_gpu():
    try:
        device.require()
    except errors.DeviceError:
        return False
    return True


def test_gpu_and_cpu_agree():
    """Runs on_cuda.py: on the GPU where there is one, else on the simulator."""
    simulator = {} if has_gpu() else {"NUMBA_ENABLE_CUDASIM": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "on_cuda.py"],
        cwd=TESTS, env=os.environ | simulator, text=True, capture_output=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]


def signatures(real):
    """Types of the arguments of every CUDA function, for weights of this type."""
    from numba import typeof, types

    from lifnum.cuda import layout

    f8, i8, i4, u1 = types.float64, types.int64, types.int32, types.uint8

    def array(kind, n_dim):
        return types.Array(kind, n_dim, "C")

    d = typeof(Scheme("ps", 3, 1e-3).dynamics(Neuron(), 0.2, np.dtype(np.float32)))
    times, indices, offsets = array(f8, 1), array(i4, 1), array(i8, 1)
    table = array(f8, 2)
    steps = types.NamedTuple((offsets, offsets, times, offsets, array(u1, 1), table), Steps)
    inputs = types.NamedTuple((times, offsets, indices, array(real, 2), i8), Inputs)
    counts, w3, ranks = array(i4, 2), array(real, 3), array(i8, 1)
    slots = array(f8, 3), array(f8, 3), array(i4, 3), array(f8, 4)
    records = types.NamedTuple((*slots, counts, w3), layout.Records)
    gradient = types.NamedTuple(
        (times, ranks, ranks, table, w3, table, counts), layout.DeviceGradient
    )
    return {
        "build_steps": (d, inputs, steps),
        "tabulate": (d, steps, i8, table),
        "forward": (d, inputs, steps, records, ranks),
        "compact": (records, ranks, times, indices, indices, offsets),
        "arrange": (indices, offsets, times, indices, times, indices, ranks),
        "backward_adjusted": (d, inputs, steps, records, gradient),
        "backward_piggyback": (d, inputs, steps, records, gradient),
        "adam": (*(array(real, 1),) * 4, types.NamedTuple((real,) * 7, AdamNumbers)),
        "gather": (times, indices, offsets, offsets, times, indices, offsets),
        "survey": (times, indices, offsets, array(i8, 2), array(i8, 2), table),
    }


def numbers_of(kind):
    """How many numbers a kernel's launch hands over for an argument of this type."""
    from numba import types

    if isinstance(kind, types.BaseTuple):
        return sum(map(numbers_of, kind))
    if not isinstance(kind, types.Array):
        return 1
    memory = SimpleNamespace(data=SimpleNamespace(ptr=0), dtype=None, size=0, itemsize=0,
                             shape=(0,) * kind.ndim, strides=(0,) * kind.ndim)  # fmt: skip
    numbers = []
    device._numbers(memory, numbers)
    return len(numbers)


@pytest.fixture
def compiler(monkeypatch):
    """Numba-cuda's compiler for compute capability 9.0, which needs no GPU."""
    if find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed")
    from numba import cuda
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv.error import NvvmSupportError
    from numba.cuda.cudadrv.nvvm import NVVM

    try:
        NVVM()
    except NvvmSupportError as error:
        pytest.skip(f"no libnvvm: {error}")
    card = SimpleNamespace(compute_capability=(9, 0))
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: card)
    return cuda


@pytest.mark.parametrize("real", ["float32", "float64"])
def test_everything_compiles_to_ptx_without_atomics_of_real_numbers(compiler, real):
    from numba import types

    from lifnum.cuda import adjoint, forward, optimizers, order

    own = {
        name: kernel.py_func
        for module in (adjoint, forward, optimizers, order)
        for name, kernel in vars(module).items()
        if isinstance(kernel, device.Kernel)
    }
    assert set(own) == set(signatures(types.float32))
    for name, signature in signatures(getattr(types, real)).items():
        function = own[name]
        ptx, _ = compiler.compile(
            function, signature, device=False, abi="numba", cc=(9, 0), output="ptx"
        )
        parameters = re.search(r"\.entry[^(]*\(([^)]*)\)", ptx)[1]
        assert parameters.count(".param") == sum(map(numbers_of, signature)), name
        assert not re.search(r"\s(atom|red)\.\S*f(16|32|64)", ptx), name


@pytest.mark.parametrize("unit", [float, np.float64, int])
def test_kernels_get_the_types_that_they_were_compiled_for(unit):
    """Whatever the user's numbers are: a kernel is not compiled anew for them."""
    from numba import typeof

    scheme, usual = Scheme("ps", np.int64(3), unit(1)), Scheme("ps", 3, 1e-3)
    d = scheme.dynamics(Neuron(unit(1), unit(2), unit(1)), unit(3), np.dtype(np.float32))
    expected = typeof(usual.dynamics(Neuron(), 0.2, np.dtype(np.float32)))
    assert typeof(d) == typeof(device._like(d)) == expected


def line_of_refusal(capsys, in_tmp):
    """The one line that --device cuda prints, with exit code 2 and nothing written."""
    assert options.run("lifnum.train", train.main, ["--device", "cuda", "--epochs", "1"]) == 2
    assert not list(in_tmp.iterdir())
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins for the packages; returns a function that sets how the driver counts GPUs."""
    from numba import cuda

    for name in ("cupy", "numba_cuda"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))

    def count(gpus):
        monkeypatch.setattr(cuda, "gpus", gpus)

    return count


def test_a_missing_package_is_named(monkeypatch, capsys, in_tmp):
    monkeypatch.setitem(sys.modules, "cupy", None)
    line = line_of_refusal(capsys, in_tmp)
    assert "package cupy" in line and "pip install" in line


def test_a_missing_driver_is_named(packages, capsys, in_tmp):
    class Gpus:
        def __init__(self, reason):
            self.reason = reason

        def __len__(self):
            from numba.cuda.cudadrv.error import CudaSupportError

            raise CudaSupportError(self.reason)

    packages(Gpus("CUDA driver library cannot be found."))
    assert "no working NVIDIA driver" in line_of_refusal(capsys, in_tmp)
    packages(Gpus("Call to cuInit results in CUDA_ERROR_NO_DEVICE (100)"))
    assert "finds no GPU" in line_of_refusal(capsys, in_tmp)


def test_a_missing_gpu_is_named(packages, capsys, in_tmp):
    packages([])
    assert "finds no GPU" in line_of_refusal(capsys, in_tmp)


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="accepted: cpu, cuda"):
        Network([(np.ones((1, 1)), Neuron())], Scheme(), 1.0, device="tpu")
