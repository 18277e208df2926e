"""/healthz, /readyz and /metrics over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

log = structlog.get_logger()


@asynccontextmanager
async def serving(
    address: tuple[str, int], registry: CollectorRegistry, not_ready: Callable[[], str | None]
) -> AsyncIterator[int]:
    """Serve while the block lasts; yields the port, which the kernel chooses for port 0.

    `/healthz` answers 200 as long as the event loop runs. `/readyz` answers 503 with the text of
    `not_ready()` unless that is None. A standby with a filled cache is ready, since it can lead at any time.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        why = not_ready()
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        host, port = address
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = int(runner.addresses[0][1])
        log.info("listening", listener="health", host=host, port=bound)
        yield bound
    finally:
        await runner.cleanup()
