"""What the layers did since the last row of the trace."""

import numpy as np

_COUNTS = ("spikes", "capped", "suppressed", "steps", "without_gradient")


class Activity:
    """Counts over many batches of what the layers of a network did; its arrays are its state."""

    def __init__(self, net):
        n = len(net.layers)
        self.samples = np.zeros((), np.int64)
        for name in _COUNTS:
            setattr(self, name, np.zeros(n, np.int64))
        self.unresolved = np.zeros(n)  # NaN: not counted
        self.spiked = [np.zeros(layer.shape[1], np.bool_) for layer in net.layers]

    def add(self, net, batch):
        """Count the last forward and backward pass of a batch of that many samples."""
        self.samples += batch
        for k, layer in enumerate(net.layers):
            self.spikes[k] += len(layer.spikes.times)
            self.capped[k] += layer.n_capped
            self.suppressed[k] += layer.n_suppressed
            self.unresolved[k] += np.nan if layer.n_unresolved is None else layer.n_unresolved
            self.steps[k] += layer.n_steps
            self.without_gradient[k] += layer.n_without_gradient
            if not self.spiked[k].all():  # soon all have
                layer.spikes.mark(self.spiked[k])

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
