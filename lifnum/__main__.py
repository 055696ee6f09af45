"""python -m lifnum: the programs and what each is for."""

import sys

from lifnum import options

PROGRAMS = """\
programs, each with --help:

  python -m lifnum.train              train a network, and keep a trace of the run
  python -m lifnum.sweep              train one for every combination of methods, steps, seeds
  python -m lifnum.evaluate           trained networks under their own or other schemes
  python -m lifnum.simulate           one neuron by equations: spikes, error of a scheme, figure
  python -m lifnum.audit              what a grid step does to a network of another framework
  python -m lifnum.analysis.training  draw runs: accuracy, loss and spikes over epochs
  python -m lifnum.analysis.study     summarise a folder of runs, as a table or one file
  python -m lifnum.analysis.figures   one figure of such a study, or of a single neuron
  python -m lifnum.analysis.report    one page with all figures and tables of a study
  python -m lifnum.analysis.benchmark how fast all this is, here"""


def main(argv=None):
    p = options.Parser(
        prog="python -m lifnum",
        description="Spiking networks integrated by the numerical method of your choice.",
        epilog=PROGRAMS,
    )
    p.parse_args(argv)
    p.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(options.run("lifnum", main))
