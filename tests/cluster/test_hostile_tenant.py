"""Two tenants, one hostile: she reads, stops or uses nothing of the other without being metered.

Mallory has the rights of a tenant: the role `edit` of a namespace with a plan. Her neighbour's clients
exchange messages during each attempt, and at the end the statistics have exactly the bytes that they counted.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from support.devcluster import eventually, python
from support.faults.client import Refused
from support.faults.edge import STATISTICS, Site, account, aside, identities, meanwhile, open_room
from support.operator.cluster import Place, domain, plan, record_name, record_of, until
from support.statistics.build import recent_bucket, report, row
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed
from wsedge_operator.runtime.accounts import MARKER

Object = dict[str, Any]
ADMIN_PORT = 9090
INVENTED = 1000


# Answers /config with a redirect to the neighbour's relay, and logs each request.
LURE = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked", self.path, flush=True)
        self.send_response(302)
        self.send_header("Location", sys.argv[1])
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
print("luring", flush=True)
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 9090), Handler).serve_forever()
"""


class Mallory:
    """A ServiceAccount with the role `edit` in its own namespace, and its kubectl."""

    def __init__(self, place: Place) -> None:
        self.place, self.name = place, place.namespace
        place.kubectl("create", "serviceaccount", "mallory")
        place.kubectl(
            "create", "rolebinding", "mallory", "--clusterrole=edit", f"--serviceaccount={self.user}"
        )
        self._me = f"--as=system:serviceaccount:{self.user}"

    @property
    def user(self) -> str:
        return f"{self.name}:mallory"

    def types(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl as Mallory; raises CommandFailed."""
        return self.place.cluster.kubectl(self._me, *arguments, input=text)

    def applies(self, *objects: Object) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.types("apply", f"--namespace={self.name}", "--filename=-", text=json.dumps(document))

    def token(self, pod: Object) -> str:
        """Return a token for the statistics that is bound to one of her pods, as a relay's token is."""
        bound: tuple[str, ...] = ("--bound-object-kind=Pod", f"--bound-object-name={pod['metadata']['name']}")
        bound += (f"--bound-object-uid={pod['metadata']['uid']}",)
        audience = (f"--namespace={self.name}", "--audience=wsedge-statistics")
        return self.types("create", "token", pod["spec"]["serviceAccountName"], *audience, *bound).strip()


@pytest.fixture(scope="module")
def neighbour(installed: Cluster) -> Iterator[Site]:
    """Serve a domain of the attacked tenant; at the end every byte of its clients is in the statistics."""
    with account(installed) as place:
        open_room(place)
        site = Site(place)
        site.await_serving()
        yield site


@pytest.fixture(scope="module")
def mallory(installed: Cluster) -> Iterator[Mallory]:
    """Create the hostile tenant with a monthly plan in force, whose boundary rarely falls into a test."""
    with account(installed, billingCycle="Monthly") as place:
        yield Mallory(place)


@pytest.fixture(scope="module")
def lair(mallory: Mallory) -> Site:
    """Serve an ordinary domain of Mallory's."""
    open_room(mallory.place)
    site = Site(mallory.place)
    site.await_serving()
    return site


def call(url: str, *, body: bytes | None = None, token: str = "", host: str = "") -> tuple[int, str]:
    """Return status and answer of a request; redirects are followed, as by a careless client."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    headers |= {"Host": host} if host else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def statistics_url(cluster: Cluster) -> str:
    address, port = cluster.service_address(SYSTEM, STATISTICS)
    return f"http://{address}:{port}"


async def objects_of_the_neighbour_are_not_reached(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """She cannot read, write or enter the neighbour's domain, Secret and relay."""
    there = f"--namespace={neighbour.place.namespace}"
    attempts = [
        ("get", "websocketdomains,secrets,configmaps", there),
        ("delete", neighbour.resource, there),
        ("exec", f"deployment/{neighbour.name}-relay", there, "--", "python", "-c", "1"),
        ("get", "configmaps,secrets", f"--namespace={SYSTEM}"),
        ("patch", f"statefulset/{STATISTICS}", f"--namespace={SYSTEM}", "--patch={}"),
    ]
    for attempt in attempts:
        with pytest.raises(CommandFailed, match=r"[Ff]orbidden"):
            await aside(mallory.types, *attempt)


async def the_neighbours_numbers_are_not_read(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """Her token reads only her account; the neighbour's domain is answered as a missing one."""
    (pod,) = lair.pods()
    token = await aside(mallory.token, pod)
    base = statistics_url(neighbour.place.cluster)
    foreign = await aside(lambda: call(f"{base}/v1/traffic?domain={neighbour.host}", token=token))
    nobodys = await aside(lambda: call(f"{base}/v1/traffic?domain=nobody.example.com", token=token))
    assert foreign[0] == nobodys[0] == 404
    assert foreign[1].replace(neighbour.host, "X") == nobodys[1].replace("nobody.example.com", "X")
    other = f"{base}/v1/traffic?account={neighbour.place.namespace}"
    assert (await aside(lambda: call(other, token=token)))[0] == 403


async def forged_reports_change_nothing_of_the_neighbour(
    mallory: Mallory, neighbour: Site, lair: Site
) -> None:
    """With her pod's token she can report neither for the neighbour's account nor for his domain."""
    (pod,) = lair.pods()
    token = await aside(mallory.token, pod)
    url = f"{statistics_url(neighbour.place.cluster)}/ingest/v1/usage"
    source = {"uid": pod["metadata"]["uid"], "pod": f"{mallory.name}/{pod['metadata']['name']}"}
    counts = {"sentBytes": 10**12, "receivedBytes": 10**12}
    bucket = recent_bucket()
    forged = {
        "his account and domain": row(
            bucket, domain=neighbour.host, account=neighbour.place.namespace, **counts
        ),
        "his domain in her account": row(bucket, domain=neighbour.host, account=mallory.name, **counts),
    }
    for what, one in forged.items():
        body = json.dumps(report(one, **source)).encode()
        status, answer = await aside(lambda body=body: call(url, body=body, token=token))
        assert status == 403, (what, answer)
    stolen = json.dumps(report(uid=neighbour.pods()[0]["metadata"]["uid"])).encode()
    assert (await aside(lambda: call(url, body=stolen, token=token)))[0] == 403


async def a_name_of_the_neighbour_is_not_grabbed(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """Her claim on his name is a conflict that names no other tenant and changes nothing."""
    await aside(mallory.applies, domain("grab", host=neighbour.host))
    told = await aside(mallory.place.await_reason, "wsd/grab", "Accepted", "DomainConflict")
    assert neighbour.place.namespace not in told["message"]
    assert neighbour.name not in json.dumps(mallory.place.get("wsd/grab")).replace(neighbour.host, "")
    assert mallory.place.get("deployment/grab-relay") is None
    await aside(mallory.types, "delete", "wsd/grab", f"--namespace={mallory.name}")
    assert neighbour.place.condition(neighbour.resource, "Ready")["reason"] == "Serving"


async def origins_inside_are_not_dialled(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """Clients of her domain with a metadata service as its origin read that the address is denied."""
    site = await aside(lambda: Site(mallory.place, origins=[{"host": "169.254.169.254"}]))
    await aside(site.await_serving)
    with pytest.raises(Refused) as refused:
        await site.crowd.enter(site.door())
    assert (refused.value.status, "denied" in refused.value.text) == (502, True), refused.value.text
    await aside(site.remove)


async def her_bills_history_is_not_hers(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """Neither the record nor a forged one makes her a new customer, whose edit would apply at once."""
    place = mallory.place
    record = record_name(place)
    attempts = [
        ("delete", record),
        ("patch", record, "--patch={}"),
        ("delete", f"configmap/{MARKER}"),  # without it the operator would import the old place again
    ]
    for attempt in attempts:
        with pytest.raises(CommandFailed, match="orbidden"):
            await aside(mallory.types, *attempt, f"--namespace={SYSTEM}")
    copy, here = "configmap/wsedge-account", f"--namespace={mallory.name}"
    await aside(place.await_created, copy)
    before = await aside(place.get, "bp/plan")
    assert before is not None
    await aside(mallory.types, "delete", copy, here)
    forged = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "wsedge-account", "labels": {"app.kubernetes.io/managed-by": "wsedge"}},
        "data": {"account.json": json.dumps({"version": 1, "periods": [], "waitingPlans": []})},
    }
    await aside(mallory.applies, forged, plan(billingCycle="Monthly", meteringMethod="Month95Bandwidth"))
    pending = "--for=jsonpath={.status.pending.meteringMethod}=Month95Bandwidth"
    await aside(place.kubectl, "wait", "bp/plan", pending, "--timeout=120s")
    after = await aside(place.get, "bp/plan")
    assert after is not None
    for field in ("current", "effectiveTime"):
        assert after["status"][field] == before["status"][field]

    def copy_is_right() -> bool:
        copied = place.get(copy)
        kept = record_of(place)["data"]["account.json"]
        return copied is not None and copied["data"] == {"account.json": kept}

    await aside(until, "the copy is as its record", copy_is_right)


async def the_ledger_is_not_filled_with_invented_domains(
    mallory: Mallory, neighbour: Site, lair: Site
) -> None:
    """A report of invented domains is refused row by row, counted, and nothing of it is stored."""
    (pod,) = lair.pods()
    token = await aside(mallory.token, pod)
    base = statistics_url(neighbour.place.cluster)
    source = {"uid": pod["metadata"]["uid"], "pod": f"{mallory.name}/{pod['metadata']['name']}"}
    bucket = recent_bucket()
    rows = [
        row(bucket, domain=f"d{number}.{mallory.name}.example", account=mallory.name, sentBytes=1)
        for number in range(INVENTED)
    ]

    def refused() -> float:
        text = call(f"{base}/metrics")[1]
        found = re.findall(r"^wsedge_statistics_refused_rows_total\S* (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    before = await aside(refused)
    body = json.dumps(report(*rows, **source)).encode()
    status, _ = await aside(lambda: call(f"{base}/ingest/v1/usage", body=body, token=token))
    assert status == 403
    assert await aside(refused) >= before + INVENTED
    domains = json.loads((await aside(lambda: call(f"{base}/v1/domains", token=token)))[1])["domains"]
    assert [each["domain"] for each in domains if each["domain"].endswith(".example")] == []


async def a_relay_is_no_origin(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """A drain request that her domain forwards to a relay's admin port is refused.

    The neighbour's relay asks for its token; her own relay does not dial itself. Loopback as such is denied
    in clusters alone, where a pod has an address that is none: here all pods are on 127.0.0.0/8, and the
    component tests of the relay (test_reach) have it.
    """
    (relay,) = neighbour.pods()
    neighbours = {"host": relay["status"]["podIP"], "httpPort": ADMIN_PORT}
    site = await aside(lambda: Site(mallory.place, origins=[neighbours], passThrough={}))
    await aside(site.await_serving)

    def drain() -> tuple[int, str]:
        door = site.door()
        return call(f"http://{door.address}:{door.port}/drain", body=b"", host=site.host)

    assert (await aside(drain))[0] == 401
    (own,) = await aside(site.pods)
    await aside(lambda: site.patch(origins=[{"host": own["status"]["podIP"], "httpPort": ADMIN_PORT}]))
    await aside(site.await_serving)
    status, text = await aside(drain)
    assert (status, "denied" in text) == (502, True), text
    for pod in (relay, own):
        assert not json.loads((await aside(call, f"http://{pod['status']['podIP']}:{ADMIN_PORT}/config"))[1])[
            "draining"
        ]
    await aside(site.remove)


async def the_neighbours_relay_is_not_drained(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """His relay's admin port refuses drain requests with no token, and with her relay's."""
    (relay,) = neighbour.pods()
    secret = await aside(lambda: lair.place.get(f"secret/{lair.name}-relay"))
    assert secret is not None
    url = f"http://{relay['status']['podIP']}:{ADMIN_PORT}"
    for token in ("", base64.b64decode(secret["data"]["admin-token"]).decode()):
        status, answer = await aside(lambda token=token: call(f"{url}/drain", body=b"", token=token))
        assert status == 401, answer
    assert not json.loads((await aside(call, f"{url}/config"))[1])["draining"]


async def a_pod_with_the_right_labels_is_not_asked(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """The operator sends no request to a pod of hers with a relay's labels, so its redirect has no effect."""
    (relay,) = neighbour.pods()
    labels = dict(lair.pods()[0]["metadata"]["labels"])
    del labels["pod-template-hash"]  # with it the ReplicaSet would count the pod as one too many
    lure = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "lure", "labels": labels},
        "spec": {
            "containers": [
                python("main", LURE, args=[f"http://{relay['status']['podIP']}:{ADMIN_PORT}/config"])
            ]
        },
    }
    await aside(mallory.applies, lure)
    await aside(mallory.place.kubectl, "wait", "pod/lure", "--for=condition=Ready", "--timeout=60s")
    await aside(lambda: lair.patch(websocket={"heartbeatSeconds": 11}))
    await aside(lair.await_serving)
    assert mallory.place.kubectl("logs", "lure") == "luring\n"
    await aside(mallory.types, "delete", "pod/lure", f"--namespace={mallory.name}", "--wait=false")


async def her_relay_is_not_taught_to_serve_uncounted(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """The operator reverts her changes to her relay's Deployment, and bytes meanwhile are counted."""
    before = await aside(lambda: lair.place.get(f"deployment/{lair.name}-relay"))
    assert before is not None
    wanted = before["spec"]["template"]["spec"]
    change = {"name": "relay", "args": ["--token-file=/nowhere"], "env": [{"name": "EXTRA", "value": "x"}]}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [change]}}}})

    def template() -> Object:
        live = lair.place.get(f"deployment/{lair.name}-relay")
        assert live is not None
        spec: Object = live["spec"]["template"]["spec"]
        return spec

    where = (f"deployment/{lair.name}-relay", f"--namespace={mallory.name}")
    await aside(mallory.types, "patch", *where, "--patch", patch)
    await aside(lambda: eventually(lambda: template() == wanted))
    await aside(lair.await_serving)
    await aside(lambda: eventually(lambda: len(lair.pods()) == 1))
    await lair.crowd.enter(lair.door())
    await lair.agreement()


ATTEMPTS = (
    objects_of_the_neighbour_are_not_reached,
    the_neighbours_numbers_are_not_read,
    forged_reports_change_nothing_of_the_neighbour,
    the_ledger_is_not_filled_with_invented_domains,
    her_bills_history_is_not_hers,
    a_name_of_the_neighbour_is_not_grabbed,
    origins_inside_are_not_dialled,
    the_neighbours_relay_is_not_drained,
    a_relay_is_no_origin,
    a_pod_with_the_right_labels_is_not_asked,
    her_relay_is_not_taught_to_serve_uncounted,
)
VISITORS = 2


async def test_a_hostile_tenant_reaches_nothing_of_another(
    mallory: Mallory, neighbour: Site, lair: Site
) -> None:
    """The neighbour's clients continue during each attempt; at the end the statistics have every byte."""
    before = identities(neighbour.pods())
    await neighbour.crowd.enter(neighbour.door(), number=VISITORS)
    for attempt in ATTEMPTS:
        await meanwhile(neighbour.crowd, attempt(mallory, neighbour, lair))
        assert neighbour.crowd.counts.open == VISITORS, attempt.__name__
        (newcomer,) = await neighbour.crowd.enter(neighbour.door())
        await newcomer.leave()
    assert identities(neighbour.pods()) == before
    await neighbour.settle()
    await lair.settle()
