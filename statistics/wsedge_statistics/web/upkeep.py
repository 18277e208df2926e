"""Health and metrics, for the kubelet and Prometheus. No token is asked for: they tell of no account."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from wsedge_statistics.web.problems import ProblemError
from wsedge_statistics.web.responses import problems
from wsedge_statistics.web.services import services_of

router = APIRouter(tags=["upkeep"])


@router.get("/healthz", responses=problems(503), summary="Is the process alive")
async def healthz(request: Request) -> dict[str, str]:
    """200 unless only a restart helps: the ledger's writer has ended."""
    if not services_of(request).ledger.alive():
        raise ProblemError(503, "writer-ended", "the ledger's writer has ended; a restart helps")
    return {"status": "ok"}


@router.get("/readyz", responses=problems(503), summary="Can it take reports")
async def readyz(request: Request) -> dict[str, str]:
    """200 while the ledger can be written and the process is not about to end."""
    services = services_of(request)
    if services.draining:
        raise ProblemError(503, "ending", "the process is about to end")
    if not services.ledger.writable():
        raise ProblemError(503, "ledger-unavailable", "the ledger cannot be written: the disk may be full")
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, summary="Metrics in Prometheus' text format")
async def metrics(request: Request) -> Response:
    """Names begin with wsedge_statistics_; no label holds an account or a domain."""
    return Response(services_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)
