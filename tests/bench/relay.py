"""Measures the relay beside other proxies in one run: CPU per message and handshake, memory per connection.

All proxies run at the same time, pinned to one core; the two ends of the load run on another. Every proxy
gets its load in short slices, in turn, on connections that are already open, so that the handshakes stay
outside and the machine's moods hit all alike. CPU is what the kernel says that the proxy's threads ran
(schedstat). A row's figures are medians over the rounds; a ratio is the median of the rounds' own ratios.

Needs the peers (`make bench-peers`), a C compiler, and two cores. `--write FILE` puts the tables between
the two marks of that file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import peers
from peers import LOAD_CORE, Proxy, Setting, pinned, running

HERE = Path(__file__).parent
BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"
ENVOY = Path(__file__).parents[2] / ".venv-bench" / "bin" / "envoy"
FLAGS = ("-O2", "-o")


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of load: connections, bytes of a message, messages under way on each connection."""

    title: str
    connections: int
    size: int
    inflight: int
    tls: bool = False


SHAPES = (
    Shape("ping-pong", 64, 125, 1),
    Shape("one connection", 1, 125, 1),
    Shape("16 under way", 64, 125, 16),
    Shape("16 KiB", 16, 16384, 4),
)
TLS_SHAPES = (
    Shape("ping-pong", 64, 125, 1, tls=True),
    Shape("16 under way", 64, 125, 16, tls=True),
    Shape("16 KiB", 16, 16384, 4, tls=True),
)
Costs = dict[str, list[float]]


class Load:
    """One `load client`: open connections to one proxy, and slices of messages on them."""

    def __init__(self, program: Path, proxy: Proxy, shape: Shape) -> None:
        port = proxy.tls_port if shape.tls else proxy.port
        words = [str(port), str(shape.connections), str(shape.size), str(shape.inflight), peers.HOST]
        self.proxy = proxy
        self.process = subprocess.Popen(
            pinned(LOAD_CORE, str(program), "client", *words, *(["tls"] if shape.tls else [])),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"{proxy.name}: the load could not connect")

    def ask(self, line: str) -> tuple[int, float]:
        """Give the load a line; return its answer and the proxy's CPU seconds until then."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        before = self.proxy.cpu_seconds()
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.proxy.name}: the load ended")
        return int(answer), self.proxy.cpu_seconds() - before

    def close(self) -> None:
        """Close its connections and wait for its end."""
        self.process.communicate()


@contextlib.contextmanager
def loads(program: Path, proxies: list[Proxy], shape: Shape) -> Iterator[list[Load]]:
    """Open a load's connections to every proxy."""
    some = [Load(program, proxy, shape) for proxy in proxies]
    yield some
    for load in some:
        load.close()


def in_turn(some: list[Load], rounds: int, lines: tuple[str, ...]) -> Costs:
    """Give every load its lines, round by round after a warm-up; return µs by the first line's answer."""
    costs: Costs = {load.proxy.name: [] for load in some}
    for number in range(rounds + 1):
        # Forward and backward in turn, so that a drift of the machine's speed favours nobody.
        for load in some if number % 2 else reversed(some):
            done, cpu = load.ask(lines[0])
            for line in lines[1:]:
                load.ask(line)
            if number:
                costs[load.proxy.name].append(cpu / done * 1e6)
    return costs


def crowd(program: Path, proxies: list[Proxy], many: int, rounds: int) -> Costs:
    """Return the ratios of the cost per message with `many` connections to that with 100, paired by round."""
    few_shape, many_shape = Shape("few", 100, 125, 1), Shape("many", many, 125, 1)
    ratios: Costs = {}
    for proxy in proxies:
        with loads(program, [proxy], few_shape) as few, loads(program, [proxy], many_shape) as more:
            pairs = [(few[0].ask("400"), more[0].ask("400")) for _ in range(rounds + 1)][1:]
        ratios[proxy.name] = [(b[1] / b[0]) / (a[1] / a[0]) for a, b in pairs]
    return ratios


