# cython: language_level=3
"""The user's line that an operation came from, as a small number."""

cdef int user_site() except -1              # GIL held; 0: no line outside the package runs
cdef str site_text(int site)                # "file.py:12", or "" for 0
