"""NumPy's protocols and DLPack: arrays of other libraries in, ours out, without copying where that is possible."""
import math

import numpy as np

from mxcy.base import MXNetNotImplementedError, MXNetTypeError, MXNetValueError
from mxcy.dtype import CODES
from mxcy.gpu._device import device, device_of_address, order_streams
from mxcy.imperative._function import F
from mxcy.ndarray._memory import cuda_interface, from_address, from_capsule, issued, numpy_view, to_capsule
from mxcy.ndarray._ndarray import NDArray, from_numpy_copy

__all__ = ["PROTOCOLS", "from_dlpack", "to_dlpack_for_read", "to_dlpack_for_write"]

CPU, CUDA = 1, 2                # device types of DLPack
LEGACY_STREAM = 1               # what CUDA calls the default stream that all others wait for


# -- NumPy -------------------------------------------------------------------------------------------------------------

def as_numpy_array(self, dtype=None, copy=None):
    """``numpy.asarray(x)``: a copy, unless ``copy=False`` asks for the memory itself."""
    if copy is False:
        if dtype is not None and np.dtype(dtype) != numpy_view(self).dtype:
            raise MXNetValueError(f"an array of dtype {self.dtype_name} is no {np.dtype(dtype)} array without a copy")
        self.wait_to_write()
        return numpy_view(self)
    result = self.asnumpy()
    return result if dtype is None else result.astype(dtype, copy=False)


#: NumPy functions that are operators here. What is not listed is computed by NumPy.
OPERATORS = {
    np.add: lambda a, b: a + b, np.subtract: lambda a, b: a - b, np.multiply: lambda a, b: a * b,
    np.divide: lambda a, b: a / b, np.power: lambda a, b: a ** b, np.remainder: lambda a, b: a % b,
    np.negative: lambda a: -a,
    **{getattr(np, numpy_name): (lambda a, name=name: getattr(F, name)(a)) for numpy_name, name in (
        ("absolute", "abs"), ("sign", "sign"), ("rint", "rint"), ("ceil", "ceil"), ("floor", "floor"),
        ("trunc", "trunc"), ("square", "square"), ("sqrt", "sqrt"), ("cbrt", "cbrt"), ("exp", "exp"), ("log", "log"),
        ("log10", "log10"), ("log2", "log2"), ("log1p", "log1p"), ("expm1", "expm1"), ("sin", "sin"), ("cos", "cos"),
        ("tan", "tan"), ("arcsin", "arcsin"), ("arccos", "arccos"), ("arctan", "arctan"), ("sinh", "sinh"),
        ("cosh", "cosh"), ("tanh", "tanh"), ("arcsinh", "arcsinh"), ("arccosh", "arccosh"), ("arctanh", "arctanh"),
        ("degrees", "degrees"), ("radians", "radians"), ("reciprocal", "reciprocal"))},
    np.sum: lambda a, axis=None, keepdims=False: F.sum(a, axis=axis, keepdims=keepdims),
    np.mean: lambda a, axis=None, keepdims=False: F.mean(a, axis=axis, keepdims=keepdims),
    np.prod: lambda a, axis=None, keepdims=False: F.prod(a, axis=axis, keepdims=keepdims),
    np.max: lambda a, axis=None, keepdims=False: F.max(a, axis=axis, keepdims=keepdims),
    np.min: lambda a, axis=None, keepdims=False: F.min(a, axis=axis, keepdims=keepdims),
    np.clip: lambda a, a_min, a_max: F.clip(a, a_min=a_min, a_max=a_max),
    np.concatenate: lambda arrays, axis=0: F.Concat(*arrays, dim=axis),
    np.stack: lambda arrays, axis=0: F.stack(*arrays, axis=axis),
    np.transpose: lambda a, axes=None: F.transpose(a, axes=axes or ()),
    np.swapaxes: lambda a, axis1, axis2: F.SwapAxis(a, dim1=axis1, dim2=axis2),
    np.expand_dims: lambda a, axis: F.expand_dims(a, axis=axis),
    np.squeeze: lambda a, axis=None: F.squeeze(a, axis=axis),
    np.broadcast_to: lambda array, shape: array.broadcast_to(shape),
    np.zeros_like: lambda a: F.zeros_like(a),
    np.ones_like: lambda a: F.ones_like(a),
    np.copy: lambda a: F._copy(a),
}


