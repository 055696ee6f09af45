"""The figures, a file each, named after what it shows. Their numbers stand in `FIGURES`.

A figure's docstring is its title and, after an empty line, what there is to look at: the caption in
the report and the description in --help. It defines ``draw(study, **options)``, which returns a
`drawing.Drawing` or raises `results.NoData`; without the parameter ``study`` where it reads none.
If it has options, ``OPTIONS`` lists them: (flag, settings for add_argument). If it shows one data
set of several, ``datasets(study)`` lists those that it can show.
"""

import inspect
from importlib import import_module

# figures 1, 2, ... A new one is a file here and a line there.
FIGURES = (
    "neuron",
    "split",
    "transfer",
    "cost",
    "trained",
    "interpolation",
    "gradients",
)


def modules():
    """The modules of `FIGURES`, in this order."""
    return [import_module(f".{name}", __name__) for name in FIGURES]


def texts(module):
    """(title, caption) of a figure."""
    title, caption = module.__doc__.strip().split("\n\n", 1)
    return title.rstrip("."), " ".join(caption.split())


def options_of(module):
    """{name: (flag, settings)} of a figure's options."""
    return {flag.strip("-"): (flag, settings) for flag, settings in getattr(module, "OPTIONS", ())}


def reads(module):
    """Whether a figure is drawn from a study."""
    return "study" in inspect.signature(module.draw).parameters
