"""A program that a test starts and drives by lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

DEADLINE: Final = 60.0
_LONGEST_LINE: Final = 1 << 20


class Program:
    """A running program; leaving the context ends it, and prints its stderr if a test failed."""

    def __init__(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> None:
        self._arguments = arguments
        self._environment = environment or {}
        self._complaints: deque[str] = deque(maxlen=100)
        self._process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Program:
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            env={**os.environ, **self._environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        self._reading = asyncio.create_task(self._read_complaints())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def ask(self, line: str) -> Any:
        """Write a line; return the program's next line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        return await self.said()

    async def said(self) -> Any:
        """Return the program's next line."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(DEADLINE):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise AssertionError(f"{self._arguments} says nothing more\n{self.complaints}") from None
        assert line, f"{self._arguments} has ended\n{self.complaints}"
        return json.loads(line)

    @property
    def complaints(self) -> str:
        """Return the last lines of the program's stderr."""
        return "".join(self._complaints)

    async def _read_complaints(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._complaints.append(line.decode(errors="replace"))
