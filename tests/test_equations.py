"""Equations of models: what is accepted, derivatives, transposes, and what is refused."""

import json
import math

import naive_models
import naive_pieces
import numpy as np
import pytest

import lifnum
from lifnum import Model, Network, Scheme, SpikeTrains, models
from lifnum.kernels.general.modules import module_of
from lifnum.kernels.general.source import HEADER, Source
from lifnum.neurons.parser import EquationError

EVERY = list(models.BUILT_IN)

# every function and operation, with a power, a division and an exprel of both signs
ZOO = Model(
    name="zoo",
    equations={
        "x": "tanh(x*y)/(2 + sin(z)) - exp(-z**2)*cos(y) + (1 + x*x)**e - 3*x",
        "y": "log(2 + x**2) - sqrt(4 + y*z) + exprel(x - y)*y - 1/exprel(3*z) - y**-2*(1/50)",
        "z": "-z + a*x - exprel(-2.5 + x*z)/(x**2 + 1) + 0.5**x2 - (-y)",
    },
    parameters={"a": 0.7, "e": 0.37, "x2": 2.0},
    initial={"x": 0.3, "y": "a + 0.2"},
    threshold=("x", 2.0),
    reset={"x": "0.1*tanh(y)", "y": "y - x*z"},
)


def every_model():
    return [*(models.BUILT_IN[name]() for name in EVERY), ZOO]


def named(model):
    return model.name


def states(model, rng, n=5):
    """States around the initial one."""
    start = naive_models.Plain(model).initial()
    return start + rng.normal(0.0, 0.3, (n, len(start))) * (0.2 + np.abs(start) * 0.2)


def in_python(source):
    """The written functions, run by Python: complex numbers allowed."""

    def phi(k, x):
        return naive_pieces.phi(k, x)

    names = {name: getattr(np, name) for name in ("exp", "log", "sqrt", "tanh", "sin", "cos")}
    names |= {"phi": phi, "power": np.power, "fma": lambda x, y, z: x * y + z}
    names |= dict.fromkeys(("kernel", "inlined_kernel"), lambda function: function)
    exec(source.text, names)
    return names


@pytest.mark.parametrize("model", every_model(), ids=named)
def test_the_written_field_is_the_equations(model):
    rng, source = np.random.default_rng(1), Source(model)
    p, run = source.parameters(model, 1)[0], in_python(source)
    plain = naive_models.Plain(model)
    for y in states(model, rng):
        out = np.empty(len(y))
        run["field"](p, y, out)
        np.testing.assert_allclose(out, plain.field(y), rtol=1e-13, atol=1e-14)
        run["reset"](p, y, out)
        np.testing.assert_allclose(out, plain.reset(y), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("model", every_model(), ids=named)
def test_derivatives_along_directions_equal_complex_steps_and_transposes_fit_them(model):
    rng, source = np.random.default_rng(2), Source(model)
    p, run = source.parameters(model, 1)[0], in_python(source)
    plain, n = naive_models.Plain(model), len(model.variables)
    for y in states(model, rng):
        d, w, out = rng.normal(size=n), rng.normal(size=n), np.empty(n)
        for function, transpose in (
            (plain.field, "field_transpose"),
            (plain.diagonal, "diagonal_transpose"),
            (plain.reset, "reset_transpose"),
        ):
            by_step = np.array([
                np.dot(w, function(y + 1e-30j * one)).imag / 1e-30 for one in np.eye(n)
            ])  # fmt: skip
            run[transpose](p, y, w, out)
            scale = np.abs(by_step).max()
            np.testing.assert_allclose(out, by_step, rtol=1e-11, atol=1e-11 * scale)
        run["field_along"](p, y, d, out)
        by_step = np.imag(plain.field(y + 1e-30j * d)) / 1e-30
        np.testing.assert_allclose(out, by_step, rtol=1e-11, atol=1e-11 * np.abs(by_step).max())
        run["diagonal"](p, y, out)
        np.testing.assert_allclose(out, plain.diagonal(y), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "what", "caret"),
    [
        ("-x/tau + q", "'q' is an unknown name", 9),
        ("-x/tau + J", "accepted: the names x, tau", 9),
        ("x.real", "this is not arithmetic", 0),
        ("__import__('os')", "is no function", 0),
        ("exp(x, x)", "exp takes one argument", 0),
        ("exp", "a function without its argument", 0),
        ("x if x else 1", "this is not arithmetic", 0),
        ("x + True", "is no real number", 4),
        ("x * 1j", "is no real number", 4),
        ("x * 1e999", "not finite", 4),
        ("9**9**9", "not finite", 0),
        ("1/0 + x", "a division by zero", 2),
        ("2**x", "an exponent that depends on the state", 3),
        ("x +* 2", "not an expression", 3),
        ("[x][0]", "this is not arithmetic", 0),
        ("x + (lambda: 1)()", "is no function", 4),
        ("x + é", "not ASCII", 4),
        ("", "not an expression", 0),
    ],
)
def test_what_is_no_expression_is_refused_with_a_caret(text, what, caret):
    with pytest.raises(EquationError) as refused:
        Model(name="m", equations={"x": text}, parameters={"tau": 1.0}, threshold=("x", 1.0))
    message = str(refused.value)
    assert "equations['x']" in message
    assert what in message
    _, shown, mark = message.split("\n")
    assert shown == "  " + text
    assert mark.index("^") == 2 + caret


