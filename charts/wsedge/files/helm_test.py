"""Carry a WebSocket message through a domain: this pod is both its origin and its client (`helm test`)."""

import asyncio
import os
import socket
import sys
import time

from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType, web

HOST = os.environ["DOMAIN"]
DEADLINE = time.monotonic() + float(os.environ["SECONDS"])
MESSAGE = f"hello from {os.environ['POD_IP']}"


async def way() -> str:
    """Return the URL of the relays: by DNS, or of the Service whose address each container is told.

    The name has no cluster domain: the resolver adds the search list of the pod, whatever the domain is.
    """
    try:
        await asyncio.get_running_loop().getaddrinfo(os.environ["RELAYS"], 80)
    except socket.gaierror:
        name = os.environ["WAY"]
        return f"http://{os.environ[f'{name}_SERVICE_HOST']}:{os.environ[f'{name}_SERVICE_PORT']}"
    return f"http://{os.environ['RELAYS']}"


async def origin(request: web.Request) -> web.WebSocketResponse:
    """Send each message back, with a mark that only this origin makes."""
    connection = web.WebSocketResponse()
    await connection.prepare(request)
    async for message in connection:
        if message.type is WSMsgType.TEXT:
            await connection.send_str(f"origin: {message.data}")
    return connection


async def carried(session: ClientSession, url: str) -> str:
    """Return what came back through the relays."""
    async with session.ws_connect(url, headers={"Host": HOST}) as connection:
        await connection.send_str(MESSAGE)
        return await connection.receive_str(timeout=10)


async def main() -> int:
    """Try until the deadline: relays must start first."""
    app = web.Application()
    app.add_routes([web.get("/{path:.*}", origin)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, os.environ["POD_IP"], 8000).start()
    url, why = "", "not tried"
    async with ClientSession(timeout=ClientTimeout(total=15)) as session:
        while time.monotonic() < DEADLINE:
            url = await way()  # each time: the operator makes the Service while this runs
            try:
                answer = await carried(session, url)
            except (ClientError, OSError, TimeoutError, TypeError) as error:
                why = f"{type(error).__name__}: {error}"
                await asyncio.sleep(1)
                continue
            sys.stdout.write(f"{HOST} answered {answer!r} through {url}\n")
            return 0 if answer == f"origin: {MESSAGE}" else 1
    sys.stderr.write(f"no message was carried through {url} for {HOST}: {why}\n")
    return 1


sys.exit(asyncio.run(main()))
