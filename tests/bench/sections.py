"""The sections of the bench, a function per table. Each proxy gets its load in short slices, in turn."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from figures import Column, Samples, Section, against
from load import Group, Latencies, Load, Shape, groups, latencies
from proxy import TIMEOUT, Proxy

SHAPES = {
    "ws": (
        Shape("ping-pong", 64, 125, 1),
        Shape("one connection", 1, 125, 1),
        Shape("16 under way", 64, 125, 16),
        Shape("16 KiB", 16, 16384, 4),
    ),
    "wss": (
        Shape("ping-pong", 64, 125, 1, tls=True),
        Shape("16 under way", 64, 125, 16, tls=True),
        Shape("16 KiB", 16, 16384, 4, tls=True),
    ),
}
BEGUN = time.monotonic()
PING_PONG = SHAPES["ws"][0]
FEW = 100
RELOAD_CONNECTIONS, RELOAD_RATE = 1000, 10_000
RELOAD_PATIENCE = 20  # seconds, for the new configuration and for the end of the old one's processes


@dataclass(slots=True)
class Bench:
    """A run: the load, the proxies, and the amount to measure.

    The first proxy is the base of ratios. `milliseconds`: of a slice. `shares_waited`: the share of each
    slice during which the proxy waited for its core.
    """

    load: Load
    proxies: list[Proxy]
    rounds: int
    milliseconds: int
    shares_waited: list[float] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Return the name of the base of ratios."""
        return self.proxies[0].name

    @property
    def untuned(self) -> list[Proxy]:
        """Return the proxies of every table."""
        return [proxy for proxy in self.proxies if not proxy.tuned]

    def fitting(self, shape: Shape) -> list[Proxy]:
        """Return the proxies that can carry a shape."""
        return [proxy for proxy in self.proxies if proxy.tls_port or not shape.tls]

    def in_turn(self, some: list[Group], rounds: int, ask: Callable[[Group], float]) -> Samples:
        """Run a command for each group, round by round after a warm-up."""
        samples: Samples = {group.proxy.name: [] for group in some}
        for number in range(rounds + 1):
            # Forward and backward in turn, so that a drift of the machine's speed favours no proxy.
            for group in some if number % 2 else reversed(some):
                figure = ask(group)
                if number:
                    samples[group.proxy.name].append(figure)
        return samples

    def cost(self, group: Group, connections: int | None = None) -> float:
        """Return the proxy's CPU µs per message in a slice."""
        begun = time.perf_counter()
        done = group.run(self.milliseconds, connections)
        self.shares_waited.append(group.waited / (time.perf_counter() - begun))
        return group.cpu / done * 1e6


def messages(bench: Bench, key: str, titles: list[str]) -> Section:
    """Measure the CPU per message of the shapes whose titles contain one of these."""
    columns, note = [], ""
    for shape in SHAPES[key]:
        if any(title in shape.title for title in titles):
            say(f"{key}: {shape.title}")
            with groups(bench.load, bench.fitting(shape), shape) as some:
                if shape.tls:
                    note = same_tls(some)
                samples = bench.in_turn(some, bench.rounds, bench.cost)
            columns.append(Column(shape.title, samples, against(samples, bench.base)))
    return Section(key, key, "CPU µs per message", columns, note)


