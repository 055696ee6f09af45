"""heyoka: Izhikevich's neuron under adaptive Taylor series in batches, spikes as terminal events.

Argument: JSON with currents, one a neuron, their number a multiple of the batch, duration (ms),
tolerance (0: that of double precision), batch (lanes) and parameters (a, b, c, d). The answer that
it is ready has the spike times of each neuron, and those in extended precision where the machine
has it, which serve as the reference. The synaptic current, to which nothing comes, is simulated as
in lifnum.
"""

import json
import sys
from time import perf_counter

import heyoka
import numpy as np
from protocol import serve

EXTENDED = np.longdouble


def system(parameters):
    """Izhikevich's equations, the current a runtime parameter, and its event v = 30."""
    v, u, i = heyoka.make_vars("v", "u", "i")
    a, b = parameters["a"], parameters["b"]
    rise = 0.04 * v * v + 5.0 * v + 140.0 - u + i + heyoka.par[0]
    return [(v, rise), (u, a * (b * v - u)), (i, -i / parameters["tau_s"])], v - 30.0


def batches(spec):
    """A function that simulates all neurons once and returns their spike times."""
    size, parameters = spec["batch"], spec["parameters"]
    equations, event = system(parameters)
    c, d = parameters["c"], parameters["d"]
    times = []

    def spike(ta, sign, lane):
        times[lane].append(ta.time[lane])
        ta.state[0, lane] = c
        ta.state[1, lane] += d
        return True

    one = heyoka.taylor_adaptive_batch(
        equations,
        np.zeros((3, size)),
        pars=np.zeros((1, size)),
        t_events=[heyoka.t_event_batch(event, callback=spike, fp_type=float,
                                       direction=heyoka.event_direction.positive)],
        **({"tol": spec["tolerance"]} if spec["tolerance"] else {}),
    )  # fmt: skip
    currents = np.asarray(spec["currents"]).reshape(-1, size)

    def simulate():
        found = []
        for row in currents:
            times[:] = [[] for _ in range(size)]
            one.set_time(0.0)
            one.state[0], one.state[1], one.state[2] = c, parameters["b"] * c, 0.0
            one.pars[0] = row
            one.reset_cooldowns()
            one.propagate_until(spec["duration"])
            found += times
        return found

    return simulate


def reference(spec):
    """Spike times of each neuron in extended precision, or None where there is no such type."""
    parameters = {name: EXTENDED(repr(value)) for name, value in spec["parameters"].items()}
    v, u = heyoka.make_vars("v", "u")

    def number(text):
        return heyoka.expression(EXTENDED(text))

    rise = number("0.04") * v * v + number("5") * v + number("140") - u + heyoka.par[0]
    fall = heyoka.expression(parameters["a"]) * (heyoka.expression(parameters["b"]) * v - u)
    times = []

    def spike(ta, sign):
        times.append(float(ta.time))
        ta.state[0] = parameters["c"]
        ta.state[1] += parameters["d"]
        return True

    one = heyoka.taylor_adaptive(
        [(v, rise), (u, fall)], np.zeros(2, EXTENDED), pars=np.zeros(1, EXTENDED), fp_type=EXTENDED,
        t_events=[heyoka.t_event(v - number("30"), callback=spike, fp_type=EXTENDED,
                                 direction=heyoka.event_direction.positive)],
    )  # fmt: skip
    found = []
    for current in spec["currents"]:
        times.clear()
        one.time = EXTENDED(0)
        one.state[0], one.state[1] = parameters["c"], parameters["b"] * parameters["c"]
        one.pars[0] = EXTENDED(current)
        one.reset_cooldowns()
        one.propagate_until(EXTENDED(spec["duration"]))
        found.append(list(times))
    return found


def main():
    spec = json.loads(sys.argv[1])
    simulate = batches(spec)

    def measure():
        start = perf_counter()
        found = simulate()
        return {"seconds": perf_counter() - start, "spikes": sum(map(len, found))}

    about = {"times": simulate()}
    if np.finfo(EXTENDED).eps < np.finfo(float).eps:
        about["reference"] = reference(spec)
    serve(measure, **about)


if __name__ == "__main__":
    main()
