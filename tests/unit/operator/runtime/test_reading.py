"""When the cache is filled, and when another release blocks the start."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from structlog.testing import capture_logs

from wsedge_operator.errors import ForbiddenError, NamespaceGoneError, OperatorError
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.reading import Reader, Readings
from wsedge_operator.runtime.rivals import Rivals, serves_text

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def test_a_missing_namespace_does_not_delay_the_others() -> None:
    """The cache is filled when each namespace was read or is missing, and at least one was read."""
    metrics = Metrics()
    readings = Readings(("a", "b"), metrics)
    waiting = asyncio.create_task(readings.filled())
    readings.note("b", "403")
    await asyncio.sleep(0)
    assert readings.problem == "the cluster has not been read yet; b: 403"
    assert not waiting.done()
    readings.note("a", "")
    await waiting
    assert readings.problem is None
    missing = {"namespace": "b"}
    assert metrics.registry.get_sample_value("wsedge_operator_missing_namespace", missing) == 1
    with capture_logs() as logs:
        readings.note("b", "403")  # told already
        readings.note("b", "")
    assert [line["event"] for line in logs] == ["namespace readable again"]


def test_without_any_of_its_namespaces_the_operator_is_not_ready() -> None:
    """It would serve nobody."""
    readings = Readings(("a",), Metrics())
    readings.note("a", "403")
    assert readings.problem is not None


class Probed:
    """A namespace whose probes are answered in turn, and then wait; each takes four seconds."""

    def __init__(self, *answers: OperatorError | None) -> None:
        self.answers, self.readings = list(answers), Readings(("a",), Metrics())
        self.now, self.lists = 0.0, 0
        self.over = asyncio.Event()

    async def probe(self, scope: str | None) -> None:
        self.now += 4.0
        if not self.answers:
            self.over.set()
            await asyncio.Event().wait()
        if (answer := self.answers.pop(0)) is not None:
            raise answer

    async def list_unwatched(self, scope: str | None) -> None:
        self.lists += 1

    async def read(self) -> list[str]:
        """Read the namespace until all answers were given; return the events that were logged."""
        reader = Reader(
            self.readings,
            lambda _: [],
            self.probe,
            self.list_unwatched,
            resync_seconds=1e-9,
            retry_seconds=0,
            monotonic=lambda: self.now,
        )
        with capture_logs() as logs:
            task = asyncio.create_task(reader.read("a"))
            await self.over.wait()
            task.cancel()
            await asyncio.wait({task})
        return [line["event"] for line in logs]


async def test_a_namespace_that_is_refused_for_a_moment_is_not_missing() -> None:
    """An API server that just started refuses every call; a right that is missing stays missing."""
    refused = ForbiddenError("GET", 403, "Forbidden", "no right")
    assert await Probed(None, refused, refused, None, refused, refused, None).read() == []
    assert await Probed(None, refused, refused, refused, refused, None).read() == [
        "namespace not readable",
        "namespace readable again",
    ]


async def test_a_namespace_that_is_gone_is_missing_at_once() -> None:
    """Its answer is not that of an API server that just started."""
    gone = NamespaceGoneError("GET", 404, "NotFound", "no namespace")
    assert (await Probed(None, gone, None).read())[0] == "namespace not readable"


class Api:
    """Leases, and the ServiceAccounts that may write the status of domains."""

    def __init__(self, *leases: Any, writers: tuple[str, ...] = ()) -> None:
        self.leases = list(leases)
        self.writers = writers
        self.asked: list[dict[str, Any]] = []

    async def list(self, kind: Any, namespace: str | None) -> Any:
        return self.leases, "1"

    async def create(self, kind: Any, namespace: str | None, body: Any) -> Any:
        self.asked.append(body["spec"])
        return {"status": {"allowed": body["spec"]["user"] in self.writers}}


def lease(
    namespace: str,
    name: str = "wsedge-operator",
    *,
    renewed: datetime = NOW,
    day: int = 1,
    serves: str = "",
) -> dict[str, Any]:
    annotations = {"annotations": {"wsedge.io/serves": serves}} if serves else {}
    created = f"2026-11-{day:02}T00:00:00Z"
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": namespace,
            "creationTimestamp": created,
            **annotations,
        },
        "spec": {"holderIdentity": "p", "leaseDurationSeconds": 15, "renewTime": renewed.isoformat()},
    }


def account(namespace: str, name: str = "wsedge-operator") -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def rivals(api: Api, clock: list[float] | None = None, **parts: Any) -> Rivals:
    at = clock if clock is not None else [0.0]
    given = {"serves": (), "monotonic": lambda: at[0], "now": lambda: NOW, **parts}
    return Rivals(cast(Any, api), "mine", "wsedge-operator", **given)


async def test_another_release_that_may_write_blocks_the_start() -> None:
    """Its own Lease, or one of a ServiceAccount without the right, does not."""
    other = account("other")
    assert await rivals(Api(lease("mine"), writers=(account("mine"),))).find() is None
    assert await rivals(Api(lease("other"), writers=(other,))).find() == "other/wsedge-operator"
    assert await rivals(Api(lease("other"))).find() is None
    stranger = Api(lease("other", "argo-operator"), writers=(account("other", "argo-operator"),))
    assert await rivals(stranger).find() is None
    assert stranger.asked == []
    marked = Api(lease("other", "edge-operator", serves="*"), writers=(account("other", "edge-operator"),))
    assert await rivals(marked).find() == "other/edge-operator"


async def test_an_old_lease_blocks_until_it_was_not_renewed_for_its_duration() -> None:
    """Its machine's clock may be two hours behind: then it is renewed, and goes on to block the start."""
    hours_ago = NOW - timedelta(hours=2)
    clock, api = [0.0], Api(lease("other", renewed=hours_ago), writers=(account("other"),))
    looking = rivals(api, clock)
    assert await looking.find() is not None
    clock[0] = 14
    api.leases = [lease("other", renewed=hours_ago + timedelta(seconds=4))]
    assert await looking.find() is not None
    clock[0] = 28
    assert await looking.find() is not None
    clock[0] = 29
    assert await looking.find() is None