def handshakes(bench: Bench) -> Section:
    """Measure the CPU per opened connection: accept, TLS, upgrade, dial, the origin's 101, the answer.

    The further columns count the ends too: from the client's to the close of the connection to the origin. A
    relay may spread their cost over its next seconds, so they must be over before the next slice.
    """
    columns, whole_columns = [], []
    for scheme, tls in (("ws", False), ("wss", True)):
        for title, at_once in (("one at a time", 1), ("16 at once", 16)):
            say(f"handshakes: {scheme}, {title}")

            whole: Samples = {}

            def opened(group: Group, at_once: int = at_once, whole: Samples = whole) -> float:
                cost = int(group.call("open", 100, at_once)) and group.cpu / 100 * 1e6
                group.call("shut")
                whole.setdefault(group.proxy.name, []).append(cost + group.cpu / 100 * 1e6)
                group.run(20)  # an answer of the proxy shows that it has processed the ends
                return cost

            shape = Shape(title, 1, 125, 1, tls)
            with groups(bench.load, bench.fitting(shape), shape) as some:
                samples = bench.in_turn(some, bench.rounds, opened)
            columns.append(Column(f"{scheme}, {title}", samples, against(samples, bench.base)))
            whole = {name: of[1:] for name, of in whole.items()}  # without the warm-up, as `samples`
            whole_columns.append(Column(f"{scheme}, {title}, and closed", whole, against(whole, bench.base)))
    return Section("handshakes", "Handshakes", "CPU µs per connection opened", columns + whole_columns)


def idle(bench: Bench, connections: int) -> Section:
    """Measure the growth of PSS per idle connection over that many connections."""
    say(f"{connections} idle connections")
    grown: Samples = {}
    for proxy in bench.proxies:
        with groups(bench.load, [proxy], Shape("idle", 20, 125, 1)) as (group,):
            group.run(50)
            before = proxy.pss_bytes()
            group.call("open", connections, 16)
            group.run(50)  # an answer of the proxy shows that it has accepted all
            grown[proxy.name] = [(proxy.pss_bytes() - before) / connections]
    column = Column(f"{connections:,} connections", grown)
    return Section("idle", "Idle connections", "bytes of PSS per connection", [column])


