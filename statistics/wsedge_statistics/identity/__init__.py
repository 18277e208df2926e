"""The caller of a request, and its rights.

    callers   from a token's claims to rights. Pure
    tokens    verified ServiceAccount tokens
    jwks      the keys that sign them

Never imports a web framework.
"""
