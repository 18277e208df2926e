"""An accepted connection, from its first byte to a tunnel, a refusal or its last plain request.

    arrival          TLS, PROXY header, request heads; the client's address
    connection       checks each request and answers it, or opens a tunnel
    passed_answer    the body of an origin's refusal of an upgrade
    plain_requests   requests that are no upgrade
    http2_session    one HTTP/2 connection: each extended CONNECT becomes a tunnel (RFC 8441)
    http2_sessions   all HTTP/2 connections, by domain
    http2_stream     one stream of HTTP/2, bridged to a socket

Never imports the package `server`.
"""
