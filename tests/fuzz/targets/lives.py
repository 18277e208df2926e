"""The life of a tunnel on a test's clock: with any peers it ends, and nothing of it remains."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from typing import Any

from fuzz.targets.pumping import FORMS, Source, made_frame
from support.relay.frames import frame, parse
from support.relay.virtual import DOMAIN, SIDES, TAG, Virtual
from wsedge_relay.pump import frames
from wsedge_relay.pump.pump import Pump
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.tunnel.tunnel import GONE

TIMEOUTS = Timeouts(close_seconds=2, linger_seconds=1)
STALL_SECONDS = 8
HEARTBEATS = (1, 4, 20)
# For silent peers: two heartbeats until detection, a stall, and each wait for a Close.
_LONGEST = 2 * max(HEARTBEATS) + STALL_SECONDS + 14 * TIMEOUTS.close_seconds + TIMEOUTS.linger_seconds
_STEP_SECONDS = 0.25
_MOST_STEPS = 48


def life(data: bytes) -> None:
    """Run one tunnel by the script in `data`, in every form of the pump."""
    for form in FORMS.values():
        with ExitStack() as stack:
            _Life(form, Source(data), stack).play()


class _Life:
    """One tunnel and its peers' actions."""

    def __init__(self, form: type[Pump], source: Source, stack: ExitStack) -> None:
        flags = source.byte()
        self._source = source
        self._answers = bool(flags & 1)  # whether far ends answer pings and Closes as RFC 6455 requires
        self._hang_up = bool(flags & 2)  # whether they close at the end of the script
        self._deflate = bool(flags & 4)
        limits = {"messageBytes": (None, 1, 125, 1000)[flags >> 3 & 3], "stallSeconds": STALL_SECONDS}
        self._all = Virtual(
            form, stack, timeouts=TIMEOUTS, seed=flags, heartbeatSeconds=max(HEARTBEATS), limits=limits
        )
        self._pair = self._all.open(deflate=self._deflate, send_buffer=4096 if flags & 0x20 else 1 << 20)
        self._tunnel, self._far = self._pair.tunnel, self._pair.far
        self._client, self._origin = self._tunnel.client, self._tunnel.origin
        self._shut: set[str] = set()
        self._got = {side: bytearray() for side in SIDES}
        self._answered = dict.fromkeys(SIDES, 0)
        self._sent = dict.fromkeys(SIDES, 0)

    def play(self) -> None:
        """Run the script, wait until the tunnel has ended, and check that nothing remains."""
        for number in range(_MOST_STEPS):
            if not self._source.left:
                break
            self._step(number)
        if self._hang_up:
            for side in SIDES:
                self._end(side)
        self._answers = False
        waited = 0.0
        while self._tunnel.phase != GONE and waited < _LONGEST:
            self._serve()
            self._all.clock.run(_STEP_SECONDS)
            self._serve()
            waited += _STEP_SECONDS
        assert self._tunnel.phase == GONE, f"phase {self._tunnel.phase} after {waited} silent seconds"
        self._all.check_nothing_left(self._pair)
        self._check_counts()
        self._check_told()

    def _step(self, number: int) -> None:
        source = self._source
        first = source.byte()
        side, what, low = SIDES[first >> 7], first >> 4 & 7, first & 15
        if what == 0:
            self._send(side, source.bytes(low + 1))
        elif what in (1, 2):
            self._send(side, made_frame(side, source.byte(), low))
        elif what == 3:
            self._all.clock.run((0.05, 0.25, 1.0, 5.0)[low % 4])
        elif what == 4:
            self._receive(side, 1 << low)
        elif what == 5:
            self._of_relay(low)
        elif what == 6:
            self._end(side) if low < 8 else self._break(side)
        else:
            pong = frame(
                TAG + number.to_bytes(4, "big"), opcode=10, key=b"abcd" if side == "client" else None
            )
            self._send(side, pong)
        self._serve()

    def _of_relay(self, low: int) -> None:
        if low < 3:
            self._all.take(heartbeatSeconds=HEARTBEATS[low])
        elif low < 6:
            self._all.tunnels.close(self._tunnel, 1001, "going away")
        elif low == 6:
            self._all.tunnels.abort(self._tunnel)
        else:
            self._all.tunnels.sweep()

    def _serve(self) -> None:
        for _ in range(3):
            if self._tunnel.phase == GONE:
                return
            self._all.serve()
            if self._answers:
                for side in SIDES:
                    self._receive(side, 1 << 20)
                    self._answer(side)

    def _send(self, side: str, data: bytes) -> None:
        if side not in self._shut:
            with suppress(OSError):
                self._sent[side] += self._far[side].send(data)

    def _receive(self, side: str, size: int) -> None:
        with suppress(OSError):
            self._got[side] += self._far[side].recv(size)

    def _answer(self, side: str) -> None:
        """Answer pings and a Close at a far end, as an endpoint does."""
        got = bytes(self._got[side][self._answered[side] :])
        while len(got) >= 2:
            extra = {126: 2, 127: 8}.get(got[1] & 127, 0)
            size = int.from_bytes(got[2 : 2 + extra], "big") if extra else got[1] & 127
            whole = 2 + extra + (4 if got[1] & 0x80 else 0) + size
            if len(got) < whole:
                return
            self._answered[side] += whole
            opcode = {9: 10, 8: 8}.get(got[0] & 15)
            if opcode is not None:
                payload = frames.payload_of(got[:whole])
                self._send(side, frame(payload, opcode=opcode, key=b"abcd" if side == "client" else None))
                if opcode == 8:
                    self._end(side)
            got = got[whole:]

    def _parsed(self, side: str) -> Any:
        return parse(bytes(self._got[side]), masked=side == "origin", deflate=self._deflate)

    def _end(self, side: str) -> None:
        self._shut.add(side)
        with suppress(OSError):
            self._far[side].shutdown(socket.SHUT_WR)

    def _break(self, side: str) -> None:
        self._shut.add(side)
        self._far[side].close()

    def _check_counts(self) -> None:
        totals = self._all.usage.totals[DOMAIN]
        client, origin = self._client, self._origin
        assert (totals.opened_connections, totals.open_connections) == (1, 0)
        assert (totals.received_bytes, totals.sent_bytes) == (client.received, origin.passed)
        assert (totals.received_messages, totals.sent_messages) == (client.messages, origin.messages)
        assert client.received <= self._sent["client"]
        assert sum(self._all.counters.endings.values()) == 1
        for side in (self._all.counters.client, self._all.counters.origin):
            assert side.dead + side.stalled <= 1, side
            assert side.broken <= 1, side  # a leg whose stream has ended may count as stalled as well
            assert sum(side.close_codes.values()) <= 1
            assert sum(side.violations.values()) <= 1
            assert side.pongs <= side.pings

    def _check_told(self) -> None:
        """Assert that a far end received valid frames, and nothing after a Close."""
        for side in SIDES:
            self._receive(side, 1 << 22)
            closes = [seen.opcode == 8 for seen in self._parsed(side)]
            assert not any(closes[:-1]), "something follows a Close"
