"""What operators of a relay observe: metrics and the access log.

    counters     integers per domain that only rise. Pure
    families     the table of metric families. Pure
    exposition   Prometheus metrics, made at each scrape from the counters
    merging      metrics and state of several worker processes as those of one relay. Pure
    access_log   one line per connection at its end

What is billed is in `metering`, not here.
"""
