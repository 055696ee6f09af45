"""Eventax: training steps on Yin-Yang, Euler steps with spike times by Newton's method.

Argument: JSON with data (NPZ of points (n, 5) and labels), hidden, batch, count (batches a
repetition). The solver takes steps of 0.05 ms of a duration of 30 ms. Time constants and initial
weights are those published with EventProp (Wunderlich & Pehle 2021), unless there are model, one of
MODELS, and options, what it takes: then the file has the weights hidden and out. The answer that it
is ready has the loss of the first batch.
"""

import json
import sys
from time import perf_counter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from eventax.evnn import FFEvNN
from eventax.neuron_models import LIF, Izhikevich
from protocol import serve

DURATION, WINDOW, STEP = 30.0, 15.0, 0.05  # ms


class Quadratic(LIF):
    """The quadratic neuron by its potential, as in lifnum; Eventax's own is by its phase."""

    def dynamics(self, t, y, args):
        v, i = y[:, 0], y[:, 1]
        rise = v * (v - 1.0) / self.tmem.value + i + self.ic
        return jnp.stack([rise, -i / self.tsyn.value], axis=1)


MODELS = {"lif": LIF, "qif": Quadratic, "izhikevich": Izhikevich}

PUBLISHED = {"thresh": 1.0, "tsyn": 5.0, "tmem": 20.0}


def main():
    spec = json.loads(sys.argv[1])
    with np.load(spec["data"], allow_pickle=False) as data:
        times = jnp.asarray(data["points"] * WINDOW, jnp.float32)[:, :, None]
        labels = jnp.asarray(data["labels"])
        given = {name: data[name] for name in ("hidden", "out") if name in data}
    hidden, n = spec["hidden"], spec["hidden"] + 3
    generator = np.random.default_rng(0)
    weights = np.zeros((n + 5, n))  # from hidden, output, input neurons to hidden, output ones
    weights[n:, :hidden] = generator.normal(1.5, 0.78, (5, hidden))
    weights[:hidden, hidden:] = generator.normal(0.93, 0.1, (hidden, 3))
    if given:
        weights[n:, :hidden], weights[:hidden, hidden:] = given["hidden"], given["out"]
    net = FFEvNN(
        layers=[hidden, 3], in_size=5, neuron_model=MODELS[spec.get("model", "lif")],
        max_solver_time=DURATION, key=jax.random.PRNGKey(0), solver_stepsize=STEP,
        max_event_steps=400, output_no_spike_value=DURATION, init_weights=weights, init_bias=0.0,
        **spec.get("options", PUBLISHED),
    )  # fmt: skip
    optimizer = optax.adam(5e-3)

    def loss(net, times, labels):
        first = jax.vmap(net.ttfs)(times)
        return optax.softmax_cross_entropy_with_integer_labels(-first, labels).mean()

    @eqx.filter_jit
    def train(net, state, times, labels):
        value, gradient = eqx.filter_value_and_grad(loss)(net, times, labels)
        updates, state = optimizer.update(gradient, state)
        return eqx.apply_updates(net, updates), state, value

    state = optimizer.init(eqx.filter(net, eqx.is_inexact_array))
    batch, position = spec["batch"], 0

    def step():
        nonlocal net, state, position
        rows = slice(position, position + batch)
        net, state, value = jax.block_until_ready(train(net, state, times[rows], labels[rows]))
        position = position + batch if position + 2 * batch <= len(labels) else 0
        return float(value)

    def measure():
        start = perf_counter()
        for _ in range(spec["count"]):
            value = step()
        taken = perf_counter() - start
        return {"seconds_a_sample": taken / (spec["count"] * spec["batch"]), "loss": value}

    serve(measure, loss=step())


if __name__ == "__main__":
    main()
