"""Measures the echo of one client while other peers flood the same proxy with tiny frames.

nginx and the relay run on one core, the peers on the other. The proxies are flooded in turn, in several
rounds; between two floods the connections are closed. A figure is the median over the rounds of the median
(and of the 90th percentile) time to an echo in milliseconds, with its ratio to nginx in the same round. nginx
cannot carry WebSocket over HTTP/2: it gets the same frames of that flood without HTTP/2.

    PYTHONPATH=tests python tests/bench/floods.py [--rounds 5] [--seconds 3] [--only CASE,…]
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import select
import signal
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import peers
from proxy import ENDING, HOST, LOAD_CORE, Proxy, Setting, end_at_signals
from relay import certificate

from support.relay.frames import frame
from support.relay.heads import accepted, upgrade
from wsedge import FORMS, copy_of_the_relay, relay

KEY = bytes(4)
CHUNK_BYTES = 1 << 16
PROBE = frame(b"x" * 125, opcode=2, key=KEY)
ECHO_BYTES = len(PROBE) - len(KEY)
TIMEOUT = 60.0
# Of the HTTP/2 flood: the first 9 bytes of a frame, and types of frames.
FRAME_HEAD = 9
SETTINGS, WINDOW_UPDATE = 4, 8


@dataclass(frozen=True, slots=True)
class Flood:
    """Peers that send `frames` without end behind `first`: clients, or origins with clients that read."""

    title: str
    peers: int
    frames: bytes
    first: bytes = b""
    by_origins: bool = False
    http2: bool = False


CONTINUATION = frame(opcode=0, fin=False, key=KEY)
BEGUN = frame(opcode=1, fin=False, key=KEY)
FLOODS = {
    "none": Flood("no flood", 0, b""),
    "continuations": Flood("50 clients, empty continuations", 50, CONTINUATION, BEGUN),
    "pings": Flood("50 clients, empty pings", 50, frame(opcode=9, key=KEY)),
    "binary": Flood("50 clients, empty binary messages", 50, frame(opcode=2, key=KEY)),
    "mixed": Flood("50 clients, empty texts and pings", 50, frame(key=KEY) + frame(opcode=9, key=KEY)),
    "texts": Flood("20 origins, empty texts", 20, frame(), by_origins=True),
    "origin-continuations": Flood(
        "20 origins, empty continuations", 20, frame(opcode=0, fin=False), frame(fin=False), by_origins=True
    ),
    "origin-pings": Flood("20 origins, empty pings", 20, frame(opcode=9), by_origins=True),
    "http2": Flood("50 HTTP/2 clients, a continuation per DATA frame", 50, CONTINUATION, BEGUN, http2=True),
}


def main() -> None:
    """Print a line for each flood and proxy."""
    arguments = options()
    end_at_signals()
    os.sched_setaffinity(0, {LOAD_CORE})
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wsedge-bench-")))
        port = stack.enter_context(origin())
        setting = Setting(folder, port, *certificate(folder), 1000)
        proxies = [stack.enter_context(peers.peers(None)["nginx"](setting))]
        environment = copy_of_the_relay(folder / "relay", sys.executable, arguments.forms)
        for form in arguments.forms:
            one = relay(setting, form, python=sys.executable, environment=environment, form=form)
            proxies.append(stack.enter_context(one))
        for name in arguments.only:
            measure(FLOODS[name], proxies, arguments.rounds, arguments.seconds)


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="time of a flood that is measured")
    parser.add_argument("--forms", type=lambda text: text.split(","), default=list(FORMS))
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(FLOODS))
    return parser.parse_args()


def measure(flood: Flood, proxies: list[Proxy], rounds: int, seconds: float) -> None:
    """Flood each proxy in turn, and print the times to another client's echo."""
    medians: dict[str, list[float]] = {proxy.name: [] for proxy in proxies}
    tails: dict[str, list[float]] = {proxy.name: [] for proxy in proxies}
    for _ in range(rounds):
        for proxy in proxies:
            http2 = flood.http2 and proxy is not proxies[0]
            times = echoes(replace(flood, http2=http2), proxy, seconds)
            medians[proxy.name].append(statistics.median(times))
            tails[proxy.name].append(sorted(times)[len(times) * 9 // 10])
    base = proxies[0].name
    print(flood.title)
    for proxy in proxies:
        figures = []
        for seen in (medians, tails):
            ratio = statistics.median(
                one / other for one, other in zip(seen[proxy.name], seen[base], strict=True)
            )
            figures.append(f"{statistics.median(seen[proxy.name]):8.1f} ms ({ratio:5.2f} of {base})")
        print(f"  {proxy.name:10} median {figures[0]}, p90 {figures[1]}", flush=True)


def echoes(flood: Flood, proxy: Proxy, seconds: float) -> list[float]:
    """Return the times to echoes during a flood, in milliseconds."""
    with opened(proxy.port, "/echo") as probe, contextlib.ExitStack() as stack:
        echo(probe)
        if flood.peers:
            stack.enter_context(child(flooding, flood, proxy))
            end = time.monotonic() + 1.0  # until all flood
            while time.monotonic() < end:
                echo(probe)
        times: list[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end or not times:
            begun = time.monotonic()
            echo(probe)
            times.append((time.monotonic() - begun) * 1e3)
            time.sleep(0.002)  # an open loop: its own messages do not load the proxy
    return times


def echo(probe: socket.socket) -> None:
    """Send a message and receive its echo."""
    probe.sendall(PROBE)
    left = ECHO_BYTES
    while left:
        left -= len(received(probe, left))


def received(sock: socket.socket, size: int) -> bytes:
    """Read; raises at the end, which no peer here causes."""
    data = sock.recv(size)
    if not data:
        raise SystemExit("bench: a proxy closed a connection")
    return data


@contextlib.contextmanager
def opened(port: int, path: str) -> Iterator[socket.socket]:
    """Open a WebSocket connection."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(upgrade(path, host=HOST))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += received(sock, 1)
        yield sock


@contextlib.contextmanager
def child(run: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Run a function in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=_until_terminated, args=(run, *arguments))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _until_terminated(run: Callable[..., None], *arguments: object) -> None:
    """Run in a child, which a signal ends as usual and not as it ends the bench."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    run(*arguments)


def flooding(flood: Flood, proxy: Proxy) -> None:
    """Flood until killed."""
    with contextlib.ExitStack() as stack:
        if flood.by_origins:
            asked = f"/flood?{flood.first.hex()}.{flood.frames.hex()}"
            flooded = [stack.enter_context(opened(proxy.port, asked)) for _ in range(flood.peers)]
            while True:
                for sock in select.select(flooded, (), ())[0]:
                    received(sock, 1 << 20)
        if flood.http2:
            flood_by_http2(flood, [stack.enter_context(Session(proxy)) for _ in range(flood.peers)])
        clients = [stack.enter_context(opened(proxy.port, "/sink")) for _ in range(flood.peers)]
        for sock in clients:
            sock.sendall(flood.first)
        send_without_end(dict.fromkeys(clients, flood.frames))


def send_without_end(frames: dict[socket.socket, bytes]) -> None:
    """Send each socket its frames again and again."""
    chunks = {sock: some * (CHUNK_BYTES // len(some)) for sock, some in frames.items()}
    rests = dict(chunks)
    for sock in chunks:
        sock.setblocking(False)
    while True:
        for sock in select.select((), list(chunks), ())[1]:
            with contextlib.suppress(BlockingIOError):
                rests[sock] = rests[sock][sock.send(rests[sock]) :] or chunks[sock]


class Session:
    """An HTTP/2 connection with one tunnel, whose DATA frames are as many as its window allows."""

    def __init__(self, proxy: Proxy) -> None:
        assert proxy.tls_port is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", proxy.tls_port), TIMEOUT)
        self.sock = context.wrap_socket(raw, server_hostname=HOST)
        pseudo = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": "/sink"}
        lines = pseudo | {":authority": HOST, "sec-websocket-version": "13"}
        head = b"".join(
            b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in lines.items()
        )
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(SETTINGS, 0, b"")
        self.sock.sendall(preface + h2_frame(1, 4, head, stream=1))
        self.window = 65535
        self._in = b""
        self.out = b""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def read(self) -> None:
        """Read what there is; enlarge the window."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._in += received(self.sock, 1 << 16)
        while len(self._in) >= FRAME_HEAD:
            size = int.from_bytes(self._in[:3])
            if len(self._in) < FRAME_HEAD + size:
                return
            body, kind, stream = self._in[FRAME_HEAD : FRAME_HEAD + size], self._in[3], self._in[8]
            self._in = self._in[FRAME_HEAD + size :]
            if kind == WINDOW_UPDATE and stream:
                self.window += int.from_bytes(body)


def flood_by_http2(flood: Flood, sessions: list[Session]) -> None:
    """Send the flood's frames, each in a DATA frame."""
    one = h2_frame(0, 0, flood.frames, stream=1)
    for session in sessions:
        session.sock.sendall(h2_frame(0, 0, flood.first, stream=1))
        session.window -= len(flood.first)
        session.sock.setblocking(False)
    by_sock = {session.sock: session for session in sessions}
    while True:
        sending = [session.sock for session in sessions if session.out or session.window >= len(flood.frames)]
        readable, writable, _ = select.select(list(by_sock), sending, ())
        for sock in readable:
            by_sock[sock].read()
        for sock in writable:
            session = by_sock[sock]
            if not session.out:
                count = min(session.window, 1 << 12) // len(flood.frames)
                session.window -= count * len(flood.frames)
                session.out = one * count
            with contextlib.suppress(ssl.SSLWantWriteError):
                session.out = session.out[sock.send(session.out) :]


def h2_frame(kind: int, flags: int, payload: bytes, *, stream: int = 0) -> bytes:
    """Build a frame of HTTP/2."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


@contextlib.contextmanager
def origin() -> Iterator[int]:
    """Run an origin with a process for each connection: /echo, /sink, and /flood?FIRST.FRAMES in hex."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, child(accepting, listener):
        yield listener.getsockname()[1]


def accepting(listener: socket.socket) -> None:
    """Accept until killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    while True:
        sock, _ = listener.accept()
        if not os.fork():
            with contextlib.suppress(OSError):
                serve(sock)
            os._exit(0)
        sock.close()


def serve(sock: socket.socket) -> None:
    """Serve one connection until its end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(4096)
        if not data:
            return
        head += data
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(accepted(head))
    path, _, asked = head.split()[1].decode().partition("?")
    if path == "/flood":
        first, frames = (bytes.fromhex(part) for part in asked.split("."))
        sock.sendall(first)
        chunk = frames * (CHUNK_BYTES // len(frames))
        while True:
            sock.sendall(chunk)
    echoed = PROBE[:1] + bytes([PROBE[1] & 127]) + PROBE[6:]
    have = 0
    while data := sock.recv(1 << 20):
        if path == "/echo":
            have += len(data)
            sock.sendall(echoed * (have // len(PROBE)))
            have %= len(PROBE)


if __name__ == "__main__":
    main()
