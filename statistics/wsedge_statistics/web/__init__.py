"""Plumbing that every HTTP face shares.

    problems    errors as RFC 9457 problem details
    representations  JSON or CSV, numbers as text, ETags
    responses   their description in the OpenAPI document
    body        request bodies, bounded
    connections the time and the number of clients' connections
    patience    the deadline of a request's reads, and clients that hang up
    identity    the caller that a bearer token identifies
    services    the services of a request's application
    server      uvicorn's server
    tls         a listener's certificate, which may change
    upkeep      /healthz, /readyz and /metrics

Never imports a route of `api` or `ingest`.
"""
