"""An HTTP/2 connection, with a clock of the test."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import h2.connection
import h2.events
import h2.settings
import pytest
from h2.config import H2Configuration

from support.relay.http2 import connect_lines
from support.relay.virtual import Loop
from wsedge_relay.client.http2_session import Session
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.protocol.http2_translation import TranslatedRequest
from wsedge_relay.timeouts import Timeouts

STALL_SECONDS = 30.0
PATIENT = replace(Timeouts(), session_idle_seconds=1e6)


class Talk:
    """A session and its client. `seen` has the headers of the answers that the client received."""

    def __init__(self, open_stream: Callable[[TranslatedRequest], socket.socket]) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.near = near
        self.loop = Loop()
        self.ended: list[Session] = []
        self.seen: list[dict[bytes, bytes]] = []
        self.client = h2.connection.H2Connection(H2Configuration(header_encoding=None))
        self.session = Session(
            near,
            domain="chat.example.com",
            open_stream=open_stream,
            ended=self.ended.append,
            stall_seconds=lambda: STALL_SECONDS,
            timeouts=PATIENT,
            loop=self.loop,  # type: ignore[arg-type]
        )
        self.session.start()
        self.client.initiate_connection()
        self.say()

    def say(self) -> None:
        """Send the client's bytes, and let the session serve them."""
        self.far.send(self.client.data_to_send())
        self.loop.readers[self.near.fileno()]()

    def hear(self) -> None:
        """Receive the answers."""
        for event in self.client.receive_data(self.far.recv(1 << 20)):
            if isinstance(event, h2.events.ResponseReceived):
                self.seen.append(dict(event.headers))


@pytest.fixture
def talk() -> Iterator[Callable[[Callable[[TranslatedRequest], socket.socket]], Talk]]:
    talks: list[Talk] = []

    def begin(open_stream: Callable[[TranslatedRequest], socket.socket]) -> Talk:
        talks.append(Talk(open_stream))
        return talks[-1]

    yield begin
    for one in talks:
        one.session.abort()
        one.far.close()


def nobody(_: TranslatedRequest) -> socket.socket:
    raise AssertionError("no stream is opened")


def test_a_stall_begins_when_something_waits(talk: Callable[..., Talk]) -> None:
    """A client that had nothing to read for an hour has the whole stall time for the next bytes."""
    one = talk(nobody)
    with suppress(BlockingIOError):
        while one.near.send(b"\0" * 4096):  # the kernel holds as much as it will, and the session nothing
            pass
    one.loop.run(3600)
    assert not one.ended
    one.client.ping(b"12345678")
    one.say()
    assert one.loop.writers
    one.loop.run(STALL_SECONDS - 1)
    assert not one.ended
    one.loop.run(STALL_SECONDS)
    assert one.ended == [one.session]


def test_a_client_cannot_have_all_headers_kept(talk: Callable[..., Talk]) -> None:
    """The client may allow a header table of any size; the relay uses the default size."""
    numbers = itertools.count()

    def refuse(_: TranslatedRequest) -> socket.socket:
        headers = [(b"X-Number", b"%d" % next(numbers) + b"x" * 100)]
        raise HandshakeRefusedError(403, "test", "No.", headers=headers)

    one = talk(refuse)
    one.hear()
    one.client.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 1 << 30})
    for _ in range(200):
        number = one.client.get_next_available_stream_id()
        one.client.send_headers(number, connect_lines(), end_stream=True)
        one.say()
        one.hear()
    assert [int(seen[b"x-number"].rstrip(b"x")) for seen in one.seen] == list(range(200))
    table = one.session._protocol.encoder.header_table
    assert sum(len(name) + len(value) + 32 for name, value in table.dynamic_entries) <= 4096
