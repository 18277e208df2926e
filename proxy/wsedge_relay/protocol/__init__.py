"""Parse and build messages: HTTP/1.1, the opening handshake, the PROXY protocol, HTTP/2 as HTTP/1.1. Pure.

    http1               heads, parsed strictly
    body                bodies with a length or in chunks
    handshake           the opening handshake of a WebSocket: check it, build it for the next hop
    plain_request       a request that is no upgrade, and its answer
    forwarded           X-Forwarded-For and Forwarded: a client's address behind trusted proxies
    proxy_protocol      the PROXY protocol's header, parsed and built
    http2_translation   translate HTTP/2 requests to HTTP/1.1, and answers back
    http2_budget        a budget for HTTP/2 frames without content

Never imports a socket, a clock or asyncio.
"""
