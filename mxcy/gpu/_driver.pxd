# cython: language_level=3
"""The functions of NVIDIA's driver that run without the GIL or that PyCUDA lacks, resolved at run time."""

ctypedef unsigned long long address_t           # CUdeviceptr
ctypedef void* handle_t                         # a context, stream, event, module, function or graph

cdef struct Driver:                             # all return 0 or a CUresult
    int (*init)(unsigned flags) noexcept nogil
    int (*version)(int* number) noexcept nogil
    int (*device_count)(int* count) noexcept nogil
    int (*context_set)(handle_t context) noexcept nogil
    int (*context_get)(handle_t* context) noexcept nogil
    int (*peer_reachable)(int* answer, int device, int peer) noexcept nogil
    int (*peer_enable)(handle_t context, unsigned flags) noexcept nogil
    int (*memory_info)(size_t* free, size_t* total) noexcept nogil
    int (*malloc)(address_t* at, size_t nbytes) noexcept nogil
    int (*free)(address_t at) noexcept nogil
    int (*host_malloc)(void** at, size_t nbytes, unsigned flags) noexcept nogil
    int (*host_free)(void* at) noexcept nogil
    int (*upload)(address_t out, const void* source, size_t nbytes, handle_t stream) noexcept nogil
    int (*download)(void* out, address_t source, size_t nbytes, handle_t stream) noexcept nogil
    int (*copy)(address_t out, address_t source, size_t nbytes, handle_t stream) noexcept nogil
    int (*copy_peer)(address_t out, handle_t out_context, address_t source, handle_t source_context, size_t nbytes,
                     handle_t stream) noexcept nogil
    int (*fill)(address_t out, unsigned char value, size_t nbytes, handle_t stream) noexcept nogil
    int (*stream_synchronize)(handle_t stream) noexcept nogil
    int (*stream_wait)(handle_t stream, handle_t event, unsigned flags) noexcept nogil
    int (*event_create)(handle_t* event, unsigned flags) noexcept nogil
    int (*event_record)(handle_t event, handle_t stream) noexcept nogil
    int (*event_synchronize)(handle_t event) noexcept nogil
    int (*event_query)(handle_t event) noexcept nogil
    int (*module_load)(handle_t* module, const void* image) noexcept nogil
    int (*module_function)(handle_t* function, handle_t module, const char* name) noexcept nogil
    int (*function_set)(handle_t function, int attribute, int value) noexcept nogil
    int (*launch)(handle_t function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                  unsigned block_y, unsigned block_z, unsigned shared, handle_t stream, void** arguments,
                  void** extra) noexcept nogil
    int (*stream_create)(handle_t* stream, unsigned flags) noexcept nogil
    int (*capture_begin)(handle_t stream, int mode) noexcept nogil
    int (*capture_end)(handle_t stream, handle_t* graph) noexcept nogil
    int (*graph_instantiate)(handle_t* executable, handle_t graph, unsigned long long flags) noexcept nogil
    int (*graph_launch)(handle_t executable, handle_t stream) noexcept nogil
    int (*graph_destroy)(handle_t graph) noexcept nogil
    int (*executable_destroy)(handle_t executable) noexcept nogil
    int (*pointer_attribute)(void* out, int attribute, address_t at) noexcept nogil
    int (*error_name)(int error, const char** name) noexcept nogil
    int (*error_text)(int error, const char** text) noexcept nogil

cdef enum:                                      # results that somebody here tells apart
    OUT_OF_MEMORY = 2
    NO_DEVICE = 100
    PEER_ENABLED = 704

cdef Driver cu

cdef int load() except -1                       # fill the table, once; MXNetError says why it cannot be done
cdef int check(int status, const char* doing) except -1         # GIL held; MXNetError for a nonzero status
cdef void explain(int status, const char* doing, char* text, Py_ssize_t room) noexcept nogil
