"""The program `wsedge-relay` as a process, with its log, admin port and spool."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("wsedge-relay")
DEADLINE = 40.0


class RelayProcess:
    """A running relay; leaving the context kills it if it still runs.

    `release` is a folder with the sources of an earlier release, `variables` are added to its environment.
    """

    def __init__(
        self,
        *arguments: str | Path,
        prepare: Callable[[], object] | None = None,
        release: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._variables = variables or {}
        self._arguments = arguments
        self._release = release
        self._prepare = prepare
        self.events: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> RelayProcess:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WSEDGE_")}
        environment |= self._variables
        command: list[str | Path] = [PROGRAM]
        if self._release is not None:
            command = [sys.executable, "-c", "from wsedge_relay.main import main; main()"]
            environment |= {"PYTHONPATH": f"{self._release}/proxy:{self._release}/statistics"}
        self._process = await asyncio.create_subprocess_exec(
            *command,
            *self._arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=self._prepare,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def event(self, name: str, *, after: int = 0, **fields: object) -> dict[str, Any]:
        """Wait for a log event with these fields, among those after index `after`."""

        def found() -> Any:
            for event in self.events[after:]:
                if event.get("event") == name and fields.items() <= event.items():
                    return event
            return None

        async with self._news:
            try:
                async with asyncio.timeout(DEADLINE):
                    return await self._news.wait_for(found)
            except TimeoutError:
                raise AssertionError(f"no event {name!r} {fields}; there are: {self.events}") from None

    async def port(self, listener: str) -> int:
        """Return the port of a listener."""
        return int((await self.event("listening", listener=listener))["port"])

    async def admin(self, target: str, *, method: str = "GET") -> tuple[int, str]:
        """Return status and body of a request to the admin port."""
        return await request(
            await self.port("admin"), f"{method} {target} HTTP/1.1\r\nHost: relay\r\n\r\n".encode()
        )

    async def state(self) -> dict[str, Any]:
        """Return the RelayState."""
        status, body = await self.admin("/config")
        assert status == 200
        return json.loads(body)

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self._process.pid

    async def metrics(self) -> dict[str, float]:
        """Return the metrics by name, labels included."""
        status, body = await self.admin("/metrics")
        assert status == 200
        lines = (line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end and return the exit code; a signal's is negative."""
        async with asyncio.timeout(DEADLINE):
            code = await self._process.wait()
            await self._reading
        return code

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            async with self._news:
                try:
                    self.events.append(json.loads(line))
                except ValueError:
                    self.events.append({"event": "text", "text": line.decode().rstrip()})
                self._news.notify_all()


async def request(port: int, content: bytes, *, host: str = "127.0.0.1") -> tuple[int, str]:
    """Send bytes and return status and body of the answer; status 0 when there is none."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(content)
            await writer.drain()
            answer = await reader.read()
        except ConnectionError:
            return 0, ""
        finally:
            writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split(b" ")[1]) if head else 0), body.decode()


async def eventually(condition: Callable[[], Any]) -> Any:
    """Poll `condition` until it is true or the deadline passes; return its value."""
    async with asyncio.timeout(DEADLINE):
        while True:
            answer = condition()
            if answer:
                return answer
            await asyncio.sleep(0.02)
