"""Batches of sequences of different lengths."""
import numpy as np

from tests.ops.case import Case, const, integers, normal

LENGTHS = [const([2, 4, 1], dtype) for dtype in ("int32", "float32", "float64")]


def step_of(x, axis):
    return np.arange(x.shape[axis]).reshape((1, -1) if axis else (-1, 1))


def lengths(x, length, axis):
    full = np.full(x.shape[1 - axis], x.shape[axis]) if length is None else length.astype(int)
    return full[:, None] if axis else full


def mask(x, length=None, use_sequence_length=False, value=0, axis=0):
    keep = step_of(x, axis) < lengths(x, length, axis)
    return np.where(keep.reshape(keep.shape + (1,) * (x.ndim - 2)), x, value)


def reverse(x, length=None, use_sequence_length=False, axis=0):
    step, n = step_of(x, axis), lengths(x, length, axis)
    at = np.where(step < n, n - 1 - step, step)
    return np.take_along_axis(x, at.reshape(at.shape + (1,) * (x.ndim - 2)), axis)


def last(x, length=None, use_sequence_length=False, axis=0):
    return np.stack([np.take(x, i, 1 - axis)[n - 1] for i, n in enumerate(lengths(x, length, axis).ravel())])


SHAPE = {0: (4, 3, 2), 1: (3, 4, 2)}

CASES = [
    *[Case(name, [normal(*SHAPE[axis]), length], dict(use_sequence_length=True, axis=axis), oracle, grad=(0,), id=f"{axis},{i}")
      for name, oracle in [("SequenceMask", mask), ("SequenceReverse", reverse), ("SequenceLast", last)]
      for axis in (0, 1) for i, length in enumerate(LENGTHS)],
    *[Case(name, [normal(*SHAPE[axis])], dict(axis=axis), oracle)
      for name, oracle in [("SequenceMask", mask), ("SequenceReverse", reverse), ("SequenceLast", last)] for axis in (0, 1)],
    Case("SequenceMask", [normal(4, 3), LENGTHS[0]], dict(use_sequence_length=True, value=-2.5), mask, grad=(0,)),
    *[Case("SequenceMask", [integers(0, 9, 4, 3, dtype=dtype), LENGTHS[0]], dict(use_sequence_length=True, value=7), mask,
           grad=False, dtypes=("float32",), id=dtype) for dtype in ("int8", "uint8", "int32", "int64")],
]
