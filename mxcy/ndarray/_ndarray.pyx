# cython: language_level=3
"""The NDArray class: storage, shape and dtype; views; copies to and from NumPy. Operators come from the layer above."""
cimport cython
cimport numpy as np
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport Py_EQ, Py_GE, Py_GT, Py_LE, Py_LT, Py_NE, PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.string cimport memcpy

from mxcy._types cimport N_DTYPES, itemsize
from mxcy.engine._engine cimport Var, var_release, var_take, var_wait, var_wait_idle, wait_all
from mxcy.gpu._device cimport copy_in, copy_out, device_start, synchronize
from mxcy.storage._storage cimport GPU, chunk_get, chunk_release, chunk_retain, chunk_wrap, raise_out_of_memory

import numpy

from mxcy.base import MXNetError, MXNetIndexError, MXNetTypeError, MXNetValueError
from mxcy.context import Context, current_context
from mxcy.dtype import NAMES, NUMPY, code as dtype_code
from mxcy.gpu._device import wait_for_devices

np.import_array()

cdef extern from *:
    """
    #define mxcy_type_members(kind) ((kind)->tp_dict)
    """
    PyObject* type_members "mxcy_type_members"(PyTypeObject* kind)
    void PyType_Modified(PyTypeObject* kind)

cdef object TYPES = {number: NUMPY[name].type for number, name in NAMES.items()}     # what .dtype gives
cdef object DTYPES = {number: NUMPY[name] for number, name in NAMES.items()}
cdef object CONTEXTS = {}                       # (device type, id) -> Context
cdef int code_of_number[32]                     # NumPy type number -> dtype number, or -1; built-in types only
cdef int number_of_code[N_DTYPES]
cdef int BFLOAT16_NUMBER = <int>DTYPES[12].num

for _number in range(32):
    code_of_number[_number] = -1
for _code, _dtype in DTYPES.items():
    number_of_code[<int>_code] = _dtype.num
    if _dtype.num < 32:
        code_of_number[_dtype.num] = _code
code_of_number[<int>numpy.dtype("longlong").num] = 6        # a second name of int64 on Linux

hooks.binary = NULL
hooks.inplace = NULL
hooks.assign = NULL


# -- making arrays ---------------------------------------------------------------------------------------------------

cdef object dims_tuple(int rank, const Py_ssize_t* dims):
    cdef int i
    cdef object result = PyTuple_New(rank), number
    for i in range(rank):
        number = dims[i]
        Py_INCREF(number)
        PyTuple_SET_ITEM(result, i, number)
    return result


cdef int set_dims(NDArray array, int rank, const Py_ssize_t* dims) except -1:
    """Give a fresh array its shape; the number of elements is known to fit."""
    cdef int i
    cdef Py_ssize_t size = 1
    array.dims = array.short
    if rank > SHORT_NDIM:
        array.dims = <Py_ssize_t*>PyMem_Malloc(rank * sizeof(Py_ssize_t))
        if array.dims == NULL:
            raise MemoryError
    array.rank = rank
    for i in range(rank):
        array.dims[i] = dims[i]
        size *= dims[i]
    array.nelem = size
    return 0


cdef NDArray empty(int code, int rank, const Py_ssize_t* dims, int device_type, int device_id, bint landing=False):
    """A new array with undefined contents."""
    cdef NDArray array = NDArray.__new__(NDArray)
    array.code = code
    set_dims(array, rank, dims)
    array.chunk = chunk_get(array.nelem * itemsize(code), device_type, device_id, landing)
    array.data = <char*>array.chunk.data
    return array


cdef NDArray view(NDArray base, char* data, int code, int rank, const Py_ssize_t* dims):
    """An array over a part of base's memory."""
    cdef NDArray array = NDArray.__new__(NDArray)
    array.code, array.data = code, data
    set_dims(array, rank, dims)
    array.chunk = base.chunk
    array.shared = base.shared = True
    chunk_retain(base.chunk)
    return array


