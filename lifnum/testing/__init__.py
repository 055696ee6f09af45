"""For users' own property tests: random networks and models, checks of integrators and models.

Nothing in the library imports this package.
"""

from lifnum.testing.analytic import analytic_potential
from lifnum.testing.integrators import IntegratorReport, check_integrator
from lifnum.testing.model import ModelReport, check_model
from lifnum.testing.random_models import built_in_models, models
from lifnum.testing.strategies import networks, neurons, schemes, spike_trains

__all__ = [
    "IntegratorReport",
    "ModelReport",
    "analytic_potential",
    "built_in_models",
    "check_integrator",
    "check_model",
    "models",
    "networks",
    "neurons",
    "schemes",
    "spike_trains",
]
