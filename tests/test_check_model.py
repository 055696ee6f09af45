"""`check_model` passes what is right and says what is broken; strategies draw what it passes."""

import re

import hypothesis
import naive_models
import numpy as np
import pytest
from cases import SETTINGS

from lifnum import Model, RungeKutta, models, testing
from lifnum.kernels.general import source
from lifnum.methods import runge_kutta
from lifnum.neurons.equations import Graph

QUICK = ("izhikevich", "fitzhugh-nagumo", "qif")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in SETTINGS],
)
def test_every_built_in_model_passes(name):
    parameters, size, dt, duration = SETTINGS[name]
    report = testing.check_model(models.BUILT_IN[name](**parameters), dt, duration, size)
    assert report.n_spikes > 0
    assert report.derivative_error <= 1e-13
    for label, order in {"euler": 1, "rk2": 2, "rk4": 4, "ps2": 2, "ps4": 4}.items():
        assert abs(report.orders[label] - order) <= 0.3 or report.orders[label] > order


def softplus(**changes):
    """A neuron whose equation has a function of most kinds."""
    return Model(**{
        "name": "softplus",
        "equations": {"v": "(log(1 + exp(x)) - v + current)/4", "x": "(tanh(v)*sin(x) - x)/5"},
        "parameters": {"current": 1.0},
        "threshold": ("v", 1.0),
        "reset": {"v": "0.5*exp(-x**2)", "x": "x - 0.25"},
    } | changes)  # fmt: skip


def check(model):
    return testing.check_model(model, dt=0.25, duration=40.0, weight=0.5)


def test_a_model_of_a_user_s_passes_and_neurons_may_differ():
    assert check(softplus()).n_spikes > 3
    assert check(softplus(parameters={"current": np.array([0.5, 1.5])})).n_spikes > 3


def test_a_reset_that_reaches_the_threshold_in_some_states_is_found():
    model = softplus(reset={"v": "0.5 + x**2", "x": "x + 0.25"})
    with pytest.raises(AssertionError, match=r"the reset of softplus at .* is not below"):
        check(model)


def test_equations_that_are_not_finite_where_trajectories_go_are_found():
    model = softplus(equations={"v": "(1 + current - v)/4", "x": "-x/5 + sqrt(x - 0.01)"})
    with pytest.raises(AssertionError, match=r"trajectory: .*x of softplus is not finite"):
        check(model)
    # finite on the trajectory, but not at the threshold
    model = softplus(
        equations={"v": "(0.9 - v)/4", "x": "log(1 - v) - x"}, parameters={}, reset={"v": 0.0}
    )
    with pytest.raises(AssertionError, match=r"equation: found .*, expected finite .* v = 1, x = "):
        testing.check_model(model, dt=0.25, duration=10.0)


def broken(monkeypatch, cls, name, change):
    """A method of a class gives what `change` makes of its result."""
    original = getattr(cls, name)
    monkeypatch.setattr(cls, name, lambda *arguments: change(original(*arguments), *arguments))


def test_a_wrong_derivative_is_found(monkeypatch):
    def change(partials, graph, node):
        if graph.nodes[node][0] != "tanh":
            return partials
        return ((partials[0][0], graph.number(1.0)),)

    broken(monkeypatch, Graph, "_partials", change)
    message = r"derivative of x by v is \S+, expected \S+, relative error \S+ at v = \S+, x = "
    with pytest.raises(AssertionError, match="^" + message):
        check(softplus())


def test_a_wrong_transpose_is_found(monkeypatch):
    broken(monkeypatch, Graph, "transpose",
           lambda result, graph, *_: [result[0], graph.neg(result[1])])  # fmt: skip
    with pytest.raises(AssertionError, match=r"^transposed derivative of \w by x is "):
        check(softplus())


def test_a_wrong_equation_is_found(monkeypatch):
    def change(node, graph, name, x):
        return graph.number(0.0) if name == "sin" else node

    broken(monkeypatch, Graph, "function", change)
    with pytest.raises(AssertionError, match=r"^equation of x is \S+, expected "):
        check(softplus())


