"""Bytes to values and back: HTTP/1.1, the opening handshake, the PROXY protocol, HTTP/2 as HTTP/1.1. Pure.

    http1               heads, read strictly
    body                bodies with a length or in chunks
    handshake           the opening handshake of a WebSocket, checked and written anew
    plain_request       a request that is no upgrade, and its answer
    forwarded           X-Forwarded-For and Forwarded: a client's address behind trusted proxies
    proxy_protocol      the PROXY protocol's header, read and written
    http2_translation   an HTTP/2 request as HTTP/1.1 and an answer back
    http2_budget        a budget for HTTP/2 frames without content

Never imports a socket, a clock or asyncio.
"""
