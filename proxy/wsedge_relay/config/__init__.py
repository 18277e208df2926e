"""RelayConfig as files, and their changes.

    load       parse a configuration and load the certificates that it names
    material   checked certificates and keys
    watch      notice a changed file, certificate or mounted volume
    follow     apply each change that can come into force, log each refusal

Never imports a socket or a domain that is served.
"""
