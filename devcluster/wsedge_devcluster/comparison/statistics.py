"""A client of the statistics' API, with a token of one namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp

from wsedge_devcluster.comparison.counts import Answer
from wsedge_devcluster.errors import DevclusterError


class AnswerError(DevclusterError):
    """The statistics answered with an error: its status and text."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(status, text)

    def __str__(self) -> str:
        return f"{self.status}: {self.text}"


class Statistics:
    """The HTTP API of the statistics, asked for one domain, of clients of one network if `isp` names it."""

    def __init__(self, url: str, token: str, *, domain: str, isp: str | None = None) -> None:
        self._url, self._token = url, token
        self._asked = {"domain": domain, **({"isp": isp} if isp else {})}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            base_url=self._url,
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=aiohttp.ClientTimeout(total=5),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self) -> Answer:
        """Return the last 24 hours. Raises AnswerError, aiohttp.ClientError or TimeoutError."""
        total = (await self._get("/v1/traffic"))["total"]
        codes = await self.codes()
        return Answer(
            sent=total["sentBytes"],
            received=total["receivedBytes"],
            opened=total["openedConnections"],
            switched=codes.get(101, 0),
        )

    async def codes(self) -> dict[int, int]:
        """Return the handshakes of the last 24 hours by HTTP status. Raises as `ask` does."""
        return {each["code"]: each["count"] for each in (await self._get("/v1/codes"))["total"]}

    async def wait_for(self, enough: Callable[[Answer], bool], *, seconds: float) -> Answer:
        """Ask until an answer is `enough`, or for `seconds`; return the last one.

        A service that has just started may refuse at first; raises as `ask` does if the last attempt fails.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        answer = Answer()
        while True:
            try:
                with suppress(AnswerError):  # until the first report, the domain may be unknown
                    answer = await self.ask()
            except (aiohttp.ClientError, TimeoutError):
                if loop.time() > deadline:
                    raise
            if enough(answer) or loop.time() > deadline:
                return answer
            await asyncio.sleep(0.25)

    async def _get(self, path: str) -> Any:
        assert self._session is not None  # noqa: S101  used inside its block
        async with self._session.get(path, params=self._asked) as response:
            if response.status != 200:
                raise AnswerError(response.status, (await response.text())[:500])
            return await response.json()
