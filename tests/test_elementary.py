"""Operations on numbers and vectors alike: right to an ulp, and every lane as the number alone."""

import decimal
import math
from decimal import Decimal

import numpy as np
import pytest

from lifnum import Network, Scheme, SpikeTrains, models
from lifnum.compiler import kernel
from lifnum.kernels.elementary import (
    at,
    at_most,
    chosen,
    cos,
    exp,
    fma,
    greater,
    log,
    phi,
    power,
    put,
    reaches,
    sin,
    tanh,
)
from lifnum.kernels.vectors import LANES

N_RESULTS = 13


@kernel
def operate(r, out):
    """Every operation on r[0, 0], r[1, 0] and r[2, 0]: of a matrix, or of vectors."""
    x, y, z = at(r, 0, 0), at(r, 1, 0), at(r, 2, 0)
    put(out, 0, 0, fma(x, y, z))
    put(out, 1, 0, fma(0.7, y, z))
    put(out, 2, 0, exp(x))
    put(out, 3, 0, phi(1, x))
    put(out, 4, 0, phi(2, x))
    put(out, 5, 0, phi(4, x))
    put(out, 6, 0, greater(x, y))
    put(out, 7, 0, chosen(reaches(x, y), z, -1.0))
    put(out, 8, 0, chosen(at_most(x, y), z, -1.0))
    put(out, 9, 0, log(abs(x)))
    put(out, 10, 0, tanh(x) + sin(y) * cos(z))
    put(out, 11, 0, power(abs(x), 0.37))
    put(out, 12, 0, power(abs(x), y))


def special(rng):
    """Numbers of all sizes, and those where something changes."""
    edges = [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 709.78, -745.0, 750.0, -800.0, 5e-324]
    return np.array([*edges, *rng.normal(size=200) * 10.0 ** rng.uniform(-8, 3, 200)])


@pytest.mark.filterwarnings("ignore")
def test_every_lane_is_the_number_alone_to_the_bit():
    rng = np.random.default_rng(0)
    values = special(rng)
    for _ in range(30):
        vectors = rng.choice(values, (3, 1, LANES))
        out = np.empty((N_RESULTS, 1, LANES))
        operate(vectors, out)
        for lane in range(LANES):
            alone = np.empty((N_RESULTS, 1))
            operate(vectors[:, :, lane].copy(), alone)
            np.testing.assert_array_equal(out[:, 0, lane], alone[:, 0])


@kernel
def exponentials(x, out):
    for k in range(len(x)):
        out[0, k], out[1, k], out[2, k], out[3, k] = (
            exp(x[k]),
            phi(1, x[k]),
            phi(2, x[k]),
            phi(3, x[k]),
        )


def exact_phi(n, x):
    """phi_n of a number |x| < 40, to 40 digits: sums of terms below 1e17, to 80 digits."""
    with decimal.localcontext(decimal.Context(prec=80)):
        x = Decimal(x)
        total, term = Decimal(0), Decimal(1) / math.factorial(n)
        for k in range(1, 220):
            total += term
            term = term * x / (n + k)
    return total


def test_exponentials_are_right_to_an_ulp_or_two():
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [rng.uniform(-30, 30, 150), rng.uniform(-2, 2, 150), 10.0 ** -rng.uniform(0, 9, 50)]
    )
    out = np.empty((4, len(x)))
    exponentials(x, out)
    # one rounding of the sum and the product of e^x; the recurrence of phi_n loses some more
    for n, ulps in enumerate((1.0, 2.0, 5.0, 20.0)):
        for value, one in zip(out[n], x):
            exact = exact_phi(n, float(one))
            error = abs(Decimal(float(value)) - exact)  # to 28 digits
            assert error <= Decimal(float(ulps * np.spacing(float(exact))))


def test_the_exponential_ends_as_its_limits():
    x = np.array([720.0, 1e300, np.inf, -750.0, -1e300, -np.inf, 709.0, -740.0, np.nan])
    out = np.empty((4, len(x)))
    exponentials(x, out)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(out[0], np.exp(x), rtol=1e-15, atol=5e-324)


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("izhikevich", Scheme("rk4", dt=0.25)), ("qif", Scheme("ps", 6, dt=0.25)),
     ("izhikevich", Scheme("ps", dt=0.25, tolerance=1e-13)),
     ("hodgkin-huxley", Scheme("exponential-euler", dt=0.05)),
     ("fitzhugh-nagumo", Scheme("rk2", dt=0.25, interpolation="linear"))],
)  # fmt: skip
def test_a_neuron_depends_neither_on_its_place_in_a_vector_nor_on_the_others(name, scheme):
    """Spikes and gradients of 21 neurons, to the bit, in another order and by themselves."""
    rng = np.random.default_rng(2)
    current = {"izhikevich": 10.0, "qif": 0.1, "hodgkin-huxley": 10.0, "fitzhugh-nagumo": 0.5}[name]
    n, duration = 21, 30.0
    currents = current * rng.uniform(0.5, 2.0, n)
    weights = current * rng.normal(0.0, 0.3, (4, n))
    inputs = SpikeTrains.from_samples(
        [(rng.uniform(0, duration, 9), rng.integers(0, 4, 9)) for _ in range(2)], 4
    )

    def run(neurons):
        model = models.BUILT_IN[name](current=currents[neurons])
        net = Network([(np.ascontiguousarray(weights[:, neurons]), model)], scheme, duration)
        out = net.forward(inputs)
        (gradient,), _ = net.backward(np.sin(100.0 * out.times), input_gradient=True)
        samples = np.repeat(np.arange(2), np.diff(out.offsets))
        spikes = {
            j: [out.times[(out.indices == k) & (samples == sample)].tolist() for sample in range(2)]
            for k, j in enumerate(neurons)
        }
        return spikes, dict(zip(neurons, gradient.T.tolist()))

    spikes, gradient = run(list(range(n)))
    assert sum(len(times) for pair in spikes.values() for times in pair) > n
    for neurons in ([3], list(rng.permutation(n)), list(range(n))[::-1][:17]):
        other, other_gradient = run([int(j) for j in neurons])
        for j in other:
            assert other[j] == spikes[j]
            assert other_gradient[j] == gradient[j]
