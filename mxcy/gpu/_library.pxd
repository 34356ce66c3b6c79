# cython: language_level=3
"""Optional libraries: tables of functions, opened at run time."""

cdef struct Entry:                      # of a table that ends with a name that is NULL
    const char* name
    void** place                        # of the function's address

# GIL held. Fill the table from the first of these libraries that has all of it; whether there is one.
cdef bint open_first(list paths, Entry* table) except -1
