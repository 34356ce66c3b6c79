"""Batches of sequences of different lengths: mask, reverse, last step.

``data`` has time along axis 0 and sequences along axis 1: (T, N, ...); or, with ``axis=1``, (N, T, ...).
"""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _sequence
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

LENGTH = Param(bool, False, doc="Whether ``sequence_length`` is given, of shape (N,); else all sequences are T long.")
AXIS = Param(int, 0, min=0, max=1, doc="The axis of time.")


def sequences(name, doc, **params):
    operator = Operator(name, "data sequence_length?", doc, use_sequence_length=LENGTH, **params, axis=AXIS,
                        aliases=("_npx_sequence_mask",) if name == "SequenceMask" else ())
    operator.inputs_given(lambda use_sequence_length: "data sequence_length" if use_sequence_length else "data")
    return operator


def check(name, data, lengths, axis):
    if len(data) < 2:
        raise MXNetValueError(f"{name}: data has shape {data}; expected at least two axes, time and sequences")
    if lengths is not None and lengths != (data[1 - axis],):
        raise MXNetValueError(f"{name}: sequence_length has shape {lengths}, but data of shape {data} with "
                              f"axis={axis} has "
                              f"{data[1 - axis]} sequences")


def kernel_rules(operator, cpu):
    operator.cpu = cpu

    @operator.infer_shape
    def _(data, sequence_length, axis):
        check(operator.name, data, sequence_length, axis)
        return data

    @operator.infer_inputs
    def _(data, axis):
        return dict(sequence_length=(data[1 - axis],) if data and len(data) > 1 else None)

    @operator.infer_type
    def _(data, sequence_length):
        if sequence_length in ("bool", "bfloat16"):
            raise MXNetTypeError(f"{operator.name}: sequence_length is {sequence_length}; expected integers or floats")
        return data


mask = sequences("SequenceMask", "``value`` in place of the steps after the end of each sequence.",
                 value=Param(float, 0., doc="What to put there."))
kernel_rules(mask, _sequence.mask)


@mask.gradient
def _(F, g, sequence_length, use_sequence_length, axis):
    if not use_sequence_length:
        return g
    return F.SequenceMask(g, sequence_length, use_sequence_length=True, axis=axis), None


reverse = sequences("SequenceReverse", "The steps of each sequence in reverse order; what is after its end stays.")
kernel_rules(reverse, _sequence.reverse)


@reverse.gradient
def _(F, g, sequence_length, use_sequence_length, axis):
    lengths = (sequence_length,) if use_sequence_length else ()
    g = F.SequenceReverse(g, *lengths, use_sequence_length=use_sequence_length, axis=axis)
    return (g, None) if use_sequence_length else g


last = sequences("SequenceLast", "The last step of each sequence: (N, ...).")


@last.compose
def _(F, data, sequence_length, use_sequence_length, axis):
    check("SequenceLast", data.shape, sequence_length.shape if use_sequence_length else None, axis)
    if not use_sequence_length:
        step = F.slice_axis(data, axis=axis, begin=data.shape[axis] - 1, end=None)
        return F.reshape(step, shape=data.shape[1 - axis:2 - axis] + data.shape[2:])
    step = F.cast(sequence_length, dtype="int64") - 1
    sequence = F._arange(start=0, stop=data.shape[1 - axis], dtype="int64")
    return F.gather_nd(data, F.stack(*((sequence, step) if axis else (step, sequence))))
