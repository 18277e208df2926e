"""A viewer of the room: sends comments, prints as many that it receives, and disconnects.

    python examples/quickstart/client.py ADDRESS[:PORT] [--comments N]

ADDRESS is that of the relay's Service, or of a port-forward to it. The client sends the domain in the Host
header. With a DNS record for the domain, any WebSocket client connects without an address.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

DOMAIN = "chat.example.com"


async def comment_on(address: str, comments: int) -> None:
    """Send `comments` comments through the relay at `address`, and print as many received ones."""
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "80")
    uri = f"ws://{DOMAIN}/rooms/launch"
    # An HTTP proxy of the environment would not reach an address inside the cluster.
    async with connect(uri, host=host, port=int(port), proxy=None) as relay:
        for number in range(1, comments + 1):
            await relay.send(f"comment {number}: what a launch!")
            sys.stdout.write(f"{await relay.recv(decode=True)}\n")


def main() -> None:
    """Parse the command line, and run the viewer."""
    parser = argparse.ArgumentParser(prog="client", description=__doc__.splitlines()[0])
    parser.add_argument("address", help="address[:port] of the relay's Service")
    parser.add_argument("--comments", type=int, default=5, help="number of comments to send (default 5)")
    arguments = parser.parse_args()
    try:
        asyncio.run(comment_on(arguments.address, arguments.comments))
    except (OSError, WebSocketException) as error:
        sys.exit(f"client: {arguments.address}: {error}. `kubectl wsedge status` says what is wrong.")


if __name__ == "__main__":
    main()
