"""The children that lead clients outside of the cluster to the relays' Service.

    ingress       Ingress
    gateway       HTTPRoute, TLSRoute, ListenerSet of the Gateway API
    certificate   Certificate of cert-manager
    dns           annotations of external-dns

Each exists only where `spec.exposure` asks for it and its API is installed. A builder writes no field
that its controller fills in.
"""
