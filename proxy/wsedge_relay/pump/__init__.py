"""Bytes of open tunnels, read and written in batches on one epoll: plain Python, or the same source compiled.

    pump       the batch: receive, walk frame headers, send a slice to the other leg
    sending    what a socket did not take, frames put between others, ends of streams
    leg        one leg of a tunnel: a socket and the pump's state of it
    frames     frame headers, walked in place (RFC 6455 section 5)
    pace       how fast one side of a tunnel is read
    selector   the event loop's selector with a pump inside, and the choice between the two forms
    build      compiles pump, sending, leg and frames into compiled/

Never imports a domain, a request or the configuration.
"""
