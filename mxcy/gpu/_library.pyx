# cython: language_level=3
"""Optional libraries: tables of functions, opened at run time."""
from posix.dlfcn cimport RTLD_LOCAL, RTLD_NOW, dlopen, dlsym

import os


cdef bint resolve(void* library, Entry* entry) noexcept:
    while entry.name != NULL:
        entry.place[0] = dlsym(library, entry.name)
        if entry.place[0] == NULL:
            return False
        entry += 1
    return True


cdef bint open_first(list paths, Entry* table) except -1:
    cdef void* library
    cdef bytes name
    for path in paths:
        name = os.fsencode(path)
        library = dlopen(name, RTLD_NOW | RTLD_LOCAL)
        if library != NULL and resolve(library, table):
            return True
    return False
