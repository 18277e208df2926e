"""The relay as one thing: listeners, domains in force, the admin port.

    relay          apply a configuration, drain, close; the domains in force
    accepting      listeners, and the pause while descriptors run out
    admin          a small, strict HTTP server
    permission     the token for orders on the admin port
    web_pages      refuse requests of web pages to the admin port
    admin_routes   /healthz, /readyz, /metrics, /config and /drain

Never imports the packages `process` and `main`.
"""
