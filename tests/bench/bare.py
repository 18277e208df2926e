"""A proxy that inspects nothing: the cost of Python and the kernel without checks and counts.

    python bare.py ORIGIN LISTEN        (two ports on 127.0.0.1)

It dials at a client's first bytes, and handles neither split requests nor limits, ends of one direction or
slow peers. Use it only in the bench, as the lower bound for a proxy in Python.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import sys
from collections.abc import Iterator

from proxy import PROXY_CORE, Proxy, Setting, folder_of, free_ports, pinned, running, wait_until_open

NAME = "bare Python"
AREA = 65536


@contextlib.contextmanager
def bare(setting: Setting, python: str) -> Iterator[Proxy]:
    """Run it; it has neither TLS nor a configuration to change."""
    folder, (port,) = folder_of(setting, NAME), free_ports(1)
    command = pinned(PROXY_CORE, python, __file__, str(setting.origin), str(port))
    with (folder / "log").open("w") as stderr, running(command, stderr=stderr) as process:
        wait_until_open(port, process, folder)
        yield Proxy(NAME, port, None, process.pid, lambda _: None, lambda: True, tuned=True)


def main() -> None:
    """Serve until killed."""
    origin = ("127.0.0.1", int(sys.argv[1]))
    listener = socket.create_server(("127.0.0.1", int(sys.argv[2])), backlog=4096)
    listener.setblocking(False)
    listening = listener.fileno()
    epoll = select.epoll()
    epoll.register(listening, select.EPOLLIN)
    peers: dict[int, int] = {}  # -1: not dialled yet
    gc.disable()
    while True:
        for fd, _ in epoll.poll():
            if fd == listening:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        accepted = listener.accept()[0]
                        accepted.setblocking(False)
                        client = accepted.detach()
                        epoll.register(client, select.EPOLLIN)
                        peers[client] = -1
                continue
            peer = peers.get(fd)
            if peer is None:
                continue  # closed with its peer in this batch
            try:
                data = os.read(fd, AREA)
            except ConnectionResetError:
                data = b""
            if not data:
                for end in (fd, peer):
                    if peers.pop(end, None) is not None:
                        os.close(end)
                continue
            if peer < 0:
                dialled = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                dialled.connect_ex(origin)
                dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = dialled.detach()
                epoll.register(peer, select.EPOLLIN)
                peers[fd], peers[peer] = peer, fd
            send(peer, data)


def send(fd: int, data: bytes) -> None:
    """Send all of it, and block until it is sent."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select((), (fd,), ())
        except (BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    main()
