"""Rules about requests and clients. Pure: `now` is a parameter.

    limits            how many clients a domain admits, and how fast
    path_rules        which paths may be requested
    allowed_origins   which web pages may open a connection (RFC 6454)
    sticky_cookie     the cookie that binds a client to its origin server
    loops             detects requests that return to the relays that sent them (RFC 8586)

Never imports a socket, a clock or asyncio.
"""
