"""Resolve the address of the statistics, to which relays report and the Directory is sent."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from wsedge_operator.errors import OperatorError, advice
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.kinds import DOMAIN
from wsedge_operator.peers.statistics import find_url
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.intake import Intake
from wsedge_operator.runtime.snapshots import Gatherer

log = structlog.get_logger()

PAUSE_SECONDS: Final = 30.0


class StatisticsDiscovery:
    """Updates `Gatherer.statistics_url` to the address of the Service `namespace/name`; empty: no Service."""

    def __init__(
        self, *, client: Client, cache: Cache, gatherer: Gatherer, intake: Intake, service: str
    ) -> None:
        """Resolve nothing yet."""
        self._client = client
        self._cache = cache
        self._gatherer = gatherer
        self._intake = intake
        self._service = service

    async def find(self) -> None:
        """Resolve the address; request all domains when it has changed."""
        if not self._service:
            return
        try:
            url = await find_url(self._client, self._service)
        except OperatorError as error:
            log.warning(
                "service of the statistics not read",
                service=self._service,
                error=str(error),
                advice=advice(error),
            )
            url = ""
        # A reinstallation deletes the Service for a moment: relays then go on with its last address.
        url = url or self._gatherer.statistics_url or ""
        if url != self._gatherer.statistics_url:
            log.info("statistics found", service=self._service, url=url)
            self._gatherer.statistics_url = url
            for live in self._cache.all(DOMAIN):
                self._intake.request(DOMAIN, live)

    async def follow(self) -> None:
        """Resolve the address every 30 s, for ever."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.find()
