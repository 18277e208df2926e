"""The caller of a request, and its rights.

    callers   from a token's claims to rights. Pure
    users     users of the cluster, from the API server's reviews. Pure
    reviews   these reviews, remembered for some seconds
    tokens    verified ServiceAccount tokens
    jwks      the keys that sign them

Never imports a web framework.
"""
