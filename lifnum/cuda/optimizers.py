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
        w[k], m[k], v[k] = adam_update(w[k], g[k], m[k], v[k], numbers)


class DeviceSGD(optimizers.SGD):
    """SGD on the layers of a network on the device."""

    def __init__(self, layers, learning_rate, momentum=0.0):
        super().__init__([layer.weights for layer in layers], learning_rate, momentum)
        self.weights = [layer.mirror for layer in layers]
        self.v = [device.Mirror(v) for v in self.v]

    _array = staticmethod(device.to_device)

    def step(self, gradients):
        """Update the weights by a list of gradients on the device."""
        for k, (w, g) in enumerate(zip(self.weights, self._accepted(gradients))):
            array = w.device
            if self.v:
                velocity = self.v[k].device
                velocity *= array.dtype.type(self.momentum)
                velocity += g
                self.v[k].written()
                g = velocity
            array -= array.dtype.type(self.learning_rate) * g
            w.written()

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the optimiser's own."""
        return {f"v{k}": v.host for k, v in enumerate(self.v)}


class DeviceAdam(optimizers.Adam):
    """Adam on the layers of a network on the device."""

    def __init__(self, layers, learning_rate, **options):
        super().__init__([layer.weights for layer in layers], learning_rate, **options)
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
                of_step = numbers.in_type(arrays[0].dtype)
                adam[blocks(arrays[0].size), THREADS](*(a.ravel() for a in arrays), of_step)
            for mirror in (w, m, v):
                mirror.written()

    def state(self):
        """Arrays that a checkpoint must keep, by name; they are the optimiser's own."""
        named = {"n_steps": self.n_steps}
        for k, (m, v) in enumerate(zip(self.m, self.v, strict=True)):
            named[f"m{k}"], named[f"v{k}"] = m.host, v.host
        return named


class DeviceAdamW(DeviceAdam, optimizers.AdamW):
    """AdamW on the layers of a network on the device."""


OPTIMIZERS = {"adam": DeviceAdam, "adamw": DeviceAdamW, "sgd": DeviceSGD}
