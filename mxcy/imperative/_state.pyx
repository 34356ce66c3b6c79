# cython: language_level=3
"""Per-thread flags of autograd."""

cdef extern from *:
    """
    static thread_local mxcy_state mxcy_own_state;
    static inline mxcy_state* mxcy_get_state(void) { return &mxcy_own_state; }
    """
    State* mxcy_get_state() noexcept nogil


cdef State* state() noexcept nogil:
    return mxcy_get_state()


cdef long asked = 0                 # how often Python asked whether calls run in training mode, in any thread


def times_asked():
    """How often `is_training` was called: this tells whether a function looked at it."""
    return asked


def is_recording():
    """Whether calls are recorded for a gradient, in this thread."""
    return state().recording


def is_training():
    """Whether calls run in training mode, in this thread."""
    global asked
    asked += 1
    return state().training


def set_recording(bint on):
    """Turn recording on or off in this thread; returns what it was."""
    before, state().recording = state().recording, on
    return before


def set_training(bint on):
    """Turn training mode on or off in this thread; returns what it was."""
    before, state().training = state().training, on
    return before


cdef class Scope:
    """Context manager that sets the flags and puts them back; None leaves a flag alone. Reusable, not re-entrant."""
    cdef object recording, training
    cdef bint exact
    cdef list before

    def __init__(self, recording, training, exact=False):
        self.recording, self.training, self.exact, self.before = recording, training, exact, []

    def __enter__(self):
        cdef State* flags = state()
        self.before.append((flags.recording, flags.training, flags.exact))
        if self.recording is not None:
            flags.recording = self.recording
        if self.training is not None:
            flags.training = self.training
        flags.exact = flags.exact or self.exact

    def __exit__(self, *error):
        cdef State* flags = state()
        flags.recording, flags.training, flags.exact = self.before.pop()
