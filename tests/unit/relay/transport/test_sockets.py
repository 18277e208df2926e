"""Shutdown and reset of plain sockets; TLS is in tests/component."""

from __future__ import annotations

import socket

import pytest

from wsedge_relay.transport.listening import bound, reserved
from wsedge_relay.transport.sockets import reset_at_close, shut_sending


def connected() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        return near, server.accept()[0]


def test_shut_sending_leaves_the_other_direction_open() -> None:
    """The peer gets the end, and its bytes still arrive; a second call has no effect."""
    near, far = connected()
    with near, far:
        shut_sending(near)
        assert far.recv(1) == b""
        far.send(b"x")
        assert near.recv(1) == b"x"
        far.close()
        shut_sending(near)


@pytest.mark.parametrize("reset", [True, False])
def test_a_close_resets_only_when_it_is_set(reset: bool) -> None:
    """By default the peer gets an end, and the setting can be revoked."""
    near, far = connected()
    with far:
        reset_at_close(near)
        if not reset:
            reset_at_close(near, reset=False)
        near.close()
        if reset:
            with pytest.raises(ConnectionResetError):
                far.recv(1)
        else:
            assert far.recv(1) == b""


async def test_a_reserved_port_is_for_sharing_processes_only() -> None:
    """Processes of the relay share it; while one listens, another relay cannot reserve it."""
    with await reserved("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with await bound("127.0.0.1", port, shared=True) as second:
            assert second.getsockname() == first.getsockname()
            second.listen()
            with pytest.raises(OSError, match="in use"):
                await reserved("127.0.0.1", port)


async def test_a_dual_stack_socket_accepts_ipv4() -> None:
    """`::` stands for all addresses of both families, whatever the system's default is."""
    with await bound("::", 0) as sock:
        assert sock.family == socket.AF_INET6
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
        assert sock.gettimeout() == 0.0


async def test_a_host_that_is_no_name_is_an_error_of_resolution() -> None:
    """An empty label cannot be sent to a name service."""
    with pytest.raises(OSError, match=r"^a\.\.b: "):
        await bound("a..b", 0)
