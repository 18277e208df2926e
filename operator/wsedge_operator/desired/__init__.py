"""What the cluster should hold for a WebSocketDomain: one pure builder per child manifest.

    relay_config        the RelayConfig, and the ConfigMap that has it
    deployment          the Deployment of the relays
    service, service_account, secret, disruption_budget, network_policy
    names               names, labels and annotations of all children
    digest              whether a live child is as it was applied
    exact               the parts of a child in which nothing may be added
    ownership           whose a live object is

Never imports a client, a clock or a decision.
"""
