"""Operators written in Python: `CustomOp`, `CustomOpProp`, `register`; called as ``nd.Custom`` and ``sym.Custom``."""
from collections import namedtuple

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.imperative._invoke import convert
from mxcy.ndarray._ndarray import NDArray
from mxcy.operator import together  # noqa: F401 (it attaches a rule)
from mxcy.operator.custom import PROPS, CustomOp, CustomOpProp, register
from mxcy.operator.invocation import call_now
from mxcy.operator.table import CUSTOM
from mxcy.ops.operator import REGISTRY, lookup

__all__ = ["Custom", "CustomOp", "CustomOpProp", "get_all_registered", "get_all_registered_operators",
           "get_operator_arguments", "register"]

OperatorArguments = namedtuple("OperatorArguments", ["narg", "names", "types"])


def get_all_registered():
    """Names of the custom operators that are registered."""
    return sorted(PROPS)


def get_all_registered_operators():
    """Names of all operators."""
    return sorted(REGISTRY)


def get_operator_arguments(op_name):
    """Arguments of an operator.

    Parameters
    ----------
    op_name : str

    Returns
    -------
    OperatorArguments
        ``narg``, ``names`` and ``types``, inputs first.
    """
    op = lookup(op_name)
    inputs = ["NDArray-or-Symbol[]" if op.variadic else "NDArray-or-Symbol"] * len(op.inputs)
    types = [*inputs, *(param.describe() for param in op.params.values())]
    return OperatorArguments(len(types), [*op.inputs, *op.params], types)


def arrange(kind, args, kwargs):
    """(inputs by name, parameters, prop) of a call of ``Custom``; ``kind`` is the class that inputs have."""
    inputs = {key: value for key, value in kwargs.items() if isinstance(value, kind)}
    params = {key: str(value) for key, value in kwargs.items() if key not in inputs and value is not None}
    prop = CUSTOM.parse(params)["prop"]
    names = CUSTOM.input_names({"prop": prop})
    unknown = [key for key in inputs if key not in names]
    if len(args) > len(names) or unknown:
        raise MXNetTypeError(f"Custom: {prop.op_type} takes {', '.join(names)}; given were {len(args)} inputs by "
                             f"position{' and ' + ', '.join(unknown) if unknown else ''}")
    for name, value in zip(names, args):
        if not isinstance(value, kind):
            raise MXNetTypeError(f"Custom: {name} of {prop.op_type} is {type(value).__name__}; expected "
                                 f"{kind.__name__}")
        if name in inputs:
            raise MXNetTypeError(f"Custom: input {name} of {prop.op_type} is given twice")
        inputs[name] = value
    return inputs, params, prop


def Custom(*data, op_type=None, out=None, name=None, **kwargs):
    """Call a custom operator.

    Parameters
    ----------
    *data : NDArray
        Inputs and auxiliary states, in the order in which the operator lists them.
    op_type : str
        The name it was registered by.
    out : NDArray or list of NDArray, optional
        Where to write the result.
    name : str, optional
        Of use in symbols only.
    **kwargs
        Inputs by name, and parameters, which the operator gets as text.

    Returns
    -------
    NDArray or list of NDArray
    """
    inputs, _, prop = arrange(NDArray, data, {"op_type": op_type, **kwargs})
    names = CUSTOM.input_names({"prop": prop})
    missing = [key for key in names if key not in inputs]
    if missing:
        raise MXNetTypeError(f"Custom: {prop.op_type} takes {', '.join(names)}; {', '.join(missing)} not given")
    outputs = call_now(prop, convert(CUSTOM, {"prop": prop}, [inputs[key] for key in names]))
    if out is not None:
        targets = out if isinstance(out, (list, tuple)) else [out]
        if len(targets) != len(outputs):
            raise MXNetValueError(f"Custom: out has {len(targets)} arrays; expected {len(outputs)}")
        for target, value in zip(targets, outputs):
            target[:] = value
        return out
    return outputs[0] if len(outputs) == 1 else outputs
