"""The built-in models, functions that return a `lifnum.Model`: equations, units and sources there.

Each takes the model's parameters by name, `time_unit` and `max_spikes`.
"""

from lifnum.neurons.adex import adex
from lifnum.neurons.eif import eif
from lifnum.neurons.fitzhugh_nagumo import fitzhugh_nagumo
from lifnum.neurons.hodgkin_huxley import hodgkin_huxley
from lifnum.neurons.izhikevich import izhikevich
from lifnum.neurons.izhikevich_2007 import izhikevich_2007
from lifnum.neurons.lif import lif
from lifnum.neurons.lif_coba import lif_coba
from lifnum.neurons.qif import qif
from lifnum.neurons.traub_miles import traub_miles

BUILT_IN = {
    "lif": lif,
    "lif-coba": lif_coba,
    "qif": qif,
    "eif": eif,
    "adex": adex,
    "izhikevich": izhikevich,
    "izhikevich-2007": izhikevich_2007,
    "fitzhugh-nagumo": fitzhugh_nagumo,
    "hodgkin-huxley": hodgkin_huxley,
    "traub-miles": traub_miles,
}

__all__ = [
    "BUILT_IN",
    "adex",
    "eif",
    "fitzhugh_nagumo",
    "hodgkin_huxley",
    "izhikevich",
    "izhikevich_2007",
    "lif",
    "lif_coba",
    "qif",
    "traub_miles",
]
