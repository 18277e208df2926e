"""Faults under traffic, in the system as the chart installs it.

Each test breaks one part while clients exchange messages. It asserts the user's message, that other parts
serve, that the fault heals without help, and that the statistics have exactly the bytes that clients counted.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from quickstart.room import Rooms
from websockets.asyncio.server import serve

from support.faults.client import Crowd
from support.faults.edge import (
    ROOM_ORIGIN,
    ROOM_PORT,
    STATISTICS,
    Bystander,
    Site,
    account,
    aside,
    await_restarted,
    identities,
    kill,
    meanwhile,
    metric,
    only_pod,
    open_connections,
    open_room,
    process_of,
)
from support.operator.cluster import Place, plan
from support.operator.keys import certificate, secret
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.comparison.counts import REPORT_SECONDS, agree

GOING_AWAY = 1001
# docs/relay/metrics.md: a killed relay loses at most the last second's bytes; more on a busy machine.
QUIET_SECONDS = 4.0

MakeSite = Callable[..., Site]


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    with account(installed) as place:
        open_room(place)
        yield place


@pytest.fixture(scope="module")
def neighbour(place: Place) -> Iterator[Site]:
    """Serve a domain that no test breaks."""
    site = Site(place)
    site.await_serving()
    yield site
    site.remove()


@pytest.fixture
def make_site(place: Place) -> Iterator[MakeSite]:
    """Return a function that creates served domains, and delete them at the end."""
    made: list[Site] = []

    def make(**spec: Any) -> Site:
        made.append(Site(place, **spec))
        made[-1].await_serving()
        return made[-1]

    yield make
    for site in made:
        site.remove()


@pytest.fixture
def system(installed: Cluster) -> Place:
    """Return the namespace of operator and statistics."""
    return Place(installed, SYSTEM)


def operator_pod(system: Place) -> dict[str, Any]:
    return only_pod(system, "app.kubernetes.io/name=wsedge-operator")


def statistics_pod(system: Place) -> dict[str, Any]:
    return only_pod(system, f"app.kubernetes.io/name={STATISTICS}")


def trusting(chain: bytes) -> ssl.SSLContext:
    """Return a TLS context that trusts only this certificate."""
    context = ssl.create_default_context(cadata=chain.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the certificate is its own authority
    return context


def pair(name: str, chain: bytes, key: bytes) -> dict[str, Any]:
    return secret(name, {"tls.crt": chain, "tls.key": key}, "kubernetes.io/tls")


async def test_a_missing_tls_secret_delays_wss_alone(make_site: MakeSite, place: Place) -> None:
    """The condition names field and Secret; ws continues, wss works once the Secret exists; no restart."""
    site = make_site()
    before = identities(site.pods())
    name = f"{site.name}-tls"
    await site.crowd.enter(site.door())
    site.patch(tls={"secretName": name})
    told = await meanwhile(site.crowd, aside(place.await_reason, site.resource, "Ready", "SecretNotFound"))
    assert told["message"] == f'spec.tls.secretName: Secret "{name}" not found'
    await site.crowd.enter(site.door())

    chain, key = certificate(site.host)
    place.apply(pair(name, chain, key))
    await meanwhile(site.crowd, aside(site.await_serving))
    await site.crowd.enter(site.door(trusting(chain)))
    await site.crowd.talk()
    assert site.crowd.counts.open == 3
    assert identities(site.pods()) == before
    await site.settle()


async def test_a_key_of_another_certificate_leaves_the_old_pair_in_use(
    make_site: MakeSite, place: Place
) -> None:
    """The condition names the Secret, wss uses the last valid pair, and the right key alone heals it."""
    site = make_site()
    name = f"{site.name}-tls"
    (old, old_key), (new, new_key) = certificate(site.host), certificate(site.host)
    place.apply(pair(name, old, old_key))
    site.patch(tls={"secretName": name})
    await aside(site.await_serving)
    before = identities(site.pods())
    await site.crowd.enter(site.door(trusting(old)))

    place.patch(f"secret/{name}", {"data": pair(name, new, old_key)["data"]})
    mismatch = aside(place.await_reason, site.resource, "Ready", "CertificateMismatch")
    assert (await meanwhile(site.crowd, mismatch))["message"] == (
        f'spec.tls.secretName: Secret "{name}": '
        "the key in tls.key does not belong to the certificate in tls.crt"
    )
    await site.crowd.enter(site.door(trusting(old)))

    place.patch(f"secret/{name}", {"data": pair(name, new, new_key)["data"]})
    await meanwhile(site.crowd, aside(place.await_reason, site.resource, "Ready", "Serving"))
    await site.crowd.enter(site.door(trusting(new)))
    with pytest.raises(ssl.SSLCertVerificationError):
        await Crowd().enter(site.door(trusting(old)))
    assert site.crowd.counts.open == 3
    assert identities(site.pods()) == before
    await site.settle()


async def test_clients_read_that_an_origins_name_does_not_resolve(
    make_site: MakeSite, neighbour: Site
) -> None:
    """The client's 502 has the cause and is counted; an edit heals it without a restart of the relay."""
    site = make_site(origins=[{"host": "nowhere.invalid"}])
    before = identities(site.pods())
    async with Bystander(neighbour):
        refused = await site.crowd.refusal(site.door())
        assert (refused.status, refused.text) == (
            502,
            "The origin cannot be used: its name does not resolve.\n",
        )
        site.patch(origins=[ROOM_ORIGIN])
        await aside(site.await_serving)
        await site.crowd.enter(site.door())
    assert identities(site.pods()) == before
    await site.settle()
    assert await site.codes() == {101: 1, 502: 1}


