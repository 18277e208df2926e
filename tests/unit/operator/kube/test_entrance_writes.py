"""The writes of an entrance: each is tried, and what they replace is deleted only when all were accepted."""

from __future__ import annotations

from typing import Any

import pytest

from support.operator.entrances import exposed
from support.operator.snapshots import NOW
from wsedge_operator.errors import (
    ForbiddenError,
    NamespaceGoneError,
    NotFoundError,
    UndeclaredError,
    api_error,
)
from wsedge_operator.kube.outcome import perform
from wsedge_operator.reconcile.outcome import Outcome, Status, reference


class ApiServer:
    """Refuses writes of some kinds, and records the others."""

    def __init__(self, **refusals: Exception) -> None:
        self.refusals = refusals
        self.writes: list[str] = []

    async def get(self, kind: Any, namespace: str, name: str) -> Any:
        raise NotFoundError("GET", 404, "NotFound", "")

    async def apply(self, kind: Any, body: Any, *, subresource: str = "") -> Any:
        if kind.kind in self.refusals:
            raise self.refusals[kind.kind]
        self.writes.append(subresource or kind.kind)
        return dict(body)

    async def delete(self, kind: Any, namespace: str, name: str, *, uid: str) -> None:
        self.writes.append(f"delete {kind.kind}")


BEFORE = exposed(service={"type": "NodePort"}, ingress={}, gateway={"parentRefs": [{"name": "public"}]})
PARTS = tuple(BEFORE.children[kind] for kind in ("Service", "Ingress", "HTTPRoute"))
STATUS = Status("wsedge.io/v1alpha1", "WebSocketDomain", "team-a", "chat", {})
OUTCOME = Outcome(entrance=PARTS[:2], retire=(reference(BEFORE.children["HTTPRoute"]),), status=(STATUS,))
QUOTA = ForbiddenError("PATCH", 403, "Forbidden", "exceeded quota")


async def performed(api: Any) -> None:
    await perform(api, OUTCOME, lambda *_: None, lambda *_: None, NOW, "operator-1")


async def test_an_entrance_is_applied_and_what_it_replaces_is_deleted() -> None:
    """The status is written after both."""
    api = ApiServer()
    await performed(api)
    assert api.writes == ["Service", "Ingress", "delete HTTPRoute", "status"]


async def test_a_refused_part_stops_no_other_and_nothing_is_deleted() -> None:
    """The old way stays until the new one is accepted; the refusal is reported."""
    api = ApiServer(Service=QUOTA)
    with pytest.raises(ForbiddenError, match="exceeded quota"):
        await performed(api)
    assert api.writes == ["Ingress"]


async def test_a_namespace_that_is_deleted_ends_the_writes() -> None:
    """Nothing can be written there any more."""
    api = ApiServer(Service=NamespaceGoneError("PATCH", 403, "Forbidden", "terminating"))
    with pytest.raises(NamespaceGoneError):
        await performed(api)
    assert api.writes == []


@pytest.mark.parametrize("status", [400, 500])
def test_a_field_that_the_definition_lacks(status: int) -> None:
    """The API server's answer to server-side apply under an older definition has an error of its own."""
    message = (
        "failed to create typed patch object (team-a/chat; wsedge.io/v1alpha1, Kind=WebSocketDomain):"
        " .status.addresses: field not declared in schema"
    )
    assert type(api_error("PATCH", status, {"message": message})) is UndeclaredError
