"""FitzHugh and Nagumo's oscillator, a spike without a reset."""

from lifnum.neurons.model import Model


def fitzhugh_nagumo(*, time_unit=1.0, max_spikes=1000, **parameters):
    """FitzHugh-Nagumo neuron (FitzHugh 1961).

    dv/dt = v - v^3 / 3 - w + I + current;  tau dw/dt = v + a - b w;  dI/dt = -I / tau_s;
    v rises to v_spike: a spike, and nothing is reset.

    Parameters (of no unit): a 0.7, b 0.8, tau 12.5, tau_s 5, v_spike 1, current 0. It starts at
    its rest without current.
    """
    return Model(
        name="fitzhugh-nagumo",
        equations={
            "v": "v - v**3/3 - w + I + current",
            "w": "(v + a - b*w)/tau",
            "I": "-I/tau_s",
        },
        parameters={
            "a": 0.7, "b": 0.8, "tau": 12.5, "tau_s": 5.0, "v_spike": 1.0, "current": 0.0,
        },
        initial={"v": -1.199408035244035, "w": -0.624260044055044},
        input="I",
        threshold=("v", "v_spike"),
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)  # fmt: skip
