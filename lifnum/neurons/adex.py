"""The adaptive exponential integrate-and-fire neuron."""

from lifnum.neurons.model import Model


def adex(*, refractory=0.0, time_unit=1.0, max_spikes=1000, **parameters):
    """Adaptive exponential integrate-and-fire neuron (Brette & Gerstner 2005).

    C dv/dt = -g_l (v - E_l) + g_l delta_t exp((v - v_t) / delta_t) - w + I + current;
    tau_w dw/dt = a (v - E_l) - w;  dI/dt = -I / tau_s;  v >= v_peak: v -> v_r, w -> w + b.

    Parameters: C 281 (pF), g_l 30, a 4 (nS); E_l -70.6, v_t -50.4, delta_t 2, v_peak 20,
    v_r -70.6 (mV); tau_w 144, tau_s 5 (ms); b 80.5, current 0 (pA).
    """
    return Model(
        name="adex",
        equations={
            "v": "(g_l*(E_l - v + delta_t*exp((v - v_t)/delta_t)) - w + I + current)/C",
            "w": "(a*(v - E_l) - w)/tau_w",
            "I": "-I/tau_s",
        },
        parameters={
            "C": 281.0, "g_l": 30.0, "E_l": -70.6, "v_t": -50.4, "delta_t": 2.0, "v_peak": 20.0,
            "v_r": -70.6, "a": 4.0, "b": 80.5, "tau_w": 144.0, "tau_s": 5.0, "current": 0.0,
        },
        initial={"v": "E_l"},
        input="I",
        threshold=("v", "v_peak"),
        reset={"v": "v_r", "w": "w + b"},
        refractory=refractory,
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)  # fmt: skip
