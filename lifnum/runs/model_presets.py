"""Entries of the presets of models by equations, and their schemes; all tuned here.

Time constants of these neurons are milliseconds, and so are windows and durations. Weights add to
the input current, in the model's own unit: one of 1 mV/ms is 1 for Izhikevich's neuron and that of
Hodgkin and Huxley, and 281 pA for adex, whose capacitance is 281 pF.
"""

from lifnum.neurons import models
from lifnum.runs.neurons import TIME_UNIT
from lifnum.scheme import Scheme

_YINYANG = {
    "dataset": "yinyang",
    "max_spikes": (1,),
    "duration": 0.03,
    "window": 0.015,
    "batch_size": 32,
    "lr_decay": 0.93,
    "loss": "ttfs",
    "loss_options": {"tau_loss": 6e-4},
    "validation_share": 0.1,
}

# a current drives all hidden neurons to a spike, which the inputs make earlier or later: then its
# time is a smooth function of them, as it is not near the edge between a spike and none
_DIGITS = {
    "dataset": "digits",
    "max_spikes": (1,),
    "batch_size": 20,
    "lr_decay": 0.82,
    "loss": "ttfs",
    "validation_share": 0.1,
}

ENTRIES = {
    "yinyang-qif": _YINYANG
    | {
        # the output's scale of v puts the weights of both layers on one, for one rate
        "neuron": (
            models.qif(time_unit=TIME_UNIT),
            models.qif(time_unit=TIME_UNIT, v_c=8.0, tau=80.0, v_peak=80.0, v_reset=-8.0),
        ),
        "hidden": (100,),
        "weights": (("normal", 0.12, 0.15), ("normal", 0.35, 0.35)),
        "learning_rate": 6e-3,
        "epochs": 25,
    },
    "digits-izhikevich": _DIGITS
    | {
        "neuron": (
            models.izhikevich(time_unit=TIME_UNIT, current=10.0),
            models.izhikevich(time_unit=TIME_UNIT),
        ),
        "hidden": (300,),
        "window": 0.002,
        "duration": 0.014,
        "weights": (("uniform", -2.5, 2.9), ("uniform", -1.0, 3.0)),
        "learning_rate": 0.012,
        "epochs": 12,
        "loss_options": {"tau_loss": 2e-4},
    },
    # the same in picoampere; where the exponential is softer, and ends before it grows faster than
    # a step can tell
    "digits-adex": _DIGITS
    | {
        "neuron": (
            models.adex(time_unit=TIME_UNIT, delta_t=5.0, v_peak=-35.0, current=2800.0),
            models.adex(time_unit=TIME_UNIT, delta_t=5.0, v_peak=-35.0),
        ),
        "hidden": (200,),
        "window": 0.003,
        "duration": 0.018,
        "weights": (("uniform", -560.0, 670.0), ("uniform", -280.0, 700.0)),
        "learning_rate": 4.0,
        "epochs": 8,
        "loss_options": {"tau_loss": 3e-4},
    },
    "yinyang-hodgkin-huxley": _YINYANG
    | {
        "neuron": (
            models.hodgkin_huxley(time_unit=TIME_UNIT, current=8.0),  # as in digits
            models.hodgkin_huxley(time_unit=TIME_UNIT),
        ),
        "hidden": (80,),
        "weights": (("normal", 1.5, 3.0), ("normal", 0.9, 0.9)),
        "window": 0.004,
        "duration": 0.014,
        "learning_rate": 0.04,
        "lr_decay": 0.84,
        "epochs": 5,  # at this rate the next one falls back, for every seed
        "loss_options": {"tau_loss": 2e-4},
    },
}

SCHEMES = {
    "yinyang-qif": Scheme("rk4", dt=1e-3, interpolation="linear"),
    "digits-izhikevich": Scheme("rk4", dt=5e-4, interpolation="linear"),
    "digits-adex": Scheme("rk4", dt=5e-4),  # chords to where its upstroke ends say little
    "yinyang-hodgkin-huxley": Scheme("exponential-euler", dt=2.5e-4, interpolation="linear"),
}
