"""Shutdown and reset of sockets, and the constants of socket calls that several modules share."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from typing import Final

# The largest payload of a TLS record (RFC 8446 section 5.1). A read of so many bytes leaves no decrypted
# rest, which no selector would report.
TLS_RECORD_BYTES: Final = 16384
# The errors of a call that would block, or was interrupted: the selector reports the socket again.
WOULD_BLOCK: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# SO_LINGER of 0 s resets the connection at close and drops the kernel's buffers; the other is the default.
_RESET: Final = struct.pack("ii", 1, 0)
_USUAL: Final = struct.pack("ii", 0, 0)


def shut_sending(sock: socket.socket) -> None:
    """Shut the sending side of a connected socket, after TLS's close_notify if it speaks TLS."""
    try:
        if isinstance(sock, ssl.SSLSocket):
            # close_notify was sent, and the peer's is not awaited; or TLS is broken, and a FIN must do.
            with contextlib.suppress(OSError, ValueError):
                sock.unwrap()
        # SSLSocket.shutdown would end TLS for the bytes that are still to be read.
        socket.socket.shutdown(sock, socket.SHUT_WR)
    except OSError:
        pass  # the peer has closed the connection already


def reset_at_close(sock: socket.socket, *, reset: bool = True) -> None:
    """Set whether a close of the socket resets the connection; by default it does not."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET if reset else _USUAL)
