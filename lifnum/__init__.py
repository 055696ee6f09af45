"""Spiking networks integrated by the numerical method of your choice, differentiated exactly."""

from lifnum._version import __version__
from lifnum.errors import SimulationError
from lifnum.methods.tableau import RungeKutta
from lifnum.network import Network
from lifnum.neurons import models
from lifnum.neurons.lif import Neuron
from lifnum.neurons.model import Model
from lifnum.runs.configuration import load
from lifnum.runs.fit import fit
from lifnum.scheme import Scheme
from lifnum.spikes import SpikeTrains

__all__ = [
    "Model",
    "Network",
    "Neuron",
    "RungeKutta",
    "Scheme",
    "SimulationError",
    "SpikeTrains",
    "__version__",
    "fit",
    "load",
    "models",
]
