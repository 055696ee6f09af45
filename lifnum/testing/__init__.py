"""For users' own property tests: random networks, the analytic potential, a check of integrators.

Nothing in the library imports this package.
"""

from lifnum.testing.analytic import analytic_potential
from lifnum.testing.integrators import IntegratorReport, check_integrator
from lifnum.testing.strategies import networks, neurons, schemes, spike_trains

__all__ = [
    "IntegratorReport",
    "analytic_potential",
    "check_integrator",
    "networks",
    "neurons",
    "schemes",
    "spike_trains",
]
