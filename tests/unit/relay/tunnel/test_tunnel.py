"""Open tunnels, with a clock of the test."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import cast

import pytest
import structlog

from support.relay.forms import FORMS, form_of
from support.relay.frames import frame
from support.relay.virtual import CLIENT, TAG, Virtual
from wsedge_relay.contract import AFTER_DRAIN_SECONDS
from wsedge_relay.pump.selector import Form
from wsedge_relay.telemetry.access_log import AccessFacts
from wsedge_relay.tunnel.heartbeat import CHECKS, PING_AFTER
from wsedge_relay.tunnel.tunnel import GONE, OPEN

KEY = b"\x01\x02\x03\x04"


@pytest.fixture(params=FORMS, scope="module")
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the pump in turn."""
    return form_of(request)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close the sockets of a test."""
    with ExitStack() as stack:
        yield stack


def test_an_unsolicited_pong_counts_no_round_trip(form: Form, stack: ExitStack) -> None:
    """A peer that has seen the relay's tag can forge numbers, also 0: no round trip is counted."""
    virtual = Virtual(form.pump, stack, heartbeatSeconds=60)
    pair = virtual.open()
    for number in (0, 1, 2**32 - 1):
        pair.far["client"].send(frame(TAG + number.to_bytes(4, "big"), opcode=10, key=KEY))
    virtual.serve()
    assert (virtual.counters.client.pongs, virtual.counters.client.rtt.sum) == (0, 0.0)
    virtual.tunnels.abort(pair.tunnel)
    virtual.check_nothing_left(pair)


def test_a_leg_that_broke_off_is_counted_once(form: Form, stack: ExitStack) -> None:
    """Also when the other leg breaks too, while the relay sends it a Close."""
    virtual = Virtual(form.pump, stack)
    pair = virtual.open()
    pair.far["origin"].close()
    virtual.pump.run(0)
    pair.far["client"].close()
    for _ in range(4):
        virtual.tunnels.handle(virtual.pump.take_events())
        virtual.pump.run(0)
    virtual.check_nothing_left(pair)
    assert virtual.counters.origin.broken == 1


def test_two_peers_that_stop_inside_frames_are_dead(form: Form, stack: ExitStack) -> None:
    """No ping can be sent to either leg, and still the tunnel ends within two intervals."""
    virtual = Virtual(form.pump, stack, heartbeatSeconds=20)
    pair = virtual.open()
    for side, far in pair.far.items():
        far.send(frame(b"x" * 1000, key=KEY if side == "client" else None)[:500])
    virtual.serve()
    virtual.clock.run(40)
    virtual.check_nothing_left(pair)
    assert (virtual.counters.client.dead, virtual.counters.origin.dead) in ((1, 0), (0, 1), (1, 1))


PINGED = {
    "Both": (True, True),
    "Client": (True, False),
    "Origin": (False, True),
    "None": (False, False),
}


@pytest.mark.parametrize("legs", PINGED)
def test_heartbeat_legs_choose_the_sides_that_are_pinged(form: Form, stack: ExitStack, legs: str) -> None:
    """A silent side of these is dead within two intervals; silence of another side ends nothing."""
    virtual = Virtual(form.pump, stack, heartbeatSeconds=10, heartbeatLegs=legs)
    pair = virtual.open()
    pinged = [side for side, is_pinged in zip(pair.far, PINGED[legs], strict=True) if is_pinged]
    counters = {"client": virtual.counters.client, "origin": virtual.counters.origin}
    virtual.clock.run(19.75)
    assert [side for side in counters if counters[side].pings] == pinged
    virtual.clock.run(1000)
    assert bool(counters["client"].dead + counters["origin"].dead) is bool(pinged)
    assert all(not counters[side].dead for side in counters.keys() - set(pinged))
    assert (pair.tunnel.phase == OPEN) is not bool(pinged)
    virtual.tunnels.abort(pair.tunnel)
    virtual.check_nothing_left(pair)


def test_changed_heartbeat_legs_apply_to_open_tunnels(form: Form, stack: ExitStack) -> None:
    """`None` ends the checks, and the count of silence begins anew with them."""
    virtual = Virtual(form.pump, stack, heartbeatSeconds=10, heartbeatLegs="Client")
    pair = virtual.open()
    virtual.clock.run(15)
    assert virtual.counters.client.pings == 1
    virtual.take(heartbeatLegs="None")
    virtual.clock.run(1000)
    assert pair.tunnel.phase == OPEN
    virtual.take(heartbeatLegs=None)
    virtual.clock.run(9)
    assert pair.tunnel.phase == OPEN
    assert (virtual.counters.client.pings, virtual.counters.origin.pings) == (2, 1)
    virtual.clock.run(12)
    assert pair.tunnel.phase != OPEN
    virtual.tunnels.abort(pair.tunnel)
    virtual.check_nothing_left(pair)


