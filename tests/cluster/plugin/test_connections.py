"""`kubectl wsedge connections`, `close`, `drain` and `logs` on real relays, by rights of `rbac` alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from support.faults.edge import Site, aside, site_of_a_local_room
from support.kubectl_plugin import User, grant, may_not, stranger
from support.operator.cluster import Place, until


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    """Serve a domain with two relays of two workers, and lines of its access log."""
    async with site_of_a_local_room(
        place, relay={"replicas": 2, "workers": 2}, accessLog={"samplePercent": 100, "everySeconds": 60}
    ) as site:
        yield site


async def allowed(site: Site, user: User, folder: Path, verb: str, name: str) -> User:
    """Return a new user with the rights that `rbac VERB` prints for the domain, and no other."""
    made = await aside(stranger, site.place, folder, name)
    printed = await aside(user.wsedge, "rbac", verb, f"--domain={site.name}")
    assert printed.code == 0, printed
    await aside(grant, site.place, name, printed.out)
    return made


async def test_a_connection_is_found_and_closed_and_the_others_stay(
    site: Site, user: User, tmp_path: Path
) -> None:
    """The client gets 1001; a second close says that it is gone."""
    reader = await allowed(site, user, tmp_path, "connections", "reader")
    closer = await allowed(site, user, tmp_path, "close", "closer")
    await site.crowd.enter(site.door(), number=8)
    await site.crowd.talk()
    await aside(until, "the right", lambda: reader.wsedge("connections", site.name).code == 0)
    listed = (await aside(reader.wsedge, "connections", site.name, "--output=json")).json()
    assert len({one["id"] for one in listed}) == len(listed) == 8
    assert {one["domain"] for one in listed} == {site.host}
    assert all(one["sentBytes"] and one["clientRttSeconds"] for one in listed)
    text = await aside(reader.wsedge, "connections", site.name, "--sort=bytes", "--limit=3")
    assert text.out.splitlines()[0].split()[:3] == ["ID", "CLIENT", "SINCE"]
    assert text.out.endswith("\n3 of 8 connections\n")
    none = await aside(reader.wsedge, "connections", site.name, "--client=203.0.113.")
    assert none.out.endswith("0 connections\n")
    wanted = listed[3]["id"]
    await aside(until, "the right", lambda: closer.wsedge("close", "x/y").code == 4)
    assert (await aside(reader.wsedge, "close", wanted)).code == 3
    said = await aside(closer.wsedge, "close", wanted)
    assert (said.code, said.out) == (0, f"connection {wanted} closes\n"), said
    await aside(until, "the relay closed it", lambda: len(site.crowd.open) == 7)
    again = await aside(closer.wsedge, "close", wanted)
    assert (again.code, again.err) == (4, f"kubectl-wsedge: The connection {wanted} is not open any more.\n")
    left = (await aside(reader.wsedge, "connections", site.name, "--output=yaml")).out
    assert {one["id"] for one in yaml.safe_load(left)} == {one["id"] for one in listed} - {wanted}
    for verb, resource in (("list", "secrets"), ("create", "pods/proxy"), ("create", "pods/exec")):
        await aside(may_not, site.place, "reader", verb, resource)
    for verb, resource in (("list", "secrets"), ("get", "pods/proxy"), ("list", "pods")):
        await aside(may_not, site.place, "closer", verb, resource)


async def test_a_relay_that_is_gone_between_list_and_close(site: Site, user: User) -> None:
    """One sentence, and the code of what is not there."""
    await site.crowd.enter(site.door(), number=1)
    (one,) = (await aside(user.wsedge, "connections", site.name, "--output=json")).json()
    await aside(site.place.kubectl, "delete", "pod", one["relay"])
    said = await aside(user.wsedge, "close", one["id"])
    assert said.code == 4, said
    assert said.err.count("\n") == 1


async def test_logs_of_all_relays_are_one_and_filtered(site: Site, user: User, tmp_path: Path) -> None:
    """A client's path with an escape sequence moves no cursor; as JSON the fields are as they were."""
    reader = await allowed(site, user, tmp_path, "logs", "logreader")
    await site.crowd.enter(site.door(), number=4)
    await aside(until, "the right", lambda: reader.wsedge("logs", site.name).code == 0)
    relays = {pod["metadata"]["name"] for pod in await aside(site.pods)}
    said = await aside(reader.wsedge, "logs", site.name, "--event=listening", "--output=json")
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert {line["relay"] for line in lines} == relays
    assert {line["event"] for line in lines} == {"listening"}
    opened = await aside(reader.wsedge, "logs", site.name, "--event=connection opened", "--client=127.")
    assert len(opened.out.splitlines()) == 4, opened
    assert "\x1b" not in opened.out
    assert not (await aside(reader.wsedge, "logs", site.name, "--level=error")).out
    for verb, resource in (("list", "secrets"), ("get", "pods/proxy"), ("delete", "pods")):
        await aside(may_not, site.place, "logreader", verb, resource)


async def test_a_relay_drains_and_clients_move(site: Site, user: User, tmp_path: Path) -> None:
    """Of a pod by name; a whole domain only when that is asked for."""
    drainer = await allowed(site, user, tmp_path, "drain", "drainer")
    await site.crowd.enter(site.door(), number=6)
    first, second = sorted(pod["metadata"]["name"] for pod in await aside(site.pods))
    await aside(until, "the right", lambda: drainer.wsedge("drain", site.name).code == 2)
    refused = await aside(drainer.wsedge, "drain", site.name)
    assert "This would drain all 2 relays of" in refused.err
    said = await aside(drainer.wsedge, "drain", first, "--seconds=0")
    assert said.out.startswith(f"relay {first} drains\nDelete the pod when it is empty"), said
    await aside(
        until, "it drains", lambda: f"The relay {first} drains" in user.wsedge("status", site.name).out
    )
    shown = (await aside(user.wsedge, "status", site.name, "--output=json")).json()
    draining = {relay["name"]: relay["state"]["draining"] for relay in shown["relays"]}
    assert draining == {first: True, second: False}
    missing = await aside(drainer.wsedge, "drain", "nothing")
    assert missing.code == 4
    assert "There is neither a WebSocketDomain nor a relay pod 'nothing'" in missing.err
    for verb, resource in (("list", "secrets"), ("get", "pods/proxy"), ("delete", "pods")):
        await aside(may_not, site.place, "drainer", verb, resource)


def test_what_is_no_id_is_told(user: User) -> None:
    """What is no ID is told so, without a question to the cluster."""
    said = user.wsedge("close", "123")
    assert (said.code, said.out) == (1, "")
    assert "POD/ID" in said.err
