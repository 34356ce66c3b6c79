"""Loops and branches of arrays: ``nd.contrib.foreach``, ``while_loop`` and ``cond``. Autograd records what they run."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.graph.control_flow import pad, slices, truth
from mxcy.imperative._function import F
from mxcy.ndarray._ndarray import NDArray
from mxcy.nested import flatten, regroup

__all__ = ["cond", "foreach", "while_loop"]


def foreach(body, data, init_states, name="foreach"):
    """Run a function on each slice of arrays along their first axis, with states that go from one to the next.

    Parameters
    ----------
    body : callable
        ``body(data, states)`` returns (outputs, new states).
    data : NDArray or nested list of NDArray
        Of one length.
    init_states : NDArray or nested list of NDArray
    name : str, optional
        Of use in symbols only.

    Returns
    -------
    outputs : NDArray or nested list of NDArray
        The outputs of all slices, stacked along a new first axis.
    states : NDArray or nested list of NDArray
        Those after the last slice.

    Examples
    --------
    >>> import mxcy as mx
    >>> x = mx.nd.array([[1.], [2.], [3.]])
    >>> sums, last = mx.nd.contrib.foreach(lambda x, s: (x + s, x + s), x, mx.nd.zeros((1,)))
    >>> sums.asnumpy().tolist(), last.asnumpy().tolist()
    ([[1.0], [3.0], [6.0]], [6.0])
    """
    arrays, form = flatten(data, NDArray, "foreach: data")
    lengths = {array.shape[:1] for array in arrays}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise MXNetValueError(f"foreach: data have shapes {', '.join(str(array.shape) for array in arrays) or 'none'}; "
                              f"expected arrays of one length, 1 or more, along their first axis")
    states, columns, out_form = init_states, None, None
    flatten(init_states, NDArray, "foreach: init_states")
    for row in zip(*(slices(F, array) for array in arrays)):
        outputs, states = both("foreach: body", body(regroup(row, form), states))
        flat, out_form = flatten(outputs, NDArray, "foreach: outputs of body")
        flatten(states, NDArray, "foreach: states of body")
        columns = append("foreach: body", columns, flat)
    return regroup([F.stack(*column, axis=0) for column in columns], out_form), states


def while_loop(cond, func, loop_vars, max_iterations=None, name="while_loop"):
    """Run a function as long as a condition holds.

    Parameters
    ----------
    cond : callable
        ``cond(*loop_vars)`` is a number or an array of one; the loop ends when it is 0.
    func : callable
        ``func(*loop_vars)`` returns (outputs, new loop_vars).
    loop_vars : NDArray or list of NDArray
    max_iterations : int
        The loop ends at the latest after so many.
    name : str, optional
        Of use in symbols only.

    Returns
    -------
    outputs : NDArray or nested list of NDArray
        The outputs of all iterations, stacked along a new first axis of length ``max_iterations``, with zeros at the
        end; an empty list if there was no iteration.
    loop_vars : NDArray or list of NDArray
        Those at the end.

    Examples
    --------
    >>> import mxcy as mx
    >>> squares, i = mx.nd.contrib.while_loop(lambda i: i < 3, lambda i: (i * i, i + 1), mx.nd.array([1.]), 4)
    >>> squares.asnumpy().ravel().tolist(), i.item()
    ([1.0, 4.0, 0.0, 0.0], 3.0)
    """
    if max_iterations is None:
        raise MXNetValueError("while_loop: max_iterations is missing")
    variables, form = flatten(loop_vars, NDArray, "while_loop: loop_vars")
    if not variables:
        raise MXNetValueError("while_loop: loop_vars is empty; expected one array or more")
    values, columns, out_form = as_arguments(loop_vars), [], []
    for _ in range(int(max_iterations)):
        if not truth(cond(*values), "while_loop: cond"):
            break
        outputs, loop_vars = both("while_loop: func", func(*values))
        flat, out_form = flatten(outputs, NDArray, "while_loop: outputs of func")
        if len(flatten(loop_vars, NDArray, "while_loop: loop_vars of func")[0]) != len(variables):
            raise MXNetValueError(f"while_loop: func must return as many loop_vars as it takes, {len(variables)}")
        columns = append("while_loop: func", columns or None, flat)
        values = as_arguments(loop_vars)
    stacked = [pad(F.stack(*column, axis=0), int(max_iterations)) for column in columns]
    return regroup(stacked, out_form), values[0] if form is None else list(values)


def cond(pred, then_func, else_func, name="cond"):
    """One of two computations.

    Parameters
    ----------
    pred : NDArray
        Of one element: 0 means else.
    then_func, else_func : callable
        Without arguments; one of them is called.
    name : str, optional
        Of use in symbols only.

    Returns
    -------
    NDArray or nested list of NDArray
        What the function returned.

    Examples
    --------
    >>> import mxcy as mx
    >>> x = mx.nd.array([5.])
    >>> mx.nd.contrib.cond(x > 3, lambda: x - 3, lambda: x).item()
    2.0
    """
    result = then_func() if truth(pred, "cond: pred") else else_func()
    flatten(result, NDArray, "cond: result")
    return result


def as_arguments(value):
    return (value,) if isinstance(value, NDArray) else tuple(value)


def both(what, result):
    """The pair that user code must return."""
    if not (isinstance(result, (list, tuple)) and len(result) == 2):
        raise MXNetTypeError(f"{what} must return a pair, (outputs, states), not {type(result).__name__}")
    return result


def append(what, columns, row):
    """Add each item of a row to its column; rows must be of one length."""
    if columns is None:
        columns = [[] for _ in row]
    if len(columns) != len(row):
        raise MXNetValueError(f"{what} returned {len(row)} outputs, and {len(columns)} before")
    for column, item in zip(columns, row):
        column.append(item)
    return columns