def test_an_open_tunnel_has_a_line_at_each_interval(form: Form, stack: ExitStack) -> None:
    """From the opening to the end, with the counts so far; no timer outlives the tunnel."""
    logs = stack.enter_context(structlog.testing.capture_logs())
    virtual = Virtual(form.pump, stack, heartbeatLegs="None", accessLog={"everySeconds": 60})
    access = AccessFacts(client=CLIENT, tls=False, protocol="http/1.1", began=virtual.clock.time() - 0.5)
    pair = virtual.open(access=access)
    silent = virtual.open()
    virtual.clock.run(30)
    pair.far["client"].send(frame(b"hello", key=KEY))
    virtual.serve()
    virtual.clock.run(100)
    virtual.tunnels.abort(silent.tunnel)
    virtual.tunnels.abort(pair.tunnel)
    virtual.clock.run(1000)
    lines = [
        (line["event"], line["connection"], line["duration_seconds"], line["received_messages"])
        for line in logs
        if line["event"].startswith("connection")
    ]
    assert lines == [
        ("connection opened", 1, 0.5, 0),
        ("connection open", 1, 60.5, 1),
        ("connection open", 1, 120.5, 1),
        ("connection", 1, 130.5, 1),
    ]
    virtual.check_nothing_left(pair)


def test_a_changed_interval_of_lines_applies_after_the_next_line(form: Form, stack: ExitStack) -> None:
    """Without an interval there is no further line; a later interval applies to new connections only."""
    logs = stack.enter_context(structlog.testing.capture_logs())
    virtual = Virtual(form.pump, stack, heartbeatLegs="None", accessLog={"everySeconds": 60})
    access = AccessFacts(client=CLIENT, tls=False, protocol="http/1.1", began=virtual.clock.time())
    pair = virtual.open(access=access)
    for every, lines in ((10, 1), (10, 7), (None, 7), (10, 7)):
        virtual.take(accessLog={"everySeconds": every})
        virtual.clock.run(60)
        assert sum(line["event"] == "connection open" for line in logs) == lines
    virtual.tunnels.abort(pair.tunnel)
    virtual.check_nothing_left(pair)


class Cut:
    """A TLS socket whose connection has timed out; no call has reported the error yet."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, _data: bytes) -> int:
        raise OSError(errno.ETIMEDOUT, "it timed out")

    def setsockopt(self, *_option: object) -> None:
        pass

    def close(self) -> None:
        os.close(self._descriptor)


def test_a_dead_leg_with_a_broken_other_leg_ends_no_heartbeat(form: Form, stack: ExitStack) -> None:
    """The tunnel ends during its own check, and the checks of other tunnels go on."""
    virtual = Virtual(form.pump, stack, heartbeatSeconds=1)
    pair, other = virtual.open(), virtual.open()
    pair.tunnel.origin.quiet = 0
    pair.tunnel.client.quiet = PING_AFTER + CHECKS - 1
    pair.tunnel.origin.tls = cast(ssl.SSLSocket, Cut(pair.tunnel.origin.fd))
    virtual.clock.run(1)
    assert (pair.tunnel.phase, other.tunnel.phase) == (GONE, OPEN)
    virtual.clock.run(2)
    assert other.tunnel.phase != OPEN
    virtual.tunnels.abort(other.tunnel)
    virtual.check_nothing_left(other)


def test_a_delay_of_the_relay_makes_no_leg_dead(form: Form, stack: ExitStack) -> None:
    """Delayed checks count as one check, so a leg that was not pinged or not read meanwhile is not dead."""
    virtual = Virtual(form.pump, stack, heartbeatSeconds=1)
    pair = virtual.open()
    virtual.tunnels.tick(400, virtual.clock.time() + 100)
    assert pair.tunnel.phase == OPEN
    virtual.clock.run(1)
    virtual.serve()
    assert (virtual.counters.client.pings, virtual.counters.origin.pings) == (1, 1)
    assert pair.tunnel.phase == OPEN
    virtual.clock.run(1)
    assert pair.tunnel.phase != OPEN
    virtual.tunnels.abort(pair.tunnel)
    virtual.check_nothing_left(pair)


def test_a_long_frame_does_not_delay_a_drain(form: Form, stack: ExitStack) -> None:
    """The frame may be finished while bytes pass, within the time before a pod's last report."""
    virtual = Virtual(form.pump, stack)
    pair = virtual.open()
    pair.far["client"].send(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + KEY)
    virtual.serve()
    virtual.tunnels.close(pair.tunnel, 1001, "going away")
    seconds = 0
    while pair.tunnel.phase != GONE and seconds < 100:
        with suppress(OSError):
            pair.far["client"].send(b"x")
        virtual.serve()
        virtual.clock.run(1)
        seconds += 1
    assert 20 < seconds < AFTER_DRAIN_SECONDS - 10
    virtual.check_nothing_left(pair)
