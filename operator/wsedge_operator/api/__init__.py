"""The resources of group wsedge.io as pydantic models.

    billing_plan       BillingPlan
    websocket_domain   WebSocketDomain
    spec/              parts of a WebSocketDomain's spec, one module per field
    meta               parts of both kinds: metadata, conditions, instants, rules
    reading            stored objects of any version as models
    generation/        CustomResourceDefinitions and pages of docs/, from the models

Never imports a decision or a client of the API server.
"""
