"""The leaky integrate-and-fire neuron with conductances."""

from lifnum.neurons.model import Model


def lif_coba(*, refractory=0.0, time_unit=1.0, max_spikes=1000, **parameters):
    """Conductance-based leaky integrate-and-fire neuron (Vogels & Abbott 2005; Brette et al. 2007).

    tau dv/dt = (E_l - v) + ge (E_e - v) + gi (E_i - v) + current;  dge/dt = -ge / tau_e;
    dgi/dt = -gi / tau_i;  v >= v_t: v -> v_r. Weights w >= 0 add to ge, others add -w to gi.

    Parameters: tau 20, tau_e 5, tau_i 10 (ms); E_l -60, E_e 0, E_i -80, v_t -50, v_r -60 (mV);
    current 0 (mV). Conductances are in units of the leak's.
    """
    return Model(
        name="lif-coba",
        equations={
            "v": "(E_l - v + ge*(E_e - v) + gi*(E_i - v) + current)/tau",
            "ge": "-ge/tau_e",
            "gi": "-gi/tau_i",
        },
        parameters={
            "tau": 20.0, "tau_e": 5.0, "tau_i": 10.0, "E_l": -60.0, "E_e": 0.0, "E_i": -80.0,
            "v_t": -50.0, "v_r": -60.0, "current": 0.0,
        },
        initial={"v": "v_r"},
        input=("ge", "gi"),
        threshold=("v", "v_t"),
        reset={"v": "v_r"},
        refractory=refractory,
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)  # fmt: skip
