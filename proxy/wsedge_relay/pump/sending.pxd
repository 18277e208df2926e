# Types for the compiled form of sending.py (see build.py).

cimport cython
from .leg cimport Ending, Leg

cdef class Sender:
    cdef public list events
    cdef public set backed
    cdef public long long pauses
    cdef object _epoll

    cpdef reserve(self, Leg leg, bytes close)
    cpdef end(self, Leg leg)
    cpdef finish(self, Leg leg)
    cpdef abandon(self, Leg leg)
    cdef Py_ssize_t _send(self, Leg leg, data) except? -100
    cdef _insert(self, Leg leg)
    @cython.locals(ending=Ending)
    cdef _pronounce(self, Leg leg)
    @cython.locals(ending=Ending)
    cdef _waste(self, Leg leg, Py_ssize_t size)
    @cython.locals(sent=Py_ssize_t)
    cdef _enqueue(self, Leg leg, bytes data)
    cdef _begin_backlog(self, Leg leg, bytes data)
    @cython.locals(sent=Py_ssize_t)
    cdef _drain(self, Leg leg)
    cdef _emptied(self, Leg leg)
    cdef _deafen(self, Leg leg, error)
    cdef _die(self, Leg leg, error)
    cdef _bury(self, Leg leg)
    cdef _end(self, Leg leg)
    cdef _report_end(self, Leg leg)
    @cython.locals(ending=Ending)
    cdef _shut(self, Leg leg)
    cdef _mark(self, Leg leg)
    @cython.locals(throttled=cython.bint, reads=cython.bint, wanted=cython.int)
    cdef _interest(self, Leg leg)
    cdef _unwatch(self, Leg leg)
