# cython: language_level=3, boundscheck=False, wraparound=False
"""Calling an operator: infer, allocate, run or push, record.

``a + b`` takes this way (docs/walkthrough.md): the operator slot of NDArray, `binary`, `invoke`, `signature_of` (a memory
comparison when the shapes are those of the last call), `execute` (in the caller when small, else a task).
"""
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t

from mxcy.imperative._bound cimport Bound, Signature, signature_of
from mxcy.imperative._execute cimport apart, assign, copying, execute
from mxcy.imperative._record cimport record
from mxcy.imperative._state cimport State, state
from mxcy.ndarray._ndarray cimport NDArray, dims_tuple, empty
from mxcy.storage._storage cimport GPU

import numbers

import numpy

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.context import Context, current_context
from mxcy.dtype import NAMES
from mxcy.ndarray._ndarray import new
from mxcy.ops.infer import named
from mxcy.ops.operator import call_rule, lookup

cdef object precision = None            # mxcy.ops.precision.Precision, while mixed precision is on
cdef int64_t precisions = 0             # how often that changed
cdef dict casts = {}                    # dtype name -> Bound of amp_cast


def set_precision(wanted):
    """Turn mixed precision on, by a Precision, or off, by None; what is remembered of one before is forgotten."""
    global precision, precisions
    precision = wanted
    precisions += 1


def get_precision():
    """The Precision that operators follow, or None."""
    return precision


cdef int64_t precision_changes() noexcept:
    return precisions


def convert(operator, dict params, list arrays):
    """The inputs of a call in the dtypes that mixed precision wants, for operators that are not called by `invoke`."""
    if precision is None or state().exact:
        return arrays
    wanted = precision.conversions(operator, params, [NAMES[(<NDArray>array).code] for array in arrays])
    return arrays if wanted is None else [as_wanted(array, dtype) for array, dtype in zip(arrays, wanted)]


cdef tuple converted(Bound bound, tuple inputs, object out):
    """The inputs in the dtypes that mixed precision wants."""
    cdef object rule = precision, found, x
    cdef tuple held = bound.conversions, key
    if rule is None:                            # turned off by another thread meanwhile
        return inputs
    if held is None or held[0] != precisions:
        bound.conversions = held = (precisions, {})
    x = out[0] if isinstance(out, (list, tuple)) and out else out
    key = tuple([(<NDArray>array).code for array in inputs]), (<NDArray>x).code if isinstance(x, NDArray) else None
    found = held[1].get(key, held)
    if found is held:
        found = held[1][key] = rule.conversions(bound.operator, bound.params, [NAMES[code] for code in key[0]],
                                                None if key[1] is None else NAMES[key[1]])
    if found is None:
        return inputs
    return tuple([as_wanted(array, dtype) for array, dtype in zip(inputs, found)])


cdef NDArray as_wanted(NDArray array, str dtype):
    """The array in a dtype; None: as it is."""
    if dtype is None:
        return array
    cdef Bound bound = casts.get(dtype)
    if bound is None:
        bound = casts[dtype] = Bound(lookup("amp_cast"), {"dtype": dtype})
    return compute(bound, signature_of(bound, (array,)), (array,), None, 0)[0]


cdef object invoke(Bound bound, tuple inputs, object out, double scalar):
    """Compute the operator; returns the visible output, or a list of them."""
    cdef list outputs
    cdef Signature signature
    if precision is not None and not state().exact:
        inputs = converted(bound, inputs, out)
    if bound.compose is not None:
        return composed(bound, inputs, out)
    signature = signature_of(bound, inputs)
    outputs = compute(bound, signature, inputs, out, scalar)
    if signature.visible == 1:
        return outputs[0] if out is None or not isinstance(out, (list, tuple)) else out
    return outputs[:signature.visible] if signature.count != signature.visible else outputs


cdef list invoke_all(Bound bound, tuple inputs, double scalar):
    """Compute the operator; returns all outputs, also those that only serve the gradient."""
    if precision is not None and not state().exact:
        inputs = converted(bound, inputs, None)
    if bound.compose is not None:
        result = composed(bound, inputs, None)
        return list(result) if isinstance(result, (list, tuple)) else [result]
    return compute(bound, signature_of(bound, inputs), inputs, None, scalar)


