"""From five-minute sums to answers. Pure.

    ranges   what may be asked: spans, granularities, filters
    series   sums over buckets

Never imports a ledger.
"""
