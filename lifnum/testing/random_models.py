"""Hypothesis strategies for neurons by equations: random ones, and the built-in ones varied.

Only they need Hypothesis (``pip install lifnum[test]``).
"""

from lifnum.neurons.model import Model
from lifnum.neurons.models import BUILT_IN
from lifnum.testing.strategies import _strategies

# largest constant current of each, at which it fires at some tens of spikes a second
CURRENTS = {
    "lif": 0.2, "lif-coba": 16.0, "qif": 0.2, "eif": 2.0, "adex": 1500.0, "izhikevich": 20.0,
    "izhikevich-2007": 600.0, "fitzhugh-nagumo": 0.8, "hodgkin-huxley": 20.0, "traub-miles": 300.0,
}  # fmt: skip

# of any argument between -1 and 1, or almost
_BOUNDED = (
    "tanh({0})", "sin({0})", "cos({0})", "exp(-({0})**2)", "1/(1 + ({0})**2)", "exprel(-({0})**2)",
    "({0})/sqrt(1 + ({0})**2)",
)  # fmt: skip

# of any argument finite, and no larger than it but for a number
_FINITE = ("log(2 + ({0})**2)", "sqrt(1 + ({0})**2)", "(1 + ({0})**2)**0.37", "-({0})")

_BINARY = ("({0}) + ({1})", "({0}) - ({1})", "({0})*({1})", "({0})/(1 + ({1})**2)")

_LETTERS = ("v", "x", "y", "z", "u", "w", "r", "s")


def models(max_variables=3, max_depth=3, max_spikes=30):
    """Hypothesis strategy for random models (`Model`) of every accepted function and operation.

    Every variable decays with a time constant between 1 and 8 to a bounded function of all of
    them, and jumps at an input spike add to that: no trajectory leaves a bounded region, and
    steps up to about 0.1 resolve it. The reset is a bounded function of the state below the
    threshold.

    Parameters
    ----------
    max_variables : int
        Largest number of variables, 1 to 8.
    max_depth : int
        Of the random expressions within an equation.
    max_spikes : int
        Largest cap on the spikes of a neuron.

    Returns
    -------
    hypothesis.strategies.SearchStrategy of Model
        Each has equations of its own, which take seconds to compile. Shrinks towards one variable
        and short expressions.

    Raises
    ------
    ImportError
        Hypothesis is not installed.

    Examples
    --------
    >>> @given(lifnum.testing.models(max_variables=2))
    ... def test_my_claim_about_any_model(model): ...
    """
    st = _strategies()
    quarters = st.integers(-8, 8).map(lambda k: k / 4)

    def expressions(names):
        leaves = st.sampled_from([*names, "p", "q"]) | quarters.map(repr)
        text = leaves
        for _ in range(max_depth - 1):
            inner, pairs = text, st.tuples(st.sampled_from(_BINARY), text, text)
            single = st.tuples(st.sampled_from((*_BOUNDED, *_FINITE)), inner)
            text = leaves | single.map(lambda x: x[0].format(x[1]))
            text |= pairs.map(lambda x: x[0].format(x[1], x[2]))
        return st.tuples(st.sampled_from(_BOUNDED), text).map(lambda x: x[0].format(x[1]))

    @st.composite
    def draw_model(draw):
        names = _LETTERS[: draw(st.integers(1, max_variables))]
        bounded = expressions(names)
        equations, initial = {}, {}
        for name in names:
            drive = "current + " if name == "v" else ""
            tau = draw(st.integers(2, 16)) / 2
            factor = draw(quarters)
            equations[name] = f"({drive}{factor!r}*({draw(bounded)}) - {name})/{tau!r}"
            initial[name] = draw(quarters)
        theta = initial["v"] + draw(st.integers(1, 8)) / 4
        reset = {"v": f"theta - {draw(st.integers(1, 8)) / 4!r} - ({draw(bounded)})**2"}
        for name in names[1:]:
            if draw(st.booleans()):
                reset[name] = f"{draw(quarters)!r}*({draw(bounded)})"
        return Model(
            name="random",
            equations=equations,
            parameters={"p": draw(quarters), "q": draw(quarters), "theta": theta,
                        "current": draw(st.integers(0, 16)) / 4},
            initial=initial,
            input=draw(st.sampled_from(names[1:] or names)),
            threshold=("v", "theta"),
            reset=reset,
            max_spikes=draw(st.integers(1, max_spikes)),
        )  # fmt: skip

    return draw_model()


def built_in_models(names=tuple(BUILT_IN), spread=0.1, max_spikes=30, time_unit=1.0):
    """Hypothesis strategy for the built-in models with random parameters.

    Parameters
    ----------
    names : sequence of str
        Of `lifnum.models`, as the command line has them.
    spread : float
        Parameters are up to this share above or below the model's own, 0 to 0.2; the current lies
        between 0 and one that makes the neuron fire.
    max_spikes : int
        Largest cap on the spikes of a neuron.
    time_unit : float
        As `Model` takes it: 1 for milliseconds.

    Returns
    -------
    hypothesis.strategies.SearchStrategy of Model
        Shrinks towards the first name and the model's own parameters, without a current.

    Raises
    ------
    ImportError
        Hypothesis is not installed.
    ValueError
        An unknown name, or a spread outside 0 to 0.2, where thresholds could lie below resets.
    """
    st = _strategies()
    if isinstance(names, str) or not names or not set(names) <= set(BUILT_IN):
        raise ValueError(f"names are {names!r}; accepted: a sequence of {', '.join(BUILT_IN)}")
    if not 0.0 <= spread <= 0.2:
        raise ValueError(f"spread is {spread!r}; accepted: 0 to 0.2")

    @st.composite
    def draw_model(draw):
        name = draw(st.sampled_from(names))
        made = BUILT_IN[name](time_unit=time_unit, max_spikes=draw(st.integers(1, max_spikes)))
        share = st.just(0.0) | st.floats(-spread, spread)
        changed = {
            key: value * (1.0 + draw(share))
            for key, value in made.parameters.items()
            if key != "current"
        }
        changed["current"] = CURRENTS[name] * draw(st.floats(0.0, 1.0))
        return made.with_parameters(**changed)

    return draw_model()
