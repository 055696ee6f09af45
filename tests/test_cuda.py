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

from lifnum import Network, Neuron, Scheme, cli, device, train
from lifnum.steps import Steps

TESTS = Path(__file__).parent


def has_gpu():
    try:
        device.require()
    except device.DeviceError:
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

    from lifnum import layer_cuda

    f8, i8, i4, u1 = types.float64, types.int64, types.int32, types.uint8

    def array(kind, n_dim):
        return types.Array(kind, n_dim, "C")

    d = typeof(Scheme("ps", 3, 1e-3).dynamics(Neuron(), 0.2, np.dtype(np.float32)))
    times, indices, offsets = array(f8, 1), array(i4, 1), array(i8, 1)
    table = array(f8, 2)
    steps = types.NamedTuple((offsets, offsets, times, offsets, array(u1, 1), table), Steps)
    records = types.NamedTuple(
        (array(f8, 3), array(f8, 3), array(i4, 3), array(f8, 4)), layer_cuda.Records
    )
    counts, flags, w3 = array(i4, 2), array(u1, 2), array(real, 3)
    common = (offsets, indices, array(real, 2), steps)
    before = (d, *common, table, records, counts, offsets, offsets)
    after = (times, w3, table, counts)
    return {
        "build_steps": (d, types.Tuple((times, offsets)), steps),
        "tabulate": (d, steps, types.boolean, table),
        "forward": (d, *common, records, counts, flags, flags, w3),
        "compact": (records, counts, offsets, times, indices, indices),
        "backward_adjusted": (*before, w3, *after),
        "backward_piggyback": (*before, *after),
        "adam": (*(array(real, 1),) * 4, *(f8,) * 6),
        "gather": (times, indices, offsets, offsets, times, indices, offsets),
        "survey": (times, indices, offsets, array(i8, 2), array(i8, 2), table),
    }


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
def test_everything_compiles_to_ptx_without_atomics(compiler, real):
    from numba import types

    from lifnum import layer_cuda

    own = {name for name, f in vars(layer_cuda).items()
           if hasattr(f, "targetoptions") and not f.targetoptions.get("device", False)
           and f.py_func.__module__ == layer_cuda.__name__}  # fmt: skip
    assert own == set(signatures(types.float32))
    for name, signature in signatures(getattr(types, real)).items():
        function = getattr(layer_cuda, name).py_func
        ptx, _ = compiler.compile(
            function, signature, device=False, abi="numba", cc=(9, 0), output="ptx"
        )
        assert ".entry" in ptx
        assert not re.search(r"\s(atom|red)\.", ptx), name


def line_of_refusal(capsys, in_tmp):
    """The one line that --device cuda prints, with exit code 2 and nothing written."""
    assert cli.run("lifnum.train", train.main, ["--device", "cuda", "--epochs", "1"]) == 2
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
