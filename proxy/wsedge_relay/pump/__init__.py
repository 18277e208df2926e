"""Bytes of open tunnels, read and written in batches on one epoll: plain Python, or the same source compiled.

    pump       the batch: receive, walk frame headers, send a slice to the other leg
    sending    backlogs of sockets, the relay's own frames, ends of streams
    leg        one leg of a tunnel: a socket and its state
    frames     frame headers, parsed in place (RFC 6455 section 5)
    pace       limits the rate at which one side of a tunnel is read
    selector   the event loop's selector with a pump inside; chooses the plain or the compiled form
    build      compiles pump, sending, leg and frames into compiled/

Never imports a domain, a request or the configuration.
"""
