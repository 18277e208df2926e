"""RelayConfig as files, and their changes.

    load       parse a configuration and load the certificates that it names
    material   checked certificates and keys
    watch      detect a changed file, certificate or mounted volume
    follow     apply each valid change, log each rejected change

Never imports a socket or a served domain.
"""
