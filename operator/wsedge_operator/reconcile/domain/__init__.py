"""What to do for a WebSocketDomain. Pure.

    decide         the decision: serve, keep or withdraw, and the status
    serving        a domain that is served: its children, and why it is not ready yet
    withdrawing    a domain that is not: relays drain, then children are deleted
    rollout        which generation the relays run, which pods are poked and asked
    scale_in       which relay is removed first
    pods           why relay pods do not run
    origins        addresses of the origins
    key_material   contents of the Secrets that the spec names
    snapshot       everything that the decision depends on
    references     which Services and Secrets a domain names
    claims         which object owns a domain name
    keeping        a domain whose spec cannot be read, or whose namespace is not selected: everything stays
    scaling        how many relays there are, and who decides that
    exactness      children that somebody else has changed

Never imports a client or a clock.
"""
