"""``sym.Custom``: operators that are written in Python."""
from mxcy.operator import CUSTOM, arrange
from mxcy.symbol.compose import apply, created
from mxcy.symbol.symbol import Symbol, one

__all__ = ["Custom"]


def Custom(*data, op_type=None, name=None, attr=None, **kwargs):
    """A custom operator, see `mxcy.operator`.

    Parameters
    ----------
    *data : Symbol
        Inputs and auxiliary states, in the order in which the operator lists them; what is missing becomes a variable.
    op_type : str
        The name it was registered by.
    name : str, optional
    attr : dict of str to str, optional
        Attributes.
    **kwargs
        Inputs by name, and parameters, which the operator gets as text.

    Returns
    -------
    Symbol
    """
    given, params, prop = arrange(Symbol, data, {"op_type": op_type, **kwargs})
    node = apply(CUSTOM, "custom", [], params, name, attr)
    names = CUSTOM.input_names({"prop": prop})
    node.inputs = [one(given[key]) if key in given else created(node, key) for key in names]
    return Symbol.of_node(node)