async def test_a_lease_that_is_not_renewed_blocks_for_a_minute() -> None:
    """A standby of that release may become the leader within that time."""
    clock, api = [0.0], Api(lease("other"), writers=(account("other"),))
    looking = rivals(api, clock)
    assert await looking.find() is not None
    clock[0] = 59
    assert await looking.find() is not None
    clock[0] = 60
    assert await looking.find() is None
    api.leases = [lease("other", renewed=NOW + timedelta(seconds=60))]
    assert await looking.find() is not None
    api.leases = []  # its pod went, and the Lease with it
    assert await looking.find() is not None
    api.writers = ()  # it was uninstalled
    assert await looking.find() is None


async def test_of_two_releases_the_older_lease_wins() -> None:
    """Each checks again once it has its own Lease."""
    api = Api(lease("other", day=2), writers=(account("other"),))
    assert await rivals(api).find(older_than=lease("mine", day=1)) is None
    assert await rivals(api).find(older_than=lease("mine", day=3)) == "other/wsedge-operator"


async def test_a_right_is_checked_in_the_namespaces_of_the_other_release() -> None:
    """An operator of some namespaces has Roles only there."""
    api = Api(lease("other", serves="team-a,team-b"), writers=(account("other"),))
    assert await rivals(api).find() == "other/wsedge-operator"
    assert api.asked[0]["resourceAttributes"]["namespace"] == "team-a"
    assert serves_text(("team-a", "team-b")) == "team-a,team-b"
    assert serves_text(()) == "*"


async def test_an_operator_of_some_namespaces_checks_no_other_release() -> None:
    """It has no right to list Leases of the cluster."""
    api = Api(lease("other"), writers=(account("other"),))
    assert await rivals(api, serves=("team-a",)).find() is None
    assert api.asked == []


async def test_without_the_right_to_check_the_operator_starts() -> None:
    """The missing right is logged, and the start is as in older releases."""

    async def refused(*_: Any) -> Any:
        raise ForbiddenError("GET", 403, "Forbidden", "no")

    with capture_logs() as logs:
        assert await rivals(cast(Any, SimpleNamespace(list=refused))).find() is None
    assert [line["event"] for line in logs] == ["other releases not listed"]
