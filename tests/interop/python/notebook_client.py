"""A client of a Jupyter server: it starts a kernel by HTTP, and runs cells through the kernel's WebSocket.

    python notebook_client.py       reads URLs, one a line; answers each with the transcript

The WebSocket is Tornado's; the messages are packed by Jupyter's own functions. Environment: TLS_AUTHORITY.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import zlib
from typing import Any

from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
CELLS = {
    "a stream": "print('hello ☃')",
    "a large result": "'large ' * 50_000",
    "an error": "1 / 0",
    "buffers": "import comm; _ = comm.create_comm('room', data={}, buffers=[bytes(range(256)) * 1000])",
}
# Every name is this machine's.
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more)


async def main() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await session_at(line.strip())), flush=True)


async def session_at(url: str) -> dict[str, Any]:
    """Start a kernel, run the cells, and end the kernel."""
    web = url.replace("ws", "http", 1)
    started = json.loads(await asked(f"{web}/api/kernels", "POST", json.dumps({"name": "python3"})))
    try:
        target = request(f"{url}/api/kernels/{started['id']}/channels?session_id=one")
        target.headers["Origin"] = web  # as a browser
        connection = await websocket_connect(target, subprotocols=[SUBPROTOCOL], max_message_size=1 << 24)
        cells = {name: await run(connection, code) for name, code in CELLS.items()}
        subprotocol = connection.selected_subprotocol
        connection.close(1000, "the notebook is closed")
        while await connection.read_message() is not None:
            pass
        close = [connection.close_code, connection.close_reason]
        return {"subprotocol": subprotocol, "cells": cells, "close": close}
    finally:
        await asked(f"{web}/api/kernels/{started['id']}", "DELETE")


def request(url: str, **fields: Any) -> HTTPRequest:
    headers = {"Authorization": "token secret"}
    return HTTPRequest(
        url, headers=headers, ca_certs=os.environ["TLS_AUTHORITY"], request_timeout=50, **fields
    )


async def asked(url: str, method: str, body: str | None = None) -> bytes:
    return (await AsyncHTTPClient().fetch(request(url, method=method, body=body))).body


async def run(connection: WebSocketClientConnection, code: str) -> dict[str, Any]:
    """Run a cell; return what each channel said about it, which has an order in each channel only."""
    session = Session()
    message = session.msg("execute_request", {"code": code, "store_history": False})
    parts = session.serialize(message)
    # without the delimiter and the signature, which belong to ZeroMQ
    await connection.write_message(serialize_msg_to_ws_v1(parts[2:], "shell"), binary=True)
    said: dict[str, list[Any]] = {"shell": [], "iopub": []}
    while not said["shell"] or not said["iopub"] or said["iopub"][-1] != ["status", "idle"]:
        answer = await connection.read_message()
        assert isinstance(answer, bytes), answer
        channel, (_, parent, _, content, *buffers) = deserialize_msg_from_ws_v1(answer)
        if json.loads(parent).get("msg_id") == message["header"]["msg_id"]:
            said[channel].append(described(answer, json.loads(content), buffers))
    return said


def described(answer: bytes, content: dict[str, Any], buffers: list[bytes]) -> list[Any]:
    """Return the type and what is the same in each run."""
    _, (header, *_) = deserialize_msg_from_ws_v1(answer)
    kind = json.loads(header)["msg_type"]
    if kind == "status":
        return [kind, content["execution_state"]]
    if kind == "comm_open":
        return [kind, [[len(one), zlib.crc32(one)] for one in buffers]]
    if kind == "error":
        return [kind, content["ename"]]
    if kind == "execute_reply":
        return [kind, content["status"]]
    text = json.dumps(content, sort_keys=True)
    return [kind, len(text), zlib.crc32(text.encode())]


asyncio.run(main())