cdef int read_shape(object shape, Py_ssize_t* dims, int code) except -1:
    """Check a Python shape; returns its rank. The bytes it asks for must fit in 63 bits."""
    cdef int rank = 0
    cdef Py_ssize_t room = <Py_ssize_t>0x7fffffffffffffff // itemsize(code), size = 1
    if isinstance(shape, int) or not hasattr(shape, "__len__"):
        shape = (shape,)
    if len(shape) > MAX_NDIM:
        raise MXNetValueError(f"shape {tuple(shape)} has {len(shape)} axes; at most {MAX_NDIM} are possible")
    for n in shape:
        try:
            dims[rank] = n
        except (TypeError, OverflowError):
            raise MXNetTypeError(f"shape {shape!r} must be made of integers that fit in 64 bits") from None
        if dims[rank] < 0:
            raise MXNetValueError(f"shape {tuple(shape)} has a negative size")
        if dims[rank] > 0 and size > room // dims[rank]:
            raise MXNetValueError(f"an array of shape {tuple(shape)} and dtype {NAMES[code]} would need more than 2**63 bytes")
        size *= dims[rank] if dims[rank] else 1
        rank += 1
    return rank


cdef int device_of(object ctx, int* device_type, int* device_id) except -1:
    if ctx is None:
        ctx = current_context()
    elif not isinstance(ctx, Context):
        ctx = Context(ctx)
    device_type[0], device_id[0] = ctx.device_typeid, ctx.device_id
    if device_type[0] == GPU:
        device_start(device_id[0])
    return 0


def new(shape, dtype="float32", ctx=None, bint landing=False):
    """An array of that shape with undefined contents; ``dtype`` is anything that names one.

    ``landing`` says that what is done first with it is a copy from another device.
    """
    cdef Py_ssize_t dims[MAX_NDIM]
    cdef int device_type, device_id, code = dtype_code(dtype)
    cdef int rank = read_shape(shape, dims, code)
    device_of(ctx, &device_type, &device_id)
    return empty(code, rank, dims, device_type, device_id, landing)


cdef int code_of(np.ndarray source) except -1:
    """The dtype number of a NumPy array; raises for a dtype that NDArray lacks."""
    cdef int number = np.PyArray_TYPE(source)
    if 0 <= number < 32 and code_of_number[number] >= 0:
        return code_of_number[number]
    if number == BFLOAT16_NUMBER:
        return 12
    raise MXNetTypeError(f"a NumPy array of dtype {source.dtype} has no NDArray counterpart; expected one of "
                         f"{', '.join(NAMES.values())}")


cdef np.ndarray plain(np.ndarray source):
    """The array itself if it is C-contiguous, aligned and in native byte order, else such a copy."""
    if np.PyArray_ISCARRAY_RO(source):
        return source
    return numpy.require(source, source.dtype.newbyteorder("="), ["C", "A"])


def from_numpy_copy(np.ndarray source not None, ctx=None):
    """A new array with the values of a NumPy array, in its dtype."""
    cdef int device_type, device_id, code = code_of(source)
    source = plain(source)
    device_of(ctx, &device_type, &device_id)
    cdef NDArray array = empty(code, np.PyArray_NDIM(source), <const Py_ssize_t*>np.PyArray_DIMS(source), device_type,
                               device_id, True)
    write_bytes(array, <const char*>np.PyArray_DATA(source), True)
    return array


cdef void copy_bytes(char* out, const char* source, Py_ssize_t n) noexcept:
    """memcpy; a large one lets other Python threads run."""
    if n < 65536:
        memcpy(out, source, n)
    else:
        with nogil:
            memcpy(out, source, n)


cdef int write_bytes(NDArray array, const char* source, bint fresh) except -1:
    """All elements of an array that nobody else uses now, from the host; fresh: nobody used it ever."""
    cdef Py_ssize_t n = array.nelem * itemsize(array.code)
    cdef char text[600]
    cdef int status
    if array.chunk.device_type != GPU:
        copy_bytes(array.data, source, n)
    elif n:
        with nogil:
            status = copy_in(array.chunk.device_id, array.data, source, n, fresh, NULL, text, sizeof(text))
        if status:
            raise MXNetError(text.decode("utf-8", "replace"))
    return 0