def many(bench: Bench, most: int) -> Section:
    """Measure the CPU per message with a growing part of the open connections busy, as ratios to 100."""
    steps = [step for step in (FEW, 1000, 5000, 10_000) if step * 1.2 < most] + [most]
    costs: dict[int, Samples] = {step: {} for step in steps}
    for proxy in bench.untuned:
        say(f"{most} busy connections: {proxy.name}")
        with groups(bench.load, [proxy], Shape("many", most, 125, 1)) as (group,):
            for number in range(max(3, bench.rounds // 3) + 1):
                for step in steps if number % 2 else reversed(steps):
                    cost = bench.cost(group, step)
                    if number:
                        costs[step].setdefault(proxy.name, []).append(cost)
    columns = [
        Column(f"{step:,}", samples, costs[FEW] if step != FEW else {}) for step, samples in costs.items()
    ]
    return Section("many", "Busy connections", "CPU µs per message, ping-pong", columns)


def latency(bench: Bench) -> Section:
    """Measure the time to an echo at half of saturation: each proxy's own, and the first proxy's."""
    say("latency")
    with groups(bench.load, bench.untuned, PING_PONG) as some:
        costs = bench.in_turn(some, 3, bench.cost)
        half = {name: 0.5e6 / statistics.median(of) for name, of in costs.items()}
        late: list[float] = []
        own = _open_loop(bench, some, half, late)
        same = _open_loop(bench, some, dict.fromkeys(half, half[bench.base]), late)
    rate = f"at {half[bench.base]:,.0f}/s"
    p99 = {name: [one.p99 for one in of] for name, of in same.items()}
    columns = [
        Column("messages/s at half of its own saturation", {name: [value] for name, value in half.items()}),
        Column("median", {name: [one.median for one in of] for name, of in own.items()}),
        Column("p99", {name: [one.p99 for one in of] for name, of in own.items()}),
        Column(f"median {rate}", {name: [one.median for one in of] for name, of in same.items()}),
        Column(f"p99 {rate}", p99, against(p99, bench.base)),
    ]
    note = (
        f"The load sent its messages up to {statistics.median(late):.0f} µs late (p99, median of the slices)."
    )
    return Section("latency", "Latency at half of saturation", "µs to the echo", columns, note)


def _open_loop(
    bench: Bench, some: list[Group], per_second: dict[str, float], late: list[float]
) -> dict[str, list[Latencies]]:
    seen: dict[str, list[Latencies]] = {group.proxy.name: [] for group in some}

    def ask(group: Group) -> float:
        name = group.proxy.name
        seen[name].append(group.rate(per_second[name], bench.milliseconds))
        late.append(seen[name][-1].late)
        return 0.0

    bench.in_turn(some, bench.rounds, ask)
    return {name: of[1:] for name, of in seen.items()}


@dataclass(frozen=True, slots=True)
class Reload:
    """The effect of one change of the configuration on connections that echo."""

    closed: int
    quiet_pause: float  # the longest latency without a change, ms
    pause: float  # the longest with one, ms
    cpu: float  # ms more than without
    memory: float  # KiB of PSS more than before


def reload(bench: Bench, repetitions: int) -> Section:
    """Measure a change of the configuration while connections echo."""
    results: dict[str, list[Reload]] = {}
    for proxy in bench.untuned:
        say(f"reload: {proxy.name}")
        results[proxy.name] = [
            _reload(bench, proxy, TIMEOUT + number) for number in range(1, repetitions + 1)
        ]

    def column(title: str, name: str) -> Column:
        return Column(title, {proxy: [getattr(one, name) for one in of] for proxy, of in results.items()})

    columns = [
        column(f"closed of {RELOAD_CONNECTIONS:,}", "closed"),
        column("longest echo without, ms", "quiet_pause"),
        column("longest echo with, ms", "pause"),
        column("CPU added, ms", "cpu"),
        column("PSS added, KiB", "memory"),
    ]
    return Section("reload", "Reload under load", "a changed timeout to the origin", columns)


def _reload(bench: Bench, proxy: Proxy, timeout: int) -> Reload:
    alone = len(proxy.processes())
    milliseconds = 10 * bench.milliseconds
    with groups(bench.load, [proxy], Shape("reload", RELOAD_CONNECTIONS, 125, 1)) as (group,):
        group.rate(RELOAD_RATE, bench.milliseconds)
        quiet = group.rate(RELOAD_RATE, milliseconds)
        quiet_cpu, pss, before = group.cpu, proxy.pss_bytes(), proxy.cpu()[0]
        bench.load.send("rate", group.number, RELOAD_CONNECTIONS, RELOAD_RATE, milliseconds)
        time.sleep(bench.milliseconds / 1e3)
        proxy.change(timeout)
        loud = latencies(bench.load.answer())
        cpu, grown = proxy.cpu()[0] - before - quiet_cpu, proxy.pss_bytes() - pss
        _wait(proxy.changed, f"{proxy.name} did not take its new configuration")
    _wait(lambda: len(proxy.processes()) == alone, f"{proxy.name} kept processes without connections")
    return Reload(loud.closed, quiet.longest / 1e3, loud.longest / 1e3, cpu * 1e3, grown / 1024)


def _wait(done: Callable[[], bool], failure: str) -> None:
    patience = time.monotonic() + RELOAD_PATIENCE
    while not done():
        if time.monotonic() > patience:
            raise SystemExit(f"bench: {failure}")
        time.sleep(0.05)


def same_tls(some: list[Group]) -> str:
    """Return the agreed TLS parameters; raises SystemExit if they differ between proxies."""
    facts = {group.proxy.name: group.load.call("tls", group.number).rpartition(" tickets=") for group in some}
    agreed = {what for what, _, _ in facts.values()}
    if len(agreed) > 1:
        raise SystemExit(f"bench: TLS differs: {facts}")
    tickets = ", ".join(f"{name}: {float(count):.0f}" for name, (_, _, count) in facts.items())
    return f"{agreed.pop()} for all; session tickets that the proxy sends unasked: {tickets}."


def say(what: str) -> None:
    """Print the present step with its time."""
    print(f"bench: {time.monotonic() - BEGUN:4.0f} s, {what}", file=sys.stderr)
