"""Drives `load.c`: the clients and the origins of the bench, in one process on its own core."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from proxy import HOST, LOAD_CORE, Proxy, pinned

LIBRARIES = ("-lssl", "-lcrypto", "-lm")


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of load: connections, bytes of a message, messages under way on each connection."""

    title: str
    connections: int
    size: int
    inflight: int
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Latencies:
    """Results of an open loop: messages sent, echoed, connections closed by the proxy, and times in µs.

    The times start at the instant at which a message was due; `late` is the load's own delay (p99).
    """

    sent: int
    echoed: int
    closed: int
    median: float
    p99: float
    longest: float
    late: float


class Load:
    """The running load. Each command has one answer; an end of the load is a SystemExit."""

    def __init__(self, folder: Path) -> None:
        program = folder / "load"
        source = Path(__file__).with_name("load.c")
        define = f'-DHOST="{HOST}"'
        subprocess.run(["cc", "-O2", define, "-o", str(program), str(source), *LIBRARIES], check=True)
        self._process = subprocess.Popen(
            pinned(LOAD_CORE, str(program)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def send(self, *words: object) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(*words, file=self._process.stdin, flush=True)

    def answer(self) -> str:
        """Return the answer to the last line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("bench: the load ended")
        return line.strip()

    def call(self, *words: object) -> str:
        """Send a line; return its answer."""
        self.send(*words)
        return self.answer()

    def cpu_seconds(self) -> float:
        """Return the load's run time in seconds."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]) / 1e9


@dataclass(slots=True)
class Group:
    """Open connections to one proxy. `cpu` and `waited`: the proxy's, in seconds, during the last command."""

    load: Load
    proxy: Proxy
    shape: Shape
    number: int
    cpu: float = 0.0
    waited: float = 0.0

    def call(self, verb: str, *words: object) -> str:
        """Send a command for this group; measure the proxy's CPU until the answer."""
        ran, waited = self.proxy.cpu()
        answer = self.load.call(verb, self.number, *words)
        now_ran, now_waited = self.proxy.cpu()
        self.cpu, self.waited = now_ran - ran, now_waited - waited
        return answer

    def run(self, milliseconds: int, connections: int | None = None) -> int:
        """Keep messages under way on the first connections (all); return the number of echoed ones."""
        return int(self.call("run", connections or self.shape.connections, milliseconds))

    def rate(self, per_second: float, milliseconds: int) -> Latencies:
        """Send messages at that rate, with or without echoes."""
        return latencies(self.call("rate", self.shape.connections, int(per_second), milliseconds))


def latencies(answer: str) -> Latencies:
    """Read the answer to `rate`."""
    sent, echoed, closed, *times = answer.split()
    return Latencies(int(sent), int(echoed), int(closed), *map(float, times))


@contextlib.contextmanager
def groups(load: Load, proxies: list[Proxy], shape: Shape) -> Iterator[list[Group]]:
    """Open a shape's connections to each proxy, for the block."""
    some = []
    for proxy in proxies:
        port = proxy.tls_port if shape.tls else proxy.port
        words = (port, shape.connections, shape.size, shape.inflight, int(shape.tls))
        some.append(Group(load, proxy, shape, int(load.call("connect", *words))))
    yield some
    for group in some:
        load.call("end", group.number)
