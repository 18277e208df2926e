"""A connection of HTTP/2 on a test's clock."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import h2.connection

from support_relay.virtual import Clock
from wsedge_relay.bounds import Bounds
from wsedge_relay.http2 import Session

STALL_SECONDS = 30.0
PATIENT = replace(Bounds(), session_idle_seconds=1e6)


class Loop(Clock):
    """A clock that a session can tell what it waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[int, Callable[[], object]] = {}
        self.writers: dict[int, Callable[[], object]] = {}

    def add_reader(self, fd: int, call: Callable[[], object]) -> None:
        self.readers[fd] = call

    def remove_reader(self, fd: int) -> None:
        self.readers.pop(fd, None)

    def add_writer(self, fd: int, call: Callable[[], object]) -> None:
        self.writers[fd] = call

    def remove_writer(self, fd: int) -> None:
        self.writers.pop(fd, None)


def nobody(*_: Any) -> Any:
    raise AssertionError("no stream is opened")


def test_a_stall_begins_when_something_waits() -> None:
    """A client that was owed nothing for an hour has all of its time for what comes then."""
    near, far = socket.socketpair()
    near.setblocking(False)
    loop = Loop()
    ended: list[Session] = []
    session = Session(
        near,
        domain="chat.example.com",
        open_stream=nobody,
        ended=ended.append,
        stall_seconds=lambda: STALL_SECONDS,
        bounds=PATIENT,
        loop=loop,  # type: ignore[arg-type]
    )
    with far:
        session.start()
        client = h2.connection.H2Connection()
        client.initiate_connection()
        far.send(client.data_to_send())
        loop.readers[near.fileno()]()
        with suppress(BlockingIOError):
            while near.send(b"\0" * 4096):  # the kernel holds as much as it will, and the session nothing
                pass
        loop.run(3600)
        assert not ended
        client.ping(b"12345678")
        far.send(client.data_to_send())
        loop.readers[near.fileno()]()
        assert loop.writers
        loop.run(STALL_SECONDS - 1)
        assert not ended
        loop.run(STALL_SECONDS)
        assert ended == [session]
