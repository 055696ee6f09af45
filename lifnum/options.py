"""What the command lines share: option groups, threads, one-line errors."""

import argparse
import contextlib
import os
import shlex
import shutil
import sys
import textwrap
import warnings
from dataclasses import replace
from itertools import product

import numba

from lifnum import fields
from lifnum._version import __version__
from lifnum.cuda import device
from lifnum.data.datasets import DATASETS
from lifnum.fields import positive, whole
from lifnum.files.hdf5 import one_line
from lifnum.network import DEVICES
from lifnum.runs.configuration import DEFAULT_DT, Configuration, scheme_of
from lifnum.scheme import LIMITS, SURROGATE_OPTIONS, Scheme, needs_grid

# what other programs ask for here
__all__ = ["DEFAULT_DT", "positive", "scheme_of", "whole"]

# what is wrong with the user's input, rather than with the program
INPUT_ERRORS = (ValueError, FileNotFoundError, IsADirectoryError, PermissionError)


def python():
    """This interpreter as one would call it from here: an environment need not be active."""
    here = os.path.relpath(sys.executable)
    if not here.startswith(os.pardir):
        return here
    active = os.path.dirname(shutil.which("python") or "")
    return "python" if active == os.path.dirname(sys.executable) else shlex.quote(sys.executable)


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


def add_scheme(parser):
    group = parser.add_argument_group("scheme", "how the neurons are integrated and differentiated")
    shown = {"dt": "0.001; none for exact, which needs no grid",
             "gradient": "adjusted; piggyback with --interpolation none"}  # fmt: skip
    for name, one in fields.options_of(Scheme).items():
        # what is not given, is as the preset says
        default = shown.get(name, one.metadata.get("shown", one.default))
        fields.add(group, one, default=None, shown=default)


def add_grid(parser, default, gradients=False):
    """Lists of what `add_scheme` takes one of, for `grid`; `default` says what else holds.

    Only with `gradients` those of gradients, and tolerances, which no file of rows has a place for.
    """
    more = "; slopes belong to surrogate, that to none" if gradients else ""
    group = parser.add_argument_group(
        "grid", "every combination of these that there is: orders belong to ps; exact has no grid\n"
        f"step, unless with interpolation none; none has no adjusted gradient{more}\n"
        f"(default: {default})",
    )  # fmt: skip
    plural = {"method": "methods", "order": "orders"}
    for name, one in fields.options_of(Scheme).items():
        if gradients or name not in ("gradient", "tolerance", *LIMITS, *SURROGATE_OPTIONS):
            fields.add(group, one, plural.get(name, name), nargs="+")
    return group


def gradients_of(args):
    """The gradients of `grid`, as arguments of Scheme, of the options of `add_grid`.

    Raises
    ------
    ValueError
        Options of surrogate where that is not among the gradients.
    """
    given = {name: getattr(args, name) for name in SURROGATE_OPTIONS}
    gradients = args.gradient or [None]
    if "surrogate" not in gradients:
        for name, values in given.items():
            if values:
                raise ValueError(
                    f"{name} is {values}; accepted: none where surrogate is not among the gradients"
                )
    found = []
    for gradient in gradients:
        if gradient != "surrogate":
            found.append({"gradient": gradient})
            continue
        lists = [given["surrogate"] or ["fast-sigmoid"], given["slope"] or [None]]
        for name, slope in product(*lists):
            found.append({"gradient": gradient, "surrogate": name, "slope": slope,
                          "reset_gradient": bool(given["reset_gradient"])})  # fmt: skip
    return found


def limits_of(args):
    """What further spikes in a step do for `grid`, of the options of `add_grid`.

    Returns
    -------
    dict
        Arguments of Scheme, a list under interpolation ``none`` and one under ``others``.
    """
    return {
        "none": [{"overshoot": one} for one in args.overshoot or ["again"]],
        "others": [{"spikes_per_step": n} for n in args.spikes_per_step or [None]],
    }


def _check_limits(limits, interpolations):
    """Refuse limits that belong to no interpolation that there is."""
    for name, key, needed in (
        ("overshoot", "none", {"none"}), ("spikes_per_step", "others", {"dense", "linear"}),
    ):  # fmt: skip
        given = [one.get(name, LIMITS[name]) for one in limits[key]]
        if given != [LIMITS[name]] and not needed & set(interpolations):
            raise ValueError(
                f"{name} is {given}; accepted: no such option where no interpolation is "
                f"{' or '.join(sorted(needed))}"
            )


def grid(methods, orders, dts, interpolations, gradients=({},), limits=None, tolerances=None):
    """Schemes of the combinations of lists, each once; see `add_grid` for what is left out.

    gradients, limits: arguments of Scheme, as `gradients_of` and `limits_of` give.

    Raises
    ------
    ValueError
        An unknown name, ps without orders and tolerances or these without ps, a number out of its
        range, or no combination that there is.
    """
    for name, values in (("orders", orders), ("tolerances", tolerances)):
        if values and "ps" not in methods:
            where = "where ps is not among the methods"
            raise ValueError(f"{name} are {values}; accepted: none {where}")
    series = [{"order": order} for order in orders or ()]
    series += [{"tolerance": tolerance} for tolerance in tolerances or ()]
    limits = limits or {"none": [{}], "others": [{}]}
    _check_limits(limits, interpolations)
    schemes = {}
    for method, interpolation, gradient in product(methods, interpolations, gradients):
        kind = gradient.get("gradient")
        if kind == "surrogate" and interpolation != "none":
            continue
        if kind == "adjusted" and interpolation == "none":
            gradient = {}
        for one in (series or ({},)) if method == "ps" else ({},):
            here = limits["none" if interpolation == "none" else "others"]
            for limit, dt in product(here, dts):
                if not needs_grid(method, interpolation, limit.get("spikes_per_step")):
                    dt = None
                if kind == "surrogate" and limit not in ({}, {"overshoot": "again"}):
                    continue
                how = one | gradient | limit
                scheme = Scheme(method, dt=dt, interpolation=interpolation, **how)
                if scheme.gradients_coincide:  # one of them, then
                    first = next(g for g in gradients if g.get("gradient") != "surrogate")
                    scheme = replace(scheme, **{"gradient": None} | first)
                schemes[scheme] = None
    if not schemes:
        raise ValueError(
            f"interpolation is {interpolations}; accepted: none among them for gradient 'surrogate'"
        )
    return list(schemes)


def arguments(values):
    """The command line that says these values, by name of the option; None is not said."""
    given = {f"--{name.replace('_', '-')}": value for name, value in values.items()}
    return [
        flag if value is True else f"{flag}={value}"
        for flag, value in given.items()
        if value is not None and value is not False
    ]


def add_data(parser, default):
    group = parser.add_argument_group("data")
    group.add_argument("--dataset", default=default, metavar="NAME",
                       help=f"{', '.join(DATASETS)}, or the path of an NPZ or HDF5 file of spike "
                       "trains or of a CSV file of numbers "
                       f"(default: {default or 'that of the run'})")  # fmt: skip
    group.add_argument("--data-dir", metavar="DIR",
                       help="folder of mnist/, shd/ and so on (default: $LIFNUM_DATA, else "
                       "data)")  # fmt: skip
    for name in ("limit_train", "limit_test"):
        fields.add(group, fields.options_of(Configuration)[name])
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
