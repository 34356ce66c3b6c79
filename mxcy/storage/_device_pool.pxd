# cython: language_level=3
"""Memory of GPUs, and page-locked memory of the host: blocks by size class."""

# The address, and the class to give back with it; NULL: no memory, or a device that failed.
cdef void* device_new(int number, Py_ssize_t nbytes, int* index) noexcept nogil
cdef void device_free(int number, void* data, int index) noexcept nogil
# The same for memory that is uploaded to first: the uploads wait for what may still use the block, and for no more.
cdef void* landing_new(int number, Py_ssize_t nbytes, int* index) noexcept nogil
cdef void landing_free(int number, void* data, int index) noexcept nogil
# Memory of the host that the device copies from and to by itself. NULL also: the device is not in use.
cdef void* locked_new(int number, Py_ssize_t nbytes, int* index) noexcept nogil
cdef void locked_free(int number, void* data, int index) noexcept nogil

cdef void device_start_if_any(int number) noexcept      # GIL held: so that memory can be locked for it
cdef int raise_out_of_device_memory(int number, Py_ssize_t nbytes) except -1    # GIL held