def ours(value, like):
    """A NumPy array as an NDArray of the dtype and context of ``like``, a NumPy scalar as a number."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return from_numpy_copy(value.astype(like.dtype, copy=False), like.context)
    return value


def to_numpy(value):
    """``value`` with NumPy arrays in place of NDArrays, within lists, tuples and dicts too."""
    if isinstance(value, NDArray):
        return value.asnumpy()
    if isinstance(value, (list, tuple)):
        return type(value)(map(to_numpy, value)) if type(value) in (list, tuple) else value
    return {k: to_numpy(v) for k, v in value.items()} if isinstance(value, dict) else value


def from_numpy_result(value):
    """``value`` with NDArrays in place of NumPy arrays that have a dtype of ours."""
    if isinstance(value, (list, tuple)):
        parts = [from_numpy_result(v) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, np.ndarray):
        try:
            return from_numpy_copy(value)
        except MXNetTypeError:
            return value
    return value


def array_ufunc(self, ufunc, method, *inputs, out=None, **kwargs):
    """NumPy's ufuncs on NDArrays: an operator of ours if there is one, else NumPy's own, giving an NDArray."""
    operator = OPERATORS.get(ufunc)
    if operator is not None and method == "__call__" and out is None and not kwargs:
        try:
            return operator(*(ours(value, self) for value in inputs))
        except TypeError:
            pass                                    # a list among the inputs, or arrays of different dtypes
    if out is not None and not any(isinstance(o, NDArray) for o in out):
        return getattr(ufunc, method)(*to_numpy(inputs), out=out, **to_numpy(kwargs))
    result = getattr(ufunc, method)(*to_numpy(inputs), **to_numpy(kwargs))
    if out is None:
        return from_numpy_result(result)
    for target, value in zip(out, result if isinstance(result, tuple) else (result,)):
        target[...] = value
    return out[0] if len(out) == 1 else out


def array_function(self, function, types, args, kwargs):
    """NumPy's other functions on NDArrays: an operator of ours if it knows the arguments, else NumPy's own."""
    operator = OPERATORS.get(function)
    if operator is not None:
        try:
            return operator(*args, **kwargs)
        except TypeError:
            pass                                    # NumPy arrays among the inputs, or arguments that only NumPy has
    out = kwargs.pop("out", None)
    result = function(*to_numpy(args), **to_numpy(kwargs))
    if out is None:
        return from_numpy_result(result)
    out[...] = result
    return out


# -- DLPack ------------------------------------------------------------------------------------------------------------

def dlpack(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """A DLPack capsule over the memory of the array, for ``torch.from_dlpack(x)`` and its like.

    Waits for an array of the CPU. Of a GPU's array the stream of whoever asks waits, or its default stream.
    """
    where = dlpack_device(self)
    if where[0] == CPU and stream is not None:
        raise MXNetValueError(f"__dlpack__: stream is {stream!r}; an array of the CPU has none, pass None")
    if dl_device not in (None, where):
        raise MXNetNotImplementedError(f"__dlpack__: dl_device is {dl_device}; only where the array is, {where}, is "
                                       "possible")
    if copy:
        self = self.copy()
    issued(self)
    if where[0] == CUDA and stream != -1:
        order_streams(where[1], LEGACY_STREAM if stream is None else stream, False)
    return to_capsule(self, max_version is not None and max_version[0] >= 1)


def dlpack_device(self):
    """(DLPack's number of the device type, device number)."""
    return (CUDA, self.context.device_id) if self.context.device_type == "gpu" else (CPU, 0)


def cuda_array_interface(self):
    """What Numba, CuPy, PyCUDA and PyTorch look for: the array as memory of a GPU, with the stream that computes it."""
    if self.context.device_type != "gpu":
        raise AttributeError("__cuda_array_interface__ is for arrays of a GPU")
    if self.dtype_name == "bfloat16":
        raise MXNetTypeError("__cuda_array_interface__ knows no bfloat16; convert with astype()")
    issued(self)
    return cuda_interface(self)


def from_cuda_array_interface(array):
    """An NDArray over the memory of an object with ``__cuda_array_interface__``, which it keeps alive."""
    described = array.__cuda_array_interface__
    address, read_only = described["data"]
    shape, dtype, strides = tuple(described["shape"]), np.dtype(described["typestr"]), described.get("strides")
    if read_only or described.get("mask") is not None or dtype.name not in CODES:
        raise MXNetValueError(f"from_dlpack: {described} is read-only, masked or of a dtype that NDArray lacks; copy "
                              "it first")
    if strides is not None and tuple(strides) != tuple(math.prod(shape[i + 1:]) * dtype.itemsize
                                                       for i in range(len(shape))):
        raise MXNetValueError(f"from_dlpack: an array of shape {shape} and strides {strides} is not contiguous; make "
                              "it so first")
    number = device_of_address(address)
    found = from_address(array, address, shape, CODES[dtype.name], number)
    stream = described.get("stream")
    if stream is not None:
        order_streams(number, stream, True)
    return found


def to_dlpack_for_read(data):
    """A DLPack capsule over the memory of an array, for others to read.

    Parameters
    ----------
    data : NDArray
        Waited for until it is written.

    Returns
    -------
    PyCapsule
    """
    data.wait_to_read()
    return to_capsule(data)


def to_dlpack_for_write(data):
    """A DLPack capsule over the memory of an array, for others to write.

    Parameters
    ----------
    data : NDArray
        Waited for until nothing reads or writes it any more.

    Returns
    -------
    PyCapsule
    """
    data.wait_to_write()
    return to_capsule(data)


def from_dlpack(dlpack):
    """An array over the memory of an array of another library; no copy is made.

    Parameters
    ----------
    dlpack : object
        A DLPack capsule, or anything with ``__dlpack__`` or ``__cuda_array_interface__``: a tensor of PyTorch, a NumPy
        array, an array of PyCUDA, ... It must be dense, in C order, writable, and in memory of the CPU or of CUDA.

    Returns
    -------
    NDArray
        Keeps the memory alive. What either side writes the other sees; the engine does not know of writes from outside.
    """
    if hasattr(dlpack, "__dlpack__"):
        kind, number = dlpack.__dlpack_device__() if hasattr(dlpack, "__dlpack_device__") else (CPU, 0)
        ours = {"stream": device(number)[1]} if kind == CUDA else {}        # whoever gives sees to it that this waits
        try:
            dlpack = dlpack.__dlpack__(max_version=(1, 0), **ours)
        except TypeError:                           # of a library older than DLPack 1.0
            dlpack = dlpack.__dlpack__(**ours)
        except BufferError as error:                # a read-only NumPy array, for instance
            raise MXNetValueError(f"from_dlpack: {error}") from None
    elif hasattr(dlpack, "__cuda_array_interface__"):
        return from_cuda_array_interface(dlpack)
    return from_capsule(dlpack)


#: Special methods of NDArray that other libraries look for.
PROTOCOLS = {"__array__": as_numpy_array, "__array_ufunc__": array_ufunc, "__array_function__": array_function,
             "__dlpack__": dlpack, "__dlpack_device__": dlpack_device,
             "__cuda_array_interface__": property(cuda_array_interface),
             "to_dlpack_for_read": to_dlpack_for_read, "to_dlpack_for_write": to_dlpack_for_write}
