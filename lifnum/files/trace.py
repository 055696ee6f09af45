"""Traces: one HDF5 file a run. `TraceWriter` writes it, `Trace` reads it.

Schema 1. Root attributes: ``schema``, ``kind``, ``config`` (JSON: everything that decides the
result), ``seed``, ``run`` (a name that its checkpoints carry), ``data`` (SHA-256 of the data set),
``threads``, ``workers`` (the most runs that went on at once on the machine; 1: times are of a run
alone), ``created``, ``command``, ``cpu``, versions of lifnum, NumPy and Numba.

``epochs/``, ``batches/``   tables: one dataset a column, first axis the row; ``rows`` counts the
    valid ones and is written last, so that a reader never sees half a row. Columns: `EPOCHS`, one
    row an evaluation, and `BATCHES`, one row every few batches.
``weights/{initial,best,last}/<layer>``   (slots, n_pre, n_post), of which ``slot`` names the valid
    one: the other is written first, then the name changes.
``confusion``   (slots, n_classes, n_classes + 1): label, prediction; last column: silent output.
``classes``   (n_classes,): the label in the data that each output neuron stands for. Labels and
    predictions elsewhere in the trace are numbers of output neurons.
``raster/``   spikes of a few test samples: ``time``, ``layer`` (0: input), ``sample``, ``neuron``,
    and ``label``, ``prediction`` of each sample; ``count`` spikes are valid.
``status``   one of `STATUS`.

All datasets are created before single-writer-multiple-reader mode starts, with checksums (HDF5
has its own for the rest, variable-length data aside, of which there is none). A file whose writer
was killed opens only with ``swmr=True``.
"""

import os
import re

from lifnum.files import hdf5

SCHEMA = 1

KIND = "lifnum-trace"

STATUS = ("running", "finished", "interrupted")

# column -> whether it has one value a layer
EPOCHS = {
    "epoch": False,  # epochs done, fractional where evaluated more often
    "learning_rate": False,
    "train_loss": False,
    "train_accuracy": False,
    "validation_loss": False,
    "validation_accuracy": False,
    "test_loss": False,
    "test_accuracy": False,
    "train_spikes": True,  # a sample
    "test_spikes": True,
    "silent": True,  # share of neurons that never spiked in training since the row before
    "capped": True,  # neurons at the cap of spikes, a sample, in training
    "suppressed": True,  # neurons whose next spike the cap suppressed, a sample
    "unresolved": True,  # crossings that the interpolation did not resolve, a sample, in training
    "test_unresolved": True,  # NaN, as in training, where they are not counted
    "steps": True,  # sub-intervals a sample, `Layer.n_steps`
    # duration over steps, in its unit: not less than their mean, for a layer of `Neuron` counts
    # from a sample's first input on; not more than it for a layer of models. See docs/traces.md
    "step_length": True,
    "gradient_norm": True,  # mean over the batches since the row before
    "without_gradient": True,  # spikes that passed no gradient, a sample
    "seconds_training": False,  # since the start of the run
    "seconds_evaluation": False,  # of this row
}

BATCHES = {
    "epoch": False,
    "loss": False,
    "accuracy": False,
    "spikes": True,
    "gradient_norm": True,
}

# columns that traces and checkpoints of earlier versions lack, and that are read as NaN there
ADDED = ("unresolved", "test_unresolved")

_TABLES = {"epochs": EPOCHS, "batches": BATCHES}

# columns that differ between two identical runs
TIMINGS = ("seconds_training", "seconds_evaluation")

RASTER_CAPACITY = 200_000

_CHUNK = 64  # rows


def _refusal(path, error):
    """An OSError of one line that names the file, for what HDF5 says in many."""
    number = re.search(r"errno = (\d+)", str(error))
    number = int(number[1]) if number else getattr(error, "errno", None)
    if number is None:
        return OSError(f"{path}: can not be written ({hdf5.one_line(error)})")
    return OSError(number, f"can not be written: {os.strerror(number)}", str(path))
