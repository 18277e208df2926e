# Types for the compiled form of pump.py (see build.py).

cimport cython
from .leg cimport Bounds, Ending, Leg
from .sending cimport Sender

cdef extern from "<errno.h>" nogil:
    int errno_now "errno"

cdef extern from "<sys/socket.h>" nogil:
    int MSG_DONTWAIT, MSG_NOSIGNAL
    ssize_t recv(int fd, void *data, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)

# Both return the negative errno instead of -1, as the kernel itself does.
cdef inline Py_ssize_t c_recv(int fd, unsigned char *data, size_t size) noexcept:
    cdef Py_ssize_t n = recv(fd, data, size, MSG_DONTWAIT)
    return n if n >= 0 else -errno_now

cdef inline Py_ssize_t c_send(int fd, const unsigned char *data, size_t size) noexcept:
    cdef Py_ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
    return n if n >= 0 else -errno_now

cdef int _AREA, _BATCH, _CUTS, _FRAMES_AT_ONCE, _MESSAGES_AT_ONCE, _RECORD, _ROOM, _SHORT_READ
cdef bint _DIRECT

cdef class Pump(Sender):
    cdef public bytes tag
    cdef public list legs
    cdef object _area, _view
    cdef bytearray _memory
    cdef unsigned char *_buf
    cdef list _crowded, _cuts
    cdef tuple _into

    cpdef remove(self, Leg leg)
    cpdef pace(self, Leg leg, pace)
    cpdef limit(self, Leg leg, rates)
    @cython.locals(bounds=Bounds)
    cdef _bound(self, Leg leg, pace, rates)
    cpdef resume(self, Leg leg)
    cpdef sample(self, Leg leg, sizes)
    cpdef take_events(self)

    @cython.locals(
        buf=cython.p_uchar, crowded=list, cuts=list, legs=list, events=list, others=list, into=tuple, fd=cython.int,
        what=cython.int, leg=Leg, n=Py_ssize_t, need=cython.longlong, end=Py_ssize_t, last=Py_ssize_t,
        at=cython.longlong, whole=tuple, steps=tuple, step=cython.long, size=cython.long,
        before=cython.longlong, frames=cython.longlong, sent=Py_ssize_t, to=cython.int, known=Py_ssize_t, first=Py_ssize_t, second=Py_ssize_t, deadline=double, timeout=double,
    )
    cpdef list run(self, double timeout)
    @cython.locals(n=Py_ssize_t)
    cdef Py_ssize_t _read(self, Leg leg, Py_ssize_t most) except? -100
    @cython.locals(n=Py_ssize_t, total=Py_ssize_t)
    cdef Py_ssize_t _read_records(self, tls, bint more) except? -100
    @cython.locals(n=Py_ssize_t, wait=double)
    cdef Py_ssize_t _read_paced(self, Leg leg, Bounds bounds) except? -100
    @cython.locals(n=Py_ssize_t, peer=Leg)
    cdef Py_ssize_t _write(self, Leg leg, Py_ssize_t start, Py_ssize_t end) except? -100
    @cython.locals(n=Py_ssize_t, held=Py_ssize_t, frames=cython.longlong, bounds=Bounds)
    cdef _other(self, Leg leg, int what)
    @cython.locals(buf=cython.p_uchar, peer=Leg, at=cython.longlong, size=cython.longlong, opcode=cython.int, broken=cython.int, _=cython.int)
    cdef _feed(self, Leg leg, Py_ssize_t start, Py_ssize_t end)
    cdef _keep_rest(self, Leg leg, bytes rest)
    @cython.locals(leg=Leg, legs=list, rest=bytes)
    cdef _serve_rests(self)
    @cython.locals(more=bytes, end=Py_ssize_t, before=cython.longlong)
    cdef _serve_rest(self, Leg leg, bytes rest)
    cdef _serve_skimmed(self, Leg leg, long long at, Py_ssize_t end, long long before)
    @cython.locals(
        buf=cython.p_uchar, last=Py_ssize_t, whole=tuple, steps=tuple, step=cython.long, size=cython.long,
        frames=cython.longlong,
    )
    cdef long long _skim(self, Leg leg, long long at, Py_ssize_t end) except? -100
    @cython.locals(ending=Ending)
    cdef _closed(self, Leg leg, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end)
    cdef bint _is_own(self, Leg leg, Py_ssize_t at, Py_ssize_t size) except? 1
    @cython.locals(buf=cython.p_uchar, head=cython.int, size=Py_ssize_t)
    cdef Py_ssize_t _own_mismasked(self, Leg leg, Py_ssize_t at, Py_ssize_t left) except? -100
    cdef _preload(self, Leg leg, bytes rest)
    @cython.locals(sent=Py_ssize_t)
    cdef _put(self, Leg leg, Py_ssize_t start, Py_ssize_t end)
