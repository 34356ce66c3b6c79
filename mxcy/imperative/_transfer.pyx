# cython: language_level=3
"""Copies between devices.

A copy to the host ends when the data is there, so it goes to a worker: the program runs on until somebody reads the
array. Other copies are only issued, at once if nothing is pending.
"""
from libc.string cimport memcpy

from mxcy.engine._engine cimport (Task, Var, is_serial, site_here, task_new, task_push, var_release, var_try, var_wait)
from mxcy.gpu._device cimport copy_across, copy_in, copy_out
from mxcy.ndarray._ndarray cimport NDArray
from mxcy.storage._storage cimport GPU, Chunk, chunk_release, chunk_retain, raise_out_of_memory

from mxcy._types cimport itemsize

from mxcy.base import MXNetError

cdef struct Transfer:
    Chunk* target
    Chunk* source
    void* out
    const void* data
    size_t nbytes


cdef int copy(const Transfer* transfer, char* text, Py_ssize_t room) noexcept nogil:
    cdef const Chunk* target = transfer.target
    cdef const Chunk* source = transfer.source
    if transfer.nbytes == 0:
        return 0
    if target.device_type == GPU and source.device_type == GPU:
        return copy_across(target.device_id, transfer.out, source.device_id, transfer.data, transfer.nbytes, text, room)
    if target.device_type == GPU:
        return copy_in(target.device_id, transfer.out, transfer.data, transfer.nbytes, text, room)
    if source.device_type == GPU:
        return copy_out(source.device_id, transfer.out, transfer.data, transfer.nbytes, text, room)
    memcpy(transfer.out, transfer.data, transfer.nbytes)
    return 0


cdef int run_task(Task* task) noexcept nogil:
    return copy(<Transfer*>task.payload, task.error, sizeof(task.error))


cdef void destroy_task(Task* task) noexcept nogil:
    chunk_release((<Transfer*>task.payload).target)
    chunk_release((<Transfer*>task.payload).source)


cdef int transfer(NDArray target, NDArray source) except -1:
    cdef Transfer plan = Transfer(target.chunk, source.chunk, target.data, source.data,
                                  source.nelem * itemsize(source.code))
    cdef Var* vars[2]
    cdef char text[1024]
    cdef int status = 0
    vars[0], vars[1] = &source.chunk.var, &target.chunk.var
    if target.chunk.device_type == GPU:
        status = var_try(vars, 1, 1)
    if status == 1:
        with nogil:
            status = copy(&plan, text, sizeof(text))
        var_release(vars, 1, 1, NULL)
        if status:
            raise MXNetError(text.decode("utf-8", "replace"))
        return 0
    if status == -1:
        var_wait(vars[0])                       # raises what went wrong there
    cdef Task* task = task_new(1, 1, sizeof(Transfer))
    if task == NULL:
        raise_out_of_memory(sizeof(Transfer))
    (<Transfer*>task.payload)[0] = plan
    chunk_retain(plan.target)
    chunk_retain(plan.source)
    task.vars[0], task.vars[1] = vars[0], vars[1]
    task.run, task.destroy, task.site = run_task, destroy_task, site_here()
    task.cost = <double>plan.nbytes
    task_push(task)
    if is_serial():
        var_wait(vars[1])
    return 0
