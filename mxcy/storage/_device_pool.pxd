# cython: language_level=3
"""Memory of GPUs: blocks by size class, reused in the order of the device's compute stream."""

# The address, and the class to give back with it; NULL: no memory, or a device that failed.
cdef void* device_new(int number, Py_ssize_t nbytes, int* index) noexcept nogil
cdef void device_free(int number, void* data, int index) noexcept nogil
cdef int raise_out_of_device_memory(int number, Py_ssize_t nbytes) except -1    # GIL held
