"""Two tenants, one hostile: nothing of the other is read, stopped or served without being counted.

Mallory has what a platform team gives a tenant: the role `edit` of a namespace with a plan. Her neighbour's
clients talk during each attempt, and at the end the statistics have exactly what they counted.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from support.devcluster import eventually, python
from support.faults.client import Refused
from support.faults.edge import STATISTICS, Site, account, aside, identities, meanwhile, open_room
from support.operator.cluster import Place, domain
from support.statistics.build import recent_bucket, report, row
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed

Object = dict[str, Any]
ADMIN_PORT = 9090


# Answers /config with a redirect into the neighbour's relay, and says each request that it gets.
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
    """A ServiceAccount with the role `edit` in a namespace of its own, and what it types."""

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
        """A token for the statistics that is bound to a pod of hers, as a relay's is."""
        bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod['metadata']['name']}")
        bound += (f"--bound-object-uid={pod['metadata']['uid']}",)
        audience = (f"--namespace={self.name}", "--audience=wsedge-statistics")
        return self.types("create", "token", pod["spec"]["serviceAccountName"], *audience, *bound).strip()


@pytest.fixture(scope="module")
def neighbour(installed: Cluster) -> Iterator[Site]:
    """A domain of the tenant who is attacked; at the end every byte of its clients is in the statistics."""
    with account(installed) as place:
        open_room(place)
        site = Site(place)
        site.await_serving()
        yield site


@pytest.fixture(scope="module")
def mallory(installed: Cluster) -> Iterator[Mallory]:
    """The hostile tenant, with a plan in force."""
    with account(installed) as place:
        yield Mallory(place)


@pytest.fixture(scope="module")
def lair(mallory: Mallory) -> Site:
    """A domain of Mallory's, served as any other."""
    open_room(mallory.place)
    site = Site(mallory.place)
    site.await_serving()
    return site


def call(url: str, *, body: bytes | None = None, token: str = "") -> tuple[int, str]:
    """A request's status and answer; redirects are followed, as a careless program would."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
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
    """Neither domain nor Secret nor relay of the neighbour is read, written or entered."""
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
    """Her token reads her account alone: the neighbour's domain looks to her like one that is not there."""
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
    """With a token of a pod of hers she reports neither for the neighbour nor for his domain."""
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
    """A claim on it is a conflict that names nobody; it changes nothing, whatever becomes of it."""
    await aside(mallory.applies, domain("grab", host=neighbour.host))
    told = await aside(mallory.place.await_reason, "wsd/grab", "Accepted", "DomainConflict")
    assert neighbour.place.namespace not in told["message"]
    assert neighbour.name not in json.dumps(mallory.place.get("wsd/grab")).replace(neighbour.host, "")
    assert mallory.place.get("deployment/grab-relay") is None
    await aside(mallory.types, "delete", "wsd/grab", f"--namespace={mallory.name}")
    assert neighbour.place.condition(neighbour.resource, "Ready")["reason"] == "Serving"


async def origins_inside_are_not_dialled(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """A domain of hers that leads to a cloud's metadata service answers its clients that this is denied."""
    site = await aside(lambda: Site(mallory.place, origins=[{"host": "169.254.169.254"}]))
    await aside(site.await_serving)
    with pytest.raises(Refused) as refused:
        await site.crowd.enter(site.door())
    assert (refused.value.status, "denied" in refused.value.text) == (502, True), refused.value.text
    await aside(site.remove)


async def the_neighbours_relay_is_not_drained(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """Its admin port takes no order without its own token: not with none, and not with that of her relay."""
    (relay,) = neighbour.pods()
    secret = await aside(lambda: lair.place.get(f"secret/{lair.name}-relay"))
    assert secret is not None
    url = f"http://{relay['status']['podIP']}:{ADMIN_PORT}"
    for token in ("", base64.b64decode(secret["data"]["admin-token"]).decode()):
        status, answer = await aside(lambda token=token: call(f"{url}/drain", body=b"", token=token))
        assert status == 401, answer
    assert not json.loads((await aside(call, f"{url}/config"))[1])["draining"]


async def a_pod_with_the_right_labels_is_not_asked(mallory: Mallory, neighbour: Site, lair: Site) -> None:
    """A pod of hers that carries a relay's labels is asked nothing, so that its redirect leads nowhere."""
    (relay,) = neighbour.pods()
    labels = dict(lair.pods()[0]["metadata"]["labels"])
    del labels["pod-template-hash"]  # with it the ReplicaSet takes the pod for one too many
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
    """What she puts into its Deployment is taken out, and what passes there is counted."""
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
    a_name_of_the_neighbour_is_not_grabbed,
    origins_inside_are_not_dialled,
    the_neighbours_relay_is_not_drained,
    a_pod_with_the_right_labels_is_not_asked,
    her_relay_is_not_taught_to_serve_uncounted,
)
VISITORS = 2


async def test_a_hostile_tenant_reaches_nothing_of_another(
    mallory: Mallory, neighbour: Site, lair: Site
) -> None:
    """Attempt by attempt the neighbour's clients talk on; in the end the statistics have their every byte."""
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
