"""What the layers did since the last row of the trace."""

import numpy as np

_COUNTS = ("spikes", "capped", "suppressed", "steps", "without_gradient")


class Activity:
    """Counts over many batches of what the layers of a network did; its arrays are its state."""

    def __init__(self, net):
        n = len(net.layers)
        self.samples = np.zeros((), np.int64)
        self._counts = np.zeros((len(_COUNTS), n), np.int64)
        for name, counts in zip(_COUNTS, self._counts, strict=True):
            setattr(self, name, counts)
        self.unresolved = np.zeros(n)  # NaN: not counted
        self.spiked = [np.zeros(layer.shape[1], np.bool_) for layer in net.layers]

    def add(self, net, batch):
        """Count the last forward and backward pass of a batch of that many samples."""
        self.samples += batch
        layers = net.layers
        self._counts += (
            [len(one.spikes.times) for one in layers],
            [one.n_capped for one in layers],
            [one.n_suppressed for one in layers],
            [one.n_steps for one in layers],
            [one.n_without_gradient for one in layers],
        )
        self.unresolved += [
            np.nan if one.n_unresolved is None else one.n_unresolved for one in layers
        ]
        for layer, spiked in zip(layers, self.spiked, strict=True):
            if not spiked.all():  # soon all have
                layer.spikes.mark(spiked)

    def per_sample(self, counts):
        """Counts divided by the number of samples, NaN where there are none."""
        return counts / self.samples if self.samples else np.full(len(counts), np.nan)

    def silent(self):
        """Share of each layer's neurons that never spiked."""
        return np.array([1.0 - spiked.mean() if len(spiked) else 0.0 for spiked in self.spiked])

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the object's own."""
        names = ("samples", "unresolved", *_COUNTS)
        named = {name: getattr(self, name) for name in names}
        return named | {f"spiked{k}": spiked for k, spiked in enumerate(self.spiked)}
