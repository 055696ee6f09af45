"""A model of a neuron as data: equations as text, numbers, and what a spike does."""

import json
import math
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np

from lifnum.errors import _spike_cap
from lifnum.neurons.equations import FUNCTIONS, NAME, Graph
from lifnum.neurons.parser import parse

MAX_VARIABLES = 8

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")


def _mapping(name, value):
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{name} is {value!r}; accepted: a dictionary by name")
    return dict(value)


def _finite(name, value, low, accepted):
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not low(value) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; accepted: {accepted}")
    return float(value)


def _parameter(name, value):
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list
        array = np.asarray(None)
    if array.dtype.kind not in "fiu" or array.ndim > 1 or array.size == 0:
        raise ValueError(
            f"parameters[{name!r}] is {value!r}; accepted: a number, or an array with one entry "
            "a neuron"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"parameters[{name!r}] is {value!r}; accepted: finite numbers")
    if array.ndim == 0:
        return float(array)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Model:
    """A spiking neuron: dy/dt = f(y), a threshold and what a spike does.

    Expressions are arithmetic over state variables, parameters and numbers: ``+ - * / **``, exp,
    log, sqrt, tanh, sin, cos and exprel (expm1(x) / x). They are parsed, never run as Python.

    Parameters
    ----------
    name : str
    equations : dict of str to str
        The derivative of each of 1 to 8 state variables.
    parameters : dict of str to float or ndarray (n_neurons,)
        A number, or one for each neuron of a layer.
    initial : dict of str to (number or str), optional
        The state at time 0, expressions of parameters; 0 where not named.
    input : str or (str, str), optional
        The variable that jumps by w at an input spike; of two, the first takes weights w >= 0 and
        the second -w of the others. By default the last variable.
    threshold : (str, number or str)
        A spike is where this variable rises to this value (an expression of parameters).
    reset : dict of str to (number or str), optional
        The state after a spike, expressions of state and parameters; empty: as before it.
    refractory : float
        How long the threshold variable is held at its reset value, in the unit of the equations;
        meanwhile inputs onto it are dropped, and there are no spikes.
    time_unit : float
        One unit of time of the equations in the network's: 1e-3 for equations in milliseconds in a
        network in seconds. Derivatives and `refractory` are scaled by it, weights are not.
    max_spikes : int
        Cap on the spikes of one neuron in one sample, from 1 to 2^62.

    Raises
    ------
    ValueError
        Names the argument, its value and what is accepted; EquationError, a kind of it, shows
        where in an expression.
    """

    name: str
    equations: dict
    parameters: dict = field(default_factory=dict)
    initial: dict = field(default_factory=dict)
    input: str | tuple = None
    threshold: tuple = None
    reset: dict = field(default_factory=dict)
    refractory: float = 0.0
    time_unit: float = 1.0
    max_spikes: int = 1000

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        if not isinstance(self.name, str) or not _MODEL_NAME.match(self.name):
            raise ValueError(
                f"name is {self.name!r}; accepted: 1 to 64 letters, digits, '-', '_' and '.'"
            )
        for name in ("equations", "parameters", "initial", "reset"):
            put(name, _mapping(name, getattr(self, name)))
        variables = tuple(self.equations)
        if not 1 <= len(variables) <= MAX_VARIABLES:
            raise ValueError(
                f"equations have {len(variables)} variables; accepted: 1 to {MAX_VARIABLES}"
            )
        for kind, names in (("variable", variables), ("parameter", self.parameters)):
            for name in names:
                if not NAME.match(name) or name in FUNCTIONS:
                    raise ValueError(
                        f"the name of a {kind} is {name!r}; accepted: a letter, then up to 31 "
                        "letters, digits and '_', and no function's name"
                    )
        for name in variables:
            if name in self.parameters:
                raise ValueError(f"{name!r} is a variable and a parameter; accepted: one of them")
        put("parameters", {name: _parameter(name, x) for name, x in self.parameters.items()})
        self._check_names(put, variables)
        put("refractory", _finite("refractory", self.refractory, lambda x: x >= 0, "finite, >= 0"))
        if self.refractory > 0.0 and not self.reset:
            raise ValueError(
                f"refractory is {self.refractory!r} without a reset; accepted: 0, or a reset of "
                f"{self.threshold[0]!r}, the value that it is held at"
            )
        put("time_unit", _finite("time_unit", self.time_unit, lambda x: x > 0, "finite, > 0"))
        put("max_spikes", _spike_cap("max_spikes", self.max_spikes))
        self._build(put, variables)

    def _check_names(self, put, variables):
        listed = ", ".join(variables)
        for name in ("initial", "reset"):
            for key in getattr(self, name):
                if key not in variables:
                    raise ValueError(f"{name} names {key!r}; accepted: {listed}")
        inputs = variables[-1] if self.input is None else self.input
        pair = (inputs,) if isinstance(inputs, str) else inputs
        pair = tuple(pair) if isinstance(pair, (tuple, list)) else ()
        if len(pair) not in (1, 2) or any(name not in variables for name in pair):
            raise ValueError(f"input is {self.input!r}; accepted: one or two of {listed}")
        if len(pair) == 2 and pair[0] == pair[1]:
            raise ValueError(f"input is {self.input!r}; accepted: two different variables")
        put("input", pair[0] if len(pair) == 1 else pair)
        threshold = self.threshold
        if not isinstance(threshold, (tuple, list)) or len(threshold) != 2:
            raise ValueError(f"threshold is {threshold!r}; accepted: (variable, value)")
        if threshold[0] not in variables:
            raise ValueError(f"the threshold variable is {threshold[0]!r}; accepted: {listed}")
        put("threshold", tuple(threshold))
        if self.reset and threshold[0] not in self.reset:
            raise ValueError(
                f"reset leaves {threshold[0]!r} at the threshold; accepted: a reset of "
                f"{threshold[0]!r} below it, or no reset at all"
            )

    def _build(self, put, variables):
        """Parse all expressions and check what parameters alone decide."""
        graph, parameters = Graph(), set(self.parameters)

        def node(text, where, names=()):
            return parse(graph, text, where, names, parameters)

        right = [node(text, f"equations[{name!r}]", variables)
                 for name, text in self.equations.items()]  # fmt: skip
        initial = [node(self.initial.get(name, 0.0), f"initial[{name!r}]") for name in variables]
        threshold = node(self.threshold[1], "threshold")
        reset = [
            node(self.reset[name], f"reset[{name!r}]", variables)
            if name in self.reset
            else graph.symbol("y", k)
            for k, name in enumerate(variables)
        ]
        put("_graph", graph)
        put("_nodes", {"right": right, "initial": initial, "threshold": threshold, "reset": reset})
        lengths = {x.size for x in self.parameters.values() if isinstance(x, np.ndarray)}
        if len(lengths) > 1:
            raise ValueError(
                f"arrays of parameters have lengths {sorted(lengths)}; accepted: one length, the "
                "number of neurons"
            )
        put("n_neurons", lengths.pop() if lengths else None)
        *start, bar = graph.evaluate([*initial, threshold], self.parameters)
        for name, value in zip([f"initial[{name!r}]" for name in variables] + ["threshold"],
                               [*start, bar]):  # fmt: skip
            if not np.isfinite(value).all():
                raise ValueError(f"{name} is not finite with these parameters; accepted: finite")
        v = self.threshold_index
        self._require_below(f"initial[{variables[v]!r}]", start[v], bar)
        if self.reset and not graph.varies[reset[v]]:
            value = graph.evaluate([reset[v]], self.parameters)[0]
            self._require_below(f"reset[{variables[v]!r}]", value, bar)

    def _require_below(self, name, value, bar):
        value, bar = np.broadcast_arrays(value, bar)
        bad = np.flatnonzero(~(value < bar).ravel())
        if bad.size:
            k = bad[0]
            raise ValueError(
                f"{name} is {value.ravel()[k]:g}; accepted: below the threshold {bar.ravel()[k]:g}"
            )

    @property
    def variables(self):
        """Names of the state variables, in the order of the equations."""
        return tuple(self.equations)

    @property
    def threshold_index(self):
        """Which variable the threshold looks at."""
        return self.variables.index(self.threshold[0])

    @property
    def input_indices(self):
        """(variable that weights w >= 0 act on, variable of the others)."""
        names = (self.input, self.input) if isinstance(self.input, str) else self.input
        return tuple(self.variables.index(name) for name in names)

    def with_parameters(self, **values):
        """The same model with other values of some parameters.

        Raises
        ------
        ValueError
            A parameter that the model does not have.
        """
        for name in values:
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ValueError(f"{self.name} has no parameter {name!r}; accepted: {known}")
        return replace(self, parameters={**self.parameters, **values})

    def as_data(self):
        """The model as dictionaries, lists, text and numbers."""
        data = {one.name: getattr(self, one.name) for one in fields(self)}
        data["parameters"] = {
            name: x.tolist() if isinstance(x, np.ndarray) else x
            for name, x in self.parameters.items()
        }
        for name in ("input", "threshold"):
            if isinstance(data[name], tuple):
                data[name] = list(data[name])
        return data

    def to_json(self):
        """The model as JSON text; floats come back to the bit."""
        return json.dumps(self.as_data(), indent=1, default=float)

    @classmethod
    def from_data(cls, data):
        """The model of `as_data`, with every check of the constructor.

        Raises
        ------
        ValueError
            Anything that is no model.
        """
        data = _mapping("model", data)
        known = [one.name for one in fields(cls)]
        unknown = [name for name in data if name not in known]
        if unknown:
            raise ValueError(f"model has {unknown[0]!r}; accepted: {', '.join(known)}")
        for name in ("name", "equations", "threshold"):
            if name not in data:
                raise ValueError(f"model has no {name!r}; accepted: {', '.join(known)}")
        return cls(**data)

    @classmethod
    def from_json(cls, text):
        """The model of `to_json`. Raises ValueError for anything else."""
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"model is not JSON ({error}); accepted: what to_json writes"
            ) from None
        return cls.from_data(data)

    def __eq__(self, other):
        return isinstance(other, Model) and self.to_json() == other.to_json()

    def __hash__(self):
        return hash(self.to_json())
