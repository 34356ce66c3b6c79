"""Helpers of kernel files: parameters as C sees them, and tables of entries."""
from array import array

from mxcy.dtype import CODES

__all__ = ["NONE", "every", "pack"]

#: Stands for None among packed numbers.
NONE = -2**63


def every(function):
    """The same entry for every dtype, for kernels that go by the item size."""
    return dict.fromkeys(CODES.values(), function)


def pack(*numbers):
    """The numbers as int64; None becomes `NONE`."""
    return array("q", [NONE if n is None else int(n) for n in numbers]).tobytes()
