"""Nested lists of arrays or symbols as flat ones, and back."""
from mxcy.base import MXNetTypeError

__all__ = ["flatten", "regroup"]


def flatten(value, kind, what):
    """A flat list of what nested lists hold, and their form.

    Parameters
    ----------
    value : object or nested list of objects
    kind : type
        What the lists may hold.
    what : str
        Their name in messages.

    Returns
    -------
    items : list
    form : object
        For `regroup`: None for an item, a list of forms for a list.
    """
    if isinstance(value, kind):
        return [value], None
    if not isinstance(value, (list, tuple)):
        raise MXNetTypeError(f"{what}: expected {kind.__name__} or (nested) lists of them, not {type(value).__name__}")
    items, form = [], []
    for part in value:
        more, inner = flatten(part, kind, what)
        items += more
        form.append(inner)
    return items, form


def regroup(items, form):
    """The flat list in the form that `flatten` found."""
    left = iter(items)

    def take(form):
        return next(left) if form is None else [take(inner) for inner in form]
    return take(form)
