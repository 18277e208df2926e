"""Measures the relay beside nginx in one run: CPU per echoed message, memory per idle connection.

All proxies run at the same time, pinned to one core; the two ends of the load run on another. Every proxy
gets its load in short slices, in turn, on connections that are already open, so that the handshakes stay
outside and the machine's moods hit all alike. CPU is what the kernel says that the proxy's threads ran
(schedstat). A row's figures are medians over the rounds; a ratio is the median of the rounds' own ratios.

Needs nginx (`make bench-peers`), a C compiler for the load, and two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROXY_CORE, LOAD_CORE = 0, 1
HOST = "bench.example.com"
SHAPES = (  # title, connections, bytes, messages under way per connection
    ("125 B, ping-pong", 64, 125, 1),
    ("125 B, ping-pong, one connection", 1, 125, 1),
    ("125 B, 16 under way", 64, 125, 16),
    ("16 KiB, 4 under way", 16, 16384, 4),
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy: its name in the table, its port and the process ids whose CPU and memory count."""

    name: str
    port: int
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """Return what the proxy's threads ran so far, in seconds."""
        total = 0
        for pid in self.pids:
            for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(schedstat.read_text().split()[0])
        return total / 1e9

    def pss_bytes(self) -> int:
        """Return the proportional set size of the proxy's processes, in bytes."""
        texts = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids)
        return sum(
            int(m.group(1)) * 1024 for text in texts if (m := re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE))
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One proxy's median at one shape of load."""

    shape: str
    proxy: str
    micros: float
    ratio: float


def pinned(core: int, *command: str) -> list[str]:
    """Return the command, to run on that core alone."""
    return ["taskset", "--cpu-list", str(core), *command]


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program for the length of the block."""
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


@contextlib.contextmanager
def relay(folder: Path, origin: int) -> Iterator[Proxy]:
    """Run wsedge-relay with one domain."""
    config = folder / "relay.json"
    config.write_text(
        json.dumps(
            {
                "version": 1,
                "generation": "bench/relay@1",
                "listen": {"host": "127.0.0.1", "http": 0, "https": None, "admin": 0},
                "domains": [
                    {
                        "domain": HOST,
                        "account": "bench",
                        "heartbeatSeconds": 300,
                        "originProtocol": "HTTP",
                        "origins": [{"host": "127.0.0.1", "httpPort": origin}],
                        "lifecycle": {"drainSeconds": 0},
                    }
                ],
            }
        )
    )
    program = str(Path(sys.executable).parent / "wsedge-relay")
    environment = os.environ | {"WSEDGE_RELAY_LOG_FORMAT": "json"}
    command = pinned(PROXY_CORE, program, "--config", str(config))
    with (folder / "relay.log").open("w+") as log, running(command, stderr=log, env=environment) as process:
        port = wait_for_port(folder / "relay.log", process)
        yield Proxy("wsedge", port, (process.pid,))


def wait_for_port(log: Path, process: subprocess.Popen[str]) -> int:
    """Return the port of the relay's http listener as its log names it."""
    with log.open() as lines:
        while process.poll() is None:
            line = lines.readline()
            if '"listening"' in line and (event := json.loads(line)).get("listener") == "http":
                return int(event["port"])
    raise SystemExit(f"the relay did not start:\n{log.read_text()}")


NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
      proxy_read_timeout 1h; proxy_send_timeout 1h; {extra}
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, origin: int, name: str, extra: str) -> Iterator[Proxy]:
    """Run nginx with one worker and the configuration that its documentation gives for WebSocket."""
    folder.mkdir()
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, origin=origin, extra=extra))
    command = pinned(PROXY_CORE, "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))
    with running(command) as master:
        wait_until_open(port, master)
        yield Proxy(name, port, (worker_of(master),))


def worker_of(master: subprocess.Popen[str]) -> int:
    """Return the process id of nginx's one worker; the master listens a moment before it forks."""
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    while master.poll() is None:
        if workers := children.read_text().split():
            return int(workers[0])
    raise SystemExit("nginx ended")


def free_port() -> int:
    """Return a port that was free a moment ago (nginx cannot be asked for one that the kernel chose)."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_open(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until something accepts on the port."""
    import socket

    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise SystemExit("nginx did not start")


class Load:
    """One `load client`: open connections to one proxy, and slices of messages on them."""

    def __init__(self, program: Path, proxy: Proxy, connections: int, size: int, inflight: int) -> None:
        numbers = [str(proxy.port), str(connections), str(size), str(inflight), HOST]
        self.proxy = proxy
        self.process = subprocess.Popen(
            pinned(LOAD_CORE, str(program), "client", *numbers),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"{proxy.name}: the load could not connect")

    def slice(self, milliseconds: int) -> tuple[int, float]:
        """Run one slice; return the messages echoed and the proxy's CPU seconds for them."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        before = self.proxy.cpu_seconds()
        self.process.stdin.write(f"{milliseconds}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.proxy.name}: the load ended")
        return int(line), self.proxy.cpu_seconds() - before

    def close(self) -> None:
        """Close its connections and wait for its end."""
        self.process.communicate()


def measure(program: Path, proxies: list[Proxy], shape: tuple[str, int, int, int], rounds: int) -> list[Row]:
    """Run one shape of load on every proxy in turn, `rounds` times after a warm-up."""
    title, connections, size, inflight = shape
    loads = [Load(program, proxy, connections, size, inflight) for proxy in proxies]
    costs: dict[str, list[float]] = {proxy.name: [] for proxy in proxies}
    for number in range(rounds + 1):
        # Forward and backward in turn, so that a drift of the machine's speed favours nobody.
        for load in loads if number % 2 else reversed(loads):
            messages, cpu = load.slice(250)
            if number:
                costs[load.proxy.name].append(cpu / messages * 1e6)
    for load in loads:
        load.close()
    base = costs["nginx"]
    return [
        Row(
            title,
            name,
            statistics.median(values),
            statistics.median(a / b for a, b in zip(values, base, strict=True)),
        )
        for name, values in costs.items()
    ]


def idle(program: Path, proxies: list[Proxy], connections: int) -> dict[str, float]:
    """Return each proxy's growth of PSS per idle connection, in bytes, by opening that many at once."""
    grown = {}
    for proxy in proxies:
        before = proxy.pss_bytes()
        load = Load(program, proxy, connections, 125, 1)
        grown[proxy.name] = (proxy.pss_bytes() - before) / connections
        load.close()
    return grown


def report(rows: list[Row], memory: dict[str, float], connections: int) -> str:
    """Return the tables as Markdown."""
    names = list(memory)
    lines = [
        "| CPU per echoed message | " + " | ".join(f"{name}, µs | ÷ nginx" for name in names) + " |",
        "|---|" + "---:|---:|" * len(names),
    ]
    for shape, *_ in SHAPES:
        cells = {row.proxy: f"{row.micros:.1f} | {row.ratio:.2f}" for row in rows if row.shape == shape}
        lines.append(f"| {shape} | " + " | ".join(cells[name] for name in names) + " |")
    lines += ["", f"| Memory per idle connection ({connections:,} open) | bytes |", "|---|---:|"]
    lines += [f"| {name} | {value:,.0f} |" for name, value in memory.items()]
    return "\n".join(lines)


def main() -> None:
    """Build the load, run the proxies, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--idle", type=int, default=4000, metavar="CONNECTIONS")
    arguments = parser.parse_args()
    for tool, how in {
        "nginx": "make bench-peers",
        "cc": "install gcc",
        "taskset": "install util-linux",
    }.items():
        if shutil.which(tool) is None:
            raise SystemExit(f"bench: {tool} is missing: {how}")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wsedge-bench-")))
        program = folder / "load"
        subprocess.run(["cc", "-O2", "-o", str(program), str(HERE / "load.c")], check=True)
        origin = stack.enter_context(
            running(pinned(LOAD_CORE, str(program), "origin"), stdout=subprocess.PIPE)
        )
        assert origin.stdout is not None
        port = int(origin.stdout.readline())
        proxies = [
            stack.enter_context(nginx(folder / "default", port, "nginx", "")),
            stack.enter_context(
                nginx(
                    folder / "tuned",
                    port,
                    "nginx, 64k buffers",
                    "proxy_buffer_size 64k; proxy_buffers 4 64k;",
                )
            ),
            stack.enter_context(relay(folder, port)),
        ]
        rows = []
        for number, shape in enumerate(SHAPES, 1):
            print(f"bench: {number} of {len(SHAPES)}: {shape[0]}", file=sys.stderr)
            rows += measure(program, proxies, shape, arguments.rounds)
        print(f"bench: {arguments.idle} idle connections on each", file=sys.stderr)
        memory = idle(program, proxies, arguments.idle)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {arguments.rounds} rounds\n")
    print(report(rows, memory, arguments.idle))


if __name__ == "__main__":
    main()
