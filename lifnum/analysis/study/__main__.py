"""python -m lifnum.analysis.study: traces and transfer files as one file, or as a table."""

import sys
from pathlib import Path

from lifnum import options
from lifnum.analysis.options import output
from lifnum.analysis.study import designs, results, statistics, tables


def parser():
    p = options.Parser(
        prog=f"python -m {__package__}",
        description="Gather a study, a folder of traces and transfer files, in one small file "
        "that all figures can be drawn from, or print its numbers.",
        epilog="A scheme is METHOD@DT[:INTERPOLATION[:GRADIENT]] with dt in seconds: euler@0.01, "
        "ps5@0.05:linear,\nps5@0.01:dense:piggyback, exact.\n\nStudies that are run by one "
        f"command, python -m {__package__} NAME; --help lists its options:\n"
        f"{', '.join(designs.DESIGNS)}.",
    )
    p.add_argument("sources", nargs="+", metavar="DIR", help="folder of *.h5, or an aggregate")
    p.add_argument("--out", type=output(), metavar="FILE", help="write the aggregate there")
    p.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    p.add_argument("--table", action="store_true",
                   help="print means over seeds with 95 %% intervals")  # fmt: skip
    p.add_argument("--compare", nargs=2, action="append", default=[], metavar=("A", "B"),
                   help="print the paired difference A - B of two schemes; "
                   "may be repeated")  # fmt: skip
    return p


def main(argv=None):
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in designs.DESIGNS:
        return designs.main(words[0], words[1:])
    args = parser().parse_args(argv)
    pairs = [tuple(map(statistics.parse_scheme, pair)) for pair in args.compare]
    study = results.load(*args.sources)
    for note in study.notes:
        print(note, file=sys.stderr)
    if args.table and not pairs:
        print("\n".join(tables.table_lines(study)))
    for pair in pairs:
        print("\n".join(tables.comparison_lines(study, *pair)))
    if args.out:
        results.save(study, args.out, args.overwrite)
        print(f"aggregate in {args.out}, {Path(args.out).stat().st_size / 1e6:.2f} MB")
    if not (args.out or args.table or pairs):
        counts = f"{len(study.runs)} runs, {len(study.transfer)} schemes after transfer"
        print(
            f"{' '.join(args.sources)}: {counts}, {len(study.gradients)} comparisons of gradients"
        )
    return 0


if __name__ == "__main__":
    sys.exit(options.run(__package__, main))
