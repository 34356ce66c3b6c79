# cython: language_level=3
"""Launching a user's own kernels through the engine, as operators are."""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from mxcy._types cimport Call, Tensor
from mxcy.engine._engine cimport (Task, Var, is_serial, site_here, task_new, task_push, var_release, var_try, var_wait)
from mxcy.gpu._launch cimport Issues, Recipe, issues_release, run_recipe
from mxcy.imperative._bound cimport packed_retain
from mxcy.imperative._execute cimport Seen, add_var
from mxcy.ndarray._ndarray cimport NDArray, as_tensor
from mxcy.storage._storage cimport Chunk, chunk_release, chunk_retain, raise_out_of_memory

from mxcy.base import MXNetError


cdef struct Payload:                    # followed by the tensors and then their chunks
    Issues* issues
    int n


cdef int run(Issues* issues, const Tensor* tensors, int n, char* text, Py_ssize_t room) noexcept nogil:
    cdef Call call
    memset(&call, 0, sizeof(call))
    call.info, call.n_inputs = issues, n
    if run_recipe(tensors, NULL, &call):
        memcpy(text, call.error, min(<Py_ssize_t>sizeof(call.error), room))
        return 1
    return 0


cdef int run_task(Task* task) noexcept nogil:
    cdef Payload* payload = <Payload*>task.payload
    return run(payload.issues, <Tensor*>(payload + 1), payload.n, task.error, sizeof(task.error))


cdef void destroy_task(Task* task) noexcept nogil:
    cdef Payload* payload = <Payload*>task.payload
    cdef Chunk** chunks = <Chunk**>(<Tensor*>(payload + 1) + payload.n)
    cdef int i
    for i in range(payload.n):
        chunk_release(chunks[i])
    issues_release(payload.issues)


def launch_on(Recipe recipe not None, list arrays, list constant):
    """Issue a recipe whose tensors are these arrays, when what writes and reads them before is issued.

    Parameters
    ----------
    recipe : Recipe
    arrays : list of NDArray
    constant : list of bool
        For each array whether it is only read.
    """
    cdef int n = len(arrays), i, writes = 0, total, status
    cdef Seen seen
    cdef NDArray array
    cdef char text[1024]
    cdef Py_ssize_t room = sizeof(Payload) + n * (sizeof(Tensor) + sizeof(Chunk*))
    cdef Var** vars = <Var**>malloc((2 * n + 1) * sizeof(Var*))
    cdef Tensor* tensors = <Tensor*>malloc((n + 1) * sizeof(Tensor))
    cdef Task* task
    cdef Payload* payload
    seen.table = NULL
    try:
        if vars == NULL or tensors == NULL:
            raise MemoryError
        for i in range(n):
            array = <NDArray?>arrays[i]
            as_tensor(array, &tensors[i])
            if not constant[i]:
                writes += add_var(vars, writes, &array.chunk.var, seen)
        total = writes
        for i in range(n):                      # what is written is read, too
            total += add_var(vars, total, &(<NDArray>arrays[i]).chunk.var, seen)
        memcpy(vars + total, vars, writes * sizeof(Var*))       # reads, then writes
        status = var_try(vars + writes, total - writes, writes, writes)
        if status == 1:
            with nogil:
                status = run(recipe.issues, tensors, n, text, sizeof(text))
            var_release(vars + writes, total - writes, writes, NULL)
            if status:
                raise MXNetError(text.decode("utf-8", "replace"))
            return
        if status == -1:
            for i in range(total):
                var_wait(vars[i])               # raises what went wrong there
        task = task_new(total - writes, writes, room)
        if task == NULL:
            raise_out_of_memory(room)
        payload = <Payload*>task.payload
        payload.issues, payload.n = recipe.issues, n
        packed_retain(&recipe.issues.refs)
        memcpy(payload + 1, tensors, n * sizeof(Tensor))
        for i in range(n):
            array = arrays[i]
            (<Chunk**>(<Tensor*>(payload + 1) + n))[i] = array.chunk
            chunk_retain(array.chunk)
        memcpy(task.vars, vars + writes, total * sizeof(Var*))
        task.run, task.destroy, task.site, task.n_updates = run_task, destroy_task, site_here(), writes
        task_push(task)
        if is_serial():
            for i in range(total):
                var_wait(vars[i])
    finally:
        free(vars)
        free(tensors)
