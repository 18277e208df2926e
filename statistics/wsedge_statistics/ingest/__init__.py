"""Usage from relays and the Directory from the operator.

    routes   the two endpoints; 204 means that the message is on disk
    checks   source, accounts, domains and times of a report. Pure

Never imports `asking`.
"""
