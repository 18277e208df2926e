"""Parts of a WebSocketDomain's spec, one module per field.

    origins        spec.origins, originRequest, originTLS, originHealthCheck
    clients        spec.clients
    limits         spec.limits
    pass_through   spec.passThrough
    geo            spec.relay.geo
    quantity       amounts as Kubernetes writes them

Never imports a decision: a field says what may be asked for.
"""
