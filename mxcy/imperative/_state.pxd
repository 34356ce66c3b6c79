# cython: language_level=3
"""Per-thread flags of autograd: is a call recorded, and does it run in training mode?"""

cdef extern from *:
    """
    #ifndef MXCY_STATE
    #define MXCY_STATE
    struct mxcy_state { int recording, training, exact; };
    #endif
    """
    struct State "mxcy_state":
        bint recording
        bint training
        bint exact                      # operators take their inputs as they are, also in mixed precision

cdef State* state() noexcept nogil
