# cython: language_level=3
"""Copies between devices.

Copies to a GPU are only issued, at once if nothing is pending; kernels that use the array are issued behind them. A copy
to the host ends when the data is there, so it goes to a worker: the program runs on until somebody reads the array.

Page-locked memory is read by the device itself, after the copy was issued. Until that is done a worker holds the array
as one that reads it does: what writes it waits, and its memory stays.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from mxcy.engine._engine cimport (Task, Var, is_serial, site_here, task_new, task_push, var_release, var_try, var_wait)
from mxcy.gpu._device cimport copy_across, copy_in, copy_out, copy_wait, devices, enter, event_free, leave, mark
from mxcy.gpu._driver cimport handle_t
from mxcy.ndarray._ndarray cimport NDArray
from mxcy.storage._storage cimport GPU, Chunk, chunk_locked, chunk_release, chunk_retain, raise_out_of_memory

from mxcy._types cimport itemsize

from mxcy.base import MXNetError

cdef struct Transfer:
    Chunk* target
    Chunk* source
    void* out
    const void* data
    size_t nbytes
    bint fresh                  # see copy_in
    handle_t event              # to a GPU: behind what reads page-locked memory. To the host: behind what wrote the source
    int64_t version             # ... when it had this version


cdef int copy(Transfer* transfer, char* text, Py_ssize_t room) noexcept nogil:
    cdef const Chunk* target = transfer.target
    cdef const Chunk* source = transfer.source
    cdef handle_t ready
    if transfer.nbytes == 0:
        return 0
    if target.device_type == GPU and source.device_type == GPU:
        return copy_across(target.device_id, transfer.out, source.device_id, transfer.data, transfer.nbytes, text, room)
    if target.device_type == GPU:
        return copy_in(target.device_id, transfer.out, transfer.data, transfer.nbytes, transfer.fresh,
                       &transfer.event if chunk_locked(source) else NULL, text, room)
    if source.device_type == GPU:
        if source.var.version != transfer.version:      # another thread wrote it meanwhile
            forget(transfer)
        ready, transfer.event = transfer.event, NULL
        return copy_out(source.device_id, transfer.out, transfer.data, transfer.nbytes, chunk_locked(target), ready, text,
                        room)
    memcpy(transfer.out, transfer.data, transfer.nbytes)
    return 0


cdef void forget(Transfer* transfer) noexcept nogil:
    """Give back the event of a copy to the host."""
    event_free(transfer.source.device_id, transfer.event)
    transfer.event = NULL


cdef int run_task(Task* task) noexcept nogil:
    cdef Transfer* transfer = <Transfer*>task.payload
    cdef int status = copy(transfer, task.error, sizeof(task.error))
    cdef handle_t event = transfer.event
    if status == 0 and event != NULL:
        transfer.event = NULL
        status = copy_wait(transfer.target.device_id, event, task.error, sizeof(task.error))
    return status


cdef void destroy_task(Task* task) noexcept nogil:
    cdef Transfer* transfer = <Transfer*>task.payload
    forget(transfer)
    chunk_release(transfer.target)
    chunk_release(transfer.source)


# -- page-locked sources -----------------------------------------------------------------------------------------------

cdef struct Reading:            # of page-locked memory; whoever issued the copy has taken the source to read
    Chunk* source
    int device
    handle_t event


cdef int run_reading(Task* task) noexcept nogil:
    cdef Reading* reading = <Reading*>task.payload
    cdef Var* var = &reading.source.var
    cdef int status = copy_wait(reading.device, reading.event, task.error, sizeof(task.error))
    var_release(&var, 1, 0, NULL)
    return status


cdef void destroy_reading(Task* task) noexcept nogil:
    chunk_release((<Reading*>task.payload).source)


cdef int release_when_read(const Transfer* plan, char* text, Py_ssize_t room) noexcept nogil:
    cdef Var* var = &plan.source.var
    cdef Task* task = task_new(0, 0, sizeof(Reading))
    cdef int status
    if task == NULL:
        status = copy_wait(plan.target.device_id, plan.event, text, room)
        var_release(&var, 1, 0, NULL)
        return status
    (<Reading*>task.payload)[0] = Reading(plan.source, plan.target.device_id, plan.event)
    chunk_retain(plan.source)
    task.run, task.destroy = run_reading, destroy_reading
    task.cost = <double>plan.nbytes
    task_push(task)
    return 0


# -- now, or later -----------------------------------------------------------------------------------------------------

cdef void note_writers(Transfer* plan) noexcept nogil:
    """Behind what is issued now, if that is all that writes the source: the copy need not wait for what comes later."""
    cdef Var* var = &plan.source.var
    cdef handle_t before
    if var_try(&var, 1, 0) == 1:
        plan.version = var.version
        if enter(plan.source.device_id, &before) == 0:
            mark(plan.source.device_id, devices[plan.source.device_id].compute, &plan.event)
            leave(plan.source.device_id, before)
        var_release(&var, 1, 0, NULL)


cdef int transfer(NDArray target, NDArray source, bint fresh) except -1:
    cdef Transfer plan = Transfer(target.chunk, source.chunk, target.data, source.data,
                                  source.nelem * itemsize(source.code), fresh, NULL, -1)
    cdef Var* vars[2]
    cdef char text[1024]
    cdef int status = 0
    vars[0], vars[1] = &source.chunk.var, &target.chunk.var
    if target.chunk.device_type == GPU:
        status = var_try(vars, 1, 1)
    else:
        note_writers(&plan)
    if status == 1:
        with nogil:
            status = copy(&plan, text, sizeof(text))
            var_release(&vars[1], 0, 1, NULL)
            if plan.event != NULL:
                status = release_when_read(&plan, text, sizeof(text))
            else:
                var_release(vars, 1, 0, NULL)
        if status:
            raise MXNetError(text.decode("utf-8", "replace"))
        return 0
    if status == -1:
        var_wait(vars[0])                       # raises what went wrong there
    cdef Task* task = task_new(1, 1, sizeof(Transfer))
    if task == NULL:
        forget(&plan)
        raise_out_of_memory(sizeof(Transfer))
    (<Transfer*>task.payload)[0] = plan
    chunk_retain(plan.target)
    chunk_retain(plan.source)
    task.vars[0], task.vars[1] = vars[0], vars[1]
    task.run, task.destroy, task.site = run_task, destroy_task, site_here()
    task.cost = <double>plan.nbytes
    with nogil:
        task_push(task)
    if is_serial():
        var_wait(vars[1])
    return 0