async def test_an_origin_that_refuses_heals_when_it_comes_up(make_site: MakeSite, neighbour: Site) -> None:
    """The client's 502 has the cause, the log names the origin; once it listens, clients connect unedited."""
    with socket.socket() as origin:
        origin.bind(("127.0.0.1", 0))  # bound, not listening: refused, and no other process gets the port
        site = await aside(
            lambda: make_site(origins=[{"host": "127.0.0.1", "httpPort": origin.getsockname()[1]}])
        )
        before = identities(site.pods())
        async with Bystander(neighbour):
            for _ in range(2):
                refused = await site.crowd.refusal(site.door())
                assert (refused.status, refused.text) == (
                    502,
                    "The origin cannot be used: it refused the connection.\n",
                )
            async with serve(Rooms().watch, sock=origin):
                await site.crowd.enter(site.door())
                await site.crowd.leave()
        said = [line for line in site.log() if line["event"] == "origin failed"]
        assert [(line["domain"], line["origin"], line["reason"]) for line in said] == [
            (site.host, "127.0.0.1", "refused")
        ] * 2
        assert identities(site.pods()) == before
        await site.settle()
        assert await site.codes() == {101: 1, 502: 2}


async def test_traffic_goes_on_without_the_statistics(make_site: MakeSite, system: Place) -> None:
    """Without statistics clients continue and new ones connect; later every byte is reported."""
    site = make_site()
    (relay,) = site.pods()
    await site.crowd.enter(site.door(), number=2)
    system.kubectl("scale", f"statefulset/{STATISTICS}", "--replicas=0")
    try:
        await meanwhile(site.crowd, aside(system.await_gone, f"pod/{STATISTICS}-0"))
        await site.crowd.talk_until(lambda: metric(relay, "usage_reports_failed_total") > 0)
        await site.crowd.enter(site.door())
        assert site.place.condition(site.resource, "Ready")["reason"] == "Serving"
        said = next(line for line in site.log() if line["event"] == "usage report failed")
        # Refused, or reset while the Service's listener closes.
        assert "/ingest/v1/usage: [Errno " in said["reason"]
    finally:
        system.kubectl("scale", f"statefulset/{STATISTICS}", "--replicas=1")
    await meanwhile(site.crowd, aside(await_rolled_out, system, f"statefulset/{STATISTICS}"))
    assert site.crowd.counts.open == 3
    await site.crowd.leave()
    await site.agreement()


