"""`kubectl port-forward`: TCP connections to a pod's ports, as SPDY streams within one WebSocket.

Each connection is a pair of streams with one request id: first `error`, for errors of this side, then `data`.
Source: k8s.io/client-go/tools/portforward, tunneling_dialer.go.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from aiohttp import WSMsgType, web

from wsedge_devcluster.agent.streaming.spdy import Opened, Pinged, Received, Session, WasReset

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_PIECE = 32 * 1024


async def forward(request: web.Request, address: str) -> web.StreamResponse:
    """Carry the connections of one `kubectl port-forward` to the pod at `address`, until it closes."""
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=0)
    if not socket.can_prepare(request).protocol:
        return web.Response(status=400, text=f"This node forwards ports by {PROTOCOL} only.")
    await socket.prepare(request)
    forwarding = _Forwarding(socket, address)
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await forwarding.receive(message.data)
    finally:
        await forwarding.end()
    return socket


class _Forwarding:
    """The streams of one client."""

    def __init__(self, socket: web.WebSocketResponse, address: str) -> None:
        self._socket, self._address = socket, address
        self._session = Session()
        self._errors: dict[str, int] = {}  # error streams, by request id
        self._writers: dict[int, asyncio.StreamWriter] = {}  # connections to the pod, by data stream
        self._copying: set[asyncio.Task[None]] = set()

    async def receive(self, data: bytes) -> None:
        """Handle bytes of the client."""
        for event in self._session.receive(data):
            match event:
                case Opened(stream, headers):
                    await self._send(self._session.reply(stream))
                    await self._open(stream, headers)
                case Received(stream, piece, last):
                    await self._write(stream, piece, last=last)
                case WasReset(stream):
                    self._drop(stream)
                case Pinged(frame):
                    await self._send(frame)

    async def end(self) -> None:
        """End all connections after the client has closed."""
        for stream in list(self._writers):
            self._drop(stream)
        for task in self._copying:
            task.cancel()
        await asyncio.gather(*self._copying, return_exceptions=True)

    async def _open(self, stream: int, headers: Mapping[str, str]) -> None:
        request, port = headers.get("requestid", ""), headers.get("port", "")
        if headers.get("streamtype") == "error":
            self._errors[request] = stream
            return
        try:
            reader, writer = await asyncio.open_connection(self._address, int(port))
        except (OSError, ValueError) as error:
            await self._close(stream, request, f"failed to connect to {self._address}:{port}: {error}")
            return
        self._writers[stream] = writer
        task = asyncio.create_task(self._copy(reader, stream, request))
        self._copying.add(task)
        task.add_done_callback(self._copying.discard)

    async def _write(self, stream: int, piece: bytes, *, last: bool) -> None:
        writer = self._writers.get(stream)
        if writer is None:
            return  # the end of an error stream, or bytes for a connection that has closed
        try:
            writer.write(piece)
            await writer.drain()
            if last:
                writer.write_eof()
        except OSError:
            self._drop(stream)

    async def _copy(self, reader: asyncio.StreamReader, stream: int, request: str) -> None:
        problem = ""
        try:
            while piece := await reader.read(_PIECE):
                await self._send(self._session.send(stream, piece))
        except OSError as error:
            problem = f"connection to {self._address} failed: {error}"
        await self._close(stream, request, problem)

    async def _close(self, stream: int, request: str, problem: str) -> None:
        """Close the streams of a connection at the client; an empty `problem` is success."""
        frames = self._session.send(stream, b"", last=True)
        if (errors := self._errors.pop(request, None)) is not None:
            frames += self._session.send(errors, problem.encode(), last=True)
        await self._send(frames)

    async def _send(self, frames: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # the client has closed; receiving ends too
            await self._socket.send_bytes(frames)

    def _drop(self, stream: int) -> None:
        if writer := self._writers.pop(stream, None):
            writer.close()
