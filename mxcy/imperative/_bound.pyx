# cython: language_level=3, boundscheck=False, wraparound=False
"""Bound: an operator with parsed and packed parameters. Signature: what the shapes and dtypes of the inputs imply."""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from mxcy._types cimport BFLOAT16, FLOAT16, MAX_NDIM, Call, Tensor, itemsize
from mxcy.engine._engine cimport lane_threads
from mxcy.gpu._device cimport device_start
from mxcy.gpu._launch cimport run_recipe
from mxcy.ndarray._ndarray cimport NDArray
from mxcy.ops._kernel cimport KernelInfo, through_float
from mxcy.storage._storage cimport GPU

import struct

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.context import Context, current_context
from mxcy.dtype import CODES, NAMES
from mxcy.ops.cuda import make_recipe
from mxcy.ops.infer import infer, named

cdef enum:
    KEY = 96                        # numbers of a signature that a call keeps on the stack
    SIGNATURES = 512                # remembered per Bound

cdef double ISSUE_NS = 1500         # of a launch
cdef double FLOP_NS = 0.006         # of one thread, for kernels that count operations: 160 GFLOP/s


cdef class Signature:
    def __dealloc__(self):
        cdef int i
        if self.dims != NULL:
            for i in range(self.count):
                free(self.dims[i])
        free(self.dims)
        free(self.codes)
        free(self.ranks)
        free(self.writes)


