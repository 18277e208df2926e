"""`kubectl exec`: one command beside a container's process, its streams as channels of a WebSocket.

Each message begins with the number of its channel; v5 adds channel 255, which closes another channel.
Source: k8s.io/apimachinery/pkg/util/remotecommand, k8s.io/client-go/tools/remotecommand/websocket.go.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Sequence
from typing import IO

from aiohttp import WSMsgType, web

from wsedge_devcluster.agent.actions import Place
from wsedge_devcluster.agent.images import program
from wsedge_devcluster.agent.mounts import replace_mount_paths
from wsedge_devcluster.errors import ContainerError, present
from wsedge_devcluster.machine.children import Child, Children

_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_PIECE = 32 * 1024


async def execute(request: web.Request, place: Place, children: Children) -> web.StreamResponse:
    """Run the request's command until it or its client ends."""
    if request.query.get("tty") == "1":
        return web.Response(status=400, text="This node has no terminals: leave out --tty.")
    socket = web.WebSocketResponse(protocols=_PROTOCOLS, max_msg_size=0)
    if not socket.can_prepare(request).protocol:
        return web.Response(status=400, text=f"This node executes commands by {_PROTOCOLS[0]} only.")
    await socket.prepare(request)
    command = request.query.getall("command", [])
    try:
        child = _start(command, place, children)
    except (ContainerError, OSError) as error:
        await _send_status(socket, _failure(str(error), "InternalError"))
        await socket.close()
        return socket
    feeding = asyncio.create_task(_feed(socket, child, wanted=request.query.get("input") == "1"))
    ending = asyncio.create_task(_output(socket, child))
    try:
        # The end of the client ends the command, and the end of the command closes the WebSocket.
        await asyncio.wait({feeding, ending}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            await _send_status(socket, _verdict(await child.wait()))
    finally:
        child.send_to_all(signal.SIGKILL)
        for task in (feeding, ending):
            task.cancel()
        await asyncio.gather(feeding, ending, return_exceptions=True)
    await socket.close()
    return socket


def _start(command: Sequence[str], place: Place, children: Children) -> Child:
    full = program([replace_mount_paths(word, place.mounts) for word in command])
    return children.start(
        full,
        env=place.env,
        cwd=place.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def _feed(socket: web.WebSocketResponse, child: Child, *, wanted: bool) -> None:
    """Pass the client's input on; return when the client has closed the WebSocket."""
    transport, flow = await asyncio.get_running_loop().connect_write_pipe(_Flow, present(child.stdin))
    try:
        if not wanted:
            transport.close()
        async for message in socket:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == _STDIN and not transport.is_closing():
                transport.write(data)
                await flow.writable.wait()
            elif channel == _CLOSE and data[:1] == bytes([_STDIN]):
                transport.close()
    finally:
        transport.abort()


class _Flow(asyncio.BaseProtocol):
    """Signals whether the command accepts more input. Input to a command that has ended is discarded."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's own signature
        self.writable.set()


async def _output(socket: web.WebSocketResponse, child: Child) -> None:
    """Pass on the command's output, until it and all processes of its group have ended."""
    copying = [
        asyncio.create_task(_copy(socket, channel, pipe))
        for channel, pipe in ((_STDOUT, present(child.stdout)), (_STDERR, present(child.stderr)))
    ]
    try:
        await child.wait()
        child.send_to_all(signal.SIGKILL)  # a child of the command may have the pipes open
        await asyncio.gather(*copying)
    finally:
        for task in copying:
            task.cancel()
        await asyncio.gather(*copying, return_exceptions=True)


async def _copy(socket: web.WebSocketResponse, channel: int, pipe: IO[bytes]) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while piece := await reader.read(_PIECE):
            await socket.send_bytes(bytes([channel]) + piece)
    finally:
        transport.close()


async def _send_status(socket: web.WebSocketResponse, status: dict[str, object]) -> None:
    await socket.send_bytes(bytes([_STATUS]) + json.dumps(status).encode())


def _verdict(code: int) -> dict[str, object]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    shown = code if code > 0 else 128 - code  # a signal, as a shell reports it
    message = f"command terminated with non-zero exit code: {shown}"
    causes = [{"reason": "ExitCode", "message": str(shown)}]
    return {**_failure(message, "NonZeroExitCode"), "details": {"causes": causes}}


def _failure(message: str, reason: str) -> dict[str, object]:
    return {"metadata": {}, "status": "Failure", "message": message, "reason": reason}
