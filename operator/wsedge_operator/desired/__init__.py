"""The desired state of a WebSocketDomain: one pure builder per child manifest.

    relay_config        the RelayConfig, and the ConfigMap that contains it
    deployment          the Deployment of the relays
    pod_settings        the fields of its pods that the spec sets
    service, service_account, secret, disruption_budget, network_policy
    exposure/           Ingress, routes and ListenerSet of the Gateway API, Certificate, annotations for DNS
    names               names, labels and annotations of all children
    pods_digest         which part of a pod template the spec asks for, and which the operator
    digest              whether a live child has every desired value
    exact               the parts of a child to which no other client may add
    ownership           whether a live object is this WebSocketDomain's child, an orphan, or foreign

Never imports a client, a clock or a decision.
"""