cdef Signature dimensions(list outputs):
    """Shapes and dtypes alone, from a list of (shape, dtype name)."""
    cdef Signature result = Signature.__new__(Signature)
    cdef int count = len(outputs), i, axis
    cdef Py_ssize_t room, size
    result.codes = <int*>calloc(count + 1, sizeof(int))
    result.ranks = <int*>calloc(count + 1, sizeof(int))
    result.dims = <Py_ssize_t**>calloc(count + 1, sizeof(Py_ssize_t*))
    if result.codes == NULL or result.ranks == NULL or result.dims == NULL:
        raise MemoryError
    result.count = count
    for i in range(count):
        shape, dtype = outputs[i]
        result.codes[i], result.ranks[i] = CODES[dtype], len(shape)
        if result.ranks[i] > MAX_NDIM:
            raise MXNetValueError(f"a result of shape {shape} has {len(shape)} axes; at most {MAX_NDIM} are possible")
        result.dims[i] = <Py_ssize_t*>malloc((result.ranks[i] + 1) * sizeof(Py_ssize_t))
        if result.dims[i] == NULL:
            raise MemoryError
        room, size = <Py_ssize_t>0x7fffffffffffffff // itemsize(result.codes[i]), 1
        for axis in range(result.ranks[i]):
            if not 0 <= shape[axis] < 1 << 62 or (shape[axis] and size > room // <Py_ssize_t>shape[axis]):
                raise MXNetValueError(f"a result of shape {shape} and dtype {dtype} is not possible: sizes must be "
                                      f"0 or more, and the bytes fit in 63 bits")
            result.dims[i][axis] = shape[axis]
            size *= shape[axis] if shape[axis] else 1
    return result


@cython.cdivision(True)
cdef Signature signature_of(Bound bound, tuple inputs):
    """What the inputs' shapes and dtypes imply; from memory where they were seen before."""
    cdef int64_t stack[KEY]
    cdef int64_t* key = stack
    cdef Py_ssize_t n = PyTuple_GET_SIZE(inputs), i, at = 0, need = 0
    cdef NDArray array
    cdef int axis, device = HOST
    cdef Signature found
    for i in range(n):
        need += 1 + (<NDArray>PyTuple_GET_ITEM(inputs, i)).rank
    if need > KEY:
        key = <int64_t*>malloc(need * sizeof(int64_t))
        if key == NULL:
            raise MemoryError
    try:
        for i in range(n):
            array = <NDArray>PyTuple_GET_ITEM(inputs, i)
            key[at] = array.code << 8 | array.rank
            at += 1
            for axis in range(array.rank):
                key[at] = array.dims[axis]
                at += 1
        if n == 0:
            device = device_without_inputs(bound)
            key[0], at = device, 1
        elif (<NDArray>PyTuple_GET_ITEM(inputs, 0)).chunk.device_type == GPU:
            device = (<NDArray>PyTuple_GET_ITEM(inputs, 0)).chunk.device_id
            key[0] |= <int64_t>(device + 1) << 32
        found = bound.last
        if found is not None and PyBytes_GET_SIZE(found.key) == at * 8 \
                and memcmp(PyBytes_AS_STRING(found.key), key, at * 8) == 0:
            return found
        name = PyBytes_FromStringAndSize(<char*>key, at * 8)
    finally:
        if key != stack:
            free(key)
    found = bound.signatures.get(name)
    if found is None:
        found = infer_signature(bound, inputs, device)
        if len(bound.signatures) >= SIGNATURES:
            bound.signatures.clear()
        found.key = name
        bound.signatures[name] = found
    bound.last = found
    return found


cdef int device_without_inputs(Bound bound) except -2:
    """The GPU that an operator of no arrays computes on: that of its parameter ``ctx``, or of the current context."""
    ctx = bound.params.get("ctx")
    ctx = Context(ctx) if ctx else current_context()
    if ctx.device_typeid != GPU:
        return HOST
    device_start(ctx.device_id)
    return ctx.device_id


cdef Signature infer_signature(Bound bound, tuple inputs, int device):
    cdef NDArray array
    operator = bound.operator
    names = operator.input_names(bound.params, len(inputs))
    if len(names) != len(inputs):
        raise MXNetTypeError(f"{operator.name}: {len(inputs)} inputs given; expected {len(names)} ({', '.join(names)})")
    types = [(array.shape, array.dtype_name) for array in inputs]
    try:
        outputs = infer(operator, bound.params, names, [t[0] for t in types], [t[1] for t in types])
        return make_signature(bound, types, outputs, device)
    except MXNetError as error:
        raise named(operator, error) from error.__cause__


cdef Signature make_signature(Bound bound, list inputs, list outputs, int device):
    """What follows from the types, pairs of shape and dtype name, of the inputs and outputs, on the host or a GPU."""
    operator = bound.operator
    cdef int n_in = len(inputs), i
    cdef Signature given = dimensions(inputs), result = dimensions(outputs)
    names = operator.input_names(bound.params, n_in)
    result.visible = operator.output_counts(bound.params, n_in)[1]
    changed = operator.changed_inputs(bound.params, names)
    if changed:
        result.writes = <char*>calloc(n_in, 1)
        if result.writes == NULL:
            raise MemoryError
        for at in changed:
            result.writes[<int>at] = 1
    if device != HOST:
        result.recipe = make_recipe(operator, bound.kernel, bound.params, inputs, outputs, device)
        result.run, result.info = run_recipe, result.recipe.issues
        result.workspace = result.recipe.issues.workspace
        result.cost = ISSUE_NS * result.recipe.issues.count
        return result
    cdef KernelInfo* info = &bound.kernel.info
    cdef int code
    if info.dispatch >= 0 and n_in:
        code = given.codes[min(info.dispatch, n_in - 1)]
    else:
        code = result.codes[0]
    result.run, result.info = info.table[code], info
    if result.run == NULL:
        raise MXNetTypeError(f"{operator.name} does not take {NAMES[code]}; it takes "
                             f"{', '.join(NAMES[c] for c in bound.kernel.dtypes)}. Convert with astype().")
    if info.table[<int>FLOAT16] == through_float:       # the kernel itself knows no 16-bit floats
        for code in result.codes[:result.count]:
            if code == FLOAT16 or code == BFLOAT16:
                result.run = through_float
    # Cost and scratch follow from the shapes alone, so a dummy call finds them once.
    cdef Tensor* tensors = <Tensor*>calloc(n_in + result.count + 1, sizeof(Tensor))
    cdef Call call
    cdef Py_ssize_t largest = 1
    if tensors == NULL:
        raise MemoryError
    memset(&call, 0, sizeof(Call))
    call.params, call.info, call.n_inputs, call.n_outputs = bound_params(bound), info, n_in, result.count
    call.threads = lane_threads()
    for i in range(n_in + result.count):
        describe_tensor(&tensors[i], given if i < n_in else result, i if i < n_in else i - n_in)
        largest = max(largest, tensors[i].size)
    result.cost = info.cost * largest
    if info.flops != NULL:
        result.cost = max(result.cost, info.flops(tensors, tensors + n_in, &call) * FLOP_NS)
    result.workspace = info.workspace(tensors, tensors + n_in, &call) if info.workspace != NULL else 0
    free(tensors)
    return result


cdef void describe_tensor(Tensor* tensor, Signature types, int i) noexcept:
    """A tensor of the i-th type, without data; its shape lives as long as the Signature."""
    cdef int axis
    tensor.data, tensor.dtype, tensor.ndim, tensor.shape = NULL, types.codes[i], types.ranks[i], types.dims[i]
    tensor.size = 1
    for axis in range(tensor.ndim):
        tensor.size *= tensor.shape[axis]


cdef void* bound_params(Bound bound) noexcept:
    """The kernel's parameters, 16 bytes into their allocation so that they are aligned."""
    return NULL if bound.packed == NULL else <void*>(<char*>bound.packed + 16)


cdef class Bound:
    """An operator with parsed parameters."""

    def __init__(self, operator, dict given):
        self.operator = operator
        self.params = operator.parse(given)
        # The name is read by tasks that may outlive everything but the table.
        self.name = PyUnicode_AsUTF8(operator.name)
        self.random, self.crosses = operator.random, operator.name == "_CrossDeviceCopy"
        self.compose = operator.rules.get("compose")
        self.signatures = {}
        cdef bytes packed
        names = () if operator.variadic else operator.input_names(self.params)
        self.leading = len(names) if names == operator.inputs[:len(names)] else -1
        if self.compose is None:
            self.kernel = operator.kernel(self.params)
            if self.kernel.pack is not None:
                try:
                    packed = self.kernel.pack(self.params)
                except (struct.error, OverflowError, ValueError) as error:
                    raise MXNetValueError(f"{operator.name}: a parameter is out of range: {error}") from error
                self.packed = <Packed*>malloc(16 + len(packed) + 8)
                if self.packed == NULL:
                    raise MemoryError
                self.packed.refs = 1
                memcpy(<char*>self.packed + 16, PyBytes_AS_STRING(packed), len(packed))

    def __dealloc__(self):
        if self.packed != NULL and packed_last(&self.packed.refs):
            free(self.packed)
