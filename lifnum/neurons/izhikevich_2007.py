"""Izhikevich's simple model of 2007, in units of current."""

from lifnum.neurons.model import Model


def izhikevich_2007(*, time_unit=1.0, max_spikes=1000, **parameters):
    """Izhikevich's neuron in biophysical units (Izhikevich 2007, chapter 8).

    C dv/dt = k (v - v_r) (v - v_t) - u + I + current;  du/dt = a (b (v - v_r) - u);
    dI/dt = -I / tau_s;  v >= v_peak: v -> c, u -> u + d.

    Parameters of a regular-spiking cell: C 100 (pF), k 0.7 (nS/mV), v_r -60, v_t -40, v_peak 35,
    c -50 (mV), a 0.03 (1/ms), b -2 (nS), d 100, current 0 (pA), tau_s 5 (ms).
    """
    return Model(
        name="izhikevich-2007",
        equations={
            "v": "(k*(v - v_r)*(v - v_t) - u + I + current)/C",
            "u": "a*(b*(v - v_r) - u)",
            "I": "-I/tau_s",
        },
        parameters={
            "C": 100.0, "k": 0.7, "v_r": -60.0, "v_t": -40.0, "v_peak": 35.0, "a": 0.03, "b": -2.0,
            "c": -50.0, "d": 100.0, "tau_s": 5.0, "current": 0.0,
        },
        initial={"v": "v_r"},
        input="I",
        threshold=("v", "v_peak"),
        reset={"v": "c", "u": "u + d"},
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)  # fmt: skip