cdef list compute(Bound bound, Signature signature, tuple inputs, object out, double scalar):
    """Allocate or check the outputs, run or push, record; returns all outputs."""
    cdef list outputs
    cdef int i, count, visible
    cdef bint upload
    cdef NDArray first, array
    cdef State* flags = state()
    count = signature.count
    visible = signature.visible
    cdef int device_type = 1, device_id = 0
    if PyTuple_GET_SIZE(inputs):
        first = <NDArray>PyTuple_GET_ITEM(inputs, 0)
        device_type, device_id = first.chunk.device_type, first.chunk.device_id
        for i in range(1, <int>PyTuple_GET_SIZE(inputs)):
            array = <NDArray>PyTuple_GET_ITEM(inputs, i)
            if array.chunk.device_id != device_id or array.chunk.device_type != device_type:
                raise MXNetValueError(f"{bound.operator.name}: inputs are on {first.context} and {array.context}; "
                                      f"they must be on one device. Move one with as_in_context().")
    elif out is None:
        ctx = bound.params.get("ctx")
        ctx = Context(ctx) if ctx else current_context()
        device_type, device_id = ctx.device_typeid, ctx.device_id
    if bound.crosses and bound.params["ctx"]:
        upload = first.chunk.device_type != GPU
        outputs = [new(first.shape, first.dtype_name, bound.params["ctx"], upload)]
        assign(outputs[0], first, upload)
    elif out is None:
        outputs = [empty(signature.codes[i], signature.ranks[i], signature.dims[i], device_type, device_id)
                   for i in range(count)]
        execute(bound, signature, inputs, outputs, scalar, True)
    else:
        outputs = given_outputs(bound, signature, inputs, out, visible, flags.recording)
        if PyTuple_GET_SIZE(inputs) and outputs and apart(<NDArray>outputs[0], first):
            if bound.operator is not copying().operator or flags.recording:
                raise MXNetValueError(f"{bound.operator.name}: inputs are on {first.context} and out on "
                                      f"{(<NDArray>outputs[0]).context}; they must be on one device. Move one with "
                                      "as_in_context().")
            assign(outputs[0], first)
            return outputs
        if not bound.kernel.inplace and overlaps(inputs, outputs, visible, signature.writes):
            fresh = [empty(signature.codes[i], signature.ranks[i], signature.dims[i], device_type, device_id)
                     for i in range(count)]
            execute(bound, signature, inputs, fresh, scalar, True)
            for i in range(visible):
                assign(outputs[i], fresh[i])
            outputs[visible:] = fresh[visible:]
        else:
            execute(bound, signature, inputs, outputs, scalar, False)
    if flags.recording:
        for i in range(<int>PyTuple_GET_SIZE(inputs)):
            if (<NDArray>PyTuple_GET_ITEM(inputs, i)).node is not None:
                record(bound, signature, inputs, outputs, scalar)
                break
    return outputs


cdef object composed(Bound bound, tuple inputs, object out):
    """An operator that is an expression of others."""
    from mxcy.imperative._function import F     # stands above: its functions come back here
    operator = bound.operator
    names = operator.input_names(bound.params, len(inputs))
    if len(names) != len(inputs):
        raise MXNetTypeError(f"{operator.name}: {len(inputs)} inputs given; expected {len(names)} ({', '.join(names)})")
    values = {**bound.params, **dict.fromkeys(operator.inputs), "F": F}
    if operator.variadic:
        values[operator.inputs[0]] = list(inputs)
    else:
        values.update(zip(names, inputs))
    try:
        result = call_rule(bound.compose, values)
        if out is None:
            return result
        targets = list(out) if isinstance(out, (list, tuple)) else [out]
        results = result if isinstance(result, (list, tuple)) else [result]
        if len(targets) != len(results):
            raise MXNetValueError(f"out has {len(targets)} arrays; expected {len(results)}")
        for target, value in zip(targets, results):
            invoke(copying(), (value,), target, 0)
    except MXNetError as error:
        raise named(operator, error) from error.__cause__
    return out


cdef list given_outputs(Bound bound, Signature signature, tuple inputs, object out, int visible, bint recording):
    """The arrays of ``out=``, checked; hidden outputs are allocated."""
    cdef list targets = list(out) if isinstance(out, (list, tuple)) else [out]
    cdef NDArray array
    cdef int i
    name = bound.operator.name
    if len(targets) != visible:
        raise MXNetValueError(f"{name}: out has {len(targets)} arrays; expected {visible}")
    for i in range(visible):
        if not isinstance(targets[i], NDArray):
            raise MXNetTypeError(f"{name}: out must be an NDArray, not {type(targets[i]).__name__}")
        array = targets[i]
        shape = dims_tuple(signature.ranks[i], signature.dims[i])
        if array.code != signature.codes[i] or array.shape != shape:
            raise MXNetValueError(f"{name}: out is {array.dtype_name} {array.shape}, but the result is "
                                  f"{NAMES[signature.codes[i]]} {shape}")
        if recording and array.node is not None:
            raise MXNetError(f"{name}: out is part of a recorded computation; writing over it would spoil the gradient. "
                             f"Do it outside of autograd.record(), or without out=")
    for i in range(visible, signature.count):
        array = targets[0]
        targets.append(empty(signature.codes[i], signature.ranks[i], signature.dims[i], array.chunk.device_type,
                             array.chunk.device_id))
    return targets


cdef bint overlaps(tuple inputs, list outputs, int visible, const char* writes):
    """Whether an output lies in the storage of an input that the kernel only reads."""
    cdef NDArray a, b
    cdef int i
    for i in range(<int>PyTuple_GET_SIZE(inputs)):
        a = inputs[i]
        if writes != NULL and writes[i]:
            continue
        for b in outputs[:visible]:
            if a.chunk == b.chunk:
                return True
    return False


cdef double number(name, value) except? -1:
    if type(value) is float:
        return value
    if isinstance(value, (int, float, numbers.Real)) or (isinstance(value, numpy.ndarray) and value.ndim == 0):
        try:
            return value
        except OverflowError:
            raise MXNetValueError(f"{name}: the number {value} does not fit into a float64") from None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise MXNetTypeError(f"{name}: scalar is {value!r}; expected a number") from None
    raise MXNetTypeError(f"{name}: scalar is {type(value).__name__}; expected a number")
