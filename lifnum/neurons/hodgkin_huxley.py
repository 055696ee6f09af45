"""Hodgkin and Huxley's axon."""

from lifnum.neurons.model import Model


def hodgkin_huxley(*, time_unit=1.0, max_spikes=1000, **parameters):
    """Hodgkin-Huxley neuron of the squid's axon (Hodgkin & Huxley 1952), rest at -65 mV.

    C dv/dt = g_na m^3 h (E_na - v) + g_k n^4 (E_k - v) + g_l (E_l - v) + I + current;
    dx/dt = alpha_x (1 - x) - beta_x x for x = m, h, n;  dI/dt = -I / tau_s;
    v rises to v_spike: a spike, and nothing is reset.

    alpha_m = 1 / exprel(-(v + 40) / 10), beta_m = 4 exp(-(v + 65) / 18);
    alpha_h = 0.07 exp(-(v + 65) / 20), beta_h = 1 / (1 + exp(-(v + 35) / 10));
    alpha_n = 0.1 / exprel(-(v + 55) / 10), beta_n = 0.125 exp(-(v + 65) / 80).

    Parameters: C 1 (uF/cm^2); g_na 120, g_k 36, g_l 0.3 (mS/cm^2); E_na 50, E_k -77, E_l -54.387,
    v_spike 0 (mV); tau_s 5 (ms); current 0 (uA/cm^2). It starts at v = -65,
    with the gates that belong to it.
    """
    return Model(
        name="hodgkin-huxley",
        equations={
            "v": "(g_na*m**3*h*(E_na - v) + g_k*n**4*(E_k - v) + g_l*(E_l - v) + I + current)/C",
            "m": "(1 - m)/exprel(-(v + 40)/10) - 4*m*exp(-(v + 65)/18)",
            "h": "0.07*(1 - h)*exp(-(v + 65)/20) - h/(1 + exp(-(v + 35)/10))",
            "n": "0.1*(1 - n)/exprel(-(v + 55)/10) - 0.125*n*exp(-(v + 65)/80)",
            "I": "-I/tau_s",
        },
        parameters={
            "C": 1.0, "g_na": 120.0, "g_k": 36.0, "g_l": 0.3, "E_na": 50.0, "E_k": -77.0,
            "E_l": -54.387, "v_spike": 0.0, "tau_s": 5.0, "current": 0.0,
        },
        initial={"v": -65.0, "m": 0.05293248525725, "h": 0.59612075350846, "n": 0.31767691406070},
        input="I",
        threshold=("v", "v_spike"),
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)  # fmt: skip
