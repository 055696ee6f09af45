"""The optimisers on arrays that stay on the GPU."""

from numba import cuda

from lifnum import optimizers
from lifnum.cuda import device
from lifnum.cuda.layout import THREADS, blocks
from lifnum.optimizers import adam_update


@device.kernel
def adam(w, g, m, v, numbers):
    """One step of Adam on flat arrays; a thread a weight."""
    k = cuda.grid(1)
    if k < w.shape[0]:
        real = w.dtype.type
        rate, keep1, take1, keep2, take2, epsilon = numbers
        w[k], m[k], v[k] = adam_update(
            w[k], g[k], m[k], v[k], real(rate), real(keep1), real(take1), real(keep2), real(take2),
            real(epsilon),
        )  # fmt: skip


class DeviceSGD(optimizers.SGD):
    """SGD on the layers of a network on the device."""

    def __init__(self, layers, learning_rate):
        super().__init__([layer.weights for layer in layers], learning_rate)
        self.weights = [layer.mirror for layer in layers]

    _array = staticmethod(device.to_device)

    def step(self, gradients):
        """Update the weights by a list of gradients on the device."""
        for w, g in zip(self.weights, self._accepted(gradients)):
            array = w.device
            array -= array.dtype.type(self.learning_rate) * g
            w.written()


class DeviceAdam(optimizers.Adam):
    """Adam on the layers of a network on the device."""

    def __init__(self, layers, learning_rate):
        super().__init__([layer.weights for layer in layers], learning_rate)
        self.weights = [layer.mirror for layer in layers]
        self.m, self.v = ([device.Mirror(a) for a in arrays] for arrays in (self.m, self.v))

    _array = staticmethod(device.to_device)

    def step(self, gradients):
        """Update the weights by a list of gradients on the device."""
        gradients = self._accepted(gradients)
        numbers = self.numbers_of_step()
        for w, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            arrays = w.device, g, m.device, v.device
            if arrays[0].size:
                adam[blocks(arrays[0].size), THREADS](*(a.ravel() for a in arrays), numbers)
            for mirror in (w, m, v):
                mirror.written()

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the optimiser's own."""
        named = {"n_steps": self.n_steps}
        for k, (m, v) in enumerate(zip(self.m, self.v, strict=True)):
            named[f"m{k}"], named[f"v{k}"] = m.host, v.host
        return named


OPTIMIZERS = {"adam": DeviceAdam, "sgd": DeviceSGD}
