"""Building typed graphs: operators as functions of values whose shapes and dtypes are known.

Gradient rules and passes are written against this namespace as they are against ``mx.nd``.
"""
import numbers

from mxcy.base import MXNetError, MXNetTypeError
from mxcy.graph.graph import Entry, Node
from mxcy.imperative._invoke import get_precision
from mxcy.ndarray.arithmetic import TABLE
from mxcy.ops.infer import infer, named
from mxcy.ops.operator import call_rule, lookup

__all__ = ["Builder", "F", "Value", "converted", "make", "variable"]


class Value:
    """An entry of a typed graph that computes like an array."""

    __slots__ = ("builder", "entry")

    def __init__(self, entry, builder=None):
        self.entry, self.builder = entry, F if builder is None else builder

    def __repr__(self):
        return f"<Value {self.entry.node.name}[{self.entry.index}]: {self.dtype} {self.shape}>"

    @property
    def shape(self):
        return self.entry.shape

    @property
    def dtype(self):
        return self.entry.dtype

    @property
    def ndim(self):
        return len(self.entry.shape)

    def __neg__(self):
        return self * -1.0


def operation(name, reverse=False):
    """The method behind a Python operator: the operator of the table that suits what it is given."""
    forms = TABLE[name]

    def method(self, other):
        F = self.builder
        if isinstance(other, Value):
            left, right = (other, self) if reverse else (self, other)
            return getattr(F, forms.same if left.shape == right.shape else forms.broadcast)(left, right)
        if isinstance(other, numbers.Real):
            return getattr(F, forms.left if reverse else forms.right)(self, scalar=float(other))
        return NotImplemented
    return method


for _name, _python in {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "modulo": "mod",
                       "power": "pow"}.items():
    setattr(Value, f"__{_python}__", operation(_name))
    setattr(Value, f"__r{_python}__", operation(_name, reverse=True))
for _name, _python in {"equal": "eq", "not_equal": "ne", "greater": "gt", "greater_equal": "ge", "lesser": "lt",
                       "lesser_equal": "le"}.items():
    setattr(Value, f"__{_python}__", operation(_name))
Value.__hash__ = None


def variable(name, shape, dtype="float32"):
    """A new variable of a typed graph, as a Value."""
    return Value(Entry(Node(None, name, types=[(tuple(shape), dtype)]), 0))


def make(op, inputs, params, scalar=None, name="", attrs=None, subgraphs=()):
    """A node with its types inferred.

    Parameters
    ----------
    op : Operator
    inputs : list of Entry
    params : dict
        Parsed parameters.
    scalar : float, optional
    name : str
    attrs : dict, optional
        User attributes.
    subgraphs : sequence of Graph

    Returns
    -------
    Node
    """
    names = op.input_names(params, len(inputs))
    if len(names) != len(inputs):
        raise MXNetTypeError(f"{op.name}: {len(inputs)} inputs given; expected {len(names)} ({', '.join(names)})")
    try:
        types = infer(op, params, names, [entry.shape for entry in inputs], [entry.dtype for entry in inputs])
    except MXNetError as error:
        raise named(op, error) from error.__cause__
    return Node(op, name or op.name, inputs, attrs, params=params, scalar=scalar, types=types, subgraphs=subgraphs)


def converted(op, params, inputs):
    """The entries in the dtypes that mixed precision wants, where it is on."""
    precision = get_precision()
    wanted = precision and precision.conversions(op, params, [entry.dtype for entry in inputs])
    if not wanted:
        return inputs
    cast = lookup("amp_cast")
    return [entry if dtype is None else Entry(make(cast, [entry], {"dtype": dtype}), 0)
            for entry, dtype in zip(inputs, wanted)]


class Builder:
    """Every operator as a function of Values, by registered name.

    Parameters
    ----------
    name : str
        Name of the nodes that are made.
    attrs : dict, optional
        Their user attributes.
    mixed : bool
        Whether operators follow mixed precision where it is on. Rules of gradients and passes get the dtypes they gave.
    """

    def __init__(self, name="", attrs=None, mixed=False):
        self._name, self._attrs, self._mixed = name, attrs or {}, mixed

    def __getattr__(self, name):
        op = lookup(name)

        def function(*args, **kwargs):
            return self._call(op, args, kwargs)
        self.__dict__[name] = function
        return function

    def _call(self, op, args, kwargs):
        inputs, params, scalar = arguments(op, args, kwargs)
        params, entries = op.parse(params), [value.entry for value in inputs]
        if self._mixed:
            entries = converted(op, params, entries)
        if "compose" in op.rules:
            return compose(op, [Value(entry, self) for entry in entries], params, self)
        node = make(op, entries, params, scalar, self._name, dict(self._attrs))
        outputs = [Value(Entry(node, i), self) for i in range(node.n_visible)]
        return outputs[0] if len(outputs) == 1 else outputs


F = Builder()


def arguments(op, args, kwargs):
    """(input values, given parameters, scalar) of a call."""
    kwargs = {key: value for key, value in kwargs.items() if key not in ("name", "attr") or key in op.params}
    if op.variadic:
        if len(args) == 1 and isinstance(args[0], (list, tuple)):
            args = args[0]
        inputs = [*args, *kwargs.pop(op.inputs[0], ())]
        if "num_args" in op.params:
            kwargs["num_args"] = len(inputs)
        return inputs, kwargs, None
    order = [*op.inputs, *(["scalar"] if op.scalar is not None else []), *op.params]
    given = {**{key: value for key, value in zip(order, args) if value is not None}, **kwargs}
    inputs = [given[name] for name in op.inputs if given.get(name) is not None]
    for value in inputs:
        if not isinstance(value, Value):
            raise MXNetTypeError(f"{op.name}: an input is {type(value).__name__}; expected a Value of a graph")
    scalar = float(given.pop("scalar", op.scalar)) if op.scalar is not None else None
    return inputs, {key: value for key, value in given.items() if key not in op.inputs}, scalar


def compose(op, inputs, params, builder):
    """The Values of an operator that is an expression of others."""
    values = {**params, **dict.fromkeys(op.inputs), "F": builder}
    if op.variadic:
        values[op.inputs[0]] = list(inputs)
    else:
        values.update(zip(op.input_names(params, len(inputs)), inputs))
    try:
        return call_rule(op.rules["compose"], values)
    except MXNetError as error:
        raise named(op, error) from error.__cause__
