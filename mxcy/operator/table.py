"""The rows of the operator table for custom operators: ``Custom``, and the two kernels it becomes in a plan."""
import inspect

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError, nearest
from mxcy.graph.build import Builder, Value
from mxcy.graph.graph import Entry, Node
from mxcy.imperative import _custom
from mxcy.operator.custom import PROPS, CustomOpProp
from mxcy.operator.invocation import Invocation, ask, call_now, infer_shapes, infer_types, marks
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

__all__ = ["CUSTOM"]

_MOST_OUTPUTS = 32


# -- in plans ----------------------------------------------------------------------------------------------------------

class _Prop(Param):
    """A parameter that no text spells: operators with it are made here alone, their kernels trust their inputs."""

    def __init__(self):
        super().__init__(CustomOpProp)

    def parse(self, value, where):
        if not isinstance(value, CustomOpProp):
            raise MXNetTypeError(f"{where}: this operator is made in plans only; use Custom")
        return value


FORWARD = Operator("_custom_forward", "*data", """The forward half of a custom operator.

The first input holds the `Invocation`; then come the inputs and the auxiliary states.""",
                   outputs=" ".join(f"out{i}" for i in range(_MOST_OUTPUTS)), prop=_Prop())
BACKWARD = Operator("_custom_backward", "*data", """The backward half of a custom operator.

The inputs are the one with the `Invocation`, gradients of the outputs if they are used, the outputs, and the inputs of
forward, for each of which ``needs`` holds a letter.""", needs=Param(str), prop=_Prop())
FORWARD.cpu, BACKWARD.cpu = _custom.FORWARD, _custom.BACKWARD


@FORWARD.outputs_given
def count(prop):
    n = len(prop.list_outputs())
    if n > _MOST_OUTPUTS:
        raise MXNetValueError(f"{type(prop).__name__} has {n} outputs; at most {_MOST_OUTPUTS} are possible in a graph")
    return n, n


FORWARD.infer_shape(lambda data, prop: infer_shapes(prop, data[1:])[1])
FORWARD.infer_type(lambda data, prop: infer_types(prop, data[1:])[1])
FORWARD.changes_given(lambda prop, num_inputs: [0, *range(1 + len(prop.list_arguments()), num_inputs)])
BACKWARD.outputs_given(lambda needs: (needs.count("1"), needs.count("1")))
BACKWARD.infer_shape(lambda data, needs: [x for x, need in zip(data[-len(needs):], needs) if need == "1"])
BACKWARD.infer_type(lambda data, needs: [x for x, need in zip(data[-len(needs):], needs) if need == "1"])
BACKWARD.changes_given(lambda needs, num_inputs: [0, *(num_inputs - len(needs) + i for i, need in enumerate(needs)
                                                       if need == "a")])


def uses_top(prop):
    """Whether backward uses the gradients of the outputs."""
    n, m = len(prop.list_outputs()), len(prop.list_arguments())
    grads = list(range(n))
    return bool(set(grads) & set(ask(prop.declare_backward_dependency, grads, list(range(n, n + m)),
                                     list(range(n + m, 2 * n + m)))))


def differentiate(F, gs, data, prop, needs, *outputs):
    outputs = [value for value in outputs if value is not None]
    letters = marks(prop, needs[1:])
    if "1" not in letters:
        return None
    top = []
    if uses_top(prop):
        top = [F.zeros_like(value) if g is None else g for g, value in zip(gs, outputs)]
    grads = F._custom_backward(data[0], *top, *outputs, *data[1:], needs=letters, prop=prop)
    grads = iter(grads if isinstance(grads, list) else [grads])
    return [None, *(next(grads) if need == "1" else None for need in letters)]


differentiate.__signature__ = inspect.Signature(
    [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
     for name in ("F", "gs", "data", "prop", "needs", *FORWARD.outputs)])
FORWARD.gradient(differentiate)


def call_later(F, prop, data):
    """The outputs, Values of a typed graph. Each execution has an `Invocation` of its own."""
    state = Node(None, f"{prop.op_type}_call", types=[((1,), "int64")],
                 params={"maker": lambda: _custom.hold(Invocation(prop))})
    outputs = F._custom_forward(Value(Entry(state, 0), F), *data, prop=prop)
    return outputs if isinstance(outputs, list) else [outputs]


# -- the row -----------------------------------------------------------------------------------------------------------

class CustomOperator(Operator):
    """The row ``Custom``: one operator for all that are registered here."""

    def parse(self, given):
        """The registered class, called with the parameters as text: ``{"prop": CustomOpProp}``."""
        given = {key: value for key, value in given.items() if not (key.startswith("__") and key.endswith("__"))}
        op_type = given.pop("op_type", None)
        if op_type is None:
            raise MXNetTypeError("Custom: parameter op_type is missing; expected the name of a registered operator")
        if op_type not in PROPS:
            raise MXNetValueError(f"Custom: op_type {op_type!r} is not registered.{nearest(op_type, PROPS)} Decorate "
                                  f"its CustomOpProp with mx.operator.register({op_type!r}).")
        prop = ask(PROPS[op_type], **{key: str(value) for key, value in given.items()})
        prop.op_type = op_type
        return {"prop": prop}

    def check_node(self, node):
        """Raise if a node of a symbol file has the wrong number of inputs."""
        names = self.input_names(node.params)
        if len(node.inputs) != len(names):
            raise MXNetValueError(f"node {node.name!r} (Custom): there are {len(node.inputs)} inputs; expected "
                                  f"{len(names)}: {', '.join(names)}")

    def input_names(self, params, count=None):
        """The user's names of the inputs, then those of the auxiliary states."""
        prop = params["prop"]
        return (*prop.list_arguments(), *prop.list_auxiliary_states())


def compose(F, data, prop):
    outputs = call_later(F, prop, data) if isinstance(F, Builder) else call_now(prop, data)
    return outputs[0] if len(outputs) == 1 else outputs


CUSTOM = CustomOperator("Custom", "*data", """A custom operator, see `mxcy.operator`.""", op_type=Param(str))
CUSTOM.rule("compose", compose)
CUSTOM.rule("host", lambda node, inputs: call_now(node.params["prop"], inputs))
CUSTOM.rule("check_node", CUSTOM.check_node)
CUSTOM.infer_shape(lambda data, prop: infer_shapes(prop, data)[1])
CUSTOM.infer_type(lambda data, prop: infer_types(prop, data)[1])


@lambda rule: CUSTOM.rule("infer_shapes", rule)
def shapes_of_node(node, table):
    """In symbols: shapes of inputs follow from others, as the user's code says."""
    note(node, table, infer_shapes, [table.values[entry] for entry in node.inputs])


@lambda rule: CUSTOM.rule("infer_types", rule)
def types_of_node(node, table):
    """In symbols: dtypes of inputs follow from others."""
    note(node, table, infer_types, [table.values[entry] for entry in node.inputs])


def note(node, table, infer, known):
    if not any(known):
        return
    try:
        inputs, outputs = infer(node.params["prop"], known)
    except MXNetError:
        if None in known:               # the user's code may need more than is known so far
            return
        raise
    for entry, value in zip([*node.inputs, *(Entry(node, i) for i in range(len(outputs)))], [*inputs, *outputs]):
        table.put(entry, value, node)


CUSTOM.outputs_given(lambda prop: (len(prop.list_outputs()),) * 2)
CUSTOM.changes_given(lambda prop, num_inputs: range(len(prop.list_arguments()), num_inputs))
