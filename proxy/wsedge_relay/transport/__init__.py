"""Sockets on the event loop's own epoll. No domain is known here.

    readiness   waits for sockets, and coroutines that run without an asyncio task
    wire        a connected socket during its handshakes, plain or TLS
    heads       reads one HTTP/1.1 head from a stream
    duplex      a connected socket that one coroutine reads while another writes
    hangup      detects at once that a client closes its connection
    listening   sockets bound to an address, for one process or several
    tls         TLS contexts of both sides
    sockets     shutdown and reset of sockets, and constants of socket calls

Never imports the configuration's domains, a tunnel or an origin.
"""
