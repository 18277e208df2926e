"""How a failed call is reported: in the status, else by an Event, else in the log and a metric."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from support.operator.controller import made, turns
from support.operator.snapshots import NOW, live_domain, served
from wsedge_operator.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NamespaceGoneError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
    advice,
    api_error,
)
from wsedge_operator.kube.kinds import DOMAIN
from wsedge_operator.kube.outcome import event_name, perform, write_event
from wsedge_operator.reconcile.outcome import EventNote, Outcome
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.writer import FAILURES_BEFORE_REPORT

TERMINATING = {"details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]}}
GONE = {"details": {"kind": "namespaces", "name": "team-a"}}
CAUSES = {
    "bad credentials": (401, {}, UnauthorizedError),
    "a right that is missing": (403, {}, ForbiddenError),
    "a namespace that goes": (403, TERMINATING, NamespaceGoneError),
    "a namespace that is gone": (404, GONE, NamespaceGoneError),
    "an object that is not there": (404, {"details": {"kind": "pods"}}, NotFoundError),
    "a name that is taken": (409, {}, ConflictError),
    "an object that is refused": (422, TERMINATING, InvalidError),
    "a webhook that is down": (500, {"details": "?"}, ApiError),
}


@pytest.mark.parametrize(("status", "body", "kind"), CAUSES.values(), ids=CAUSES.keys())
def test_the_error_class_of_an_answer(status: int, body: dict[str, Any], kind: type[ApiError]) -> None:
    """The retry and the text for people depend on it."""
    assert type(api_error("GET /", status, body)) is kind


def test_advice_fits_the_cause() -> None:
    """The advice for a refused token does not mention CustomResourceDefinitions."""
    said = {advice(api_error("GET /", status, {})): status for status in (401, 403, 404, 500)} | {
        advice(UnreachableError("GET /", "no route")): 0
    }
    assert len(said) == 5
    assert "credentials" in next(text for text, status in said.items() if status == 401)
    assert "right" in next(text for text, status in said.items() if status == 403)


SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@pytest.mark.parametrize("name", ["a" * 253, "a" * 235 + "." + "b" * 17, "a" * 230 + "------" + "b", "chat"])
def test_the_name_of_an_event_about_an_object_with_a_long_name(name: str) -> None:
    """At most 253 characters, and a DNS subdomain wherever it is cut."""
    made = event_name(name, "0123456789abcdef")
    assert len(made) <= 253
    assert SUBDOMAIN.fullmatch(made)
    assert made.endswith(".0123456789abcdef")
    assert made.startswith(name[:200].rstrip("-."))


async def test_an_event_fits_the_bounds_of_the_api_server() -> None:
    """The note is bounded in bytes, the other texts in characters."""
    events: list[Any] = []

    async def create(kind: Any, namespace: str, body: Any) -> Any:
        events.append(body)
        return {}

    note = EventNote(live_domain(), "Warning", "R" * 200, "\N{SNOWMAN}" * 1024, "t")
    await write_event(cast(Any, SimpleNamespace(create=create)), note, lambda *_: None, NOW, "i" * 200)
    (event,) = events
    assert len(event["note"].encode()) <= 1024
    assert {len(event[key]) for key in ("reason", "action", "reportingInstance")} == {128}


class Broken:
    """An API server that fails each write with the `errors` of its kind, and stores Events and statuses."""

    def __init__(self, **errors: ApiError) -> None:
        self.errors = errors
        self.statuses: list[Any] = []
        self.events: list[Any] = []
        self.writes = 0

    async def get(self, kind: Any, namespace: str, name: str) -> Any:
        raise NotFoundError("GET", 404, "NotFound", "")

    async def apply(self, kind: Any, body: Any, *, subresource: str = "") -> Any:
        await asyncio.sleep(0)
        self.writes += not subresource
        if error := self.errors.get(subresource or "child"):
            raise error
        self.statuses.append(body["status"])
        return {**live_domain(), **body}

    async def create(self, kind: Any, namespace: str, body: Any) -> Any:
        if error := self.errors.get("event"):
            raise error
        self.events.append(body)
        return {}


class Gatherer:
    """Returns the snapshot of a domain whose Deployment is missing."""

    def __init__(self) -> None:
        self.failures: dict[Any, str] = {}
        self.contested: dict[Any, str] = {}
        self.statistics_url = None
        self._snapshot = served()

    async def domain(self, key: Any, live: Any, now: Any) -> Any:
        children = {kind: live for kind, live in self._snapshot.children.items() if kind != "Deployment"}
        return replace(self._snapshot, children=children, failure=self.failures.get(key))


DOWN = ApiError("PATCH", 500, "InternalError", "failed calling webhook")


async def failing(client: Broken, times: int) -> Any:
    """Reconcile a domain that often, and return the controller."""
    controller = made(Cache(), client, Gatherer())
    controller.receive(DOMAIN, False, live_domain())
    work = asyncio.create_task(controller.work())
    for number in range(times):
        await turns(200)
        changed = live_domain()
        changed["metadata"]["resourceVersion"] = str(20 + number)
        controller.receive(DOMAIN, False, changed)
    await turns(200)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    return controller


def reasons(client: Broken) -> list[str]:
    return [entry["reason"] for status in client.statuses for entry in status["conditions"]]


async def test_a_failure_that_lasts_is_in_the_status() -> None:
    """A single failure is not: it would change the status to and fro."""
    once = Broken(child=DOWN)
    await failing(once, FAILURES_BEFORE_REPORT - 2)
    assert once.writes == FAILURES_BEFORE_REPORT - 1
    assert "ApplyFailed" not in reasons(once)
    lasting = Broken(child=DOWN)
    await failing(lasting, FAILURES_BEFORE_REPORT)
    assert "ApplyFailed" in reasons(lasting)


async def test_a_failed_status_is_an_event() -> None:
    """If the Event fails too, the log and a metric have it."""
    client = Broken(child=DOWN, status=DOWN)
    await failing(client, FAILURES_BEFORE_REPORT)
    assert {event["reason"] for event in client.events} == {"ApplyFailed"}
    assert "failed calling webhook" in client.events[0]["note"]
    client = Broken(child=DOWN, status=DOWN, event=DOWN)
    with capture_logs() as logs:
        controller = await failing(client, FAILURES_BEFORE_REPORT)
    assert "failure not reported" in {line["event"] for line in logs}
    unreported = controller.metrics.registry.get_sample_value("wsedge_operator_untold_failures_total")
    assert unreported >= 1


async def test_a_namespace_that_is_being_deleted_is_no_failure() -> None:
    """It is logged once, without a warning and without a failed key."""
    gone = api_error("PATCH", 403, TERMINATING)
    client = Broken(child=gone, status=gone, event=gone)
    with capture_logs() as logs:
        controller = await failing(client, 9)
    assert [line["event"] for line in logs if line["log_level"] != "info"] == []
    assert [line["event"] for line in logs].count("namespace is being deleted") == 1
    assert controller.failing == 0


async def test_a_refused_event_is_no_failure() -> None:
    """The outcome is carried out, and the log has the Event."""
    client = Broken(event=DOWN)
    note = EventNote(live_domain(), "Normal", "Serving", "it serves", "t")
    written: list[str] = []
    with capture_logs() as logs:
        await perform(
            cast(Any, client),
            Outcome(notes=(note,)),
            lambda kind, verb, live: written.append(f"{kind.kind} {verb}"),
            lambda *_: None,
            NOW,
            "me",
        )
    assert written == ["Event refused"]
    assert [line["event"] for line in logs] == ["event not written"]
