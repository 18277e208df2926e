"""Container logs as the Container Runtime Interface has them: `TIME STREAM F|P TEXT`, one file per start."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LONGEST = 16 * 1024  # of a line in one piece, as containerd's
_KEPT = 5  # files per container


def log_folder(root: Path, namespace: str, pod: str, uid: str, container: str) -> Path:
    """Return the folder of a container's logs: ROOT/NAMESPACE_POD_UID/CONTAINER, as under /var/log/pods."""
    return root / f"{namespace}_{pod}_{uid}" / container


def log_file(folder: Path, start: int) -> Path:
    """Return the file of the n-th start, from 0; older ones are removed on the way."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{start - _KEPT}.log").unlink(missing_ok=True)
    return folder / f"{start}.log"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, or a piece of a long line."""

    time: str
    text: str
    whole: bool


def parse_lines(content: str) -> Iterator[Line]:
    """Return the lines of a log file."""
    for line in content.splitlines():
        time, _, rest = line.partition(" ")
        _, _, rest = rest.partition(" ")
        tag, _, text = rest.partition(" ")
        yield Line(time, text, tag == "F")


class LogWriter:
    """Writes the two output streams of a process into one file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._streams: list[_Stream] = []
        self._transports: list[asyncio.ReadTransport] = []

    async def attach(self, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        """Start reading both pipes."""
        loop = asyncio.get_running_loop()
        for name, pipe in (("stdout", stdout), ("stderr", stderr)):
            stream = _Stream(name, self._file)
            transport, _ = await loop.connect_read_pipe(lambda stream=stream: stream, pipe)  # type: ignore[misc]
            self._streams.append(stream)
            self._transports.append(transport)

    async def finish(self) -> None:
        """Read the rest and close. A grandchild may hold a pipe open, so the wait is short."""
        if self._streams:
            await asyncio.wait([stream.closed for stream in self._streams], timeout=0.5)
        for transport in self._transports:
            transport.close()
        if self._streams:
            await asyncio.wait([stream.closed for stream in self._streams])
        self._file.close()


class _Stream(asyncio.Protocol):
    """Cuts a stream into lines and stamps them."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self._name, self._file = name.encode(), file
        self._rest = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        written = [self._line(line, b"F") for line in lines]
        while len(self._rest) > _LONGEST:
            written.append(self._line(self._rest[:_LONGEST], b"P"))
            self._rest = self._rest[_LONGEST:]
        if written:
            self._file.write(b"".join(written))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        if self._rest:
            self._file.write(self._line(self._rest, b"F"))
        self.closed.set_result(None)

    def _line(self, text: bytes, tag: bytes) -> bytes:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        return b" ".join((now, self._name, tag, text)) + b"\n"


def last_words(path: Path) -> str:
    """Return the end of a log for a termination message: at most 80 lines and 2048 bytes."""
    lines = [line.text for line in parse_lines(path.read_text(errors="replace"))]
    return "\n".join(lines[-80:])[-2048:]
