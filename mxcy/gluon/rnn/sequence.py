"""Sequences of steps: one array with an axis of time, or a list of arrays; the same for symbols."""
from mxcy import nd, sym
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.gluon.traced import Traced
from mxcy.nd import NDArray
from mxcy.symbol.symbol import Symbol

__all__ = ["axis_of_time", "batch_size_of", "mask_steps", "merge_steps", "namespace_of", "reverse_steps",
           "split_steps"]


def namespace_of(inputs):
    """``mx.nd`` for arrays and what stands for them while a block is traced, ``mx.sym`` for symbols."""
    first = inputs[0] if isinstance(inputs, (list, tuple)) else inputs
    if isinstance(first, (NDArray, Traced)):
        return nd
    if isinstance(first, Symbol):
        return sym
    raise MXNetTypeError(f"unroll: inputs are {type(first).__name__}; expected an NDArray, a Symbol, or a list of them")


def axis_of_time(layout):
    """Where the T of a layout such as NTC stands."""
    axis = layout.find("T")
    if axis < 0:
        raise MXNetValueError(f"unroll: layout is {layout!r}; expected one with a T, such as 'NTC' or 'TNC'")
    return axis


def batch_size_of(inputs, layout):
    """Size of the axis N, 0 if it is not known yet."""
    merged = not isinstance(inputs, (list, tuple))
    first = inputs if merged else inputs[0]
    if not isinstance(first, NDArray):
        return 0
    return first.shape[(layout if merged else layout.replace("T", "")).find("N")]


def split_steps(length, inputs, layout):
    """A list of ``length`` steps."""
    if isinstance(inputs, (list, tuple)):
        if length is not None and len(inputs) != length:
            raise MXNetValueError(f"unroll: {len(inputs)} inputs are given for length={length}")
        return list(inputs)
    F, axis = namespace_of(inputs), axis_of_time(layout)
    if isinstance(inputs, NDArray) and inputs.shape[axis] != length:
        raise MXNetValueError(f"unroll: inputs have shape {inputs.shape}, that is {inputs.shape[axis]} steps in layout "
                              f"{layout}; length is {length}")
    if isinstance(inputs, Symbol) and len(inputs.heads) != 1:
        raise MXNetValueError("unroll: inputs are a symbol with several outputs; pass a list of them")
    steps = F.split(inputs, axis=axis, num_outputs=length, squeeze_axis=1)
    return [steps] if length == 1 else list(steps)


def merge_steps(steps, layout):
    """One array of a list of steps."""
    return namespace_of(steps).stack(*steps, axis=axis_of_time(layout)) if isinstance(steps, (list, tuple)) else steps


def mask_steps(steps, length, layout, valid_length, merge):
    """Zeros in the steps after the end of each sample: a list if ``merge`` is False, else one array."""
    F, merged = namespace_of(steps), merge_steps(steps, layout)
    merged = F.SequenceMask(merged, valid_length, use_sequence_length=True, axis=axis_of_time(layout))
    return split_steps(length, merged, layout) if merge is False else merged


def reverse_steps(steps, valid_length):
    """The steps from the last to the first; with ``valid_length`` each sample from its own end, padding kept."""
    if valid_length is None:
        return list(reversed(steps))
    F = namespace_of(steps)
    backwards = F.SequenceReverse(F.stack(*steps, axis=0), valid_length, use_sequence_length=True)
    return split_steps(len(steps), backwards, "TNC")
