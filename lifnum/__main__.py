"""python -m lifnum: the programs and what each is for."""

import sys

from lifnum import options

PROGRAMS = """\
programs, each with --help:

  python -m lifnum.train      train a network, and keep a trace of the run
  python -m lifnum.sweep      train one for every combination of methods, steps, seeds, data sets
  python -m lifnum.evaluate   trained networks on a test set, under their own or other schemes
  python -m analysis.training draw runs: accuracy, loss and spikes over epochs
  python -m analysis.results  summarise a folder of runs, as tables or for the figures
  python -m analysis.report   one page with all figures and tables of a folder of runs"""


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
