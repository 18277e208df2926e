"""What to do: pure functions from a snapshot and an instant to an Outcome, a package per kind.

    account/      the decision about an account
    domain/       the decision about a WebSocketDomain
    directory     the Directory of all accounts and domains, for the statistics
    outcome       what a decision consists of
    conditions    conditions of a status
    reasons       every reason of a condition or an Event, with cause and cure
    problem       why a field of a spec cannot be used
    stalling      since when an object waits, and when that counts as failed
    status_page   docs/status.md, from `reasons` (`make generate`); not imported by the running operator

Never imports a client or a clock.
"""
