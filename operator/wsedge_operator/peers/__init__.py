"""HTTP to the other two programs, in the messages of their contracts.

    relays       GET /config of relays: which configuration they run
    statistics   resolves the address of the statistics, PUTs the Directory

Never imports the runtime.
"""
