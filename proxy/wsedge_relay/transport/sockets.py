"""Shutdown and reset of sockets, and the constants of socket calls that several modules share."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Final

# The largest payload of a TLS record (RFC 8446 section 5.1). A read of this size leaves no decrypted bytes in
# the TLS object, which no selector would report.
TLS_RECORD_BYTES: Final = 16384
# Errors of a call that would block or was interrupted; the selector reports the socket again.
WOULD_BLOCK: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# Of `struct tcp_info` (linux/tcp.h): the offset and the form of tcpi_rtt, in microseconds.
_RTT_OFFSET: Final = 68
_RTT: Final = struct.Struct("=I")
# SO_LINGER of 0 s: a close resets the connection and drops the kernel's buffers. The other is the default.
_RESET: Final = struct.pack("ii", 1, 0)
_DEFAULT: Final = struct.pack("ii", 0, 0)


def shut_sending(sock: socket.socket, *, notify: bool = True) -> bool:
    """Shut the sending side of a connected socket, with `notify` after TLS's close_notify if it speaks TLS.

    Return False when a record of the peer was lost by that: what follows it cannot be read any more.
    """
    whole = True
    try:
        if notify and isinstance(sock, ssl.SSLSocket):
            # After close_notify was sent, the peer's is not awaited, but the call reads once. When TLS is
            # broken, the FIN alone is sent.
            try:
                sock.unwrap()
            except ssl.SSLError as error:
                whole = error.reason != "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"
            except (OSError, ValueError):
                pass
        # SSLSocket.shutdown would end TLS for the bytes that are still to be read.
        socket.socket.shutdown(sock, socket.SHUT_WR)
    except OSError:
        pass  # the peer has closed the connection already
    return whole


def reset_at_close(sock: socket.socket, *, reset: bool = True) -> None:
    """Set whether a close of the socket resets the connection; by default it does not."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET if reset else _DEFAULT)


def round_trip_seconds(fd: int) -> float | None:
    """Return the kernel's estimate of the round-trip time of a TCP connection; None where it has none.

    It is that of TCP: to the next machine that ends TCP, such as a load balancer.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)  # borrowed: it is detached below
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT_OFFSET + _RTT.size)
    except OSError:  # no TCP: a stream of HTTP/2 has a pair of Unix sockets
        return None
    finally:
        sock.detach()
    if len(info) < _RTT_OFFSET + _RTT.size:
        return None
    (microseconds,) = _RTT.unpack_from(info, _RTT_OFFSET)
    return microseconds / 1e6 if microseconds else None
