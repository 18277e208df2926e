"""websockify before a VNC server of our own, whose desktop has one picture (RFC 6143).

    python vnc_server.py FOLDER      prints ports, then the transcript of each VNC connection that has ended

websockify serves the files of FOLDER, as it does for noVNC. Environment: TLS_CERTIFICATE, TLS_KEY.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
import threading
import zlib
from queue import Queue
from typing import Any

from websockify.websocketproxy import WebSocketProxy

WIDTH, HEIGHT = 320, 200
# 32 bits, depth 24, little-endian, true colour, 8 bits each; red, green and blue from the lowest byte upwards
PIXELS = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
PICTURE = bytes(zlib.crc32(struct.pack(">I", place)) & 255 for place in range(WIDTH * HEIGHT * 4))
LENGTHS = {0: 19, 3: 9, 4: 7, 5: 5}  # of the messages of fixed length, without their type


def say(line: Any) -> None:
    print(json.dumps(line), flush=True)


async def desktop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Show the picture, send a text and ring the bell; note what the client sends, and say it at the end."""
    heard: list[Any] = []
    try:
        await greet(reader, writer)
        shown = False
        while kind := await reader.read(1):
            event = await message(kind[0], reader)
            if kind[0] == 3 and not shown:
                shown = True
                writer.write(struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0) + PICTURE)
                text = "a text of the desktop".encode("latin-1")
                writer.write(struct.pack(">B3xI", 3, len(text)) + text + b"\2")
            elif kind[0] != 3:  # requests of the picture depend on time
                heard.append(event)
        say({"heard": heard})
    except (OSError, asyncio.IncompleteReadError) as error:
        say({"error": repr(error)})
    finally:
        writer.close()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"RFB 003.008\n")
    await reader.readexactly(12)
    writer.write(b"\1\1")  # one way of authentication: none
    await reader.readexactly(1)
    writer.write(struct.pack(">I", 0))
    await reader.readexactly(1)
    name = b"a desktop"
    writer.write(struct.pack(">HH", WIDTH, HEIGHT) + PIXELS + struct.pack(">I", len(name)) + name)


async def message(kind: int, reader: asyncio.StreamReader) -> Any:
    """Read a message of the client; return its type and content."""
    if kind == 2:
        (count,) = struct.unpack(">xH", await reader.readexactly(3))
        return [kind, struct.unpack(f">{count}i", await reader.readexactly(4 * count))]
    if kind == 6:
        (length,) = struct.unpack(">3xI", await reader.readexactly(7))
        return [kind, (await reader.readexactly(length)).decode("latin-1")]
    return [kind, (await reader.readexactly(LENGTHS[kind])).hex()]


async def serve_desktop(ports: Queue[int]) -> None:
    server = await asyncio.start_server(desktop, "127.0.0.1", 0)
    ports.put(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class Proxy(WebSocketProxy):
    """websockify on a port of the kernel's choice, by TLS and without."""

    @staticmethod
    def socket(host: str, port: int | None = None, *rest: Any, **more: Any) -> socket.socket:
        listening = WebSocketProxy.socket(host, port, *rest, **more)
        chosen = listening.getsockname()[1]
        say({"ws": chosen, "wss": chosen})
        return listening


def end_with_stdin() -> None:
    while os.read(0, 1 << 10):  # not sys.stdin, which websockify's processes close, and would wait for
        pass
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
desktops: Queue[int] = Queue()
threading.Thread(target=lambda: asyncio.run(serve_desktop(desktops)), daemon=True).start()
Proxy(
    listen_host="127.0.0.1",
    listen_port=0,
    target_host="127.0.0.1",
    target_port=desktops.get(),
    cert=os.environ["TLS_CERTIFICATE"],
    key=os.environ["TLS_KEY"],
    web=sys.argv[1],
    file_only=True,
).start_server()
