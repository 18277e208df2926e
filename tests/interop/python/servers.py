"""An ASGI application of the conversations, served by uvicorn or by daphne.

    python servers.py uvicorn|daphne      prints ports, then the transcript of each connection that has ended

Environment: TLS_CERTIFICATE, TLS_KEY.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import zlib
from typing import Any

SUBPROTOCOLS = ["chat.v2", "chat.v1"]


def say(line: Any) -> None:
    print(json.dumps(line), flush=True)


def described(event: dict[str, Any]) -> list[Any]:
    """Return type, bytes and CRC-32 of a message."""
    text = event.get("text")
    data = event["bytes"] if text is None else text.encode()
    return ["binary" if text is None else "text", len(data), zlib.crc32(data)]


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    await receive()  # websocket.connect
    subprotocol = next((one for one in SUBPROTOCOLS if one in scope["subprotocols"]), None)
    cookie = (b"set-cookie", b"room=7; Path=/; HttpOnly")
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": [cookie]})
    messages = []
    while (event := await receive())["type"] == "websocket.receive":
        messages.append(described(event))
        if event.get("text") == "close":
            await send({"type": "websocket.close", "code": 4002, "reason": "the server is done ✓"})
        elif event.get("text") is not None:
            # daphne sends no empty text
            await send({"type": "websocket.send", "text": event["text"] or "(empty)"})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
    query = scope["query_string"].decode()
    say(
        {
            "url": f"{scope.get('raw_path', scope['path'].encode()).decode()}?{query}",
            "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
            "subprotocol": subprotocol,
            "messages": messages,
            "close": [event.get("code"), event.get("reason")],
        }
    )


async def with_uvicorn() -> None:
    import uvicorn

    servers, ports = [], {}
    for scheme in ("ws", "wss"):
        sock = socket.create_server(("127.0.0.1", 0))
        ports[scheme] = sock.getsockname()[1]
        tls = {}
        if scheme == "wss":
            tls = {"ssl_certfile": os.environ["TLS_CERTIFICATE"], "ssl_keyfile": os.environ["TLS_KEY"]}
        config = uvicorn.Config(application, lifespan="off", log_level="warning", ws_max_size=1 << 24, **tls)
        servers.append(uvicorn.Server(config).serve(sockets=[sock]))
    say(ports)
    await asyncio.gather(*servers)


def with_daphne() -> None:
    from daphne.server import Server

    key, certificate = os.environ["TLS_KEY"], os.environ["TLS_CERTIFICATE"]
    server = Server(
        application,
        endpoints=[
            "tcp:port=0:interface=127.0.0.1",
            f"ssl:port=0:privateKey={key}:certKey={certificate}:interface=127.0.0.1",
        ],
        signal_handlers=False,
        ready_callable=lambda: say(
            dict(zip(("ws", "wss"), (port for _, port in server.listening_addresses), strict=True))
        ),
    )
    server.run()


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
if sys.argv[1] == "uvicorn":
    asyncio.run(with_uvicorn())
else:
    with_daphne()
