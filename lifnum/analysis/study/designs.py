"""Studies whose runs are short: one command runs what their table lacks, and answers from it."""

import importlib
from pathlib import Path

from lifnum import options
from lifnum.analysis.options import output
from lifnum.analysis.study import runner
from lifnum.fields import positive

# name -> module with SEEDS, runs(seeds, small), answer(rows), and execute(config) and its MEASURES
# where these are not the runner's, and FIRST_SEED where that is not 0. Where there are no seeds
# SEEDS is None, and seconds(config) is measured at the end. Its figure is in pictures
DESIGNS = {
    "time-constants": "lifnum.analysis.study.time_constants",
    "other-data": "lifnum.analysis.study.other_data",
    "surrogate": "lifnum.analysis.study.surrogate",
    "spike-budget": "lifnum.analysis.study.spike_budget",
    "poster": "lifnum.analysis.study.poster",
    "stewart-bair": "lifnum.analysis.study.stewart_bair",
    "de-alteriis-oddo": "lifnum.analysis.study.de_alteriis_oddo",
    "gradient-noise": "lifnum.analysis.study.gradient_noise",
    "cost": "lifnum.analysis.study.cost",
    "nonlinear": "lifnum.analysis.study.nonlinear",
    "regression": "lifnum.analysis.study.regression",
}


def study_of(name):
    """The module of a study."""
    return importlib.import_module(DESIGNS[name])


def measures_of(study):
    """Columns of its table that are measured."""
    return getattr(study, "MEASURES", runner.MEASURES)


def rows_of(study, path):
    """Rows of a study's table, see `runner.read`."""
    return runner.read(path, measures_of(study))


def parser(name):
    """Options of one study."""
    p = options.Parser(
        prog=f"python -m {__package__} {name}",
        description="Run what the table of this study lacks, and print what it answers. Its "
        f"design is in docs/studies/{name}.md. A stopped study goes on where it was.",
    )
    p.add_argument("--results", type=output(".csv"), metavar="FILE",
                   help=f"table of the runs (default: docs/results/{name}.csv)")  # fmt: skip
    p.add_argument("--figure", type=output(".png", ".pdf", ".svg"), metavar="FILE",
                   help="draw it there")  # fmt: skip
    p.add_argument("--seeds", type=positive(int), metavar="N",
                   help="seeds of runs that train (default: those of the design)")  # fmt: skip
    p.add_argument("--workers", type=positive(int), default=1, metavar="N",
                   help="runs at once, of one thread each (default: 1)")  # fmt: skip
    p.add_argument("--runs", type=positive(int), metavar="N",
                   help="stop after N runs (default: when the table lacks none)")  # fmt: skip
    p.add_argument("--no-runs", action="store_true", help="answer from the table as it is")
    p.add_argument("--no-times", action="store_true",
                   help="of single cells: measure no seconds, for a machine in use")  # fmt: skip
    p.add_argument("--small", action="store_true",
                   help="two seeds of a corner of the design, cut short, which answer nothing; "
                   f"default of --results: runs/{name}-small.csv")  # fmt: skip
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


def main(name, argv):
    """Exit code of one study with these options.

    Raises
    ------
    ValueError
        A table of other columns, or an empty one with --no-runs; the message is one line.
    """
    args = parser(name).parse_args(argv)
    study = study_of(name)
    path = args.results
    if path is None:
        path = Path(f"runs/{name}-small.csv" if args.small else f"docs/results/{name}.csv")
    if not args.no_runs:
        seeds = args.seeds or (2 if args.small else study.SEEDS)
        execute = getattr(study, "execute", runner.execute)
        runs = study.runs(seeds, args.small)
        runner.run_all(runs, path, args.workers, args.quiet, args.runs, execute,
                       measures_of(study))  # fmt: skip
        if study.SEEDS is None and not args.no_times:
            runner.time_all(runs, path, study.seconds, study.MEASURES)
    rows = rows_of(study, path)
    if not rows:
        raise ValueError(f"{path}: has no runs; accepted with --no-runs: a table that has some")
    print("\n".join(study.answer(rows)))
    if args.figure:
        pictures = importlib.import_module("lifnum.analysis.study.pictures")
        pictures.draw(name, rows, args.figure)
        print(f"figure in {args.figure}")
    return 0
