"""An account with a plan and a room, domains in front of it, and their clients."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml
from quickstart.room import Rooms
from websockets.asyncio.server import serve

from support.faults.client import Crowd, Door
from support.operator.cluster import Place, domain, plan, until
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.comparison.counts import REPORT_SECONDS, Answer, agree
from wsedge_devcluster.comparison.statistics import Statistics
from wsedge_devcluster.machine.children import marked_processes
from wsedge_devcluster.machine.ranges import reachable_port

ROOM = list(
    yaml.safe_load_all(
        (Path(__file__).parents[3] / "examples" / "quickstart" / "03-room.yaml").read_text("utf-8")
    )
)
ROOM_PORT = next(each["spec"]["ports"][0]["port"] for each in ROOM if each["kind"] == "Service")
ROOM_ORIGIN = {"service": {"name": "room", "port": ROOM_PORT}}
STATISTICS = "wsedge-statistics"
T = TypeVar("T")


@contextmanager
def account(cluster: Cluster, **terms: Any) -> Iterator[Place]:
    """Create a namespace with a plan in force."""
    place = Place(cluster, f"test-{uuid.uuid4().hex[:8]}")
    cluster.kubectl("create", "namespace", place.namespace)
    place.apply(plan(**terms))
    place.await_reason("bp/plan", "Ready", "Effective")
    yield place
    cluster.kubectl("delete", "namespace", place.namespace, "--wait=false")


def open_room(place: Place) -> None:
    """Run the quickstart's room, the default origin of `Site`."""
    place.apply(*({**each, "metadata": {**each["metadata"], "namespace": place.namespace}} for each in ROOM))
    place.kubectl("rollout", "status", "deployment/room", "--timeout=120s")


