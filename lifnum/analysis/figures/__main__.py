"""python -m lifnum.analysis.figures NAME, or the NUMBER of a figure: one figure as PNG and PDF."""

import sys

from lifnum import options
from lifnum.analysis import style
from lifnum.analysis.figures import modules, options_of, reads, texts
from lifnum.analysis.options import output
from lifnum.analysis.study import results


def parser():
    p = options.Parser(
        prog=f"python -m {__package__}",
        description="Draw one figure, of a study or of a single neuron, as PNG and PDF. FIGURE is "
        "its name or its number; FIGURE --help lists its options.",
    )
    parsers = p.add_subparsers(title="figures", metavar="FIGURE", required=True)
    for number, module in enumerate(modules(), 1):
        name = module.__name__.rpartition(".")[2]
        title, caption = texts(module)
        q = parsers.add_parser(name, aliases=[str(number)], help=title, description=caption)
        q.set_defaults(module=module)
        if reads(module):
            q.add_argument("sources", nargs="*", default=["runs"], metavar="DIR",
                           help="folders of traces and transfer files, or files that "
                           "lifnum.analysis.study made of them (default: runs)")  # fmt: skip
        q.add_argument("--out", type=output("", ".png", ".pdf"), default=f"figure{number}.png",
                       metavar="FILE", help="PNG and PDF of this stem are written (default: "
                       f"figure{number}.png)")  # fmt: skip
        for flag, settings in options_of(module).values():
            q.add_argument(flag, **settings)
    return p


def main(argv=None):
    arguments = vars(parser().parse_args(argv))
    module, out = arguments.pop("module"), arguments.pop("out")
    study = []
    if reads(module):
        study = [results.load(*arguments.pop("sources"))]
        for note in study[0].notes:
            print(note, file=sys.stderr)
    drawing = module.draw(*study, **arguments)
    paths = [out.with_suffix(ending) for ending in (".png", ".pdf")]
    style.save(drawing.figure, *paths)
    print(f"figure in {paths[0]} and {paths[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(options.run(__package__, main))
