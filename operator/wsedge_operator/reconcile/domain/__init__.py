"""The decision about a WebSocketDomain. Pure.

    decide         the decision: serve, keep or withdraw, and the status
    serving        a domain that is served: its children, and why it is not ready yet
    withdrawing    a domain that is not served: relays drain, then children are deleted
    keeping        a domain with an invalid spec or in a namespace that is not selected: nothing is changed
    rollout        which generation the relays run, which pods to poke and to query
    staging        whether a change of the operator replaces the pods now, or waits for the domain's turn
    scale_in       which relays are removed first
    scaling        the number of relays, and what decides it
    autoscaling    the number of relays by their open connections
    schedules      the smallest number of relays that holds at an instant
    cron           instants of a cron schedule in a time zone
    rebalance      which relays close connections after a scale-out
    memory         what decisions about one domain remember of each other
    exactness      children that another client has changed
    pods           the state of relay pods, and why they do not run
    origins        addresses of the origins
    key_material   contents of the Secrets that the spec names
    references     which Services and Secrets a domain names
    claims         which object owns a domain name
    snapshot       everything that the decision depends on; the outcome in progress

Never imports a client or a clock.
"""
