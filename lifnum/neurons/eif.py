"""The exponential integrate-and-fire neuron."""

from lifnum.neurons.model import Model


def eif(*, refractory=0.0, time_unit=1.0, max_spikes=1000, **parameters):
    """Exponential integrate-and-fire neuron (Fourcaud-Trocme et al. 2003).

    C dv/dt = -g_l (v - E_l) + g_l delta_t exp((v - v_t) / delta_t) + I + current;
    dI/dt = -I / tau_s;  v >= v_peak: v -> v_r.

    Parameters: C 1 (uF/cm^2), g_l 0.1 (mS/cm^2); E_l -65, v_t -59.9, delta_t 3.48, v_peak -30,
    v_r -68 (mV); tau_s 5 (ms); current 0 (uA/cm^2).
    """
    return Model(
        name="eif",
        equations={
            "v": "(g_l*(E_l - v + delta_t*exp((v - v_t)/delta_t)) + I + current)/C",
            "I": "-I/tau_s",
        },
        parameters={
            "C": 1.0, "g_l": 0.1, "E_l": -65.0, "v_t": -59.9, "delta_t": 3.48, "v_peak": -30.0,
            "v_r": -68.0, "tau_s": 5.0, "current": 0.0,
        },
        initial={"v": "E_l"},
        input="I",
        threshold=("v", "v_peak"),
        reset={"v": "v_r"},
        refractory=refractory,
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)  # fmt: skip
