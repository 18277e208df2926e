"""The statistics: keep the relays' counts without loss or double, and answer questions about them.

    main, app    the program; the routes of all faces as one application
    opening      the ledger that the settings name
    api/         native REST API
    ingest/      usage from relays, the Directory from the operator
    statements/  statements closed and read, without HTTP
    asking       a question answered without HTTP
    web/         plumbing that every HTTP face shares
    services     ledger, clock, rules and limits, put together once at start
    ledger/      where the counts are kept
    billing/     statements: methods, periods, prices. Pure
    price_file   the price book's file, read again when it changes
    settings     command line and environment
    numbers/     from five-minute sums to answers. Pure
    identity/    callers, and the tokens that identify them
    directory    look-ups in the Directory. Pure
    presence     relays that report, and those that fell silent. Pure
    growth       how fast the ledger grows. Pure
    tenure       lives of accounts, and the domains that each holds or held. Pure
    contract     messages that the statistics accept

Layers: `.importlinter`. Other programs import `contract` alone.
"""
