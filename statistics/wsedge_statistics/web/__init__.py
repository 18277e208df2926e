"""Plumbing that every HTTP face shares.

    problems    errors as RFC 9457 problem details
    responses   their description in the OpenAPI document
    body        request bodies, bounded
    identity    the caller that a bearer token names
    services    the services of the application that a request came to
    upkeep      /healthz, /readyz and /metrics

Never imports a route of `api` or `ingest`.
"""
