"""Kernels of the user's own: CUDA C++ compiled at run time, launched on NDArrays through the engine.

Examples
--------
>>> source = '''
... extern "C" __global__ void axpy(const float* x, float* y, float alpha) {
...     int i = threadIdx.x + blockIdx.x * blockDim.x;
...     y[i] += alpha * x[i];
... }
... '''
>>> axpy = CudaModule(source).get_kernel("axpy", "const float* x, float* y, float alpha")
>>> axpy
<CudaKernel axpy(const float* x, float* y, float alpha)>
"""
import re

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.context import Context
from mxcy.dtype import NUMPY
from mxcy.gpu import _launch, _module, compiler
from mxcy.gpu.recipe import Pointer, launch
from mxcy.imperative._rtc import launch_on
from mxcy.ndarray._ndarray import NDArray

__all__ = ["CudaKernel", "CudaModule"]

#: dtypes of C++'s names, in signatures of kernels.
TYPES = {"double": "float64", "float": "float32", "__half": "float16", "half": "float16", "__nv_bfloat16": "bfloat16",
         "uint8_t": "uint8", "unsigned char": "uint8", "int": "int32", "int32_t": "int32", "int8_t": "int8",
         "char": "int8", "int64_t": "int64", "long": "int64", "long long": "int64", "bool": "bool"}
ARGUMENT = re.compile(r"(const\s+)?([A-Za-z_]\w*(?:\s+(?:char|long))?)\s*(\*)?\s*(?:__restrict__\s+)?([A-Za-z_]\w*)?")


class CudaModule:
    """CUDA C++ source text, compiled for each device when a kernel of it is first launched there.

    Parameters
    ----------
    source : str
        Kernels are ``extern "C" __global__`` functions, or named in ``exports``.
    options : sequence of str
        For NVRTC, such as ``"-DN=4"`` or ``"-I/some/folder"``.
    exports : sequence of str
        Names of other kernels as C++ spells them, such as ``"axpy<float>"``.
    """

    def __init__(self, source, options=(), exports=()):
        self._source, self._modules = source, {}
        self._options, self._exports = ((x,) if isinstance(x, str) else tuple(x) for x in (options, exports))

    def get_kernel(self, name, signature):
        """A kernel of the module.

        Parameters
        ----------
        name : str
            As in the source, or as in ``exports``.
        signature : str
            Its parameters as C++ declares them: ``"const float* x, float* y, int n"``. Pointers take NDArrays; what
            ``const`` ones point to is only read.

        Returns
        -------
        CudaKernel
        """
        return CudaKernel(self, name, signature)

    def _function(self, name, device):
        """The driver's handle of a kernel on a device."""
        if device not in self._modules:
            options = [f"-arch={compiler.architecture(device)}", *self._options]
            code, names = compiler.nvrtc().compile(self._source, options, self._exports)
            self._modules[device] = _module.load(code, device), names
        module, names = self._modules[device]
        return _module.function(module, names.get(name, name), device)


class CudaKernel:
    """A kernel of a `CudaModule`; made by `CudaModule.get_kernel`."""

    def __init__(self, module, name, signature):
        self._module, self._name, self._signature = module, name, signature
        self._parameters = []                           # (dtype, is an array, is only read)
        for text in signature.split(","):
            found = ARGUMENT.fullmatch(text.strip())
            if not found or found[2] not in TYPES:
                raise MXNetValueError(f"{name}: the parameter {text.strip()!r} is not understood; expected such as "
                                      f"'const float* x' or 'int n', of the types {', '.join(TYPES)}")
            self._parameters.append((TYPES[found[2]], bool(found[3]), bool(found[1])))

    def __repr__(self):
        return f"<CudaKernel {self._name}({self._signature})>"

    def launch(self, args, ctx, grid_dims, block_dims, shared_mem=0):
        """Launch the kernel; like an operator, it waits for what its arrays wait for, and the call returns at once.

        Parameters
        ----------
        args : sequence of NDArray or float
            Arrays for pointers, numbers for the rest.
        ctx : Context
            The GPU that the arrays are on.
        grid_dims, block_dims : tuple of int
            Numbers of blocks, and of threads in a block: three each.
        shared_mem : int
            Bytes of dynamic shared memory.
        """
        ctx = Context(ctx)
        if ctx.device_type != "gpu":
            raise MXNetValueError(f"{self._name}: ctx is {ctx}; kernels are launched on GPUs")
        for what, sizes in (("grid_dims", grid_dims), ("block_dims", block_dims)):
            if len(sizes) != 3 or any(n < 1 for n in sizes):
                raise MXNetValueError(f"{self._name}: {what} is {sizes}; expected three numbers of at least 1")
        if len(args) != len(self._parameters):
            raise MXNetTypeError(f"{self._name}: {len(args)} arguments given; expected {len(self._parameters)}: "
                                 f"{self._signature}")
        arrays, constant, packed = [], [], []
        for given, (dtype, is_array, reads) in zip(args, self._parameters):
            if not is_array:
                packed.append(self._number(given, dtype))
                continue
            if not isinstance(given, NDArray) or given.dtype_name != dtype or given.context != ctx:
                what = f"{given.dtype_name} on {given.context}" if isinstance(given, NDArray) else type(given).__name__
                raise MXNetTypeError(f"{self._name}: an argument is {what}; expected an NDArray of {dtype} on {ctx}")
            packed.append(Pointer(len(arrays)))
            arrays.append(given)
            constant.append(reads)
        function = self._module._function(self._name, ctx.device_id)
        item = launch(function, self._name, tuple(grid_dims), tuple(block_dims), *packed, shared=shared_mem)
        launch_on(_launch.Recipe([item], ctx.device_id, 0), arrays, constant)

    def _number(self, given, dtype):
        try:
            return NUMPY[dtype].type(given)
        except (TypeError, ValueError, OverflowError):
            raise MXNetTypeError(f"{self._name}: an argument is {given!r}; expected a number for {dtype}") from None
