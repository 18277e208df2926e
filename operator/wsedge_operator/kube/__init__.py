"""The only package that calls the API server.

    access    its address and the credentials: kubeconfig or ServiceAccount
    kinds     the kinds that the operator reads or writes, and its rights on each
    connection  one API server: address, trust, credentials
    client    calls: JSON objects in and out, each with a deadline; lists in pages, watches
    breaker   how often an API server that fails is called
    watch     follows a kind: list, watch, again
    discovery the optional kinds that the API server serves
    outcome   carries an Outcome out

Never imports the runtime.
"""
