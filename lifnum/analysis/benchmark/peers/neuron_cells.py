"""NEURON: Hodgkin and Huxley's axon, one compartment a neuron, under constant currents.

Argument: JSON with dt and duration (ms) and currents (uA/cm^2, one a neuron). Its mechanism hh has
the equations of 1952, its gates by exponential Euler and v by backward Euler, without tables. It
has no synaptic current.
"""

import json
import math
import sys
from time import perf_counter

from neuron import h
from protocol import serve

SIDE = 10.0  # um: length and diameter


def main():
    spec = json.loads(sys.argv[1])
    h.load_file("stdrun.hoc")
    h.dt, h.celsius, h.usetable_hh, h.secondorder = spec["dt"], 6.3, 0, 0
    h.cvode_active(0)
    area, kept, counts, times = math.pi * SIDE * SIDE * 1e-8, [], [], []
    for current in spec["currents"]:
        section = h.Section()
        section.L = section.diam = SIDE
        section.insert("hh")
        section.el_hh = -54.387
        clamp = h.IClamp(section(0.5))
        clamp.delay, clamp.dur, clamp.amp = 0.0, 1e9, 1e3 * current * area  # nA
        count, found = h.APCount(section(0.5)), h.Vector()
        count.thresh = 0.0
        count.record(found)
        kept += [section, clamp]
        counts.append(count)
        times.append(found)

    def measure():
        h.finitialize(-65.0)
        start = perf_counter()
        h.continuerun(spec["duration"])
        return {"seconds": perf_counter() - start, "spikes": sum(int(c.n) for c in counts)}

    measure()
    serve(measure, times=[list(found) for found in times])


if __name__ == "__main__":
    main()
