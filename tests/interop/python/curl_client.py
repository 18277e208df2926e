"""libcurl as client of the conversations, by curl_cffi, whose wheels have a libcurl with WebSocket.

    python curl_client.py       reads URLs, one a line; answers each with the client's transcript

Environment: TLS_AUTHORITY.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from typing import Any
from urllib.parse import urlsplit

from curl_cffi import CurlHttpVersion, CurlOpt, CurlWsFlag, Session

SECONDS = 30


def noise(length: int) -> bytes:
    """Return bytes that do not compress."""
    state, made = 1, bytearray()
    for _ in range(length):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        made.append(state >> 16 & 255)
    return bytes(made)


MESSAGES = [
    "hello",
    "",
    "héllo wörld ☃ 𝄞",
    bytes(range(256)),
    "a message that deflates well. " * 7000,
    noise(100_000),
]


def described(data: bytes, flags: int) -> list[Any]:
    """Return type, bytes and CRC-32 of a message."""
    return ["text" if flags & CurlWsFlag.TEXT else "binary", len(data), zlib.crc32(data)]


def converse(session: Session[Any], url: str, who: str) -> dict[str, Any]:
    """Have one conversation, which `who` closes."""
    socket = session.ws_connect(f"{url}/room?x=1&y=%20")
    messages = []
    for message in MESSAGES:  # one after the other: a handle of libcurl is for one thread
        if isinstance(message, str):
            socket.send(message.encode(), CurlWsFlag.TEXT)
        else:
            socket.send(message, CurlWsFlag.BINARY)
        messages.append(described(*socket.recv(timeout=SECONDS)))
    if who == "client":
        socket.close(4001, "the client is done ✓")  # and ends TCP at once
    else:
        socket.send(b"close", CurlWsFlag.TEXT)
        _, flags = socket.recv(timeout=SECONDS)
        assert flags & CurlWsFlag.CLOSE, flags
    return {"messages": messages, "close": [socket.close_code, socket.close_reason]}


def conversations(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    with Session[Any](
        default_headers=False,
        http_version=CurlHttpVersion.V1_1,
        verify=os.environ["TLS_AUTHORITY"],
        headers={"Cookie": "session=abc; theme=dark", "Sec-WebSocket-Protocol": "chat.v2, chat.v1"},
        curl_options={CurlOpt.RESOLVE: [f"{parts.hostname}:{parts.port}:127.0.0.1"]},
    ) as session:
        return {who: converse(session, url, who) for who in ("client", "server")}


for line in sys.stdin:
    print(json.dumps(conversations(line.strip())), flush=True)
