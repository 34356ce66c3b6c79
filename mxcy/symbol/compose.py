"""Calling operators with symbols: names, attributes, and the variables that an operator creates by itself."""
import numpy as np

from mxcy.attribute import AttrScope
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.dtype import dtype_name
from mxcy.graph.graph import Entry, Node
from mxcy.name import NameManager
from mxcy.ops.operator import lookup
from mxcy.ops.param import Dtype

__all__ = ["HIDDEN", "SymbolFunction", "apply", "created", "text", "user_attributes"]

#: Attributes of users that may be written without underscores.
HIDDEN = ("ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage")

#: Initializers of variables that operators create.
STATISTICS = {"moving_mean": '["zero", {}]', "moving_var": '["one", {}]'}
INITIAL = {"BatchNorm": STATISTICS, "_contrib_SyncBatchNorm": STATISTICS,
           "LeakyReLU": {"gamma": '["Constant", {"value": 0.25}]'}}

#: Parameters that count the inputs of a variadic operator, and how inputs that are not given are called then.
COUNTS = {"num_args": "arg{}", "num_arrays": "array_{}", "num_outputs": "data_{}"}


def text(value):
    """A parameter as it stands in symbol files."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(text, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, np.generic):
        return str(value.item())
    if isinstance(value, (type, np.dtype)):
        return dtype_name(value)
    return str(value)


def user_attributes(attr):
    """The attributes in force with those given, by the names under which nodes keep them."""
    found = {}
    for key, value in AttrScope.current.get(attr).items():
        if not isinstance(value, str):
            raise MXNetValueError(f"attribute {key} is {value!r}; attributes are text, pass {str(value)!r}")
        found[f"__{key}__" if key in HIDDEN else key] = value
    return found


def apply(op, hint, inputs, params, name=None, attr=None, by_position=()):
    """A node that applies an operator.

    Parameters
    ----------
    op : Operator
    hint : str
        What the node is called, with a number, if no ``name`` is given.
    inputs : list or dict of Entry
        A dict by input name; what is missing becomes a variable. A list is taken as it is.
    params : dict
        Parameters as given by the user.
    name : str, optional
    attr : dict, optional
        Attributes.
    by_position : sequence of Entry or None
        More inputs, in the order of those that the operator has with these parameters.

    Returns
    -------
    Node
    """
    given = {f"__{key}__" if key in HIDDEN else key: text(value) for key, value in params.items()}
    user = user_attributes(attr)
    for key in user:
        if not (key.startswith("__") and key.endswith("__")):
            given[key] = user[key]                      # a parameter through AttrScope: parse says if it is none
    user = {key: value for key, value in user.items() if key not in given}
    name = NameManager.current.get(name, hint)
    attrs = {**user, **given}
    node = Node(op, name, (), attrs)
    parsed = node.params                                # wrong parameters are errors now, at the user's line
    if isinstance(inputs, dict):
        names = op.input_names(parsed)
        if len(by_position) > len(names):
            raise MXNetTypeError(f"{op.name}: {len(by_position)} inputs given; expected {', '.join(names)}")
        inputs = {**inputs, **{n: entry for n, entry in zip(names, by_position) if entry is not None}}
        if "inputs_given" not in op.rules:              # an optional input is there if it was given
            names = [n for n in names if n not in op.optional_inputs or n in inputs]
        extra = [n for n in inputs if n not in names]
        if extra:
            raise MXNetTypeError(f"{op.name}: input {extra[0]} has no place with these parameters; expected "
                                 f"{', '.join(names)}")
        inputs = [inputs[n] if n in inputs else created(node, n) for n in names]
        for key, initial in INITIAL.get(op.name, {}).items():
            if key in names and inputs[names.index(key)].node.op is None:
                inputs[names.index(key)].node.attrs.setdefault("__init__", initial)
    elif op.variadic and "run" not in op.rules:         # the operators of control flow count their bodies too
        for count, pattern in COUNTS.items():
            missing = range(len(inputs), parsed.get(count) or 0)
            inputs = [*inputs, *(created(node, pattern.format(i)) for i in missing)]
    node.inputs = list(inputs)
    return node


def created(node, input_name):
    """The variable of an input that was not given: it has the attributes of the node, parameters too."""
    return Entry(Node(None, f"{node.name}_{input_name}", (), dict(node.attrs)), 0)


class Documentation:
    """The docstring of a class, and for its instances that of the operator."""

    def __init__(self, of_class):
        self.of_class = of_class

    def __get__(self, instance, owner):
        return self.of_class if instance is None else instance.operator.document().replace("NDArray", "Symbol")


class SymbolFunction:
    """An operator as a function of symbols; called ``name`` by users, after which nodes are named."""

    def __init__(self, operator, name):
        self.operator, self.__name__ = operator, name
        self.__qualname__ = name
        self._hint = name.lower()

    __doc__ = Documentation(__doc__)

    @property
    def __signature__(self):
        return self.operator.signature()

    def __repr__(self):
        return f"<symbol operator {self.__name__}>"

    def __get__(self, instance, owner):
        return self if instance is None else self.__class__.bound(self, instance)

    def bound(self, instance):
        """The operator as a method of a symbol."""
        return lambda *args, **kwargs: self(instance, *args, **kwargs)

    def __reduce__(self):
        return _function, (self.operator.name, self.__name__)

    def __call__(self, *args, **kwargs):
        from mxcy.symbol.symbol import Symbol           # its methods are made of functions
        op = self.operator
        name, attr = (kwargs.pop(key, None) if key not in op.params else None for key in ("name", "attr"))
        kwargs.pop("out", None)
        if op.variadic:
            if len(args) == 1 and isinstance(args[0], (list, tuple)):
                args = args[0]
            inputs = [*args, *kwargs.pop(op.inputs[0], ())]
            arguments = [kwargs.pop(key) for key in sorted((k for k in kwargs if isinstance(kwargs[k], Symbol)),
                                                           key=lambda k: int("0" + "".join(filter(str.isdigit, k))))]
            entries = [self._entry(f"{op.inputs[0]}{i}", value, Symbol) for i, value in enumerate(inputs + arguments)]
            for count in COUNTS:
                if count in op.params and entries:
                    kwargs.setdefault(count, len(entries))
            return Symbol.of_node(apply(op, self._hint, entries, kwargs, name, attr))
        order = [*op.inputs, *(["scalar"] if op.scalar is not None else []), *op.params]
        if len(args) > len(order):
            raise MXNetTypeError(f"{self.__name__}: {len(args)} arguments given; at most {len(order)} are possible")
        given = {}
        for key, value in zip(order, args):
            if key in kwargs:
                raise MXNetTypeError(f"{self.__name__}: {key} is given twice")
            given[key] = value
        given.update(kwargs)
        inputs = {key: self._entry(key, kwargs[key], Symbol) for key in op.inputs if kwargs.get(key) is not None}
        by_position = [value if value is None else self._entry(key, value, Symbol)
                       for key, value in zip(op.inputs, args)]
        while by_position and by_position[-1] is None:
            by_position.pop()
        params = {}
        for key, value in given.items():
            if key in op.inputs:
                continue
            param = op.params.get(key)
            if value is None and (param is None or not param.optional):
                continue
            is_dtype = param is not None and param.kind is Dtype and value is not None
            params[key] = dtype_name(value) if is_dtype else value
        if "ctx" in params:
            params["ctx"] = str(params["ctx"])
        return Symbol.of_node(apply(op, self._hint, inputs, params, name, attr, by_position))

    def _entry(self, key, value, Symbol):
        if not isinstance(value, Symbol):
            raise MXNetTypeError(f"{self.__name__}: {key} is {type(value).__name__}; expected a Symbol")
        if len(value.heads) != 1:
            raise MXNetValueError(f"{self.__name__}: {key} has {len(value.heads)} outputs; choose one of them by its "
                                  f"index: {', '.join(value.list_outputs()[:8])}")
        return value.heads[0]


def _function(operator, name):
    return SymbolFunction(lookup(operator), name)