def test_a_wrong_reset_is_found(monkeypatch):
    original = source.Source._straight

    def straight(self, name, arguments, outputs):
        if name == "reset":
            outputs = [self.graph.mul(self.graph.number(0.5), outputs[0]), *outputs[1:]]
        return original(self, name, arguments, outputs)

    monkeypatch.setattr(source.Source, "_straight", straight)
    with pytest.raises(AssertionError, match=r"^reset of v is \S+, expected "):
        check(softplus())


def test_a_wrong_recurrence_of_a_series_is_found(monkeypatch):
    def change(code, self, node, term, row):
        return f"0.5*{code}" if code.startswith("tanh_term") else code

    broken(monkeypatch, source.Source, "_term", change)
    with pytest.raises(AssertionError, match=r"^order of ps\d is \S+, expected \d; .* 0\.25: "):
        check(softplus())


def test_a_wrong_tableau_is_found(monkeypatch):
    """Its weights fulfil the condition of order 1 alone."""
    wrong = RungeKutta(a=runge_kutta.TABLEAUS["rk4"].a, b=[1 / 6, 1 / 3, 1 / 6, 1 / 3])
    monkeypatch.setitem(runge_kutta.TABLEAUS, "rk4", wrong)
    with pytest.raises(AssertionError, match=r"^order of rk4 is (0\.9|1\.0)\d*, expected 4; "):
        check(softplus())


@pytest.mark.parametrize("argument, value", [("dt", 0.0), ("duration", -1.0), ("dt", np.nan)])
def test_numbers_that_can_not_be_are_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=re.escape(f"{argument} is {value!r}; accepted: ")):
        testing.check_model(**{"model": models.qif(), "dt": 0.1, "duration": 1.0, argument: value})


def test_unknown_names_and_spreads_are_refused():
    with pytest.raises(ValueError, match=r"names are \('qiff',\); accepted: a sequence of lif, "):
        testing.built_in_models(("qiff",))
    with pytest.raises(ValueError, match=r"spread is 0\.5; accepted: 0 to 0.2"):
        testing.built_in_models(spread=0.5)


DRAWS = hypothesis.settings(
    deadline=None, derandomize=True, max_examples=60, database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # on a busy machine
)  # fmt: skip


@DRAWS
@hypothesis.given(testing.models(max_variables=4))
def test_random_models_are_tame(model):
    """Fifty steps of Euler under strong input stay finite and within what the equations allow."""
    plain = naive_models.Plain(model)
    y = np.array(plain.initial())
    for step in range(50):
        y = y + 0.1 * np.array(plain.field(y))
        if step % 10 == 0:
            y = np.real(plain.jump(y, 1.0 - 2.0 * (step % 20)))
        if y[plain.v] >= plain.threshold:
            y = np.real(plain.reset(y))
            assert y[plain.v] < plain.threshold
    assert (np.abs(y) < 50.0).all()


@DRAWS
@hypothesis.given(testing.built_in_models(spread=0.2))
def test_varied_built_in_models_have_finite_equations(model):
    plain = naive_models.Plain(model)
    assert np.isfinite(np.array(plain.field(plain.initial()), float)).all()


def test_strategies_draw_every_function_and_every_model():
    seen, names = set(), set()

    @hypothesis.settings(DRAWS, max_examples=200)
    @hypothesis.given(testing.models(), testing.built_in_models())
    def collect(model, built_in):
        text = " ".join(model.equations.values())
        seen.update(re.findall(r"[a-z]+(?=\()|\*\*0\.37", text))
        names.add(built_in.name)

    collect()
    assert seen == {"exp", "log", "sqrt", "tanh", "sin", "cos", "exprel", "**0.37"}
    assert names == set(models.BUILT_IN)


@pytest.mark.slow
@hypothesis.settings(DRAWS, max_examples=12, phases=[hypothesis.Phase.generate])
@hypothesis.given(testing.models())
def test_random_models_pass(model):
    testing.check_model(model, dt=0.1, duration=20.0, weight=1.0)