def idle(program: Path, proxies: list[Proxy], connections: int) -> Costs:
    """Return each proxy's growth of PSS per idle connection, in bytes, by opening that many at once."""
    grown: Costs = {}
    for proxy in proxies:
        with loads(program, [proxy], Shape("warm-up", 20, 125, 1)) as (load,):
            load.ask("50")
            before = proxy.pss_bytes()
            load.ask(f"open {connections}")
            load.ask("50")  # once the proxy answers again, it has taken all
            grown[proxy.name] = [(proxy.pss_bytes() - before) / connections]
            load.ask("close")
            load.ask("50")
    return grown


def table(columns: dict[str, Costs], *, base: str | None, unit: str) -> str:
    """Return Markdown, one row per proxy; with `base` each cell has the ratio to that proxy too."""
    names = list(next(iter(columns.values())))
    lines = [f"| {unit} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name in names:
        cells = []
        for costs in columns.values():
            middle = statistics.median(costs[name])
            text = f"{middle:,.0f}" if middle >= 100 else f"{middle:.2f}"
            if base is not None:
                pairs = zip(costs[name], costs[base], strict=True)
                text += f" · **{statistics.median(a / b for a, b in pairs):.2f}**"
            cells.append(text)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def describe(python: str) -> str:
    """Return version and kind of build of a Python."""
    code = (
        "import platform, sysconfig; args = sysconfig.get_config_var('CONFIG_ARGS') or '';"
        "how = 'with' if '--enable-optimizations' in args else 'without';"
        "print(platform.python_version(), f'(configured {how} --enable-optimizations)')"
    )
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def version(*command: str) -> str:
    """Return the first line with which a program tells its version."""
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


FORMS = ("plain", "compiled")
SECTIONS = ("ws", "wss", "handshakes", "idle", "many")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--idle", type=int, default=10_000, metavar="CONNECTIONS")
    parser.add_argument(
        "--only", default=",".join(SECTIONS), metavar="SECTION,…", help="ws:ping-pong: that shape alone"
    )
    parser.add_argument(
        "--proxies", metavar="NAME,…", help="such as nginx,plain,compiled; the first is the base"
    )
    parser.add_argument(
        "--python", action="append", help="a Python to run the relay with (more than one: all in one run)"
    )
    parser.add_argument("--write", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    arguments.only = [tuple(name.partition(":")[::2]) for name in arguments.only.split(",")]
    for section, _ in arguments.only:
        if section not in SECTIONS:
            parser.error(f"no section {section!r}; there are {', '.join(SECTIONS)}")
    return arguments


def start(
    stack: contextlib.ExitStack, setting: Setting, pythons: list[str], wanted: list[str] | None
) -> list[Proxy]:
    """Start the peers and the relay in both forms on each Python; or those that are wanted, in that order."""
    envoy = str(ENVOY) if ENVOY.exists() else shutil.which("envoy")
    starts = peers.peers(envoy)
    if wanted is None:
        for name in {"haproxy", "envoy"} - set(starts):
            say(f"{name} is missing: make bench-peers")
        wanted = [*starts, *FORMS]
    if unknown := set(wanted) - set(starts) - set(FORMS):
        raise SystemExit(f"bench: no {', '.join(unknown)}; there are {', '.join((*starts, *FORMS))}")
    proxies = [stack.enter_context(starts[name](setting)) for name in wanted if name in starts]
    forms = [name for name in wanted if name in FORMS]
    for number, python in enumerate(pythons if forms else ()):
        folder = setting.folder / f"relay-{number}"
        environment = peers.copy_of_the_relay(folder, python, forms)
        for form in forms:
            name = f"wsedge, {form}" + (f" ({describe(python).split()[0]})" if len(pythons) > 1 else "")
            one = peers.relay(setting, name, python=python, environment=environment, form=form)
            proxies.append(stack.enter_context(one))
    return proxies


def main() -> None:
    """Build the load, run the proxies, print or write the tables."""
    arguments = options()
    pythons = arguments.python or [sys.executable]
    for tool in ("nginx", "cc", "taskset", "openssl"):
        if shutil.which(tool) is None:
            raise SystemExit(f"bench: {tool} is missing: make bench-peers")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    connections = min(arguments.idle, hard // 2 - 250)  # two descriptors each, in the proxy
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wsedge-bench-")))
        program = folder / "load"
        subprocess.run(["cc", *FLAGS, str(program), str(HERE / "load.c"), "-lssl", "-lcrypto"], check=True)
        origin = stack.enter_context(
            running(pinned(LOAD_CORE, str(program), "origin"), stdout=subprocess.PIPE)
        )
        assert origin.stdout is not None
        files = peers.certificate(folder)
        setting = Setting(folder, int(origin.stdout.readline()), *files, connections + 100)
        wanted = arguments.proxies.split(",") if arguments.proxies else None
        proxies = start(stack, setting, pythons, wanted)
        text = measure(program, proxies, arguments, connections)
    facts = [
        time.strftime("%Y-%m-%d, ")
        + f"{os.cpu_count()} cores of {_processor()}, Linux {platform.release().split('-')[0]}",
        version("nginx", "-v").removeprefix("nginx version: "),
    ]
    if shutil.which("haproxy"):
        facts.append(" ".join(version("haproxy", "-v").split()[:3]))
    facts += [f"Python {describe(python)}" for python in pythons]
    text = f"{'; '.join(facts)}; {arguments.rounds} rounds.\n\n{text}"
    print(text)
    if arguments.write:
        page = arguments.write.read_text()
        head, _, rest = page.partition(BEGIN)
        arguments.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def measure(program: Path, proxies: list[Proxy], arguments: argparse.Namespace, connections: int) -> str:
    """Run everything that was asked for; return the tables."""
    parts = []
    base = proxies[0].name
    sections = {section for section, _ in arguments.only}
    if "idle" in sections:
        say(f"{connections} idle connections on each")
        memory = {f"{connections:,} connections": idle(program, proxies, connections)}
    for section, shapes in (("ws", SHAPES), ("wss", TLS_SHAPES)):
        titles = [title for name, title in arguments.only if name == section]
        columns: dict[str, Costs] = {}
        for shape in shapes:
            if any(title in shape.title for title in titles):
                say(f"{section}: {shape.title}")
                with loads(program, proxies, shape) as some:
                    columns[shape.title] = in_turn(some, arguments.rounds, ("250",))
        if columns:
            parts.append(f"### {section}\n\n" + table(columns, base=base, unit="CPU µs per message"))
    if "handshakes" in sections:
        say("handshakes")
        opened: dict[str, Costs] = {}
        for title, tls in (("ws", False), ("wss", True)):
            with loads(program, proxies, Shape(title, 1, 125, 1, tls)) as some:
                opened[title] = in_turn(some, arguments.rounds, ("open 100", "close", "20"))
        parts.append("### Handshakes\n\n" + table(opened, base=base, unit="CPU µs per connection opened"))
    if "idle" in sections:
        parts.append(
            "### Idle connections\n\n" + table(memory, base=None, unit="bytes of PSS per connection")
        )
    if "many" in sections:
        many = connections // 2
        say(f"{many} busy connections")
        growth = {f"{many:,} ÷ 100": crowd(program, proxies, many, max(3, arguments.rounds // 3))}
        parts.append(
            "### Many connections\n\n" + table(growth, base=None, unit="cost per message, ping-pong")
        )
    return "\n\n".join(parts)


def _processor() -> str:
    """Return the processor's name as the kernel gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def say(what: str) -> None:
    """Tell a person who waits what is under way."""
    print(f"bench: {what}", file=sys.stderr)


if __name__ == "__main__":
    main()
