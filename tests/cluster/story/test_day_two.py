"""A team's second day, by the docs alone: install, find a broken origin, drain a relay, read the statement.

Each command is typed as it is on its page. The cluster's pods have a clock that the test steps, because a
statement has the five-minute values that are over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.documented import ROOT, commands, type_by_hand
from support.faults.client import Crowd, Door, Refused
from support.faults.clock import StepClock
from support.faults.edge import aside, ask, open_connections
from support.kubectl_plugin import User, administrator
from support.operator.cluster import Place, until
from support.promql import History, Scrape, shown_by
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.comparison.counts import REPORT_SECONDS, agree
from wsedge_devcluster.comparison.statistics import Statistics
from wsedge_devcluster.quickstart.quickstart import DOMAIN, NAMESPACE, find_places, token

PAGE = "docs/quickstart.md"
ALERT = "WsedgeOriginsFail"
RELAYS = "app.kubernetes.io/name=wsedge-relay"
GOING_AWAY = 1001
FINE = "Nothing is wrong."


@dataclass
class Team:
    """A cluster, its administrator, and the clients of the quickstart's domain."""

    cluster: Cluster
    clock: StepClock
    crowd: Crowd = field(default_factory=Crowd)
    history: History = field(default_factory=lambda: History(namespace=NAMESPACE))

    @property
    def place(self) -> Place:
        return Place(self.cluster, NAMESPACE)

    @property
    def user(self) -> User:
        return administrator(self.place)

    @property
    def door(self) -> Door:
        host, _, port = find_places(self.cluster).relay.rpartition(":")
        return Door(host, int(port), DOMAIN)

    async def type(self, *lines: str) -> str:
        """Type commands; `status` may end with 8, which says that something is wrong."""
        typed = (f"{line} || test $? = 8" if " status chat" in line else line for line in lines)
        return await aside(type_by_hand, self.cluster, 'export PATH="$PWD/.venv/bin:$PATH"', *typed)

    async def await_status(self, code: int) -> None:
        """Wait until `kubectl wsedge status` ends with this code."""
        words = ("status", "chat", "--window=0")
        await aside(until, f"status {code}", lambda: self.user.wsedge(*words).code == code, 60)

    def pods(self) -> dict[str, Any]:
        """Return the relays' pods by name."""
        return {pod["metadata"]["name"]: pod for pod in self.place.items("pod", RELAYS)}

    async def fill(self) -> dict[str, int]:
        """Let clients enter until each relay has some; return the open connections by pod."""
        pods = await aside(self.pods)
        async with asyncio.timeout(60):
            while True:
                await self.crowd.enter(self.door)
                counts = {name: await aside(open_connections, pod) for name, pod in pods.items()}
                if min(counts.values()) >= 2:
                    return counts

    async def pass_minutes(self, minutes: int, *, code: int) -> None:
        """Let a client try and Prometheus scrape, once in each minute; the client is answered `code`."""
        pods, door = await aside(self.pods), await aside(lambda: self.door)
        scrapes: dict[str, Scrape] = {
            name: partial(aside, ask, pod, "/metrics") for name, pod in pods.items()
        }
        for _ in range(minutes):
            answered = 101
            try:
                (client,) = await self.crowd.enter(door)
                await client.leave()
            except Refused as refused:
                answered = refused.status
            assert answered == code
            await self.history.pass_minute_of_pods(scrapes)

    def panel(self, title: str) -> dict[str, float]:
        """Return what a panel of the relays' dashboard shows now, by the values of its legend."""
        dashboard = json.loads((ROOT / "charts/wsedge/dashboards/wsedge-relays.json").read_text("utf-8"))
        (shown, *_) = [each for each in shown_by(dashboard) if each.title == title]
        (found,) = self.history.query(shown.expr)
        return {" ".join(one["labels"][name] for name in shown.legend): float(one["value"]) for one in found}


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """Install as the README says, on a cluster of its own."""
    clock = StepClock(tmp_path)
    with Cluster(backoff_scale=0.1, variables=clock.variables) as cluster:
        lines = commands("README.md", "By hand")
        start = next(index for index, line in enumerate(lines) if line.startswith("helm install"))
        end = next(index for index, line in enumerate(lines) if line.startswith("RELAY="))
        type_by_hand(cluster, *lines[start:end])
        yield Team(cluster, clock)


