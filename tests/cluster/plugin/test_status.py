"""`kubectl wsedge status` against a real API server and real relays: through the API server alone."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.faults.edge import Site, aside, site_of_a_local_room
from support.kubectl_plugin import User, grant, may_not, stranger
from support.operator.cluster import Place, domain, until
from support.relay_process import certificate


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    """Serve a domain with two relays, one of them has two workers' share of the clients."""
    async with site_of_a_local_room(place, relay={"replicas": 2, "workers": 2}) as site:
        yield site


async def test_a_domain_that_serves(site: Site, user: User) -> None:
    """Relays, connections, origins and rates are shown, nothing is wrong, and the exit code is 0."""
    await site.crowd.enter(site.door(), number=6)
    await site.crowd.talk()
    shown = (await aside(user.wsedge, "status", site.name, "--output=json")).json()
    assert shown["findings"][0] == {"severity": "Note", "text": "Nothing is wrong.", "remedy": ""}, shown
    assert (shown["domain"], shown["connections"], len(shown["relays"])) == (site.host, 6, 2)
    (origin,) = shown["origins"]
    assert (origin["down"], origin["ejected"], origin["connections"]) == (0, 0, 6)
    assert (origin["service"], origin["checked"]) == (None, False)
    assert shown["rates"]["sent_bytes"] is not None
    text = await aside(user.wsedge, "status", site.name)
    assert text.code == 0, text
    assert "Nothing is wrong." in text.out
    assert "Connections  6 open; to clients" in text.out
    (row,) = [line for line in text.out.splitlines() if line.startswith(origin["name"])]
    assert row.split()[-3:] == ["not", "checked", "6"]
    listed = await aside(user.wsedge, "status")
    assert listed.code == 0, listed
    (line,) = [line for line in listed.out.splitlines() if line.startswith(site.name)]
    assert line.split() == [site.name, site.host, "True", "(Serving)", "2/2", "6", "-"]
    everywhere = await aside(user.wsedge, "status", "--all-namespaces")
    head, *rows = everywhere.out.splitlines()
    assert head.split()[:3] == ["NAMESPACE", "NAME", "DOMAIN"]
    assert [site.place.namespace, *line.split()] in [row.split() for row in rows]
    await site.settle()


def test_an_origin_that_does_not_answer_is_named_with_what_to_do(place: Place, user: User) -> None:
    """Its health check fails at every relay: the exit code says that something is wrong."""
    check = {"intervalSeconds": 1, "timeoutSeconds": 1, "unhealthyAfter": 1}
    place.apply(domain("broken", host="broken.example.com", originHealthCheck=check))
    place.await_reason("wsd/broken", "Ready", "Serving")
    until("the origin is down", lambda: user.wsedge("status", "broken", "--window=0").code == 8)
    said = user.wsedge("status", "broken")
    assert "WRONG  The only origin (127.0.0.1:9" in said.out, said
    assert "To do: check that it runs and that relays reach its address" in said.out
    place.kubectl("delete", "wsd/broken")


def test_a_secret_that_is_missing_is_told_as_the_operator_tells_it(place: Place, user: User) -> None:
    """The condition's sentence, and the remedy of docs/status.md."""
    place.apply(domain("keyless", host="keyless.example.com", tls={"secretName": "nothing"}))
    place.await_reason("wsd/keyless", "Ready", "SecretNotFound")
    said = user.wsedge("status", "keyless")
    assert said.code == 8, said
    assert "SecretNotFound: " in said.out
    assert "To do: correct the field that the message names, or the Secret." in said.out
    place.kubectl("delete", "wsd/keyless")


def test_the_end_of_a_certificate_is_shown_and_due(place: Place, user: User) -> None:
    """It is read from the Secret of the relays; two weeks before its end it is a finding."""
    chain, key = certificate("ending.example.com")
    data = {name: base64.b64encode(text).decode() for name, text in (("tls.crt", chain), ("tls.key", key))}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": data}
    place.apply(
        secret | {"metadata": {"name": "ending-tls"}},
        domain("ending", host="ending.example.com", tls={"secretName": "ending-tls"}),
    )
    place.await_reason("wsd/ending", "Ready", "Serving")
    shown = user.wsedge("status", "ending", "--output=json").json()
    assert shown["certificateEnd"] is not None
    due = [one for one in shown["findings"] if one["text"].startswith("The certificate expires in ")]
    assert [one["severity"] for one in due] == ["Soon"]
    assert "Certificate  ends " in user.wsedge("status", "ending").out
    place.kubectl("delete", "wsd/ending", "--wait=false")


async def test_a_user_with_what_rbac_prints_may_do_it_and_nothing_else(
    site: Site, user: User, tmp_path: Path
) -> None:
    """Without it the answer names the right and prints the Role; less rights show less, and say so."""
    place = site.place
    nobody = await aside(stranger, place, tmp_path, "nobody")
    said = await aside(nobody.wsedge, "status", site.name)
    assert said.code == 3, said
    first = said.err.splitlines()[0]
    assert f"lacks a right in namespace {place.namespace}: get and list websocketdomains.wsedge.io" in first
    everywhere = await aside(nobody.wsedge, "status", "-A")
    assert everywhere.code == 3, everywhere
    assert "lacks a right in all namespaces: get and list websocketdomains.wsedge.io" in everywhere.err
    assert "kind: ClusterRole\n" in everywhere.err
    assert "secrets" not in everywhere.err
    role = said.err.partition("binds it to you:\n\n")[2]
    assert f"- {site.name}-relay-admin\n" in role
    await aside(grant, place, "nobody", role)
    await aside(until, "the right", lambda: nobody.wsedge("status", site.name).code == 0)
    shown = (await aside(nobody.wsedge, "status", site.name, "--output=json")).json()
    assert [relay["silent"] for relay in shown["relays"]] == [None, None]
    for verb, resource in (
        ("list", "secrets"),
        ("create", "pods/proxy"),
        ("get", "pods/log"),
        ("patch", "wsd"),
    ):
        await aside(may_not, place, "nobody", verb, resource)
    few = await aside(stranger, place, tmp_path, "few")
    printed = (await aside(user.wsedge, "rbac", "status")).out
    assert "# pods/proxy reaches every port of every pod of the namespace, not relays alone." in printed
    place.kubectl("create", "role", "few", "--verb=get,list", "--resource=websocketdomains.wsedge.io,pods")
    place.kubectl("create", "rolebinding", "few", "--role=few", f"--serviceaccount={place.namespace}:few")
    await aside(until, "the right", lambda: few.wsedge("status", site.name).code == 0)
    less = await aside(few.wsedge, "status", site.name)
    assert "you lack the right to get pods/proxy" in less.out
