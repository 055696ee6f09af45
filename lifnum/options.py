"""What the command lines share: option groups, threads, one-line errors."""

import argparse
import contextlib
import os
import sys
import textwrap
import warnings
from dataclasses import replace
from itertools import product

import numba

from lifnum._version import __version__
from lifnum.cuda import device
from lifnum.data.datasets import NAMES
from lifnum.files.hdf5 import one_line
from lifnum.methods.interpolation import INTERPOLATIONS
from lifnum.methods.propagators import METHODS
from lifnum.network import DEVICES
from lifnum.scheme import GRADIENTS, Scheme, needs_grid

DEFAULT_DT = 1e-3  # seconds, where a grid is needed and none given

# what is wrong with the user's input, rather than with the program
INPUT_ERRORS = (ValueError, FileNotFoundError, IsADirectoryError, PermissionError)


def python():
    """This interpreter as one would call it from here: an environment need not be active."""
    here = os.path.relpath(sys.executable)
    return "python" if here.startswith(os.pardir) else here


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line; its epilog keeps its line breaks."""

    def __init__(self, **options):
        def formatter(prog):
            return argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=96)

        description = textwrap.fill(options.pop("description"), 96)
        super().__init__(formatter_class=formatter, description=description, **options)
        self.add_argument("--version", action="version", version=f"lifnum {__version__}")

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def positive(kind):
    """An argparse type: a number > 0."""

    def parse(text):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not > 0")
        return _storable(value)

    parse.__name__ = f"positive {kind.__name__}"
    return parse


def whole(text):
    """An argparse type: an integer >= 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not >= 0")
    return _storable(value)


def _storable(value):
    """The number, if a trace can hold it."""
    if isinstance(value, int) and value >= 2**63:
        raise argparse.ArgumentTypeError(f"{value} is not below 2^63, {2**63}")
    return value


whole.__name__ = "integer"


def add_scheme(parser):
    group = parser.add_argument_group("scheme", "how the neurons are integrated and differentiated")
    group.add_argument("--method", default="exact", metavar="NAME",
                       help=f"{', '.join(METHODS)} (default: exact)")  # fmt: skip
    group.add_argument("--order", type=int, metavar="N",
                       help="order of ps (Parker-Sochacki), 1 to 32")  # fmt: skip
    group.add_argument("--dt", type=float, metavar="S",
                       help="grid step in seconds (default: 0.001; none for exact, which needs "
                       "no grid)")  # fmt: skip
    group.add_argument("--interpolation", default="dense", metavar="NAME",
                       help=f"spike times inside a step: {', '.join(INTERPOLATIONS)} "
                       "(default: dense)")  # fmt: skip
    group.add_argument("--gradient", metavar="NAME",
                       help=f"{' or '.join(GRADIENTS)} (default: adjusted; piggyback with "
                       "--interpolation none)")  # fmt: skip


def scheme_of(args):
    """The Scheme of parsed options; `DEFAULT_DT` where a grid is needed and none given.

    Raises
    ------
    ValueError
        A value that `Scheme` refuses, or a grid where it could only add rounding errors.
    """
    dt = args.dt
    if dt is None and needs_grid(args.method, args.interpolation):
        dt = DEFAULT_DT
    scheme = Scheme(args.method, args.order, dt, args.interpolation, args.gradient)
    if dt is not None and scheme.gradients_coincide:
        raise ValueError(f"dt is {dt!r}; accepted: none where method is 'exact' and interpolation "
                         "is 'dense', which need no grid")  # fmt: skip
    return scheme


def add_grid(parser, default, gradients=False):
    """Lists of what `add_scheme` takes one of, for `grid`; `default` says what else holds."""
    group = parser.add_argument_group(
        "grid", "every combination of these that there is: orders belong to ps; exact has no grid\n"
        f"step, unless with interpolation none; none has no adjusted gradient (default: {default})",
    )  # fmt: skip
    group.add_argument("--methods", nargs="+", metavar="NAME", help=", ".join(METHODS))
    group.add_argument("--orders", type=int, nargs="+", metavar="N",
                       help="orders of ps (Parker-Sochacki), 1 to 32")  # fmt: skip
    group.add_argument("--dt", type=float, nargs="+", metavar="S", help="grid steps in seconds")
    group.add_argument("--interpolation", nargs="+", metavar="NAME",
                       help=f"spike times inside a step: {', '.join(INTERPOLATIONS)}")  # fmt: skip
    if gradients:
        group.add_argument("--gradient", nargs="+", metavar="NAME", help=" or ".join(GRADIENTS))
    return group