class Site:
    """A domain of an account, and its clients in one test."""

    def __init__(self, place: Place, **spec: Any) -> None:
        """Apply the domain; `spec` changes the default, one relay in front of the room."""
        self.place = place
        self.name = f"chat-{uuid.uuid4().hex[:6]}"
        self.host = f"{self.name}.example.com"
        self.crowd = Crowd()
        self.resource = f"wsd/{self.name}"
        self._selector = f"wsedge.io/domain-name={self.name}"
        place.apply(
            domain(
                self.name,
                host=self.host,
                **{"origins": [ROOM_ORIGIN], "lifecycle": {"drainSeconds": 1}, **spec},
            )
        )

    def await_serving(self) -> None:
        """Wait until every relay runs the newest configuration and is ready."""
        live = self.place.get(self.resource)
        assert live is not None
        generation = live["metadata"]["generation"]
        self.place.kubectl(
            "wait",
            self.resource,
            f"--for=jsonpath={{.status.observedGeneration}}={generation}",
            "--timeout=120s",
        )
        self.place.await_reason(self.resource, "Ready", "Serving")

    def door(self, tls: ssl.SSLContext | None = None) -> Door:
        """Return the address for clients from the status; without root it has another port."""
        live = self.place.get(self.resource)
        assert live is not None
        address = live["status"]["address"]
        port = reachable_port(address["httpsPort" if tls else "httpPort"])
        return Door(address["clusterIP"], port, self.host, tls)

    def patch(self, **spec: Any) -> None:
        """Edit the domain."""
        self.place.patch(self.resource, {"spec": spec})

    def scale(self, replicas: int) -> None:
        """Set the number of relays."""
        self.place.kubectl("scale", self.resource, f"--replicas={replicas}")

    def await_relays(self, number: int) -> None:
        """Wait until there are this many relays, all of them ready."""
        until(f"{number} relays", lambda: len(self.pods()) == number)
        self.await_serving()

    def log(self) -> list[dict[str, Any]]:
        """Return the relays' log lines."""
        lines = self.place.kubectl("logs", f"--selector={self._selector}", "--tail=-1").splitlines()
        return [json.loads(line) for line in lines]

    def pods(self) -> list[dict[str, Any]]:
        """Return the relays' pods without a deletion timestamp."""
        found = self.place.items("pod", self._selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def remove(self) -> None:
        """Delete the domain and its relays without waiting.

        Relays by name: a new cluster's garbage collector may need half a minute to discover our kinds.
        """
        relays = f"deployment/{self.name}-relay"
        self.place.kubectl("delete", self.resource, relays, "--wait=false", "--ignore-not-found")

    async def settle(self) -> Answer:
        """Close the clients and delete the relays, which report their last bytes at once; then compare."""
        await self.crowd.leave()
        self.remove()
        return await self.agreement()

    async def agreement(self) -> Answer:
        """Wait until the statistics equal the clients' counts."""
        async with await self.statistics() as statistics:
            return await self.agreement_of(statistics)

    async def agreement_of(self, statistics: Statistics) -> Answer:
        """Do the same with an existing client of the statistics, since a new token needs an API server."""
        # The clients' counts at each answer, because relays ping clients at any time.
        answer = await statistics.wait_for(lambda one: agree(self.crowd.counts, one), seconds=REPORT_SECONDS)
        assert agree(self.crowd.counts, answer), (self.crowd.counts, answer)
        return answer

    async def codes(self) -> dict[int, int]:
        """Return this domain's handshakes by HTTP status from the statistics."""
        async with await self.statistics() as statistics:
            return await statistics.codes()

    async def statistics(self, *, isp: str | None = None) -> Statistics:
        """Return a client of the statistics for this domain (and network), with a token of the account."""
        return await aside(self._statistics, isp)

    def _statistics(self, isp: str | None) -> Statistics:
        cluster = self.place.cluster
        path = "jsonpath=http://{.spec.clusterIP}:{.spec.ports[0].port}"
        url = cluster.kubectl("get", f"service/{STATISTICS}", "--namespace", SYSTEM, "--output", path)
        token = self.place.kubectl("create", "token", "default", "--audience", STATISTICS).strip()
        return Statistics(url, token, domain=self.host, isp=isp)


@asynccontextmanager
async def site_of_a_local_room(place: Place, **spec: Any) -> AsyncIterator[Site]:
    """Serve a domain in front of a room in this process, which sends no ping of its own."""
    async with serve(Rooms().watch, "127.0.0.1", 0, ping_interval=None) as origin:
        port = next(iter(origin.sockets)).getsockname()[1]
        site = Site(place, origins=[{"host": "127.0.0.1", "httpPort": port}], **spec)
        await aside(site.await_serving)
        yield site
        await aside(site.remove)


class Bystander:
    """A client of another domain that exchanges texts before, during and after a fault."""

    def __init__(self, site: Site) -> None:
        self._door = site.door()
        self._crowd = Crowd()
        self._talking: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._crowd.enter(self._door)
        self._talking = asyncio.create_task(self._crowd.talk_until(lambda: False, seconds=600))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Fail if the client lost its connection, unless the test has failed already."""
        self._talking.cancel()
        (outcome,) = await asyncio.gather(self._talking, return_exceptions=True)
        (client,) = self._crowd.clients
        disturbed = not client.is_open or not isinstance(outcome, asyncio.CancelledError)
        await client.drop()
        if error is None:
            assert not disturbed, f"the other domain's client was disturbed: {outcome!r} {client.close_code}"


def identities(pods: list[dict[str, Any]]) -> dict[str, int]:
    """Return the restart count of each pod's container by the pod's uid."""
    return {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}


def only_pod(place: Place, selector: str) -> dict[str, Any]:
    """Return the only pod with these labels."""
    (pod,) = place.items("pod", selector)
    return pod


def kill(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Kill the process of a pod's container by SIGKILL, as the kernel does when memory runs out."""
    os.kill(process_of(cluster, pod), signal.SIGKILL)


def process_of(cluster: Cluster, pod: dict[str, Any]) -> int:
    """Return the process of a pod's container."""
    wanted = f"HOSTNAME={pod['metadata']['name']}".encode()
    (pid,) = [pid for pid in marked_processes(cluster.mark) if wanted in environment_of(pid)]
    return pid


def environment_of(pid: int) -> list[bytes]:
    """Return the variables of a process; none when it has ended meanwhile, as other pods' probes do."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def await_restarted(place: Place, pod: dict[str, Any]) -> None:
    """Wait until a pod's container runs again, with a status that shows the kill."""
    name = f"pod/{pod['metadata']['name']}"
    count = pod["status"]["containerStatuses"][0]["restartCount"] + 1
    restarted = f"--for=jsonpath={{.status.containerStatuses[0].restartCount}}={count}"
    place.kubectl("wait", name, restarted, "--timeout=120s")
    place.kubectl("wait", name, "--for=condition=Ready", "--timeout=120s")
    live = place.get(name)
    assert live is not None
    assert live["metadata"]["uid"] == pod["metadata"]["uid"]
    last = live["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "Error")


def metric(pod: dict[str, Any], name: str, label: str = "") -> float:
    """Return the sum of a relay's metric over its labels, or over those with `label` (`side="origin"`)."""
    samples = re.findall(rf"^wsedge_relay_{name}(?:{{(.*)}})? (\S+)$", ask(pod, "/metrics"), re.MULTILINE)
    return sum(float(value) for labels, value in samples if label in labels)


def open_connections(pod: dict[str, Any]) -> int:
    """Return the number of a relay's tunnels."""
    return int(json.loads(ask(pod, "/config"))["openConnections"])


def ask(pod: dict[str, Any], path: str) -> str:
    """Return the answer of a relay's admin port."""
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:9090{path}", timeout=20) as answer:
        return str(answer.read().decode())


async def aside(call: Callable[..., T], *arguments: Any) -> T:
    """Run a blocking call while clients continue."""
    return await asyncio.to_thread(call, *arguments)


async def meanwhile(crowd: Crowd, work: Awaitable[T]) -> T:
    """Let the crowd exchange texts while awaiting `work`."""
    task = asyncio.ensure_future(work)
    await crowd.talk_until(task.done)
    return await task
