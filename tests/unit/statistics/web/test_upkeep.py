"""Liveness, readiness and metrics."""

from __future__ import annotations

import pytest

from support.statistics.application import MemoryLedger, request, services_over
from wsedge_statistics.app import build
from wsedge_statistics.identity.jwks import KeySet
from wsedge_statistics.identity.tokens import Verifier

STATES: dict[str, tuple[dict[str, bool], tuple[int, str], tuple[int, str]]] = {
    "a program that serves": ({}, (200, "ok"), (200, "ok")),
    "a program that ends": (
        {"draining": True},
        (200, "ok"),
        (503, "The process is shutting down."),
    ),
    "a full disk": (
        {"has_space": False},
        (200, "ok"),
        (
            503,
            "The ledger cannot be written: the disk is full, or its files were moved. The log tells.",
        ),
    ),
    "a writer that has ended": (
        {"works": False},
        (503, "The ledger's writer has ended. Restart the program."),
        (
            503,
            "The ledger cannot be written: the disk is full, or its files were moved. The log tells.",
        ),
    ),
}


@pytest.mark.parametrize(("state", "live", "ready"), STATES.values(), ids=STATES.keys())
async def test_liveness_and_readiness(
    state: dict[str, bool], live: tuple[int, str], ready: tuple[int, str]
) -> None:
    """A restart repairs a writer that has ended, and nothing else; a full disk only stops reports."""
    services = services_over(MemoryLedger())
    for name, value in state.items():
        setattr(services if name == "draining" else services.ledger, name, value)
    for path, (status, text) in {"/healthz": live, "/readyz": ready}.items():
        answer = await request(build(services), "GET", path)
        assert (answer.status, answer.json.get("detail") or answer.json["status"]) == (status, text)


async def test_readiness_tells_of_damage() -> None:
    """The program stays ready: what can be read is answered, and reports are stored."""
    services = services_over(MemoryLedger())
    services.metrics.ledger.damaged()
    answer = await request(build(services), "GET", "/readyz")
    assert answer.status == 200
    assert answer.json["ledger"].startswith("damaged: what can be read is answered")


async def test_no_token_is_required() -> None:
    """The kubelet and Prometheus have none."""

    def unreachable() -> bytes:
        raise ConnectionRefusedError

    services = services_over(MemoryLedger(), verifier=Verifier(KeySet(unreachable), issuer="https://x"))
    app = build(services)
    statuses = [(await request(app, "GET", path)).status for path in ("/healthz", "/readyz", "/metrics")]
    assert statuses == [200, 200, 200]
    assert (await request(app, "GET", "/v1/traffic")).status == 401
