# cython: language_level=3
"""The Python operators of NDArray."""

cdef object arithmetic(int code, object left, object right, object out)     # code: see Arithmetic in _ndarray.pxd
