# cython: language_level=3
"""Plan and Execution as the callers of plans see them."""
from mxcy._types cimport Tensor, kernel_t
from mxcy.engine._engine cimport Var
from mxcy.gpu._launch cimport Issues
from mxcy.gpu._replay cimport Replays
from mxcy.imperative._bound cimport Packed, Signature
from mxcy.ndarray._ndarray cimport NDArray
from mxcy.storage._storage cimport Chunk

from libc.stdint cimport uint64_t

cdef enum:                              # where the bytes of a tensor lie
    IN_SLOT = 0                         # in an array that the caller gives
    IN_ARENA = 1                        # in the execution's own memory

cdef struct Place:
    int kind
    Py_ssize_t at                       # number of the slot, or offset into the arena

cdef struct Step:                       # one kernel call
    kernel_t run
    const char* name                    # of the node
    const void* params
    const void* info
    Issues* issues                      # on a GPU, with a reference; else NULL
    double scalar
    double cost                         # ns on one thread, estimated
    int n_inputs
    int n_outputs
    int first                           # its first tensor: inputs, then outputs
    int random                          # its number among the random steps, or -1
    bint parallel
    uint64_t mutated                    # inputs that the kernel changes
    Py_ssize_t workspace                # offset into the arena, or -1

cdef struct Program:                    # what a plan does; shared by all executions, never changed
    long refs
    Step* steps
    int n_steps
    int n_forward                       # steps of the forward phase; those of the backward phase follow
    Tensor* tensors                     # of all steps, without data
    Place* places                       # of each tensor
    int n_tensors
    int n_slots
    Py_ssize_t arena
    int n_random
    bint draws[2]                       # whether the phases draw random numbers
    bint train
    int device                          # number of the GPU, or HOST
    Replays* replays[2]                 # recordings of the two phases on a GPU, or NULL
    Issues* begin_run                   # writes seed and counter of a run ...
    Py_ssize_t drawn                    # ... to this place in its arena, for recordings
    Packed** packed                     # parameters that steps point to
    void** memory                       # what else to free: shapes and names
    int n_memory
    double cost[2]                      # of the two phases
    bint parallel[2]

cdef class Plan:
    cdef Program* program
    cdef int* use                       # per slot and phase: bits READ, WRITE, CHANGE
    cdef readonly Signature types       # of the slots
    cdef readonly object report         # what compile found out: a dict
    cdef dict makers                    # slot -> what makes its array, new for every execution
    cdef int prepare_replays(self, int n_forward, int n_backward) except -1
    cdef void* keep(self, const void* source, Py_ssize_t nbytes) except NULL
    cdef NDArray new_array(self, int slot, int device_type, int device_id)

cdef struct Run:                        # one execution; tasks hold references
    long refs
    Program* program
    Tensor* tensors                     # with data
    char** data                         # of each slot
    Chunk** chunks                      # of each slot, with a reference
    Chunk* arena                        # NULL before forward and after the last phase
    Chunk* token                        # its variable orders the phases; NULL where there is one phase
    bint keep                           # the arena is kept for a backward phase
    uint64_t seed
    uint64_t counter

cdef class Execution:
    cdef Run* run
    cdef readonly Plan plan
    cdef int put(self, int slot, NDArray array) except -1
    cdef int launch(self, int phase) except -1
    cdef int push(self, int phase, Var** vars, int reads, int writes, int updates, double cost) except -1