@pytest.mark.parametrize(
    "text",
    ["+".join(["x"] * 300), "(" * 200 + "x" + ")" * 200, "-" * 60 + "x", "x" + "+x" * 1500,
     "exp(" * 60 + "x" + ")" * 60, "1" * 1999, "-" * 1999 + "x"],
)  # fmt: skip
def test_expressions_beyond_the_limits_are_refused_and_nothing_else_happens(text):
    try:
        Model(name="m", equations={"x": text}, threshold=("x", 1.0))
    except EquationError as refused:
        assert "accepted" in str(refused)
    else:  # parentheses are no nodes
        assert text.startswith("(")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"equations": {}}, "equations have 0 variables"),
        ({"equations": {f"x{k}": "1" for k in range(9)}}, "9 variables; accepted: 1 to 8"),
        ({"equations": {"exp": "1"}}, "the name of a variable is 'exp'"),
        ({"parameters": {"v": 1.0}}, "'v' is a variable and a parameter"),
        ({"parameters": {"2a": 1.0}}, "the name of a parameter is '2a'"),
        ({"parameters": {"tau": math.nan}}, "accepted: finite numbers"),
        ({"parameters": {"tau": [1.0, math.inf]}}, "accepted: finite numbers"),
        ({"parameters": {"tau": "1"}}, "accepted: a number, or an array"),
        ({"parameters": {"tau": [[1.0]]}}, "accepted: a number, or an array"),
        ({"parameters": {"tau": True}}, "accepted: a number, or an array"),
        ({"parameters": {"tau": [1.0, 2.0], "b": [1.0]}}, r"lengths \[1, 2\]"),
        ({"threshold": ("w", 1.0)}, "the threshold variable is 'w'; accepted: v, I"),
        ({"threshold": None}, "threshold is None"),
        ({"reset": {"v": 1.0}}, r"reset\['v'\] is 1; accepted: below the threshold 1"),
        ({"reset": {"v": "tau"}}, r"reset\['v'\] is 2; accepted: below the threshold 1"),
        ({"reset": {"I": 0}}, "reset leaves 'v' at the threshold"),
        ({"reset": {"w": 0}}, "reset names 'w'"),
        ({"initial": {"v": 3}}, r"initial\['v'\] is 3; accepted: below the threshold 1"),
        ({"initial": {"v": "1/(tau - 2)"}}, r"initial\['v'\] is not finite"),
        ({"initial": {"v": "I"}}, "'I' is an unknown name"),
        ({"input": ("v", "v")}, "two different variables"),
        ({"input": "w"}, "input is 'w'; accepted: one or two of v, I"),
        ({"refractory": -1.0}, "refractory is -1.0"),
        ({"time_unit": 0.0}, "time_unit is 0.0"),
        ({"max_spikes": 0}, "max_spikes is 0"),
        ({"max_spikes": True}, "max_spikes is True"),
        ({"name": "../x"}, "name is '../x'"),
    ],
)
def test_what_is_no_model_is_refused_by_argument_value_and_what_is_accepted(change, message):
    good = {
        "name": "m", "equations": {"v": "-v/tau + I", "I": "-I"}, "parameters": {"tau": 2.0},
        "threshold": ("v", 1.0), "reset": {"v": 0.0},
    }  # fmt: skip
    Model(**good)
    with pytest.raises(ValueError, match=message):
        Model(**(good | change))


@pytest.mark.parametrize("model", every_model(), ids=named)
def test_a_model_comes_back_from_json_to_the_bit(model):
    again = Model.from_json(model.to_json())
    assert again == model
    assert Source(again).text == Source(model).text
    with_array = model.with_parameters(
        **{name: [value, value + 0.1] for name, value in list(model.parameters.items())[:1]}
    )
    assert Model.from_json(with_array.to_json()) == with_array
    assert with_array.n_neurons == 2


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "1", '{"name": "m"}', "[" * 5000, '{"name": "m", "equations": {"v": 1e999}, '
     '"threshold": ["v", 1]}', '{"name": "m", "equations": {"v": "1"}, "threshold": ["v", NaN]}',
     '{"name": "m", "equations": {"v": ["1"]}, "threshold": ["v", 1]}'],
)  # fmt: skip
def test_json_that_is_no_model_is_refused(text):
    with pytest.raises(ValueError, match="accepted"):
        Model.from_json(text)


