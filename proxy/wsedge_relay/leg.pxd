# Types for the compiled form of leg.py (see compiled/build.py).

from .frames cimport Walk

cdef class Leg(Walk):
    cdef public bint dead, deaf, direct, dropping, eof, finishing, mute, parting, sampled, shut, special, told
    cdef public bytes inject, out, stash
    cdef public int fd, quiet, watched
    cdef public long long mark, passed, pinged, received
    cdef public double rtt
    cdef public object recv, send, sock, tunnel
    cdef public list opcodes
    cdef public Leg peer
