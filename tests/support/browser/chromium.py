"""A headless Chromium of one test: started, driven by the DevTools protocol, and always ended.

The browser gets a new profile, uses only the loopback network, and is driven through a socket that it
inherits, so that it ends by itself when the test's process dies.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from support.browser.ending import end
from support.browser.script import ScriptError
from support.clients.tools import unavailable

_START_SECONDS: Final = 60
_ANSWER_SECONDS: Final = 60
_LONGEST_MESSAGE: Final = 64 << 20

# No first-run pages, updates, reports or key rings: nothing that uses the network or the desktop.
_FLAGS: Final = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-extensions",
    # Pages may connect to loopback addresses without a permission prompt: there are no others.
    "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
    "--disable-gpu",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--no-proxy-server",
    "--password-store=basic",
    "--use-mock-keychain",
)


class Page:
    """One page of a running browser."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []  # what the page reported while commands waited

    async def attach(self) -> None:
        """Open the page that the other methods use."""
        target = await self.command("Target.createTarget", url="about:blank")
        attached = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self.command("Page.enable")

    async def goto(self, url: str) -> None:
        """Load a page with any HTTP status; raises ScriptError when no page loads."""
        answer = await self.command("Page.navigate", _until="Page.domContentEventFired", url=url)
        if error := answer.get("errorText"):
            raise ScriptError(f"{url}: {error}")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of JavaScript, or of its promise; raises ScriptError.

        Values pass as JSON. For statements write `(async () => { …; return value })()`.
        """
        answer = await self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if thrown := answer.get("exceptionDetails"):
            said = thrown.get("exception", {})
            raise ScriptError(said.get("description") or said.get("value") or thrown["text"])
        return answer["result"].get("value")

    async def command(self, method: str, *, _until: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send one DevTools command; return its result after the event `_until`, if one is given."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        async with asyncio.timeout(_ANSWER_SECONDS):
            self._writer.write(json.dumps(message).encode() + b"\0")
            await self._writer.drain()
            result: dict[str, Any] | None = None
            while result is None or _until is not None:
                said = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                if said.get("id") == number:
                    if "error" in said:
                        raise ScriptError(f"{method}: {said['error']['message']}")
                    result = said["result"]
                    if "errorText" in result:
                        break
                elif "method" in said:
                    self.events.append(said)
                    if said["method"] == _until:
                        _until = None
        return result


@asynccontextmanager
async def browser(
    *, hosts: Mapping[str, str] | None = None, certificates: Iterable[bytes] = ()
) -> AsyncIterator[Page]:
    """Run Chromium with one empty page; skip the test where there is none, and fail it under CI=true.

    `hosts` maps names to loopback addresses, with ports on both sides where they differ:
    `{"chat.example.com:443": "127.0.0.1:8443"}`; no other name resolves. `certificates` are PEM certificates
    (leaves, as servers present them) that are trusted.
    """
    program = _program()
    # Not pytest's folder: Chromium creates a socket in it, and the path would be too long.
    with tempfile.TemporaryDirectory(prefix="wsedge-chromium-") as folder:
        process, reader, writer = await _start(program, folder, hosts or {}, certificates)
        try:
            page = Page(reader, writer)
            async with asyncio.timeout(_START_SECONDS):
                await page.attach()
            yield page
        finally:
            writer.close()  # the end of the pipe ends the browser, as a command would
            await end(process)


async def _start(
    program: str, folder: str, hosts: Mapping[str, str], certificates: Iterable[bytes]
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            # The browser reads from descriptor 3 and writes to 4; with a further one its processes crash.
            *("sh", "-c", 'exec "$@" 3<&0 4>&1 < /dev/null > /dev/null', "sh"),
            *(program, *_FLAGS, *_own_flags(folder, hosts, certificates), "about:blank"),
            start_new_session=True,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder},
        )
    return process, *await asyncio.open_connection(sock=ours, limit=_LONGEST_MESSAGE)


def fingerprint_of(certificate: bytes) -> bytes:
    """Return Chromium's name of a trusted PEM certificate: SHA-256 of its public key, in base64."""
    key = x509.load_pem_x509_certificate(certificate).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return base64.b64encode(digest.finalize())


def _program() -> str:
    program = shutil.which("chromium")
    if program is None:
        unavailable("there is no program chromium (as root: make test-tools)")
    return program


def _own_flags(folder: str, hosts: Mapping[str, str], certificates: Iterable[bytes]) -> list[str]:
    rules = [f"MAP {name} {address}" for name, address in hosts.items()]
    flags = [
        f"--user-data-dir={folder}",
        f"--host-resolver-rules={', '.join([*rules, 'MAP * ~NOTFOUND', 'EXCLUDE 127.0.0.1'])}",
    ]
    if trusted := b",".join(map(fingerprint_of, certificates)).decode():
        flags.append(f"--ignore-certificate-errors-spki-list={trusted}")
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium's sandbox does not work for root
    return flags
