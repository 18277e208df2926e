"""uvicorn's server, as this program needs it."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import uvicorn

from wsedge_statistics.services import Services
from wsedge_statistics.web.tls import HANDSHAKE_SECONDS, Certificate

CERTIFICATE_TICKS: Final = 100  # of a tenth of a second


class Server(uvicorn.Server):
    """Reports not ready from SIGTERM on, and may have TLS on some of its sockets."""

    def __init__(
        self, config: uvicorn.Config, services: Services, certificate: Certificate | None = None
    ) -> None:
        """Serve the first socket in plain HTTP, and further ones too unless there is a `certificate`."""
        super().__init__(config)
        self._services = services
        self._certificate = certificate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. uvicorn has one TLS setting for all sockets, so those with TLS are added here."""
        if self._certificate is None or sockets is None:
            await super().startup(sockets)
            return
        await super().startup(sockets[:1])
        for secured in sockets[1:]:
            server = await asyncio.get_running_loop().create_server(
                self._protocol,
                sock=secured,
                ssl=self._certificate.context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
            self.servers.append(server)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(
            config=self.config,  # type: ignore[call-arg]
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    async def on_tick(self, counter: int) -> bool:
        """Look for a renewed certificate; uvicorn calls this ten times per second."""
        if self._certificate is not None and counter % CERTIFICATE_TICKS == 0:
            self._certificate.load_if_changed()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Mark the program as draining; uvicorn calls this in a signal handler."""
        self._services.draining = True
        super().handle_exit(sig, frame)  # type: ignore[arg-type]
