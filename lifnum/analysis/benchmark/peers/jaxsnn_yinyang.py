"""jaxsnn: training steps on Yin-Yang, event-based with exact gradients.

Argument: JSON with data (NPZ of points (n, 5) and labels), hidden, batch, count (batches a
repetition). Neurons, weights and loss are those of jaxsnn's own example of EventProp.
"""

import json
import sys
from functools import partial
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxsnn.event.encode import encode, spatio_temporal_encode, target_temporal_encode
from jaxsnn.event.loss import mse_loss
from jaxsnn.event.modules import LIF, LIFParameters, Linear, Source
from jaxsnn.event.topology import Topology
from jaxsnn.event.training import update
from jaxsnn.event.types import OptState
from jaxsnn.examples.event.utils import loss_wrapper
from protocol import serve

N_CLASSES = 3


def main():
    spec = json.loads(sys.argv[1])
    with np.load(spec["data"], allow_pickle=False) as data:
        n = len(data["labels"]) // spec["batch"] * spec["batch"]
        dataset = jnp.asarray(data["points"][:n], jnp.float32), jnp.asarray(data["labels"][:n])
    p = LIFParameters(v_reset=-1000.0, v_th=1.0, tau_syn=5e-3, tau_mem=1e-2)
    inputs = jax.jit(jax.vmap(partial(
        spatio_temporal_encode, t_late=2.0 * p.tau_syn, duplication=1, duplicate_neurons=False,
    )))  # fmt: skip
    targets = jax.jit(jax.vmap(partial(
        target_temporal_encode, n_classes=N_CLASSES, correct_target_time=0.9 * p.tau_syn,
        wrong_target_time=1.1 * p.tau_syn,
    )))  # fmt: skip
    spikes, target = encode(dataset, inputs, targets)
    batches = jax.tree_util.tree_map(
        lambda x: x.reshape(-1, spec["batch"], *x.shape[1:])[: spec["count"]],
        ({"inp": spikes}, target),
    )

    network = Topology(t_max=4.0 * p.tau_syn)
    network.add({
        "inp": Source(5),
        "lif1": LIF(spec["hidden"], 50, p),
        "lif2": LIF(N_CLASSES, 53, p),
        "syn1": Linear(mean=3.0, std=1.6, min_delay=0.0),
        "syn2": Linear(mean=0.5, std=0.8, min_delay=0.0),
    })  # fmt: skip
    network.connect([("inp", "syn1"), ("syn1", "lif1"), ("lif1", "syn2"), ("syn2", "lif2")])
    init, apply = network.done()
    key = jax.random.PRNGKey(0)
    weights = init(key)
    optimizer = optax.chain(optax.scale(1.0 / p.tau_syn), optax.clip(0.01), optax.adam(5e-3))
    loss = partial(loss_wrapper, apply, mse_loss, p.tau_mem, "lif2", N_CLASSES)
    step = partial(update, optimizer, loss)

    @jax.jit
    def train(state):
        state, (values, _) = jax.lax.scan(step, state, batches)
        return state, values[0].mean()

    state = OptState(optimizer.init(weights), weights, key)
    state, _ = jax.block_until_ready(train(state))

    def measure():
        nonlocal state
        start = perf_counter()
        state, value = jax.block_until_ready(train(state))
        taken = perf_counter() - start
        return {"seconds_a_sample": taken / (spec["count"] * spec["batch"]), "loss": float(value)}

    serve(measure)


if __name__ == "__main__":
    main()
