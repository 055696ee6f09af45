"""Traub and Miles' pyramidal cell, one compartment."""

from lifnum.neurons.model import Model


def traub_miles(*, time_unit=1.0, max_spikes=1000, **parameters):
    """Hodgkin-Huxley neuron with the rates of Traub & Miles 1991, as in Stewart & Bair 2009.

    C dv/dt = g_na m^3 h (E_na - v) + g_k n^4 (E_k - v) + g_l (E_l - v) + I + current;
    dx/dt = alpha_x (1 - x) - beta_x x for x = m, h, n;  dI/dt = -I / tau_s;
    v rises to v_spike: a spike, and nothing is reset. With x = v + 63:

    alpha_m = 0.32 (13 - x) / (e^((13 - x)/4) - 1), beta_m = 0.28 (x - 40) / (e^((x - 40)/5) - 1);
    alpha_h = 0.128 e^((17 - x)/18), beta_h = 4 / (1 + e^((40 - x)/5));
    alpha_n = 0.032 (15 - x) / (e^((15 - x)/5) - 1), beta_n = 0.5 e^((10 - x)/40).

    Parameters: C 200 (pF); g_na 20000, g_k 6000, g_l 10 (nS); E_na 50, E_k -90, E_l -65, v_spike 0
    (mV); tau_s 5 (ms); current 0 (pA). It starts at v = -65, with the gates that belong to it.
    """
    return Model(
        name="traub-miles",
        equations={
            "v": "(g_na*m**3*h*(E_na - v) + g_k*n**4*(E_k - v) + g_l*(E_l - v) + I + current)/C",
            "m": "1.28*(1 - m)/exprel((-50 - v)/4) - 1.4*m/exprel((v + 23)/5)",
            "h": "0.128*(1 - h)*exp((-46 - v)/18) - 4*h/(1 + exp((-23 - v)/5))",
            "n": "0.16*(1 - n)/exprel((-48 - v)/5) - 0.5*n*exp((-53 - v)/40)",
            "I": "-I/tau_s",
        },
        parameters={
            "C": 200.0, "g_na": 20000.0, "g_k": 6000.0, "g_l": 10.0, "E_na": 50.0, "E_k": -90.0,
            "E_l": -65.0, "v_spike": 0.0, "tau_s": 5.0, "current": 0.0,
        },
        initial={"v": -65.0, "m": 0.0097324045164, "h": 0.9975610872011, "n": 0.02707447895728},
        input="I",
        threshold=("v", "v_spike"),
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)  # fmt: skip
