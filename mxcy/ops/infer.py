"""Shapes and dtypes of an operator's outputs, by its rules; the checks and messages are here, once for all."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops.operator import call_rule

__all__ = ["infer", "named"]


def infer(operator, params, names, shapes, dtypes):
    """Shapes and dtypes of the outputs.

    Parameters
    ----------
    operator : Operator
    params : dict
        Parsed parameters.
    names : sequence of str
        Names of the inputs that are present.
    shapes, dtypes : sequence
        A tuple and a dtype name for each input.

    Returns
    -------
    list of (shape, dtype name)
    """
    out_shapes = infer_shapes(operator, params, names, shapes)
    return list(zip(out_shapes, infer_types(operator, params, names, dtypes, len(out_shapes))))


def by_name(operator, params, names, values):
    """What a rule may name: inputs (a list, if variadic; None, if absent) and parameters."""
    given = dict.fromkeys(operator.inputs)
    given.update({operator.inputs[0]: list(values)} if operator.variadic else zip(names, values))
    return {**params, **given, "num_inputs": len(values)}


def infer_shapes(operator, params, names, shapes):
    given = by_name(operator, params, names, shapes)
    count = operator.output_counts(params, len(shapes))[0]
    if "infer_shape" not in operator.rules:
        raise MXNetTypeError(f"{operator.name} has no shape rule")
    try:
        result = call_rule(operator.rules["infer_shape"], given)
    except MXNetValueError as error:                        # rules that operators share do not know whose they are
        if str(error).startswith(operator.name):
            raise
        raise MXNetValueError(f"{operator.name}: {error}") from None
    except LookupError as error:
        raise MXNetValueError(f"{operator.name}: {len(shapes)} inputs of shapes {', '.join(map(str, shapes))} are too "
                              f"few, or have too few axes") from error
    if isinstance(result, dict):
        for name in names if not operator.variadic else ():
            wanted = result.get(name)
            if wanted is not None and tuple(wanted) != given[name]:
                others = [f"{n} of shape {given[n]}" for n in names if n != name and n not in result]
                raise MXNetValueError(f"{operator.name}: {name} has shape {given[name]}, but "
                                      f"{', '.join(others) or 'the parameters'} "
                                      f"{'needs' if len(others) == 1 else 'need'} "
                                      f"{tuple(wanted)}")
        named = len(operator.outputs) >= count
        result = [result[name] for name in operator.outputs[:count]] if named else result["out"]
    elif isinstance(result, tuple):
        result = [result]
    return [tuple(shape) for shape in result]


def infer_types(operator, params, names, dtypes, count):
    if "infer_type" not in operator.rules:
        if not dtypes:
            return [params.get("dtype") or "float32"] * count
        for name, dtype in zip(names, dtypes):
            if dtype != dtypes[0]:
                raise MXNetTypeError(f"{operator.name}: {name} is {dtype} but {names[0]} is {dtypes[0]}; they must "
                                     f"have one dtype. Convert one with astype().")
        return [dtypes[0]] * count
    given = by_name(operator, params, names, dtypes)
    result = call_rule(operator.rules["infer_type"], given)
    if isinstance(result, dict):
        for name in names if not operator.variadic else ():
            if result.get(name, given[name]) != given[name]:
                raise MXNetTypeError(f"{operator.name}: {name} is {given[name]}; expected {result[name]}. Convert it "
                                     "with astype().")
        result = [result[name] for name in operator.outputs[:count]]
    elif isinstance(result, str):
        result = [result] * count
    return list(result)


def named(operator, error):
    """The error, with the operator's name in its message."""
    return error if operator.name in str(error) else type(error)(f"{operator.name}: {error}")
