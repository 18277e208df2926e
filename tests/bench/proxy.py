"""A running proxy: its ports, the cost of its processes, and the change of its configuration."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = CORES[0], CORES[-1]
HOST = "bench.example.com"
TIMEOUT = 5  # to the origin, in seconds; the change of configuration changes it
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Setting:
    """The settings of every proxy; `connections` is the maximum for all of them."""

    folder: Path
    origin: int
    certificate: Path
    key: Path
    connections: int


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy: its name in the tables, ports for ws and wss, and its first process.

    `change` applies a configuration with another timeout to the origin, in the way of the proxy's
    documentation, without waiting; `changed` returns whether it is in force. `tuned`: only for some tables,
    such as a second form of a peer with other settings than its defaults. `tls_port` None: no TLS.
    """

    name: str
    port: int
    tls_port: int | None
    pid: int
    change: Callable[[int], None]
    changed: Callable[[], bool]
    tuned: bool = False

    def processes(self) -> list[int]:
        """Return the process and its descendants."""
        found = [self.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    found += map(int, children.read_text().split())
        return found

    def cpu(self) -> tuple[float, float]:
        """Return run time and waiting time of the proxy's threads, in seconds."""
        ran = waited = 0
        for pid in self.processes():
            for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    one, other, _ = map(int, stat.read_text().split())
                    ran, waited = ran + one, waited + other
        return ran / 1e9, waited / 1e9

    def pss_bytes(self) -> int:
        """Return the proportional set size of its processes, in bytes."""
        total = 0
        for pid in self.processes():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
            assert found is not None
            total += int(found.group(1)) * 1024
        return total


def pinned(core: int, *command: str) -> list[str]:
    """Return the command pinned to that core."""
    return ["taskset", "--cpu-list", str(core), *command]


def end_at_signals() -> None:
    """Let the signals that end this process end it by SystemExit, so that it ends its proxies and origins."""

    def end(number: int, _: object) -> None:
        for other in ENDING:  # a second one must not interrupt that
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in ENDING:
        signal.signal(number, end)


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program for the block."""
    process = subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def folder_of(setting: Setting, name: str) -> Path:
    """Create a folder for a proxy."""
    folder = setting.folder / re.sub(r"\W+", "-", name)
    folder.mkdir()
    return folder


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment before."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_until_open(port: int, process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until a process accepts on the port; raises when the proxy's process ends before."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    texts = (file.read_text() for file in sorted(folder.glob("*log")))
    raise SystemExit(f"{folder.name} did not start:\n{''.join(texts)}")


def put(file: Path, text: str) -> None:
    """Replace a file atomically: a reader reads the old text or the new one."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.replace(file)
