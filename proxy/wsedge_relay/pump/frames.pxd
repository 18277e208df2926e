# Types for the compiled form of frames.py (see build.py). Lengths are below 2**62: sums stay in 64 bits.

cdef class Walk:
    cdef public bint deflate
    cdef public int head, kind, mask
    cdef public long long frames, limit, message, need, other, partial
    cdef public tuple steps, whole
    cpdef Py_ssize_t header(self, buf, Py_ssize_t at, Py_ssize_t left) except? -100
    cpdef long long payload_of(self, long long size) except? -100
    cdef int _control(self, int first, int size) except? -100
    cdef int _sequence(self, int first) except? -100
