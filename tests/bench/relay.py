"""Measures the relay beside other proxies in one run: CPU, memory, latency, and the effect of a reload.

All proxies run at the same time, pinned to one core; the load, clients and origins, runs on another. Each
proxy gets its load in short slices, in turn, on open connections, so that handshakes are excluded and changes
of the machine's speed affect all alike. CPU is the run time of the proxy's threads (schedstat). A figure is
the median of the rounds, a ratio the median of the rounds' ratios, both with quartiles.

Needs the peers (`make bench-peers`), a C compiler, and two cores. `--write FILE` writes the tables between
the two marks of that file, unless other processes keep the machine busy.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bare
import goals
import peers
import sections
from figures import Section
from load import Load
from machine import Meter, Shares, describe_machine, describe_python, version
from proxy import HOST, LOAD_CORE, PROXY_CORE, Proxy, Setting, end_at_signals
from sections import SHAPES, Bench, say

from wsedge import FORMS, copy_of_the_relay, relay

BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"
ENVOY = Path(__file__).parents[2] / ".venv-bench" / "bin" / "envoy"
BARE = "bare"
SECTIONS = ("ws", "wss", "handshakes", "idle", "many", "latency", "reload")
TOOLS = ("cc", "taskset", "openssl")
KEY = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
LOOK_SECONDS = 2.0


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        default=",".join(SECTIONS),
        metavar="SECTION,…",
        help=f"of {', '.join(SECTIONS)}; ws:ping-pong is that shape alone",
    )
    parser.add_argument(
        "--proxies", metavar="NAME,…", help="such as nginx,plain,compiled; the first is what ratios are to"
    )
    parser.add_argument(
        "--python",
        action="append",
        help="a Python that runs the relay of its own checkout (more than one: all in one run)",
    )
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--milliseconds", type=int, default=250, help="length of a slice")
    parser.add_argument("--idle", type=int, default=10_000, metavar="CONNECTIONS")
    parser.add_argument("--busy", type=int, default=20_000, metavar="CONNECTIONS")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--although-busy", action="store_true", help="write even if others use the cores")
    arguments = parser.parse_args()
    arguments.only = [tuple(name.partition(":")[::2]) for name in arguments.only.split(",")]
    for section, _ in arguments.only:
        if section not in SECTIONS:
            parser.error(f"no section {section!r}; there are {', '.join(SECTIONS)}")
    return arguments


def main() -> None:
    """Build the load, run the proxies, print or write the tables."""
    arguments = options()
    end_at_signals()
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise SystemExit(f"bench: {tool} is missing: make bench-peers")
    pythons = arguments.python or [sys.executable]
    # Two descriptors per connection, in the proxy and in the load.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 250
    arguments.idle, arguments.busy = min(arguments.idle, most), min(arguments.busy, most)
    if PROXY_CORE == LOAD_CORE:
        say("there is one core alone, so that load and proxies share it")
    os.sched_setaffinity(0, {LOAD_CORE})
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wsedge-bench-")))
        load = stack.enter_context(Load(folder))
        setting = Setting(folder, 0, *certificate(folder), max(arguments.idle, arguments.busy) + 100)
        proxies = start(stack, setting, load, pythons, arguments.proxies and arguments.proxies.split(","))
        bench = Bench(load, proxies, arguments.rounds, arguments.milliseconds)
        meter = watch(bench, refuse=arguments.write is not None and not arguments.although_busy)
        measured, shares = measure(bench, arguments, meter)
        text = page(bench, measured, shares, pythons)
    print(text)
    if arguments.write:
        whole = arguments.write.read_text()
        head, _, rest = whole.partition(BEGIN)
        arguments.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def certificate(folder: Path) -> tuple[Path, Path]:
    """Create a certificate and its key; `both.pem` has the two for HAProxy."""
    crt, key = folder / "tls.crt", folder / "tls.key"
    names = ("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}")
    subprocess.run([*KEY, *names, "-out", str(crt), "-keyout", str(key)], check=True, capture_output=True)
    (folder / "both.pem").write_text(crt.read_text() + key.read_text())
    return crt, key


def start(
    stack: contextlib.ExitStack, setting: Setting, load: Load, pythons: list[str], wanted: list[str] | None
) -> list[Proxy]:
    """Start the peers and the relay in both forms on each Python, or the selected ones, peers first."""
    starts = peers.peers(str(ENVOY) if ENVOY.exists() else shutil.which("envoy"))
    if wanted is None:
        for name in sorted({"nginx", "haproxy", "envoy"} - set(starts)):
            say(f"{name} is missing: make bench-peers")
        wanted = [*starts, *FORMS, BARE]
    if unknown := set(wanted) - set(starts) - {*FORMS, BARE}:
        raise SystemExit(f"bench: no {', '.join(unknown)}; there are {', '.join((*starts, *FORMS, BARE))}")

    def with_origin() -> Setting:
        return replace(setting, origin=int(load.call("listen")))

    proxies = [stack.enter_context(starts[name](with_origin())) for name in wanted if name in starts]
    forms = [name for name in wanted if name in FORMS]
    for number, python in enumerate(pythons if forms else ()):
        environment = copy_of_the_relay(setting.folder / f"relay-{number}", python, forms)
        for form in forms:
            # The goals name the forms of the first Python.
            name = f"wsedge, {form}" + (f" ({describe_python(python).split()[0]})" if number else "")
            one = relay(with_origin(), name, python=python, environment=environment, form=form)
            proxies.append(stack.enter_context(one))
    if BARE in wanted:
        proxies.append(stack.enter_context(bare.bare(with_origin(), pythons[0])))
    return proxies


def watch(bench: Bench, *, refuse: bool) -> Meter:
    """Measure other processes' use of the cores, warn or refuse; return the running measurement."""

    def ours() -> dict[int, float]:
        mine = time.process_time() + bench.load.cpu_seconds()
        return {PROXY_CORE: sum(proxy.cpu()[0] for proxy in bench.proxies), LOAD_CORE: mine}

    before = Meter(ours)
    time.sleep(LOOK_SECONDS)
    shares = before.shares()
    if shares.busy and refuse:
        raise SystemExit(f"bench: the machine is busy: {shares}; --although-busy writes all the same")
    if shares.busy:
        say(f"the machine is busy: {shares}")
    return Meter(ours)


