"""Liveness, readiness and metrics. They need no token, since they contain no account's numbers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from wsedge_statistics.web.problems import ProblemError
from wsedge_statistics.web.responses import problems
from wsedge_statistics.web.services import services_of

router = APIRouter(tags=["upkeep"])


@router.get("/healthz", responses=problems(503), summary="Liveness")
async def healthz(request: Request) -> dict[str, str]:
    """Return 200 unless the ledger's writer has ended, which only a restart repairs."""
    if not services_of(request).ledger.alive():
        raise ProblemError(503, "writer-ended", "The ledger's writer has ended. Restart the program.")
    return {"status": "ok"}


@router.get("/readyz", responses=problems(503), summary="Readiness for reports")
async def readyz(request: Request) -> dict[str, str]:
    """Return 200 while the ledger can be written and the process is not shutting down."""
    services = services_of(request)
    if services.draining:
        raise ProblemError(503, "ending", "The process is shutting down.")
    if not services.ledger.writable():
        detail = "The ledger cannot be written: the disk is full, or its files were moved. The log tells."
        raise ProblemError(503, "ledger-unavailable", detail)
    if services.metrics.ledger.damage_met:
        return {"status": "ok", "ledger": "damaged: what can be read is answered. The log has the cause."}
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, summary="Metrics in Prometheus' text format")
async def metrics(request: Request) -> Response:
    """Return all metrics. Names begin with wsedge_statistics_; no label contains an account or a domain."""
    return Response(services_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)
