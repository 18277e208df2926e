"""Orders and answers between the supervisor and a worker, over a pair of sockets.

A message is its length (4 bytes, big-endian) and a JSON document: an order is [number, name,
details], its answer [number, result]. The worker carries out one order after another.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from wsedge_relay.errors import WorkerSilentError

_LENGTH: Final = struct.Struct(">I")
Order = Callable[[Any], Awaitable[Any]]
"""Carry out one order: from its details to its result, both JSON documents."""


class Caller:
    """The supervisor's end of the sockets. `read` must run while an order waits for its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._orders = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}

    def send(self, name: str, details: Any = None) -> int:
        """Send an order without waiting for its answer; return its number."""
        self._orders += 1
        _write(self._writer, [self._orders, name, details])
        return self._orders

    async def call(self, name: str, details: Any = None, *, seconds: float) -> Any:
        """Send an order and return its result; raises WorkerSilentError when no answer arrives in time.

        The order stays valid then: a busy worker carries it out later.
        """
        return await self.result_of(self.send(name, details), seconds=seconds)

    async def result_of(self, order: int, *, seconds: float) -> Any:
        """Return the result of an order; raises WorkerSilentError. To be called right after `send`."""
        result = self._answers[order] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                return await result
        except TimeoutError as error:
            raise WorkerSilentError(f"no answer within {seconds:g} s") from error
        finally:
            del self._answers[order]

    async def read(self) -> None:
        """Read answers until the worker ends; orders without an answer then raise WorkerSilentError."""
        while (message := await _read(self._reader)) is not None:
            number, result = message
            answer = self._answers.get(number)
            if answer is not None and not answer.done():
                answer.set_result(result)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(WorkerSilentError("the worker has ended", has_ended=True))

    def close(self) -> None:
        """Close the socket."""
        self._writer.transport.abort()


async def carry_out(sock: socket.socket, orders: Mapping[str, Order], *, done: int) -> None:
    """Answer order number `done`, then carry out further orders until the supervisor ends."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    try:
        _write(writer, [done, None])
        while (message := await _read(reader)) is not None:
            number, name, details = message
            _write(writer, [number, await orders[name](details)])
            await writer.drain()
    except ConnectionError:
        pass  # the supervisor has ended
    finally:
        writer.transport.abort()


def first_order(sock: socket.socket) -> tuple[int, Any]:
    """Return number and details of the first order, blocking: no event loop runs yet; raises OSError."""
    (length,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    number, _, details = json.loads(_exactly(sock, length))
    return number, details


def _exactly(sock: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        part = sock.recv(length - len(content))
        if not part:
            raise ConnectionError("the supervisor has ended")
        content += part
    return bytes(content)


def _encoded(document: Any) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    return _LENGTH.pack(len(text)) + text


def _write(writer: asyncio.StreamWriter, document: Any) -> None:
    writer.write(_encoded(document))


async def _read(reader: asyncio.StreamReader) -> Any:
    """Return the next message, None at the end of the connection."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return json.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
