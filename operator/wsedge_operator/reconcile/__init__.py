"""Decisions: pure functions from a snapshot and an instant to an Outcome, a package per kind.

    account/      the decision about an account
    domain/       the decision about a WebSocketDomain
    directory     the Directory of all accounts and domains, for the statistics
    rollouts      of how many domains a change of the operator replaces the pods at a time
    pausing       how long all of them wait after failures in several accounts, and how that ends
    own_causes    whether a domain's own spec explains that its new relays do not run
    outcome       the parts of a decision: writes, status, Events, the time of the next reconciliation
    conditions    conditions of a status
    reasons       every reason of a condition or an Event, with cause and cure
    problem       why a field of a spec cannot be used
    stalling      the condition Stalled: when an object that waits has failed
    selection     the label selector of the namespaces that the operator serves
    status_page   docs/status.md, from `reasons` (`make generate`); not imported by the running operator

Never imports a client or a clock.
"""
