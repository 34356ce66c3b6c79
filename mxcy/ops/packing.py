"""Helpers of kernel files: parameters as C sees them, and tables of entries."""
from array import array

from mxcy.dtype import CODES, NAMES, NUMPY

__all__ = ["NONE", "every", "pack", "pack_number"]

#: Stands for None among packed numbers.
NONE = -2**63


def every(function):
    """The same entry for every dtype, for kernels that go by the item size."""
    return dict.fromkeys(CODES.values(), function)


def pack(*numbers):
    """The numbers as int64; None becomes `NONE`."""
    return array("q", [NONE if n is None else int(n) for n in numbers]).tobytes()


def pack_number(value):
    """``value`` in every dtype: the bits stand in the int64 slot that the dtype's number counts."""
    slots = bytearray(8 * (max(NAMES) + 1))
    for code, name in NAMES.items():
        kind = NUMPY[name]
        whole = kind.kind in "iu" and value == value and abs(value) < 2**63
        number = int(value) % 2**(8 * kind.itemsize) if whole else value        # wraps around, as a C cast does
        if whole and kind.kind == "i" and number >= 2**(8 * kind.itemsize - 1):
            number -= 2**(8 * kind.itemsize)
        bits = bytes(kind.itemsize) if kind.kind in "iu" and not whole else kind.type(number).tobytes()
        slots[8 * code:8 * code + len(bits)] = bits
    return bytes(slots)
