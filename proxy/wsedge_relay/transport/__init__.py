"""Sockets on the event loop's own epoll.

    readiness   waits for sockets, and coroutines that run without an asyncio task
    wire        a connected socket during its handshakes, plain or TLS
    heads       reads one HTTP/1.1 head from a stream
    duplex      a connected socket that one coroutine reads while another writes
    hangup      detects a client's disconnect while the relay waits for an origin
    listening   sockets bound to an address, for one process or several
    tls         TLS contexts for clients and for origins
    sockets     shutdown and reset of sockets, and constants of socket calls

Never imports the packages `site`, `tunnel` and `origin`.
"""
