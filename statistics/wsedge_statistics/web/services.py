"""The services of a request's application."""

from __future__ import annotations

from fastapi import Request

from wsedge_statistics.services import Services


def services_of(request: Request) -> Services:
    """Return the services that `app.build` put into the application's state."""
    services = request.app.state.services
    assert isinstance(services, Services)  # noqa: S101  for mypy: the state is untyped
    return services
