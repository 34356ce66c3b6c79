"""Gradients held against differences."""
import numpy as np

from mxcy import autograd, nd
from mxcy.test_utils.compare import assert_almost_equal

__all__ = ["check_numeric_gradient", "numeric_grad", "default_numeric_eps"]


def default_numeric_eps():
    """Step of the differences by dtype."""
    return {np.dtype("float16"): 1 / 64, np.dtype("float32"): 1 / 512, np.dtype("float64"): 1 / 2 ** 14}


def numeric_grad(f, location, eps=1e-4):
    """Gradients of the sum of ``f`` by central differences.

    Parameters
    ----------
    f : callable
        A function, block or operator: NDArrays to an NDArray.
    location : list of numpy.ndarray
        The arguments.
    eps : float
        Step.

    Returns
    -------
    list of numpy.ndarray
    """
    def total(arrays):
        return float(f(*(nd.array(a, dtype=a.dtype) for a in arrays)).asnumpy().astype("float64").sum())

    gradients = []
    for i, array in enumerate(location):
        gradient = np.zeros(array.shape)
        for at in np.ndindex(array.shape):
            shifted = [a.copy() for a in location]
            sums = []
            for step in (eps, -eps):
                shifted[i][at] = array[at] + step
                sums.append(total(shifted))
            gradient[at] = (sums[0] - sums[1]) / (2 * eps)
        gradients.append(gradient)
    return gradients


def check_numeric_gradient(sym, location, aux_states=None, numeric_eps=None, rtol=None, atol=None, grad_nodes=None,
                           use_forward_train=True, ctx=None, grad_stype_dict=None, dtype=np.float32):
    """Raise ``AssertionError`` unless the gradients of a function agree with differences.

    The outputs are multiplied by fixed random numbers, so that errors do not cancel.

    Parameters
    ----------
    sym : callable
        A function, block or operator: NDArrays to an NDArray.
    location : list of array-like
        The arguments.
    aux_states : None
        A function has no auxiliary states.
    numeric_eps : float, optional
        Step; by default it follows ``dtype``.
    rtol, atol : float, optional
    grad_nodes : list of int, optional
        Numbers of the arguments whose gradients are checked; by default all.
    use_forward_train : bool
        Whether differences are taken in training mode.
    ctx : Context, optional
    grad_stype_dict : None
        Gradients are dense.
    dtype : numpy dtype
    """
    location = [(a.asnumpy() if isinstance(a, nd.NDArray) else np.asarray(a)).astype(dtype) for a in location]
    eps = default_numeric_eps()[np.dtype(dtype)] if numeric_eps is None else numeric_eps
    arrays = [nd.array(a, ctx=ctx, dtype=a.dtype) for a in location]
    for array in arrays:
        array.attach_grad()
    with autograd.record():
        out = sym(*arrays)
        weights = nd.array(np.random.RandomState(0).uniform(.1, 1.1, out.shape), ctx=ctx, dtype=dtype)
        weighted = out * weights
    weighted.backward()

    def function(*args):
        with autograd.train_mode() if use_forward_train else autograd.predict_mode():
            return sym(*args) * weights

    expected = numeric_grad(function, location, eps)
    for i in range(len(location)) if grad_nodes is None else grad_nodes:
        assert_almost_equal(arrays[i].grad, expected[i].astype(dtype), rtol, atol,
                            (f"gradient of argument {i}", "differences"))
