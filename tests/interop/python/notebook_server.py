"""A Jupyter server with the kernels of this environment.

    python notebook_server.py      prints ports, then the transcript of each WebSocket that has ended

Environment: TLS_CERTIFICATE, TLS_KEY. Its files are in the folder of these two.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import threading
from pathlib import Path

from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

ended = KernelWebsocketHandler.on_close


def on_close(handler: KernelWebsocketHandler) -> None:
    request = handler.request
    line = {
        "url": request.uri.replace(handler.kernel_id, "ID"),
        "headers": {name.lower(): value for name, value in request.headers.get_all()},
        "close": [handler.close_code, handler.close_reason],
    }
    print(json.dumps(line), flush=True)
    ended(handler)


async def main(folder: Path) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        os.environ[name] = f"{folder}/{name}"
    KernelWebsocketHandler.on_close = on_close
    app = ServerApp()
    app.initialize(
        [
            *("--allow-root", "--no-browser", f"--ServerApp.root_dir={folder}"),
            *("--IdentityProvider.token=secret", "--ServerApp.allow_remote_access=True"),
        ],
        new_httpserver=False,
        find_extensions=False,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TLS_CERTIFICATE"], os.environ["TLS_KEY"])
    ports = {}
    for scheme, options in (("ws", None), ("wss", context)):
        sockets = bind_sockets(0, "127.0.0.1")
        HTTPServer(app.web_app, ssl_options=options).add_sockets(sockets)
        ports[scheme] = sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
asyncio.run(main(Path(os.environ["TLS_CERTIFICATE"]).parent))
