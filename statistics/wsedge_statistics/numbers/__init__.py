"""From five-minute sums to answers. Pure.

    granularity   lengths of slots that a span offers, and how far back each reaches
    ranges        instants as text, whole slots, days of a time zone
    answers       counts, bandwidth and codes per slot
    series        keys, selections, grains, and the sums that answers are made of

Never imports a ledger.
"""
