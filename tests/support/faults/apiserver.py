"""A proxy between an operator and the API server that plays the API server's faults.

    operator ──http──▶ Front ──https──▶ kube-apiserver

Each call has the first fault that matches it. A fault delays a call, answers it, or keeps the answer back
until the test lets it go; `silence` swallows what watches bring from then on, without an end of their
streams; while it is away, the front resets all connections and counts the attempts. It records the calls. It
runs on a thread and a loop of its own, so that tests may wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiohttp
import yarl

T = TypeVar("T")

_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Of one connection only (RFC 9110, 7.6.1), or set anew by this proxy.
_OWN: Final = frozenset({"connection", "transfer-encoding", "keep-alive", "host", "content-length"})
# Answers that never have a body (RFC 9110, 6.4.1).
_BODILESS: Final = frozenset({204, 304})


@dataclass(slots=True)
class Call:
    """One call, as the front saw it.

    `status` is 0 before an answer, `ended` whether all of it was sent; `is_gone` whether the API server said
    that the resource version is too old (410, or an ERROR event of a watch).
    """

    at: float
    method: str
    path: str
    query: str
    status: int = 0
    ended: bool = False
    is_gone: bool = False

    @property
    def is_watch(self) -> bool:
        return "watch=" in self.query

    @property
    def is_write(self) -> bool:
        return self.method in _WRITES

    @property
    def is_of_lease(self) -> bool:
        return "/leases" in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}?{self.query} -> {self.status}"


@dataclass(slots=True)
class Fault:
    """What happens to calls that match: first `delay`, then `answer` instead of the API server's.

    With `held` the API server's answer is kept back until the event is set.
    """

    methods: frozenset[str] = frozenset()
    path: str = ""
    delay: float = 0.0
    answer: tuple[int, dict[str, str], str] | None = None
    held: asyncio.Event | None = None
    leases: bool = True
    watches: bool = True
    hit: threading.Event = field(default_factory=threading.Event)

    def matches(self, call: Call) -> bool:
        return (
            (not self.methods or call.method in self.methods)
            and re.search(self.path, call.path) is not None
            and (self.leases or not call.is_of_lease)
            and (self.watches or not call.is_watch)
        )


class Front:
    """The proxy in front of the API server at `server`, whose certificate `authority` signed."""

    def __init__(self, server: str, authority: Path) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front")
        self._faults: list[Fault] = []
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._silent_before = 0.0
        self._listener: asyncio.Server | None = None
        self.port = 0
        self.calls: list[Call] = []
        self.attempts: list[float] = []
        self._is_away = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def since(self, instant: float) -> list[Call]:
        """Return the calls from an instant of the monotonic clock on."""
        return [call for call in list(self.calls) if call.at >= instant]

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """Have a fault for the block."""
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)
            if fault.held is not None:
                self.release(fault)

    def hold(self, **match: Any) -> contextlib.AbstractContextManager[Fault]:
        """Keep the API server's answers back, until `release` or the end of the block."""
        return self.fault(Fault(held=asyncio.Event(), **match))

    def release(self, fault: Fault) -> None:
        """Let the answers that a fault keeps back go, and keep back no further one."""
        assert fault.held is not None
        self._loop.call_soon_threadsafe(fault.held.set)

    def silence(self) -> None:
        """Swallow all that the present watches bring from now on, and do not end them."""
        self._silent_before = time.monotonic()

    def reset(self) -> None:
        """Reset all connections, so that what they carried begins again."""
        self._run(self._reset())

    @contextmanager
    def away(self) -> Iterator[None]:
        """Reset all connections, and each further one, during the block; `attempts` are their times."""
        self._is_away = True
        self.reset()
        try:
            yield
        finally:
            self._is_away = False

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        )
        await self._listen()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, reuse_address=True, limit=2**20
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        await self._reset()

    async def _reset(self) -> None:
        connections = list(self._connections.items())
        for task, writer in connections:
            writer.transport.abort()
            task.cancel()
        if connections:
            await asyncio.wait([task for task, _ in connections])

    async def _stop(self) -> None:
        await self._close()
        await self._session.close()
        for _ in range(5):
            await asyncio.sleep(0)  # the turns in which the transports close

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_away:
            self.attempts.append(time.monotonic())
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and await self._serve(head, reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, aiohttp.ClientError, asyncio.CancelledError):
            pass  # an end of the client, of the API server, or of this front
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            del self._connections[task]

    async def _serve(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; return whether another may follow on the connection."""
        request, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = request.split(" ")
        headers = dict(line.split(": ", 1) for line in lines if line)
        named = {name.lower(): value for name, value in headers.items()}
        path, _, query = target.partition("?")
        call = Call(time.monotonic(), method, path, query)
        self.calls.append(call)
        body = await reader.readexactly(int(named.get("content-length", 0)))
        fault = next((each for each in self._faults if each.matches(call)), None)
        if fault is not None:
            fault.hit.set()
            await asyncio.sleep(fault.delay)
            if fault.answer is not None:
                call.status, said, text = fault.answer
                lines = [f"{name}: {value}" for name, value in said.items()]
                writer.write(_head(call.status, [*lines, f"Content-Length: {len(text)}"]) + text.encode())
                await writer.drain()
                call.ended = True
                return True
        kept = {name: value for name, value in headers.items() if name.lower() not in _OWN}
        url = yarl.URL(f"{self._server}{target}", encoded=True)
        async with self._session.request(method, url, headers=kept, data=body or None) as answer:
            try:
                if fault is not None and fault.held is not None:
                    await fault.held.wait()
                call.status = answer.status
                await self._pass(call, answer, writer)
            except BaseException:
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()  # a close would wait for the peer's
                raise
        call.ended = True
        return True

    async def _pass(self, call: Call, answer: aiohttp.ClientResponse, writer: asyncio.StreamWriter) -> None:
        kept = [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() not in _OWN]
        if answer.status in _BODILESS:
            # A client would take the end of an empty body for the begin of the next answer.
            writer.write(_head(answer.status, kept))
            await writer.drain()
            return
        writer.write(_head(answer.status, [*kept, "Transfer-Encoding: chunked"]))
        call.is_gone = answer.status == 410
        async for chunk in answer.content.iter_any():
            call.is_gone = call.is_gone or (call.is_watch and b'"code":410' in chunk)
            await self._forever_if_silent(call)
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
        await self._forever_if_silent(call)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _forever_if_silent(self, call: Call) -> None:
        if call.is_watch and call.at < self._silent_before:
            await asyncio.Event().wait()


def _head(status: int, lines: list[str]) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} played", *lines, "", ""]).encode()


def refusal(status: int, reason: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Return an answer as an API server refuses a call; `Retry_After="2"` is the header Retry-After."""
    text = (
        '{"kind":"Status","apiVersion":"v1","status":"Failure","message":"played by the test",'
        f'"reason":"{reason}","code":{status}}}'
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **named}, text


def most_per_second(times: Iterable[float]) -> int:
    """Return the most instants within any second."""
    times = sorted(times)
    most, first = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