async def find_the_broken_origin(team: Team) -> None:
    """Find it by `kubectl wsedge status`, on the dashboard and in an alert, until the origin runs again."""
    lines = commands(PAGE, "When something breaks")
    broken = next(index for index, line in enumerate(lines) if line.endswith("--replicas=0"))
    mended = next(index for index, line in enumerate(lines) if line.endswith("--replicas=1"))
    await team.fill()
    assert FINE in await team.type(*lines[:broken])
    await team.pass_minutes(6, code=101)
    assert team.history.state(ALERT) == ""
    assert set(team.panel("Healthy").values()) == {1.0}

    clients = team.crowd.open
    await team.type(lines[broken])
    await team.await_status(8)
    said = await team.type(*lines[broken + 1 : mended])
    assert "WRONG  The only origin (Service room at " in said, said
    assert "does not answer: new clients get an error." in said
    assert 'reason="refused"' in said
    assert "0/0" in said
    await team.pass_minutes(11, code=502)
    (alert,) = team.history.alerts(ALERT)
    assert (alert.state, alert.labels["namespace"], alert.labels["domain"]) == ("firing", NAMESPACE, DOMAIN)
    assert set(team.panel("Healthy").values()) == {0.0}
    assert team.panel("Handshakes by HTTP status")["502"] > 0
    assert team.panel("Failures")[f"{NAMESPACE} {DOMAIN} refused"] > 0
    assert {client.close_code for client in clients} == {GOING_AWAY}  # the room's own word

    await team.type(*lines[mended : mended + 2])
    await team.await_status(0)
    assert FINE in await team.type(*lines[mended + 2 :])
    await team.pass_minutes(6, code=101)
    assert team.history.state(ALERT) == ""
    assert set(team.panel("Healthy").values()) == {1.0}


async def drain_a_relay(team: Team) -> None:
    """Drain one: its clients get 1001; those of the other relay exchange messages all the time."""
    lines = commands(PAGE, "Drain a relay")
    assert lines[0].startswith("RELAY=")
    counts = await team.fill()
    clients = team.crowd.open
    said = await team.type(*lines[:-1], 'echo "drained: $RELAY"')
    drained = said.rpartition("drained: ")[2].strip()
    assert f"relay {drained} drains" in said
    assert f"The relay {drained} drains and refuses new clients." in said
    pods = await aside(team.pods)
    await team.crowd.talk_until(lambda: open_connections(pods[drained]) == 0)
    closed = [client for client in clients if not client.is_open]
    assert [client.close_code for client in closed] == [GOING_AWAY] * counts[drained]
    assert len(clients) == sum(counts.values())
    await team.type(lines[0], lines[-1])
    await aside(until, "the pod is replaced", lambda: drained not in team.pods() and len(team.pods()) == 2)
    await aside(team.place.await_reason, "wsd/chat", "Ready", "Serving")
    await team.await_status(0)
    await team.crowd.talk()
    assert len(team.crowd.open) == len(clients) - len(closed)
    await team.crowd.enter(team.door)


async def read_the_statement(team: Team) -> None:
    """Find each byte of the clients in it, also those of the outage and of the drain."""
    await team.crowd.leave()
    counts = team.crowd.counts
    url, bearer = (await aside(find_places, team.cluster)).statistics, await aside(token, team.cluster)
    async with Statistics(url, bearer, domain=DOMAIN) as statistics:
        answer = await statistics.wait_for(lambda one: agree(counts, one), seconds=REPORT_SECONDS)
    assert agree(counts, answer), (counts, answer)
    team.clock.step(timedelta(minutes=7))
    lines = commands(PAGE, "Read the statement")
    said = await team.type(*lines)
    assert said.startswith("PERIOD"), said
    assert f"{NAMESPACE}, " in said
    # The story may pass a midnight of the plan's zone: then it is in two statements.
    listed = (await aside(team.user.wsedge, "statement", "--output=json")).json()["statements"]
    words = [("statement", one["period"], "--output=json") for one in listed]
    found = [(await aside(team.user.wsedge, *each)).json() for each in words]
    assert {one["state"] for one in found} == {"Open"}
    assert bytes_of(json.loads(said[said.index("{") :])) in [bytes_of(one) for one in found]
    assert sum(bytes_of(one) for one in found) == counts.received > 0


def bytes_of(statement: Any) -> int:
    """Return the bytes to clients that a statement has, billed or not."""
    return sum(line["bytes"] for line in statement["lines"]) + int(statement["bytesWithoutTerms"])


async def test_a_newcomer_gets_through_a_bad_day_by_the_docs_alone(team: Team) -> None:
    """`status`, dashboard and alert tell of a broken origin; a relay drains; the statement has each byte."""
    await find_the_broken_origin(team)
    await drain_a_relay(team)
    await read_the_statement(team)
