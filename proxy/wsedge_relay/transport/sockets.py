"""What is said to sockets in the same words everywhere: their end, a reset, "not now"."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from typing import Final

# What a TLS record carries at the most (RFC 8446 section 5.1). A read of so many bytes leaves no decrypted
# rest, which no selector would report.
TLS_RECORD_BYTES: Final = 16384
# No answer to a system call is worth another try to these; the selector reports again.
WOULD_BLOCK: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# SO_LINGER of 0 s: a reset, and nothing left in the kernel; and the kernel's usual way.
_RESET: Final = struct.pack("ii", 1, 0)
_USUAL: Final = struct.pack("ii", 0, 0)


def shut_sending(sock: socket.socket) -> None:
    """Shut the sending side of a connected socket, after TLS's close_notify if it speaks TLS."""
    try:
        if isinstance(sock, ssl.SSLSocket):
            # It was sent, and waits for the other side's; or TLS is broken and TCP must say so.
            with contextlib.suppress(OSError, ValueError):
                sock.unwrap()
        # SSLSocket.shutdown would take TLS away from what is still read.
        socket.socket.shutdown(sock, socket.SHUT_WR)
    except OSError:
        pass  # the other side was quicker


def reset_at_close(sock: socket.socket, *, reset: bool = True) -> None:
    """Say whether closing the socket, whoever does it, resets the connection; it does not at first."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET if reset else _USUAL)