cdef int read_bytes(NDArray array, char* out) except -1:
    """All elements of an array that nobody writes now, to the host."""
    cdef Py_ssize_t n = array.nelem * itemsize(array.code)
    cdef char text[600]
    cdef int status
    if array.chunk.device_type != GPU:
        copy_bytes(out, array.data, n)
    elif n:
        with nogil:
            status = copy_out(array.chunk.device_id, out, array.data, n, False, NULL, text, sizeof(text))
        if status:
            raise MXNetError(text.decode("utf-8", "replace"))
    return 0


cdef void drop_owner(void* owner) noexcept nogil:
    with gil:
        Py_DECREF(<object>owner)


def from_numpy_shared(np.ndarray source not None, ctx=None):
    """An array over the memory of a NumPy array, which it keeps alive. Both see what either writes."""
    cdef int device_type, device_id, code = code_of(source)
    if not np.PyArray_ISCARRAY(source):
        raise MXNetValueError("only a writable, C-contiguous NumPy array of native byte order can share its memory; "
                              "copy it with nd.array(...)")
    device_of(ctx, &device_type, &device_id)
    if device_type == GPU:
        raise MXNetValueError(f"a NumPy array is in the memory of the host and cannot be shared with gpu({device_id}); "
                              "copy it with nd.array(...)")
    cdef NDArray array = NDArray.__new__(NDArray)
    array.code, array.data = code, <char*>np.PyArray_DATA(source)
    array.shared = True
    set_dims(array, np.PyArray_NDIM(source), <const Py_ssize_t*>np.PyArray_DIMS(source))
    Py_INCREF(source)
    array.chunk = chunk_wrap(array.data, array.nelem * itemsize(code), device_type, device_id, drop_owner, <void*>source)
    if array.chunk == NULL:
        Py_DECREF(source)
        raise_out_of_memory(0)
    return array


cdef int wait_read(NDArray array) except -1:
    cdef char text[600]
    cdef int status
    var_wait(&array.chunk.var)
    if array.chunk.device_type == GPU:          # what writes it is issued, but perhaps not done
        with nogil:
            status = synchronize(array.chunk.device_id, text, sizeof(text))
        if status:
            raise MXNetError(text.decode("utf-8", "replace"))
    return 0


# -- the class ---------------------------------------------------------------------------------------------------------

cdef object common_view(NDArray self, object key):
    """``self[key]`` if the key is of integers and slices of step 1 that select one run of elements, else None."""
    cdef Py_ssize_t dims[MAX_NDIM]
    cdef Py_ssize_t index, stop, n, stride = self.nelem, offset = 0
    cdef int axis, rank = 0, count
    cdef bint several = False                   # an axis so far keeps more than one position: later ones must be whole
    cdef object part = key
    cdef bint is_tuple = type(key) is tuple
    count = <int>PyTuple_GET_SIZE(key) if is_tuple else 1
    if count > self.rank or count == 0 or self.nelem == 0:
        return None
    for axis in range(count):
        if is_tuple:
            part = <object>PyTuple_GET_ITEM(key, axis)
        n = self.dims[axis]
        stride //= n
        if type(part) is int:
            index = part
            if index < 0:
                index += n
            if not 0 <= index < n:
                raise MXNetIndexError(f"index {part} is out of bounds for axis {axis} of size {n}")
            stop = index + 1
        elif type(part) is slice and (part.step is None or part.step == 1):
            try:
                index, stop, _ = part.indices(n)
            except TypeError:                   # worded by the general way
                return None
            if stop <= index:                   # what is empty is not a view
                return None
            dims[rank] = stop - index
            rank += 1
        else:
            return None
        if several and stop - index != n:
            return None
        several = several or stop - index > 1
        offset += index * stride
    for axis in range(count, self.rank):
        dims[rank] = self.dims[axis]
        rank += 1
    if rank == 0:
        dims[0], rank = 1, 1                    # one element is an array of shape (1,), as in MXNet
    return view(self, self.data + offset * itemsize(self.code), self.code, rank, dims)


