"""An account with a plan and a room, the domains in front of it, and the clients that come."""

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
    """A namespace with a plan in force."""
    place = Place(cluster, f"test-{uuid.uuid4().hex[:8]}")
    cluster.kubectl("create", "namespace", place.namespace)
    place.apply(plan(**terms))
    place.await_reason("bp/plan", "Ready", "Effective")
    yield place
    cluster.kubectl("delete", "namespace", place.namespace, "--wait=false")


def open_room(place: Place) -> None:
    """Run the quickstart's room, which is the origin of `Site` unless told otherwise."""
    place.apply(*({**each, "metadata": {**each["metadata"], "namespace": place.namespace}} for each in ROOM))
    place.kubectl("rollout", "status", "deployment/room", "--timeout=120s")


class Site:
    """A domain of an account, and the clients that a test brings to it."""

    def __init__(self, place: Place, **spec: Any) -> None:
        """Apply the domain; `spec` changes one with a relay in front of the room."""
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
        """Where clients come in, as the status says; without root at another port of the same address."""
        live = self.place.get(self.resource)
        assert live is not None
        address = live["status"]["address"]
        port = reachable_port(address["httpsPort" if tls else "httpPort"])
        return Door(address["clusterIP"], port, self.host, tls)

    def patch(self, **spec: Any) -> None:
        """Edit the domain."""
        self.place.patch(self.resource, {"spec": spec})

    def scale(self, replicas: int) -> None:
        """Ask for so many relays."""
        self.place.kubectl("scale", self.resource, f"--replicas={replicas}")

    def await_relays(self, number: int) -> None:
        """Wait until so many relays are there, all of them ready."""
        until(f"{number} relays", lambda: len(self.pods()) == number)
        self.await_serving()

    def log(self) -> list[dict[str, Any]]:
        """What the relays logged."""
        lines = self.place.kubectl("logs", f"--selector={self._selector}", "--tail=-1").splitlines()
        return [json.loads(line) for line in lines]

    def pods(self) -> list[dict[str, Any]]:
        """The relays' pods that are to stay."""
        found = self.place.items("pod", self._selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def remove(self) -> None:
        """Delete the domain without waiting.

        Its relays by name: a fresh cluster's garbage collector may take half a minute to learn our kinds.
        """
        relays = f"deployment/{self.name}-relay"
        self.place.kubectl("delete", self.resource, relays, "--wait=false", "--ignore-not-found")

    async def settle(self) -> Answer:
        """Let the clients leave and the relays go, which report their last bytes at once; then compare."""
        await self.crowd.leave()
        self.remove()
        return await self.agreement()

    async def agreement(self) -> Answer:
        """Wait until the statistics have exactly what the clients have counted."""
        async with await self.statistics() as statistics:
            return await self.agreement_of(statistics)

    async def agreement_of(self, statistics: Statistics) -> Answer:
        """The same with statistics that are asked already: a token takes an API server to make."""
        # Counts as they are at each answer: relays ping clients now and then.
        answer = await statistics.wait_for(lambda one: agree(self.crowd.counts, one), seconds=REPORT_SECONDS)
        assert agree(self.crowd.counts, answer), (self.crowd.counts, answer)
        return answer

    async def codes(self) -> dict[int, int]:
        """The handshakes of this domain by HTTP status, as the statistics have them."""
        async with await self.statistics() as statistics:
            return await statistics.codes()

    async def statistics(self) -> Statistics:
        """The statistics as somebody with a token of the account asks them for this domain."""
        return await aside(self._statistics)

    def _statistics(self) -> Statistics:
        cluster = self.place.cluster
        path = "jsonpath=http://{.spec.clusterIP}:{.spec.ports[0].port}"
        url = cluster.kubectl("get", f"service/{STATISTICS}", "--namespace", SYSTEM, "--output", path)
        token = self.place.kubectl("create", "token", "default", "--audience", STATISTICS).strip()
        return Statistics(url, token, domain=self.host)


@asynccontextmanager
async def site_of_a_local_room(place: Place, **spec: Any) -> AsyncIterator[Site]:
    """A domain that is served, in front of a room in this process, which sends no ping of its own."""
    async with serve(Rooms().watch, "127.0.0.1", 0, ping_interval=None) as origin:
        port = next(iter(origin.sockets)).getsockname()[1]
        site = Site(place, origins=[{"host": "127.0.0.1", "httpPort": port}], **spec)
        await aside(site.await_serving)
        yield site
        await aside(site.remove)


class Bystander:
    """A client of another domain that talks before, during and after a fault."""

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
        """Fail when the client was disturbed, unless the test has failed already."""
        self._talking.cancel()
        (outcome,) = await asyncio.gather(self._talking, return_exceptions=True)
        (client,) = self._crowd.clients
        disturbed = not client.is_open or not isinstance(outcome, asyncio.CancelledError)
        await client.drop()
        if error is None:
            assert not disturbed, f"the other domain's client was disturbed: {outcome!r} {client.close_code}"


def identities(pods: list[dict[str, Any]]) -> dict[str, int]:
    """How often each pod's container was restarted, by the pod's UID."""
    return {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}


def only_pod(place: Place, selector: str) -> dict[str, Any]:
    """The one pod with these labels."""
    (pod,) = place.items("pod", selector)
    return pod


def kill(cluster: Cluster, pod: dict[str, Any]) -> None:
    """End the process of a pod's container by SIGKILL, as an out-of-memory killer does."""
    os.kill(process_of(cluster, pod), signal.SIGKILL)


def process_of(cluster: Cluster, pod: dict[str, Any]) -> int:
    """The process of a pod's container."""
    wanted = f"HOSTNAME={pod['metadata']['name']}".encode()
    (pid,) = [pid for pid in marked_processes(cluster.mark) if wanted in environment_of(pid)]
    return pid


def environment_of(pid: int) -> list[bytes]:
    """The variables of a process; none when it has ended meanwhile, as other pods' probes do."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def await_restarted(place: Place, pod: dict[str, Any]) -> None:
    """Wait until the container of a pod runs again; somebody who looks reads that it was killed."""
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
    """The sum of a relay's metric over its labels, or over those with `label` (`side="origin"`)."""
    samples = re.findall(rf"^wsedge_relay_{name}(?:{{(.*)}})? (\S+)$", ask(pod, "/metrics"), re.MULTILINE)
    return sum(float(value) for labels, value in samples if label in labels)


def open_connections(pod: dict[str, Any]) -> int:
    """The tunnels of a relay."""
    return int(json.loads(ask(pod, "/config"))["openConnections"])


def ask(pod: dict[str, Any], path: str) -> str:
    """What a relay's admin port answers."""
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:9090{path}", timeout=20) as answer:
        return str(answer.read().decode())


async def aside(call: Callable[..., T], *arguments: Any) -> T:
    """Run a blocking call while clients go on."""
    return await asyncio.to_thread(call, *arguments)


async def meanwhile(crowd: Crowd, work: Awaitable[T]) -> T:
    """Let the crowd talk while something else is awaited."""
    task = asyncio.ensure_future(work)
    await crowd.talk_until(task.done)
    return await task
