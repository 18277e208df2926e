"""From five-minute sums to answers. Pure.

    granularity   lengths of slots that a span offers, and how far back each reaches
    calendars     days of time zones, each zone from when it was in force
    ranges        instants as text, whole slots
    groups        pages of groups, and the largest of them
    answers       counts, bandwidth and codes per slot
    series        keys, selections, grains, and the sums that answers are made of

Never imports a ledger.
"""
