"""Rules about requests and clients. Pure: `now` is a parameter.

    limits            limits of the number and rate of clients per domain
    path_rules        allowed paths
    allowed_origins   web pages that may open a connection (RFC 6454)
    sticky_cookie     the cookie that binds a client to its origin server
    loops             detect requests that return to the relays that sent them (RFC 8586)

Never imports a socket, a clock or asyncio.
"""
