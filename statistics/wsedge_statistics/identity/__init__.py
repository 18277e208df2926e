"""Who is calling and what that caller may do.

    callers   claims to rights. Pure
    tokens    verified ServiceAccount tokens
    jwks      the keys that sign them

Never imports a web framework.
"""
