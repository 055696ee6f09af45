"""Spiking networks integrated by the numerical method of your choice, differentiated exactly."""

from lifnum._version import __version__
from lifnum.network import Network, Neuron, Scheme, SimulationError
from lifnum.spikes import SpikeTrains
from lifnum.trainer import load

__all__ = ["Network", "Neuron", "Scheme", "SimulationError", "SpikeTrains", "__version__", "load"]
