"""The quadratic integrate-and-fire neuron."""

from lifnum.neurons.model import Model


def qif(*, time_unit=1.0, max_spikes=1000, **parameters):
    """Quadratic integrate-and-fire neuron (Ermentrout & Kopell 1986; Latham et al. 2000).

    dv/dt = v (v - v_c) / tau + I + current;  dI/dt = -I / tau_s;  v >= v_peak: v -> v_reset.

    Parameters: tau 10, tau_s 5 (ms); rest is v = 0, v_c 1 is where it runs away, v_peak 10,
    v_reset -1, current 0 (1/ms).
    """
    return Model(
        name="qif",
        equations={"v": "v*(v - v_c)/tau + I + current", "I": "-I/tau_s"},
        parameters={
            "tau": 10.0, "tau_s": 5.0, "v_c": 1.0, "v_peak": 10.0, "v_reset": -1.0, "current": 0.0,
        },
        input="I",
        threshold=("v", "v_peak"),
        reset={"v": "v_reset"},
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)  # fmt: skip
