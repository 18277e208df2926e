"""The application's description, and its answers to unknown paths."""

from __future__ import annotations

import json

from support.statistics.application import MemoryLedger, request, services_over
from wsedge_statistics.app import build


def test_the_description_needs_no_ledger_and_is_closed() -> None:
    """Every schema that it refers to is part of it, and FastAPI's own 422 is not."""
    document = build(None).openapi()
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= set(schemas)
    assert {"UsageReport", "Directory", "Problem"} <= set(schemas)
    assert "HTTPValidationError" not in text
    assert "422" in document["paths"]["/ingest/v1/usage"]["post"]["responses"]
    assert "422" not in document["paths"]["/v1/traffic"]["get"]["responses"]


def test_the_description_is_built_once() -> None:
    """A second call returns the same document."""
    app = build(None)
    assert app.openapi() is app.openapi()


async def test_unknown_paths_and_methods_are_problems() -> None:
    """404 names the list of paths, 405 the header with the methods."""
    app = build(services_over(MemoryLedger()))
    missing, wrong = await request(app, "GET", "/nothing"), await request(app, "DELETE", "/v1/traffic")
    assert (missing.status, missing.json["detail"]) == (
        404,
        "/nothing does not exist. /openapi.json lists the paths.",
    )
    assert (wrong.status, wrong.headers["allow"], wrong.json["type"]) == (
        405,
        "GET",
        "urn:wsedge:problem:method-not-allowed",
    )
