"""`make run`: chart, plan, domain, clients, statistics.

    quickstart   the steps
    viewers      clients that chat and count
    answers      questions to the statistics
    liveview     what is shown while it runs

Imported by `main` alone.
"""
