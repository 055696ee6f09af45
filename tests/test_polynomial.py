"""The first root of a polynomial, on which spike times of series stand, against NumPy's roots."""

import numpy as np
import pytest

from lifnum.kernels.lif.crossing import NO_CROSSING, first_root_polynomial


@pytest.mark.parametrize("x_end", [4.0, 2.0**60, 2.0**130])
def test_the_first_root_of_a_polynomial_is_found_however_far_it_is_searched_for(x_end):
    """A state of 1e100 gives coefficients whose roots are tiny against the step."""
    rng = np.random.default_rng(11)
    found = 0
    for _ in range(300):
        q = rng.normal(size=6) * rng.choice([0.1, 1.0, 10.0], 6)
        q[0] = -abs(q[0])
        roots = np.polynomial.polynomial.polyroots(q)
        if (np.abs(roots.imag) < 1e-3 * np.abs(roots)).sum() != (roots.imag == 0.0).sum():
            continue  # nearly touches zero
        positive = roots.real[(roots.imag == 0.0) & (roots.real > 0.0)]
        expected = positive[positive <= x_end].min(initial=np.inf)
        root = first_root_polynomial(q.copy(), x_end)
        if expected < np.inf:
            found += 1
            np.testing.assert_allclose(root, expected, rtol=1e-9)
        else:
            assert root == NO_CROSSING
    assert 50 < found < 250
