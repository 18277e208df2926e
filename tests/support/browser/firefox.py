"""A headless Firefox of one test: started, driven by WebDriver BiDi, and always ended.

The browser gets a new profile, and each name that it resolves is this machine's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

from support.browser.ending import end
from support.browser.script import ScriptError
from support.clients.tools import unavailable

_START_SECONDS: Final = 60
_ANSWER_SECONDS: Final = 60
_LISTENS: Final = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
# No updates, reports or first pages: nothing that uses a network.
_PREFERENCES: Final = {
    "network.dns.forceResolve": "127.0.0.1",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.server": "data:,",
}


class Page:
    """The one page of a running Firefox."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._context = ""

    async def attach(self) -> None:
        """Begin a session, which trusts every certificate, and find the page."""
        await self.command("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        tree = await self.command("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]

    async def goto(self, url: str) -> None:
        """Load a page."""
        await self.command("browsingContext.navigate", context=self._context, url=url, wait="interactive")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of JavaScript, or of its promise, which passes as JSON; raises ScriptError."""
        answer = await self.command(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))",
            awaitPromise=True,
            target={"context": self._context},
        )
        if answer["type"] == "exception":
            raise ScriptError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command; return its result."""
        number = next(self._numbers)
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while True:
                said = json.loads(await self._connection.recv())
                if said.get("id") == number:
                    break
        if said["type"] == "error":
            raise ScriptError(f"{method}: {said['message']}")
        result: dict[str, Any] = said["result"]
        return result


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """Run Firefox with one empty page; skip the test where there is none."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        unavailable("there is no program firefox (Debian's is firefox-esr)")
    with tempfile.TemporaryDirectory(prefix="wsedge-firefox-", ignore_cleanup_errors=True) as folder:
        lines = (
            f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items()
        )
        (Path(folder) / "user.js").write_text("\n".join(lines))
        process = await asyncio.create_subprocess_exec(
            *(program, "--headless", "--no-remote", "--profile", folder),
            *("--remote-debugging-port", "0", "about:blank"),
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder},
        )
        try:
            assert process.stderr is not None
            async with asyncio.timeout(_START_SECONDS):
                address = await _address(process.stderr)
            reading = asyncio.create_task(_drain(process.stderr))
            async with connect(f"{address}/session", proxy=None, max_size=None) as connection:
                page = Page(connection)
                await page.attach()
                yield page
                with suppress(ScriptError):
                    await page.command("browser.close")
            await reading
        finally:
            await end(process)


def _user_preferences() -> str:
    pairs = ((json.dumps(name), json.dumps(value)) for name, value in _PREFERENCES.items())
    return "".join(f"user_pref({name}, {value});\n" for name, value in pairs)


async def _address(output: asyncio.StreamReader) -> str:
    async for line in output:
        if found := _LISTENS.search(line):
            return found[1].decode()
    raise AssertionError("Firefox ended before it listened")


async def _drain(output: asyncio.StreamReader) -> None:
    """Read what Firefox says, so that it never waits for space in the pipe."""
    while await output.read(1 << 16):
        pass