async def test_killed_statistics_restart_with_their_ledger(make_site: MakeSite, system: Place) -> None:
    """After SIGKILL under reports the ledger has the old counts on the same volume, and all new ones."""
    site = make_site()
    await site.crowd.enter(site.door(), number=2)
    counted = await site.agreement()
    pod = statistics_pod(system)
    kill(system.cluster, pod)
    await meanwhile(site.crowd, aside(await_restarted, system, pod))
    async with await site.statistics() as statistics:
        kept = await statistics.wait_for(lambda one: one.sent > 0, seconds=REPORT_SECONDS)
    assert kept.sent >= counted.sent > 0
    assert (kept.opened, kept.switched) == (counted.opened, counted.switched)
    assert site.crowd.counts.open == 2
    await site.settle()


async def test_a_killed_operator_restarts_and_applies_missed_edits(
    make_site: MakeSite, system: Place
) -> None:
    """After SIGKILL the operator restarts and applies an edit made meanwhile; no client disconnects."""
    site = make_site()
    before, operator = identities(site.pods()), operator_pod(system)
    await site.crowd.enter(site.door(), number=2)
    kill(system.cluster, operator)
    site.patch(websocket={"heartbeatSeconds": 7})
    await meanwhile(site.crowd, aside(await_restarted, system, operator))
    await meanwhile(site.crowd, aside(site.await_serving))
    assert site.place.config(site.name)["domains"][0]["heartbeatSeconds"] == 7
    assert site.crowd.counts.open == 2
    assert identities(site.pods()) == before
    await site.settle()


async def test_a_killed_relay_loses_no_byte_of_before_its_last_second(
    make_site: MakeSite, neighbour: Site
) -> None:
    """After SIGKILL with unreported bytes the relay restarts, clients reconnect, and the sum is exact."""
    site = make_site()
    (relay,) = site.pods()
    clients = await site.crowd.enter(site.door(), number=2)
    async with Bystander(neighbour), await site.statistics() as statistics, asyncio.timeout(180):
        unreported = False
        while not unreported:
            await site.agreement_of(statistics)  # all was just reported; the next report is 10 s away
            await site.crowd.talk()
            await asyncio.sleep(QUIET_SECONDS)
            unreported = not agree(site.crowd.counts, await statistics.ask())
        kill(site.place.cluster, relay)
        assert not agree(site.crowd.counts, await statistics.ask())
        for client in clients:
            await client.ended.wait()
            assert client.close_code is None
        await aside(await_restarted, site.place, relay)
        await site.crowd.enter(site.door(), number=2)
    assert identities(site.pods()) == {relay["metadata"]["uid"]: 1}
    await site.crowd.leave()
    answer = await site.agreement()
    assert answer.opened == 4


async def test_a_scale_in_closes_the_connections_of_one_relay(make_site: MakeSite) -> None:
    """New clients connect to the second relay; its removal sends 1001 to them and to no other client."""
    site = make_site()
    await site.crowd.enter(site.door())
    site.scale(2)
    await meanwhile(site.crowd, aside(site.await_relays, 2))
    await site.crowd.enter(site.door(), number=4)
    held = {pod["metadata"]["uid"]: open_connections(pod) for pod in site.pods()}
    assert sum(held.values()) == 5
    assert min(held.values()) > 0
    site.scale(1)
    await meanwhile(site.crowd, aside(site.await_relays, 1))
    (left,) = site.pods()
    stays = held.pop(left["metadata"]["uid"])
    (goes,) = held.values()
    async with asyncio.timeout(60):
        await site.crowd.talk_until(lambda: len(site.crowd.open) == stays)
    assert [each.close_code for each in site.crowd.clients if not each.is_open] == [GOING_AWAY] * goes
    await site.settle()


