# Types for the compiled form of leg.py (see build.py).

from .frames cimport Walk

cdef class Leg(Walk):
    cdef public bint close_sent, dead, deaf, dropping, finishing, inline, mute, paired, parting, ragged, shut
    cdef public bint special, throttled
    cdef public bytes inject, out, rest, stash, verdict
    cdef public int eof, fd, quiet, to, watched
    cdef public long long lag, mark, pinged, received, waste
    cdef public object pace, rates, sizes, tls, tunnel
    cdef public list opcodes
    cdef public Leg peer
