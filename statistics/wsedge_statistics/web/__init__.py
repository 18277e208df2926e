"""What every HTTP face shares.

    problems    errors as RFC 9457 problem details
    responses   their description in the OpenAPI document
    body        request bodies, bounded
    identity    who is calling
    upkeep      /healthz, /readyz and /metrics

Never imports a route of `api` or `ingest`.
"""