async def test_switching_off_closes_every_connection_with_going_away(make_site: MakeSite) -> None:
    """Clients get 1001 over the drain time, new ones 503, then no port is open; on again, they connect."""
    site = make_site(lifecycle={"drainSeconds": 15})
    first, second = await site.crowd.enter(door := site.door(), number=2)
    site.patch(websocket={"enabled": False})
    async with asyncio.timeout(60):
        await asyncio.wait(
            [asyncio.create_task(each.ended.wait()) for each in (first, second)],
            return_when="FIRST_COMPLETED",
        )
    refused = await site.crowd.refusal(door)
    assert (refused.status, refused.text) == (503, "WebSocket connections to this domain are disabled.\n")
    assert "\r\nRetry-After: " in refused.head
    assert site.crowd.counts.open == 1
    await aside(site.place.await_reason, site.resource, "Ready", "Disabled")
    assert (first.close_code, second.close_code) == (GOING_AWAY, GOING_AWAY)
    assert site.pods() == []
    with pytest.raises(ConnectionRefusedError):
        await Crowd().enter(door)

    site.patch(websocket={"enabled": True})
    await aside(site.await_serving)
    await site.crowd.enter(site.door())
    await site.settle()
    assert await site.codes() == {101: 3, 503: 1}


async def test_a_deleted_daily_plan_serves_until_the_day_is_over(installed: Cluster, place: Place) -> None:
    """The condition has the end; until then clients connect; the same plan applied again cancels the end."""
    zone, midnight = zone_at_noon(datetime.now(UTC))
    with account(installed, timeZone=zone) as own:
        room = place.get("service/room")
        assert room is not None
        site = Site(own, origins=[{"host": room["spec"]["clusterIP"], "httpPort": ROOM_PORT}])
        await aside(site.await_serving)
        before = identities(site.pods())
        await site.crowd.enter(site.door())
        own.kubectl("delete", "bp/plan")
        ending = aside(own.await_reason, site.resource, "PlanEffective", "Ending")
        told = await meanwhile(site.crowd, ending)
        assert told["status"] == "True"
        assert told["message"].endswith(f"; ends at {midnight:%Y-%m-%dT%H:%M:%SZ}")
        assert own.condition(site.resource, "Ready")["reason"] == "Serving"
        await site.crowd.enter(site.door())

        own.apply(plan(timeZone=zone))
        await meanwhile(site.crowd, aside(own.await_reason, site.resource, "PlanEffective", "Effective"))
        assert site.crowd.counts.open == 2
        assert identities(site.pods()) == before
        await site.settle()


def zone_at_noon(now: datetime) -> tuple[str, datetime]:
    """Return a zone in which it is past noon, so that no day ends during a test, and its next midnight."""
    ahead = 12 - now.hour
    zone = f"Etc/GMT{-ahead:+d}"  # POSIX signs: Etc/GMT-3 is three hours ahead
    return zone, now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=12)


def await_rolled_out(system: Place, workload: str) -> None:
    system.kubectl("rollout", "status", workload, "--timeout=120s")


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


# Last in this file: for a while after an outage the control plane is slow to start a new pod.
async def test_clients_do_not_notice_an_outage_of_the_api_server(
    make_site: MakeSite, system: Place, neighbour: Site
) -> None:
    """In an outage longer than the operator's Lease clients connect and are counted; then an edit applies."""
    site = make_site()
    before, door, cluster = identities(site.pods()), site.door(), system.cluster
    operator = operator_pod(system)
    process = process_of(cluster, operator)
    await site.crowd.enter(door, number=2)
    async with Bystander(neighbour), await site.statistics() as statistics:
        cluster.stop_apiserver()
        minute = asyncio.create_task(asyncio.sleep(60))  # the outage's duration is under test
        try:
            await site.crowd.talk_until(lambda: not is_alive(process) and minute.done(), seconds=90)
            await site.crowd.enter(door)
            await site.agreement_of(statistics)
        finally:
            await aside(cluster.start_apiserver)
        site.patch(websocket={"heartbeatSeconds": 7})
        await meanwhile(site.crowd, aside(site.await_serving))
    assert site.place.config(site.name)["domains"][0]["heartbeatSeconds"] == 7
    last = system.kubectl("logs", f"pod/{operator['metadata']['name']}", "--previous").splitlines()[-1]
    assert "could not be renewed" in json.loads(last)["error"]
    assert site.crowd.counts.open == 3
    assert identities(site.pods()) == before
    await site.settle()
