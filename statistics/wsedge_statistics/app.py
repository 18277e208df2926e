"""The application: routes, errors and its OpenAPI description."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from wsedge_statistics.api import reading, statements
from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.ingest import routes
from wsedge_statistics.services import Services
from wsedge_statistics.web import problems, upkeep

DESCRIPTION = """Traffic, bandwidth and HTTP codes of WebSocket domains.

Errors are RFC 9457 problem documents. Unknown query parameters are refused. A namespace is an account:
a token of namespace X reads the numbers of account X."""


class Application(FastAPI):
    """FastAPI, with the messages that routes parse from the raw body in its description."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if not self.openapi_schema:
            document = super().openapi()
            schemas = document["components"]["schemas"]
            wanted = [(model, "validation") for model in (UsageReport, Directory, problems.Problem)]
            _, extra = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
            schemas |= extra["$defs"]
            # bad parameters get 400 and a Problem, never FastAPI's own 422
            for operations in document["paths"].values():
                for operation in operations.values():
                    if _is_fastapis(operation["responses"].get("422")):
                        del operation["responses"]["422"]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        assert self.openapi_schema is not None  # noqa: S101  for mypy: super() has set it
        return self.openapi_schema


def _is_fastapis(response: dict[str, Any] | None) -> bool:
    return response is not None and "HTTPValidationError" in str(response)


def build(services: Services | None) -> Application:
    """Build the application; None builds one that can only describe itself."""
    app = Application(
        title="wsedge statistics",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # the pages of docs and redoc load scripts from other sites
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    problems.install(app)
    for router in (routes.router, reading.router, statements.router, upkeep.router):
        app.include_router(router)
    return app
