"""Parts of a WebSocketDomain's spec, one module per field.

    websocket      spec.websocket, spec.tls
    relay          spec.relay, spec.lifecycle, spec.accessLog
    origins        spec.origins, originRequest, originTLS, originHealthCheck
    clients        spec.clients
    limits         spec.limits
    pass_through   spec.passThrough
    geo            spec.relay.geo
    pod            spec.relay.pod
    affinity       the parts of spec.relay.pod about nodes
    exposure       spec.exposure
    size           spec.relay.autoscaling, spec.relay.rebalance
    quantity       amounts in Kubernetes' notation, spec.relay.resources

Never imports a decision: a field states what a user may ask for.
"""
