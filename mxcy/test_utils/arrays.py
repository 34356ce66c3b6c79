"""Random shapes and arrays."""
import random

import numpy as np

from mxcy import nd
from mxcy.base import MXNetValueError

__all__ = ["rand_shape_2d", "rand_shape_3d", "rand_shape_nd", "rand_ndarray", "random_arrays", "random_uniform_arrays",
           "random_sample", "rand_coord_2d", "np_reduce", "collapse_sum_like", "assign_each", "assign_each2",
           "create_2d_tensor", "create_vector"]


def rand_shape_nd(num_dim, dim=10, allow_zero_size=False):
    """A random shape of ``num_dim`` axes, of sizes 1 (or 0) to ``dim``."""
    return tuple(np.random.randint(0 if allow_zero_size else 1, dim + 1, num_dim).tolist())


def rand_shape_2d(dim0=10, dim1=10, allow_zero_size=False):
    """A random shape of two axes."""
    return tuple(rand_shape_nd(1, dim, allow_zero_size)[0] for dim in (dim0, dim1))


def rand_shape_3d(dim0=10, dim1=10, dim2=10, allow_zero_size=False):
    """A random shape of three axes."""
    return tuple(rand_shape_nd(1, dim, allow_zero_size)[0] for dim in (dim0, dim1, dim2))


def rand_coord_2d(x_low, x_high, y_low, y_high):
    """A random pair of whole numbers from two ranges, without their upper ends."""
    return int(np.random.randint(x_low, x_high)), int(np.random.randint(y_low, y_high))


def random_arrays(*shapes):
    """Standard normal float32 NumPy arrays, one for each shape; one alone is not in a list."""
    arrays = [np.asarray(np.random.randn(*shape), dtype="float32") for shape in shapes]
    return arrays[0] if len(arrays) == 1 else arrays


def random_uniform_arrays(*shapes, **kwargs):
    """Uniform NumPy arrays, one for each shape; keywords ``low`` (0), ``high`` (1) and ``dtype``."""
    low, high, dtype = kwargs.pop("low", 0.), kwargs.pop("high", 1.), kwargs.pop("dtype", "float32")
    return [np.random.uniform(low, high, shape).astype(dtype) for shape in shapes]


def random_sample(population, k):
    """``k`` different items of ``population``, in their order."""
    return [population[i] for i in sorted(random.sample(range(len(population)), k))]


def rand_ndarray(shape, stype="default", density=None, dtype=None, modifier_func=None, shuffle_csr_indices=False,
                 distribution=None, ctx=None):
    """An NDArray of uniform numbers in [-1, 1).

    Parameters
    ----------
    shape : tuple of int
    stype : str
        Must be 'default'.
    density : optional
        For sparse arrays only.
    dtype : str, optional
        By default float32.
    modifier_func, shuffle_csr_indices, distribution : optional
        For sparse arrays only.
    ctx : Context, optional

    Returns
    -------
    NDArray
    """
    if stype != "default":
        raise MXNetValueError(f"rand_ndarray: stype must be 'default', got {stype!r}")
    return nd.array(np.random.uniform(-1, 1, shape), dtype=dtype or "float32", ctx=ctx)


def np_reduce(dat, axis, keepdims, numpy_reduce_func):
    """Reduce a NumPy array over one or several axes (None: all) with a function that takes one axis."""
    axes = range(dat.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    for a in sorted((a % dat.ndim for a in axes), reverse=True):
        dat = np.expand_dims(numpy_reduce_func(dat, axis=a), a) if keepdims else numpy_reduce_func(dat, axis=a)
    return dat


def collapse_sum_like(a, shape):
    """Sum a NumPy array down to ``shape``, which broadcasts to its own."""
    a = a.sum(axis=tuple(range(a.ndim - len(shape)))) if a.ndim > len(shape) else a
    return a.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1 != a.shape[i]), keepdims=True)


def assign_each(the_input, function):
    """A NumPy array of ``function`` of each value (None: a copy)."""
    return the_input.copy() if function is None else np.vectorize(function, otypes=[the_input.dtype])(the_input)


def assign_each2(input1, input2, function):
    """A NumPy array of ``function`` of each pair of values (None: a copy of the first)."""
    return input1.copy() if function is None else np.vectorize(function, otypes=[input1.dtype])(input1, input2)


def create_vector(size, dtype="int64"):
    """The NDArray 0, 1, .., size - 1."""
    return nd.array(np.arange(size), dtype=np.dtype(dtype).name)


def create_2d_tensor(rows, columns, dtype="int64"):
    """An NDArray whose rows are filled with their number."""
    return nd.array(np.repeat(np.arange(rows)[:, None], columns, axis=1), dtype=np.dtype(dtype).name)
