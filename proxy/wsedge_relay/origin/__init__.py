"""The origin servers of a domain: choice, connections, requests, health.

    origins    the origins of one domain: chooses and dials them, counts failures
    exchange   one request to one origin: its connection, its final answer
    balance    load balancing policies and ejection. Pure
    resolver   a short-lived cache of DNS answers
    dial       a connection to an origin: name, race of addresses, PROXY header, TLS
    health     active health checks
    address    an origin's port, Host header and protocol. Pure
    reach      which addresses may be dialled. Pure

Never imports the packages `site`, `tunnel` and `client`.
"""
