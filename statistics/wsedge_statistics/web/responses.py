"""Errors in the OpenAPI document."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from wsedge_statistics.web.problems import MEDIA_TYPE


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers with these statuses, each a problem document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def tables() -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that also answers with a table, or that nothing changed."""
    text = {"schema": {"type": "string"}}
    tag = {"ETag": {"description": "of the whole answer", **text}}
    applied = {"Preference-Applied": {"description": "the wait of the header Prefer", **text}}
    return {
        200: {"content": {"text/csv": text}, "headers": tag | applied},
        304: {"description": "Not Modified", "headers": tag},
    }
