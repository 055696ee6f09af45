"""Izhikevich's simple model of 2003 and its cells."""

from lifnum.neurons.model import Model

# cell: (a, b, c, d)
CELLS = {
    "regular-spiking": (0.02, 0.2, -65.0, 8.0),
    "intrinsically-bursting": (0.02, 0.2, -55.0, 4.0),
    "chattering": (0.02, 0.2, -50.0, 2.0),
    "fast-spiking": (0.1, 0.2, -65.0, 2.0),
    "low-threshold-spiking": (0.02, 0.25, -65.0, 2.0),
    "resonator": (0.1, 0.26, -65.0, 2.0),
}


def izhikevich(cell="regular-spiking", *, time_unit=1.0, max_spikes=1000, **parameters):
    """Izhikevich's neuron (Izhikevich 2003), of the cell type named.

    dv/dt = 0.04 v^2 + 5 v + 140 - u + I + current;  du/dt = a (b v - u);  dI/dt = -I / tau_s;
    v >= 30: v -> c, u -> u + d.

    Parameters (ms, mV): a, b, c, d of the cell; tau_s 5; current 0. Cells: regular-spiking,
    intrinsically-bursting, chattering, fast-spiking, low-threshold-spiking, resonator.

    Raises
    ------
    ValueError
        An unknown cell or parameter.
    """
    if cell not in CELLS:
        raise ValueError(f"cell is {cell!r}; accepted: {', '.join(CELLS)}")
    a, b, c, d = CELLS[cell]
    return Model(
        name="izhikevich",
        equations={
            "v": "0.04*v**2 + 5*v + 140 - u + I + current",
            "u": "a*(b*v - u)",
            "I": "-I/tau_s",
        },
        parameters={"a": a, "b": b, "c": c, "d": d, "tau_s": 5.0, "current": 0.0},
        initial={"v": "c", "u": "b*c"},
        input="I",
        threshold=("v", 30.0),
        reset={"v": "c", "u": "u + d"},
        time_unit=time_unit,
        max_spikes=max_spikes,
    ).with_parameters(**parameters)
