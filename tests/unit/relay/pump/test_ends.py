"""Ends of streams in the pump: FIN, close_notify, resets, reserved Closes, and peers that send on."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest

from support.relay.certificates import authority
from support.relay.forms import FORMS, form_of
from support.relay.frames import frame
from wsedge_relay.pump import frames, pump
from wsedge_relay.pump.selector import Form
from wsedge_relay.pump.sending import MOST_AFTER_CLOSE, MOST_WASTE
from wsedge_relay.transport.tls import telling_truncation

KEY = b"\xaa\xbb\xcc\xdd"
NAME = "chat.example.com"
MEBIBYTE = 1 << 20
AREA = 65536  # one read of the pump
SIDES = ("client", "origin")


class Ends:
    """A pump with one tunnel; `far` are the peers' sockets. With `tls` both sides speak TLS."""

    def __init__(self, form: Form, *, tls: bool = False, paired: bool = False) -> None:
        self.epoll = select.epoll()
        self.pump = form.pump(self.epoll, b"test")
        self.far: dict[str, socket.socket] = {}
        self.events: list[tuple[int, str, int]] = []
        near: dict[str, socket.socket] = {}
        for side in SIDES:
            self.far[side], near[side] = socket.socketpair()
            for sock in (self.far[side], near[side]):
                sock.setblocking(False)
            if tls:
                self.far[side], near[side] = _handshaken(self.far[side], near[side])
        self._sockets = [*self.far.values(), *near.values()]
        self.leg = {
            side: self.pump.leg(
                near[side], masked=side == "client", deflate=False, tunnel=None, paired=paired
            )
            for side in SIDES
        }
        self.pump.add(self.leg["client"], self.leg["origin"])

    def turn(self, times: int = 3) -> None:
        """Serve ready sockets and note the events."""
        for _ in range(times):
            assert self.pump.run(0) == []
            for kind, leg, argument in self.pump.take_events():
                self.events.append((kind, "client" if leg.mask else "origin", argument))

    def read(self, side: str) -> bytes | None:
        """Return a peer's bytes, empty at the end, None for none; raises SSLEOFError for truncated TLS."""
        try:
            return self.far[side].recv(MEBIBYTE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None

    def close(self) -> None:
        """Close everything."""
        for sock in self._sockets:
            sock.close()
        self.epoll.close()


def _handshaken(far: socket.socket, near: socket.socket) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    of_client = telling_truncation(authority().client_context())
    client = of_client.wrap_socket(
        far, server_hostname=NAME, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
    of_server = telling_truncation(authority().server_context(NAME))
    server = of_server.wrap_socket(near, server_side=True, do_handshake_on_connect=False)
    for _ in range(5):
        for sock in (client, server):
            with suppress(ssl.SSLWantReadError):
                sock.do_handshake()
    with suppress(ssl.SSLWantReadError):
        client.recv(1)  # session tickets
    return client, server


def made(side: str, payload: bytes, *, opcode: int = 1) -> bytes:
    """Return a frame as this side sends it."""
    return frame(payload, opcode=opcode, key=KEY if side == "client" else None)


def fin(sock: socket.socket) -> None:
    """Send a FIN, and no close_notify."""
    socket.socket.shutdown(sock, socket.SHUT_WR)


def notify(sock: socket.socket) -> None:
    """Send close_notify, which is not answered yet."""
    assert isinstance(sock, ssl.SSLSocket)
    with suppress(ssl.SSLWantReadError):
        sock.unwrap()


@pytest.fixture(params=FORMS, scope="module")
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the pump in turn."""
    return form_of(request)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def ends(form: Form, request: pytest.FixtureRequest) -> Iterator[Ends]:
    """Return a pump with one tunnel."""
    one = Ends(form, tls=request.param)
    yield one
    one.close()


@pytest.fixture
def secure(form: Form) -> Iterator[Ends]:
    """Return a pump with one tunnel between TLS peers."""
    one = Ends(form, tls=True)
    yield one
    one.close()


@pytest.fixture
def plain(form: Form) -> Iterator[Ends]:
    """Return a pump with one tunnel between plain sockets."""
    one = Ends(form)
    yield one
    one.close()


@pytest.mark.parametrize("first", SIDES)
def test_an_end_that_was_passed_leaves_the_other_direction_open(ends: Ends, first: str) -> None:
    """The other peer reads the end and may still send; no frame of the relay can follow the end."""
    second = "origin" if first == "client" else "client"
    ends.far[first].send(made(first, b"last"))
    if isinstance(ends.far[first], ssl.SSLSocket):
        notify(ends.far[first])
    else:
        fin(ends.far[first])
    ends.turn()
    assert ends.events == [(pump.END, first, 0)]
    ends.pump.end(ends.leg[second])
    ends.turn()
    assert ends.events[1:] == [(pump.SHUT, second, 0)]
    assert ends.read(second) == made(first, b"last")
    assert ends.read(second) == b""
    assert not ends.pump.inject(ends.leg[second], frames.close(1001, "", None), last=True)
    for word in (b"more", b"and more"):
        ends.far[second].send(made(second, word))
        ends.turn()
        assert ends.read(first) == made(second, word)
    assert not ends.leg[second].deaf


def test_close_notify_after_the_relays_own_is_an_end(secure: Ends) -> None:
    """The library reports it as an error, but nothing is broken."""
    notify(secure.far["origin"])
    secure.turn()
    secure.pump.end(secure.leg["client"])
    assert secure.read("client") == b""
    secure.far["client"].unwrap()  # type: ignore[attr-defined]
    secure.turn()
    assert [event for event in secure.events if event[0] in (pump.END, pump.ERROR)] == [
        (pump.END, "origin", 0),
        (pump.END, "client", 0),
    ]


def test_tls_that_was_cut_off_is_not_completed(secure: Ends) -> None:
    """A FIN without close_notify is passed without close_notify: the peer can detect the truncation."""
    fin(secure.far["origin"])
    secure.turn()
    assert secure.events == [(pump.END, "origin", 0)]
    secure.pump.end(secure.leg["client"])
    with pytest.raises(ssl.SSLEOFError):
        secure.read("client")


def test_a_peer_that_sends_against_close_notify_loses_its_direction(secure: Ends) -> None:
    """The library drops a record when it sends close_notify, so the bytes behind that are not passed."""
    notify(secure.far["origin"])
    secure.turn()
    secure.far["client"].send(made("client", b"lost"))
    secure.pump.end(secure.leg["client"])
    secure.far["client"].send(made("client", b"after"))
    secure.turn()
    assert secure.read("origin") is None
    assert secure.leg["client"].dropping


def test_a_failed_send_after_the_end_is_an_error(plain: Ends) -> None:
    """It is the only sign that a peer which had ended its stream was reset later."""
    fin(plain.far["client"])
    plain.turn()
    plain.far["client"].close()
    plain.far["origin"].send(made("origin", b"x"))
    plain.turn()
    kinds = [(kind, side) for kind, side, _ in plain.events]
    assert kinds == [(pump.END, "client"), (pump.ERROR, "client")]


@pytest.mark.parametrize("side", SIDES)
def test_the_close_of_a_pairs_other_end_is_a_reset(form: Form, side: str) -> None:
    """A socket pair cannot be reset; the bytes before the close are passed."""
    one = Ends(form, paired=True)
    other = "origin" if side == "client" else "client"
    one.far[side].send(made(side, b"last"))
    one.far[side].close()
    one.turn()
    assert [(kind, name) for kind, name, _ in one.events] == [(pump.ERROR, side)]
    assert one.read(other) == made(side, b"last")
    fin(one.far[other])
    one.turn()
    assert [(kind, name) for kind, name, _ in one.events][1:] == [(pump.END, other)]
    one.close()


def test_a_reserved_close_takes_the_place_of_the_peers(plain: Ends) -> None:
    """It follows the frames before the peer's Close, which is reported and not passed."""
    own = frames.close(1002, "reserved bits", None)
    plain.pump.reserve(plain.leg["client"], own)
    answers = made("origin", b"one") + made("origin", b"two" * 100)
    close = made("origin", b"\x03\xe9", opcode=8)
    for part in (answers[:100], answers[100:] + close[:1], close[1:] + made("origin", b"late")):
        plain.far["origin"].send(part)
        plain.turn()
    assert plain.read("client") == answers + own
    assert plain.events == [(pump.CLOSED, "origin", 1001)]
    assert plain.leg["client"].ending.close_sent
    assert plain.leg["origin"].passed == len(answers + own)


def flood(ends: Ends, side: str, data: bytes) -> int:
    """Send `data` until the leg is abandoned; return the bytes that the pump read."""
    before = ends.leg[side].received
    sent = 0
    for _ in range(100_000):
        with suppress(BlockingIOError):
            sent += ends.far[side].send(data[sent % len(data) :])
        ends.turn(1)
        if (pump.FLOODED, side, 0) in ends.events:
            return ends.leg[side].received - before
    return -1


FLOODS = {
    "after its own Close": (made("client", b"\x03\xe8", opcode=8), False, MOST_AFTER_CLOSE),
    "after a violation": (frame(b"unmasked"), False, MOST_WASTE),
    "after the relay's Close": (b"", True, MOST_WASTE),
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_peer_that_sends_on_is_read_for_a_bounded_number_of_bytes(plain: Ends, case: str) -> None:
    """Then it is abandoned (FLOODED), once."""
    first, is_told, most = FLOODS[case]
    if first:
        plain.far["client"].send(first)
    if is_told:
        assert plain.pump.inject(plain.leg["origin"], frames.close(1001, "", KEY), last=True)
    plain.turn()
    read = flood(plain, "client", made("client", b"x" * 60_000))
    assert most < read <= most + AREA
    plain.turn()
    assert [event[0] for event in plain.events].count(pump.FLOODED) == 1
    assert plain.leg["client"].received <= read + len(first) + AREA


def test_answers_before_a_reserved_close_are_bounded(plain: Ends) -> None:
    """A peer that never sends its Close keeps the other from its own for so many bytes only."""
    plain.pump.reserve(plain.leg["client"], frames.close(1002, "", None))
    data = made("origin", b"x" * 60_000, opcode=2)
    sent = 0
    for _ in range(10_000):
        with suppress(BlockingIOError):
            sent += plain.far["origin"].send(data[sent % len(data) :])
        plain.turn(1)
        plain.read("client")
        if plain.events:
            break
    assert plain.events == [(pump.FLOODED, "origin", 0)]
    assert MOST_WASTE < plain.leg["origin"].received <= MOST_WASTE + AREA
