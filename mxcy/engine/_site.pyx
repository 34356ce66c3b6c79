# cython: language_level=3
"""Find and remember lines of the user's code: a task carries a number, its error shows the line."""
from cpython.ref cimport PyObject

import itertools
import os

cdef extern from "Python.h":
    ctypedef struct PyFrameObject:
        pass
    PyFrameObject* PyEval_GetFrame()        # borrowed; NULL if no Python runs in this thread

cdef str PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
cdef dict numbers = {}                      # (file, line) -> number
cdef dict texts = {0: ""}                   # number -> text
cdef object fresh = itertools.count(1)


cdef int user_site() except -1:
    if PyEval_GetFrame() == NULL:
        return 0
    frame = <object><PyObject*>PyEval_GetFrame()
    while frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
        if frame is None:
            return 0
    key = (frame.f_code.co_filename, frame.f_lineno)
    number = numbers.get(key)
    if number is None:
        number = numbers.setdefault(key, next(fresh))
        texts[number] = f"{key[0]}:{key[1]}"
    return number


cdef str site_text(int site):
    return texts[site]