def test_json_with_an_unknown_key_is_refused():
    data = json.loads(models.qif().to_json()) | {"code": "1"}
    with pytest.raises(ValueError, match="model has 'code'"):
        Model.from_json(json.dumps(data))


def test_built_in_models_take_their_parameters_by_name():
    assert models.izhikevich("fast-spiking", d=2.5).parameters["d"] == 2.5
    assert models.izhikevich("fast-spiking").parameters["a"] == 0.1
    with pytest.raises(ValueError, match="cell is 'slow'"):
        models.izhikevich("slow")
    with pytest.raises(ValueError, match="qif has no parameter 'd'"):
        models.qif(d=1.0)
    for name in EVERY:
        assert models.BUILT_IN[name]().parameters["current"] == 0.0
    assert lifnum.Model is Model


def test_gates_start_where_they_rest_at_the_initial_potential():
    rest = naive_models.Plain(models.fitzhugh_nagumo())
    assert np.abs(rest.field(rest.initial())).max() < 1e-13
    for model in (models.hodgkin_huxley(), models.traub_miles()):
        plain = naive_models.Plain(model)
        assert np.abs(plain.field(plain.initial())[1:]).max() < 1e-12


@pytest.mark.parametrize("model", [models.hodgkin_huxley(), ZOO], ids=named)
@pytest.mark.parametrize("h", [1.0, 0.01])
def test_taylor_coefficients_equal_the_oracle_s_and_those_of_the_jacobian_are_its_series(model, h):
    """To order 20; near and far from the singularities that exprel removes."""
    rng, source, order = np.random.default_rng(3), Source(model), 20
    p, plain, n = source.parameters(model, 1)[0], naive_models.Plain(model), len(model.variables)
    module = module_of(HEADER + source.text)
    term, jacobian_term = module.term, module.jacobian_term
    for y in [*states(model, rng, 3), states(model, rng, 1)[0] * 0.0 + 1e-3]:
        r = np.zeros((source.n_rows, order + 2))
        more = r.copy()
        r[:n, 0] = more[:n, 0] = y
        for k in range(order):
            term(p, r, k, h)
            jacobian_term(p, more, k, h)
        expected = np.real(np.array(naive_pieces.coefficients(plain, y, h, order)[0]))
        scale = np.abs(expected).max(axis=1, keepdims=True)
        np.testing.assert_allclose(
            r[:n, : order + 1], expected, rtol=1e-9, atol=1e-12 * scale.max()
        )
        np.testing.assert_array_equal(more[:n, : order + 1], r[:n, : order + 1])
        # dy_{k+1} along d is (sum of J_{k-j} dy_j) h / (k + 1)
        d = rng.normal(size=n)
        along = np.zeros((n, order + 1))
        along[:, 0] = d
        for k in range(order):
            for i, j, row, constant in source.entries:
                a = more[row, : k + 1] * ([1.0] + [0.0 if constant else 1.0] * k)
                along[i, k + 1] += np.dot(a[::-1], along[j, : k + 1]) * h / (k + 1)
        stepped = np.array(naive_pieces.coefficients(plain, y + 1e-30j * d, h, order)[0])
        np.testing.assert_allclose(
            along, stepped.imag / 1e-30, rtol=1e-8, atol=1e-11 * np.abs(stepped.imag).max() / 1e-30
        )


@pytest.mark.parametrize(
    "scheme",
    [Scheme("rk4", dt=0.1), Scheme("exponential-euler", dt=0.1), Scheme("ps", 5, 0.1),
     Scheme("ps", dt=0.1, tolerance=1e-12), Scheme("rk2", dt=0.1, gradient="piggyback")],
)  # fmt: skip
def test_a_power_that_a_parameter_gives_is_that_of_products_at_zero_too(scheme):
    inputs = SpikeTrains.from_samples([([0.0, 1.0, 2.5, 8.0], [0, 1, 0, 1])], 2)
    found = []
    for power in ("I**2", "I**p"):
        model = Model("power", {"v": f"-v/5 + 0.7*{power}", "I": "-I/2"}, {"p": 2.0}, input="I",
                      threshold=("v", 1.0), reset={"v": 0.0})  # fmt: skip
        net = Network([(np.array([[1.3], [0.9]]), model)], scheme, 10.0)
        out = net.forward(inputs)
        (d_w,), d_times = net.backward(np.ones(len(out.times)), input_gradient=True)
        found.append(np.concatenate([out.times, d_w.ravel(), d_times]))
    assert len(out.times) > 3
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)
