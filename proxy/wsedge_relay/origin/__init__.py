"""Towards the origin servers of a domain.

    origins    the origins of one domain: choose, resolve, dial, ask, count failures
    exchange   one request to one origin: its connection, its final answer
    balance    load balancing policies and ejection. Pure
    resolver   a short-lived cache of DNS answers
    dial       a connection: name, race of addresses, PROXY header, TLS
    health     active health checks
    address    an origin's port, Host header and name
    reach      the addresses that may be dialled. Pure

Never imports a tunnel or a client's connection.
"""
