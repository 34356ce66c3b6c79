"""Nested arguments and results of blocks: lists and tuples of arrays, with None and plain values among them."""
from mxcy.base import MXNetTypeError

__all__ = ["ARRAY", "each", "flatten", "regroup"]

#: What stands for an array in a form.
ARRAY = "array"
#: What may stand among the arrays: a graph is made for each of their values.
PLAIN = (bool, int, float, str, type(None))


def flatten(value, kinds, leaves, what):
    """Append the arrays in ``value`` to ``leaves``.

    Parameters
    ----------
    value : object
        An array, or a nested list or tuple of arrays, None and plain values.
    kinds : type or tuple of type
        What counts as an array.
    leaves : list
    what : str
        Names the value in a message.

    Returns
    -------
    object
        The form, which can be a key: `regroup` makes the same nest of other arrays.
    """
    if isinstance(value, kinds):
        leaves.append(value)
        return ARRAY
    if isinstance(value, (list, tuple)):
        return (type(value), *[flatten(item, kinds, leaves, what) for item in value])
    if isinstance(value, PLAIN):
        return type(value), value
    raise MXNetTypeError(f"{what} holds {type(value).__name__}; expected arrays, None, numbers and text, or lists and "
                         f"tuples of them")


def each(function, value):
    """A nested ``value`` in which ``function`` has replaced all that is no list or tuple."""
    if not isinstance(value, (list, tuple)):
        return function(value)
    items = [each(function, item) for item in value]
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def regroup(form, leaves):
    """The nest that ``form`` describes, of the arrays from the iterator ``leaves``."""
    if form is ARRAY:
        return next(leaves)
    kind, *items = form
    if kind in PLAIN:
        return items[0]
    items = [regroup(item, leaves) for item in items]
    return kind(*items) if hasattr(kind, "_fields") else kind(items)