def measure(bench: Bench, arguments: argparse.Namespace, meter: Meter) -> tuple[list[Section], Shares]:
    """Measure the selected sections, and the use of the cores by other processes.

    A reload comes last, because its effects would disturb the others. Its cores are not measured: the run
    time of workers that end is lost, and would count as other processes'.
    """

    def messages(key: str) -> Callable[[], Section]:
        titles = [title for name, title in arguments.only if name == key]
        return lambda: sections.messages(bench, key, titles)

    steps: dict[str, Callable[[], Section]] = {
        "idle": lambda: sections.idle(bench, arguments.idle),
        **{key: messages(key) for key in SHAPES},
        "handshakes": lambda: sections.handshakes(bench),
        "many": lambda: sections.many(bench, arguments.busy),
        "latency": lambda: sections.latency(bench),
        "reload": lambda: sections.reload(bench, repetitions=max(1, arguments.rounds // 4)),
    }
    wanted = {name for name, _ in arguments.only}
    measured = [step() for key, step in steps.items() if key in wanted and key != "reload"]
    shares = meter.shares()
    if "reload" in wanted:
        measured.append(steps["reload"]())
    return sorted(measured, key=lambda section: SECTIONS.index(section.key)), shares


def page(bench: Bench, measured: list[Section], shares: Shares, pythons: list[str]) -> str:
    """Return the tables below a line about the run."""
    facts = [f"{time.strftime('%Y-%m-%d')}, {describe_machine()}"]
    if shutil.which("nginx"):
        facts.append(version("nginx", "-v").removeprefix("nginx version: "))
    if shutil.which("haproxy"):
        facts.append(" ".join(version("haproxy", "-v").split()[:3]))
    facts += [f"Python {describe_python(python)}" for python in pythons]
    facts.append(f"{bench.rounds} rounds of {bench.milliseconds} ms")
    facts.append(f"**busy machine**: {shares}" if shares.busy else str(shares))
    if bench.shares_waited:
        waited = sorted(bench.shares_waited)[len(bench.shares_waited) // 2]
        facts.append(f"a proxy waited for its core {waited:.1%} of a slice (median)")
    parts = ["; ".join(facts) + ".", goals.table(measured), *(section.table() for section in measured)]
    return "\n\n".join(part for part in parts if part)


if __name__ == "__main__":
    main()