@cython.freelist(256)
cdef class NDArray:
    """A dense array on a device: a piece of storage, a shape and a dtype.

    Arrays are made by `mxcy.nd.array` and by operators. Operators run asynchronously where that pays; reading
    a value (`asnumpy`, `item`, printing) waits for it.
    """

    # Makes NumPy leave `numpy_array + ndarray` to __array_ufunc__ in mxcy.ndarray.interop.
    __array_priority__ = 1000.0

    def __dealloc__(self):
        if self.chunk != NULL:
            chunk_release(self.chunk)
        if self.dims != NULL and self.dims != self.short:
            PyMem_Free(self.dims)

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def shape(self):
        """Sizes of the axes, a tuple of int."""
        return dims_tuple(self.rank, self.dims)

    @property
    def dtype(self):
        """The NumPy type of the elements, such as ``numpy.float32``."""
        return TYPES[self.code]

    @property
    def dtype_name(self):
        """The name of the dtype, such as ``"float32"``."""
        return NAMES[self.code]

    @property
    def ndim(self):
        """Number of axes."""
        return self.rank

    @property
    def size(self):
        """Number of elements."""
        return self.nelem

    @property
    def nbytes(self):
        """Bytes that the elements take."""
        return self.nelem * itemsize(self.code)

    @property
    def context(self):
        """The device that holds the array, a Context."""
        key = (self.chunk.device_type, self.chunk.device_id)
        found = CONTEXTS.get(key)
        if found is None:
            found = CONTEXTS[key] = Context(Context.devtype2str[key[0]], key[1])
        return found

    @property
    def ctx(self):
        """The device that holds the array, a Context."""
        return self.context

    @property
    def stype(self):
        """Storage type; ``"default"`` means dense."""
        return "default"

    # -- waiting, and values -----------------------------------------------------------------------------------------

    def wait_to_read(self):
        """Wait until everything that writes this array is done; raise the error if one of them failed."""
        wait_read(self)

    def wait_to_write(self):
        """Wait until everything that reads or writes this array is done."""
        var_wait_idle(&self.chunk.var)
        wait_read(self)

    def asnumpy(self):
        """A NumPy array with a copy of the values. Waits for them."""
        cdef Var* var = &self.chunk.var
        cdef np.ndarray result = np.PyArray_EMPTY(self.rank, <np.npy_intp*>self.dims, number_of_code[self.code], 0)
        var_take(var, 0)                        # the copy may release the GIL: another thread must not write meanwhile
        try:
            read_bytes(self, <char*>np.PyArray_DATA(result))
        finally:
            var_release(&var, 1, 0, NULL)
        return result

    def item(self):
        """The only element, as a Python number. Waits for it."""
        if self.nelem != 1:
            raise MXNetValueError(f"item() needs an array of one element; this one has shape {self.shape}")
        return self.asnumpy().item()

    def asscalar(self):
        """The only element, as a NumPy scalar. Waits for it."""
        if self.nelem != 1:
            raise MXNetValueError(f"asscalar() needs an array of one element; this one has shape {self.shape}")
        return self.asnumpy().reshape(-1)[0]

    def copy_from(self, np.ndarray source not None):
        """Overwrite the elements with those of a NumPy array of the same shape and dtype, at once."""
        cdef Var* var = &self.chunk.var
        if code_of(source) != self.code or dims_tuple(self.rank, self.dims) != (<object>source).shape:
            raise MXNetValueError(f"copy_from: source is {(<object>source).shape} {source.dtype}, the array is "
                                  f"{self.shape} {NAMES[self.code]}; they must agree")
        source = plain(source)
        var_take(var, 1)
        try:
            write_bytes(self, <const char*>np.PyArray_DATA(source), False)
        finally:
            var_release(&var, 0, 1, NULL)

    # -- views -------------------------------------------------------------------------------------------------------

    def view(self, Py_ssize_t offset, shape, dtype=None):
        """An array over the same memory: ``shape`` elements in C order from element ``offset`` on."""
        cdef Py_ssize_t dims[MAX_NDIM]
        cdef int code = self.code if dtype is None else dtype_code(dtype)
        cdef int rank = read_shape(shape, dims, code)
        cdef Py_ssize_t size = 1
        for i in range(rank):
            size *= dims[i]
        if offset < 0 or offset * itemsize(self.code) + size * itemsize(code) > self.nelem * itemsize(self.code):
            raise MXNetIndexError(f"a view of {size} elements from {offset} on does not fit into shape {self.shape}")
        return view(self, self.data + offset * itemsize(self.code), code, rank, dims)

    def shares_memory(self, NDArray other not None):
        """Whether both arrays lie in the same piece of storage."""
        return self.chunk == other.chunk

    def __getitem__(self, key):
        found = None if self.node is not None else common_view(self, key)
        return special["__getitem__"](self, key) if found is None else found

    def __setitem__(self, key, value):
        # A number into a common view is written at once; not while autograd knows the array.
        found = None if self.node is not None or type(value) is not float and type(value) is not int else common_view(self, key)
        if found is None:
            special["__setitem__"](self, key, value)
        else:
            hooks.assign(<NDArray>found, value)

    # -- operators: the layer above computes them ------------------------------------------------------------------

    def __add__(self, other):
        return hooks.binary(ADD, self, other)

    def __radd__(self, other):
        return hooks.binary(ADD, other, self)

    def __sub__(self, other):
        return hooks.binary(SUB, self, other)

    def __rsub__(self, other):
        return hooks.binary(SUB, other, self)

    def __mul__(self, other):
        return hooks.binary(MUL, self, other)

    def __rmul__(self, other):
        return hooks.binary(MUL, other, self)

    def __truediv__(self, other):
        return hooks.binary(DIV, self, other)

    def __rtruediv__(self, other):
        return hooks.binary(DIV, other, self)

    def __mod__(self, other):
        return hooks.binary(MOD, self, other)

    def __rmod__(self, other):
        return hooks.binary(MOD, other, self)

    def __pow__(self, other, modulo):
        return hooks.binary(POW, self, other)

    def __rpow__(self, other, modulo):
        return hooks.binary(POW, other, self)

    def __iadd__(self, other):
        return hooks.inplace(ADD, self, other)

    def __isub__(self, other):
        return hooks.inplace(SUB, self, other)

    def __imul__(self, other):
        return hooks.inplace(MUL, self, other)

    def __itruediv__(self, other):
        return hooks.inplace(DIV, self, other)

    def __imod__(self, other):
        return hooks.inplace(MOD, self, other)

    def __neg__(self):
        return hooks.binary(MUL, self, -1.0)

    def __abs__(self):
        return self.abs()

    def __richcmp__(self, other, int op):
        if other is None:
            return op == Py_NE if op in (Py_EQ, Py_NE) else NotImplemented
        return hooks.binary(COMPARISONS[op], self, other)

    def __hash__(self):
        return <Py_ssize_t><void*>self >> 4

    # -- Python's protocols ------------------------------------------------------------------------------------------

    def __len__(self):
        if self.rank == 0:
            raise MXNetTypeError("an array without axes has no len()")
        return self.dims[0]

    def __iter__(self):
        if self.rank == 0:
            raise MXNetTypeError("an array without axes cannot be iterated over")
        return (self[i] for i in range(self.dims[0]))

    def __bool__(self):
        if self.nelem == 1:
            return bool(self.item())
        if self.nelem == 0:
            return False
        raise MXNetValueError("the truth value of an array with more than one element is ambiguous; "
                              "reduce it first, as in (a == b).min().asscalar()")

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self.nelem != 1 or self.code in (0, 1, 2, 12):
            raise MXNetTypeError(f"only an integer array of one element can be an index, not {NAMES[self.code]} {self.shape}")
        return int(self.item())

    def __repr__(self):
        return special["__repr__"](self)


cdef enum:
    COMPARE_SIZE = 6

cdef int COMPARISONS[COMPARE_SIZE]
COMPARISONS[Py_EQ], COMPARISONS[Py_NE], COMPARISONS[Py_GT] = EQ, NE, GT
COMPARISONS[Py_GE], COMPARISONS[Py_LT], COMPARISONS[Py_LE] = GE, LT, LE

cdef dict special = {}          # what slots of the class call in Python: __getitem__, __setitem__, __repr__


def install(methods):
    """Add functions, by name, to the NDArray class as its methods."""
    special.update((name, function) for name, function in methods.items() if name in ("__getitem__", "__setitem__", "__repr__"))
    members = <dict>type_members(<PyTypeObject*>NDArray)
    members.update((name, function) for name, function in methods.items() if name not in special)
    PyType_Modified(<PyTypeObject*>NDArray)


def waitall():
    """Wait until everything that was queued is done; raise the first error that nobody has seen."""
    wait_all()
    wait_for_devices()
