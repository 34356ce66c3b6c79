# cython: language_level=3
"""Arrays that are filled after what reads them was queued."""
cimport cython
from libc.string cimport memcpy

from mxcy._types cimport itemsize
from mxcy.engine._engine cimport (Error, Task, error_drop, error_left, error_new, error_note, promise_begin, promise_end,
                                  site_here, task_new, task_push, var_take)
from mxcy.gpu._device cimport copy_across
from mxcy.ndarray._ndarray cimport NDArray
from mxcy.storage._storage cimport GPU, Chunk, chunk_release, chunk_retain, raise_out_of_memory

cdef struct Kept:                       # payload of the task that fills an array
    Chunk* target
    Chunk* source
    void* out
    const void* data
    Py_ssize_t nbytes
    bint done


cdef int run_kept(Task* task) noexcept nogil:
    cdef Kept* kept = <Kept*>task.payload
    cdef int status = 0
    if kept.target.device_type == GPU:
        status = copy_across(kept.target.device_id, kept.out, kept.source.device_id, kept.data, kept.nbytes, task.error,
                             sizeof(task.error))
    else:
        memcpy(kept.out, kept.data, kept.nbytes)
    kept.done = status == 0
    return status


cdef void destroy_kept(Task* task) noexcept nogil:
    cdef Kept* kept = <Kept*>task.payload
    cdef Error* error = NULL
    cdef const char* message = task.error
    if not kept.done:
        error = error_left(&kept.source.var)
        if error == NULL:                           # the copy failed, or something else has been written there meanwhile
            if message[0] == 0:
                message = b"what an array was to be filled with has failed"
            error = error_new(2, message, task.site)
    promise_end(&kept.target.var, error)
    if error != NULL:
        error_drop(error)
    chunk_release(kept.target)
    chunk_release(kept.source)


cdef void breach(Chunk* chunk, const char* message) noexcept nogil:
    cdef Error* error = error_new(2, message, 0)
    if error != NULL:
        error_note(error)
    promise_end(&chunk.var, error)
    if error != NULL:
        error_drop(error)


@cython.no_gc_clear                     # __dealloc__ needs the array
cdef class Promise:
    """An array that is filled later, by `keep`: what is pushed meanwhile and reads it waits.

    Parameters
    ----------
    array : NDArray
        A new one.
    """

    cdef readonly NDArray array
    cdef bint open

    def __init__(self, NDArray array not None):
        var_take(&array.chunk.var, True)
        promise_begin()
        self.array, self.open = array, True

    def keep(self, NDArray value not None):
        """Fill the array with a copy of another of its shape, dtype and device, which may be pending itself."""
        cdef Task* task = task_new(1, 0, sizeof(Kept))
        cdef Kept* kept
        if task == NULL:
            raise_out_of_memory(sizeof(Kept))
        kept = <Kept*>task.payload
        kept[0] = Kept(self.array.chunk, value.chunk, self.array.data, value.data, value.nelem * itemsize(value.code), 0)
        chunk_retain(kept.target)
        chunk_retain(kept.source)
        task.vars[0] = &value.chunk.var
        task.run, task.destroy, task.site = run_kept, destroy_kept, site_here()
        task.cost = <double>kept.nbytes
        self.open = False
        task_push(task)

    def refuse(self, str message):
        """The array will not be filled; whatever waits for it fails with this message."""
        cdef bytes text = message.encode()
        if self.open:
            self.open = False
            breach(self.array.chunk, text)

    def __dealloc__(self):
        if self.open:
            breach(self.array.chunk, b"an array was never filled")
