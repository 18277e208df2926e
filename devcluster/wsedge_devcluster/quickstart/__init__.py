"""`make run`: chart, plan, domain, clients, statistics.

    quickstart   the steps, from `helm install` to the comparison
    viewers      clients that chat and count
    example      a use case of examples/, and a way to its page
    liveview     lines on the terminal: page, line, table. Pure

Imported by `main` alone.
"""
