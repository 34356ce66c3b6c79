"""What the topic files of this package share."""
from mxcy.base import MXNetTypeError
from mxcy.gpu.recipe import blocks

__all__ = ["C_TYPES", "THREADS", "c_type", "grid", "rule"]

#: How C++ calls the dtypes; see mxcy/gpu/kernels/numbers.cuh.
C_TYPES = {"float32": "float", "float64": "double", "float16": "mxcy::half", "bfloat16": "mxcy::bfloat16",
           "uint8": "uint8_t", "int32": "int32_t", "int8": "int8_t", "int64": "int64_t", "bool": "uint8_t"}
#: Threads of a block, where nothing else decides.
THREADS = 256


def rule(*kernels):
    """Decorator: the function says what to launch on a GPU for these Kernels; see `mxcy.gpu.recipe`."""
    def attach(function):
        for kernel in kernels:
            if kernel.cuda is not None:
                raise ValueError(f"{kernel} has a rule for GPUs already")
            kernel.cuda = function
        return function
    return attach


def c_type(array, kernel, among=C_TYPES):
    """The C++ type of an array's elements; MXNetTypeError if it is not one of ``among``."""
    if array.dtype not in among:
        raise MXNetTypeError(f"{kernel.name} does not take {array.dtype} on a GPU; it takes {', '.join(among)}. "
                             "Convert with astype().")
    return C_TYPES[array.dtype]


def grid(items, threads=THREADS):
    """Blocks for so many items, one to a thread."""
    return blocks(items, threads)
