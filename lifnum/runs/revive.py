"""What wakes silent neurons."""

import numpy as np


def revive(layers, amount):
    """Raise the weights into every neuron that spiked in no sample of the last forward pass.

    No loss of spike times has a gradient for such a neuron. The remedy is that of Goeltz et al.
    (2021, Fast and energy-efficient neuromorphic deep learning with first-spike times), who raise
    the weights of silent neurons by a fixed amount after a batch; here in all layers at once.

    Parameters
    ----------
    layers : list of Layer
        Those of a network on the CPU; their weights are changed in place.
    amount : float
        What is added to each weight.
    """
    for layer in layers:
        spiked = np.zeros(layer.shape[1], np.bool_)
        layer.spikes.mark(spiked)
        if not spiked.all():
            layer.weights[:, ~spiked] += layer.dtype.type(amount)
