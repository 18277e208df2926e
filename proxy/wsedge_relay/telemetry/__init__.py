"""Metrics and the access log, for the people who operate a relay.

    counters     integers per domain that only rise. Pure
    families     the table of metric families. Pure
    exposition   Prometheus metrics, made at each scrape from the counters
    merging      metrics and state of several worker processes as those of one relay. Pure
    access_log   one line per connection at its end

The billed counts are in `metering`, not here.
"""