def grid(methods, orders, dts, interpolations, gradients=(None,)):
    """Schemes of the combinations of lists, each once; see `add_grid` for what is left out.

    Raises
    ------
    ValueError
        An unknown name, ps without orders or orders without ps, a number out of its range.
    """
    if orders and "ps" not in methods:
        raise ValueError(f"orders are {orders}; accepted: none where ps is not among the methods")
    schemes = {}
    for method, interpolation, gradient in product(methods, interpolations, gradients):
        if interpolation == "none" and gradient == "adjusted":
            gradient = None
        for order in (orders or (None,)) if method == "ps" else (None,):
            for dt in dts if needs_grid(method, interpolation) else (None,):
                scheme = Scheme(method, order, dt, interpolation, gradient)
                if scheme.gradients_coincide:  # one of them, then
                    scheme = replace(scheme, gradient=gradients[0])
                schemes[scheme] = None
    return list(schemes)


def add_data(parser, default):
    group = parser.add_argument_group("data")
    group.add_argument("--dataset", default=default, metavar="NAME",
                       help=f"{', '.join(NAMES)}, or the path of an NPZ or HDF5 file of spike "
                       f"trains (default: {default or 'that of the run'})")  # fmt: skip
    group.add_argument("--data-dir", metavar="DIR",
                       help="folder of mnist/ and fashion-mnist/ (default: $LIFNUM_DATA, "
                       "else data)")  # fmt: skip
    group.add_argument("--limit-train", type=positive(int), metavar="N",
                       help="use the first N training samples only")  # fmt: skip
    group.add_argument("--limit-test", type=positive(int), metavar="N",
                       help="use the first N test samples only")  # fmt: skip
    return group


def add_threads(group):
    group.add_argument("--threads", type=positive(int), metavar="N",
                       help="results do not depend on it (default: all cores)")  # fmt: skip


def add_device(group):
    group.add_argument("--device", choices=("auto", *DEVICES), default="auto",
                       help="cuda: an NVIDIA GPU (pip install 'lifnum[cuda]'; default: auto, "
                       "which is cpu)")  # fmt: skip


def device_of(args):
    """Device of parsed options: cpu or cuda.

    Raises
    ------
    DeviceError
        cuda was asked for, and no GPU, driver or package is found.
    """
    if args.device == "cuda":
        device.require()
        return "cuda"
    return "cpu"


def set_threads(n, argv=None):
    """Set the number of threads and return it.

    Numba fixes the size of its pool when it is imported. For more threads than that the program
    starts anew, unless it was called from Python (with argv) instead of the command line.
    """
    if n is not None:
        if n > numba.config.NUMBA_NUM_THREADS:
            if argv is not None:
                raise ValueError(
                    f"threads is {n}; accepted here: 1 to {numba.config.NUMBA_NUM_THREADS}"
                )
            os.environ["NUMBA_NUM_THREADS"] = str(n)
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        numba.set_num_threads(n)
    return numba.get_num_threads()


def out_file(text):
    """An argparse type: the path of a file to be written."""
    if os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text} is a folder; accepted: the name of a file")
    return text


def show_warnings_in_one_line():
    def show(message, category, filename, lineno, file=None, line=None):
        print(f"warning: {one_line(message)}", file=sys.stderr)

    warnings.showwarning = show


def run(program, main, argv=None):
    """Exit code of main(argv): one line and 2 for bad input, one line and 1 where a file fails."""
    show_warnings_in_one_line()
    with contextlib.suppress(AttributeError, OSError):  # a stream of another kind
        sys.stdout.reconfigure(errors="backslashreplace")  # a path need not be UTF-8
    try:
        return main(argv)
    except BrokenPipeError:
        return 1
    except INPUT_ERRORS as error:
        print(f"{program}: {one_line(error)}", file=sys.stderr)
        return 2
    except (OSError, ArithmeticError, MemoryError) as error:
        print(f"{program}: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
