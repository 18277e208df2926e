# Types for the compiled form of leg.py (see build.py).

from .frames cimport Walk

cdef class Bounds:
    cdef public bint throttled
    cdef public object pace, rates

cdef class Ending:
    cdef public bint close_sent, finishing, paired, parting, ragged, shut
    cdef public bytes verdict
    cdef public long long waste

cdef class Leg(Walk):
    cdef public bint dead, deaf, dropping, inline, mute, special
    cdef public bytes inject, out, rest, stash
    cdef public int eof, fd, quiet, to, watched
    cdef public long long lag, mark, pinged, received
    cdef public object sizes, tls, tunnel
    cdef public list opcodes
    cdef public Bounds bounds
    cdef public Ending ending
    cdef public Leg peer
    cpdef Ending own_ending(self)
