# cython: language_level=3, boundscheck=False, wraparound=False
"""The Python operators of NDArray: which operator of the table computes them. Plugged into the class at import."""
from mxcy.imperative._bound cimport Bound
from mxcy.imperative._execute cimport assign_number
from mxcy.imperative._invoke cimport invoke, number
from mxcy.imperative._state cimport state
from mxcy.ndarray._ndarray cimport ADD, DIV, EQ, GE, GT, LE, LT, MOD, MUL, NE, POW, SUB, NDArray, hooks

import numbers

import numpy

from mxcy.base import MXNetError
from mxcy.ndarray._ndarray import from_numpy_copy
from mxcy.ndarray.arithmetic import TABLE as arithmetic_table
from mxcy.ops.operator import lookup


cdef class Operation:
    """The operators behind one Python operator."""
    cdef Bound same, broadcast, right, left         # arrays of one shape; others; a number on the right, on the left

cdef list operations = [None] * 12
FUNCTIONS = {ADD: "add", SUB: "subtract", MUL: "multiply", DIV: "divide", MOD: "modulo", POW: "power", EQ: "equal",
             NE: "not_equal", GT: "greater", GE: "greater_equal", LT: "lesser", LE: "lesser_equal"}


cdef Operation operation_of(int code):
    cdef Operation found = operations[code]
    if found is None:
        found = Operation()
        found.same, found.broadcast, found.right, found.left = [
            Bound(lookup(name), {}) for name in arithmetic_table[FUNCTIONS[code]][:4]]
        operations[code] = found
    return found


cdef object binary(int code, object left, object right):
    return arithmetic(code, left, right, None)


cdef object inplace(int code, NDArray left, object right):
    if state().recording and left.node is not None:
        raise MXNetError("an array that takes part in a recorded computation cannot be changed in place (+=, -=, *=, x[:] =); "
                         "write x = x + y instead, or do it outside of autograd.record()")
    return arithmetic(code, left, right, left)


cdef object arithmetic(int code, object left, object right, object out):
    cdef Operation operation = operation_of(code)
    cdef NDArray a, b
    cdef int i
    if isinstance(left, NDArray):
        a = <NDArray>left
        if isinstance(right, NDArray):
            b = <NDArray>right
            if a.rank == b.rank:
                for i in range(a.rank):
                    if a.dims[i] != b.dims[i]:
                        break
                else:
                    return invoke(operation.same, (a, b), out, 0)
            return invoke(operation.broadcast, (a, b), out, 0)
        if isinstance(right, (float, int, numbers.Real)):
            return invoke(operation.right, (a,), out, number("operator", right))
        if isinstance(right, numpy.ndarray):
            return arithmetic(code, left, from_numpy_copy(right.astype(a.dtype, copy=False), a.context), out)
        return NotImplemented
    if isinstance(left, (float, int, numbers.Real)):
        return invoke(operation.left, (right,), out, number("operator", left))
    if isinstance(left, numpy.ndarray):
        a = <NDArray>right
        return arithmetic(code, from_numpy_copy(left.astype(a.dtype, copy=False), a.context), right, out)
    return NotImplemented


cdef int become(NDArray target, object value) except -1:
    """Every element becomes the number."""
    return assign_number(target, number("assignment", value))


hooks.binary = binary
hooks.inplace = inplace
hooks.assign = become
