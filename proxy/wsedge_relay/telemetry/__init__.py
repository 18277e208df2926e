"""Metrics and the access log, for operators of a relay.

    counters     integers per domain that only rise. Pure
    families     the table of metric families. Pure
    exposition   Prometheus metrics, built from the counters at each scrape
    merging      metrics and state of several worker processes as those of one relay. Pure
    access_log   lines of connections: at their end, and while they are open. Pure

The package `metering` has the counts that are billed.
"""
