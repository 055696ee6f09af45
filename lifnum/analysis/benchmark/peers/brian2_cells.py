"""Brian2, C++ standalone on one thread: neurons under constant currents on a grid of times.

Argument: JSON with model (izhikevich or hodgkin-huxley), method (of Brian2), dt and duration (ms),
currents (one a neuron), parameters and record (whether the potential of every step is kept, which
costs time, so that the spikes' times can be interpolated). A repetition is a run of the compiled
program, by the time that it takes for its steps. The answer that it is ready has the spike times of
each neuron: by a cubic through the four potentials around them where they were recorded, else those
of the grid.
"""

import json
import sys
import tempfile

import numpy as np
from brian2 import (
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    defaultclock,
    device,
    ms,
    prefs,
    run,
    set_device,
)
from protocol import serve

IZHIKEVICH = """
dv/dt = (0.04*v**2 + 5*v + 140 - u + I + current)/ms : 1
du/dt = a*(b*v - u)/ms : 1
dI/dt = -I/tau_s/ms : 1
current : 1 (constant)
"""

HODGKIN_HUXLEY = """
dv/dt = (120*m**3*h*(50 - v) + 36*n**4*(-77 - v) + 0.3*(-54.387 - v) + I + current)/ms : 1
dm/dt = ((1 - m)/exprel(-(v + 40)/10) - 4*m*exp(-(v + 65)/18))/ms : 1
dh/dt = (0.07*(1 - h)*exp(-(v + 65)/20) - h/(1 + exp(-(v + 35)/10)))/ms : 1
dn/dt = (0.1*(1 - n)/exprel(-(v + 55)/10) - 0.125*n*exp(-(v + 65)/80))/ms : 1
dI/dt = -I/tau_s/ms : 1
current : 1 (constant)
"""

THRESHOLDS = {"izhikevich": 30.0, "hodgkin-huxley": 0.0}


def neurons(spec):
    """The group of neurons at its start."""
    p, n = spec["parameters"], len(spec["currents"])
    if spec["model"] == "izhikevich":
        group = NeuronGroup(n, IZHIKEVICH, threshold="v >= 30", reset="v = c; u += d",
                            method=spec["method"], namespace=p)  # fmt: skip
        group.v, group.u = p["c"], p["b"] * p["c"]
    else:
        # it observes its crossings upwards: refractory until it is below
        group = NeuronGroup(n, HODGKIN_HUXLEY, threshold="v >= 0", refractory="v >= 0",
                            method=spec["method"], namespace=p)  # fmt: skip
        group.v = -65.0
        group.m, group.h, group.n = (p[gate] for gate in "mhn")
    group.current = spec["currents"]
    return group


def interpolated(t, v, threshold):
    """Times at which a recorded potential rises through the threshold."""
    found = []
    for k in np.flatnonzero((v[:-1] < threshold) & (v[1:] >= threshold)):
        around = slice(max(k - 1, 0), k + 3)
        x = t[around] - t[k]
        cubic = np.polynomial.Polynomial.fit(x, v[around] - threshold, len(x) - 1)
        roots = cubic.roots()
        real = roots.real[(abs(roots.imag) < 1e-12) & (roots.real >= 0)]
        found.append(t[k] + min(real))
    return found


def main():
    spec = json.loads(sys.argv[1])
    set_device("cpp_standalone", build_on_run=False)
    prefs.devices.cpp_standalone.openmp_threads = 0
    defaultclock.dt = spec["dt"] * ms
    group = neurons(spec)
    spikes = SpikeMonitor(group)
    potential = StateMonitor(group, "v", record=True) if spec["record"] else None
    run(spec["duration"] * ms)
    folder = tempfile.TemporaryDirectory()
    device.build(directory=folder.name, compile=True, run=True, with_output=False)
    if potential is None:
        trains = [list(map(float, one / ms)) for one in spikes.spike_trains().values()]
    else:
        t = np.asarray(potential.t / ms)
        bar = THRESHOLDS[spec["model"]]
        trains = [interpolated(t, v, bar) for v in np.asarray(potential.v)]

    def measure():
        device.run(directory=folder.name, with_output=False, run_args=[])
        return {"seconds": device._last_run_time, "spikes": int(spikes.num_spikes)}

    serve(measure, times=trains)


if __name__ == "__main__":
    main()
